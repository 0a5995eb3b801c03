"""One run: senders and faults at once, then quiet, then the comparison."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taco import redis_server
from tests.bench.chaos.arena import NAME, Arena, arena
from tests.bench.chaos.book import Book
from tests.bench.chaos.comparison import compare
from tests.bench.chaos.faults import Faults, Feed
from tests.bench.chaos.kept import keep
from tests.bench.chaos.load import Sender
from tests.bench.chaos.report import Report

DEPTH = 12  # messages that wait for one agent at most: the next fault finds some everywhere
STALL_S = 90.0


@dataclass(frozen=True)
class Plan:
    """How much, and what is done to it: `faults` maps each kind to how often."""

    messages: int
    raw: int
    hostile: int
    faults: Mapping[str, int]
    seed: int = 4
    senders: int = 4
    keep: str = ""  # a directory for what is needed to understand a red run

    def shuffled(self) -> list[str]:
        """The faults in the order that the seed gives."""
        every = [kind for kind, count in self.faults.items() for _ in range(count)]
        random.Random(f"{self.seed}/order").shuffle(every)
        return every


def run(plan: Plan) -> Report:
    """Do it in an arena of its own."""
    with arena(plan.raw, plan.hostile, seed=plan.seed) as made:
        return asyncio.run(_run(plan, made))


async def _run(plan: Plan, made: Arena) -> Report:
    begun, book, trouble = time.monotonic(), Book(), ""
    feed = Feed(made.url)
    faults = Faults(made, feed, seed=plan.seed)
    listening = asyncio.create_task(feed.run())
    senders = _senders(plan, made, book)
    for sender in senders:
        sender.start()
    try:
        await _strike(plan, made, faults)
        await _drained(made, senders)
    except TimeoutError as error:
        trouble = str(error)
    finally:
        for sender in senders:
            sender.stop.set()
        listening.cancel()
        await asyncio.wait([listening])
        await asyncio.to_thread(lambda: [sender.join(10) for sender in senders])
    if plan.keep and trouble:
        keep(Path(plan.keep), made)
    await asyncio.to_thread(redis_server.ensure, made.home)
    verdict = await asyncio.to_thread(compare, made, book)
    report = Report(
        seed=plan.seed,
        agents=len(made.targets),
        took_s=time.monotonic() - begun,
        verdict=verdict,
        tally=faults.tally,
        refused=dict(book.refused.most_common(8)),
        abandoned=sum(len(log.abandoned) for log in made.logs.values()),
        trouble=trouble,
    )
    if plan.keep and report.failures and not trouble:
        keep(Path(plan.keep), made)
    return report


def _senders(plan: Plan, made: Arena, book: Book) -> list[Sender]:
    """The messages are shared out among them."""
    shares = [plan.messages // plan.senders + (at < plan.messages % plan.senders) for at in range(plan.senders)]

    def has_room(name: str) -> bool:
        return book.count(name) - len(made.logs[name].submitted) < DEPTH

    return [
        Sender(
            f"s{at}",
            lambda: made.url,
            NAME,
            made.targets[at:] + made.targets[:at],
            book,
            most=share,
            seed=f"{plan.seed}/sender/{at}",
            has_room=has_room,
        )
        for at, share in enumerate(shares)
    ]


async def _strike(plan: Plan, made: Arena, faults: Faults) -> None:
    """The faults, spread evenly over the messages."""
    order = plan.shuffled()
    for number, kind in enumerate(order, 1):
        await _submitted(made, plan.messages * number // (len(order) + 3))
        print(f"  {number}/{len(order)} {kind} at {made.poll():,}", file=sys.stderr, flush=True)
        await faults.strike(kind)


async def _submitted(made: Arena, count: int) -> None:
    """Wait until that many were submitted; raises TimeoutError when nothing moves for long."""
    at, before = time.monotonic(), -1
    while (now := made.poll()) < count:
        if now != before:
            at, before = time.monotonic(), now
        elif time.monotonic() - at > STALL_S:
            raise TimeoutError(f"nothing was submitted for {STALL_S:g} s, at {now:,}")
        await asyncio.sleep(0.05)


async def _drained(made: Arena, senders: Sequence[Sender]) -> None:
    """Wait until all is sent and nothing waits; raises TimeoutError when nothing moves for long."""
    at, before = time.monotonic(), (-1, -1)
    while True:
        now = (made.poll(), made.waiting())
        if not now[1] and not any(sender.is_alive() for sender in senders):
            return
        if now != before:
            at, before = time.monotonic(), now
        elif time.monotonic() - at > STALL_S:
            raise TimeoutError(f"nothing moved for {STALL_S:g} s, {now[1]} wait still")
        await asyncio.sleep(0.1)
