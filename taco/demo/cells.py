"""Text into rows of terminal cells. Pure."""

from __future__ import annotations

import unicodedata

TAB = "    "


def width(char: str) -> int:
    """How many cells one character takes: 0, 1 or 2."""
    if " " <= char <= "~":
        return 1
    if unicodedata.category(char) in {"Mn", "Me", "Cf", "Cc", "Cs"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def text_width(text: str) -> int:
    """How many cells a line of text takes."""
    return sum(map(width, text))


def hard_wrap(line: str, columns: int) -> list[str]:
    """A line cut into rows of at most `columns` cells; an empty line is one empty row."""
    rows = [""]
    used = 0
    for char in line:
        cells = width(char)
        if used + cells > columns:
            rows.append("")
            used = 0
        rows[-1] += char
        used += cells
    return rows


def wrap(line: str, columns: int) -> list[str]:
    """A line as rows of at most `columns` cells, broken at spaces where there are some."""
    rows: list[str] = []
    rest = line.expandtabs(4)
    while text_width(rest) > columns:
        head = hard_wrap(rest, columns)[0]
        cut = head.rfind(" ")
        if cut < 0 or rest[len(head)] == " " or not head[:cut].strip():
            cut = len(head)
        rows.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*rows, rest]


def printable(text: str) -> str:
    """Text that cannot move the cursor: control characters and lone surrogates become U+FFFD."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cs"} else "\ufffd" for char in text
    )
