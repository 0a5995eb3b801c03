"""Storing a message and reading the next one, against redis-py's plainest call on the same server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import redis
import redis.asyncio

from taco import redis_server
from taco.broker import Broker
from taco.models import Agent, Command, CommandState, Evidence, Outcome, iso
from taco.wire import Wire
from tests.bench.result import Result, in_turns, in_turns_async

TITLE = "storing and reading messages, against raw redis-py on the same server (appendfsync always)"
AT_MOST = 1.3
BODY = "the api answers on port 3001 now; POST /orders takes {sku, count}. " * 3
AT_ONCE = 50  # callers that wait at the same time
SOME = 20  # calls in one measured piece of work


async def run(quick: bool) -> list[Result]:
    """Ours writes entry, ledger, counters and event in one call; the peer writes the entry alone."""
    rounds = 8 if quick else 60
    async with _stores() as (ours, raw, url):
        found = [await _one_by_one(ours, raw, rounds), await _together(ours, raw, rounds)]
        found.append(await asyncio.to_thread(_synchronous, url, rounds))
        found += [await _reading(ours, raw, rounds), await _finishing(ours, raw, rounds)]
    return found


@contextlib.asynccontextmanager
async def _stores() -> AsyncIterator[tuple[Broker, redis.asyncio.Redis, str]]:
    """A broker and a raw client on one new private server."""
    home = Path(tempfile.mkdtemp(prefix="taco-bench-"))
    url = redis_server.ensure(home).url
    broker = await Broker.connect(url, "bench")
    raw = redis.asyncio.Redis.from_url(url, protocol=2, decode_responses=True)
    try:
        await broker.put_session({"queue_limit": "1000000", "sender_limit": "1000000"})
        await broker.put_agent(Agent(3, "api"))
        yield broker, raw, url
    finally:
        await raw.aclose()
        await broker.close()
        redis_server.stop(home)
        shutil.rmtree(home, ignore_errors=True)


_numbers = itertools.count()


def _command() -> Command:
    return Command(f"b{next(_numbers)}", "web", "api", BODY, timestamp=iso(0.0))


def _fields() -> dict[str, str]:
    return {"id": f"b{next(_numbers)}", "sender": "web", "target": "api", "message": BODY, "priority": "normal"}


async def _one_by_one(ours: Broker, raw: redis.asyncio.Redis, rounds: int) -> Result:
    async def store() -> None:
        for _ in range(SOME):
            await ours.enqueue(_command())

    async def xadd() -> None:
        for _ in range(SOME):
            await raw.xadd("raw", _fields())  # type: ignore[arg-type]

    return _row("enqueue, one after the other", await in_turns_async(rounds, store, xadd), "XADD")


async def _together(ours: Broker, raw: redis.asyncio.Redis, rounds: int) -> Result:
    async def store() -> None:
        await asyncio.gather(*(ours.enqueue(_command()) for _ in range(AT_ONCE)))

    async def xadd() -> None:
        await asyncio.gather(*(raw.xadd("raw", _fields()) for _ in range(AT_ONCE)))  # type: ignore[arg-type]

    return _row(f"enqueue, {AT_ONCE} at once", await in_turns_async(rounds, store, xadd), "XADD", AT_ONCE)


def _synchronous(url: str, rounds: int) -> Result:
    with Wire(url, "bench") as wire, _raw(url) as raw:

        def store() -> None:
            for _ in range(SOME):
                wire.enqueue(_command())

        def xadd() -> None:
            for _ in range(SOME):
                raw.xadd("raw", _fields())  # type: ignore[arg-type]

        return _row("enqueue as `taco send` does", in_turns(rounds, store, xadd), "XADD")


@contextlib.contextmanager
def _raw(url: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(url, protocol=2, decode_responses=True)
    try:
        yield client
    finally:
        client.close()


async def _reading(ours: Broker, raw: redis.asyncio.Redis, rounds: int) -> Result:
    async def heads() -> None:
        for _ in range(SOME):
            await ours.heads("api")

    async def xrange() -> None:
        for _ in range(SOME):
            await raw.xrange("raw", count=1)

    return _row("look at the next message", await in_turns_async(rounds, heads, xrange), "XRANGE COUNT 1")


async def _finishing(ours: Broker, raw: redis.asyncio.Redis, rounds: int) -> Result:
    """From a message at the head of its queue to one that is out of it."""

    async def take() -> None:
        for _ in range(SOME):
            head = (await ours.heads("api")).head
            assert head is not None
            await ours.finish(head, Outcome(CommandState.DELIVERED, Evidence.NONE), iso(0.0))

    async def xdel() -> None:
        for _ in range(SOME):
            ((entry, _),) = await raw.xrange("raw", count=1)
            await raw.xdel("raw", entry)

    for _ in range(rounds):
        await asyncio.gather(*(ours.enqueue(_command()) for _ in range(SOME)))
        await asyncio.gather(*(raw.xadd("raw", _fields()) for _ in range(SOME)))  # type: ignore[arg-type]
    return _row("look at a message and finish it", await in_turns_async(rounds, take, xdel), "XRANGE, XDEL")


def _row(what: str, measured: list[float], peer: str, calls: int = SOME) -> Result:
    ours, raw = (each / calls for each in measured)
    return Result(what, ours, peer=raw, peer_name=f"redis-py {peer}", at_most=AT_MOST)
