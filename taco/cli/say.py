"""How commands talk: data to stdout, talk to stderr, colours only where a person sees them. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from taco.errors import SpecError, TacoError

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
GAP = "  "
LEAST_CELL = 10  # columns that a wide cell keeps
LONGEST_CELL = 20_000  # characters of what somebody wrote that a table looks at: twice what it ever shows


def coloured(stream: TextIO) -> bool:
    """Whether colours go to `stream`: a terminal, and neither NO_COLOR nor TERM=dumb says otherwise."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in a style such as "bold red", or as it is where colours do not belong."""
    if not text or not style or not coloured(stream or sys.stdout):
        return text
    return f"\x1b[{';'.join(_CODES[word] for word in style.split())}m{text}\x1b[0m"


def clean(text: object) -> str:
    """What an agent wrote on one line, without control characters: a terminal would obey them."""
    line = " ".join(str(text).split())
    return "".join(each for each in line if unicodedata.category(each) not in ("Cc", "Cf", "Cs"))


def out(text: str = "") -> None:
    """One line of data."""
    print(text)


def note(text: str) -> None:
    """One line of talk."""
    print(text, file=sys.stderr)


def warn(text: str) -> None:
    """One line of talk that should be seen."""
    print(f"{paint('warning:', 'bold yellow', sys.stderr)} {text}", file=sys.stderr)


def data(value: Any) -> None:
    """A value as JSON: indented for a person, on one line for a program."""
    print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None), flush=True)


def problem(error: TacoError, *, as_json: bool) -> int:
    """Tell what went wrong and return the exit code: `error: what — hint`, and as JSON on stdout when asked."""
    sys.stdout.flush()
    errors = error.errors if isinstance(error, SpecError) else [error.message]
    for what in errors:
        hint = f" — {clean(error.hint)}" if error.hint and what is errors[-1] else ""
        label = paint("error:", "bold red", sys.stderr)
        print(f"{label} {clean(what)}{paint(hint, 'dim', sys.stderr)}", file=sys.stderr)
    if as_json:
        found = {"code": error.code, "message": error.message, "hint": error.hint or None}
        data({"error": found | ({"errors": errors} if isinstance(error, SpecError) else {})})
    return int(error.exit)


def width(text: str) -> int:
    """How many columns a text takes on a terminal."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) > 0 for each in text)


def cut(text: str, columns: int) -> str:
    """`text` in at most `columns` columns, with an ellipsis where something is left out."""
    if width(text) <= columns:
        return text
    room = columns - 1
    for at, each in enumerate(text):
        room -= width(each)
        if room < 0:
            return text[:at].rstrip() + "…"
    return text


def columns() -> int:
    """The width that tables may take: the terminal's, or any where no person reads."""
    if not sys.stdout.isatty():
        return 10_000
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80


def table(
    heads: Sequence[str], rows: Iterable[Sequence[object]], *, styles: Mapping[int, Any] | None = None, right: str = ""
) -> None:
    """Aligned columns under `heads`, cut to the terminal: the last column first, then the widest ones.

    `styles` maps a column to a style or to a function from its text to one; `right` names columns that hold numbers.
    """
    cells = [[clean(str(each)[:LONGEST_CELL]) for each in row] for row in rows]
    widths = [max(width(head), *(width(row[at]) for row in cells), 0) for at, head in enumerate(heads)]
    if len(heads) > 1:
        _narrow(widths, columns() - len(GAP) * (len(heads) - 1))
    aligned_right = {at for at, head in enumerate(heads) if head in right.split()}
    print(paint(_row(heads, widths, aligned_right), "dim"))
    for row in cells:
        print(_row(row, widths, aligned_right, styles or {}))


def _narrow(widths: list[int], room: int) -> None:
    """Cut the last column, then the widest ones, until all fit into `room` columns, or none can give more."""
    last = len(widths) - 1
    widths[last] = min(widths[last], max(LEAST_CELL, room - sum(widths[:last])))
    while sum(widths) > room and max(widths) > LEAST_CELL:
        widths[widths.index(max(widths))] -= 1


def _row(cells: Sequence[str], widths: Sequence[int], right: set[int], styles: Mapping[int, Any] | None = None) -> str:
    parts = []
    for at, (cell, size) in enumerate(zip(cells, widths, strict=True)):
        text = cut(cell, size)
        fill = " " * (size - width(text))
        style = (styles or {}).get(at, "")
        text = paint(text, style(cell) if callable(style) else style)
        parts.append(fill + text if at in right else text + fill)
    return GAP.join(parts).rstrip()


def duration(seconds: float) -> str:
    """A span of time for people: `4s`, `3m 20s`, `2h 34m`, `5d 1h`."""
    total = max(0, int(seconds))
    for size, unit, rest, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if total >= size:
            part = total % size // rest
            return f"{total // size}{unit} {part}{small}" if part else f"{total // size}{unit}"
    return f"{total}s"


def ago(moment: str, now: float | None = None) -> str:
    """How long an ISO time is past, for people; "" for none."""
    if not moment:
        return ""
    from taco.models import from_iso

    try:
        return duration((time.time() if now is None else now) - from_iso(moment))
    except ValueError:
        return moment


def clock(moment: str) -> str:
    """The local time of day of an ISO time."""
    from taco.models import from_iso

    try:
        return time.strftime("%H:%M:%S", time.localtime(from_iso(moment)))
    except ValueError:
        return moment
