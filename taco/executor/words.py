"""What a guard's refusal means, in words for people."""

from __future__ import annotations

from collections.abc import Iterable

_BECAUSE = {
    "dialog": "a dialog is open",
    "composer": "somebody is typing",
    "head": "somebody is typing",
    "tail": "somebody is typing",
    "cursor": "somebody is typing",
    "synchronized": "its panes are synchronized",
    "input": "its input is off",
    "mode": "copy-mode is on",
    "dead": "exited",
    "pid": "another process runs in its pane",
    "identity": "its pane belongs to somebody else",
    "record": "it was typed before",
    "executor": "another executor delivers",
}


def because(refused: Iterable[str]) -> str:
    """The names of clauses that did not hold, as one reason."""
    return ", ".join(dict.fromkeys(_BECAUSE.get(name, name) for name in refused)) or "the screen changed"
