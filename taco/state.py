"""From what was seen of an agent to what it is doing. Pure, and by level: every call judges from the start.

Sources, best first: hooks and the CLI's own session file (the newer one counts), the pane title, the screen. The
screen overrules where it cannot be wrong: a dialog that is up is up, whatever a file still says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from taco.models import Agent, AgentState, Level, Pane
from taco.provider import ERRORS, Provider
from taco.screen import Reading, first_dialog, resets_at

HOOK_LEVELS = {
    "SessionStart": Level.IDLE,
    "UserPromptSubmit": Level.BUSY,
    "PreToolUse": Level.BUSY,
    "PostToolUse": Level.BUSY,
    "PermissionRequest": Level.WAITING,
    "Stop": Level.IDLE,
    "StopFailure": Level.IDLE,
}
_HOOK_ERRORS = {
    "authentication_failed": "authentication",
    "oauth_org_not_allowed": "authentication",
    "billing_error": "billing",
}
_NO_LETTERS = re.compile(r"[\W\d_]+")
SESSION_LEVELS = {"idle": Level.IDLE, "busy": Level.BUSY, "waiting": Level.WAITING}
_SILENT_S = 3.0  # a program without rules that has written nothing for so long never will before it is written to
_DRAWN_AFTER_S = 1.0  # a dialog that was announced may not be on the screen before that
LIMIT_MENU = "limit"  # what a provider calls the menu that opens by itself at a usage limit


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one source said last: a level, its detail, and when (epoch seconds)."""

    level: Level
    at: float
    source: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the model's side refused an agent's last turn with: `kind` is one of provider.ERRORS."""

    kind: str
    text: str
    at: float  # epoch seconds
    count: int = 1  # turns in a row that ended so


def refusal_of(error: str) -> str:
    """What a StopFailure hook of Claude Code calls an error, as one of provider.ERRORS (2.1.197)."""
    return _HOOK_ERRORS.get(error, error if error in ERRORS else "other")


def moves(provider: Provider, reading: Reading) -> str:
    """What of a screen changes only with what an agent does: no spinner, clock or counter."""
    text = "\n".join(reading.lines[: reading.composer_row])
    if provider.screen.busy:
        text = re.sub(provider.screen.busy, "", text, flags=re.MULTILINE)
    return _NO_LETTERS.sub("", text)


def from_hook(event: str, at: float, *, error: str = "", tool: str = "") -> Sighting | None:
    """What a hook of this name says of the agent; None when it says nothing."""
    level = HOOK_LEVELS.get(event)
    if level is None:
        return None
    if error == "rate_limit":
        return Sighting(Level.LIMITED, at, "hook", "rate limit")
    return Sighting(level, at, "hook", f"permission: {tool}".rstrip(": ") if level is Level.WAITING else "")


def from_session_file(status: str, waiting_for: str, at: float) -> Sighting | None:
    """What a CLI's own session file says; None for a status that is not known."""
    level = SESSION_LEVELS.get(status)
    if level is None:
        return None
    return Sighting(level, at, "session file", waiting_for.removesuffix(" prompt") if level is Level.WAITING else "")


def judge(
    agent: Agent,
    provider: Provider,
    pane: Pane | None,
    reading: Reading | None,
    sighting: Sighting | None,
    *,
    now: float,
    started_at: float,
    ready_timeout_s: float,
    limited_at: float | None = None,
    comes_up: bool = False,
) -> AgentState:
    """What `agent` is doing at `now`.

    `reading` is its screen now (None: not looked at), `sighting` the newest word of hooks or session file,
    `started_at` when its process was launched, `limited_at` when the CLI said what `reading.limited` holds (None: just
    now), `comes_up` that it is drawn, but not ready yet by what else is known of it. `since` is left as it is in
    `agent.state` while the level stays.
    """
    is_limited = reading is not None and _is_limited(reading, now if limited_at is None else limited_at, now)
    limit = _limit(reading, limited_at, now) if is_limited and reading is not None else ""
    found = _of_pane(agent, pane) or _of_screen(provider, reading, limit)
    late = now - started_at > ready_timeout_s
    if found is None:
        young = now - started_at < _SILENT_S
        is_fresh = not agent.session_id  # nobody has named its conversation yet
        awaited = comes_up or bool(provider.hooks and (provider.hooks_from_start or is_fresh))
        undrawn = agent.state.level in (Level.STARTING, Level.UNKNOWN) and not late
        awaited = awaited and not late
        found = _of_sources(provider, pane, reading, sighting, now, awaited=awaited, young=young, undrawn=undrawn)
    if found is None:
        found = AgentState(Level.UNKNOWN if late else Level.STARTING, "", now, "screen" if reading else "pane")
    before = agent.state
    if (before.level, before.detail) == (found.level, found.detail):
        return AgentState(found.level, found.detail, before.since, found.source)
    return AgentState(found.level, found.detail, now, found.source)


