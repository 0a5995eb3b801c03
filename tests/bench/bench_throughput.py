"""How many messages a minute: against the protocol's ceiling of 300 a minute and pane, and against a bare loop."""

from __future__ import annotations

import asyncio
import statistics
import time

from tests.bench.bare import WAIT_S, BareLoop
from tests.bench.result import Result, median
from tests.bench.rig import Rig, rig, waits_ms

TITLE = "messages a minute through executor and tmux, each with its wait of 0.2 s"
TARGETS = {20: 0.92, 100: 0.83, 200: 0.77}
SHORTEST_MS = WAIT_S * 1_000 - 5  # the reader's clock is read a moment after the text came


async def run(quick: bool) -> list[Result]:
    """Every pane gets the same number of messages, all queued before; each wait is asserted at the readers."""
    sizes = {20: 10, 100: 5} if quick else {20: 50, 100: 25, 200: 20}
    found = []
    for panes, messages in sizes.items():
        async with rig(panes) as made:
            await made.enqueue(2)
            await made.drained()  # warm
            found += await measure(made, messages, turns=1 if quick else 2)
    return found


async def measure(made: Rig, messages: int, *, turns: int) -> list[Result]:
    """Rows for the panes of a rig: ours and the bare loop in turns."""
    panes = len(made.agents)
    rates, bare, notes = [], [], []
    for _ in range(turns):
        took_s = await asyncio.to_thread(
            BareLoop(made.socket).deliver, [agent.pane for agent in made.agents], ["note"] * messages
        )
        await made.quiet()
        bare.append(panes * messages / took_s * 60)
        found, note = await ours(made, messages)
        rates.append(found)
        notes.append(note)
    rate, ceiling = median(rates), panes * 60 / WAIT_S
    unit, what = "a minute", f"{panes} panes"
    return [
        Result(what, rate, unit, ceiling, "protocol's ceiling", at_least=TARGETS.get(panes), note=notes[-1]),
        Result(f"{what}, over the bare loop", rate, unit, median(bare), "bare source-file loop"),
    ]


async def ours(made: Rig, messages: int) -> tuple[float, str]:
    """Messages a minute, and what else was seen."""
    before = {agent.name: len(made.received(agent)) for agent in made.agents}
    await made.executor.close()
    await made.enqueue(messages, body="note {}")
    begun, cpu, trips = time.monotonic(), time.process_time(), made.pipe.batches
    made.serve()
    await made.drained()
    took, cpu, trips = time.monotonic() - begun, time.process_time() - cpu, made.pipe.batches - trips
    reads = [made.received(agent)[before[agent.name] :] for agent in made.agents]
    waits = [wait for each in reads for wait in waits_ms(each)]
    total = len(made.agents) * messages
    assert len(waits) == total, f"{len(waits)} of {total} messages were read"
    assert min(waits) >= SHORTEST_MS, f"a wait of {min(waits):.1f} ms"
    note = f"wait {statistics.median(waits):.0f} ms, {cpu / took:.2f} cores, {trips / took:.0f} tmux calls a second"
    return total / took * 60, note
