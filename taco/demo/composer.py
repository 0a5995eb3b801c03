"""The composer: a draft of several lines with a cursor, and how it looks. Pure."""

from __future__ import annotations

from typing import NamedTuple

from taco.demo.cells import TAB, hard_wrap, printable, width
from taco.demo.keys import Key

PROMPT = "> "
INDENT = "  "


class Unit(NamedTuple):
    """What the cursor steps over: a character, or a whole paste that shows as a placeholder."""

    text: str
    shown: str


class Rows(NamedTuple):
    """A drawn composer: its rows without styles, and where the cursor stands in them."""

    rows: list[str]
    row: int
    column: int


def _room(columns: int) -> int:
    """Cells of a row for text; one stays free for the cursor at the end of a full row."""
    return max(columns - len(PROMPT) - 1, 2)


def _unit(char: str) -> Unit:
    return Unit(char, TAB if char == "\t" else printable(char))


class Composer:
    """A draft that keys edit; pastes over `paste_lines` or `paste_chars`, and those that do
    not fit on the screen, collapse to a placeholder."""

    def __init__(self, paste_lines: int = 8, paste_chars: int = 1_000) -> None:
        self._units: list[Unit] = []
        self._at = 0
        self._pastes = 0
        self._paste_lines = paste_lines
        self._paste_chars = paste_chars
        self._shape = (80, 20)  # columns and rows of the last drawing

    @property
    def text(self) -> str:
        """The draft as it would be submitted."""
        return "".join(unit.text for unit in self._units)

    def clear(self) -> None:
        """Throw the draft away."""
        self._units = []
        self._at = 0

    def take(self) -> str:
        """The draft, which is gone from the composer then."""
        text = self.text
        self.clear()
        return text

    def insert(self, text: str) -> None:
        """Put typed text before the cursor."""
        self._put([_unit(char) for char in text])

    def paste(self, text: str) -> None:
        """Put pasted text before the cursor; a long one is one unit that shows as a placeholder."""
        lines = text.count("\n") + 1
        if lines <= self._paste_lines and len(text) <= self._paste_chars and self._fits(text):
            self.insert(text)
            return
        self._pastes += 1
        size = f"+{lines - 1} lines" if lines > 1 else f"{len(text)} chars"
        self._put([Unit(text, f"[Pasted text #{self._pastes} {size}]")])

    def _fits(self, text: str) -> bool:
        columns, limit = self._shape
        return sum(len(hard_wrap(line, _room(columns))) for line in text.split("\n")) <= limit

    def _put(self, units: list[Unit]) -> None:
        self._units[self._at : self._at] = units
        self._at += len(units)

    def press(self, key: Key) -> bool:
        """Edit the draft as `key` says; False when the key means nothing to a composer."""
        if key.name == "text":
            self.insert(key.text)
        elif key.name == "paste":
            self.paste(key.text)
        elif key.name == "newline":
            self.insert("\n")
        elif key.name in _EDITS:
            _EDITS[key.name](self)
        else:
            return False
        return True

    def _cut(self, start: int, end: int) -> None:
        start = max(start, 0)
        del self._units[start:end]
        self._at = start

    def _line_start(self, at: int) -> int:
        while at > 0 and self._units[at - 1].text != "\n":
            at -= 1
        return at

    def _line_end(self, at: int) -> int:
        while at < len(self._units) and self._units[at].text != "\n":
            at += 1
        return at

    def _word_start(self) -> int:
        at = self._at
        while at > 0 and self._units[at - 1].text.isspace():
            at -= 1
        while at > 0 and not self._units[at - 1].text.isspace():
            at -= 1
        return at

    def _up(self) -> None:
        start = self._line_start(self._at)
        if start > 0:
            above = self._line_start(start - 1)
            self._at = min(above + self._at - start, start - 1)

    def _down(self) -> None:
        end = self._line_end(self._at)
        if end < len(self._units):
            column = self._at - self._line_start(self._at)
            self._at = min(end + 1 + column, self._line_end(end + 1))

    def _move(self, by: int) -> None:
        self._at = min(max(self._at + by, 0), len(self._units))

    def draw(self, columns: int, limit: int) -> Rows:
        """The composer as rows of at most `columns` cells; of more than `limit` rows those at the cursor."""
        self._shape = (columns, limit)
        room = _room(columns)
        rows, used, row, column = [""], 0, 0, 0
        for index, unit in enumerate(self._units):
            if index == self._at:
                row, column = len(rows) - 1, used
            if unit.text == "\n":
                rows.append("")
                used = 0
                continue
            for char in unit.shown:
                if used + width(char) > room:
                    rows.append("")
                    used = 0
                rows[-1] += char
                used += width(char)
        if self._at == len(self._units):
            row, column = len(rows) - 1, used
        first = min(max(row - limit + 1, 0), max(len(rows) - limit, 0))
        shown = rows[first : first + limit]
        drawn = [(PROMPT if index == 0 else INDENT) + text for index, text in enumerate(shown)]
        return Rows(drawn, row - first, column + len(PROMPT))


_EDITS = {
    "backspace": lambda c: c._cut(c._at - 1, c._at),
    "delete": lambda c: c._units.__delitem__(slice(c._at, c._at + 1)),
    "ctrl-u": lambda c: c._cut(0, c._at),
    "ctrl-k": lambda c: c._cut(c._at, c._line_end(c._at)),
    "ctrl-w": lambda c: c._cut(c._word_start(), c._at),
    "left": lambda c: c._move(-1),
    "right": lambda c: c._move(1),
    "home": lambda c: setattr(c, "_at", c._line_start(c._at)),
    "end": lambda c: setattr(c, "_at", c._line_end(c._at)),
    "up": Composer._up,
    "down": Composer._down,
}
