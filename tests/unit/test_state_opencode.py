"""What OpenCode's screens and hooks say of its state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taco.models import Agent, AgentState, Level
from taco.screen import read_screen
from taco.state import Sighting, judge
from taco.tmux.commands import parse_pane
from tests.recording import screens_of

OPENCODE = screens_of("opencode")
NOON = 1_795_000_000.0
AGENT = Agent(3, "backend", pid=42, session_id="ses_1")
PANE = parse_pane("␞".join(["%5", "42", "s", "@3", "3", *[""] * 5, "120", "40", *[""] * 9]))
IDLE, BUSY = Sighting(Level.IDLE, NOON - 9, "hook"), Sighting(Level.BUSY, NOON - 9, "hook")


def judged(name: str, sighting: Sighting | None = None, after_s: float = 5) -> AgentState:
    reading = read_screen(OPENCODE.rules, OPENCODE.capture(f"{name}-120x40"))
    pane = replace(PANE, title="OC | A title")
    started_at = NOON - after_s
    return judge(AGENT, OPENCODE.provider, pane, reading, sighting, now=NOON, started_at=started_at, ready_timeout_s=60)


def test_drawn_is_not_ready_until_its_plugin_says_so() -> None:
    assert judged("idle_fresh").level is Level.STARTING
    assert judged("idle_fresh", IDLE).level is Level.IDLE


def test_without_its_plugin_the_screen_tells_in_the_end() -> None:
    assert judged("idle_replied", after_s=99).level is Level.IDLE
    assert judged("busy_silent", after_s=99).level is Level.BUSY


@pytest.mark.parametrize("name", ["permission", "permission_always", "question", "questions", "shell", "menu"])
def test_a_dialog_is_up_whatever_else_is_said(name: str) -> None:
    found = judged(name, BUSY)
    wanted = {"permission_always": "permission", "questions": "question", "menu": "dialog"}.get(name, name)
    assert (found.level, found.detail) == (Level.WAITING, wanted)


def test_a_screen_that_nothing_fits_holds() -> None:
    for name in ("held_quotes_menu", "menu_help"):
        assert judged(name, IDLE).level is Level.WAITING


def test_its_own_retries_are_work_and_a_wait_of_an_hour_is_a_limit() -> None:
    assert judged("busy_retrying", BUSY).level is Level.BUSY
    limited = judged("limited", BUSY)
    assert (limited.level, limited.detail) == (Level.LIMITED, "Rate limit reached")
    assert judged("idle_after_limit", IDLE).level is Level.IDLE


def test_without_a_model_the_person_has_to_log_in() -> None:
    found = judged("login", IDLE)
    assert (found.level, found.detail.partition(":")[0]) == (Level.WAITING, "login")


def test_one_that_ended_is_no_shell_to_type_into() -> None:
    assert judged("exited", IDLE).level is Level.EXITED
