"""What is asked at the bottom of the screen: a line of text, or yes or no."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen

from taco.monitor.lines import Line, Span, said
from taco.monitor.views import keys_line
from taco.monitor.widgets.entry import Entry
from taco.monitor.widgets.lines import Lines
from taco.monitor.words import clean, wrap

Answer = TypeVar("Answer")
_ROWS = 3  # of the question


class Question(ModalScreen[Answer]):
    """A question over the last rows of the screen, its keys below it."""

    def __init__(self, title: str, text: str, *keys: tuple[str, str]) -> None:
        """`title` and `text` are the question, `keys` what can be pressed and what that does."""
        super().__init__()
        self.ready = asyncio.Event()  # keys reach it
        self._title, self._text, self._keys = title, clean(text), keys

    def on_resize(self) -> None:
        """Fit to the new size."""
        self.call_after_refresh(self.show_question)

    def show_question(self) -> None:
        """Draw what does not change by itself."""
        rows = wrap(clean(f"{self._title} {self._text}"), max(20, self.app.size.width - 2), _ROWS)
        rest = rows[0][len(self._title) :] if rows else ""
        first = Line((Span(" "), Span(self._title, "title"), said(rest)))
        self.query_one("#question", Lines).show([first, *(Line((Span(" "), said(row))) for row in rows[1:])])
        self.query_one("#prompt-keys", Lines).show([keys_line(self._keys)])


class Prompt(Question[str | None]):
    """A line of text; Enter gives it, Esc gives None. `heard` gets it whenever it changes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(
        self, title: str, text: str = "", *, does: str, given: str = "", heard: Callable[[str], None] | None = None
    ) -> None:
        """`does` is what Enter does, `given` stands there already."""
        super().__init__(title, text, ("Enter", does), ("Esc", "leave it"))
        self._heard = heard
        self._entry = Entry(given, id="entry")
        self._early = ""

    def compose(self) -> ComposeResult:
        """The question, the line, the keys."""
        with Vertical(id="prompt"):
            yield Lines(id="question")
            with Horizontal(id="typed"):
                yield Lines(id="arrow")
                yield self._entry
            yield Lines(id="prompt-keys")

    def on_mount(self) -> None:
        """Draw once; the size may change later."""
        self.set_focus(self._entry)
        self._entry.insert_text_at_cursor(self._early)
        self.query_one("#arrow", Lines).show([Line((Span(" › ", "title"),))])
        self.show_question()
        self.ready.set()

    def take(self, text: str) -> None:
        """Put in what was typed before the line was there."""
        if self.ready.is_set():
            self._entry.insert_text_at_cursor(text)
        else:
            self._early += text

    def on_input_changed(self, event: Entry.Changed) -> None:
        """Tell who listens."""
        if self._heard:
            self._heard(event.value)

    def on_input_submitted(self, event: Entry.Submitted) -> None:
        """What was typed is the answer."""
        self.dismiss(event.value)

    def action_leave(self) -> None:
        """Nothing is wanted any more."""
        self.dismiss(None)


class Confirm(Question[bool]):
    """A question that `y` answers with yes and any of `n`, Esc, Enter with no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", show=False),
        Binding("n,escape,enter,q", "dismiss(False)", show=False),
    ]

    def __init__(self, title: str, text: str, *, does: str) -> None:
        """`does` is what `y` does."""
        super().__init__(title, text, ("y", does), ("n", "no"))

    def compose(self) -> ComposeResult:
        """The question and the keys."""
        with Vertical(id="prompt"):
            yield Lines(id="question")
            yield Lines(id="prompt-keys", can_focus=True)

    def on_mount(self) -> None:
        """Draw once; the size may change later."""
        self.set_focus(self.query_one("#prompt-keys"))
        self.show_question()
        self.ready.set()
