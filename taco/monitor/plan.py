"""The plan as a tree: the one that waits for the person, and the team that runs. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

from taco.drawing import ABOVE, BELOW, TELLS, Branch, branches, legend
from taco.models import FIRST_AGENT_WINDOW, Agent, AgentQueue, AgentSpec, SpecStatus
from taco.monitor.lines import Column, Line, Row, Span, fit_row, said, spans, widths
from taco.monitor.source import Snapshot
from taco.monitor.team import look, note, work
from taco.monitor.words import short_age

_INDENT = 2


def plan_title() -> Line:
    """The bar above the plan: that it waits, and the keys."""
    return Line(
        spans(" ! ", ("PLAN", "strong"), " waits for you"),
        spans(("v", "strong"), " approves or rejects it  ", ("Tab", "strong"), " scrolls "),
        "bar-wait",
    )


def waits(spec: Mapping[str, str]) -> bool:
    """Whether a plan waits for the person."""
    return spec.get("status") == SpecStatus.REVIEW


def plan_lines(spec: Mapping[str, str], width: int) -> list[Line]:
    """The plan under review as a tree of `width` cells; nothing when none waits."""
    if not waits(spec):
        return []
    team = members(spec.get("json", ""))
    if not team:
        return [Line((Span(" " * _INDENT), said(row))) for row in spec.get("text", "").splitlines()]
    tree, roles = branches(team), {agent.name: agent.role for agent in team}
    made = [_planned(branch, roles) for branch in tree]
    return [*made, *_legend(tree, width)]


@lru_cache(8)
def members(text: str) -> tuple[AgentSpec, ...]:
    """The agents of a spec's JSON as the orchestrator stores it once it is checked; nothing when it is none."""
    try:
        return tuple(_member(each) for each in json.loads(text)["agents"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def _member(row: Mapping[str, object]) -> AgentSpec:
    depends_on, wait_for, notifies = (_names(row.get(key)) for key in ("depends_on", "wait_for", "notifies"))
    return AgentSpec(str(row["name"]), str(row.get("role") or ""), 0, depends_on, wait_for, notifies)


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _planned(branch: Branch, roles: Mapping[str, str]) -> Line:
    role = () if branch.sign else (Span("  "), said(roles[branch.name]))
    return Line((Span(" " * _INDENT), *_head(branch), *role))


def _head(branch: Branch) -> tuple[Span, ...]:
    lead = Span(branch.lead, "quiet")
    if branch.sign == TELLS:
        return (lead, said(f"{TELLS} {branch.name}", "quiet"))
    sign = (Span(f" {branch.sign}", "quiet"),) if branch.sign in (ABOVE, BELOW) else ()
    return (lead, said(branch.name, "name"), *sign)


def _legend(tree: Sequence[Branch], width: int) -> list[Line]:
    rows = legend(tree, max(20, width - _INDENT - 1))
    return [Line(), *(Line((Span(" " * _INDENT), said(row, "quiet"))) for row in rows)] if rows else []


def team_lines(snapshot: Snapshot, now: float, width: int) -> list[Line]:
    """The team that runs as a tree: who waits for whom, how each one stands, and why."""
    team = [agent for agent in snapshot.agents if agent.window >= FIRST_AGENT_WINDOW]
    others = [Branch("", agent.name) for agent in snapshot.agents if agent.window < FIRST_AGENT_WINDOW]
    tree = [*others, *branches(team)]
    by_name = {agent.name: agent for agent in snapshot.agents}
    asking = {ask.agent: ask.question for ask in snapshot.asks}
    rows = [_row(branch, by_name.get(branch.name), snapshot, asking, now) for branch in tree]
    columns = [
        Column("team", 12, max(16, width // 2)),
        Column("state", 10, 22),
        Column("for", 4, right=True),
        Column("why", 10, share=1),
    ]
    sizes = widths(columns, rows, width - _INDENT)
    made = [Line((Span(" " * _INDENT), *fit_row(row, columns, sizes))) for row in rows]
    return [*made, *_legend(tree, width)] if team else [*made, Line((Span("  nobody else yet", "quiet"),))]


def _row(branch: Branch, agent: Agent | None, snapshot: Snapshot, asking: Mapping[str, str], now: float) -> Row:
    head = _head(branch)
    if branch.sign or agent is None:
        return Row((head, (), (), ()))
    stands = look(agent)
    lasted = short_age(now - agent.state.since) if agent.state.since and agent.pid else ""
    queue = snapshot.queues.get(agent.name, AgentQueue())
    why = note(agent, queue, asking.get(agent.name, ""))
    told = why if why.text else work(agent, snapshot.work.get(agent.name, ""))
    state = (Span(f"{stands.mark} ", stands.style), said(stands.word, stands.style))
    return Row((head, state, (Span(lasted, "quiet"),), (told,)))
