"""How many messages were sent in each minute, as a line of bars. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from taco.monitor.lines import Span
from taco.monitor.words import number

KEPT_M = 60  # minutes that are counted back
LONGEST, SHORTEST = 30, 8  # minutes that are drawn, one cell each
_NONE, _BARS = "▁", "▂▃▄▅▆▇█"
_LABEL, _UNIT, _FIGURE = " messages ", "/min ", 5


def minute(at: float) -> int:
    """The minute that an epoch time lies in."""
    return int(at // 60)


def bars(minutes: Mapping[int, int], now: float, length: int) -> str:
    """The last `length` minutes, the running one last: a bar each, as high as the highest allows."""
    counts = [minutes.get(minute(now) - back, 0) for back in reversed(range(length))]
    top = max(counts, default=0)
    return "".join(_BARS[(count * len(_BARS) - 1) // top] if count else _NONE for count in counts)


def rate_spans(minutes: Mapping[int, int], now: float, room: int) -> tuple[Span, ...]:
    """Bars and the rate in at most `room` cells; nothing when there is no room.

    The rate is that of the last whole minute, or of the running one once there were more.
    """
    length = min(LONGEST, room - len(_LABEL) - len(_UNIT) - _FIGURE - 1)
    if length < SHORTEST:
        return ()
    rate = number(max(minutes.get(minute(now) - back, 0) for back in (0, 1)))
    return (
        Span(_LABEL, "quiet"),
        Span(bars(minutes, now, length), "accent"),
        Span(f"{rate:>{_FIGURE}}", "strong"),
        Span(_UNIT, "quiet"),
    )
