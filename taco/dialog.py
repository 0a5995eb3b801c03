"""An open dialog as a screen shows it: what it says, which answers it takes, and how it is known again. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from taco.choices import Option
from taco.message import squash
from taco.screen import Reading

MOST_ROWS = 60  # of a dialog, from its end: more is not compared
_RULE = re.compile(r"^\s*[─━═]{12,}")
_LINES = re.compile(r"[─━═╌┄│╭╮╰╯]")
_FRAME = re.compile(r"^[\s─━═╌┄│┃╭╮╰╯]*$")
_EDGE = " \u00a0│┃"  # of a row
_BESIDE = re.compile(r"(?<=┃) {20,}\S.*$")  # an empty row of a box, and what stands to the right of that
_OPTION = re.compile(r"^(?P<mark>[ \u00a0│┃❯›>●○*]{0,6})(?P<key>[1-9])[.)] {1,2}(?P<label>\S.*?)[ │]*$")
_MARK = re.compile(r"^[ \u00a0❯›>]*")  # what shows where the cursor is: it may move, the dialog stays the same
_LETTERS = re.compile(r"(?:\([A-Z]\)[a-z' ]+/?\s*){2,}(?=\[\w+\]:\s*\Z)")  # (Y)es/(N)o [Yes]: as a line-based CLI asks
_LETTER = re.compile(r"\(([A-Z])\)([a-z' ]+)")
_BOX = re.compile(r"\[[ x✔✓]\]|[◻◼☐☑☒]")


@dataclass(frozen=True, slots=True)
class OpenDialog:
    """A dialog on a screen: `rows` from `first_row` (0-based) to its last, as they stand there."""

    name: str
    first_row: int
    rows: tuple[str, ...]
    options: tuple[Option, ...]

    @property
    def _own_rows(self) -> list[str]:
        return [_BESIDE.sub("", row) for row in self.rows]

    @property
    def fingerprint(self) -> str:
        """The same for the same dialog: wherever it stands, however wide the screen is, whichever answer is marked."""
        said = _LINES.sub("", squash("".join(_MARK.sub("", row) for row in self._own_rows)))
        return hashlib.sha256(f"{self.name}\n{said}".encode()).hexdigest()[:16]

    @property
    def text(self) -> str:
        """What it says before its answers, without frames and blank rows at the ends."""
        listed = any(option.key.isdigit() for option in self.options)
        rows = self._own_rows
        first = next((at for at, row in enumerate(rows) if listed and _OPTION.match(row)), len(rows))
        kept = [row.strip(_EDGE) for row in rows[:first] if not row.strip() or not _FRAME.match(row)]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")


def open_dialog(reading: Reading) -> OpenDialog | None:
    """The dialog that `reading` found to be up; None for none.

    It begins below the last rule above its first answer; without a rule, with the block of rows that it stands in.
    """
    if not reading.waiting:
        return None
    rows = reading.lines
    last = max((at for at, row in enumerate(rows) if row.strip()), default=0)
    first_option, options = _options(rows)
    if reading.answers:  # what else begins with a digit is only shown in it
        first_option = len(rows)
        options = tuple(Option(key, label) for key, label in reading.answers.items())
    elif not options and (options := _lettered(rows[max(0, last - 1) : last + 1])):
        first_option = last
    start = _start(rows, min(first_option, reading.waiting_row))
    start = max(start, last + 1 - MOST_ROWS)
    return OpenDialog(reading.waiting, start, tuple(rows[start : last + 1]), options)


def _options(rows: Sequence[str]) -> tuple[int, tuple[Option, ...]]:
    """The lowest run of rows that count up from 1: where it begins, and the answers, of which a key gives one.

    None of them is marked in a list that is only to be read; in one with boxes a key marks one of several.
    """
    run: list[tuple[int, Option]] = []
    marked = boxed = False
    for at, row in enumerate(rows):
        found = _OPTION.match(row)
        if not found:
            continue
        if found["key"] == "1":
            run, marked, boxed = [], False, False
        if int(found["key"]) == len(run) + 1:
            run.append((at, Option(found["key"], found["label"].strip())))
            marked = marked or bool(found["mark"].strip(" \u00a0│"))
            boxed = boxed or bool(_BOX.match(found["label"]))
    begin = run[0][0] if run else len(rows)
    return begin, tuple(option for _, option in run) if marked and not boxed else ()


def _lettered(rows: Sequence[str]) -> tuple[Option, ...]:
    """The answers of a question that ends in its letters, in the last rows of a dialog."""
    found = _LETTERS.search("\n".join(rows))
    text = found[0].replace("\n", "") if found else ""
    return tuple(Option(key.lower(), f"{key}{rest.strip()}") for key, rest in _LETTER.findall(text))


def _start(rows: Sequence[str], below: int) -> int:
    """The row where the dialog that holds row `below` begins."""
    for at in range(below, -1, -1):
        if _RULE.match(rows[at]):
            return at + 1
    at = below
    while at > 0 and rows[at - 1].strip():
        at -= 1
    return at
