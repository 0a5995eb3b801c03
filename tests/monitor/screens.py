"""Reads the text of a screen back from its SVG picture."""

from __future__ import annotations

import html
import re

_TEXT = re.compile(r'<text class="[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*clip-path="url\(#[^)]*line-(\d+)\)">([^<]*)<')
CELL = 12.2  # width of one cell in the pictures that rich draws


def rows_of(svg: str) -> list[str]:
    """The rows of the screen, without trailing blanks."""
    rows: dict[int, str] = {}
    for x, _, row, text in _TEXT.findall(svg):
        place = round(float(x) / CELL)
        so_far = rows.get(int(row), "")
        rows[int(row)] = so_far.ljust(place) + html.unescape(text).replace("\xa0", " ")
    return [rows.get(row, "").rstrip() for row in range(max(rows, default=-1) + 1)]  # nothing may be drawn yet
