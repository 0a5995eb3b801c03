"""The journal never waits for its screen, says what it left out, and knows from its file how far it came."""

from __future__ import annotations

import io
import json
import os
import pty
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from taco.models import Command, CommandState, Event, EventType, Evidence, Ledger, Outcome, Priority, When
from taco.orchestrator.journal import BEGINNING, Journal, position
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


AT = "2026-01-01T00:00:00.000Z"


def filled(path: Path, *ids: str, screen: TextIO | None = None) -> Journal:
    """A journal with an event of each id, and after them a line of the executor's own."""
    journal = Journal(path, screen or io.StringIO())
    for each in ids:
        journal.event(Event(EventType.AGENT_DONE, "s", id=each, ts=AT, agent="api", content=f"event {each}"))
    journal._log("warning", "round.failed", {"error": "no tmux"})
    return journal


def shown_again(path: Path, count: int = 50) -> list[str]:
    """The lines that a new journal shows of what the file holds."""
    screen = io.StringIO()
    journal = Journal(path, screen)
    journal.show_again(count)
    journal.close()
    return screen.getvalue().splitlines()


def test_ids_are_compared_as_numbers() -> None:
    pairs = [position(each) for each in ("9-10", "10-9", "10-10")]
    assert pairs == [(9, 10), (10, 9), (10, 10)]
    junk: list[object] = ["", "x", "1", "1-", "-1", "1-2-3", "1-2\n", "²-1", f"{'9' * 5000}-1", None, 7]
    assert [position(each) for each in junk] == [None] * len(junk)


def test_the_last_id_is_that_of_the_last_event_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert Journal(path, io.StringIO()).last_id() == BEGINNING
    assert filled(path, "9-0", "10-0", "10-1").last_id() == "10-1"
    assert filled(path).last_id() == "10-1"
    assert Journal(path, io.StringIO()).last_id() == "10-1"


def test_only_the_end_of_a_long_file_is_read_and_only_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl"
    ids = [f"{number}-0" for number in range(1, 40)]
    filled(path, *ids).close()
    whole = path.read_bytes()
    for block in (1, 7, 64, 100_000):  # lines begin at, before and behind the edges of blocks
        monkeypatch.setattr("taco.orchestrator.journal._BLOCK", block)
        path.write_bytes(whole)
        words = [line.split()[3] for line in shown_again(path, 5)[:-1]]
        assert words == ["event"] * 4, block
        assert len(shown_again(path, 1_000)) == 40
        path.write_bytes(whole + b'{"id":"99-0","ts":"2026')  # torn by a full disk
        assert Journal(path, io.StringIO()).last_id() == "39-0"


def test_after_a_torn_line_the_next_one_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"id":"1-0","ts":"2026')
    filled(path, "2-0").close()
    torn, event, _ = path.read_bytes().splitlines()
    assert torn == b'{"id":"1-0","ts":"2026'
    assert json.loads(event)["id"] == "2-0"
    filled(path, "3-0").close()
    assert len(path.read_bytes().splitlines()) == 5


def test_a_log_that_has_begun_anew_goes_on_where_the_one_before_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    filled(path, "1-0", "2-0").close()
    path.rename(tmp_path / "log.old.jsonl")
    assert Journal(path, io.StringIO()).last_id() == "2-0"
    filled(path).close()  # the executor's own words only
    assert Journal(path, io.StringIO()).last_id() == "2-0"
    assert [line.split()[1] for line in shown_again(path)] == [
        "agent.done",
        "agent.done",
        "round.failed",
        "round.failed",
    ]


def test_a_new_executor_shows_the_last_lines_as_they_were(tmp_path: Path) -> None:
    path, screen = tmp_path / "log.jsonl", io.StringIO()
    filled(path, *(f"{number}-0" for number in range(1, 80)), screen=screen).close()
    before, lines = path.read_bytes(), screen.getvalue().splitlines()
    again = shown_again(path)
    assert again[:-1] == lines[-50:-1]
    assert again[-1].split(" ", 1)[1] == lines[-1].split(" ", 1)[1]
    assert path.read_bytes() == before


def test_what_is_no_entry_is_not_shown_and_fails_nobody(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    filled(path, "1-0").close()
    junk = [b"", b"x", b"[1]", b"7", b'{"id":7}', b'{"id":"x"}', b"\xff", b"[" * 100_000]
    odd = (
        b'{"id":"2-0","ts":7,"session":"s","type":"agent.done","agent":"","command":"","level":[],"content":7,"data":7}'
    )
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in [*junk, odd]))
    shown = shown_again(path)
    assert [line.split()[1] for line in shown[:2]] == ["agent.done", "round.failed"]
    assert len(shown) <= 3
    assert Journal(path, io.StringIO()).last_id() == "2-0"
