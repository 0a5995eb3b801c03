"""The older text form of a spec: `AGENT:3:name:role`, then `DEPENDS_ON:`, `WAIT_FOR:`, `NOTIFIES:` lines. Pure."""

from __future__ import annotations

import re
from typing import Any

_LEAD = r"^[^\S\n]*(?:(?:[●⏺•❯>│⎿*]|-)[^\S\n]+)*"
_AGENT = re.compile(_LEAD + r"AGENT:[^\S\n]*(?:(?P<window>-?\d+)[^\S\n]*:)?(?P<name>[^:\n]*):(?P<role>.*)$", re.M)
_FIELD = re.compile(_LEAD + r"(?P<key>DEPENDS_ON|WAIT_FOR|NOTIFIES|WORKSPACE|PROVIDER|MODEL)[^\S\n]*:(?P<value>.*)$")
_LISTS = frozenset({"depends_on", "wait_for", "notifies"})
_NOBODY = frozenset({"", "none", "-", "n/a", "nobody", "nothing", "null"})
_FENCE = re.compile(r"^\s*(?:```|~~~)\w*\s*$")


def matches(text: str) -> re.Match[str] | None:
    """The first `AGENT:` line of a text, None when it has none."""
    return _AGENT.search(text)


def read(text: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The lines as the data of a spec, and warnings. Lines that follow a wrapped one are joined to it."""
    agents: list[dict[str, Any]] = []
    warnings: list[str] = []
    last = ""  # the key that a continuation line belongs to
    for line in text.splitlines():
        if agent := _AGENT.match(line):
            agents.append({"name": agent["name"].strip(), "role": agent["role"].strip()})
            if agent["window"]:
                agents[-1]["window"] = int(agent["window"])
            last = "role"
        elif field := _FIELD.match(line):
            last = field["key"].lower()
            if agents:
                agents[-1][last] = field["value"].strip()
            else:
                warnings.append(f"spec: {field['key']}: stands before the first AGENT: line, ignored")
        elif not line.strip() or _FENCE.match(line):
            last = ""
        elif last and agents:
            agents[-1][last] = f"{agents[-1][last]} {line.strip()}".strip()
    for agent_data in agents:
        for key in _LISTS & agent_data.keys():
            agent_data[key] = _names(agent_data[key])
    return {"agents": agents}, tuple(warnings)


def _names(text: str) -> list[str]:
    parts = (part.strip(" \t[]\"'") for part in re.split(r"[,;]", text))
    return [part for part in parts if part.lower() not in _NOBODY]
