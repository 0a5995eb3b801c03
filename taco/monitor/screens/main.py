"""The main screen: header, bars, plan, agents, queue, activity, details and services."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from taco.monitor import team, views
from taco.monitor.activity import activity_lines
from taco.monitor.alerts import alert_lines
from taco.monitor.lines import Line
from taco.monitor.model import Model
from taco.monitor.plan import plan_lines, plan_title
from taco.monitor.source import Snapshot
from taco.monitor.widgets.lines import Lines
from taco.monitor.widgets.table import AgentTable

SIDE_HEIGHT = 32  # rows from which details and services get a panel of their own


class MainScreen(Screen[None]):
    """Everything at one glance; `show_view` draws the model."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, f"app.order('{name}')", show=False)
            for key, name in (
                ("s", "send"),
                ("b", "broadcast"),
                ("p", "pause"),
                ("r", "restart"),
                ("a", "answer"),
                ("slash", "filter"),
                ("q", "leave"),
            )
        ),
        *(
            Binding(key, f"app.page('{name}')", show=False)
            for key, name in (
                ("i", "inbox"),
                ("d", "letters"),
                ("l", "events"),
                ("v", "plan"),
                ("o", "details"),
                ("question_mark,f1", "help"),
            )
        ),
        Binding("escape", "app.unfilter", show=False),
    ]

    def __init__(self, model: Model) -> None:
        """Draws `model`."""
        super().__init__()
        self._model = model
        self._rows = team.Rows()

    def compose(self) -> ComposeResult:
        """From top to bottom, in the order of importance."""
        yield Lines(id="header")
        yield Lines(id="alerts")
        yield Lines(id="plan-title")
        yield Lines(id="plan", can_focus=True)
        yield Lines(id="agents-title")
        yield AgentTable(id="agents", picked=self._pick)
        with Horizontal(id="below"):
            with Vertical(id="news"):
                yield Lines(id="activity-title")
                yield Lines(id="activity")
            with Vertical(id="side"):
                yield Lines(id="details-title")
                yield Lines(id="details")
                yield Lines(id="services-title")
                yield Lines(id="services")
        yield Lines(id="services-line")
        yield Lines(id="keys")

    def on_mount(self) -> None:
        """Start with the agents in focus."""
        self.query_one(AgentTable).focus()
        self.show_view()

    def on_resize(self, event: events.Resize) -> None:
        """Choose the layout for the new size."""
        wide = event.size.width >= team.WIDE and event.size.height >= SIDE_HEIGHT
        self.set_class(wide, "-wide")
        self.call_after_refresh(self.show_view)

    def on_screen_resume(self) -> None:
        """Catch up after another screen was in front."""
        self.show_view()

    def show_view(self) -> None:
        """Draw the model; only lines that differ are redrawn."""
        model, now, height = self._model, self._model.now(), self.size.height
        snapshot = model.snapshot
        self._put("header", *views.header_lines(snapshot, now, self.size.width))
        bars = alert_lines(snapshot, model.trouble, now, 4 if height < SIDE_HEIGHT else 10)
        self._put("alerts", *bars)
        self.query_one("#alerts").display = bool(bars)
        rate_of = snapshot if self.size.width < views.RATE_WIDTH else None  # else it stands in the header
        width = self.query_one("#news").size.width
        self._put("activity-title", views.activity_title(model.wanted, rate_of, now, width))
        self._put("keys", *self._keys())
        shown = model.shown()
        if snapshot is None or shown is None:
            return
        self._show_plan(snapshot)
        self._show_team(shown, now)
        many = len(model.events) if model.wanted else 8 * height
        self._put("activity", *activity_lines(model.events.latest(many), height, model.wanted))
        self._show_services(snapshot)
        self._show_details(snapshot, now)

    def _keys(self) -> tuple[Line, ...]:
        """The keys, or a notice in their place that takes as many rows."""
        keys = views.keys_lines(self.size.width, self.size.height)
        return (views.notice_line(self._model.notice), *keys[1:]) if self._model.notice else keys

    def _show_plan(self, snapshot: Snapshot) -> None:
        plan = plan_lines(snapshot.spec, self.size.width)
        self.set_class(bool(plan), "-plan")
        if plan:
            self._put("plan-title", plan_title())
            self._put("plan", *plan)

    def _show_team(self, shown: Snapshot, now: float) -> None:
        table = self.query_one(AgentTable)
        columns = team.columns(table.width)
        titles = table.show_rows(columns, self._rows.make(shown, now, table.width))
        self._put("agents-title", titles)

    def _pick(self, name: str) -> None:
        """At once, not by a message: the next key, already typed, is about this agent."""
        self._model.selected = name

    def _show_services(self, snapshot: Snapshot) -> None:
        if self.has_class("-wide"):
            self._put("services-title", views.title_line("SERVICES"))
            self._put("services", *views.service_lines(snapshot.services))
        else:
            self._put("services-line", views.services_line(snapshot.services))

    def _show_details(self, snapshot: Snapshot, now: float) -> None:
        if not self.has_class("-wide"):
            return
        agent = team.find(snapshot.agents, self._model.selected)
        details = self.query_one("#details", Lines)
        self._put("details-title", views.title_line("AGENT", agent.name if agent else ""))
        self._put("details", *views.detail_lines(agent, snapshot, now, details.room))

    def _put(self, id: str, *lines: Line) -> None:
        self.query_one(f"#{id}", Lines).show(lines)

    def on_picker_moved(self) -> None:
        """Another agent's details are wanted."""
        if self._model.snapshot:
            self._show_details(self._model.snapshot, self._model.now())
