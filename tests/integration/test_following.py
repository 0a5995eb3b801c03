"""The journal has every event of the stream once and in its order, whatever happens to the connection or the server."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from taco import redis_server
from taco.broker import Broker
from taco.errors import BrokerError
from taco.models import Event, EventType
from taco.orchestrator import following
from taco.orchestrator.following import Follower
from taco.orchestrator.journal import BEGINNING, Journal
from taco.records import event_json
from tests.support.waiting import wait_for_async


@pytest.fixture
def url(taco_home: Path) -> Iterator[str]:
    yield redis_server.ensure(taco_home).url
    redis_server.stop(taco_home)


@pytest.fixture
async def broker(url: str) -> AsyncIterator[Broker]:
    broker = await Broker.connect(url, "s")
    yield broker
    await broker.close()


class Log:
    """A journal on disk, and what it holds; `noted`: the contents that were told on."""

    def __init__(self, directory: Path, broker: Broker) -> None:
        self.path = directory / "log.jsonl"
        self._broker = broker
        self.noted: list[str] = []

    def follower(self) -> Follower:
        """As a new executor makes it."""
        return Follower(self._broker, Journal(self.path, io.StringIO()), lambda event: self.noted.append(event.content))

    def _entries(self) -> list[dict[str, str]]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [entry for entry in map(json.loads, lines) if "id" in entry]

    def ids(self) -> list[str]:
        return [entry["id"] for entry in self._entries()]

    def contents(self) -> list[str]:
        return [entry["content"] for entry in self._entries()]

    def holds(self, content: str) -> Callable[[], bool]:
        return lambda: content in self.contents()


@pytest.fixture
def log(taco_home: Path, broker: Broker) -> Log:
    return Log(taco_home, broker)


def event(content: str) -> Event:
    return Event(EventType.PERSON_MESSAGE, "s", ts="2026-01-01T00:00:00.000Z", content=content)


async def tell(broker: Broker, *contents: str) -> None:
    for each in contents:
        await broker.emit(event(each))


async def place(broker: Broker, entry_id: str, content: str) -> None:
    """An event of a server whose clock shows something else, as emit.lua tells it."""
    text = event_json(event(content))
    await broker._run("XADD", broker.keys.events, entry_id, "event", text)
    await broker._run("PUBLISH", broker.keys.live, text.replace('"id":""', f'"id":"{entry_id}"', 1))


async def stream_ids(broker: Broker) -> list[str]:
    return [each.id for each in await broker.events(count=10_000)]


@contextlib.asynccontextmanager
async def followed(follower: Follower) -> AsyncIterator[asyncio.Task[None]]:
    """While it follows."""
    task = asyncio.create_task(follower.follow())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_happens_while_the_subscription_is_gone_is_not_lost(broker: Broker, log: Log) -> None:
    follower = log.follower()
    await tell(broker, "before it")
    for number in range(3):
        async with followed(follower) as task:
            await tell(broker, f"live {number}")
            await wait_for_async(log.holds(f"live {number}"))
            await broker._run("CLIENT", "KILL", "TYPE", "pubsub")
            await tell(broker, *(f"missed {number} {each}" for each in range(3)))
            await asyncio.wait([task])
            assert isinstance(task.exception(), BrokerError)
    async with followed(follower):
        await wait_for_async(log.holds("missed 2 2"))
        await tell(broker, "the last")
        await wait_for_async(log.holds("the last"))
    assert log.ids() == await stream_ids(broker)
    assert log.noted == log.contents()


async def test_what_is_read_and_heard_is_written_once(
    broker: Broker, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, told = broker.events_after, iter(range(5))

    async def and_more_happens(after: str, *, count: int) -> tuple[list[Event], str]:
        for number in told:
            await tell(broker, f"meanwhile {number}")  # the subscription stands, so it is heard too
            break
        return await read(after, count=count)

    monkeypatch.setattr(broker, "events_after", and_more_happens)
    monkeypatch.setattr(following, "PAGE", 2)
    await tell(broker, *(str(number) for number in range(7)))
    async with followed(log.follower()):
        await wait_for_async(log.holds("meanwhile 4"))
        await tell(broker, "the last")
        await wait_for_async(log.holds("the last"))
    assert log.ids() == await stream_ids(broker)
    assert len(log.ids()) == 13


async def test_the_next_executor_goes_on_after_the_last_line_on_disk(broker: Broker, log: Log) -> None:
    await tell(broker, "a", "b")
    await log.follower().catch_up()
    await tell(broker, "c", "d")
    await log.follower().catch_up()
    await log.follower().catch_up()
    assert log.contents() == ["a", "b", "c", "d"]


async def test_what_is_no_event_is_passed_over(broker: Broker, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAGE", 2)
    for fields in (("event", "{}"), ("event", "x"), ("other", "y"), ("event", '{"type": "nothing.known"}')):
        await broker._run("XADD", broker.keys.events, "*", *fields)
    await tell(broker, "after it")
    async with followed(log.follower()):
        await wait_for_async(log.holds("after it"))
        text = event_json(event("without an id"))
        await broker._run("PUBLISH", broker.keys.live, text)
        await tell(broker, "and on")
        await wait_for_async(log.holds("and on"))
    assert log.contents() == ["after it", "and on"]


async def test_of_a_trimmed_stream_what_is_there_is_taken(broker: Broker, log: Log) -> None:
    await tell(broker, "a")
    await log.follower().catch_up()
    await tell(broker, "b", "c", "d")
    await broker._run("XTRIM", broker.keys.events, "MAXLEN", 2)
    await log.follower().catch_up()
    assert log.contents() == ["a", "c", "d"]


async def test_an_empty_server_with_a_slow_clock_silences_nothing(broker: Broker, log: Log) -> None:
    await tell(broker, "a")
    follower = log.follower()
    await follower.catch_up()
    await broker._run("FLUSHALL")
    async with followed(follower):
        await wait_for_async(lambda: follower._last == BEGINNING, what="its notice of that")
        await place(broker, "5-1", "of the new one")
        await wait_for_async(log.holds("of the new one"))
    await place(broker, "5-2", "without a listener")
    await log.follower().catch_up()
    assert log.contents() == ["a", "of the new one", "without a listener"]


async def test_a_stream_that_has_lost_its_end_is_not_written_again(broker: Broker, log: Log) -> None:
    for number in range(1, 5):
        await place(broker, f"{number}-0", str(number))
    await log.follower().catch_up()
    await broker._run("XDEL", broker.keys.events, "3-0", "4-0")
    follower = log.follower()
    await follower.catch_up()
    assert log.contents() == ["1", "2", "3", "4"]
    async with followed(follower):
        await tell(broker, "and on")
        await wait_for_async(log.holds("and on"))
    assert log.contents() == ["1", "2", "3", "4", "and on"]
