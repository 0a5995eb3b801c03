"""Whatever a message, a name, an id or a path is made of: nothing but the text arrives, and nothing runs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taco import message
from taco.executor.text import mark_of, plain_id
from taco.models import Command, CommandState, Evidence, Ledger, Priority, When
from taco.records import Waiting
from taco.screen import read_screen
from taco.tmux import windows
from taco.tmux.commands import CommandPipe, command, quote
from taco.tmux.guard import Guard, Target, first_match
from taco.tmux.sight import seen_empty, seen_text
from tests.hostile import raw_argv, raw_provider
from tests.integration.test_guard_mutations import PROVIDER, RULE
from tests.support.delivery import Canvas, Rig
from tests.support.tmux import KEEPER, Tmux
from tests.support.waiting import wait_for

CANARY = "canary"  # a file in the directory that everything runs in; nobody may make it
OWNER = "s/be"
HARMFUL = [
    *(f"#({word})" for word in (f"touch {CANARY}", "sleep 9")),
    *("$(touch canary)", "`touch canary`", "; touch canary", "| touch canary", "&& touch canary", "\ntouch canary\n"),
    *("' ; run-shell 'touch canary", '" ; run-shell "touch canary', "} ; run-shell 'touch canary' ; {", "run-shell"),
    *("#{", "}", "#{E:@x}", "#{pane_pid}", "#[fg=red]", "##", "#", ",", ":", ";", " ;", "\\;", "\\", "'", '"', "'\\''"),
    *("-", "--", "-R", "-t", "%1", "%5", "%%", "%H:%M", "~", "$HOME", "@taco_agent", "Enter", "C-c", "Space"),
    *("\x1b[201~", "\x1b[31m", "\x07", "\x03", "\x04", "\x15", "\x00", "\x7f", "\x9b", "\r", "\r\n", "\n", "\t"),
    *("ü", "e\u0301", "→", "漢字", "🌮", "👨‍👩‍👧‍👦", "\u200b", "\u2028", "\u202e", "\ufeff", "\xa0", "\U0010ffff"),
]
texts = st.lists(st.sampled_from(HARMFUL) | st.text(max_size=12), min_size=1, max_size=12).map("".join)
bodies = texts.filter(lambda text: bool(message.sanitise(text).strip()))
names = st.from_regex(r"[a-z][a-z0-9_]{0,15}", fullmatch=True)
rows = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30) | texts.map(
    lambda text: message.sanitise(text).replace("\n", " ")[:60]
)
slowly = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Stage:
    """A raw reader in a pane, below a directory in which a canary would show."""

    def __init__(self, tmux: Tmux, directory: Path, canvas: Canvas) -> None:
        self.tmux = tmux
        self.directory = directory
        self.canvas = canvas
        self.target = Target(canvas.pane, canvas.pid, OWNER)

    @property
    def pipe(self) -> CommandPipe:
        return CommandPipe(self.tmux.socket)

    async def type(self, text: str, how: str) -> bytes:
        """What the program got of a text."""
        before = len(self.canvas.settled())
        guard = Guard(self.pipe, self.directory)
        assert (await guard.type_text(self.target, secrets.token_hex(4), text, how=how)).done
        return self.canvas.settled()[before:]


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmux_socket: str) -> AsyncIterator[Stage]:
    monkeypatch.chdir(tmp_path)  # the server's directory: what formats run, runs there
    tmux = Tmux(tmux_socket)
    tmux.start()
    pipe = CommandPipe(tmux.socket)
    pane = await windows.open_window(pipe, KEEPER, 3, "be", cwd=str(tmp_path))
    await windows.run_in(pipe, pane, raw_argv(tmp_path / "log"), cwd=str(tmp_path), owner=OWNER)
    yield Stage(tmux, tmp_path, Canvas(tmux, tmp_path / "log", pane))
    assert not list(tmp_path.glob(f"**/{CANARY}"))
    assert tmux.run("list-buffers", "-F", "#{buffer_name}") == ""


@slowly
@given(body=bodies, sender=names, target=names, header=st.booleans(), how=st.sampled_from(["auto", "keys", "paste"]))
async def test_nothing_but_the_text_arrives(
    stage: Stage, body: str, sender: str, target: str, header: bool, how: str
) -> None:
    text = message.compose(Command("c1", sender, target, body), header=header)
    assert await stage.type(text, how) == text.encode()


@slowly
@given(words=st.lists(texts.map(lambda text: text.translate({10: None, 13: None, 0: None})), min_size=1, max_size=20))
async def test_a_quoted_word_is_one_literal(stage: Stage, words: list[str]) -> None:
    words = [word.encode("utf-8", "ignore").decode() for word in words]
    pipe = stage.pipe
    for word in words:
        await pipe.run(f"set-environment -h -t {KEEPER} WORD {quote('=' + word)}")
        (answer,) = await pipe.run(f"show-environment -h -t {KEEPER} WORD")
        assert answer == f"WORD=={word}"


@slowly
@given(above=st.lists(rows, max_size=3), draft=rows, more=st.lists(rows, max_size=2))
async def test_a_guard_holds_on_the_screen_it_was_made_from(
    stage: Stage, above: list[str], draft: str, more: list[str]
) -> None:
    stage.canvas.draw(*above, f"> {draft}", *(f"  {row}" for row in more), RULE, cursor=(5, len(above)))
    capture = stage.tmux.run("capture-pane", "-p", "-e", "-t", stage.canvas.pane)
    reading = read_screen(PROVIDER.screen, capture)
    x, y = stage.tmux.show(stage.canvas.pane, "#{cursor_x} #{cursor_y}").split()
    guard = Guard(stage.pipe, stage.directory)
    for see in (seen_empty, seen_text):
        seen = see(PROVIDER, reading, (int(x), int(y)))
        assert (await guard.press_keys(stage.target, ["F1"], seen)).refused == ()


@slowly
@given(lines=st.lists(rows, min_size=1, max_size=8), data=st.data())
async def test_tmux_finds_what_is_found_here(stage: Stage, lines: list[str], data: st.DataObject) -> None:
    stage.canvas.draw(*lines)
    shown = stage.tmux.run("capture-pane", "-p", "-t", stage.canvas.pane).split("\n")
    pattern = f"^{message.literal(data.draw(st.sampled_from(shown)))}$"
    (answer,) = await stage.pipe.run(command("display-message", "-p", "-t", stage.canvas.pane, f"#{{C/r:{pattern}}}"))
    assert int(answer) == first_match(shown, pattern)


@given(st.text() | texts)
def test_an_id_is_harmless_where_formats_and_file_names_take_it(command_id: str) -> None:
    assert set(plain_id(command_id)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert 0 < len(plain_id(command_id)) <= 64


def test_ids_stay_apart() -> None:
    ids = ["c1", "c-1", "c_1", "c 1", "c/1", "c.1", "../c1", "#(c1)", "", "é", "e\u0301", "\ud800", "x" * 65, "x" * 66]
    assert len({plain_id(each) for each in ids}) == len(ids)
    assert plain_id("c-1") == "c-1"


def test_a_command_that_is_queued_again_has_another_mark() -> None:
    ledger = Ledger("c1", "a", "b", Priority.NORMAL, When.IDLE, CommandState.QUEUED)
    first, second = (mark_of(Waiting(Command("c1", "a", "b", "x"), ledger, entry)) for entry in ("1-0", "2-0"))
    assert first != second


async def test_ids_of_others_run_nothing_and_name_no_file(rig: Rig) -> None:
    log = rig.directory / "raw.log"
    await rig.start("be", raw_argv(log), raw_provider("raw", log))
    ids = ["../../canary", "#(touch canary)", "a,b}", "' ; run-shell 'touch canary' ; '", "a b\nc", "ü"]
    sent = [await rig.send("be", f"<{number}>", id=each) for number, each in enumerate(ids)]
    assert {ledger.evidence for ledger in await rig.ended(*sent)} == {Evidence.NONE}
    canvas = Canvas(rig.tmux, log, rig.agents["be"].pane)
    assert canvas.settled() == b"".join(f"<{number}>\r".encode() for number in range(len(ids)))
    assert not list(rig.directory.parent.glob(f"**/{CANARY}*"))
    assert not Path(CANARY).exists()


PLACES = [
    "plain",
    "it's",
    "two words",
    "#{pane_pid}",
    "#(touch canary)",
    "a##b",
    "#S",
    "$HOME",
    "ü 漢",
    "-x",
    "a;b ;",
    "{}",
]


@pytest.mark.parametrize("name", PLACES)
async def test_agents_live_in_directories_of_any_name(tmux: Tmux, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    pipe = CommandPipe(tmux.socket)
    pane = await windows.open_window(pipe, KEEPER, 3, "be", cwd=str(place))
    wait_for(lambda: tmux.show(pane, "#{pane_current_path}") == str(place), what=f"placeholder in {name}")
    log = tmp_path / "log"
    await windows.run_in(pipe, pane, raw_argv(log), cwd=str(place), owner=OWNER)
    canvas = Canvas(tmux, log, pane)
    assert tmux.show(pane, "#{pane_current_path}") == str(place)
    assert (await Guard(pipe, place).type_text(Target(pane, canvas.pid, OWNER), "one", "two\nlines")).done
    assert canvas.settled() == b"two\nlines"
    assert list(place.iterdir()) == []
