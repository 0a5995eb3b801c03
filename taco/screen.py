"""Reads a captured screen by a provider's rules: what stands in the composer, which dialog is up. Pure.

A capture is the output of `tmux capture-pane -p -e`: one line per row, colours as SGR sequences whose
state runs on from row to row. The last match of a pattern counts, and what stands above the live
composer is history: a dialog quoted there is no dialog.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from taco.provider import Dialog, Screen, Waiting

# SGR, other CSI, OSC (hyperlinks since tmux 3.4), and the shifts around line-drawing characters
_ESCAPE = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\].*?(?:\x1b\\|\x07)|\x1b[()].|[\x0e\x0f]")
_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_FRAME = re.compile(r" *│\n *│ *")  # from one row in a frame to the next
_RESETS = re.compile(
    r"\b(?:resets(?:\sat)?|try\sagain\sat)\s"
    r"(?:(?P<day>[A-Z][a-z]{2} \d{1,2})(?:st|nd|rd|th)?, (?:(?P<year>\d{4}),? )?)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?(?P<half>[ap]m| [AP]M)(?: \(?(?P<zone>[A-Z][\w/+-]+)\)?)?"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one screen shows."""

    lines: tuple[str, ...]  # plain text of the rows, trailing blanks trimmed
    composer_row: int | None = None  # 0-based row where the live composer starts; None: not seen
    end_row: int | None = None  # row after the composer's last line
    draft: str = ""  # what stands in the composer without ghost text; rows joined by "\n"
    ghost: bool = False  # the composer shows only a suggestion
    placeholder: bool = False  # the draft is exactly what a long paste collapses to
    busy: bool = False
    waiting: str = ""  # name of the dialog that is up
    waiting_row: int = -1  # 0-based row where what shows it begins; -1: none is up
    queued: bool = False  # the CLI holds input until its turn ends
    answers: Mapping[str, str] = field(default_factory=dict)  # what its provider says that its keys answer
    limited: str = ""  # the text that says so
    error: str = ""  # what the last turn was refused with: one of provider.ERRORS
    error_text: str = ""
    refused: str = ""  # what a hook said that refused the last prompt
    retrying: bool = False  # the CLI tries again by itself
    exited: bool = False

    @property
    def rows(self) -> int:
        """How many rows the composer takes; 0 without one."""
        return (self.end_row or 0) - (self.composer_row or 0)

    @property
    def ready(self) -> bool:
        """Whether the composer is there, empty, and nothing stands over it."""
        return self.composer_row is not None and not self.draft and not self.waiting and not self.exited


def plain(capture: str) -> list[str]:
    """The rows of a capture without attributes; trailing spaces go, U+00A0 stays."""
    rows = _ESCAPE.sub("", capture).split("\n")
    if rows[-1] == "":
        rows.pop()
    return [row.rstrip(" ") for row in rows]


def read_screen(screen: Screen, capture: str, cursor_row: int | None = None) -> Reading:
    """What the capture shows by the rules of `screen`; without rules only its lines.

    `cursor_row` (0-based), where it is known, tells a live composer from a text that was just submitted.
    """
    lines = plain(capture)
    text = "\n".join(lines)
    composer = _composer(screen, text)
    below = _start_of_row(text, composer[1]) if composer else 0  # what stands above it is history
    exited = _last(screen.exited, text, below) is not None
    limited = _last(screen.limited, text, 0)
    error, error_text = ("", "") if exited else _error(screen, text)
    waiting, waiting_row = (None, -1) if exited else _dialog(screen.waiting, text, below)
    reading = Reading(
        tuple(lines),
        busy=not exited and _last(screen.busy, text, 0) is not None,
        queued=not exited and _last(screen.queued, text, 0) is not None,
        waiting=waiting.name if waiting else "",
        waiting_row=waiting_row,
        answers=waiting.answers if waiting else {},
        limited=_text_of(limited) if limited and not exited else "",
        error=error,
        error_text=error_text,
        refused=_refused(screen, text),
        retrying=not exited and _last(screen.retrying, text, 0) is not None,
        exited=exited,
    )
    if composer is None or exited:
        return reading
    row, end, *_ = composer
    if screen.cursor_inside and cursor_row is not None and not row <= cursor_row < end:
        return replace(reading, busy=not waiting)
    draft, ghost = _draft(screen, capture, composer)
    return replace(
        reading,
        composer_row=row,
        end_row=end,
        draft=draft,
        ghost=ghost,
        placeholder=_is_placeholder(screen.placeholder, draft),
    )


