"""Draws a team as a tree of who waits for whom. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from taco.models import Spec

WIDTH = 80
_DEEPEST = 36  # columns of branches; what lies deeper is drawn further below
_WAITS, _GETS = "──", "┄┄"
ABOVE, BELOW, TELLS = "↑", "↓", "→"
_LEGEND = {
    _WAITS: "── starts when the one above is done",
    _GETS: "┄┄ is sent its result",
    TELLS: "→ tells when done",
    ABOVE: "↑ drawn above",
    BELOW: "↓ drawn below",
}


class Member(Protocol):
    """What is drawn of an agent, planned or running."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def role(self) -> str:
        """What it does."""

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Whose results it is sent."""

    @property
    def wait_for(self) -> tuple[str, ...]:
        """Who must be done before it starts."""

    @property
    def notifies(self) -> tuple[str, ...]:
        """Who is told when it is done."""


class Branch(NamedTuple):
    """One line of a tree: its branches, and who stands at their end."""

    lead: str
    name: str  # an agent; for TELLS the names of all that are told
    sign: str = ""  # "" for the agent itself, ABOVE or BELOW where it stands elsewhere, TELLS


def draw(spec: Spec, *, width: int = WIDTH) -> str:
    """The team as a tree, first those who wait for nobody; lines of at most `width` columns, then a legend."""
    found = branches(spec.agents)
    roles = {agent.name: agent.role for agent in spec.agents}
    lines = [(each.lead + _cut(_told(each, roles), width - len(each.lead))).rstrip() for each in found]
    below = legend(found, width)
    return "\n".join([*lines, *(["", *below] if below else [])])


def branches(team: Sequence[Member]) -> list[Branch]:
    """The lines of the tree of a team."""
    return _Tree(team).lines()


def legend(tree: Sequence[Branch], width: int) -> list[str]:
    """What the signs in a tree mean, in lines of at most `width` columns; nothing when there are none."""
    used = [text for sign, text in _LEGEND.items() if any(sign in (each.sign, each.lead[-3:-1]) for each in tree)]
    return _wrapped("   ".join(used), width) if used else []


def _told(branch: Branch, roles: dict[str, str]) -> str:
    if branch.sign == TELLS:
        return f"{TELLS} {branch.name}"
    return f"{branch.name} {branch.sign}" if branch.sign else f"{branch.name}  {roles[branch.name]}"


class _Tree:
    def __init__(self, team: Sequence[Member]) -> None:
        self._team = team
        self._lines: list[Branch] = []
        self._drawn: set[str] = set()
        self._later: list[Member] = []
        self._children: dict[str, list[tuple[Member, str]]] = {agent.name: [] for agent in team}
        for agent in team:
            for parent in dict.fromkeys((*agent.wait_for, *agent.depends_on)):
                kind = _WAITS if parent in agent.wait_for else _GETS
                self._children.setdefault(parent, []).append((agent, kind))

    def lines(self) -> list[Branch]:
        roots = [agent for agent in self._team if not agent.wait_for and not agent.depends_on]
        for agent in (*roots, *self._team):  # the second time those that a cycle keeps from every root
            self._later += [] if agent.name in self._drawn else [agent]
            while self._later:
                following = self._later.pop(0)
                self._drawn.add(following.name)
                self._grow(following, "", "")
        return self._lines

    def _grow(self, agent: Member, lead: str, rest: str) -> None:
        self._lines.append(Branch(lead, agent.name))
        children = self._children[agent.name]
        if agent.notifies:
            self._lines.append(Branch(rest + ("│   " if children else "    "), ", ".join(agent.notifies), TELLS))
        for place, (child, kind) in enumerate(children):
            last = place == len(children) - 1
            lead = f"{rest}{'└' if last else '├'}{kind} "
            self._branch(child, lead, rest + ("    " if last else "│   "))

    def _branch(self, child: Member, lead: str, rest: str) -> None:
        if child.name not in self._drawn and len(rest) <= _DEEPEST:
            self._drawn.add(child.name)
            self._grow(child, lead, rest)
            return
        if child.name not in self._drawn:
            self._drawn.add(child.name)
            self._later.append(child)
        self._lines.append(Branch(lead, child.name, BELOW if child in self._later else ABOVE))


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _cut(text: str, room: int) -> str:
    """The text, or its beginning with `…`, in at most `room` columns."""
    if sum(map(_columns, text)) <= room:
        return text
    used, kept = 1, []
    for char in text:
        used += _columns(char)
        if used > room:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


def _wrapped(legend: str, width: int) -> list[str]:
    lines = [""]
    for part in legend.split("   "):
        longer = f"{lines[-1]}   {part}" if lines[-1] else part
        lines[-1:] = [longer] if len(longer) <= width else [lines[-1], part]
    return lines
