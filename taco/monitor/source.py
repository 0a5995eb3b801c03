"""What the monitor shows, and where it comes from: a value and a small Protocol. No I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from taco.inbox import Note
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
    asks: tuple[Ask, ...] = ()  # open questions of agents, oldest first
    dialogs: Mapping[str, Ask] = field(default_factory=dict)  # agent -> the dialog on its screen, once it was read
    events: tuple[Event, ...] = ()  # the latest, oldest first
    spec: Mapping[str, str] = field(default_factory=dict)  # the spec's hash
    last_messages: Mapping[str, str] = field(default_factory=dict)  # agent -> text
    work: Mapping[str, str] = field(default_factory=dict)  # agent -> the message it was given last
    minutes: Mapping[int, int] = field(default_factory=dict)  # epoch minute -> messages that were sent in it
    limits: tuple[Mapping[str, Any], ...] = ()  # accounts that are served no more: title, text, until (ISO), guessed
    executor_age_s: float | None = None  # age of the executor's heartbeat; None: there never was one


@dataclass(frozen=True)
class Letters:
    """Messages that did not arrive, newest first: fields `id sender target message reason at`."""

    dead: tuple[Mapping[str, str], ...] = ()
    unconfirmed: tuple[Mapping[str, str], ...] = ()


class Source(Protocol):
    """Where the monitor's data comes from, and what it can have done; BrokerError means that Redis is gone."""

    async def snapshot(self) -> Snapshot:
        """The session now; raises BrokerError."""
        ...

    async def letters(self) -> Letters:
        """Dead letters and unconfirmed messages; raises BrokerError."""
        ...

    async def notes(self) -> Sequence[Note]:
        """The last messages to the person, oldest first; raises BrokerError."""
        ...

    async def screens(self, agents: Sequence[Agent]) -> Mapping[str, Sequence[str]]:
        """What these agents' panes show, row by row; one that cannot be read is left out."""
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

    async def prefix(self) -> str:
        """The person's tmux prefix key as tmux writes it, `C-b`; an empty text when there is none."""
        ...

    async def send(self, agents: Sequence[str], text: str) -> Sequence[str]:
        """Queue the person's message for each of the agents; its id for each of them. Raises TacoError."""
        ...

    async def ask_for(self, verb: str, agent: str) -> None:
        """Ask the orchestrator to `pause`, `resume` or `restart` an agent; raises TacoError."""
        ...

    async def answer(self, ask_id: str, text: str) -> str:
        """Answer an open question; the id of the message that carries the answer. Raises TacoError."""
        ...

    async def press(self, ask: Ask, key: str) -> bool:
        """Press a key at the dialog of `ask`, if it stands there still; whether that went. Raises TacoError."""
        ...

    async def retry(self, command_id: str) -> None:
        """Send a dead or unconfirmed message again; raises TacoError."""
        ...

    async def drop(self, command_id: str) -> None:
        """Forget a dead or unconfirmed message; raises TacoError."""
        ...

    async def decide(self, mark: str, *, approved: bool, reason: str = "") -> None:
        """Approve or reject the plan that waits, if it still is the one with this mark; raises TacoError."""
        ...