def first_dialog(dialogs: Sequence[Dialog], reading: Reading) -> Dialog | None:
    """Which dialog of the first start is up, if any; above a live composer stands only history."""
    found, _ = _dialog(dialogs, "\n".join(reading.lines[reading.end_row or 0 :]), 0)
    return next((dialog for dialog in dialogs if dialog is found), None)


def resets_at(limited: str, now: float) -> float | None:
    """When a limit ends, epoch seconds: of `… resets 1:51pm (UTC)`, `… resets Nov 23, 2pm (UTC)`, `… resets at 12:15
    AM UTC.`, `… try again at 10:26 PM.` or `… try again at Nov 23rd, 2026 2:00 PM.`

    A time without a date is the next one after `now`; None when the text names no time.
    """
    found = _RESETS.search(limited)
    if found is None:
        return None
    zone = _zone(found["zone"])
    today = datetime.fromtimestamp(now, zone)
    try:
        clock = datetime.strptime(f"{found['hour']}:{found['minute'] or '00'}{found['half'].strip()}", "%I:%M%p")
        year = found["year"] or today.year
        day = datetime.strptime(f"{found['day']} {year}", "%b %d %Y") if found["day"] else today
    except ValueError:
        return None
    at = day.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0, tzinfo=zone)
    if not found["day"] and at <= today:
        at += timedelta(days=1)
    return at.timestamp()


