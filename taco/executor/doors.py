"""What a courier works with: the queue, the eyes and the guard, seen through small protocols."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from taco.config import Config
from taco.models import AgentState, Evidence, Incarnation, Outcome, Pane
from taco.pace import Pace
from taco.records import Heads, Waiting
from taco.screen import Reading
from taco.tmux.guard import Guard


class Queue(Protocol):
    """What a courier asks of the broker; every method may raise BrokerError."""

    async def heads(self, agent: str) -> Heads:
        """The command that is under way or next, and the next that may go in now."""
        ...

    async def begin(self, waiting: Waiting, intent: Incarnation) -> bool:
        """Write down that text will be typed; False when it no longer may."""
        ...

    async def undo(self, waiting: Waiting) -> None:
        """Nothing was typed after all."""
        ...

    async def typed(self, waiting: Waiting, at: str) -> None:
        """The text was typed."""
        ...

    async def entered(self, waiting: Waiting, at: str, enters: int, mark: int) -> bool:
        """Write down that Enter will be pressed; False when the command is to be cancelled instead."""
        ...

    async def refused(self, waiting: Waiting) -> None:
        """Enter was not pressed after all."""
        ...

    async def requeue(self, waiting: Waiting, reason: str) -> None:
        """A typed command waits again."""
        ...

    async def held(self, agent: str, command_id: str, reason: str) -> None:
        """Why the queue stands still."""
        ...

    async def failed(self, waiting: Waiting, reason: str) -> None:
        """An attempt ended in an error."""
        ...

    async def finish(self, waiting: Waiting, outcome: Outcome, at: str) -> bool:
        """The command has ended."""
        ...


class Look(Protocol):
    """One look at an agent."""

    @property
    def pane(self) -> Pane | None:
        """Its pane; None when it is gone."""
        ...

    @property
    def reading(self) -> Reading | None:
        """Its screen; None without rules for it."""
        ...

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row, from 0."""
        ...

    @property
    def state(self) -> AgentState:
        """What it is doing."""
        ...


class Eyes(Protocol):
    """What a courier asks of the observer."""

    async def look(self, name: str) -> Look:
        """Look at an agent now."""
        ...

    async def glance(self, name: str) -> Look:
        """What is known of an agent without screen rules; a look for any other."""
        ...

    def evidence(self, name: str, text: str, *, since: float, mark: int) -> Evidence | None:
        """Hook or transcript that shows `text` submitted after `since`."""
        ...

    def is_taken(self, name: str, text: str, *, mark: int) -> bool:
        """Whether its CLI has taken `text`, as far as a transcript can tell."""
        ...

    def refusal(self, name: str, text: str, *, mark: int) -> str:
        """Why its CLI refused `text`; "" when it did not."""
        ...

    def tokens(self, name: str) -> int:
        """The tokens its conversations have used, as far as their transcripts tell."""
        ...

    def transcript_size(self, name: str) -> int:
        """Bytes of its transcript; -1 when it never has one."""
        ...

    def tells_by_files(self, name: str) -> bool:
        """Whether its hooks or transcript have been seen to speak."""
        ...


@dataclass(frozen=True, slots=True)
class Doors:
    """What every courier of a session works with; `now` is the clock in epoch seconds, `bodies` takes long texts."""

    session: str
    queue: Queue
    eyes: Eyes
    guard: Guard
    incarnation: Callable[[Pane], Awaitable[Incarnation]]
    config: Config
    bodies: Path
    now: Callable[[], float]
    pace: Pace = field(default_factory=Pace)
    token_budget: Callable[[], int] = lambda: 0  # of every agent; 0: no limit
    parked: Callable[[str], str] = lambda _: ""  # why no agent of this provider must begin any work now
