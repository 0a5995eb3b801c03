"""A line of the monitor: styled spans that are fitted to a width, alone or in columns. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.cells import cell_len

from taco.monitor.words import clean, cut


class Span(NamedTuple):
    """A piece of text and the name of its style (a component class of `Lines`)."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: spans from the left, cut when there is no room, and spans kept at the right edge."""

    spans: tuple[Span, ...] = ()
    right: tuple[Span, ...] = ()
    style: str = ""  # of the whole line, its padding included
    key: str = ""  # what the line stands for

    def fit(self, width: int) -> list[Span]:
        """The spans of exactly `width` cells."""
        right = crop(self.right, width)
        room = width - cells(right)
        return [*pad(crop(self.spans, room), room), *right]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: a tuple of spans for each column, and how many cells each takes."""

    cells: tuple[tuple[Span, ...], ...]
    key: str = ""
    style: str = ""
    sizes: tuple[int, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(map(cells, self.cells)))


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, and the cells it gets: `least` to `most`, or a `share` of what is left."""

    title: str
    least: int
    most: int = 0
    share: int = 0
    right: bool = False


def line(*parts: Span | tuple[str, str] | str, right: Iterable[Span] = (), style: str = "", key: str = "") -> Line:
    """A line of clean spans, given as texts or (text, style)."""
    return Line(spans(*parts), tuple(right), style, key)


def spans(*parts: Span | tuple[str, str] | str) -> tuple[Span, ...]:
    """Spans of texts or (text, style) as they are; empty ones are left out."""
    made = (Span(part) if isinstance(part, str) else Span(*part) for part in parts)
    return tuple(span for span in made if span.text)


def said(text: str, style: str = "") -> Span:
    """A span of what somebody wrote: cleaned."""
    return Span(clean(text), style)


def cells(row: Iterable[Span]) -> int:
    """How many cells the spans take."""
    return sum(cell_len(span.text) for span in row)


def crop(row: Sequence[Span], width: int) -> list[Span]:
    """The spans cut to at most `width` cells, with an ellipsis where they were cut."""
    kept: list[Span] = []
    room = width
    for at, span in enumerate(row):
        size = cell_len(span.text)
        more = at + 1 < len(row)
        if size > room or (size == room and more and cells(row[at + 1 :])):
            kept.append(Span(cut(span.text + "…" * (size <= room), room), span.style))
            break
        kept.append(span)
        room -= size
    return kept


def pad(row: Sequence[Span], width: int, *, right: bool = False) -> list[Span]:
    """The spans filled up with blanks to `width` cells."""
    blank = width - cells(row)
    if blank <= 0:
        return list(row)
    return [Span(" " * blank), *row] if right else [*row, Span(" " * blank)]


def widths(columns: Sequence[Column], rows: Sequence[Row], total: int, gap: int = 2) -> list[int]:
    """Cells of each column in `total`: what the contents need within the bounds, the rest by share."""
    sizes = [_natural(column, max((row.sizes[at] for row in rows), default=0)) for at, column in enumerate(columns)]
    rest = total - sum(sizes) - gap * (len(columns) - 1)
    shares = sum(column.share for column in columns)
    for at, column in enumerate(columns):
        if column.share:
            sizes[at] += max(0, rest) * column.share // shares
    return sizes


def _natural(column: Column, longest: int) -> int:
    if column.share or not column.most:
        return column.least
    return max(column.least, len(column.title), min(longest, column.most))


def fit_row(row: Row, columns: Sequence[Column], sizes: Sequence[int], gap: int = 2) -> tuple[Span, ...]:
    """The spans of one row in columns of these sizes."""
    made: list[Span] = []
    for at, (column, size) in enumerate(zip(columns, sizes, strict=True)):
        if at:
            made.append(Span(" " * gap))
        made.extend(pad(crop(row.cells[at], size), size, right=column.right))
    return tuple(made)
