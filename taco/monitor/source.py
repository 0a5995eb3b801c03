"""What the monitor shows, and where it comes from: a value and a small Protocol. No I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from taco.models import Agent, AgentQueue, Ask, Event, QueueCounts, Service


@dataclass(frozen=True)
class Snapshot:
    """Everything the monitor shows of one session at one moment."""

    session: str
    status: str = ""
    prompt: str = ""
    project_dir: str = ""
    provider: str = ""
    started_at: str = ""  # ISO 8601 UTC
    demo: bool = False
    yolo: bool = False
    agents: tuple[Agent, ...] = ()  # by window, Mother included
    queues: Mapping[str, AgentQueue] = field(default_factory=dict)
    counts: QueueCounts = field(default_factory=QueueCounts)
    services: tuple[Service, ...] = ()
    asks: tuple[Ask, ...] = ()  # open ones, oldest first
    events: tuple[Event, ...] = ()  # the latest, oldest first
    spec: Mapping[str, str] = field(default_factory=dict)  # the spec's hash
    last_messages: Mapping[str, str] = field(default_factory=dict)  # agent -> text
    executor_age_s: float | None = None  # age of the executor's heartbeat; None: there never was one


@dataclass(frozen=True)
class Letters:
    """Messages that did not arrive, newest first: fields `id sender target message reason at`."""

    dead: tuple[Mapping[str, str], ...] = ()
    unconfirmed: tuple[Mapping[str, str], ...] = ()


class Source(Protocol):
    """Where the monitor's data comes from; BrokerError means that Redis is gone."""

    async def snapshot(self) -> Snapshot:
        """The session now; raises BrokerError."""
        ...

    async def letters(self) -> Letters:
        """Dead letters and unconfirmed messages; raises BrokerError."""
        ...

    def live(self) -> AsyncIterator[Event]:
        """Events as they happen; raises BrokerError when the connection drops."""
        ...

    async def jump(self, window: int) -> None:
        """Select the window `window` of the session; raises TacoError."""
        ...

    async def supervise(self) -> str:
        """Look after the executor; returns what is wrong with it, or an empty text."""
        ...
