"""What Aider's screens say of its state: it has neither hooks nor a title."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taco.models import Agent, AgentState, Level
from taco.screen import read_screen
from taco.state import judge, moves
from taco.tmux.commands import parse_pane
from tests.recording import screens_of

NOON = 1_795_000_000.0
AGENT = Agent(3, "backend", pid=42, session_id="7-8")
PANE = parse_pane("␞".join(["%5", "42", "s", "@3", "3", *[""] * 5, "120", "40", *[""] * 9]))
SCREENS = screens_of("aider")


def judged(name: str, *, started_s: float = 5) -> AgentState:
    reading = read_screen(SCREENS.rules, SCREENS.capture(f"{name}-120x40"))
    pane = replace(PANE, title="machine")
    return judge(
        AGENT, SCREENS.provider, pane, reading, None, now=NOON, started_at=NOON - started_s, ready_timeout_s=60
    )


@pytest.mark.parametrize("name", ["idle_fresh", "idle_replied", "idle_interrupted", "idle_after_limit", "draft_line"])
def test_a_prompt_is_ready(name: str) -> None:
    assert judged(name).level is Level.IDLE


@pytest.mark.parametrize("name", ["busy_silent", "busy_streaming", "busy_tool", "busy_scrolled", "busy_retrying"])
def test_what_stands_below_a_message_is_work(name: str) -> None:
    assert judged(name).level is Level.BUSY


@pytest.mark.parametrize("name", ["permission", "output", "add_file", "edit", "edit_new", "multiline"])
def test_a_question_waits(name: str) -> None:
    found = judged(name)
    assert (found.level, found.detail) == (Level.WAITING, name.partition("_new")[0])


@pytest.mark.parametrize("name", ["git", "login"])
def test_a_dialog_of_the_first_start_tells_what_to_do(name: str) -> None:
    hint = next(dialog.hint for dialog in SCREENS.provider.dialogs if dialog.name == name)
    assert judged(name).detail == f"{name}: {hint}"


def test_a_limit_holds() -> None:
    assert judged("limited").level is Level.LIMITED


def test_before_its_first_prompt_it_starts_and_later_nobody_knows() -> None:
    capture = SCREENS.capture("idle_fresh-120x40")
    reading = read_screen(SCREENS.rules, capture[: capture.rindex("\x1b[38;5;40m──────────")])
    for started_s, level in ((5, Level.STARTING), (500, Level.UNKNOWN)):
        found = judge(
            AGENT, SCREENS.provider, PANE, reading, None, now=NOON, started_at=NOON - started_s, ready_timeout_s=60
        )
        assert found.level is level


def test_what_it_prints_is_progress() -> None:
    silent = read_screen(SCREENS.rules, SCREENS.capture("busy_silent-120x40"))
    running = read_screen(SCREENS.rules, SCREENS.capture("busy_tool-120x40"))
    assert "Waiting" in moves(SCREENS.provider, silent)
    assert moves(SCREENS.provider, silent) != moves(SCREENS.provider, running)
