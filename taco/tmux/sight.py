"""From a reading of the screen to what a guard must find unchanged."""

from __future__ import annotations

import re

from taco.dialog import OpenDialog
from taco.message import literal
from taco.provider import Provider
from taco.screen import Reading
from taco.tmux.guard import Seen, first_match

_PLAIN = re.compile(r"[A-Za-z0-9 ]{6,}(?![A-Za-z0-9 ]*[?*{+])")
_GROUP = re.compile(r"\([^()]*\)")
_ESCAPED = re.compile(r"\\(.)")


def fragments(pattern: str) -> list[str]:
    """For each alternative of a pattern its longest run of plain characters; none where there is no run of 6.

    What a dialog's pattern needs is on the screen whenever the dialog is, so it is what the guard can look for.
    """
    found = []
    for alternative in _alternatives(pattern):
        plain = re.sub(r"\[[^\]]*\]", "\0", _ESCAPED.sub(_unescaped, alternative))
        while _GROUP.search(plain):
            plain = _GROUP.sub("\0", plain)
        runs = [run.strip() for run in _PLAIN.findall(plain)]
        if runs and len(longest := max(runs, key=len)) >= 6:
            found.append(longest)
    return found


def _unescaped(found: re.Match[str]) -> str:
    return "\0" if found[1].isalnum() else "."


def _alternatives(pattern: str) -> list[str]:
    """The pattern cut at every `|` that stands outside of groups and classes."""
    parts, depth, start, skip, in_class = [], 0, 0, False, False
    for at, each in enumerate(pattern):
        if skip:
            skip = False
        elif each == "\\":
            skip = True
        elif in_class:
            in_class = each != "]"
        elif each == "[":
            in_class = True
        elif each in "()":
            depth += 1 if each == "(" else -1
        elif each == "|" and depth == 0:
            parts.append(pattern[start:at])
            start = at + 1
    return [*parts, pattern[start:]]


def dialog_pattern(provider: Provider) -> str:
    """One expression for every dialog of a provider that has a plain fragment; "" when none has."""
    waiting = [*provider.screen.waiting, *provider.dialogs]
    return "|".join(dict.fromkeys(part for each in waiting for part in fragments(each.match)))


def seen_empty(provider: Provider, reading: Reading, cursor: tuple[int, int]) -> Seen:
    """What must not have changed for text to be typed into the empty composer that `reading` shows."""
    if reading.composer_row is None:
        return Seen(_dialogs(provider, reading))
    pattern = f"^{literal(reading.lines[reading.composer_row])}$"
    lines = {"composer": (pattern, first_match(reading.lines, pattern)), **_dialogs(provider, reading)}
    return Seen(lines, _cursor_in_composer(reading, cursor))


def seen_text(provider: Provider, reading: Reading, cursor: tuple[int, int]) -> Seen:
    """What must not have changed for Enter to be pressed: head and tail of the text that `reading` shows."""
    if reading.composer_row is None or reading.end_row is None:
        return Seen(_dialogs(provider, reading))
    rows = reading.lines[reading.composer_row : reading.end_row]
    head = f"^{literal(rows[0])}"
    tail = f"{literal(_last_text(rows))}$"
    lines = {
        "head": (head, first_match(reading.lines, head)),
        "tail": (tail, first_match(reading.lines, tail)),
        **_dialogs(provider, reading),
    }
    return Seen(lines, _cursor_in_composer(reading, cursor))


def seen_dialog(reading: Reading, dialog: OpenDialog) -> Seen:
    """What must not have changed for a key to be pressed at the dialog that `reading` shows: every row of it."""
    patterns = {
        f"row {dialog.first_row + at + 1}": f"^{literal(row)}$" for at, row in enumerate(dialog.rows) if row.strip()
    }
    return Seen({name: (each, first_match(reading.lines, each)) for name, each in patterns.items()})


def _last_text(rows: tuple[str, ...]) -> str:
    return next((row for row in reversed(rows) if row.strip()), rows[0])


def _dialogs(provider: Provider, reading: Reading) -> dict[str, tuple[str, int]]:
    pattern = dialog_pattern(provider)
    return {"dialog": (pattern, first_match(reading.lines, pattern))} if pattern else {}


def _cursor_in_composer(reading: Reading, cursor: tuple[int, int]) -> tuple[int, int] | None:
    """The cursor where the program keeps it in the composer: it tells of rows that the patterns cannot see."""
    if reading.composer_row is None or reading.end_row is None:
        return None
    return cursor if reading.composer_row <= cursor[1] < max(reading.end_row, reading.composer_row + 1) else None
