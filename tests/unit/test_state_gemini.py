"""What Gemini's screens and title say of its state."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from taco.models import Agent, AgentState, Level
from taco.screen import read_screen, resets_at
from taco.state import judge
from taco.tmux.commands import parse_pane
from tests.recording import screens_of

SCREENS = screens_of("gemini")
PROVIDER = SCREENS.provider
NOON = 1_795_000_000.0
AGENT = Agent(3, "backend", pid=42, session_id="7-8")
PANE = parse_pane("␞".join(["%5", "42", "s", "@3", "3", *[""] * 5, "120", "40", *[""] * 9]))


def judged(name: str, title: str = "", *, comes_up: bool = False, age_s: float = 5) -> AgentState:
    reading = read_screen(PROVIDER.screen, SCREENS.capture(f"{name}-120x40"))
    pane = replace(PANE, title=title)
    started_at = NOON - age_s
    return judge(
        AGENT, PROVIDER, pane, reading, None, now=NOON, started_at=started_at, ready_timeout_s=60, comes_up=comes_up
    )


def test_it_starts_until_its_brief_is_taken_or_that_takes_too_long() -> None:
    assert judged("idle_fresh").level is Level.IDLE
    assert judged("idle_fresh", comes_up=True).level is Level.STARTING
    assert judged("idle_fresh", comes_up=True, age_s=61).level is Level.IDLE


def test_screen_and_title_each_tell_that_it_works() -> None:
    assert judged("busy_streaming").level is Level.BUSY
    assert judged("busy_retrying").level is Level.BUSY
    assert judged("idle_fresh", "✦  Working… (project)").level is Level.BUSY


@pytest.mark.parametrize("name", ["permission", "permission_write", "permission_fetch", "question", "loop"])
def test_a_dialog_is_up_whatever_the_title_says(name: str) -> None:
    found = judged(name, "✦  Working… (project)")
    assert (found.level, found.detail) == (Level.WAITING, name.partition("_")[0])


@pytest.mark.parametrize("name", ["trust", "login"])
def test_a_dialog_of_the_first_start_tells_what_to_do(name: str) -> None:
    hint = next(dialog.hint for dialog in PROVIDER.dialogs if dialog.name == name)
    found = judged(name)
    assert (found.level, found.detail) == (Level.WAITING, f"{name}: {hint}")


def test_a_limit_holds_while_its_menu_is_open_and_when_that_was_left() -> None:
    for name in ("limited_menu", "limited", "limited_until"):
        assert judged(name).level is Level.LIMITED, name
    assert judged("idle_after_limit").level is Level.IDLE
    assert judged("idle_error").level is Level.IDLE


def test_it_says_when_a_limit_ends() -> None:
    limited = read_screen(PROVIDER.screen, SCREENS.capture("limited_until-120x40")).limited
    assert resets_at(limited, NOON) is not None
    midnight = datetime.fromisoformat("2026-11-22T00:15:00+00:00").timestamp()
    assert resets_at("Access resets at 12:15 AM UTC.", midnight - 7_000) == midnight


@pytest.mark.parametrize("name", ["shell_mode", "vim_normal"])
def test_a_mode_in_which_text_is_no_message_is_not_written_to(name: str) -> None:
    assert read_screen(PROVIDER.screen, SCREENS.capture(f"{name}-120x40")).draft.strip()
