"""Draws a team as a tree of who waits for whom. Pure."""

from __future__ import annotations

import unicodedata

from taco.models import AgentSpec, Spec

WIDTH = 80
_DEEPEST = 36  # columns of branches; what lies deeper is drawn further below
_WAITS, _GETS = "──", "┄┄"
_LEGEND = {
    _WAITS: "── starts when the one above is done",
    _GETS: "┄┄ is sent its result",
    "→": "→ tells when done",
    "↑": "↑ drawn above",
    "↓": "↓ drawn below",
}


def draw(spec: Spec, *, width: int = WIDTH) -> str:
    """The team as a tree, first those who wait for nobody; lines of at most `width` columns, then a legend."""
    return "\n".join(_Tree(spec, width).lines())


class _Tree:
    def __init__(self, spec: Spec, width: int) -> None:
        self._agents = spec.agents
        self._width = width
        self._lines: list[str] = []
        self._used: set[str] = set()
        self._drawn: set[str] = set()
        self._later: list[AgentSpec] = []
        self._children: dict[str, list[tuple[AgentSpec, str]]] = {agent.name: [] for agent in spec.agents}
        for agent in spec.agents:
            for parent in dict.fromkeys((*agent.wait_for, *agent.depends_on)):
                kind = _WAITS if parent in agent.wait_for else _GETS
                self._children.setdefault(parent, []).append((agent, kind))

    def lines(self) -> list[str]:
        roots = [agent for agent in self._agents if not agent.wait_for and not agent.depends_on]
        for agent in (*roots, *self._agents):  # the second time those that a cycle keeps from every root
            self._later += [] if agent.name in self._drawn else [agent]
            while self._later:
                following = self._later.pop(0)
                self._drawn.add(following.name)
                self._grow(following, "", "")
        legend = "   ".join(text for sign, text in _LEGEND.items() if sign in self._used)
        return [*self._lines, *(["", *_wrapped(legend, self._width)] if legend else [])]

    def _grow(self, agent: AgentSpec, lead: str, rest: str) -> None:
        self._write(lead, agent.name, f"  {agent.role}")
        children = self._children[agent.name]
        if agent.notifies:
            self._used.add("→")
            self._write(rest + ("│   " if children else "    "), "→ ", ", ".join(agent.notifies))
        for place, (child, kind) in enumerate(children):
            last = place == len(children) - 1
            self._used.add(kind)
            lead = f"{rest}{'└' if last else '├'}{kind} "
            self._branch(child, lead, rest + ("    " if last else "│   "))

    def _branch(self, child: AgentSpec, lead: str, rest: str) -> None:
        if child.name not in self._drawn and len(rest) <= _DEEPEST:
            self._drawn.add(child.name)
            self._grow(child, lead, rest)
            return
        if child.name not in self._drawn:
            self._drawn.add(child.name)
            self._later.append(child)
        sign = "↓" if child in self._later else "↑"
        self._used.add(sign)
        self._write(lead, child.name, f" {sign}")

    def _write(self, lead: str, head: str, tail: str) -> None:
        self._lines.append((lead + _cut(head + tail, self._width - len(lead))).rstrip())


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
