"""Draws the demo agent inline in a terminal: history that scrolls up, and below it the composer."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
import tty
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from taco.demo.cells import hard_wrap, printable, wrap
from taco.demo.composer import Rows

BORDER = "─"
ANSWER = "● "
PROMPT = "» "
INDENT = "  "
_DIM, _CYAN, _GREEN, _PLAIN = "\x1b[2m", "\x1b[36m", "\x1b[32m", "\x1b[0m"
_PASTE_ON, _PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"
# Without auto-wrap a character whose width the terminal sees differently cannot shift the rows below.
_WRAP_OFF, _WRAP_ON = "\x1b[?7l", "\x1b[?7h"


class Entry(NamedTuple):
    """One piece of history: `answer`, `prompt`, `code` (no mark) or `note` (dim)."""

    kind: str
    text: str

    def rows(self, columns: int) -> list[str]:
        """The rows of the entry, with styles, at most `columns` cells wide."""
        room = max(columns - len(INDENT), 4)
        lines = [row for line in printable(self.text).split("\n") for row in wrap(line, room)]
        first = {"answer": f"{_GREEN}{ANSWER}{_PLAIN}", "prompt": f"{_CYAN}{PROMPT}"}.get(self.kind, INDENT)
        style = {"prompt": _CYAN, "note": _DIM}.get(self.kind, "")
        marks = [first, *[INDENT] * (len(lines) - 1)]
        rows = [f"{mark}{style}{line}{_PLAIN if style else ''}" for mark, line in zip(marks, lines, strict=True)]
        return ["", *rows] if self.kind == "prompt" else rows


class View:
    """A terminal in raw mode; use as a context, which gives it back as it was."""

    def __init__(self, keyboard: int, screen: int) -> None:
        """File descriptors of a terminal to read keys from and to draw on."""
        self._keyboard = keyboard
        self._screen = screen
        self._history: deque[Entry] = deque(maxlen=400)
        self._fresh: list[Entry] = []
        self._cursor_row = 0  # of the drawn area, counted from its first row
        self._before: list[Any] = []
        self.columns, self.lines = 80, 24

    def __enter__(self) -> View:
        self._before = termios.tcgetattr(self._keyboard)
        tty.setraw(self._keyboard, termios.TCSANOW)
        self._measure()
        self._write(_PASTE_ON)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
            self._write(_PASTE_OFF)
            termios.tcsetattr(self._keyboard, termios.TCSANOW, self._before)

    def _measure(self) -> bool:
        packed = fcntl.ioctl(self._screen, termios.TIOCGWINSZ, b"\0" * 8)
        lines, columns, _, _ = struct.unpack("HHHH", packed)
        before = (self.columns, self.lines)
        self.columns, self.lines = columns or 80, lines or 24
        return before != (self.columns, self.lines)

    def add(self, kind: str, text: str) -> None:
        """More history, shown by the next `draw`."""
        self._fresh.append(Entry(kind, text))

    def draw(self, body: Callable[[int, int], Rows], status: str) -> None:
        """Write new history and, below it, `body(columns, rows at most)` between borders, and a status line."""
        resized = self._measure()
        # Four rows are not the body's: two borders, the status line and one of history.
        drawn = body(self.columns, max(self.lines - 4, 1))
        fresh, self._fresh = self._fresh, []
        self._history.extend(fresh)
        if resized:
            self._paint("\x1b[H\x1b[2J", self._tail(self.lines - len(drawn.rows) - 3), drawn, status)
            return
        above = [row for entry in fresh for row in entry.rows(self.columns)]
        self._paint(f"\x1b[{self._cursor_row}A" if self._cursor_row else "", above, drawn, status)

    def _tail(self, room: int) -> list[str]:
        rows: list[str] = []
        for entry in reversed(self._history):
            rows[:0] = entry.rows(self.columns)
            if len(rows) >= room:
                return rows[len(rows) - room :]
        return rows

    def leave(self, text: str) -> None:
        """Replace the composer by a last line, and end below it."""
        up = f"\x1b[{self._cursor_row}A" if self._cursor_row else ""
        self._write(f"{up}\r\x1b[J{text}\r\n")

    def _paint(self, start: str, above: Sequence[str], body: Rows, status: str) -> None:
        border = f"{_DIM}{BORDER * self.columns}{_PLAIN}"
        footer = f"{_DIM}{hard_wrap(INDENT + status, self.columns - 1)[0]}{_PLAIN}"
        area = [border, *body.rows, border, footer]
        # Erased before it is written: behind a row that fills the line, erasing would take its last cell.
        rows = "\r\n".join(f"\x1b[K{row}" for row in [*above, *area])
        row = body.row + 1
        back = f"\x1b[J\x1b[{len(area) - 1 - row}A\r\x1b[{body.column}C"
        self._cursor_row = row
        self._write(f"{_WRAP_OFF}{start}\r{rows}{back}{_WRAP_ON}")

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._screen, data) :]
