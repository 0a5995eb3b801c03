"""What is asked at the bottom of the screen: a line of text, or yes or no."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen

from taco.monitor.lines import Line, Span, said
from taco.monitor.views import keys_line
from taco.monitor.widgets.entry import Entry
from taco.monitor.widgets.lines import Lines
from taco.monitor.words import clean, wrap

_ROWS = 3  # of the question


def _question(title: str, text: str, width: int) -> list[Line]:
    """The question in at most so many rows, its title before it."""
    rows = wrap(clean(f"{title} {text}"), max(20, width - 2), _ROWS)
    made = [Line((Span(" "), said(row))) for row in rows]
    rest = rows[0][len(title) :] if rows else ""
    return [Line((Span(" "), Span(title, "title"), said(rest))), *made[1:]]


class Prompt(ModalScreen[str | None]):
    """A line of text; Enter gives it, Esc gives None. `heard` gets it whenever it changes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(
        self, title: str, text: str = "", *, does: str, given: str = "", heard: Callable[[str], None] | None = None
    ) -> None:
        """`title` and `text` are the question, `does` is what Enter does, `given` stands there already."""
        super().__init__()
        self._title, self._text, self._does, self._given, self._heard = title, clean(text), does, given, heard

    def compose(self) -> ComposeResult:
        """The question, the line, the keys."""
        with Vertical(id="prompt"):
            yield Lines(id="question")
            with Horizontal(id="typed"):
                yield Lines(id="arrow")
                yield Entry(self._given, id="entry")
            yield Lines(id="prompt-keys")

    def on_mount(self) -> None:
        """Draw once; the size may change later."""
        self.query_one(Entry).focus()
        self.show_question()

    def on_resize(self) -> None:
        """Fit to the new size."""
        self.call_after_refresh(self.show_question)

    def show_question(self) -> None:
        """Draw what does not change by itself."""
        self.query_one("#question", Lines).show(_question(self._title, self._text, self.app.size.width))
        self.query_one("#arrow", Lines).show([Line((Span(" › ", "title"),))])
        self.query_one("#prompt-keys", Lines).show([keys_line((("Enter", self._does), ("Esc", "leave it")))])

    def on_input_changed(self, event: Entry.Changed) -> None:
        """Tell who listens."""
        if self._heard:
            self._heard(event.value)

    def on_input_submitted(self, event: Entry.Submitted) -> None:
        """What was typed is the answer; nothing is none."""
        self.dismiss(event.value)

    def action_leave(self) -> None:
        """Nothing is wanted any more."""
        self.dismiss(None)


class Confirm(ModalScreen[bool]):
    """A question that `y` answers with yes and any of `n`, Esc, Enter with no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", show=False),
        Binding("n,escape,enter,q", "dismiss(False)", show=False),
    ]

    def __init__(self, title: str, text: str, *, does: str) -> None:
        """`does` is what `y` does."""
        super().__init__()
        self._title, self._text, self._does = title, clean(text), does

    def compose(self) -> ComposeResult:
        """The question and the keys."""
        with Vertical(id="prompt"):
            yield Lines(id="question")
            yield Lines(id="prompt-keys", can_focus=True)

    def on_mount(self) -> None:
        """Draw once; the size may change later."""
        self.query_one("#prompt-keys").focus()
        self.show_question()

    def on_resize(self) -> None:
        """Fit to the new size."""
        self.call_after_refresh(self.show_question)

    def show_question(self) -> None:
        """Draw what does not change by itself."""
        self.query_one("#question", Lines).show(_question(self._title, self._text, self.app.size.width))
        self.query_one("#prompt-keys", Lines).show([keys_line((("y", self._does), ("n", "no")))])
