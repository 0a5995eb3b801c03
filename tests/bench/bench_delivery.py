"""One message to an idle agent, from storing it to its Enter at the program, against the wait of 200 ms."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from taco.models import Agent, CommandState, from_iso
from tests.bench.bare import WAIT_S, BareLoop
from tests.bench.result import Result, median
from tests.bench.rig import Rig, rig, waits_ms

TITLE = "one message to an idle agent: from storing it to its Enter in the program"
AT_MOST = 1.15
BODY = "the api answers on port 3001 now"
SHORTEST_MS = WAIT_S * 1_000 - 5  # clocks are read a moment after the text came


@dataclass
class Runs:
    """What each delivery took, and what it cost."""

    took_ms: list[float] = field(default_factory=list)
    bare_ms: list[float] = field(default_factory=list)
    trips: list[int] = field(default_factory=list)  # to tmux
    calls: list[int] = field(default_factory=list)  # of scripts in Redis, the sender's one included


async def run(quick: bool) -> list[Result]:
    """A raw reader, and a demo agent whose screen is read before and after; the bare loop takes turns with both."""
    rounds = 6 if quick else 40
    found = []
    for demo, what in ((False, "raw program"), (True, "agent with a screen")):
        async with rig(1, demo=demo) as made:
            made.listen()
            runs = await _runs(made, rounds)
            found += _rows(what, runs)
    return found


async def _runs(made: Rig, rounds: int) -> Runs:
    agent, runs = made.agents[0], Runs()
    for number in range(rounds + 1):
        await _settled(made)
        trips, calls = made.pipe.batches, await _scripts(made)
        begun = time.time()
        command_id = await made.send(agent, f"{BODY} {number}")
        await _delivered(made, command_id)
        runs.trips.append(made.pipe.batches - trips)
        runs.calls.append(await _scripts(made) - calls)
        runs.took_ms.append((made.submitted_at(agent)[-1] - begun) * 1_000)
        begun = time.time()
        await asyncio.to_thread(BareLoop(made.socket).deliver, [agent.pane], ["note"])
        runs.bare_ms.append((await _next_submitted(made, agent, begun) - begun) * 1_000)
    if agent.provider == "raw":
        assert min(waits_ms(made.received(agent))) >= SHORTEST_MS
    return Runs(*(each[1:] for each in (runs.took_ms, runs.bare_ms, runs.trips, runs.calls)))  # the first one warmed up


async def _settled(made: Rig) -> None:
    """The couriers have looked at their empty queues."""
    await asyncio.sleep(0.1)
    await made.drained()


async def _delivered(made: Rig, command_id: str) -> None:
    """Wait for the end of a command, and assert the wait between its text and its Enter."""
    while True:
        ledger = await made.broker.ledger(command_id)
        if ledger is not None and ledger.state is CommandState.DELIVERED:
            waited_ms = (from_iso(ledger.entered_at) - from_iso(ledger.typed_at)) * 1_000
            assert waited_ms >= SHORTEST_MS, f"a wait of {waited_ms:.0f} ms"
            return
        await asyncio.sleep(0.01)


async def _next_submitted(made: Rig, agent: Agent, after: float) -> float:
    while not (later := [at for at in made.submitted_at(agent) if at > after]):
        await asyncio.sleep(0.005)
    return later[0]


async def _scripts(made: Rig) -> int:
    """How many scripts Redis has run so far."""
    lines = str(await made.broker._run("INFO", "commandstats")).splitlines()
    counts = [line.partition("calls=")[2].partition(",")[0] for line in lines if line.startswith("cmdstat_eval")]
    return sum(map(int, counts))


def _rows(what: str, runs: Runs) -> list[Result]:
    took, bare = median(runs.took_ms), median(runs.bare_ms)
    note = f"{median(runs.trips):g} calls of tmux, {median(runs.calls):g} of Redis"
    return [
        Result(what, took, peer=WAIT_S * 1_000, peer_name="the protocol's wait", at_most=AT_MOST, note=note),
        Result(f"{what}, over the bare loop", took, peer=bare, peer_name="bare source-file loop"),
    ]
