"""The screens that show one list: log, letters, inbox, plan, one agent, help."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from taco.monitor import lists, plan, team, views
from taco.monitor.activity import event_lines
from taco.monitor.alerts import alert_lines, trouble_lines
from taco.monitor.lines import Line
from taco.monitor.model import Model
from taco.monitor.widgets.lines import Lines
from taco.monitor.widgets.picker import Picker

SCROLL, MOVE, BACK = ("↑↓ PgUp PgDn", "scroll"), ("↑↓", "move"), ("Esc", "back")


class Page(Screen[None]):
    """A title, a list that scrolls, and the keys; subclasses say what is in the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "app.leave_page", show=False),
        Binding("question_mark,f1", "app.page('help')", show=False),
        Binding("a", "app.order('answer')", show=False),
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
        yield self.make_list()
        yield Lines(id="page-keys")

    def make_list(self) -> Lines:
        """The widget of the list."""
        return Lines(id="body", can_focus=True)

    def bars(self) -> list[Line]:
        """What somebody must look at, two lines at most."""
        return alert_lines(self.model.snapshot, self.model.trouble, self.model.now(), 2)

    def own_keys(self) -> list[tuple[str, str]]:
        """The keys of this page and what they do."""
        return [SCROLL]

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

    def on_screen_resume(self) -> None:
        """Catch up after another screen was in front."""
        self.show_view()

    def show_view(self) -> None:
        """Draw the model; only lines that differ are redrawn."""
        body = self.query_one("#body", Lines)
        at_end = body.scroll_offset.y >= body.max_scroll_y
        self.query_one("#page-title", Lines).show([self.heading()])
        bars = self.bars()
        self.query_one("#alerts", Lines).show(bars)
        self.query_one("#alerts").display = bool(bars)
        notice = self.model.notice
        keys = views.notice_line(notice) if notice else views.keys_line([*self.own_keys(), BACK])
        self.query_one("#page-keys", Lines).show([keys])
        self.show_list(body)
        if self.follows and at_end:
            self.call_after_refresh(body.scroll_end, animate=False)

    def show_list(self, body: Lines) -> None:
        """Draw the list."""
        body.show(self.body(body.room))


class PickingPage(Page):
    """A page whose list has a cursor."""

    def make_list(self) -> Lines:
        """A list to pick from."""
        return Picker(id="body")

    @property
    def selected(self) -> str:
        """The key of the item under the cursor; empty when there is none."""
        return self.query_one(Picker).selected

    def show_list(self, body: Lines) -> None:
        """Draw the list, the cursor on the same item."""
        assert isinstance(body, Picker)
        body.pick_from(self.body(body.room - 1))


class EventsPage(Page):
    """Every event that was seen, oldest first."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "app.order('filter')", show=False)]
    follows = True

    def own_keys(self) -> list[tuple[str, str]]:
        """It can be filtered, too."""
        return [SCROLL, ("/", "filter")]

    def heading(self) -> Line:
        """How many there are."""
        wanted = f"  filter: {self.model.wanted}" if self.model.wanted else ""
        return views.title_line("LOG", f"{len(self.model.events)} events{wanted}")

    def body(self, width: int) -> list[Line]:
        """One line per event."""
        return event_lines(self.model.events, self.model.wanted)


class LettersPage(PickingPage):
    """Messages that did not arrive: send them again, or forget them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "app.order('retry')", show=False),
        Binding("x", "app.order('drop')", show=False),
    ]

    def own_keys(self) -> list[tuple[str, str]]:
        """What can be done about the one under the cursor."""
        return [MOVE, ("r", "retry: send it again"), ("x", "drop: forget it")]

    def heading(self) -> Line:
        """What these are."""
        return views.title_line("DEAD LETTERS", "messages that were given up, or that nobody saw arrive")

    def body(self, width: int) -> list[Line]:
        """Two lines per message."""
        return lists.letter_lines(self.model.letters)


class InboxPage(PickingPage):
    """What waits for the person, and what was written to them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "app.page('plan')", show=False),
    ]

    def bars(self) -> list[Line]:
        """Only trouble: what waits stands in the list."""
        return trouble_lines(self.model.snapshot, self.model.trouble, self.model.now())

    def own_keys(self) -> list[tuple[str, str]]:
        """What can be done about the item under the cursor."""
        return [MOVE, ("a", "answer"), ("Enter", "go to its window")]

    def heading(self) -> Line:
        """Whose inbox this is."""
        return views.title_line("INBOX", "what waits for you")

    def body(self, width: int) -> list[Line]:
        """Questions, dialogs, messages."""
        model = self.model
        return lists.inbox_lines(model.snapshot, model.notes, model.screens, model.now(), width)


class PlanPage(Page):
    """The team as a tree: the plan that waits for the person, or how the one that runs stands."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "app.order('approve')", show=False),
        Binding("n", "app.order('reject')", show=False),
    ]

    def _waits(self) -> bool:
        return self.model.snapshot is not None and plan.waits(self.model.snapshot.spec)

    def own_keys(self) -> list[tuple[str, str]]:
        """A plan that waits can be decided."""
        return [SCROLL, ("y", "approve"), ("n", "reject")] if self._waits() else [SCROLL]

    def heading(self) -> Line:
        """Which of the two it is."""
        if self._waits():
            return views.title_line("PLAN", "waits for you: y starts this team, n sends it back to mother")
        return views.title_line("PLAN", "who waits for whom, and how each one stands")

    def body(self, width: int) -> list[Line]:
        """One line per agent."""
        snapshot = self.model.snapshot
        if snapshot is None:
            return []
        found = plan.plan_lines(snapshot.spec, width)
        return found or plan.team_lines(snapshot, self.model.now(), width)


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

    def bars(self) -> list[Line]:
        """Only trouble: the page is as long as a screen."""
        return trouble_lines(self.model.snapshot, self.model.trouble, self.model.now())

    def heading(self) -> Line:
        """What this is."""
        return views.title_line("HELP", "the monitor of TACO")

    def body(self, width: int) -> list[Line]:
        """A page of fixed text."""
        return lists.help_lines()