def _zone(name: str | None) -> tzinfo | None:
    """The zone of that name; the machine's own when it is unknown or not given."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None


def _text_of(found: re.Match[str]) -> str:
    """The group `text` of a match when its pattern has one, else all of it; without the frame around its rows."""
    text: str = found["text"] if "text" in found.re.groupindex else found[0]
    return _FRAME.sub(" ", text).strip()


def _error(screen: Screen, text: str) -> tuple[str, str]:
    """Name and text, on one line, of the error that the last turn ended with; ("", "") for none."""
    lowest, name, said = -1, "", ""
    for each in screen.errors:
        found = _last(each.match, text, 0)
        if found and found.end() > lowest:
            lowest, name, said = found.end(), each.name, " ".join(_text_of(found).split())
    return ("", "") if lowest < 0 or _last(screen.later, text, lowest) else (name, said)


def _refused(screen: Screen, text: str) -> str:
    """What a hook said that refused the last prompt, on one line; "" for none."""
    found = _last(screen.refused, text, 0)
    return " ".join(_text_of(found).split()) if found and not _last(screen.later, text, found.end()) else ""


def _last(pattern: str | None, text: str, start: int) -> re.Match[str] | None:
    """The last match at or after `start`."""
    if pattern is None:
        return None
    found = None
    for found in re.compile(pattern, re.MULTILINE).finditer(text, start):  # noqa: B007
        pass
    return found


def _dialog(waiting: Iterable[Waiting], text: str, start: int) -> tuple[Waiting | None, int]:
    """The dialog whose match ends lowest and its first row, or (None, -1); the first listed where two end alike."""
    lowest, dialog, row = -1, None, -1
    for each in waiting:
        found = _last(each.match, text, start)
        if found and found.end() > lowest:
            lowest, dialog, row = found.end(), each, text.count("\n", 0, found.start())
    return dialog, row


def _start_of_row(text: str, row: int) -> int:
    """Where a row begins in the joined text; its length when there is no such row."""
    at = 0
    for _ in range(row):
        at = text.find("\n", at) + 1
        if at == 0:
            return len(text)
    return at


def _composer(screen: Screen, text: str) -> tuple[int, int, int, int] | None:
    """Row, end row, first column of the draft, and width (0: the whole screen) of the composer that stands lowest.

    A composer whose end is not on the screen is none: an exited CLI leaves such lines behind. Rows are
    tried as they are and with a space behind, which `^> (?P<draft>.*)$` needs when nothing is typed.
    """
    padded = text.replace("\n", " \n") + " "
    found = [_place(match) for match in (_last(screen.composer, each, 0) for each in (text, padded)) if match]
    if not found:
        return None
    row, column = max(found)
    if screen.composer_end is None:
        return row, row + 1, column, 0
    end = re.compile(screen.composer_end, re.MULTILINE).search(text, _start_of_row(text, row + 1))
    if end is None:
        return None
    is_in_row = text[end.start() - 1 : end.start()] != "\n"  # the draft fills the screen to its last row
    width = len(end["width"]) if "width" in end.re.groupindex else 0
    return row, text.count("\n", 0, end.start()) + is_in_row, column, width


def _place(match: re.Match[str]) -> tuple[int, int]:
    """Row and column where the group `draft` of a match begins."""
    start = match.start("draft")
    return match.string.count("\n", 0, start), start - (match.string.rfind("\n", 0, start) + 1)


def _draft(screen: Screen, capture: str, composer: tuple[int, int, int, int]) -> tuple[str, bool]:
    """The text of the composer without its ghost, and whether there was only a ghost."""
    row, end, column, width = composer
    cells = [_cut(line, width) if width else line for line in _cells(capture, row, end)]
    shown = _joined(([char for char, _, _ in line] for line in cells), column, screen.continuation)
    if screen.ghost == "dim":
        draft = _joined(([char for char, seen in _typed(line) if seen] for line in cells), column, screen.continuation)
    else:
        draft = re.sub(screen.ghost, "", shown, flags=re.MULTILINE)
    if not draft.strip() and shown.strip():
        return "", True
    return draft, False


def _cut(line: list[tuple[str, bool, bool]], width: int) -> list[tuple[str, bool, bool]]:
    """What of a row stands in its first `width` columns: beside the composer there may be something else."""
    for at, (char, _, _) in enumerate(line):
        if width <= 0:
            return line[:at]
        joins = unicodedata.category(char) in ("Mn", "Me", "Cf")
        width -= 0 if joins else 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return line


def _joined(rows: Iterable[Sequence[str]], column: int, continuation: str | None) -> str:
    """Rows as one text: the prompt cut from the first, `continuation` or up to `column` spaces from the others."""
    texts = ["".join(row).rstrip(" ") for row in rows]
    first = texts[0][column:]
    if continuation is not None:
        rest = [re.sub(rf"\A(?:{continuation})", "", text) for text in texts[1:]]
    else:
        rest = [text[min(column, len(text) - len(text.lstrip(" "))) :] for text in texts[1:]]
    return "\n".join([first, *rest])


def _typed(line: Sequence[tuple[str, bool, bool]]) -> Iterable[tuple[str, bool]]:
    """Each character with whether somebody typed it.

    A ghost is dim, but its first character may be under the CLI's own cursor, which is drawn inverse.
    """
    for index, (char, dim, inverse) in enumerate(line):
        next_dim = index + 1 < len(line) and line[index + 1][1]
        yield char, not (dim or (inverse and next_dim))


def _cells(capture: str, row: int, end: int) -> list[list[tuple[str, bool, bool]]]:
    """The characters of rows `row` to `end` (exclusive), each with whether it is dim and inverse."""
    start = _start_of_row(capture, row)
    stop = _start_of_row(capture, end)
    dim = inverse = False
    reset = max(capture.rfind("\x1b[0", 0, start), 0)  # before it no attribute matters
    for sequence in _SGR.finditer(capture, reset, start):
        dim, inverse = _attributes(sequence[1], dim, inverse)
    cells: list[list[tuple[str, bool, bool]]] = []
    for line in capture[start:stop].removesuffix("\n").split("\n"):
        row_cells: list[tuple[str, bool, bool]] = []
        at = 0
        for sequence in _ESCAPE.finditer(line):
            row_cells += [(char, dim, inverse) for char in line[at : sequence.start()]]
            at = sequence.end()
            if style := _SGR.fullmatch(sequence[0]):
                dim, inverse = _attributes(style[1], dim, inverse)
        row_cells += [(char, dim, inverse) for char in line[at:]]
        cells.append(row_cells)
    return cells


def _attributes(codes: str, dim: bool, inverse: bool) -> tuple[bool, bool]:
    """Dim and inverse after one SGR sequence."""
    numbers = iter(codes.split(";"))
    for code in numbers:
        if code in ("", "0"):
            dim = inverse = False
        elif code == "2":
            dim = True
        elif code == "22":
            dim = False
        elif code in ("7", "27"):
            inverse = code == "7"
        elif code in ("38", "48", "58"):  # a colour: its own numbers are no attributes
            for _ in range({"5": 1, "2": 3}.get(next(numbers, ""), 0)):
                next(numbers, None)
    return dim, inverse


def _is_placeholder(pattern: str | None, draft: str) -> bool:
    if pattern is None or (found := re.match(pattern, draft.strip())) is None:
        return False
    rest = draft.strip()[found.end() :]
    return not rest or (not found[0].endswith("]") and re.fullmatch(r"[^\]\n]*\]", rest) is not None)
