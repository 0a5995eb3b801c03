"""What processes cost: processor time and memory, from /proc (Linux)."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes (10^6): resident, and what would be free again without the process."""

    rss: float
    uss: float


def cpu_s(pid: int) -> float:
    """Seconds of processor time a process and its ended children took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def memory(pid: int) -> Memory:
    """The memory of one process now."""
    kilobytes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, _ = line.split()
        kilobytes[name] = int(value)
    private = kilobytes["Private_Clean:"] + kilobytes["Private_Dirty:"]
    return Memory(kilobytes["Rss:"] * 1_024 / 1e6, private * 1_024 / 1e6)


class Shares:
    """Which share of one core named processes take, from when this is made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._begun = time.monotonic()
        self._before = {name: cpu_s(pid) for name, pid in self._pids.items()}

    def percent(self) -> dict[str, float]:
        """Percent of a core since then, by name."""
        took_s = time.monotonic() - self._begun
        return {name: (cpu_s(pid) - self._before[name]) / took_s * 100 for name, pid in self._pids.items()}


@dataclass(frozen=True, slots=True)
class Call:
    """What one process took: milliseconds by the clock (median), and of the processor (mean, its children too)."""

    wall_ms: float
    cpu_ms: float


def calls_in_turns(
    rounds: int, calls: Iterable[Sequence[str]], *, env: Mapping[str, str] | None = None, input: bytes = b""
) -> list[Call]:
    """What each process takes, run in turns (A B A B); raises CalledProcessError when one fails."""
    words = [list(call) for call in calls]
    found: list[list[tuple[float, float]]] = [[] for _ in words]
    for _ in range(rounds):
        for call, times in zip(words, found, strict=True):
            before, begun = _children_s(), time.perf_counter()
            subprocess.run(call, env=env, input=input, capture_output=True, check=True)
            times.append((time.perf_counter() - begun, _children_s() - before))
    return [
        Call(
            statistics.median(wall for wall, _ in times) * 1_000,
            statistics.mean(cpu for _, cpu in times) * 1_000,
        )
        for times in found
    ]


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
