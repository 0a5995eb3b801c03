"""Notices two agents that answer each other for ever, and slows them down. Pure.

A loop of thanks and acknowledgements burns money all night and looks like work. One who sends many messages is no
loop: only what goes back and forth counts.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

WINDOW_S = 60.0


@dataclass(slots=True)
class Pace:
    """The messages between agents in the last minute; times are epoch seconds."""

    limit: int = 20  # exchanges a minute that are still talk
    slow_s: float = 10.0  # between two messages of agents that exceed it
    _times: defaultdict[tuple[str, str], deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def note(self, sender: str, target: str, at: float) -> None:
        """A message was delivered."""
        times = self._times[sender, target]
        times.append(at)
        if len(times) > 4 * self.limit:
            times.popleft()

    def exchanges(self, one: str, other: str, now: float) -> int:
        """How often the two have answered each other within the last minute."""
        return min(self._recent(one, other, now), self._recent(other, one, now))

    def reason(self, sender: str, target: str, now: float) -> str:
        """Why a message from `sender` to `target` waits now, in words for people; "" when it may go."""
        count = self.exchanges(sender, target, now)
        if count < self.limit:
            return ""
        last = max(self._times[sender, target][-1], self._times[target, sender][-1])
        if not 0 <= now - last < self.slow_s:  # a clock that was set back must not slow them until it has caught up
            return ""
        return f"slowed: {sender} and {target} answered each other {count} times in a minute"

    def _recent(self, sender: str, target: str, now: float) -> int:
        times = self._times.get((sender, target))
        if times is None:
            return 0
        while times and times[0] <= now - WINDOW_S:
            times.popleft()
        if not times:
            del self._times[sender, target]
        return len(times)
