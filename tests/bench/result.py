"""What a benchmark found: a value, what it is compared with, and whether that is good enough."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One row: `value` and `peer` are in `unit`; the target is a limit of their ratio, or of the value alone."""

    what: str
    value: float
    unit: str = "ms"
    peer: float | None = None
    peer_name: str = ""
    at_most: float | None = None  # limit of the ratio, without a peer of the value
    at_least: float | None = None
    note: str = ""
    agents: int | None = None  # for how cost grows: this value of the curve `curve` at so many agents
    curve: str = ""

    @property
    def ratio(self) -> float | None:
        """The value over its peer's."""
        return None if not self.peer else self.value / self.peer

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        number = self.value if self.ratio is None else self.ratio
        if self.at_most is not None and number > self.at_most:
            return False
        if self.at_least is not None and number < self.at_least:
            return False
        return None if self.at_most is None and self.at_least is None else True

    @property
    def value_text(self) -> str:
        """The value with its unit."""
        return f"{_number(self.value)} {self.unit}".rstrip() + (f" ({self.note})" if self.note else "")

    @property
    def peer_text(self) -> str:
        """What it is compared with."""
        return "" if self.peer is None else f"{self.peer_name} {_number(self.peer)} {self.unit}".strip()

    @property
    def ratio_text(self) -> str:
        """The ratio with two decimals."""
        return "" if self.ratio is None else f"{self.ratio:.2f}"

    @property
    def target(self) -> str:
        """The target as a sign and a number."""
        parts = []
        if self.at_most is not None:
            parts.append(f"≤ {self.at_most:g}")
        if self.at_least is not None:
            parts.append(f"≥ {self.at_least:g}")
        return " ".join(parts)


def _number(value: float) -> str:
    """Four digits; counts and thousands as they are."""
    return f"{value:,.0f}" if value == int(value) or value >= 1_000 else f"{value:,.4g}"


def median(values: Sequence[float]) -> float:
    """The middle of what was measured."""
    return statistics.median(values)


def in_turns(rounds: int, *works: Callable[[], object]) -> list[float]:
    """The median milliseconds of each piece of work, done in turns (A B A B): the same weather for all."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, found in zip(works, times, strict=True):
            begun = time.perf_counter()
            work()
            found.append((time.perf_counter() - begun) * 1_000)
    return [median(found) for found in times]


async def in_turns_async(rounds: int, *works: Callable[[], Awaitable[object]]) -> list[float]:
    """`in_turns` for coroutines."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, found in zip(works, times, strict=True):
            begun = time.perf_counter()
            await work()
            found.append((time.perf_counter() - begun) * 1_000)
    return [median(found) for found in times]