def _of_pane(agent: Agent, pane: Pane | None) -> AgentState | None:
    if pane is None:
        return AgentState(Level.LOST, "its window was closed", source="tmux")
    if pane.dead:
        return AgentState(Level.EXITED, pane.dead_status, source="tmux")
    if agent.pid and pane.pid != agent.pid:
        return AgentState(Level.LOST, "another process runs in its pane", source="tmux")
    return None


def _of_screen(provider: Provider, reading: Reading | None, limit: str) -> AgentState | None:
    """What the screen says against every other source."""
    if reading is None:
        return None
    if reading.exited:
        return AgentState(Level.EXITED, "ended by itself", source="screen")
    if limit and reading.waiting in ("", LIMIT_MENU):
        return AgentState(Level.LIMITED, limit, source="screen")
    if dialog := _dialog(provider, reading):
        return AgentState(Level.WAITING, dialog, source="screen")
    return None


def _limit(reading: Reading, said_at: float | None, now: float) -> str:
    """Until when the limit on the screen holds; where it names no time, its words."""
    until = resets_at(reading.limited, now if said_at is None else said_at)
    return reading.limited if until is None else until_words(until, now)


def until_words(until: float, now: float) -> str:
    """`until 13:51`, `until Nov 23, 14:00`: local time."""
    at, today = (datetime.fromtimestamp(each).astimezone() for each in (until, now))
    return f"until {at:%H:%M}" if at.date() == today.date() else f"until {at:%b} {at.day}, {at:%H:%M}"


def _is_limited(reading: Reading, said_at: float, now: float) -> bool:
    """Whether the limit on the screen holds still: its text stays there until the next answer, whatever the time."""
    until = resets_at(reading.limited, said_at)
    return bool(reading.limited) and not reading.busy and (until is None or now < until)


def _dialog(provider: Provider, reading: Reading) -> str:
    """The dialog that is up, with what the person should do where a provider says so; "" for none."""
    first = first_dialog(provider.dialogs, reading)
    if first is not None and reading.waiting in ("", first.name):
        return f"{first.name}: {first.hint}".rstrip(": ")
    return reading.waiting


def _of_sources(
    provider: Provider,
    pane: Pane | None,
    reading: Reading | None,
    sighting: Sighting | None,
    now: float,
    *,
    awaited: bool,
    young: bool,
    undrawn: bool,
) -> AgentState | None:
    composer = reading is not None and reading.composer_row is not None
    if not provider.reads_screen and not provider.hooks:
        # Until it has set its terminal up, an Enter becomes a line break and two messages one.
        starts = pane is not None and not pane.drawn and young
        return None if starts else AgentState(Level.IDLE, source="pane")
    if sighting is not None:
        stands = sighting.level in (Level.WAITING, Level.LIMITED) and now - sighting.at > _DRAWN_AFTER_S
        answered = stands and composer  # the dialog is off the screen again, the limit over
        hidden = sighting.level is Level.IDLE and reading is not None and provider.reads_screen and not composer
        if not answered and not hidden:
            return AgentState(sighting.level, sighting.detail, source=sighting.source)
        if hidden and undrawn:
            return None
        if hidden:
            return AgentState(Level.WAITING, "something covers the composer", source="screen")
    elif awaited:  # a hook, or the first prompt in the transcript
        return None  # drawn is not ready: messages sent before the first hook were lost (Claude Code 2.1.197)
    title = _of_title(provider, pane)
    if title is Level.BUSY or (reading is not None and reading.busy):
        return AgentState(Level.BUSY, source="title" if title is Level.BUSY else "screen")
    if composer or (title is Level.IDLE and not provider.reads_screen):
        return AgentState(Level.IDLE, source="screen" if composer else "title")
    return None


def _of_title(provider: Provider, pane: Pane | None) -> Level | None:
    if pane is None:
        return None
    if provider.busy_title and re.search(provider.busy_title, pane.title):
        return Level.BUSY
    if provider.idle_title and re.search(provider.idle_title, pane.title):
        return Level.IDLE
    return None
