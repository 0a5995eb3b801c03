"""Agents for reading: how each one stands, and the columns of the table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from taco.models import FIRST_AGENT_WINDOW, GONE_LEVELS, Agent, AgentQueue, AgentStatus, Level
from taco.monitor.lines import Column, Row, Span, said
from taco.monitor.source import Snapshot
from taco.monitor.words import number, short_age

NARROW = 60  # cells below which only the most important columns are there
WIDEST = 160  # cells from which roles are shown
WIDE = 112  # cells from which state, reason and last message have columns of their own


class Look(NamedTuple):
    """How an agent stands: a mark of one cell, a word, and their style."""

    mark: str
    word: str
    style: str


_BY_STATUS = {
    AgentStatus.FAILED: Look("✗", "failed", "bad"),
    AgentStatus.STOPPED: Look("■", "stopped", "quiet"),
    AgentStatus.PLANNED: Look("◌", "planned", "quiet"),
    AgentStatus.PAUSED: Look("‖", "paused", "warn"),
    AgentStatus.DONE: Look("✓", "done", "good"),
}
_BY_LEVEL = {
    Level.STARTING: Look("◌", "starting", "busy"),
    Level.IDLE: Look("○", "idle", "good"),
    Level.BUSY: Look("●", "busy", "busy"),
    Level.UNKNOWN: Look("·", "unknown", "quiet"),
}


def look(agent: Agent) -> Look:
    """What matters most of an agent: that it needs somebody, that it is gone, its work, its state."""
    level, detail = agent.state.level, agent.state.detail
    if agent.status in (AgentStatus.STOPPED, AgentStatus.PLANNED):
        return _BY_STATUS[agent.status]
    if level is Level.WAITING:
        return Look("!", detail or "waiting", "alarm")
    if level is Level.LIMITED:
        return Look("◔", f"limited {detail}".rstrip(), "warn")
    if agent.status is AgentStatus.FAILED:
        return _BY_STATUS[AgentStatus.FAILED]
    if level in GONE_LEVELS and agent.status is not AgentStatus.DONE:
        return Look("✗", f"{level} ({detail})" if detail else str(level), "bad")
    if agent.paused:
        return _BY_STATUS[AgentStatus.PAUSED]
    return _BY_STATUS.get(agent.status) or _BY_LEVEL.get(level, _BY_LEVEL[Level.UNKNOWN])


@dataclass(frozen=True, slots=True)
class Team:
    """How many agents (Mother left out) stand where; every agent counts once."""

    active: int = 0
    waiting: int = 0  # for the person: a dialog, a question
    failed: int = 0
    planned: int = 0
    done: int = 0
    stopped: int = 0


def count(snapshot: Snapshot) -> Team:
    """The team in numbers."""
    asking = {ask.agent for ask in snapshot.asks}
    places = [_place(agent, asking) for agent in snapshot.agents if agent.window >= FIRST_AGENT_WINDOW]
    return Team(**{place: places.count(place) for place in set(places)})


def _place(agent: Agent, asking: set[str]) -> str:
    style = look(agent).style
    if style == "alarm" or agent.name in asking:
        return "waiting"
    if style == "bad":
        return "failed"
    if agent.status in (AgentStatus.PLANNED, AgentStatus.DONE, AgentStatus.STOPPED):
        return str(agent.status)
    return "active"


def columns(width: int) -> list[Column]:
    """The columns that fit a table of `width` cells."""
    number_, name = Column("#", 2, right=True), Column("name", 6, 14 if width < WIDE else 22)
    if width < NARROW:
        return [number_, name, Column("state", 8, 12), Column("waits for · message", 8, share=1)]
    lasts, queue = Column("for", 4, right=True), Column("queue", 5, right=True)
    if width < WIDE:
        state = Column("state · source", 14, 22)
        return [number_, name, state, lasts, queue, Column("waits for · message", 12, share=1)]
    role = [Column("role", 12, 34)] if width >= WIDEST else []
    state, source = Column("state", 12, 22), Column("source", 6, 12)
    notes = [Column("waiting for", 20, share=2), Column("last message", 20, share=3)]
    return [number_, name, *role, state, lasts, source, queue, *notes]


class Rows:
    """Makes one row per agent, anew only for agents that look different since the last time."""

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._made: dict[str, tuple[tuple[object, ...], Row]] = {}

    def make(self, snapshot: Snapshot, now: float, width: int) -> list[Row]:
        """The rows in the order of the windows, for the columns of `width`."""
        asking = {ask.agent: ask.question for ask in snapshot.asks}
        before, self._made = self._made, {}
        for agent in snapshot.agents:
            seen = _Seen(
                agent,
                snapshot.queues.get(agent.name, _EMPTY),
                snapshot.last_messages.get(agent.name, ""),
                asking.get(agent.name, ""),
            )
            key = (agent, seen.queue.depth, seen.queue.hold, seen.last, seen.question, _since(agent, now), width)
            known = before.get(agent.name)
            self._made[agent.name] = known if known and known[0] == key else (key, _row(seen, now, width))
        return [row for _, row in self._made.values()]


class _Seen(NamedTuple):
    agent: Agent
    queue: AgentQueue
    last: str
    question: str


_EMPTY = AgentQueue()


def _row(seen: _Seen, now: float, width: int) -> Row:
    agent, queue = seen.agent, seen.queue
    stands = look(agent)
    window = (Span(str(agent.window), "quiet"),)
    name = (said(agent.name, "name-bad" if stands.style == "bad" else "name"),)
    state = (Span(f"{stands.mark} ", stands.style), said(stands.word, stands.style))
    reason, last = note(agent, queue, seen.question), said(seen.last)
    either = (reason,) if reason.text else (last,)
    if width < NARROW:
        return Row((window, name, state, either), key=agent.name)
    lasts, depth = (Span(_since(agent, now), "quiet"),), (_depth(queue),)
    source = said(agent.state.source if agent.status is not AgentStatus.PLANNED else "", "quiet")
    if width < WIDE:
        sourced = (*state, Span(" "), source) if source.text else state
        return Row((window, name, sourced, lasts, depth, either), key=agent.name)
    role = ((said(agent.role, "quiet"),),) if width >= WIDEST else ()
    return Row((window, name, *role, state, lasts, (source,), depth, (reason,), (last,)), key=agent.name)


def note(agent: Agent, queue: AgentQueue, question: str) -> Span:
    """Why an agent stands where it does: what it waits for, why its queue is held, how it ended."""
    if question:
        return said(f"asks: {question}", "alarm")
    if agent.status is AgentStatus.FAILED:
        return said(agent.failed or "failed", "bad")
    if agent.status is AgentStatus.PLANNED:
        return said(f"waits for {agent.waiting_for or ', '.join(agent.wait_for) or 'its turn'}", "quiet")
    if hold := agent.hold or queue.hold:
        return said(f"hold: {hold}", "warn")
    if agent.status is AgentStatus.DONE:
        return said(agent.done, "good")
    return said(agent.waiting_for, "warn")


def _depth(queue: AgentQueue) -> Span:
    if not queue.depth:
        return Span("·", "quiet")
    return Span(number(queue.depth), "warn" if queue.hold else "strong")


def _since(agent: Agent, now: float) -> str:
    if not agent.state.since or agent.status is AgentStatus.PLANNED:
        return ""
    return short_age(now - agent.state.since)


def find(agents: Sequence[Agent], name: str) -> Agent | None:
    """The agent of that name."""
    return next((agent for agent in agents if agent.name == name), None)
