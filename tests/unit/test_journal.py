"""The journal never waits for its screen, and says what it left out."""

from __future__ import annotations

import io
import os
import pty
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from taco.models import Command, CommandState, Event, EventType, Evidence, Ledger, Outcome, Priority, When
from taco.orchestrator.journal import Journal
from taco.orchestrator.terminal import MOST_LINES, Terminal
from taco.records import command_event, finished_event, held_event, queued_event


@pytest.fixture
def tty() -> Iterator[tuple[int, TextIO]]:
    """The person's side of a terminal, and the program's."""
    person, program = pty.openpty()
    os.set_blocking(person, False)
    with open(program, "w", encoding="utf-8") as stream:  # noqa: PTH123  a descriptor
        yield person, stream
    os.close(person)


def read(person: int, terminal: Terminal) -> str:
    """Everything that the person gets to see."""
    found = b""
    while True:
        terminal.flush()
        try:
            found += os.read(person, 65_536)
        except BlockingIOError:
            return found.decode()


def test_a_terminal_that_nobody_reads_holds_up_nothing(tty: tuple[int, TextIO]) -> None:
    person, stream = tty
    terminal = Terminal(stream)
    for number in range(MOST_LINES * 2):
        terminal.line(f"{number} {'x' * 200}")
    shown = read(person, terminal).splitlines()
    first, last = int(shown[0].split()[0]), int(shown[-2].split()[0])
    assert (first, last) == (0, len(shown) - 2)
    assert shown[-1] == f"… {MOST_LINES * 2 - len(shown) + 1} lines left out"


def test_ctrl_s_stops_nothing_and_the_terminal_is_left_as_it_was(tty: tuple[int, TextIO]) -> None:
    person, stream = tty
    before = termios.tcgetattr(stream.fileno())
    terminal = Terminal(stream)
    os.write(person, b"\x13")
    terminal.line("after it")
    assert "after it" in read(person, terminal)
    terminal.close()
    assert termios.tcgetattr(stream.fileno()) == before
    assert os.get_blocking(stream.fileno())


def test_what_is_no_terminal_gets_every_line(tmp_path: Path) -> None:
    screen = io.StringIO()
    journal = Journal(tmp_path / "log.jsonl", screen)
    journal.event(Event(EventType.REDIS_FAILED, "s", ts="2026-01-01T00:00:00.000Z", content="gone\x1b[2J"))
    journal.close()
    assert "redis.failed" in screen.getvalue()
    assert "\x1b[2J" not in screen.getvalue()
    assert "redis.failed" in (tmp_path / "log.jsonl").read_text()


def test_a_line_of_a_message_says_from_whom_to_whom_it_goes(tmp_path: Path) -> None:
    screen = io.StringIO()
    journal = Journal(tmp_path / "log.jsonl", screen)
    command = Command("c1", "person", "mother", "use port 3001\nor another " + "x" * 200)
    ledger = Ledger("c1", "person", "mother", Priority.NORMAL, When.IDLE, CommandState.QUEUED, preview=command.message)
    journal.event(queued_event("s", command))
    journal.event(command_event(EventType.COMMAND_TYPED, "s", ledger, "2026-01-01T00:00:00.000Z"))
    journal.event(command_event(EventType.COMMAND_ENTERED, "s", ledger, "2026-01-01T00:00:00.000Z", enters=1))
    end = Outcome(CommandState.DELIVERED, Evidence.HOOK)
    journal.event(finished_event("s", ledger, end, "2026-01-01T00:00:01.000Z"))
    journal.event(held_event("s", "mother", "c1", "a draft stands in the composer", "2026-01-01T00:00:01.000Z"))
    journal.close()
    words = [line.split(" ", 2)[2].strip().removesuffix("\x1b[0m") for line in screen.getvalue().splitlines()]
    first = f"person → mother: {command.message[:80]}".replace("\n", " ")
    assert words[:3] == [f"{first} [c1]"] * 3
    assert words[3:] == [f"{first} (seen by hook) [c1]", "mother: a draft stands in the composer [c1]"]


def test_the_log_is_its_owners_also_when_it_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taco.orchestrator.journal.MOST_BYTES", 10)
    path = tmp_path / "log.jsonl"
    path.touch(mode=0o644)
    journal = Journal(path, io.StringIO())
    journal.event(Event(EventType.REDIS_FAILED, "s", ts="2026-01-01T00:00:00.000Z", content="gone"))
    journal.close()
    modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    assert modes == {"log.jsonl": 0o600, "log.old.jsonl": 0o600}


def test_what_json_cannot_hold_or_comes_after_the_end_fails_nobody(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.jsonl", io.StringIO())
    event = Event(EventType.REDIS_FAILED, "s", ts="2026-01-01T00:00:00.000Z", content="a\ud800b")
    journal.event(event)
    journal.close()
    journal.event(event)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1
