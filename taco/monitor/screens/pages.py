"""The screens that show one list: events, letters, one agent, help."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from taco.monitor import team, views
from taco.monitor.activity import event_lines
from taco.monitor.alerts import alert_lines
from taco.monitor.lines import Line
from taco.monitor.model import Model
from taco.monitor.widgets.lines import Lines

KEYS = (("↑↓ PgUp PgDn", "scroll"), ("Esc", "back"))


class Page(Screen[None]):
    """A title, a list that scrolls, and the keys; subclasses say what is in the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "app.pop_screen", show=False),
    ]
    follows = False  # stays at the end while new lines arrive

    def __init__(self, model: Model) -> None:
        """Draws `model`."""
        super().__init__()
        self.model = model

    def compose(self) -> ComposeResult:
        """Title, bars, list, keys."""
        yield Lines(id="page-title")
        yield Lines(id="alerts")
        yield Lines(id="body", can_focus=True)
        yield Lines(id="keys")

    def heading(self) -> Line:
        """The line at the top."""
        raise NotImplementedError

    def body(self, width: int) -> list[Line]:
        """The lines of the list."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Draw what is there."""
        self.query_one("#body").focus()
        self.show_view()
        if self.follows:
            self.call_after_refresh(self.query_one("#body").scroll_end, animate=False)

    def on_resize(self) -> None:
        """Fit to the new size."""
        self.call_after_refresh(self.show_view)

    def show_view(self) -> None:
        """Draw the model; only lines that differ are redrawn."""
        body = self.query_one("#body", Lines)
        at_end = body.scroll_offset.y >= body.max_scroll_y
        self.query_one("#page-title", Lines).show([self.heading()])
        bars = alert_lines(self.model.snapshot, self.model.trouble, self.model.now(), 2)
        self.query_one("#alerts", Lines).show(bars)
        self.query_one("#alerts").display = bool(bars)
        self.query_one("#keys", Lines).show([views.keys_line(KEYS)])
        body.show(self.body(body.room))
        if self.follows and at_end:
            self.call_after_refresh(body.scroll_end, animate=False)


class EventsPage(Page):
    """Every event that was seen, oldest first."""

    follows = True

    def heading(self) -> Line:
        """How many there are."""
        return views.title_line("EVENTS", f"{len(self.model.events)} seen")

    def body(self, width: int) -> list[Line]:
        """One line per event."""
        return event_lines(self.model.events)


class LettersPage(Page):
    """Messages that did not arrive, with the commands that send or drop them."""

    def heading(self) -> Line:
        """What can be done about them."""
        return views.title_line("LETTERS", "taco queue retry ID sends again, taco queue drop ID forgets")

    def body(self, width: int) -> list[Line]:
        """Two lines per message."""
        return views.letter_lines(self.model.letters)


class DetailsPage(Page):
    """Everything known of the selected agent."""

    def heading(self) -> Line:
        """Its name."""
        return views.title_line("AGENT", self.model.selected)

    def body(self, width: int) -> list[Line]:
        """One fact per line."""
        snapshot = self.model.snapshot
        if snapshot is None:
            return []
        agent = team.find(snapshot.agents, self.model.selected)
        return views.detail_lines(agent, snapshot, self.model.now(), width)


class HelpPage(Page):
    """The keys, the marks and the commands for a person."""

    def heading(self) -> Line:
        """What this is."""
        return views.title_line("HELP", "the monitor of TACO")

    def body(self, width: int) -> list[Line]:
        """A page of fixed text."""
        return views.help_lines()
