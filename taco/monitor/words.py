"""Text for the monitor: cleaned, cut, wrapped, counted. Pure."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

from taco.models import from_iso

LONGEST = 2_000  # characters of one text that are looked at
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")
_BREAKS = re.compile(r"\s*[\t-\r\x85\u2028\u2029]\s*")
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAGS = range(0x1F1E6, 0x1F200)


def clean(text: str) -> str:
    """One line without control characters, whose width every terminal counts the same.

    Joined emoji come apart, flags become letters: tmux and rich disagree about their width.
    """
    if text.isascii() and text.isprintable():
        return text
    return _clean(text[:LONGEST])


@lru_cache(1024)
def _clean(text: str) -> str:
    plain = _BREAKS.sub(" ", unicodedata.normalize("NFC", _ESCAPES.sub("", text)))
    return "".join(map(_plain_character, plain))


def _plain_character(character: str) -> str:
    code = ord(character)
    if code in _SKIN_TONES or 0xFE00 <= code <= 0xFE0F:
        return ""
    if code in _FLAGS:
        return chr(code - _FLAGS.start + ord("A"))
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") else character


def cut(text: str, width: int) -> str:
    """At most `width` cells of a clean text; what was cut ends in an ellipsis."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def wrap(text: str, width: int, rows: int) -> list[str]:
    """A clean text broken at spaces into at most `rows` lines of `width` cells, the last one cut."""
    lines: list[str] = []
    rest = text
    while rest and len(lines) < rows - 1 and cell_len(rest) > width:
        head = set_cell_size(rest, width).rstrip()
        space = head.rfind(" ")
        at = space if space > width // 3 else len(head)
        if not at:
            break
        lines.append(rest[:at])
        rest = rest[at:].lstrip()
    return [*lines, cut(rest, width)] if rest else lines


def contains(text: str, parts: Iterable[str]) -> bool:
    """Whether `text` stands in what the parts say together, whatever its case."""
    return text.casefold() in " ".join("".join(parts).split()).casefold()


def number(count: int) -> str:
    """1247 as `1,247`."""
    return f"{count:,}"


def age(seconds: float) -> str:
    """How long something lasts, coarse enough to stand still: `now 20s 5m 2h34m 3d4h`."""
    whole = int(max(0.0, seconds))
    if whole < 10:
        return "now"
    if whole < 60:
        return f"{whole // 10 * 10}s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes}m"
    if minutes < 1440:
        return f"{minutes // 60}h{minutes % 60:02d}m"
    return f"{minutes // 1440}d{minutes % 1440 // 60}h"


def clock(stamp: str, form: str = "%H:%M:%S") -> str:
    """An ISO 8601 time as local time of day; empty when it is no time."""
    try:
        return time.strftime(form, time.localtime(from_iso(stamp)))
    except (ValueError, OverflowError):
        return ""


def short_age(seconds: float) -> str:
    """`age` in at most four cells: `now 20s 5m 2h 3d`."""
    text = age(seconds)
    for unit in "dh":
        head, found, _ = text.partition(unit)
        if found:
            return head + unit
    return text


def age_of(stamp: str, now: float) -> str:
    """`age` of an ISO 8601 time at `now`; empty when it is no time."""
    try:
        return age(now - from_iso(stamp))
    except ValueError:
        return ""
