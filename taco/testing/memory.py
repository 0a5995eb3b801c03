"""What the twin of the broker keeps, and what its parts share."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Self

from taco import keys, records
from taco.errors import BrokerError
from taco.models import (
    FINAL_STATES,
    Ask,
    Claim,
    Command,
    CommandState,
    Event,
    Ledger,
    Limit,
    Outcome,
    Priority,
    Service,
    iso,
)
from taco.records import Waiting

_RANK = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}
KEPT = (CommandState.DEAD, CommandState.UNCONFIRMED)
TOTALS = {
    CommandState.DELIVERED: keys.EXECUTED,
    CommandState.UNCONFIRMED: keys.UNCONFIRMED,
    CommandState.DEAD: keys.DEAD,
    CommandState.CANCELLED: keys.CANCELLED,
    CommandState.REJECTED: keys.REJECTED,
}


@dataclass(slots=True)
class Record:
    """All that is known of one command; `order` grows with each time it was queued."""

    command: Command
    ledger: Ledger
    order: int
    cancel: bool = False

    @property
    def entry_id(self) -> str:
        """Its place, as an entry of a stream has one."""
        return f"{self.order}-0"

    def waiting(self) -> Waiting:
        """What a courier is given."""
        return Waiting(self.command, self.ledger, self.entry_id, self.cancel)


class Memory:
    """One session's commands, agents and events, in the memory of this process."""

    def __init__(self, session: str = "test") -> None:
        """An empty session."""
        self.session = session
        self.keys = keys.Keys(session)
        self._order = itertools.count(1)
        self._state: dict[str, str] = {}
        self._spec: dict[str, str] = {}
        self._agents: dict[int, dict[str, str]] = {}
        self._commands: dict[str, Record] = {}
        self._current: dict[str, str] = {}
        self._finished: dict[str, list[dict[str, str]]] = {"dead": [], "unconfirmed": [], "completed": []}
        self._asks: dict[str, Ask] = {}
        self._services: dict[str, Service] = {}
        self._limits: dict[str, Limit] = {}
        self._claims: dict[int, Claim] = {}
        self._counters: Counter[str] = Counter()
        self._events: list[Event] = []
        self._listeners: dict[str, list[asyncio.Queue[str | None]]] = {"live": [], "wake": []}
        self._owner = ("", 0.0)
        self._heartbeat_ms = 0

    @classmethod
    async def connect(cls, url: str, session: str) -> Self:
        """A twin for `session`; `url` is not used."""
        return cls(session)

    async def close(self) -> None:
        """Ends the listeners, as a closed connection does."""
        for listener in itertools.chain(*self._listeners.values()):
            listener.put_nowait(None)

    async def ping(self) -> str:
        """The version of a server that has all that TACO needs."""
        return "6.2.0"

    def _now(self) -> str:
        return iso(time.time())

    def _window(self, name: str) -> int | None:
        return next((window for window, record in self._agents.items() if record["name"] == name), None)

    def _unfinished(self) -> list[Record]:
        return [record for record in self._commands.values() if record.ledger.state not in FINAL_STATES]

    def _queue(self, agent: str) -> list[Record]:
        queue = [record for record in self._unfinished() if record.command.target == agent]
        return sorted(queue, key=lambda record: (_RANK[record.command.priority], record.order))

    def _set_hold(self, agent: str, reason: str) -> bool:
        window = self._window(agent)
        if window is None or self._agents[window].get("hold", "") == reason:
            return False
        self._agents[window]["hold"] = reason
        return True

    def _end(self, record: Record, outcome: Outcome, at: str, *, quietly: bool = False) -> None:
        """End a command; `quietly`: what is told of it does not repeat its words."""
        command, ledger = record.command, record.ledger
        if self._current.get(command.target) == command.id:
            del self._current[command.target]
        if ledger.hold:
            self._set_hold(command.target, "")
        delivered = outcome.state is CommandState.DELIVERED
        record.ledger = replace(
            ledger,
            state=outcome.state,
            evidence=outcome.evidence,
            reason=outcome.reason,
            hold="",
            delivered_at=at if delivered else "",
        )
        self._counters[TOTALS[outcome.state]] += 1
        if delivered:
            self._counters[f"{keys.DELIVERED_BY}{outcome.evidence or ''}"] += 1
        kept = str(outcome.state) if outcome.state in KEPT else "completed"
        self._finished[kept].append(_result(command, record.ledger, at, with_message=outcome.state in KEPT))
        told = replace(ledger, preview="") if quietly else ledger
        self._tell(records.finished_event(self.session, told, outcome, at))

    def _tell(self, event: Event) -> None:
        event = replace(event, id=f"{next(self._order)}-0")
        self._events.append(event)
        self._publish("live", records.event_json(event))

    def _publish(self, channel: str, text: str) -> None:
        for listener in self._listeners[channel]:
            listener.put_nowait(text)

    async def _listen(
        self, channel: str, subscribed: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncIterator[str]:
        listener: asyncio.Queue[str | None] = asyncio.Queue()
        self._listeners[channel].append(listener)
        try:
            if subscribed is not None:
                await subscribed()
            while (text := await listener.get()) is not None:
                yield text
        finally:
            self._listeners[channel].remove(listener)
        raise BrokerError("the broker was closed")


def _result(command: Command, ledger: Ledger, at: str, *, with_message: bool) -> dict[str, str]:
    """What is kept of a finished command, as the streams have it."""
    result = {
        "id": command.id,
        "type": command.type,
        "sender": command.sender,
        "target": command.target,
        "priority": str(command.priority),
        "when": str(command.when),
        "state": str(ledger.state),
        "evidence": str(ledger.evidence or ""),
        "attempts": str(ledger.attempts),
        "enters": str(ledger.enters),
        "retry_count": str(command.retry_count),
        "reason": ledger.reason,
        "queued_at": ledger.queued_at,
        "typed_at": ledger.typed_at,
        "entered_at": ledger.entered_at,
        "at": at,
    }
    return {**result, "message": command.message} if with_message else result
