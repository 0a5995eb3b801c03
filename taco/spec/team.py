"""From parsed JSON to a valid team: all errors at once, each with its path; what can be repaired is. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from taco.errors import SpecError
from taco.models import EVERYONE, FIRST_AGENT_WINDOW, MOTHER, PERSON, AgentSpec, Spec
from taco.spec import names, shape

_REFERENCES = ("depends_on", "wait_for", "notifies")
_TEXT_LIMIT = 200
_ABSURD = 2_000  # agents; such a list is not looked at any further
_GUESSES = 20  # comparing names is slow
_PROVIDER = re.compile(r"[a-z][a-z0-9_-]*")
_LIKE_AGENTS = ("team", "agent", "members", "workers", "spec", "Agents", "agent_specs")


@dataclass(slots=True)
class Notes:
    """Errors and warnings on the way, in the order of the agents they are about."""

    errors: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)

    def error(self, index: int, text: str) -> None:
        """`index` is the agent's place in the list, -1 for the spec as a whole."""
        self.errors.append((index, text))

    def warn(self, index: int, text: str) -> None:
        """The same for what was repaired."""
        self.warnings.append((index, text))

    @staticmethod
    def sorted(notes: list[tuple[int, str]]) -> list[str]:
        """The texts by agent, each once."""
        return list(dict.fromkeys(text for _, text in sorted(notes, key=lambda note: note[0])))


@dataclass(slots=True)
class Draft:
    """One agent on its way: what was written, and what it becomes."""

    index: int
    row: dict[str, Any]
    written: str = ""  # the name as it was written
    name: str = ""
    window: int = 0
    references: dict[str, dict[str, int]] = field(default_factory=dict)  # list -> name -> its place there
    workspace: str = ""

    @property
    def path(self) -> str:
        """Where it stands in the spec."""
        return f"agents[{self.index}]"

    def listed(self, key: str) -> list[tuple[int, str]]:
        """The names in one of its lists with their places; wrong types are reported elsewhere."""
        items = self.row.get(key)
        if not isinstance(items, list):
            return []
        return [(place, item) for place, item in enumerate(items) if isinstance(item, str)]


def build(
    data: Any, *, max_agents: int, providers: Collection[str] | None = None, warnings: Collection[str] = ()
) -> Spec:
    """The spec that `data` (parsed JSON) describes; raises SpecError with every error in it."""
    notes = Notes(warnings=[(-2, warning) for warning in warnings])
    rows = _rows(data, notes)
    if len(rows) > max_agents:
        notes.error(-1, f"agents: {len(rows)} agents, at most {max_agents} (--max-agents)")
    drafts = _drafts(rows if len(rows) <= _ABSURD else [], notes)
    _name(drafts, notes)
    _number(drafts, notes)
    _refer(drafts, notes)
    _find_cycles(drafts, notes)
    _settle(drafts, notes)
    _check_texts(drafts, notes, providers)
    if notes.errors:
        raise SpecError(Notes.sorted(notes.errors), hint="correct these and give the whole spec again")
    agents = tuple(_agent(draft) for draft in sorted(drafts, key=lambda draft: draft.window))
    return Spec(agents, tuple(Notes.sorted(notes.warnings)))


def _rows(data: Any, notes: Notes) -> list[Any]:
    """The list of agents in whatever shape the data has."""
    if isinstance(data, list):
        notes.warn(-1, 'spec: a bare list was read as {"agents": [...]}')
        return _not_empty(data, notes)
    if not isinstance(data, dict):
        notes.error(-1, f'spec: must be an object with "agents", is {shape.kind(data)}')
        return []
    if "agents" not in data and {"name", "role"} <= data.keys():
        notes.warn(-1, 'spec: a single agent was read as {"agents": [...]}')
        return [data]
    for key in data:
        if "agents" in data and key not in ("agents", "$schema"):
            notes.warn(-1, f"{names.clean(key)[:60]}: unknown key, ignored")
    if "agents" not in data:
        like = next((key for key in _LIKE_AGENTS if key in data), None)
        notes.error(-1, "agents: is missing" + (f" (there is {like!r}: name it 'agents')" if like else ""))
        return []
    if not isinstance(data["agents"], list):
        notes.error(-1, f"agents: must be a list of objects, is {shape.kind(data['agents'])}")
        return []
    return _not_empty(data["agents"], notes)


def _not_empty(rows: list[Any], notes: Notes) -> list[Any]:
    if not rows:
        notes.error(-1, "agents: the list is empty")
    return rows


def _drafts(rows: list[Any], notes: Notes) -> list[Draft]:
    drafts: list[Draft] = []
    unknown: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            notes.error(index, f"agents[{index}]: must be an object, is {shape.kind(row)}")
            continue
        known, strange = _known(row, f"agents[{index}]", index, notes)
        for key in strange:
            unknown.setdefault(key, []).append(index)
        present = shape.without_nulls(known)
        _read_window(present, f"agents[{index}]", index, notes)
        like = {key: row[key] for key in strange}
        for text in shape.type_errors({**like, **present}, f"agents[{index}]"):
            notes.error(index, text)
        drafts.append(Draft(index, present))
    for key, places in unknown.items():
        many = f" (also in {len(places) - 1} more)" if len(places) > 1 else ""
        notes.warn(places[0], f"agents[{places[0]}].{names.clean(key)[:60]}: unknown key, ignored{many}")
    return drafts


