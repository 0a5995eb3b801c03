"""Looks after what runs beside the executor: the monitor in window 1, and the release of TACO that is installed."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path

import taco
from taco import __version__, log, paths, processes
from taco.errors import TmuxError, TmuxGoneError
from taco.models import EventType, iso
from taco.orchestrator.desk import Desk
from taco.paths import SessionRecord
from taco.supervision import CRASH_LIMIT, CRASH_WINDOW_S
from taco.tmux import windows
from taco.tmux.commands import CommandPipe, command

MONITOR_ROUND_S = 5.0
PATIENCE_S = 2.0  # this may wait for another batch
RELEASE_ROUND_S = 10.0
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


class Monitor:
    """Starts the monitor again when it has ended; it watches over this process in turn."""

    def __init__(self, desk: Desk) -> None:
        """Nothing is started by this."""
        self._desk = desk
        self._given_up = False
        self._started: list[float] = []  # when it had to be started again, monotonic

    async def keep(self) -> None:
        """For as long as the session runs."""
        while True:
            await asyncio.sleep(MONITOR_ROUND_S)
            try:
                await self.look()
            except TmuxError as error:
                log.warning("monitor.failed", error=error.message)

    async def look(self, *, anew: bool = False) -> None:
        """Start it when it has ended, `anew` also when it runs, unless it ended too often. Raises TmuxError."""
        desk = self._desk
        pane_id, owner = str(desk.record.more.get("monitor_pane", "")), f"{desk.name}/monitor"
        pane = await desk.pipe.pane(pane_id, patience_s=PATIENCE_S) if pane_id and not self._given_up else None
        if pane is None or pane.agent != owner or (not anew and not pane.dead and processes.is_alive(pane.pid)):
            return
        now = time.monotonic()
        self._started = [at for at in self._started if now - at < CRASH_WINDOW_S]
        if len(self._started) >= CRASH_LIMIT:
            words = f"the monitor ended {CRASH_LIMIT} times in {CRASH_WINDOW_S:.0f} s and stays down: look at window 1"
            await desk.tell(EventType.MONITOR_CRASHED, f"{words}; then: taco executor --restart", level="error")
            self._given_up = True
            return
        self._started.append(now)
        launch = desk.record.directory / "launch" / "monitor.json"
        argv = [sys.executable, "-I", "-m", "taco", "exec-agent", str(launch)]
        await windows.run_in(desk.pipe, pane_id, argv, cwd=str(desk.record.project_dir), owner=owner)


async def let_ring(pipe: CommandPipe) -> None:
    """The bell of this process' own window is heard, as `notify` has it; those of agents are not."""
    if pane := os.environ.get("TMUX_PANE", ""):
        await pipe.run(command("set-option", "-w", "-t", pane, "monitor-bell", "on"))


async def note_end(record: SessionRecord) -> None:
    """Its terminal was taken from this process: write down whether its session or tmux itself is gone.

    Raises TmuxError when tmux does not answer.
    """
    pipe = CommandPipe(record.tmux_socket)
    try:
        panes = await pipe.panes()
        if any(pane.session == record.name or pane.agent in windows.runners(record.name) for pane in panes):
            return  # its window alone: it is opened again
        how = "its tmux session was closed"
    except TmuxGoneError:
        how = "its tmux server ended"
    finally:
        await pipe.close()
    now = paths.session(record.home, record.name)
    if now.status == paths.RUNNING:
        now.changed(more={**now.more, "ended": {"how": how, "at": iso(time.time())}}).save()


async def await_release(path: Path | None = None, *, every_s: float = RELEASE_ROUND_S) -> str:
    """The release that is installed at `path`, once that is another one than runs here.

    It must have stood there for two looks: an installation takes a moment.
    """
    path = path or Path(taco.__file__)
    before = __version__
    while True:
        await asyncio.sleep(every_s)
        found = release_at(path)
        if found and found != __version__ and found == before:
            return found
        before = found


def release_at(path: Path) -> str:
    """The release that a package's first file names; "" when it cannot be read, as in the midst of an installation."""
    try:
        found = _VERSION.search(path.read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found[1] if found else ""


def executor_argv(name: str) -> list[str]:
    """The command of a session's executor."""
    return [sys.executable, "-I", "-m", "taco", "executor", "--session", name]
