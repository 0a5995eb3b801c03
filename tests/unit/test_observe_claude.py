"""What an observer makes of Claude Code's hooks, files and screens, as they come one after the other."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from taco.models import Agent, Evidence, Level
from taco.observe import Observer
from taco.state import Refusal
from taco.tmux.commands import PANE_FORMAT, CommandPipe
from taco.transcript import transcript_path
from tests.recording import Screens, screens_of

SCREENS = screens_of("claude")
CLAUDE = SCREENS.provider
NOON = 1_795_176_000.0
PID = os.getpid()  # one that lives
TEXT = "[mother → backend]: build it"


class Tmux(CommandPipe):
    """A tmux whose only pane shows a recorded screen."""

    def __init__(self, screens: Screens = SCREENS) -> None:
        super().__init__("none")
        self.screens = screens
        self.screen = "idle_fresh"

    async def run(self, line: str) -> list[str]:
        known = {"pane_id": "%5", "pane_pid": str(PID), "session_name": "s", "window_id": "@3", "window_index": "3"}
        known |= {"pane_width": "120", "pane_height": "40"}
        pane = [known.get(name.strip("#{}"), "") for name in PANE_FORMAT.split("␞")]
        capture = self.screens.capture(f"{self.screen}-120x40")
        return [f"2 14 {'␞'.join(pane)}", *capture.split("\n")]


class Eyes:
    """An observer of one agent, its clock, and what the CLI drops for it."""

    def __init__(self, directory: Path) -> None:
        self.now = NOON
        self.tmux = Tmux()
        self.spool = directory / "spool"
        self.config = directory / "config"
        self.spool.mkdir()
        self.observer = Observer(self.tmux, lambda: self.now, ready_timeout_s=60)
        self.observer.watch(
            Agent(3, "backend", pane="%5", pid=PID, session_id="one"),
            CLAUDE,
            spool=self.spool,
            cwd="/p",
            environ={"CLAUDE_CONFIG_DIR": str(self.config)},
            started_at=NOON,
        )

    async def level(self, screen: str = "", *, after_s: float = 0.0) -> Level:
        self.now += after_s
        self.tmux.screen = screen or self.tmux.screen
        return (await self.observer.look("backend")).state.level

    async def refused(self, screen: str, *, after_s: float = 0.0) -> Refusal | None:
        await self.level(screen, after_s=after_s)
        return self.observer.refused("backend")

    def hook(self, event: str, *, in_s: float = 0.0, pid: int = PID, **said: str) -> None:
        name = f"{int((self.now + in_s) * 1e9)}-{pid}-{event}.json"
        (self.spool / name).write_text(json.dumps(said))

    def says(self, text: str, at: str) -> None:
        path = transcript_path(self.config, Path("/p"), "one")
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"type": "assistant", "timestamp": at, "message": {"content": text}}))

    def file(self, status: str) -> None:
        path = self.config / "sessions" / f"{PID}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"pid": PID, "status": status}))
        os.utime(path, (self.now, self.now))

    def evidence(self, since: float) -> Evidence | None:
        return self.observer.evidence("backend", TEXT, since=since, mark=0)


@pytest.fixture
def eyes(tmp_path: Path) -> Eyes:
    return Eyes(tmp_path)


async def test_it_is_not_ready_before_its_brief_is_submitted(eyes: Eyes) -> None:
    assert await eyes.level("idle_fresh") is Level.STARTING
    eyes.hook("SessionStart", source="startup")
    assert await eyes.level() is Level.STARTING
    eyes.hook("UserPromptSubmit", prompt="You are backend")
    assert await eyes.level() is Level.BUSY
    eyes.hook("Stop", in_s=1)
    assert await eyes.level(after_s=2) is Level.IDLE


async def test_a_resumed_one_is_ready_at_once(eyes: Eyes) -> None:
    eyes.hook("SessionStart", source="resume")
    assert await eyes.level("idle_replied") is Level.IDLE


async def test_the_time_at_a_dialog_of_the_first_start_is_the_persons(eyes: Eyes) -> None:
    assert await eyes.level("trust", after_s=3_600) is Level.WAITING
    assert await eyes.level("idle_fresh", after_s=1) is Level.STARTING
    assert await eyes.level(after_s=61) is Level.IDLE


async def test_a_hook_from_before_the_clock_was_set_back_does_not_last(eyes: Eyes) -> None:
    eyes.hook("UserPromptSubmit", in_s=3_600, prompt=TEXT)
    assert await eyes.level("busy_silent") is Level.BUSY
    eyes.hook("Stop", in_s=1)
    assert await eyes.level("idle_replied", after_s=2) is Level.IDLE


async def test_a_turn_has_ended_when_the_session_file_says_so_too(eyes: Eyes) -> None:
    eyes.file("busy")
    eyes.hook("Stop", in_s=0.1)
    assert await eyes.level("idle_replied", after_s=1) is Level.BUSY
    assert await eyes.level(after_s=3) is Level.IDLE  # a release that no longer keeps such a file
    eyes.hook("UserPromptSubmit", prompt=TEXT)
    eyes.file("busy")
    eyes.hook("Stop", in_s=0.1)
    assert await eyes.level(after_s=0.2) is Level.BUSY
    eyes.file("idle")
    assert await eyes.level() is Level.IDLE


async def test_only_a_hook_of_this_process_with_this_text_after_enter_counts(eyes: Eyes) -> None:
    eyes.hook("UserPromptSubmit", prompt=TEXT, in_s=-1)
    eyes.hook("UserPromptSubmit", prompt=f"{TEXT} and more")
    eyes.hook("UserPromptSubmit", prompt=TEXT, pid=PID + 1)
    eyes.hook("Stop", prompt=TEXT)
    assert eyes.evidence(NOON) is None
    eyes.hook("UserPromptSubmit", prompt=f"{TEXT}\n", in_s=0.1)
    assert eyes.evidence(NOON) is Evidence.HOOK


@pytest.mark.parametrize(
    ("said", "level"), [("2026-11-19T12:00:00Z", Level.IDLE), ("2026-11-20T12:00:00Z", Level.LIMITED)]
)
async def test_a_limit_counts_from_when_it_was_said(eyes: Eyes, said: str, level: Level) -> None:
    eyes.says("You've hit your session limit · resets 2pm (UTC)", said)
    eyes.hook("StopFailure", error="rate_limit")
    assert await eyes.level("limited", after_s=2) is level
    assert await eyes.level(after_s=7_200) is Level.IDLE
    assert await eyes.level(after_s=80_000) is Level.IDLE


async def test_turns_that_are_refused_are_counted_until_one_goes_well(eyes: Eyes) -> None:
    assert await eyes.refused("idle_replied") is None
    for count in (1, 2):
        eyes.hook("StopFailure", error="server_error", last_assistant_message="API Error: 500\nInternal", in_s=count)
        found = await eyes.refused("error_server_error", after_s=count)
        assert found is not None
        assert (found.kind, found.count) == ("server_error", count)
        assert found.text.startswith("API Error: 500 Internal server error.")  # as the screen has it
    eyes.hook("StopFailure", error="overloaded", in_s=3)
    found = await eyes.refused("idle_replied", after_s=3)
    assert found is not None
    assert (found.kind, found.text, found.count) == ("overloaded", "", 1)
    eyes.hook("Stop", in_s=4)
    assert await eyes.refused("idle_replied", after_s=4) is None


async def test_a_turn_too_short_to_be_seen_is_refused_with_what_the_screen_says_now(eyes: Eyes) -> None:
    for error in ("overloaded", "authentication", "overloaded"):
        found = await eyes.refused(f"error_{error}", after_s=1)
        assert found is not None
        assert (found.kind, found.count) == (error, 1)