def _known(row: dict[str, Any], path: str, index: int, notes: Notes) -> tuple[dict[str, Any], list[str]]:
    """The fields of one agent under their right names, and the keys that mean nothing."""
    known = {key: value for key, value in row.items() if shape.known_key(key) == key}
    strange = []
    for key, value in row.items():
        meant = shape.known_key(key)
        if meant is None or (meant != key and meant in known):
            strange.append(key)
        elif meant != key:
            known[meant] = value
            notes.warn(index, f"{path}.{key}: read as {meant}")
    return known, strange


def _read_window(row: dict[str, Any], path: str, index: int, notes: Notes) -> None:
    """A window written as text or with a fraction of zero is a number all the same."""
    window: Any = row.get("window")
    is_digits = isinstance(window, str) and re.fullmatch(r"\s*-?[0-9]{1,9}\s*", window)
    if not is_digits and not (isinstance(window, float) and window.is_integer()):
        return
    row["window"] = int(window)
    notes.warn(index, f"{path}.window: {window!r} was read as {row['window']}")


def _name(drafts: list[Draft], notes: Notes) -> None:
    taken: dict[str, Draft] = {}
    for draft in drafts:
        written = draft.row.get("name")
        if not isinstance(written, str):
            continue
        draft.written = written
        draft.name = names.agent_name(written)
        path = f"{draft.path}.name"
        if not draft.name:
            blank = "is empty" if not written.strip() else f"{names.clean(written)!r} has no letter a-z or digit"
            notes.error(draft.index, f"{path}: {blank}")
        elif other := taken.get(draft.name):
            was = "" if draft.name == written == other.written else f" (from {names.clean(written)!r})"
            notes.error(draft.index, f"{path}: {draft.name!r}{was} is already the name of {other.path}")
        else:
            taken[draft.name] = draft
            if draft.name != written:
                notes.warn(draft.index, f"{path}: {names.clean(written)[:80]!r} became {draft.name!r}")


def _number(drafts: list[Draft], notes: Notes) -> None:
    """Windows from 3 without gaps; in the order that was asked for, if every agent asked for another one."""
    wanted = {draft.index: draft.row.get("window") for draft in drafts}
    numbers = [number for number in wanted.values() if isinstance(number, int)]
    ordered = len(set(numbers)) == len(drafts)
    order = sorted(drafts, key=lambda draft: draft.row["window"]) if ordered else drafts
    for window, draft in enumerate(order, FIRST_AGENT_WINDOW):
        draft.window = window
        if wanted[draft.index] not in (None, window):
            notes.warn(draft.index, f"{draft.path}.window: {wanted[draft.index]} became {window}")


class _Directory:
    """Whom a reference means: by the name as written, as repaired, or by the window that was asked for."""

    def __init__(self, drafts: list[Draft]) -> None:
        self.names = list(dict.fromkeys(draft.name for draft in drafts if draft.name))
        self._guesses = _GUESSES
        self._by_text: dict[str, str] = {}
        windows: dict[int, list[str]] = {}
        for draft in drafts:
            for text in (draft.written, draft.name, names.slug(draft.written)):
                if text and draft.name:
                    self._by_text.setdefault(text, draft.name)
            window = draft.row.get("window")
            if isinstance(window, int) and draft.name:
                windows.setdefault(window, []).append(draft.name)
        self._by_window = {str(window): who[0] for window, who in windows.items() if len(who) == 1}

    def find(self, text: str) -> str | None:
        """The agent's name, None for nobody."""
        slug = names.slug(text)
        found = self._by_text.get(text) or self._by_text.get(slug)
        return found or self._by_window.get(text.strip()) or self._by_text.get(names.agent_name(text))

    def unknown(self, text: str) -> str:
        """The sentence on a name that nobody bears."""
        self._guesses -= 1
        close = difflib.get_close_matches(names.slug(text), self.names, n=1) if self._guesses >= 0 else []
        if close:
            return f"nobody is named {names.clean(text)[:60]!r}; did you mean {close[0]!r}?"
        team = ", ".join(self.names[:8]) + (", …" if len(self.names) > 8 else "")
        return f"nobody is named {names.clean(text)[:60]!r}; the team: {team or 'nobody'}"


def _refer(drafts: list[Draft], notes: Notes) -> None:
    directory = _Directory(drafts)
    for draft in drafts:
        for key in _REFERENCES:
            found: dict[str, int] = {}
            for place, text in draft.listed(key):
                path = f"{draft.path}.{key}[{place}]"
                for name in _meant(text, key, path, draft, directory, notes):
                    found.setdefault(name, place)
            draft.references[key] = found


