"""From what was seen of an agent to what it is doing: which source counts, and that none counts for ever."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import pytest

from taco.models import Agent, AgentState, Level, Pane
from taco.provider import Provider, parse_provider
from taco.screen import Reading, read_screen
from taco.state import Sighting, from_hook, from_session_file, judge
from taco.tmux.commands import parse_pane
from tests.hostile import hostile_provider, raw_provider

NOW = 1_700_000_000.0
AGENT = Agent(3, "be", pid=42)
PANE = parse_pane("␞".join(["%5", "42", "s", "@3", "3", *[""] * 5, "120", "40", *[""] * 9]))
RULE = "─" * 40
SCREEN = hostile_provider()
PLAIN = parse_provider(tomllib.loads(SCREEN), "plain.toml")
HOOKED = parse_provider(tomllib.loads(SCREEN.replace("[screen]", 'hooks = "claude"\n[screen]')), "hooked.toml")
TITLED = parse_provider(
    tomllib.loads(SCREEN.replace("[screen]", "idle_title = '^idle'\nbusy_title = '^busy'\n[screen]")), "titled.toml"
)
RAW = parse_provider(tomllib.loads(raw_provider("raw", "log")), "raw.toml")
EMPTY = [RULE, "> ", RULE, "  hostile · idle"]
WORKS = [RULE, "> ", RULE, "  hostile · working… esc to interrupt"]
ASKS = ["  Do you want to proceed?", "  ❯ 1. Yes"]


def judged(
    rows: list[str] | None,
    sighting: Sighting | None = None,
    *,
    provider: Provider = PLAIN,
    pane: Pane | None = PANE,
    agent: Agent = AGENT,
    age_s: float = 10,
) -> AgentState:
    reading = None if rows is None else read_screen(provider.screen, "\n".join(rows) + "\n")
    return judge(agent, provider, pane, reading, sighting, now=NOW, started_at=NOW - age_s, ready_timeout_s=60)


def sighting(level: Level, *, ago_s: float = 5, detail: str = "") -> Sighting:
    return Sighting(level, NOW - ago_s, "hook", detail)


# The pane comes first


@pytest.mark.parametrize(
    ("pane", "wanted"),
    [
        (None, (Level.LOST, "its window was closed")),
        (replace(PANE, dead=True, dead_status="3"), (Level.EXITED, "3")),
        (replace(PANE, dead=True), (Level.EXITED, "")),
        (replace(PANE, dead=True, dead_status="signal 9"), (Level.EXITED, "signal 9")),
        (replace(PANE, pid=43), (Level.LOST, "another process runs in its pane")),
        (replace(PANE, pid=43, dead=True, dead_status="0"), (Level.EXITED, "0")),
    ],
)
def test_without_its_process_nothing_else_counts(pane: Pane | None, wanted: tuple[Level, str]) -> None:
    found = judged(EMPTY, sighting(Level.IDLE), pane=pane)
    assert (found.level, found.detail) == wanted


def test_an_agent_whose_process_is_not_known_yet_has_any() -> None:
    assert judged(EMPTY, agent=replace(AGENT, pid=0)).level is Level.IDLE


# The screen


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (EMPTY, Level.IDLE),
        (WORKS, Level.BUSY),
        (ASKS, Level.WAITING),
        ([*ASKS, *EMPTY], Level.IDLE),  # a dialog above a live composer is history
        (["hostile agent ended."], Level.EXITED),
        (["starting up"], Level.STARTING),
    ],
)
def test_what_a_screen_says(rows: list[str], wanted: Level) -> None:
    assert judged(rows).level is wanted


def test_a_dialog_overrules_every_file() -> None:
    for level in (Level.IDLE, Level.BUSY):
        found = judged(ASKS, sighting(level, ago_s=0), provider=HOOKED)
        assert (found.level, found.detail, found.source) == (Level.WAITING, "permission", "screen")


def test_who_shows_nothing_for_long_is_unknown() -> None:
    assert judged(["starting up"], age_s=61).level is Level.UNKNOWN
    assert judged(None, age_s=61).level is Level.UNKNOWN
    assert judged(None, age_s=59).level is Level.STARTING


# Hooks and session files


def test_drawn_is_not_ready_where_hooks_will_speak() -> None:
    assert judged(EMPTY, provider=HOOKED).level is Level.STARTING
    assert judged(EMPTY, provider=HOOKED, age_s=61).level is Level.IDLE  # they never did
    assert judged(EMPTY, sighting(Level.IDLE), provider=HOOKED).level is Level.IDLE


def test_files_are_better_than_the_screen() -> None:
    assert judged(EMPTY, sighting(Level.BUSY), provider=HOOKED).level is Level.BUSY
    assert judged(WORKS, sighting(Level.IDLE), provider=HOOKED).level is Level.IDLE


def test_a_dialog_that_was_answered_is_over() -> None:
    told = sighting(Level.WAITING, detail="permission: Bash")
    assert judged(EMPTY, told, provider=HOOKED).level is Level.IDLE
    assert judged(WORKS, told, provider=HOOKED).level is Level.BUSY
    fresh = sighting(Level.WAITING, ago_s=0.2, detail="permission: Bash")
    assert judged(EMPTY, fresh, provider=HOOKED).detail == "permission: Bash"  # it may not be drawn yet


def test_something_may_cover_the_composer_of_an_idle_agent() -> None:
    rested = replace(AGENT, state=AgentState(Level.IDLE))
    found = judged(["  a menu", "  nobody knows"], sighting(Level.IDLE), provider=HOOKED, agent=rested)
    assert (found.level, found.detail) == (Level.WAITING, "something covers the composer")


def test_one_that_was_never_seen_drawn_starts_still() -> None:
    assert judged(["  a logo"], sighting(Level.IDLE), provider=HOOKED).level is Level.STARTING


@pytest.mark.parametrize(
    ("event", "level"),
    [
        ("SessionStart", Level.IDLE),
        ("UserPromptSubmit", Level.BUSY),
        ("PreToolUse", Level.BUSY),
        ("PostToolUse", Level.BUSY),
        ("PermissionRequest", Level.WAITING),
        ("Stop", Level.IDLE),
        ("StopFailure", Level.IDLE),
    ],
)
def test_what_a_hook_says(event: str, level: Level) -> None:
    found = from_hook(event, NOW)
    assert found is not None
    assert (found.level, found.at, found.source) == (level, NOW, "hook")


def test_hooks_that_say_nothing() -> None:
    assert from_hook("Notification", NOW) is None
    assert from_hook("SomethingNew", NOW) is None


def test_a_hook_tells_of_a_limit_and_of_a_tool() -> None:
    limited = from_hook("StopFailure", NOW, error="rate_limit")
    assert limited and (limited.level, limited.detail) == (Level.LIMITED, "rate limit")
    asking = from_hook("PermissionRequest", NOW, tool="Bash")
    assert asking and asking.detail == "permission: Bash"


@pytest.mark.parametrize(
    ("status", "waiting_for", "wanted"),
    [
        ("idle", "", (Level.IDLE, "")),
        ("busy", "permission prompt", (Level.BUSY, "")),
        ("waiting", "permission prompt", (Level.WAITING, "permission")),
    ],
)
def test_what_a_session_file_says(status: str, waiting_for: str, wanted: tuple[Level, str]) -> None:
    found = from_session_file(status, waiting_for, NOW)
    assert found and (found.level, found.detail) == wanted


def test_an_unknown_status_says_nothing() -> None:
    assert from_session_file("", "", NOW) is None
    assert from_session_file("dreaming", "", NOW) is None


# Titles, and programs without rules


@pytest.mark.parametrize(
    ("title", "rows", "wanted"),
    [
        ("busy ⠂", EMPTY, Level.BUSY),
        ("idle", EMPTY, Level.IDLE),
        ("idle", WORKS, Level.BUSY),
        ("idle", ["nothing drawn"], Level.STARTING),
        ("other", EMPTY, Level.IDLE),
    ],
)
def test_a_title_tells_of_work_but_not_of_a_composer(title: str, rows: list[str], wanted: Level) -> None:
    assert judged(rows, provider=TITLED, pane=replace(PANE, title=title)).level is wanted


@pytest.mark.parametrize(("drawn", "age_s"), [(True, 0), (False, 4)])
def test_a_raw_program_is_ready_when_it_has_written_something_or_never_does(drawn: bool, age_s: float) -> None:
    found = judged(None, provider=RAW, pane=replace(PANE, drawn=drawn), age_s=age_s)
    assert (found.level, found.source) == (Level.IDLE, "pane")


def test_a_raw_program_that_has_written_nothing_yet_starts() -> None:
    assert judged(None, provider=RAW, pane=replace(PANE, drawn=False), age_s=1).level is Level.STARTING


# Since when


def test_since_stays_while_the_level_does() -> None:
    def again(**changes: Any) -> AgentState:
        before = AgentState(Level.BUSY, "", NOW - 100, "title")
        return judged(WORKS, agent=replace(AGENT, state=replace(before, **changes)))

    assert again().since == NOW - 100
    assert again().source == "screen"
    assert again(level=Level.IDLE).since == NOW
    assert again(detail="other").since == NOW


def test_a_reading_that_was_not_taken_says_nothing() -> None:
    assert judged(None, sighting(Level.IDLE), provider=HOOKED).level is Level.IDLE
    assert Reading(()).ready is False
