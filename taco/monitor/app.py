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
from textual.theme import Theme
from textual.timer import Timer

from taco.errors import TacoError
from taco.models import Agent, AgentStatus
from taco.monitor.feed import Feed
from taco.monitor.model import Model
from taco.monitor.screens.main import MainScreen
from taco.monitor.screens.pages import DetailsPage, EventsPage, HelpPage, LettersPage, Page
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
    "details": DetailsPage,
    "help": HelpPage,
}


class MonitorApp(App[None]):
    """Shows the session that `source` reads; `now` gives epoch seconds.

    In a session (`in_session`) the monitor is there to stay: `q` only says how to leave.
    """

    TITLE = "TACO"
    CSS_PATH = "monitor.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "leave", show=False, priority=True)]

    def __init__(self, source: Source, now: Callable[[], float] = time.time, *, in_session: bool = False) -> None:
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self._source = source
        self.model = Model(now)
        self.model.stays = in_session
        self.feed = Feed(source, self.model, self.show_view, self._log_error)
        self._quiet: Timer | None = None
        self.register_theme(THEME)
        if constants.DEFAULT_THEME == "textual-dark":
            self.theme = THEME.name

    def on_mount(self) -> None:
        """Show the main screen and start to read."""
        self.push_screen(MainScreen(self.model))
        self.run_worker(self.feed.run(), name="feed")

    def show_view(self) -> None:
        """Draw the model on the screen in front."""
        if isinstance(self.screen, MainScreen | Page) and self.screen.is_mounted:
            self.screen.show_view()

    def tell(self, text: str) -> None:
        """Show a line to the person for a moment."""
        self.model.notice = text
        self.show_view()
        if self._quiet:
            self._quiet.stop()
        self._quiet = self.set_timer(NOTICE_S, self._untell)

    def _untell(self) -> None:
        self.model.notice = ""
        self.show_view()

    def _log_error(self, text: str) -> None:
        self.log.error(text)

    def action_page(self, name: str) -> None:
        """Push the page of that name."""
        self.feed.letters_wanted = name == "letters"
        if self.feed.letters_wanted:
            self.feed.wake()
        self.push_screen(PAGES[name](self.model))

    def action_leave(self) -> None:
        """Quit, unless the monitor is a session's window."""
        if self.model.stays:
            self.tell("The monitor stays with its session; to leave that: tmux prefix, then d.")
        else:
            self.exit()

    def on_main_screen_jump(self, message: MainScreen.Jump) -> None:
        """Select the agent's window."""
        self.run_worker(self._jump(message.agent), name="jump", exclusive=True, group="jump")

    async def _jump(self, agent: Agent) -> None:
        if agent.status is AgentStatus.PLANNED:
            self.tell(f"{agent.name} has no window yet, it is only planned.")
            return
        try:
            await self._source.jump(agent.window)
        except TacoError as error:
            self.tell(error.message)
        except Exception as error:
            self._log_error(f"jump: {error!r}")
            self.tell(f"{type(error).__name__}: {error}")

    async def export_svg(self, path: Path, size: tuple[int, int] = (100, 30)) -> None:
        """Draw the session once, without a terminal, into an SVG file of `size` cells."""
        async with self.run_test(size=size) as pilot:
            while not self.feed.looks:
                await pilot.pause(0.05)
            await pilot.pause()
            path.write_text(self.export_screenshot(title="taco monitor"), encoding="utf-8")
