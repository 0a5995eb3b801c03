"""How soon TACO knows that an agent began or ended a turn, by the time that the agent's own CLI wrote down."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.real_session import RealHouse, RealSession, Script, a_house, start
from tests.bench.result import Result
from tests.claude_env import claude_binary, claude_environment
from tests.claude_stub import ClaudeStub
from tests.support.waiting import wait_for

TITLE = "from a turn's begin or end in the transcript of the real Claude Code to TACO's event"
WITH_HOOKS_MS, WITHOUT_MS = 300.0, 1_500.0
SECONDS = 2  # that a turn lasts
BARE = ["claude", "--session-id", "{session_id}", "-n", "{agent}"]


def run(quick: bool) -> list[Result]:
    """Turns that a person begins by hand in an agent's window, with the hooks of the launch and without any."""
    turns = 4 if quick else 20
    try:
        claude_binary()
    except pytest.skip.Exception as missing:
        print(f"reaction: not measured: {missing.msg}", file=sys.stderr)
        return []
    with ClaudeStub(Script()) as stub, a_house("claude", partial(claude_environment, stub)) as house:
        house.variant("deaf", hooks="", evidence=["transcript"], command=BARE)
        with_hooks = list(measured(house, stub, "claude", turns, WITH_HOOKS_MS))
        return [*with_hooks, *measured(house, stub, "deaf", turns, WITHOUT_MS)]


def measured(house: RealHouse, stub: ClaudeStub, provider: str, turns: int, most_ms: float) -> Iterator[Result]:
    """The median of begins and of ends."""
    spec = house.root / f"{provider}.json"
    spec.write_text(json.dumps({"agents": [{"name": "alpha", "role": "does as told", "provider": provider}]}))
    crew = start(house, stub, f"r-{provider}", "--no-mother", "--spec", str(spec))
    crew.idle()
    for _ in range(turns):
        before = len(crew.events("agent.state"))
        crew.types("alpha", f"<<slow {SECONDS}>>")
        crew.reads("alpha", lambda reading: reading.draft)
        crew.press("alpha", "Enter")
        wait_for(lambda before=before: len(crew.events("agent.state")) >= before + 2, 60, crew.describe)
        crew.idle()
    records = [json.loads(line) for line in transcript(crew).read_text(encoding="utf-8").splitlines()]
    events = crew.events("agent.state")
    how = "with its hooks" if provider == "claude" else "without hooks"
    for what, level, moments in (("begin", "busy", begins(records)), ("end", "idle", ends(records))):
        late = list(reactions(moments[-turns:], [each for each in events if each["content"] == level]))
        note = f"{len(late)} turns, slowest {max(late):.0f} ms"
        yield Result(f"{what} of a turn, {how}", statistics.median(late), at_most=most_ms, note=note)
    crew.stop()


def transcript(crew: RealSession) -> Path:
    """What the CLI wrote down of the conversation."""
    (path,) = (crew.house.root / "claude-config" / "projects").rglob(f"{crew.conversation('alpha')}.jsonl")
    return path


def begins(records: list[dict[str, Any]]) -> list[float]:
    """When the turns began, epoch seconds."""
    return [at(each) for each in records if each.get("type") == "user" and isinstance(each["message"]["content"], str)]


def ends(records: list[dict[str, Any]]) -> list[float]:
    """When the turns ended."""
    return [at(each) for each in records if each.get("subtype") == "turn_duration"]


def at(record: dict[str, Any]) -> float:
    """The time of a record or an event."""
    return datetime.fromisoformat(record.get("timestamp") or record["ts"]).timestamp()


def reactions(moments: list[float], events: list[dict[str, Any]]) -> Iterator[float]:
    """Milliseconds from each moment to the first event that is not long before it."""
    times = sorted(map(at, events))
    for moment in moments:
        after = [each for each in times if moment - 1 <= each <= moment + 10 * SECONDS]
        if after:
            yield max(0.0, (after[0] - moment) * 1_000)
