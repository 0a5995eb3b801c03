"""The monitor's app: the same for the command line, the tests and the picture."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import constants, events
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
from taco.monitor.screens.prompts import Answer, Prompt, Question
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
SETTLE_S = 0.5  # for an order to ask: the keys behind it wait so long
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
        self._ordering = False  # something that the person wants is under way
        self._settled = asyncio.Event()  # it has asked, or is done
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
        """Open the page of that name, unless something is being asked."""
        if not self._ordering and not isinstance(self.screen, (PAGES[name], ModalScreen)):
            self.open_page(name)

    def open_page(self, name: str) -> None:
        """Open the page of that name."""
        self.feed.page = name
        self.push_screen(PAGES[name](self.model))
        self.run_worker(self.feed.read_page(), name="page", group="page", exclusive=True)

    def action_leave_page(self) -> None:
        """Leave the page in front."""
        self.pop_screen()
        names = [name for name, page in PAGES.items() if isinstance(self.screen, page)]
        self.feed.page = names[0] if names else ""

    async def action_order(self, name: str) -> None:
        """Set going what the person wants, one at a time; returns when it asks, or is done, or takes long.

        Keys that were typed right behind this one are looked at then: they belong to what it asks.
        """
        if self._ordering or isinstance(self.screen, ModalScreen):
            return
        self._ordering = True
        self._settled.clear()
        self.run_worker(self._order(name), name=name, group="order")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await self._settled.wait()

    async def _order(self, name: str) -> None:
        try:
            await getattr(self.orders, name)()
        finally:
            self._ordering = False
            self._settled.set()

    async def ask(self, screen: Question[Answer]) -> Answer | None:
        """What was answered on a screen."""
        answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        await self.push_screen(screen, lambda found: None if answer.done() else answer.set_result(found))
        await screen.ready.wait()
        self._settled.set()
        return await answer

    def on_key(self, event: events.Key) -> None:
        """A letter that was typed before the line for it was there: whoever has the focus takes the others."""
        if not self.screen_stack:  # typed before anything was drawn, or after the end
            event.prevent_default()
            return
        front = self.screen_stack[-1]
        if isinstance(front, Prompt) and event.is_printable and event.character:
            front.take(event.character)
            event.prevent_default()

    def action_unfilter(self) -> None:
        """Show everything again."""
        self.model.wanted = ""
        self.show_view()

    async def on_picker_chosen(self) -> None:
        """Enter or a double click on an agent, or on what waits."""
        await self.action_order("visit")

    async def export_svg(self, path: Path, size: tuple[int, int] = (100, 30)) -> None:
        """Draw the session once, without a terminal, into an SVG file of `size` cells."""
        async with self.run_test(size=size) as pilot:
            while not self.feed.looks:
                await pilot.pause(0.05)
            await pilot.pause()
            path.write_text(self.export_screenshot(title="taco monitor"), encoding="utf-8")
