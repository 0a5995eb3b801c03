"""Lines with a cursor: lines of one key are one item, lines without a key are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from taco.monitor.lines import Line, Span
from taco.monitor.widgets.lines import Lines

MARGIN = 1  # cells left of each line: the cursor's mark


class Picker(Lines):
    """A list of items one of which is selected; the selection stays on its item while others come and go."""

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
        """The person wants to go on with this item."""

        def __init__(self, key: str) -> None:
            """`key` is the item's."""
            super().__init__()
            self.key = key

    class Moved(Message):
        """The cursor stands on another item."""

    def __init__(self, *, id: str, picked: Callable[[str], None] = lambda _: None) -> None:
        """An empty list; the cursor starts at the first item. `picked` gets each key at once when it is selected."""
        super().__init__(id=id, can_focus=True)
        self._picked = picked
        self.selected = ""  # the key of the item under the cursor
        self._keys: list[str] = []

    @property
    def cursor(self) -> int:
        """Which item the cursor stands on, counted from 0."""
        return self._keys.index(self.selected) if self.selected in self._keys else 0

    def pick_from(self, lines: list[Line]) -> None:
        """Show these lines instead, the cursor on the same item, or on the one in its place."""
        at = self.cursor
        self._keys = list(dict.fromkeys(line.key for line in lines if line.key))
        self.show(lines)
        if self.selected not in self._keys:
            self._select(min(at, len(self._keys) - 1))

    def spans_at(self, y: int, width: int) -> tuple[list[Span], str]:
        """A line with the cursor's mark, highlighted where the cursor stands."""
        line = self.lines[y]
        if line.style and not line.key:
            return line.fit(width), line.style  # a heading
        here = bool(line.key) and line.key == self.selected
        first = here and (y == 0 or self.lines[y - 1].key != line.key)
        mark = Span("▸" if first else " ", "cursor-mark")
        return [mark, *Line(line.spans, line.right).fit(width - MARGIN)], "cursor" if here else line.style

    def action_move(self, by: int) -> None:
        """Move the cursor by items; beyond the first and the last one, scroll."""
        before = self.selected
        self._select(self.cursor + by)
        if self.selected == before:
            self.scroll_relative(y=by, animate=False)

    def action_move_page(self, by: int) -> None:
        """Move the cursor by pages."""
        self.action_move(by * max(1, self.size.height - 1))

    def action_choose(self) -> None:
        """Go on with the item under the cursor."""
        if self.selected in self._keys:
            self.post_message(self.Chosen(self.selected))

    def on_click(self, event: events.Click) -> None:
        """Select the item; the second click of two chooses it."""
        at = event.y + self.scroll_offset.y
        if at < len(self.lines) and (key := self.lines[at].key):
            self._select(self._keys.index(key))
            if event.chain == 2:
                self.action_choose()

    def _select(self, at: int) -> None:
        key = self._keys[min(max(0, at), len(self._keys) - 1)] if self._keys else ""
        if key == self.selected:
            return
        before, self.selected = self.selected, key
        self._picked(key)
        for y, line in enumerate(self.lines):
            if line.key and line.key in (before, key):
                self._redraw(y)
        self.keep_in_sight()
        self.post_message(self.Moved())

    def keep_in_sight(self) -> None:
        """Scroll so that the whole item can be seen, its beginning before all."""
        rows = [y for y, line in enumerate(self.lines) if line.key and line.key == self.selected]
        if not rows:
            return
        top, height = self.scroll_offset.y, max(1, self.size.height)
        first = 0 if self.cursor == 0 and rows[-1] < height else rows[0]
        if first < top:
            self.scroll_to(y=first, animate=False)
        elif rows[-1] >= top + height:
            self.scroll_to(y=min(first, rows[-1] - height + 1), animate=False)

    def on_resize(self, event: events.Resize) -> None:
        """Fit the lines to the new size."""
        super().on_resize(event)
        self.call_after_refresh(self.keep_in_sight)
