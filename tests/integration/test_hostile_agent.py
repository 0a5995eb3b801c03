"""The hostile agent and the raw reader do, in a real terminal, exactly what their options say."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from taco.provider import Provider, parse_provider
from taco.screen import Reading, read_screen
from tests.hostile import Log, Received, hostile_argv, hostile_provider, raw_argv, raw_provider, read_log, read_raw
from tests.support import needs
from tests.support.tmux import Tmux, new_socket
from tests.support.waiting import wait_for


def provider(text: str) -> Provider:
    return parse_provider(tomllib.loads(text), "test")


SCREEN = provider(hostile_provider()).screen


@pytest.fixture(scope="module")
def server() -> Iterator[Tmux]:
    """One tmux server for all of these tests; each has panes of its own."""
    needs.require("tmux")
    server = Tmux(new_socket())
    server.start()
    yield server
    server.close()


@dataclass
class Pane:
    """A pane, and how a test types into it."""

    tmux: Tmux
    id: str
    log_path: Path

    def screen(self) -> str:
        return self.tmux.screen(self.id)

    def reading(self) -> Reading:
        return read_screen(SCREEN, self.tmux.run("capture-pane", "-p", "-e", "-t", self.id))

    def log(self) -> Log:
        return read_log(self.log_path)

    def until(self, condition: Callable[[], object]) -> None:
        wait_for(condition, what=lambda: f"{self.screen()}\n{self.log().lines}")

    def logs(self, event: str, count: int = 1) -> None:
        self.until(lambda: self.log().counts[event] >= count)

    def type(self, text: str) -> None:
        self.tmux.run("send-keys", "-t", self.id, "-l", "--", text)

    def keys(self, *names: str) -> None:
        self.tmux.run("send-keys", "-t", self.id, *names)

    def paste(self, text: str) -> None:
        self.tmux.run("load-buffer", "-b", "x", "-", stdin=text)
        self.tmux.run("paste-buffer", "-p", "-r", "-d", "-b", "x", "-t", self.id)

    def draft(self, text: str) -> None:
        """Types and waits until it stands there."""
        self.type(text)
        self.until(lambda: text in self.reading().draft.replace("\n", ""))

    def submit(self, text: str) -> None:
        self.draft(text)
        count = self.log().counts["submit"]
        self.keys("Enter")
        self.logs("submit", count + 1)

    def dead(self) -> str:
        self.tmux.run("run-shell", "true")  # tmux 3.3a may reap a child only when another one ends
        return self.tmux.show(self.id, "#{pane_dead} #{pane_dead_status}")


Start = Callable[..., Pane]


@pytest.fixture
def start(server: Tmux, tmp_path: Path) -> Iterator[Start]:
    """Starts a hostile agent with these options; it has drawn its composer, unless `ready=False`."""
    panes = []

    def started(*, ready: bool = True, **options: object) -> Pane:
        log = tmp_path / f"{len(panes)}.log"
        pane = Pane(server, server.pane(*hostile_argv(log, **options)), log)
        panes.append(pane.id)
        if ready:
            pane.until(lambda: pane.reading().ready)
        return pane

    yield started
    for pane in panes:
        server.run("kill-pane", "-t", pane, check=False)


def test_without_options_it_is_a_tame_agent(start: Start) -> None:
    pane = start()
    pane.submit("[a → b]: ü漢字 one")
    pane.paste("two\n> lines\nof it")
    pane.until(lambda: pane.reading().draft == "two\n> lines\nof it")
    pane.keys("Enter")
    pane.logs("submit", 2)
    assert pane.log().texts() == ["[a → b]: ü漢字 one", "two\n> lines\nof it"]
    assert [line["number"] for line in pane.log().events("submit")] == [1, 2]


def test_what_is_not_text_is_logged_exactly(start: Start) -> None:
    pane = start()
    pane.keys("-H", "61", "ff", "62")
    pane.until(lambda: pane.reading().draft)
    pane.keys("Enter")
    pane.logs("submit")
    assert pane.log().texts() == ["a\udcffb"]


def test_environment_and_first_prompt(server: Tmux, tmp_path: Path) -> None:
    log = tmp_path / "log"
    pane = Pane(server, server.pane("env", "HOSTILE_SWALLOW=1", *hostile_argv(log), "a first prompt"), log)
    pane.logs("submit")
    assert pane.log().events("submit")[0]["via"] == "argument"
    pane.until(lambda: pane.reading().ready)
    pane.draft("x")
    pane.keys("Enter")
    pane.logs("swallowed")


@pytest.mark.parametrize("seed", [1, 2])
def test_enters_are_swallowed_by_share(start: Start, seed: int) -> None:
    pane = start(swallow=0.5, seed=seed)
    pane.draft("again and again")
    chance = random.Random(f"{seed}/enter")
    for _ in range(8):
        event = "swallowed" if chance.random() < 0.5 else "submit"
        count = pane.log().counts[event] + 1
        pane.keys("Enter")
        pane.logs(event, count)
        if event == "submit":
            pane.until(lambda: pane.reading().ready)
            pane.draft("again and again")
    assert set(pane.log().submitted) <= {"again and again"}


def test_not_all_in_a_row(start: Start) -> None:
    pane = start(swallow=1, swallow_most=2)
    pane.draft("x")
    pane.keys("Enter", "Enter", "Enter")
    pane.logs("submit")
    assert pane.log().counts["swallowed"] == 2


def test_deaf_although_it_is_drawn(start: Start) -> None:
    pane = start(deaf_s=1)
    pane.type("lost")
    pane.logs("deaf")
    assert pane.log().texts("deaf") == ["lost"]
    pane.until(lambda: pane.type("x") or pane.reading().draft)
    assert "lost" not in pane.reading().draft


def test_a_late_start(start: Start) -> None:
    pane = start(ready=False, start_s=0.3)
    pane.logs("start")
    pane.type("early")
    pane.until(lambda: pane.reading().ready)
    assert pane.log().texts("deaf") == ["early"]


def test_a_fast_enter_is_a_line_break(start: Start) -> None:
    pane = start(fast_enter_ms=10_000)
    pane.type("text")
    pane.keys("Enter")
    pane.logs("newline")
    pane.type("more")
    pane.until(lambda: pane.reading().draft == "text\nmore")
    assert not pane.log().counts["submit"]


def test_a_fast_enter_is_told_by_time(start: Start) -> None:
    pane = start(fast_enter_ms=1)
    pane.draft("text")
    pane.keys("Enter")
    pane.logs("submit")


def test_a_paste_comes_late(start: Start) -> None:
    pane = start(paste_lag_ms=300)
    pane.paste("late")
    pane.keys("Enter")
    pane.logs("blank")
    pane.until(lambda: pane.reading().draft == "late")
    assert not pane.log().counts["submit"]


def test_a_change_shows_late(start: Start) -> None:
    pane = start(submit_lag_ms=300)
    pane.submit("text")
    assert pane.reading().draft == "text"
    pane.until(lambda: pane.reading().ready)


@pytest.mark.parametrize(("text", "lines"), [("a\nb\nc", 2), ("x" * 801, 0)])
def test_pastes_collapse(start: Start, text: str, lines: int) -> None:
    pane = start(collapse=True)
    pane.paste("a\nb")
    pane.until(lambda: pane.reading().draft == "a\nb")
    pane.keys("C-u")
    pane.paste(text)
    pane.until(lambda: pane.reading().placeholder)
    assert pane.reading().draft == f"[Pasted text #1 +{lines} lines]"
    pane.keys("Enter")
    pane.logs("submit")
    assert pane.log().texts() == [text]


def test_a_slow_reader_loses_nothing(start: Start) -> None:
    pane = start(slow="7:2")
    text = "".join(f"word{number} → ü漢 " for number in range(60)).strip()
    pane.type(text)
    pane.keys("Enter")
    pane.logs("submit")
    assert pane.log().texts() == [text]


def test_busy_and_queueing(start: Start) -> None:
    pane = start(busy_s=60)
    pane.submit("one")
    pane.until(lambda: pane.reading().busy)
    pane.submit("two")
    assert [line["queued"] for line in pane.log().events("submit")] == [False, True]


def test_busy_and_ignoring(start: Start) -> None:
    pane = start(busy_s=1, when_busy="ignore")
    pane.submit("one")
    pane.draft("two")
    pane.keys("Enter")
    pane.logs("ignored")
    pane.until(lambda: not pane.reading().busy)
    assert pane.reading().draft == "two"
    pane.keys("Enter")
    pane.logs("submit", 2)


def test_an_interrupt_puts_the_prompt_back(start: Start) -> None:
    pane = start(busy_s=60, put_back=True)
    pane.submit("do it")
    pane.keys("Escape")
    pane.until(lambda: pane.reading().draft == "do it")
    assert pane.log().texts("interrupted") == ["do it"]
    assert not pane.reading().busy


def test_a_dialog_after_a_message(start: Start) -> None:
    pane = start(dialog_at="2")
    pane.submit("one")
    pane.submit("two")
    pane.until(lambda: pane.reading().waiting == "permission")
    pane.type("lost")
    pane.paste("lost too")
    pane.logs("discarded", 2)
    pane.keys("Enter")
    pane.logs("approved")
    pane.until(lambda: pane.reading().ready)
    assert pane.log().texts("discarded") == ["lost", "lost too"]
    assert pane.log().texts("approved") == ["APPROVED"]
    assert pane.log().texts() == ["one", "two"]


def test_a_dialog_between_text_and_enter(start: Start) -> None:
    pane = start(dialog_at="1", dialog_when="text")
    pane.type("text")
    pane.until(lambda: pane.reading().waiting)
    pane.type("2")
    pane.logs("denied")
    pane.until(lambda: pane.reading().draft == "text")
    pane.keys("Enter")
    pane.logs("submit")


def test_a_dialog_that_goes_away(start: Start) -> None:
    pane = start(dialog_p=1, dialog_s=0.2)
    pane.submit("text")
    pane.logs("denied")
    pane.until(lambda: pane.reading().ready)


def test_dialogs_by_share(start: Start) -> None:
    pane = start(dialog_p=0.5, seed=6)
    for number in range(1, 7):
        pane.submit(f"message {number}")
        if random.Random(f"6/dialog/{number}").random() < 0.5:
            pane.until(lambda: pane.reading().waiting)
            pane.keys("Escape")
        pane.until(lambda: pane.reading().ready)
    assert pane.log().counts["denied"] == 3


@pytest.mark.parametrize(("when", "submitted"), [("text", ["one"]), ("enter", ["one"]), ("submit", ["one", "two"])])
def test_it_dies(start: Start, when: str, submitted: list[str]) -> None:
    pane = start(die_at="2", die_when=when, die_code=7)
    pane.submit("one")
    pane.type("two")
    if when != "text":
        pane.until(lambda: pane.reading().draft == "two")
        pane.keys("Enter")
    pane.until(lambda: pane.dead() == "1 7")
    assert pane.log().texts() == submitted
    assert pane.reading().exited
    assert pane.log().events("exit")[0]["code"] == 7


def test_a_ghost_is_no_draft(start: Start) -> None:
    pane = start(ghost="Try something")
    assert pane.reading().ghost
    assert "> Try something" in pane.screen()
    pane.draft("text")
    assert not pane.reading().ghost


@pytest.mark.parametrize(("history", "shown"), [("none", ""), ("marked", "» text"), ("same", "> text")])
def test_history(start: Start, history: str, shown: str) -> None:
    pane = start(history=history)
    pane.submit("text")
    pane.until(lambda: pane.reading().ready)
    assert shown in pane.screen()
    assert ("text" in pane.screen()) == bool(shown)


def test_a_normal_mode(start: Start) -> None:
    pane = start(vim=True)
    pane.keys("Escape")
    pane.until(lambda: "-- NORMAL --" in pane.screen())
    pane.type("dd")
    pane.logs("command")
    pane.type("i")
    pane.until(lambda: "NORMAL" not in pane.screen())
    pane.submit("text")
    assert pane.log().texts() == ["text"]


def test_redrawing_keeps_what_is_there(start: Start) -> None:
    pane = start(redraw_ms=5)
    for number in range(5):
        pane.submit(f"message {number}")
    assert pane.log().texts() == [f"message {number}" for number in range(5)]


def test_it_follows_the_size_of_its_pane(start: Start) -> None:
    pane = start()
    pane.draft("a draft")
    pane.tmux.run("resize-window", "-t", pane.id, "-x", "50", "-y", "12")
    pane.until(lambda: [line for line in pane.reading().lines if line.startswith("─")] == ["─" * 50] * 2)
    assert pane.reading().draft == "a draft"


def test_everything_at_once_loses_and_doubles_nothing(start: Start) -> None:
    """The way a careful sender works: text, wait for it to stand there, Enter until it is gone."""
    pane = start(
        seed=7, swallow=0.3, paste_lag_ms="1:30", draw_lag_ms="1:20", submit_lag_ms="1:40", busy_s="0:0.05",
        collapse=True, slow="64:1", ghost="Try it", history="same", dialog_p=0.2,
    )  # fmt: skip
    sent = []
    for number in range(15):
        text = f"[a → b]: {number} " + ("x\n" * (number % 5) + "end")
        sent.append(text)
        pane.until(lambda: pane.keys("Escape") or pane.reading().ready if pane.reading().waiting else True)
        pane.until(lambda: pane.reading().ready)
        pane.paste(text)
        pane.until(lambda wanted=text: pane.reading().placeholder or pane.reading().draft == wanted)
        while pane.log().counts["submit"] <= number:
            before = pane.log().counts["submit"] + pane.log().counts["swallowed"]
            pane.keys("Enter")
            pane.until(lambda: pane.log().counts["submit"] + pane.log().counts["swallowed"] > before)  # noqa: B023
        pane.until(lambda: pane.reading().waiting or pane.reading().ready)
    assert pane.log().texts() == sent
    assert not pane.log().counts["approved"]


# the providers


def test_the_provider_of_a_hostile_agent(tmp_path: Path) -> None:
    found = provider(hostile_provider("bad", tmp_path / "{agent}.log", swallow=0.2, vim=True, header=False))
    assert found.name == "bad"
    assert found.argv({"agent": "x"})[-2:] == ["--name", "x"]
    assert str(tmp_path / "x.log") in found.argv({"agent": "x"})
    assert {"--swallow", "0.2", "--vim"} <= set(found.command)
    assert found.reads_screen
    assert not provider(hostile_provider(screen=False)).reads_screen


def test_the_provider_of_a_raw_reader(tmp_path: Path) -> None:
    found = provider(raw_provider("raw", tmp_path / "log", bracketed=True))
    assert not found.evidence
    assert not found.reads_screen
    assert found.command[-1] == "--bracketed"


# the raw reader


@pytest.fixture
def read(server: Tmux, tmp_path: Path) -> Iterator[Callable[..., Pane]]:
    """Starts a raw reader; it is ready."""
    panes = []

    def started(**options: object) -> Pane:
        log = tmp_path / "raw.log"
        pane = Pane(server, server.pane(*raw_argv(log, **options)), log)  # type: ignore[arg-type]
        panes.append(pane.id)
        wait_for(lambda: "ready" in pane.screen())
        assert read_raw(log).ready
        return pane

    yield started
    for pane in panes:
        server.run("kill-pane", "-t", pane, check=False)


def received(pane: Pane, size: int) -> Received:
    wait_for(lambda: len(read_raw(pane.log_path).data) >= size)
    return read_raw(pane.log_path)


def test_raw_bytes(read: Callable[..., Pane]) -> None:
    pane = read()
    pane.type("a\tb\nü")
    pane.keys("C-c", "Enter")
    pane.keys("-H", "00", "ff")
    assert received(pane, 10).data == b"a\tb\n\xc3\xbc\x03\r\x00\xff"


def test_raw_times_only_grow(read: Callable[..., Pane]) -> None:
    pane = read()
    for text in ("one", "two"):
        pane.type(text)
        received(pane, 3)
    times = [at for at, _ in received(pane, 6).reads]
    assert times == sorted(times)


def test_pastes_are_framed_when_asked_for(read: Callable[..., Pane]) -> None:
    pane = read(bracketed=True, size=4)  # the brackets are cut by reads
    pane.paste("one\ntwo")
    pane.paste("three")
    got = received(pane, 36)
    assert got.pastes == [b"one\ntwo", b"three"]
    assert [kind for kind, _ in got.brackets] == ["begin", "end"] * 2


def test_pastes_are_not_framed_otherwise(read: Callable[..., Pane]) -> None:
    pane = read()
    pane.paste("one\ntwo")
    assert received(pane, 7).data == b"one\ntwo"


def test_a_big_paste_is_exact(read: Callable[..., Pane]) -> None:
    pane = read(bracketed=True)
    text = "".join(random.Random(1).choices("abc ü漢🙂\n;#{}'", k=60_000))
    pane.paste(text)
    assert received(pane, len(text.encode()) + 12).pastes == [text.encode()]


def test_canonical_lines(read: Callable[..., Pane]) -> None:
    pane = read(mode="canonical")
    pane.type("one")
    pane.keys("BSpace", "Enter")
    assert received(pane, 3).data == b"on\n"
