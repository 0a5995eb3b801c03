"""How cost grows with the number of agents: latency, throughput, processor time, memory. `draw.py` makes a picture."""

from __future__ import annotations

import asyncio
import time

from tests.bench import bench_throughput
from tests.bench.bare import WAIT_S
from tests.bench.bench_idle import IDLE_AT_MOST, QUIET_S, idle
from tests.bench.bench_memory import TOGETHER_MB
from tests.bench.crew import crew
from tests.bench.result import Result, median
from tests.bench.rig import Rig, rig
from tests.bench.usage import memory

TITLE = "how latency, throughput, processor time and memory grow with 1, 10, 50, 100, 200 agents"
SIZES = (1, 10, 50, 100, 200)
QUICK_SIZES = (1, 5, 10)


def run(quick: bool) -> list[Result]:
    """Raw panes for speed; a whole session with quiet demo agents for what it costs to have them."""
    found: list[Result] = []
    for size in QUICK_SIZES if quick else SIZES:
        found += asyncio.run(_speed(size, quick=quick))
        found += _cost(size, window_s=4.0 if quick else 20.0)
    return found


async def _speed(size: int, *, quick: bool) -> list[Result]:
    async with rig(size) as made:
        await made.enqueue(1)
        await made.drained()  # warm
        rate, note = await bench_throughput.ours(made, 5 if quick else 20)
        made.listen()
        latency = await _latency_ms(made, 3 if quick else 20)
    ceiling = size * 60 / WAIT_S
    return [
        _point("latency", size, latency, "ms", WAIT_S * 1_000, "the protocol's wait"),
        _point("throughput", size, rate, "a minute", ceiling, "the protocol's ceiling", note=note),
    ]


async def _latency_ms(made: Rig, rounds: int) -> float:
    """From storing one message to its Enter at the program, while the other agents are idle; agents take turns."""
    found = []
    for number in range(rounds):
        agent = made.agents[number % len(made.agents)]
        begun = time.time()
        await made.send(agent, "note")
        await made.drained()
        found.append((made.submitted_at(agent)[-1] - begun) * 1_000)
    return median(found)


def _cost(size: int, window_s: float) -> list[Result]:
    with crew(size) as team:
        time.sleep(QUIET_S)
        (row,) = idle(team, window_s)
        pids = team.pids()
        megabytes = memory(pids["executor"]).rss + memory(pids["monitor"]).rss
    return [
        _point("processor", size, row.value, row.unit, IDLE_AT_MOST, "target at 50 agents", note=row.note),
        _point("memory", size, megabytes, "MB", TOGETHER_MB, "target at 50 agents"),
    ]


def _point(curve: str, size: int, value: float, unit: str, peer: float, peer_name: str, note: str = "") -> Result:
    what = f"{size} agents: {curve}"
    return Result(what, value, unit, peer, peer_name, note=note, agents=size, curve=curve)
