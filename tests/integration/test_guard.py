"""The guard types what it is given, once, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from taco.errors import TmuxError
from taco.tmux import windows
from taco.tmux.commands import CommandPipe
from taco.tmux.guard import NOTHING_SEEN, Guard, Seen, Target, Verdict, first_match, record
from tests.hostile import raw_argv
from tests.support.delivery import Canvas
from tests.support.tmux import KEEPER, Tmux
from tests.support.waiting import wait_for

OWNER = "s/be"


class Stage:
    """A raw reader in a pane, and a guard."""

    def __init__(self, tmux: Tmux, directory: Path, canvas: Canvas) -> None:
        self.tmux = tmux
        self.canvas = canvas
        self.buffers = directory / "buffers"
        self.buffers.mkdir()
        self.pipe = CommandPipe(tmux.socket)
        self.guard = Guard(self.pipe, self.buffers)
        self.target = Target(canvas.pane, canvas.pid, OWNER)

    def left(self) -> list[str]:
        """Buffers and files that somebody forgot."""
        return [*self.tmux.run("list-buffers", "-F", "#{buffer_name}").split(), *map(str, self.buffers.iterdir())]

    def option(self, name: str) -> str:
        return self.tmux.show(self.canvas.pane, f"#{{{name}}}")


@pytest.fixture
async def stage(tmux: Tmux, tmp_path: Path) -> Stage:
    return await open_stage(tmux, tmp_path)


async def open_stage(tmux: Tmux, tmp_path: Path, **options: bool) -> Stage:
    pipe = CommandPipe(tmux.socket)
    pane = await windows.open_window(pipe, KEEPER, 3, "be", cwd="/")
    await windows.run_in(pipe, pane, raw_argv(tmp_path / "log", **options), cwd="/", owner=OWNER)  # type: ignore[arg-type]
    return Stage(tmux, tmp_path, Canvas(tmux, tmp_path / "log", pane))


BODIES = {
    "key name": "Enter",
    "control": "C-c",
    "semicolon": "ls ;",
    "dash": "-R",
    "double dash": "--",
    "quotes": 'it\'s "quoted" `and` $HOME',
    "format": "#{pane_pid} #(touch /tmp/x) #[fg=red] ##",
    "braces": "} { display-message -p done } {",
    "backslash": "a\\b\\",
    "unicode": "Grüße → 漢字 🌮 👨‍👩‍👧‍👦 e\u0301",
    "tilde": "~ ~root %1 %5",
    "spaces": "  two  before and after  ",
    "long line": "x" * 16_000,
    "lines": "one\ntwo\n\nfour\n",
}


@pytest.mark.parametrize("how", ["auto", "keys", "paste"])
@pytest.mark.parametrize("text", BODIES.values(), ids=BODIES)
async def test_what_is_typed_arrives_byte_for_byte(stage: Stage, text: str, how: str) -> None:
    assert (await stage.guard.type_text(stage.target, "one", text, how=how)).done
    assert stage.canvas.settled() == text.encode()
    assert stage.left() == []
    assert stage.option("@taco_typed") == record("one", stage.target.pid)


async def test_lines_go_as_one_paste_where_the_program_asked_for_it(tmux: Tmux, tmp_path: Path) -> None:
    stage = await open_stage(tmux, tmp_path, bracketed=True)
    assert (await stage.guard.type_text(stage.target, "one", "one\ntwo")).done
    stage.canvas.settled()
    assert stage.canvas.received().pastes == [b"one\ntwo"]


async def test_a_megabyte_arrives_and_enter_after_it(stage: Stage) -> None:
    text = "".join(f"{number:07d}\n" for number in range(131_072))
    assert (await stage.guard.type_text(stage.target, "one", text)).done
    assert (await stage.guard.press_enter(stage.target, "one", 1)).done
    assert stage.canvas.settled() == text.encode() + b"\r"
    assert stage.left() == []


async def test_enter_is_pressed_once_for_each_number(stage: Stage) -> None:
    await stage.guard.type_text(stage.target, "one", "hello")
    done = [(await stage.guard.press_enter(stage.target, "one", count)).done for count in (1, 1, 2, 2, 1, 3)]
    assert done == [True, False, True, False, False, True]
    assert stage.canvas.settled().count(b"\r") == 3


async def test_many_at_once_type_it_once(stage: Stage) -> None:
    guards = [Guard(CommandPipe(stage.tmux.socket), stage.buffers) for _ in range(4)]
    texts = ["hello", "hel\nlo"] * 4
    verdicts = await asyncio.gather(
        *(guard.type_text(stage.target, "one", text) for guard, text in zip(guards * 2, texts, strict=True))
    )
    assert [verdict.done for verdict in verdicts].count(True) == 1
    assert stage.canvas.settled() in (b"hello", b"hel\nlo")
    assert stage.left() == []


async def test_a_refusal_names_everything_that_does_not_hold(stage: Stage) -> None:
    stage.tmux.run("copy-mode", "-t", stage.canvas.pane)
    target = Target(stage.canvas.pane, stage.target.pid + 1, "s/fe")
    seen = Seen({"composer": ("^nothing of the kind$", 1)}, cursor=(7, 7))
    verdict = await stage.guard.type_text(target, "one", "hello", seen)
    assert verdict == Verdict(False, ("identity", "pid", "mode", "composer", "cursor"))


@pytest.mark.parametrize("text", ["hello", "two\nlines"])
async def test_nothing_is_left_of_a_text_that_was_refused(stage: Stage, text: str) -> None:
    stage.tmux.run("copy-mode", "-t", stage.canvas.pane)
    assert not (await stage.guard.type_text(stage.target, "one", text)).done
    assert stage.left() == []
    assert stage.option("@taco_typed") == ""


@pytest.mark.parametrize("text", ["hello", "two\nlines"])
async def test_what_is_meant_for_a_pane_that_is_gone_goes_nowhere(stage: Stage, text: str) -> None:
    beside = Canvas(
        stage.tmux, stage.buffers.with_name("beside"), stage.tmux.pane(*raw_argv(stage.buffers.with_name("beside")))
    )
    stage.tmux.run("kill-pane", "-t", stage.canvas.pane)
    assert "pid" in (await stage.guard.type_text(stage.target, "one", text)).refused
    assert stage.left() == []
    assert beside.settled() == b""


async def test_without_a_server_it_is_an_error(stage: Stage) -> None:
    stage.tmux.run("kill-server")
    with pytest.raises(TmuxError):
        await stage.guard.type_text(stage.target, "one", "two\nlines")
    assert list(stage.buffers.iterdir()) == []


async def test_a_paste_for_a_dead_pane_is_refused_and_the_server_lives(stage: Stage) -> None:
    stage.tmux.run("run-shell", f"kill -9 {stage.target.pid}")
    wait_for(lambda: stage.option("pane_dead") == "1", what="death")
    assert (await stage.guard.type_text(stage.target, "one", "two\nlines")).refused == ("dead",)
    assert stage.tmux.pids()


@pytest.mark.parametrize("mode", ["copy-mode", "choose-tree", "clock-mode"])
async def test_every_mode_is_left(stage: Stage, mode: str) -> None:
    stage.tmux.run(mode, "-t", stage.canvas.pane)
    assert stage.option("pane_in_mode") == "1"
    await stage.guard.leave_mode(stage.target)
    assert stage.option("pane_in_mode") == "0"
    await stage.guard.leave_mode(stage.target)  # and again without harm
    assert (await stage.guard.type_text(stage.target, "one", "hello")).done
    assert stage.canvas.settled() == b"hello"


async def test_a_forgotten_text_may_be_typed_again(stage: Stage) -> None:
    assert (await stage.guard.type_text(stage.target, "one", "hello")).done
    assert not (await stage.guard.forget(stage.target, "two")).done
    assert not (await stage.guard.type_text(stage.target, "one", "hello")).done
    assert (await stage.guard.forget(stage.target, "one")).done
    assert (await stage.guard.type_text(stage.target, "one", "hello")).done
    assert stage.canvas.settled() == b"hellohello"


async def test_only_the_command_that_stands_there_is_erased(stage: Stage) -> None:
    await stage.guard.type_text(stage.target, "one", "hello")
    assert (await stage.guard.erase(stage.target, "two", ["C-u"], NOTHING_SEEN)).refused == ("record",)
    assert (await stage.guard.erase(stage.target, "one", ["C-u"], NOTHING_SEEN)).done
    assert stage.canvas.settled() == b"hello\x15"


async def test_named_keys_are_pressed(stage: Stage) -> None:
    assert (await stage.guard.press_keys(stage.target, ["Escape", "C-c"])).done
    assert stage.canvas.settled() == b"\x1b\x03"


@pytest.mark.parametrize("mark", ["", "a b", "x,y", "#(touch x)", "}", "a@1", "ü"])
async def test_a_mark_that_could_mean_something_to_tmux_is_refused(stage: Stage, mark: str) -> None:
    with pytest.raises(ValueError, match="not a mark"):
        await stage.guard.type_text(stage.target, mark, "hello")
    assert stage.canvas.settled() == b""


def test_the_first_match_is_counted_from_one() -> None:
    assert first_match(["a", "b", "b"], "^b$") == 2
    assert first_match(["a"], "^b$") == 0


class ShortBuffers(CommandPipe):
    """A tmux that takes less than it was given; notes how private the files were."""

    modes: tuple[int, ...] = ()

    async def run(self, line: str, *, patience_s: float = 0.0) -> list[str]:
        if "load-buffer" in line:
            file = Path(line.split("'")[5])
            self.modes += (file.stat().st_mode & 0o777,)
            file.write_bytes(file.read_bytes()[:-1])
        return await super().run(line, patience_s=patience_s)


async def test_a_buffer_that_tmux_cut_is_never_pasted(stage: Stage) -> None:
    pipe = ShortBuffers(stage.tmux.socket)
    with pytest.raises(TmuxError, match="did not take a buffer of 7 bytes"):
        await Guard(pipe, stage.buffers).type_text(stage.target, "m1", "one\ntwo", NOTHING_SEEN, how="paste")
    assert pipe.modes == (0o600,)
    assert stage.left() == []
    assert (stage.canvas.received().data, stage.option("@taco_typed")) == (b"", "")
