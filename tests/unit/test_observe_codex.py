"""What an observer makes of Codex' hooks, rollouts and screens, as they come one after the other."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from taco.models import Agent
from taco.observe import Observer
from tests.recording import screens_of
from tests.support.paths import ROOT
from tests.unit.test_observe_claude import NOON, PID, Tmux

SCREENS = screens_of("codex")
REFUSED = (ROOT / "fixtures" / "transcripts" / "codex_refused.jsonl").read_bytes()
ENDED = next(each for each in map(json.loads, REFUSED.splitlines()) if each["payload"].get("type") == "task_complete")
ENDED_AT = datetime.fromisoformat(ENDED["timestamp"]).timestamp()
TURN = ENDED["payload"]["turn_id"]
TEXT = "the forbidden words"
ID = "01a22e3a-ee06"


class Eyes:
    """An observer of one agent, its clock, and what its CLI has written since a prompt was refused."""

    def __init__(self, directory: Path) -> None:
        self.now = ENDED_AT + 0.1
        self.spool = directory / "spool"
        self.spool.mkdir()
        day = directory / "sessions" / "2026" / "11" / "30"
        day.mkdir(parents=True)
        (day / f"rollout-x-{ID}.jsonl").write_bytes(REFUSED)
        self.tmux = Tmux(SCREENS)
        self.observer = Observer(self.tmux, lambda: self.now, ready_timeout_s=60)
        self.observer.watch(
            Agent(3, "backend", pane="%5", pid=PID, session_id=ID),
            SCREENS.provider,
            spool=self.spool,
            cwd="/p",
            environ={"CODEX_HOME": str(directory)},
            started_at=NOON,
        )

    def hook(self, prompt: str, turn: str) -> None:
        body = {"session_id": ID, "turn_id": turn, "prompt": prompt}
        name = f"{int(ENDED_AT * 1e9)}-{PID}-UserPromptSubmit.json"
        (self.spool / name).write_text(json.dumps(body))

    async def refusal(self, screen: str = "idle_fresh") -> str:
        self.tmux.screen = screen
        await self.observer.look("backend")
        return self.observer.refusal("backend", TEXT, mark=0)


@pytest.fixture
def eyes(tmp_path: Path) -> Eyes:
    return Eyes(tmp_path)


async def test_a_prompt_in_whose_turn_nothing_was_said_was_refused_with_the_words_on_the_screen(eyes: Eyes) -> None:
    assert await eyes.refusal("idle_refused") == ""  # no hook has named a turn
    eyes.hook(TEXT, TURN)
    words = "not on a Friday, and not on any other day of this week, nor of the next"
    assert await eyes.refusal("idle_refused") == f"a hook refused it (UserPromptSubmit): {words}"


async def test_words_that_do_not_show_are_awaited_for_a_moment(eyes: Eyes) -> None:
    eyes.hook(TEXT, TURN)
    assert await eyes.refusal("idle_after_refused") == ""
    eyes.now += 1
    assert await eyes.refusal("idle_after_refused") == "a hook refused it (UserPromptSubmit): it gave no reason"


async def test_another_prompt_or_a_turn_that_went_on_is_not_refused(eyes: Eyes) -> None:
    eyes.now += 60
    last = next(each for each in map(json.loads, reversed(REFUSED.splitlines())) if "turn_id" in each["payload"])
    eyes.hook(TEXT, last["payload"]["turn_id"])
    assert await eyes.refusal("idle_refused") == ""
    eyes.hook("other words", TURN)
    assert await eyes.refusal("idle_refused") == ""
