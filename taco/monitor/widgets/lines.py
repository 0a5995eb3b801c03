"""A widget of lines that redraws only the lines that changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from taco.monitor.lines import Line, Span

STYLES = (
    *("quiet", "strong", "name", "name-bad", "good", "bad", "warn", "busy", "alarm", "accent", "title", "key"),
    *("logo", "demo", "yolo", "band", "bar-bad", "bar-wait", "bar-ask", "cursor", "cursor-mark"),
)


class Lines(ScrollView):
    """Shows lines, fitted to its width; `show` takes the whole new list and finds what to redraw."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{name}" for name in STYLES}

    def __init__(self, *, id: str, classes: str = "", can_focus: bool = False) -> None:
        """A focusable one scrolls by keys."""
        super().__init__(id=id, classes=classes)
        self.can_focus = can_focus
        self.lines: tuple[Line, ...] = ()
        self.redrawn = 0  # lines redrawn because they changed, for tests
        self._strips: dict[int, Strip] = {}
        self._styles: dict[str, Style] = {"": Style.null()}

    @property
    def room(self) -> int:
        """Cells that a line may take."""
        return self.scrollable_content_region.width

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines instead, redrawing those that differ."""
        old, new = self.lines, tuple(lines)
        if old == new:
            return
        shared = min(len(old), len(new))
        changed = [y for y in range(shared) if old[y] != new[y]]
        changed += range(shared, max(len(old), len(new)))
        self.lines = new
        for y in changed:
            self._redraw(y)
        if len(old) != len(new):
            self.virtual_size = Size(1, len(new))
            self.refresh(layout=True)

    def _redraw(self, y: int) -> None:
        self._strips.pop(y, None)
        self.redrawn += 1
        self.refresh_line(y)

    def forget(self) -> None:
        """Draw everything anew: the width or a style changed."""
        self._strips.clear()
        self.refresh()

    def on_resize(self, _event: events.Resize) -> None:
        """Fit the lines to the new width."""
        self.forget()

    def notify_style_update(self) -> None:
        """Colours may have changed."""
        self._strips.clear()
        self._styles = {"": Style.null()}
        super().notify_style_update()

    def spans_at(self, y: int, width: int) -> tuple[list[Span], str]:
        """The spans of line `y`, of exactly `width` cells, and the style of the whole line."""
        return self.lines[y].fit(width), self.lines[y].style

    def render_line(self, y: int) -> Strip:
        """The strip of a visible row, from the cache where it did not change."""
        width, at = self.room, y + self.scroll_offset.y
        if at >= len(self.lines):
            return Strip.blank(self.size.width, self.rich_style)
        strip = self._strips.get(at)
        if strip is None or strip.cell_length != width:
            strip = self._strips[at] = self._strip(at, width)
        return strip

    def _strip(self, at: int, width: int) -> Strip:
        spans, name = self.spans_at(at, width)
        base = self.rich_style + self._style(name)
        return Strip([Segment(span.text, base + self._style(span.style)) for span in spans], width)

    def _style(self, name: str) -> Style:
        if name not in self._styles:
            self._styles[name] = self._component(f"lines--{name}")
        return self._styles[name]

    def _component(self, name: str) -> Style:
        # Only what the component itself says, but its transparent colours blended with the background.
        said = self.get_component_rich_style(name, partial=True)
        whole = self.get_component_rich_style(name)
        return said + Style(color=whole.color if said.color else None, bgcolor=whole.bgcolor if said.bgcolor else None)
