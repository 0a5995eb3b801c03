"""What Claude Code's screens say of its state, by the screens that were recorded from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from taco.models import Agent, AgentState, Level
from taco.screen import Reading, read_screen
from taco.state import Sighting, from_hook, from_session_file, judge, moves, refusal_of, until_words
from taco.tmux.commands import parse_pane
from taco.transcript import said_at
from tests.recording import screens_of
from tests.support.paths import ROOT

SCREENS = screens_of("claude")
CLAUDE = SCREENS.provider
AGENT = Agent(3, "backend", pid=42)
PANE = parse_pane("␞".join(["%5", "42", "s", "@3", "3", *[""] * 5, "120", "40", *[""] * 9]))
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()
TWO = NOON + 7_200


def reading(name: str) -> Reading:
    return read_screen(CLAUDE.screen, SCREENS.capture(f"{name}-120x40"))


def judged(name: str, sighting: Sighting | None = None, *, now: float = NOON, **given: Any) -> AgentState:
    return judge(
        AGENT, CLAUDE, PANE, reading(name), sighting, now=now, started_at=NOON - 300, ready_timeout_s=60, **given
    )


@pytest.mark.parametrize("name", ["trust", "api_key", "bypass", "onboarding", "settings", "login"])
def test_a_dialog_of_the_first_start_tells_what_to_do(name: str) -> None:
    hint = next(dialog.hint for dialog in CLAUDE.dialogs if dialog.name == name)
    found = judged(name, Sighting(Level.IDLE, NOON, "hook"))
    assert (found.level, found.detail) == (Level.WAITING, f"{name}: {hint}")


@pytest.mark.parametrize("name", ["permission", "plan", "question"])
def test_any_other_dialog_is_named(name: str) -> None:
    found = judged(name, Sighting(Level.IDLE, NOON, "hook"))
    assert (found.level, found.detail) == (Level.WAITING, name)


@pytest.mark.parametrize("name", ["limited", "limited_menu"])
def test_a_limit_holds_until_it_ends_by_itself(name: str) -> None:
    idle = Sighting(Level.IDLE, NOON, "session file")
    for now in (NOON, TWO - 1):
        found = judged(name, idle, now=now, limited_at=NOON)
        assert (found.level, found.detail) == (Level.LIMITED, until_words(TWO, now))
    over = judged(name, idle, now=TWO, limited_at=NOON)
    assert over.level is (Level.IDLE if name == "limited" else Level.WAITING)


def test_a_limit_that_was_said_yesterday_is_over_today() -> None:
    assert judged("limited", Sighting(Level.IDLE, NOON, "hook"), limited_at=NOON - 86_400).level is Level.IDLE
    assert judged("limited", Sighting(Level.IDLE, NOON, "hook")).level is Level.LIMITED


def test_a_hooks_word_of_a_limit_ends_with_what_the_screen_says() -> None:
    limited = Sighting(Level.LIMITED, NOON, "hook", "rate limit")
    assert judged("limited", limited, now=TWO, limited_at=NOON).level is Level.IDLE
    assert judged("idle_replied", limited, now=NOON + 2).level is Level.IDLE


def test_a_dialog_that_was_announced_is_believed_before_it_is_drawn() -> None:
    announced = Sighting(Level.WAITING, NOON, "hook")
    assert judged("busy_tool", announced, now=NOON + 0.3).level is Level.WAITING
    assert judged("busy_tool", announced, now=NOON + 3).level is Level.BUSY


def test_every_source_calls_a_permission_dialog_alike() -> None:
    hook, file = from_hook("PermissionRequest", NOON), from_session_file("waiting", "permission prompt", NOON)
    assert hook is not None and file is not None
    assert {hook.detail, file.detail, judged("permission").detail} == {"permission"}


LIMIT = "You've hit your session limit · resets 2pm (UTC)"


def test_the_transcript_tells_when_a_limit_was_said() -> None:
    lines = [
        {"type": "assistant", "timestamp": "2026-11-19T12:00:00.000Z", "message": {"content": LIMIT}},
        {"type": "user", "timestamp": "2026-11-20T12:30:00.000Z", "message": {"content": LIMIT}},
        {"type": "assistant", "timestamp": "2026-11-20T12:00:00.000Z", "message": {"content": f"{LIMIT}\nWait."}},
        {"type": "assistant", "message": {"content": LIMIT}},
    ]
    held = "\n".join(map(json.dumps, lines)).encode()
    assert said_at(held, LIMIT) == NOON
    assert said_at(held, "You're out of usage") is None
    recorded = (ROOT / "fixtures" / "transcripts" / "error.jsonl").read_bytes()
    assert said_at(recorded, "API Error: 400") == datetime(2026, 11, 20, 11, 9, 36, 229_000, UTC).timestamp()


def test_until_names_the_day_where_it_is_another() -> None:
    noon = datetime(2026, 11, 20, 12, 0).astimezone().timestamp()
    assert until_words(noon + 7_200, noon) == "until 14:00"
    assert until_words(noon + 3 * 86_400, noon) == "until Nov 23, 12:00"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("authentication_failed", "authentication"),
        ("oauth_org_not_allowed", "authentication"),
        ("billing_error", "billing"),
        ("rate_limit", "rate_limit"),
        ("overloaded", "overloaded"),
        ("max_output_tokens", "other"),
        ("", "other"),
    ],
)
def test_what_a_hook_calls_an_error(error: str, kind: str) -> None:
    assert refusal_of(error) == kind


def test_a_spinner_a_clock_and_a_draft_are_no_progress() -> None:
    silent = SCREENS.capture("busy_silent-120x40")
    row = next(row for row in read_screen(CLAUDE.screen, silent).lines if "…" in row)
    later = read_screen(CLAUDE.screen, silent.replace(row[2:8], "Zzzzzz"))
    assert moves(CLAUDE, reading("busy_silent")) == moves(CLAUDE, later)
    streaming = SCREENS.capture("busy_streaming-120x40")
    more = read_screen(CLAUDE.screen, streaming.replace("word word", "word more", 1))
    assert moves(CLAUDE, reading("busy_streaming")) != moves(CLAUDE, more)
    assert moves(CLAUDE, reading("busy_draft")) == moves(CLAUDE, reading("busy_streaming"))
