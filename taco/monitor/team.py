"""Agents for reading: how each one stands, and the columns of the table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from taco.models import FIRST_AGENT_WINDOW, GONE_LEVELS, Agent, AgentQueue, AgentStatus, Level
from taco.monitor.lines import Column, Row, Span, said
from taco.monitor.source import Snapshot
from taco.monitor.words import contains, number, short_age

NARROW = 60  # cells below which only the most important columns are there
WIDEST = 160  # cells from which reason, work and last message have columns of their own
WIDE = 112  # cells from which state and source have, and the last message stands apart


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
        return [number_, name, Column("state", 8, 12), Column("waits for · work", 8, share=1)]
    lasts, queue = Column("for", 4, right=True), Column("queue", 5, right=True)
    if width < WIDE:
        state = Column("state · source", 14, 22)
        return [number_, name, state, lasts, queue, Column("waits for · work", 12, share=1)]
    state, source = Column("state", 12, 22), Column("source", 6, 12)
    if width < WIDEST:
        notes = [Column("waiting for · current work", 20, share=1), Column("last message", 20, share=1)]
    else:
        notes = [
            Column("waiting for", 20, share=2),
            Column("current work", 20, share=3),
            Column("last message", 20, share=3),
        ]
    return [number_, name, state, lasts, source, queue, *notes]


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
                snapshot.work.get(agent.name, ""),
            )
            key = (agent, seen.queue.depth, seen.queue.hold, *seen[2:], _since(agent, now), width)
            known = before.get(agent.name)
            self._made[agent.name] = known if known and known[0] == key else (key, _row(seen, now, width))
        return [row for _, row in self._made.values()]


class _Seen(NamedTuple):
    agent: Agent
    queue: AgentQueue
    last: str
    question: str
    given: str  # the message that it was given last


_EMPTY = AgentQueue()
_ONLY_BUSY = "hold: busy"  # of one that is seen to be busy: what it works on tells more


def _row(seen: _Seen, now: float, width: int) -> Row:
    agent, queue = seen.agent, seen.queue
    stands = look(agent)
    window = (Span(str(agent.window), "quiet"),)
    name = (said(agent.name, "name-bad" if stands.style == "bad" else "name"),)
    state = (Span(f"{stands.mark} ", stands.style), said(stands.word, stands.style))
    reason, doing, last = note(agent, queue, seen.question), work(agent, seen.given), said(seen.last)
    tells = reason.text and not (_works(agent) and reason.text == _ONLY_BUSY)
    why = reason if tells else doing
    if width < NARROW:
        return Row((window, name, state, (why,)), key=agent.name)
    lasts, depth = (Span(_since(agent, now), "quiet"),), (_depth(queue),)
    source = said(agent.state.source if agent.status is not AgentStatus.PLANNED else "", "quiet")
    if width < WIDE:
        sourced = (*state, Span(" "), source) if source.text else state
        either = reason if tells else doing if _works(agent) or not last.text else last
        return Row((window, name, sourced, lasts, depth, (either,)), key=agent.name)
    notes = ((why,), (last,)) if width < WIDEST else ((reason,), (doing,), (last,))
    return Row((window, name, state, lasts, (source,), depth, *notes), key=agent.name)


def work(agent: Agent, given: str) -> Span:
    """What an agent does: the message it works on, which `given` says, else its role."""
    return said(given) if _works(agent) and given else said(agent.role, "quiet")


def _works(agent: Agent) -> bool:
    return look(agent).style == "busy"


def matching(snapshot: Snapshot, text: str) -> Snapshot:
    """The snapshot with only the agents in whose row `text` stands, whatever its case; all of them without."""
    if not text:
        return snapshot
    rows = Rows().make(snapshot, 0.0, WIDEST)
    told = {row.key: ("".join(span.text for span in cell) + " " for cell in row.cells) for row in rows}
    found = {name for name, cells in told.items() if contains(text, cells)}
    return replace(snapshot, agents=tuple(agent for agent in snapshot.agents if agent.name in found))


def note(agent: Agent, queue: AgentQueue, question: str) -> Span:
    """Why an agent stands where it does: what it waits for, why its queue is held, how it ended."""
    if question:
        return said(f"asks: {question}", "alarm")
    if agent.status is AgentStatus.FAILED:
        return said(agent.failed or "failed", "bad")
    if agent.status is AgentStatus.PLANNED:
        return said(f"waits for {agent.waiting_for or ', '.join(agent.wait_for) or 'its turn'}", "quiet")
    if agent.trouble:
        return said(agent.trouble, "warn")
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