def _meant(text: str, key: str, path: str, draft: Draft, directory: _Directory, notes: Notes) -> list[str]:
    """The names that one reference stands for; mother and person are receivers, never somebody to wait for."""
    special = names.slug(text)
    if key == "notifies" and special in (MOTHER, PERSON):
        return [special]
    if key == "notifies" and special == EVERYONE:
        notes.warn(draft.index, f"{path}: {text!r} became every other agent")
        return [name for name in directory.names if name != draft.name]
    name = directory.find(text)
    if name is None and special == MOTHER and key == "depends_on":
        notes.warn(draft.index, f"{path}: everybody depends on mother, ignored")
        return []
    if name is None and special in (MOTHER, PERSON):
        notes.error(draft.index, f"{path}: {special} is no agent of the team and never reports done")
        return []
    if name is None:
        notes.error(draft.index, f"{path}: {directory.unknown(text)}")
        return []
    if name == draft.name:
        notes.error(draft.index, f"{path}: {name!r} names itself")
        return []
    return [name]


def _find_cycles(drafts: list[Draft], notes: Notes) -> None:
    """Reports cycles that share no agent, one after the other, until none is left."""
    by_name = {draft.name: draft for draft in reversed(drafts) if draft.name}
    needs = {name: _needs(draft) for name, draft in by_name.items()}
    while cycle := _cycle(needs):
        first = min(range(len(cycle)), key=lambda place: by_name[cycle[place]].index)
        ring = [*cycle[first:], *cycle[:first]]
        draft = by_name[ring[0]]
        target = ring[1] if len(ring) > 1 else ring[0]
        key = next(key for key in ("wait_for", "depends_on") if target in draft.references[key])
        shown = " -> ".join([*ring, ring[0]])
        place = draft.references[key][target]
        notes.error(draft.index, f"{draft.path}.{key}[{place}]: cycle {shown}, each needs the next one first")
        needs = {name: others for name, others in needs.items() if name not in ring}


def _needs(draft: Draft) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*draft.references["wait_for"], *draft.references["depends_on"])))


def _cycle(needs: dict[str, tuple[str, ...]]) -> list[str]:
    """One cycle, each agent needing the next; empty when there is none."""
    inside = {name: [other for other in others if other in needs] for name, others in needs.items()}
    try:
        TopologicalSorter(inside).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))[:-1]
    return []


def _settle(drafts: list[Draft], notes: Notes) -> None:
    """Workspaces: the name when none is given; two agents in one is worth a warning."""
    settled: dict[str, Draft] = {}
    for draft in drafts:
        asked = draft.row.get("workspace")
        draft.workspace = draft.name
        if isinstance(asked, str) and asked.strip():
            try:
                draft.workspace = names.workspace(asked)
            except ValueError as error:
                notes.error(draft.index, f"{draft.path}.workspace: {names.clean(asked)[:80]!r} {error}")
                continue
        other = settled.setdefault(draft.workspace.casefold(), draft)
        if other is not draft and draft.workspace:
            notes.warn(draft.index, f"{draft.path}.workspace: {draft.workspace!r} is the workspace of {other.path} too")


def _check_texts(drafts: list[Draft], notes: Notes, providers: Collection[str] | None) -> None:
    for draft in drafts:
        role = draft.row.get("role")
        if isinstance(role, str) and not names.clean(role):
            notes.error(draft.index, f"{draft.path}.role: is empty")
        for key in ("provider", "model", "template"):
            text = _text(draft, key)
            if text and (wrong := _wrong_text(key, text, providers)):
                notes.error(draft.index, f"{draft.path}.{key}: {text[:60]!r} {wrong}")


def _text(draft: Draft, key: str) -> str | None:
    value = draft.row.get(key)
    text = names.clean(value) if isinstance(value, str) else ""
    return (text.lower() if key == "provider" else text) or None


def _wrong_text(key: str, text: str, providers: Collection[str] | None) -> str:
    """Why a word that ends up in a command line or file name will not do; "" when it will."""
    if key == "provider" and providers is not None and text not in providers:
        return f"is no provider; there are: {', '.join(sorted(providers))}"
    if key == "provider" and not _PROVIDER.fullmatch(text):
        return "is no provider's name"
    if text.startswith("-"):
        return "must not begin with -"
    if len(text) > _TEXT_LIMIT:
        return f"is {len(text)} characters, at most {_TEXT_LIMIT}"
    if key == "template" and ("/" in text or "\\" in text or text.startswith(".")):
        return "must be a plain name"
    return ""


def _agent(draft: Draft) -> AgentSpec:
    return AgentSpec(
        name=draft.name,
        role=names.clean(draft.row["role"]),
        window=draft.window,
        depends_on=tuple(draft.references["depends_on"]),
        wait_for=tuple(draft.references["wait_for"]),
        notifies=tuple(draft.references["notifies"]),
        provider=_text(draft, "provider"),
        model=_text(draft, "model"),
        workspace=draft.workspace,
        template=_text(draft, "template"),
    )
