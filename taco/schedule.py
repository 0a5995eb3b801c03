"""Who of a team may start now, why the others may not, and who is to be told what is done. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from taco.models import (
    FIRST_AGENT_WINDOW,
    GONE_LEVELS,
    MOTHER,
    PERSON,
    Agent,
    AgentStatus,
    Level,
)

Why = Literal["depends_on", "notifies", "mother"]
_REASON_LIMIT = 120  # characters of somebody's reason inside another's


@dataclass(frozen=True, slots=True)
class Schedule:
    """What to do about the planned agents: `start` these now, by window; the others with their reason.

    `stuck` are the names among `blocked` whom only a person or Mother can help: what they wait for failed,
    ended without a report or was removed.
    """

    start: tuple[Agent, ...] = ()
    blocked: Mapping[str, str] = field(default_factory=dict)
    stuck: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Announcement:
    """`recipient` is to be told that `about` is done or has failed, because of `why`."""

    recipient: str
    about: Agent
    why: Why

    @property
    def failed(self) -> bool:
        """Whether it is a failure that is told."""
        return has_failed(self.about)

    @property
    def text(self) -> str:
        """What `about` says to the recipient; the header with its name is put in front by others."""
        if self.failed:
            return f"failed: {self.about.failed or 'no reason given'}"
        return f"done: {self.about.done or 'no summary given'}"


def is_done(agent: Agent) -> bool:
    """Whether it has reported success, even if it has ended or works on something else since."""
    return agent.status is AgentStatus.DONE or (bool(agent.done) and not has_failed(agent))


def has_failed(agent: Agent) -> bool:
    """Whether its last report is a failure."""
    return agent.status is AgentStatus.FAILED or (bool(agent.failed) and not agent.done)


def ready(agents: Sequence[Agent], *, concurrency: int) -> Schedule:
    """Who may start now, when at most `concurrency` agents start at the same time."""
    by_name = {agent.name: agent for agent in agents}
    planned = [agent for agent in agents if _is_planned(agent)]
    starting = sum(agent.status is AgentStatus.STARTING for agent in agents if _is_ours(agent))
    start: list[Agent] = []
    blocked: dict[str, str] = {}
    stuck: set[str] = set()
    for agent in sorted(planned, key=lambda agent: agent.window):
        lost, waits = _obstacles(agent, by_name)
        if lost or waits:
            blocked[agent.name] = f"waits for {'; '.join((*lost, *waits))}"
        elif agent.paused:
            blocked[agent.name] = "is paused"
        elif starting + len(start) >= concurrency:
            blocked[agent.name] = f"waits for its turn: {starting + len(start)} agents are starting"
        else:
            start.append(agent)
        if lost:
            stuck.add(agent.name)
    return Schedule(tuple(start), blocked, frozenset(stuck))


def announcements(agents: Sequence[Agent]) -> list[Announcement]:
    """Who is to be told of reports that are not announced yet, each recipient once for each report.

    Told are those in its `notifies`, the started agents that need its result and were not given it in their
    brief, and Mother. Set `announced` to the agent's `reported_at` when the messages are queued.
    """
    by_name = {agent.name: agent for agent in agents}
    due: list[Announcement] = []
    for about in agents:
        if not about.reported_at or about.reported_at == about.announced:
            continue
        reasons: dict[str, Why] = {}
        for agent in agents:
            if agent is not about and _is_ours(agent) and _misses_result(agent, about):
                reasons[agent.name] = "depends_on"
        for name in about.notifies:
            if name in by_name or name in (MOTHER, PERSON):
                reasons.setdefault(name, "notifies")
        reasons.setdefault(MOTHER, "mother")
        reasons.pop(about.name, None)
        due += [Announcement(name, about, why) for name, why in reasons.items()]
    return due


def summaries_for(agent: Agent, agents: Sequence[Agent]) -> dict[str, str]:
    """Name -> summary of those it waited for or depends on and that are done: for its brief."""
    by_name = {each.name: each for each in agents}
    needed = dict.fromkeys((*agent.wait_for, *agent.depends_on))
    return {name: by_name[name].done for name in needed if name in by_name and is_done(by_name[name])}


def _is_ours(agent: Agent) -> bool:
    return agent.window >= FIRST_AGENT_WINDOW


def _is_planned(agent: Agent) -> bool:
    return _is_ours(agent) and agent.status is AgentStatus.PLANNED


def _misses_result(agent: Agent, about: Agent) -> bool:
    """Whether `agent` needs the result and started before it was there.

    Who waits for `about` has it in the brief, unless `about` reports for a second time.
    """
    if _is_planned(agent) or about.name not in agent.depends_on:
        return False
    if about.name not in agent.wait_for:
        return True
    return bool(agent.launched_at) and agent.launched_at < about.reported_at


def _obstacles(agent: Agent, by_name: Mapping[str, Agent]) -> tuple[list[str], list[str]]:
    """What keeps it from starting: what will not pass by itself, and what will."""
    lost: list[str] = []
    waits: list[str] = []
    for name in agent.wait_for:
        other = by_name.get(name)
        if other is not None and is_done(other):
            continue
        mishap = "was removed" if other is None else _mishap(other)
        if mishap:
            lost.append(f"{name}, which {mishap}")
        elif other is not None:
            waits.append(f"{name} ({other.status})")
    return lost, waits


def _mishap(agent: Agent) -> str:
    """Why an agent that is not done will not be done by itself; "" while it may."""
    if has_failed(agent):
        reason = " ".join(agent.failed.split())
        shown = reason if len(reason) <= _REASON_LIMIT else f"{reason[:_REASON_LIMIT]}…"
        return f"failed: {shown}" if shown else "failed"
    if agent.status is AgentStatus.STOPPED:
        return "was stopped"
    if agent.status is not AgentStatus.PLANNED and agent.state.level in GONE_LEVELS:
        return "exited" if agent.state.level is Level.EXITED else "is lost"
    return ""
