"""What Codex's screens, title and rollout say of its state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taco.models import Agent, AgentState, Level
from taco.screen import read_screen
from taco.state import Sighting, judge
from taco.tmux.commands import parse_pane
from tests.recording import screens_of

SCREENS = screens_of("codex")
PROVIDER = SCREENS.provider
NOON = 1_795_000_000.0
FRESH = Agent(3, "backend", pid=42)
RESUMED = replace(FRESH, session_id="7-8")
PANE = parse_pane("␞".join(["%5", "42", "s", "@3", "3", *[""] * 5, "120", "40", *[""] * 9]))


def judged(name: str, agent: Agent, sighting: Sighting | None = None, title: str = "project") -> AgentState:
    reading = read_screen(PROVIDER.screen, SCREENS.capture(f"{name}-120x40"))
    pane = replace(PANE, title=title)
    return judge(agent, PROVIDER, pane, reading, sighting, now=NOON, started_at=NOON - 5, ready_timeout_s=60)


def test_a_fresh_one_starts_until_its_brief_is_taken_a_resumed_one_is_ready_when_drawn() -> None:
    assert judged("idle_fresh", FRESH).level is Level.STARTING
    assert judged("idle_fresh", RESUMED).level is Level.IDLE


def test_the_title_alone_tells_that_it_streams() -> None:
    assert judged("busy_streaming", RESUMED, title="⠋ project").level is Level.BUSY
    assert judged("busy_silent", RESUMED).level is Level.BUSY


def test_a_turn_that_was_interrupted_is_over_by_its_rollout() -> None:
    assert judged("idle_interrupted", RESUMED, Sighting(Level.BUSY, NOON - 3, "hook")).level is Level.BUSY
    assert judged("idle_interrupted", RESUMED, Sighting(Level.IDLE, NOON - 1, "transcript")).level is Level.IDLE


@pytest.mark.parametrize("name", ["permission", "permission_write", "question", "plan"])
def test_a_dialog_is_up_whatever_else_is_said(name: str) -> None:
    found = judged(name, RESUMED, Sighting(Level.BUSY, NOON, "hook"), title="[ . ] Action Required | project")
    assert (found.level, found.detail) == (Level.WAITING, name.partition("_")[0])


@pytest.mark.parametrize("name", ["trust", "login", "hooks", "update"])
def test_a_dialog_of_the_first_start_tells_what_to_do(name: str) -> None:
    hint = next(dialog.hint for dialog in PROVIDER.dialogs if dialog.name == name)
    found = judged(name, FRESH)
    assert (found.level, found.detail) == (Level.WAITING, f"{name}: {hint}")


def test_a_limit_holds() -> None:
    found = judged("limited", RESUMED, Sighting(Level.IDLE, NOON, "hook"))
    assert found.level is Level.LIMITED
    assert judged("idle_after_limit", RESUMED, Sighting(Level.IDLE, NOON, "hook")).level is Level.IDLE
