"""The table of agents: rows in columns, a cursor that stays on its agent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from taco.monitor.lines import Column, Line, Row, Span, fit_row, spans, widths
from taco.monitor.widgets.picker import MARGIN, Picker


class AgentTable(Picker):
    """Agents, one per row; Enter or a double click asks for the agent's window."""

    def __init__(self, *, id: str, picked: Callable[[str], None]) -> None:
        """An empty table; `picked` gets the name of each agent that is selected."""
        super().__init__(id=id, picked=picked)
        self._fitted: dict[str, tuple[Row, list[int], Line]] = {}

    @property
    def width(self) -> int:
        """Cells for the columns: one is kept for a scrollbar, so that nothing moves when it appears."""
        return max(20, self.size.width - MARGIN - 1)

    def show_rows(self, columns: Sequence[Column], rows: Sequence[Row]) -> Line:
        """Show these rows; returns the line of titles that belongs above them."""
        sizes = widths(columns, rows, self.width)
        lines = [self._line(row, columns, sizes) for row in rows]
        self._fitted = {row.key: (row, sizes, line) for row, line in zip(rows, lines, strict=True)}
        self.pick_from(lines)
        titles = Row(tuple(spans((column.title.upper(), "title")) for column in columns))
        return Line((Span(" " * MARGIN), *fit_row(titles, columns, sizes)), style="band")

    def _line(self, row: Row, columns: Sequence[Column], sizes: list[int]) -> Line:
        known = self._fitted.get(row.key)
        if known and known[0] is row and known[1] == sizes:
            return known[2]
        return Line(fit_row(row, columns, sizes), style=row.style, key=row.key)
