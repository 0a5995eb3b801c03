"""The monitor's app: the same for the command line, the tests and the picture."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import constants
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.theme import Theme
from textual.timer import Timer

from taco.monitor.feed import Feed
from taco.monitor.model import Model
from taco.monitor.orders import Orders
from taco.monitor.screens.main import MainScreen
from taco.monitor.screens.pages import DetailsPage, EventsPage, HelpPage, InboxPage, LettersPage, Page, PlanPage
from taco.monitor.source import Source

# Every colour is one of xterm's 256, so that the monitor looks the same where there are no more.
THEME = Theme(
    name="taco",
    primary="#5fafff",
    secondary="#87afd7",
    accent="#ffaf5f",
    warning="#ffd75f",
    error="#ff5f5f",
    success="#87d787",
    foreground="#dadada",
    background="#121212",
    surface="#1c1c1c",
    panel="#262626",
)
NOTICE_S = 6.0
PAGES: dict[str, type[Page]] = {
    "events": EventsPage,
    "letters": LettersPage,
    "inbox": InboxPage,
    "plan": PlanPage,
    "details": DetailsPage,
    "help": HelpPage,
}


class MonitorApp(App[None]):
    """Shows the session that `source` reads; `now` gives epoch seconds.

    In a session (`in_session`) the monitor comes back when it ends: before, `q` says how to leave the session.
    """

    TITLE = "TACO"
    CSS_PATH = "monitor.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "order('leave')", show=False, priority=True)]

    def __init__(self, source: Source, now: Callable[[], float] = time.time, *, in_session: bool = False) -> None:
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.model = Model(now)
        self.model.stays = in_session
        self.feed = Feed(source, self.model, self.show_view, self._log_error)
        self.orders = Orders(self, source, self.model, self.feed, self._log_error)
        self._quiet: Timer | None = None
        self.register_theme(THEME)
        if constants.DEFAULT_THEME == "textual-dark":
            self.theme = THEME.name

    def on_mount(self) -> None:
        """Show the main screen and start to read."""
        self.push_screen(MainScreen(self.model))
        self.run_worker(self.feed.run(), name="feed")

    def show_view(self) -> None:
        """Draw the model on the screen in front; one that asks something stands over it."""
        if news := self.orders.news():
            self._note(news)
        screens = (each for each in reversed(self.screen_stack) if isinstance(each, MainScreen | Page))
        if (screen := next(screens, None)) and screen.is_mounted:
            screen.show_view()

    def tell(self, text: str) -> None:
        """Show a line to the person for a moment."""
        self._note(text)
        self.show_view()

    def _note(self, text: str) -> None:
        self.model.notice = text
        if self._quiet:
            self._quiet.stop()
        self._quiet = self.set_timer(NOTICE_S, self._untell)

    def _untell(self) -> None:
        self.model.notice = ""
        self.show_view()

    def _log_error(self, text: str) -> None:
        self.log.error(text)

    def action_page(self, name: str) -> None:
        """Open the page of that name."""
        if isinstance(self.screen, PAGES[name]):
            return
        self.feed.page = name
        self.push_screen(PAGES[name](self.model))
        self.run_worker(self.feed.read_page(), name="page", group="page", exclusive=True)

    def action_leave_page(self) -> None:
        """Leave the page in front."""
        self.pop_screen()
        names = [name for name, page in PAGES.items() if isinstance(self.screen, page)]
        self.feed.page = names[0] if names else ""

    def action_order(self, name: str) -> None:
        """Set going what the person wants; one question at a time."""
        if not isinstance(self.screen, ModalScreen):
            self.run_worker(getattr(self.orders, name)(), name=name, group="order")

    def action_unfilter(self) -> None:
        """Show everything again."""
        self.model.wanted = ""
        self.show_view()

    def on_picker_chosen(self) -> None:
        """Enter or a double click on an agent, or on what waits."""
        self.action_order("visit")

    async def export_svg(self, path: Path, size: tuple[int, int] = (100, 30)) -> None:
        """Draw the session once, without a terminal, into an SVG file of `size` cells."""
        async with self.run_test(size=size) as pilot:
            while not self.feed.looks:
                await pilot.pause(0.05)
            await pilot.pause()
            path.write_text(self.export_screenshot(title="taco monitor"), encoding="utf-8")
