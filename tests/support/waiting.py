"""Waiting for a condition, never for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

Value = TypeVar("Value")
INTERVAL_S = 0.02
SHARE = 1.5  # times as long as a question took is waited before the next: asking must not keep the answer from coming
LONGEST_S = 0.5


def wait_for(condition: Callable[[], Value], timeout_s: float = 60, what: object = "") -> Value:
    """The first true value of `condition()`; AssertionError with `what` and its last value after `timeout_s`.

    `what` names what is awaited; a callable is asked for it only on failure (a screen, a log).
    """
    deadline = time.monotonic() + timeout_s
    while True:
        asked = time.monotonic()
        last = condition()
        if last:
            return last
        if time.monotonic() >= deadline:
            raise AssertionError(_failure(condition, timeout_s, what, last))
        time.sleep(_pause_s(asked))


async def wait_for_async(
    condition: Callable[[], Value | Awaitable[Value]], timeout_s: float = 60, what: object = ""
) -> Value:
    """`wait_for` for asyncio: `condition` may be a coroutine function, and the loop goes on meanwhile."""
    deadline = time.monotonic() + timeout_s
    while True:
        asked = time.monotonic()
        found: Any = condition()
        last = await found if isinstance(found, Awaitable) else found
        if last:
            return last
        if time.monotonic() >= deadline:
            raise AssertionError(_failure(condition, timeout_s, what, last))
        await asyncio.sleep(_pause_s(asked))


def _pause_s(asked: float) -> float:
    return min(LONGEST_S, max(INTERVAL_S, SHARE * (time.monotonic() - asked)))


def _failure(condition: object, timeout_s: float, what: object, last: object) -> str:
    name = what() if callable(what) else what
    return f"after {timeout_s:g} s still not: {name or condition} (last value: {last!r})"
