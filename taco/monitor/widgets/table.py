"""The table of agents: rows in columns, a cursor that stays on its agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from taco.monitor.lines import Column, Line, Row, Span, fit_row, spans, widths
from taco.monitor.widgets.lines import Lines

MARGIN = 1  # cells left of the first column: the cursor's mark


class AgentTable(Lines):
    """Agents, one per row; Enter or a double click asks for the agent's window."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move_page(-1)", show=False),
        Binding("pagedown", "move_page(1)", show=False),
        Binding("home,g", "move(-1000)", show=False),
        Binding("end,G", "move(1000)", show=False),
        Binding("enter", "choose", show=False),
    ]

    class Chosen(Message):
        """The person wants to see this agent."""

        def __init__(self, name: str) -> None:
            """`name` is the agent's."""
            super().__init__()
            self.name = name

    class Moved(Message):
        """The cursor stands on another agent."""

    def __init__(self, *, id: str) -> None:
        """An empty table; the cursor starts at the first row."""
        super().__init__(id=id, can_focus=True)
        self.selected = ""  # the agent's name
        self._fitted: dict[str, tuple[Row, list[int], Line]] = {}

    @property
    def cursor(self) -> int:
        """The row of the cursor."""
        return next((at for at, line in enumerate(self.lines) if line.key == self.selected), 0)

    @property
    def width(self) -> int:
        """Cells for the columns: one is kept for a scrollbar, so that nothing moves when it appears."""
        return max(20, self.size.width - MARGIN - 1)

    def show_rows(self, columns: Sequence[Column], rows: Sequence[Row]) -> Line:
        """Show these rows; returns the line of titles that belongs above them."""
        sizes = widths(columns, rows, self.width)
        lines = [self._line(row, columns, sizes) for row in rows]
        self._fitted = {row.key: (row, sizes, line) for row, line in zip(rows, lines, strict=True)}
        before = self.selected
        self.show(lines)
        if lines and before not in {line.key for line in lines}:
            self._select(0)
        titles = Row(tuple(spans((column.title.upper(), "title")) for column in columns))
        return Line((Span(" " * MARGIN), *fit_row(titles, columns, sizes)), style="band")

    def _line(self, row: Row, columns: Sequence[Column], sizes: list[int]) -> Line:
        known = self._fitted.get(row.key)
        if known and known[0] is row and known[1] == sizes:
            return known[2]
        return Line(fit_row(row, columns, sizes), style=row.style, key=row.key)

    def spans_at(self, y: int, width: int) -> tuple[list[Span], str]:
        """A row with the cursor's mark, highlighted where the cursor stands."""
        line = self.lines[y]
        here = line.key == self.selected
        mark = Span("▸" if here else " ", "cursor-mark")
        return [mark, *Line(line.spans).fit(width - MARGIN)], "cursor" if here else line.style

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self._select(self.cursor + by)

    def action_move_page(self, by: int) -> None:
        """Move the cursor by pages."""
        self._select(self.cursor + by * max(1, self.size.height - 1))

    def action_choose(self) -> None:
        """Ask for the window of the agent under the cursor."""
        if self.selected:
            self.post_message(self.Chosen(self.selected))

    def on_click(self, event: events.Click) -> None:
        """Select the row; the second click of two chooses it."""
        at = event.y + self.scroll_offset.y
        if at < len(self.lines):
            self._select(at)
            if event.chain == 2:
                self.action_choose()

    def _select(self, at: int) -> None:
        if not self.lines:
            return
        before, at = self.cursor, min(max(0, at), len(self.lines) - 1)
        if self.lines[at].key == self.selected:
            return
        self.selected = self.lines[at].key
        for y in {before, at}:
            if y < len(self.lines):
                self._redraw(y)
        self.keep_in_sight()
        self.post_message(self.Moved())

    def keep_in_sight(self) -> None:
        """Scroll so that the cursor can be seen."""
        top, height = self.scroll_offset.y, max(1, self.size.height)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False)

    def on_resize(self, event: events.Resize) -> None:
        """Fit the rows to the new size."""
        super().on_resize(event)
        self.call_after_refresh(self.keep_in_sight)
