"""What an observer makes of Gemini's chats and screens, as they come one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from taco.models import Agent, Evidence, Level
from taco.observe import Observer
from tests.recording import screens_of
from tests.support.paths import ROOT
from tests.unit.test_observe_claude import NOON, PID, Tmux

SCREENS = screens_of("gemini")
CHAT = (ROOT / "fixtures" / "transcripts" / "gemini.jsonl").read_bytes()
HEAD = b"\n".join(CHAT.split(b"\n")[:2]) + b"\n"  # before the first message
ID = "3b241101-e2bb-4255-8caf-4136c566a962"


class Eyes:
    """An observer of one agent, its clock, and the chats that its CLI writes."""

    def __init__(self, directory: Path) -> None:
        self.now = NOON
        self.tmux = Tmux(SCREENS)
        self.chats = directory / ".gemini" / "tmp" / "p" / "chats"
        self.chats.mkdir(parents=True)
        self.retries = directory / "retries" / "backend.log"
        self.observer = Observer(self.tmux, lambda: self.now, ready_timeout_s=60)
        self.observer.watch(
            Agent(3, "backend", pane="%5", pid=PID, session_id=ID),
            SCREENS.provider,
            spool=directory / "spool" / "backend",
            cwd="/p",
            environ={"GEMINI_CLI_HOME": str(directory)},
            started_at=NOON,
        )

    async def level(self, *, after_s: float = 0.0) -> Level:
        self.now += after_s
        return (await self.observer.look("backend")).state.level

    def writes(self, lines: bytes, at: str = "23-07") -> None:
        with (self.chats / f"session-2026-11-21T{at}-{ID[:8]}.jsonl").open("ab") as file:
            file.write(lines)


@pytest.fixture
def eyes(tmp_path: Path) -> Eyes:
    return Eyes(tmp_path)


async def test_it_is_not_ready_before_its_brief_is_in_its_chat_and_its_composer_has_stood(eyes: Eyes) -> None:
    assert await eyes.level() is Level.STARTING
    eyes.writes(HEAD)
    assert await eyes.level(after_s=2) is Level.STARTING
    eyes.writes(CHAT[len(HEAD) :])
    assert await eyes.level() is Level.STARTING
    assert await eyes.level(after_s=1.6) is Level.IDLE


async def test_one_that_never_takes_its_brief_is_judged_by_its_screen(eyes: Eyes) -> None:
    assert await eyes.level(after_s=61) is Level.IDLE


async def test_a_resumed_one_is_followed_where_it_goes_on(eyes: Eyes) -> None:
    eyes.writes(CHAT)
    eyes.writes(HEAD, at="23-09")  # what a resumed process leaves beside
    mark = eyes.observer.transcript_size("backend")
    assert mark == len(CHAT)
    text = "[mother → backend]: go on"
    assert eyes.observer.evidence("backend", text, since=NOON, mark=mark) is None
    eyes.writes(f'{{"id":"9","type":"user","content":[{{"text":"{text}"}}]}}\n'.encode())
    assert eyes.observer.evidence("backend", text, since=NOON, mark=mark) is Evidence.TRANSCRIPT


def test_its_tokens_and_its_last_answer_are_in_its_chat(eyes: Eyes) -> None:
    eyes.writes(CHAT)
    assert eyes.observer.last_answer("backend") == "ack 10"
    assert eyes.observer.tokens("backend") % 1_042 == 0
    assert eyes.observer.tokens("backend") > 0


async def test_what_it_tries_again_stands_in_its_log_alone(eyes: Eyes) -> None:
    eyes.writes(CHAT)
    eyes.tmux.screen = "busy_retrying"
    await eyes.level()
    assert await eyes.level(after_s=2) is Level.BUSY
    began = eyes.now
    await eyes.level(after_s=30)
    assert eyes.observer.moved_at("backend") == began
    eyes.retries.parent.mkdir()
    eyes.retries.write_text("[WARN] Attempt 1 failed with status 500. Retrying with backoff...\n")
    await eyes.level(after_s=30)
    assert eyes.observer.moved_at("backend") == eyes.now
