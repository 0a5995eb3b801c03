"""From screens that a person captured of a CLI to a first provider file for it. Pure.

The name of a screen begins with the state that it shows: `idle`, `draft` (DRAFT stands in the composer), `busy`,
`waiting_<dialog>`, `limited`, `exited`. What one state shows and no other does becomes its pattern.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence

from taco.classify import classify
from taco.provider import Provider, parse_provider
from taco.screen import plain

DRAFT = "a draft of mine"
STATES = ("idle", "draft", "busy", "waiting", "limited", "exited")
_RULE = re.compile(r"\s*([─━═_-])\1{9,}")
_WORD = re.compile(r"[^\W\d_]{2,}")
_DIM = re.compile(r"\x1b\[(?:\d*;)*2m")
_META = re.compile(r"([\\.^$*+?{}\[\]|()])")


def state_of(name: str) -> str:
    """The state that a screen of this name shows; "" when the name does not say."""
    first = re.split(r"[-_]", name, maxsplit=1)[0]
    return first if first in STATES else ""


def propose(name: str, command: Sequence[str], screens: Mapping[str, str]) -> str:
    """The text of a provider file for `command`; `screens` are captures (`capture-pane -p -e`) by their names.

    What cannot be told from them stands there as a comment that says which screen is missing.
    """
    rows = {each: plain(capture) for each, capture in screens.items()}
    lines = [f'name = "{name}"', f"command = [{', '.join(map(_quoted, command))}]", 'first_prompt = "paste"']
    lines += ['evidence = ["screen"]', "queues_when_busy = false", "", "[screen]", *_composer(rows, screens)]
    for state in ("busy", "limited", "exited"):
        found = _only_in(state, rows)
        lines.append(f"{state} = {_quoted(found)}" if found else f"# {state}: capture {name} {state}")
    dialogs = sorted({each.split("-")[0] for each in rows if state_of(each) == "waiting"})
    waiting = [(dialog.partition("_")[2] or "dialog", _only_in(dialog, rows)) for dialog in dialogs]
    entries = [f"  {{ name = {_quoted(dialog)}, match = {_quoted(found)} }}," for dialog, found in waiting if found]
    lines += ["waiting = [", *entries, "]"] if entries else [f"# waiting: capture {name} waiting_permission"]
    return "\n".join(lines) + "\n"


def verdicts(text: str, screens: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """For each screen the state that it is meant to show and the one that the provider file `text` reads in it."""
    provider = _parsed(text)
    wanted = {name: state_of(name) for name in screens}
    return {
        name: ("idle" if wanted[name] == "draft" else wanted[name], classify(provider, capture).state)
        for name, capture in screens.items()
    }


def _parsed(text: str) -> Provider:
    return parse_provider(tomllib.loads(text), "the proposal")


def _composer(rows: Mapping[str, Sequence[str]], screens: Mapping[str, str]) -> list[str]:
    """The keys that tell where a person types."""
    drafts = [name for name in rows if state_of(name) == "draft"]
    found = next(((name, at) for name in drafts for at in _rows_with(rows[name], DRAFT)), None)
    if found is None:
        return [f"# composer: type “{DRAFT}” in it, then capture the state draft"]
    name, at = found
    prompt = rows[name][at].partition(DRAFT)[0]
    if not prompt.strip():
        return ["# composer: nothing stands before the draft: without a prompt TACO cannot tell where one types"]
    lines = [f"composer = {_quoted('^' + _literal(prompt) + '(?P<draft>.*)$')}"]
    below = rows[name][at + 1] if at + 1 < len(rows[name]) else ""
    if rule := _RULE.match(below):
        lines.append(f"composer_end = {_quoted('^' + _literal(below[: rule.start(1)]) + _literal(rule[1]) + '{10,}')}")
    if ghost := _ghost(prompt, rows, screens):
        lines.append(ghost)
    return lines


def _ghost(prompt: str, rows: Mapping[str, Sequence[str]], screens: Mapping[str, str]) -> str:
    """What an empty composer suggests: nothing to say where that is dim, as TACO takes it to be."""
    for name in rows:
        if state_of(name) != "idle":
            continue
        for at, row in enumerate(rows[name]):
            rest = row.removeprefix(prompt).strip() if row.startswith(prompt) else ""
            if rest and not _DIM.search(screens[name].split("\n")[at]):
                return f"ghost = {_quoted('^' + _literal(rest) + '$')}"
    return ""


def _rows_with(rows: Sequence[str], text: str) -> list[int]:
    """Rows in which `text` stands, the lowest first."""
    return [at for at in range(len(rows) - 1, -1, -1) if text in rows[at]]


def _only_in(state: str, rows: Mapping[str, Sequence[str]]) -> str:
    """A pattern of the lowest row that all screens of `state` have and no other; "" for none."""
    ours = [name for name in rows if name == state or name.startswith((f"{state}-", f"{state}_"))]
    if not ours:
        return ""
    others = "\n".join("\n".join(rows[name]) for name in rows if name not in ours)
    for row in reversed(rows[ours[0]]):  # what stands above a composer counts as history
        text = row.strip()
        if not _WORD.search(text):
            continue
        pattern = re.sub(r"\d+", lambda _: r"\d+", _literal(text))
        if all(re.search(pattern, "\n".join(rows[name])) for name in ours) and not re.search(pattern, others):
            return pattern
    return ""


def _literal(text: str) -> str:
    """A pattern of exactly this text, as a person would write it: only what means something else is escaped."""
    return _META.sub(r"\\\1", text)


def _quoted(text: str) -> str:
    """A string of TOML that needs no escapes where that can be."""
    if "'" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
