"""The answers to choose from, at a dialog or a question, and which of them words mean. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ESCAPE = "Escape"
_YES = re.compile(r"(?:yes|approve|allow|accept|proceed)\b", re.IGNORECASE)
_NO = re.compile(r"(?:no|deny|reject|cancel|decline|keep planning)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Option:
    """One answer that a dialog offers: the key that gives it, and its words."""

    key: str
    label: str

    def __str__(self) -> str:
        return f"{self.key}. {self.label}"


def strokes(key: str) -> tuple[str, ...]:
    """What is pressed to give the answer of this key: a letter is typed into a line, which Enter ends."""
    return (key, "Enter") if key.isalpha() and len(key) == 1 else (key,)


def options_from(choices: Sequence[str]) -> tuple[Option, ...]:
    """The options behind `<key>. <label>` (digit, letter, Enter, Escape), or behind bare labels, which are numbered."""
    known = [re.fullmatch(r"([1-9a-z]|Enter|Escape)\. (.+)", each, re.DOTALL) for each in choices]
    if all(known):
        return tuple(Option(each[1], each[2]) for each in known if each)
    return tuple(Option(str(number), each) for number, each in enumerate(choices, 1))


def choose(options: Sequence[Option], words: str) -> Option | None:
    """The option that `words` name: its key, its label, or the beginning of one label only."""
    wanted = words.strip().casefold()
    for each in options:
        if wanted in (each.key, each.label.casefold(), str(each).casefold()):
            return each
    begins = [each for each in options if wanted and each.label.casefold().startswith(wanted)]
    return begins[0] if len(begins) == 1 else None


def yes(options: Sequence[Option]) -> Option | None:
    """The option that says yes this one time: the first of those that do, as CLIs list them."""
    return next((each for each in options if _YES.match(each.label)), None)


def no(options: Sequence[Option]) -> Option | None:
    """The option that says no."""
    return next((each for each in options if _NO.match(each.label)), None)
