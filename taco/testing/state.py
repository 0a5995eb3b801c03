"""The session, agents, questions and events of the twin of the broker."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from taco import keys, records
from taco.errors import ConflictError, NotFoundError
from taco.models import (
    FIRST_AGENT_WINDOW,
    Agent,
    AgentStatus,
    Ask,
    CommandState,
    Event,
    Outcome,
)
from taco.testing.memory import Memory

_ACTIVE = frozenset({AgentStatus.STARTING, AgentStatus.RUNNING, AgentStatus.PAUSED})


class State(Memory):
    """What is there, what happened, and who delivers."""

    async def put_session(self, fields: Mapping[str, str]) -> None:
        """Sets fields of `session:state`."""
        self._state.update(fields)

    async def session_fields(self) -> dict[str, str]:
        """All of `session:state`."""
        return dict(self._state)

    async def put_spec(self, fields: Mapping[str, str], *, seen: Mapping[str, str] | None = None) -> bool:
        """Sets fields of `spec`; False, and nothing set, when those that were `seen` have changed."""
        if any(self._spec.get(key, "") != value for key, value in (seen or {}).items()):
            return False
        self._spec.update(fields)
        return True

    async def spec_fields(self) -> dict[str, str]:
        """All of `spec`."""
        return dict(self._spec)

    async def put_agent(self, agent: Agent) -> None:
        """Writes an agent's whole record and its place in the index."""
        elsewhere = self._window(agent.name)
        if elsewhere is not None and elsewhere != agent.window:
            self._count_active(elsewhere, "")
            del self._agents[elsewhere]
        self._count_active(agent.window, str(agent.status))
        self._agents[agent.window] = records.agent_fields(agent)

    async def set_agent(self, window: int, fields: Mapping[str, str]) -> None:
        """Changes fields of an agent; nothing happens when it was removed."""
        if window in self._agents and fields:
            if fields.get("status"):
                self._count_active(window, fields["status"])
            self._agents[window].update(fields)

    async def agents(self) -> list[Agent]:
        """All agents by window, Mother (0) included."""
        return [records.agent_from(record) for _, record in sorted(self._agents.items())]

    async def remove_agent(self, window: int) -> None:
        """Removes an agent; what waits for it becomes a dead letter (entered: unconfirmed)."""
        if window not in self._agents:
            return
        self._count_active(window, "")
        name = self._agents.pop(window)["name"]
        for record in self._queue(name):
            entered = record.ledger.state is CommandState.ENTERED
            state = CommandState.UNCONFIRMED if entered else CommandState.DEAD
            self._end(record, Outcome(state, reason=f"agent {name} was removed"), self._now(), quietly=True)

    async def report(self, name: str, *, failed: bool, text: str, at: str) -> None:
        """An agent says it is done, or that it failed; raises NotFoundError."""
        window = self._window(name)
        if window is None:
            raise NotFoundError(f"there is no agent {name!r}")
        status = AgentStatus.FAILED if failed else AgentStatus.DONE
        done, reason = ("", text) if failed else (text, "")
        fields = {"status": str(status), "done": done, "failed": reason, "reported_at": at}
        await self.set_agent(window, fields)
        self._tell(records.report_event(self.session, name, failed=failed, text=text, at=at))

    async def emit(self, event: Event) -> None:
        """Tells an event."""
        self._tell(event)

    async def events(self, *, count: int = 100, after: str = "") -> list[Event]:
        """The last `count` events, or the first `count` after the id `after`; oldest first."""
        if not after:
            return self._events[-count:]
        place = int(after.partition("-")[0])
        return [event for event in self._events if int(event.id.partition("-")[0]) > place][:count]

    async def events_after(self, after: str, *, count: int) -> tuple[list[Event], str]:
        """The first `count` events after the id `after`, and the last one's id; "" when there is none."""
        found = await self.events(count=count, after=after)
        return found, found[-1].id if found else ""

    async def newest_event_id(self) -> str:
        """The id of the newest event; "" when there is none."""
        return self._events[-1].id if self._events else ""

    async def live(self, subscribed: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[Event]:
        """Events as they happen; raises BrokerError when the broker is closed. `subscribed` is awaited before."""
        async for text in self._listen("live", subscribed):
            yield records.event_from(text)

    async def wakes(self) -> AsyncIterator[str]:
        """Names of agents that have something new in their queue; raises BrokerError likewise."""
        async for name in self._listen("wake"):
            yield name

    async def claim(self, token: str, ttl_ms: int) -> bool:
        """Becomes the one who delivers; False when somebody else is."""
        if self._holder() not in ("", token):
            return False
        self._owner = (token, time.time() + ttl_ms / 1000)
        return True

    async def renew(self, token: str, ttl_ms: int, now_ms: int) -> bool:
        """Stays the one who delivers and leaves a sign of life; False when that was lost."""
        if self._holder() != token:
            return False
        self._heartbeat_ms = now_ms
        return await self.claim(token, ttl_ms)

    async def owner(self) -> str:
        """The token of the one who delivers; "" when nobody does."""
        return self._holder()

    async def heartbeat_age_s(self) -> float | None:
        """How long ago the executor gave a sign of life; None: never."""
        return time.time() - self._heartbeat_ms / 1000 if self._heartbeat_ms else None

    async def release(self, token: str) -> None:
        """Stops to be the one who delivers."""
        if self._holder() in ("", token):
            self._owner, self._heartbeat_ms = ("", 0.0), 0

    async def open_ask(self, ask: Ask) -> Ask:
        """Opens a question to the person; the same id opens it once."""
        if ask.id not in self._asks:
            self._asks[ask.id] = ask
            self._tell(records.asked_event(self.session, ask))
        return self._asks[ask.id]

    async def answer_ask(self, ask_id: str, answer: str, at: str) -> Ask:
        """Answers a question; raises NotFoundError, or ConflictError when it has an answer."""
        ask = self._asks.get(ask_id)
        if ask is None:
            raise NotFoundError(f"there is no question {ask_id!r}")
        if ask.answered_at:
            raise ConflictError(f"question {ask_id} is answered already")
        self._asks[ask_id] = replace(ask, answer=answer, answered_at=at)
        self._tell(records.answered_event(self.session, self._asks[ask_id]))
        return self._asks[ask_id]

    async def asks(self, open_only: bool = True) -> list[Ask]:
        """Questions, oldest first."""
        listed = [ask for ask in self._asks.values() if not (open_only and ask.answered_at)]
        return sorted(listed, key=lambda ask: (ask.opened_at, ask.id))

    async def note_told(self, ask_ids: Sequence[str], at: str) -> None:
        """Notes when the person was told of questions that wait."""
        for ask_id in ask_ids:
            self._asks[ask_id] = replace(self._asks[ask_id], told_at=at)

    async def counters(self) -> dict[str, int]:
        """All counters by name (see keys.py)."""
        return dict(self._counters)

    async def forget(self) -> None:
        """Deletes everything of the session; listeners stay."""
        listeners = self._listeners
        self.__init__(self.session)  # type: ignore[misc]
        self._listeners = listeners

    def _count_active(self, window: int, status: str) -> None:
        before = self._agents.get(window, {}).get("status", "")
        if window >= FIRST_AGENT_WINDOW:
            self._counters[keys.ACTIVE_AGENTS] += (status in _ACTIVE) - (before in _ACTIVE)

    def _holder(self) -> str:
        token, until = self._owner
        return token if time.time() < until else ""
