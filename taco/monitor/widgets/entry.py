"""A line to type in."""

from __future__ import annotations

import re

from textual import events
from textual.widgets import Input

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Entry(Input):
    """An input of one row without a border; of what is pasted it takes every line, one after the other."""

    def __init__(self, text: str = "", *, id: str) -> None:
        """Holds `text`, the cursor behind it."""
        super().__init__(text, id=id, compact=True, select_on_focus=False)
        self.cursor_blink = False

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()  # which would take the first line only
        event.stop()
        lines = (_CONTROL.sub("", line.replace("\t", " ")).strip() for line in event.text.splitlines())
        self.replace(" ".join(filter(None, lines)), *self.selection)
