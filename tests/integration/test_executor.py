"""The executor as a whole: order, holds, cancelling, retries and sizes, on real tmux and real Redis."""

from __future__ import annotations

import asyncio
import re
import sys
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taco.calls import MAX_BODY
from taco.errors import ConflictError
from taco.message import POINTER_LIMIT
from taco.models import CommandState, EventType, Evidence, Outcome, Priority, When
from tests.hostile import Log, hostile_argv, hostile_provider, raw_argv, raw_provider, read_log, read_raw
from tests.support.delivery import Canvas, Given, RecordingPipe, Rig
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for, wait_for_async


async def composer(rig: Rig, name: str = "be", *, provider: str = "", **options: object) -> Path:
    """A hostile agent; its log."""
    log = rig.directory / f"{name}.log"
    await rig.start(name, hostile_argv(log, **options), provider or hostile_provider())
    return log


async def raw(rig: Rig, name: str = "be", **options: object) -> Path:
    """A raw reader without a header; its log."""
    log = rig.directory / f"{name}.log"
    await rig.start(name, raw_argv(log, **options), raw_provider("raw", log))  # type: ignore[arg-type]
    return log


def bodies(log: Log) -> list[str]:
    """What was submitted, without the header."""
    return [text.partition("]: ")[2] for text in log.texts()]


@pytest.fixture
async def impatient(tmux: Tmux, taco_home: Path) -> AsyncIterator[Rig]:
    """A rig that holds nothing back for a busy agent longer than half a second."""
    async with Rig.open(tmux, taco_home, busy_hold_max_s=0.5) as rig:
        yield rig


# Order


async def test_first_come_first_served(rig: Rig) -> None:
    log = await composer(rig)
    ids = [await rig.send("be", f"n{number}") for number in range(6)]
    await rig.ended(*ids)
    assert bodies(read_log(log)) == [f"n{number}" for number in range(6)]


async def test_high_overtakes_normal_overtakes_low(rig: Rig) -> None:
    log = await composer(rig)
    await rig.set("be", paused=True)
    order = [Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.LOW, Priority.NORMAL, Priority.HIGH]
    ids = [await rig.send("be", f"{each}{number}", priority=each) for number, each in enumerate(order)]
    await rig.held("be", "paused")
    await rig.set("be", paused=False)
    await rig.ended(*ids)
    assert bodies(read_log(log)) == ["high2", "high5", "normal1", "normal4", "low0", "low3"]


async def test_what_is_typed_is_finished_first(rig: Rig) -> None:
    log = await composer(rig, dialog_when="text", dialog_at=1, dialog_s=2.0)
    first = await rig.send("be", "first", priority=Priority.LOW)
    await rig.until(first, CommandState.TYPED)
    second = await rig.send("be", "second", priority=Priority.HIGH, when=When.NOW)
    await rig.held("be", "typed, not submitted: permission")
    await rig.ended(first, second)
    assert bodies(read_log(log)) == ["first", "second"]


async def test_a_head_that_is_tried_again_keeps_its_place(rig: Rig) -> None:
    log = await composer(rig)
    broken = 2

    class Broken(RecordingPipe):
        async def run(self, line: str) -> list[str]:
            nonlocal broken
            if "'-l'" in line and "first" in line and broken:
                broken -= 1
                return await super().run("no-such-command")
            return await super().run(line)

    await rig.kill()
    rig.build(pipe=Broken(rig.tmux.socket))
    ids = [await rig.send("be", text) for text in ("first", "second", "third")]
    first, *_ = await rig.ended(*ids)
    assert bodies(read_log(log)) == ["first", "second", "third"]
    assert first.state is CommandState.DELIVERED
    assert (await rig.counted())["failed"] == 2


async def test_one_that_may_interrupt_overtakes_a_busy_hold(rig: Rig) -> None:
    log = await composer(rig, busy_s=1.5)
    await rig.ended(await rig.send("be", "work"))
    waits = await rig.send("be", "waits")
    assert await rig.held("be", "busy") == "busy"
    now = await rig.send("be", "now", when=When.NOW)
    high = await rig.send("be", "high", priority=Priority.HIGH)
    await rig.ended(now, high)
    assert (await rig.ledger(waits)).state is CommandState.QUEUED
    assert (await rig.ledger(waits)).attempts == 0
    await rig.ended(waits)
    assert bodies(read_log(log))[0] == "work"
    assert bodies(read_log(log))[3] == "waits"


# Holds


async def test_who_starts_is_waited_for(rig: Rig) -> None:
    log = await composer(rig, start_s=1.0)
    sent = await rig.send("be", "hello")
    assert await rig.held("be", "starting") == "starting"
    assert (await rig.ended(sent))[0].attempts == 1
    assert bodies(read_log(log)) == ["hello"]


async def test_nothing_is_typed_into_a_dialog(rig: Rig) -> None:
    log = rig.directory / "canvas.log"
    agent = await rig.start("be", raw_argv(log), hostile_provider())
    canvas = Canvas(rig.tmux, log, agent.pane)
    canvas.draw("  Do you want to proceed?", "  ❯ 1. Yes")
    sent = await rig.send("be", "hello")
    assert await rig.held("be", "waiting") == "waiting: permission"
    assert canvas.settled() == b""
    assert (await rig.ledger(sent)).attempts == 0
    canvas.draw("> ", "─" * 20)
    await rig.until(sent, CommandState.TYPED)
    assert canvas.settled() == b"[mother \xe2\x86\x92 be]: hello"


async def test_a_dialog_right_after_enter_is_waited_for(rig: Rig) -> None:
    log = await composer(rig, dialog_at=1, dialog_s=rig.config.evidence_timeout_s + 1)
    (ledger,) = await rig.ended(await rig.send("be", "asks"))
    assert (ledger.state, ledger.enters) == (CommandState.DELIVERED, 1)
    assert read_log(log).counts["approved"] == 0


async def test_a_dialog_between_text_and_enter_is_not_answered(rig: Rig) -> None:
    log = await composer(rig, dialog_when="text", dialog_at=1, dialog_s=1.5)
    sent = await rig.send("be", "hello")
    await rig.held("be", "typed, not submitted: permission")
    assert (await rig.ended(sent))[0].state is CommandState.DELIVERED
    assert read_log(log).counts["approved"] == 0
    assert bodies(read_log(log)) == ["hello"]


async def test_who_is_paused_gets_nothing(rig: Rig) -> None:
    await composer(rig)
    await rig.set("be", paused=True)
    sent = await rig.send("be", "hello")
    assert await rig.held("be", "paused") == "paused"
    await rig.set("be", paused=False)
    await rig.ended(sent)
    assert (await rig.broker.queues())["be"].hold == ""


async def test_who_is_at_a_limit_gets_nothing(rig: Rig) -> None:
    provider = hostile_provider().replace("[screen]", "[screen]\nlimited = '^usage limit until \\d+h'")
    log = rig.directory / "canvas.log"
    agent = await rig.start("be", raw_argv(log), provider)
    canvas = Canvas(rig.tmux, log, agent.pane)
    canvas.draw("usage limit until 14h", "> ", "─" * 20)
    await rig.send("be", "hello")
    assert (await rig.held("be", "limited")).startswith("limited: usage limit until 14h")
    assert canvas.settled() == b""


async def test_who_has_exited_gets_nothing(rig: Rig) -> None:
    log = await composer(rig, die_at=1, die_when="submit", die_code=3)
    await rig.ended(await rig.send("be", "the last"))
    sent = await rig.send("be", "hello")
    assert await rig.held("be", "exited (3)")
    await rig.run(rig.agents["be"], hostile_argv(log))  # and is started again
    await rig.ended(sent)
    assert bodies(read_log(log)) == ["the last", "hello"]


async def test_nothing_is_typed_into_the_shell_that_an_agent_left_behind(rig: Rig) -> None:
    await composer(rig)
    await rig.ended(await rig.send("be", "hello"))
    log = rig.directory / "shell.log"
    rig.tmux.run("respawn-pane", "-k", "-t", rig.agents["be"].pane, *raw_argv(log))
    shell = Canvas(rig.tmux, log, rig.agents["be"].pane)
    shell.draw("> ", "─" * 20)
    sent = await rig.send("be", "rm -rf build")
    assert await rig.held("be", "lost") == "lost: another process runs in its pane"
    assert shell.settled() == b""
    assert (await rig.ledger(sent)).attempts == 0


async def test_a_pane_that_is_gone_is_named(rig: Rig) -> None:
    await composer(rig)
    rig.tmux.run("kill-pane", "-t", rig.agents["be"].pane)
    await rig.send("be", "hello")
    assert await rig.held("be", "lost") == "lost: its window was closed"


async def test_a_busy_hold_ends_where_the_cli_queues_by_itself(impatient: Rig) -> None:
    rig = impatient
    log = await composer(rig, busy_s=6.0)
    await rig.ended(await rig.send("be", "work"))
    sent = await rig.send("be", "hello")
    await rig.held("be", "busy")
    await rig.ended(sent)
    assert read_log(log).events("submit")[1]["queued"]


async def test_a_busy_hold_lasts_where_the_cli_does_not(impatient: Rig) -> None:
    rig = impatient
    log = await composer(rig, busy_s=2.0, provider=hostile_provider(queues_when_busy=False))
    await rig.ended(await rig.send("be", "work"))
    await rig.ended(await rig.send("be", "hello"))
    assert not read_log(log).events("submit")[1]["queued"]


@pytest.mark.parametrize("when", ["before", "typed"])
async def test_copy_mode_is_left_first(rig: Rig, when: str) -> None:
    log = await composer(rig, paste_lag_ms="400", provider=hostile_provider(input="paste"))
    pane = rig.agents["be"].pane
    if when == "before":
        rig.tmux.run("copy-mode", "-t", pane)
    sent = await rig.send("be", "hello")
    if when == "typed":
        await rig.until(sent, CommandState.TYPED)
        rig.tmux.run("copy-mode", "-t", pane)
    assert (await rig.ended(sent))[0].state is CommandState.DELIVERED
    assert bodies(read_log(log)) == ["hello"]


async def test_synchronized_panes_are_waited_for(rig: Rig) -> None:
    await raw(rig)
    pane = rig.agents["be"].pane
    other = rig.directory / "other.log"
    beside = Canvas(
        rig.tmux, other, rig.tmux.run("split-window", "-t", pane, "-P", "-F", "#{pane_id}", *raw_argv(other))
    )
    rig.tmux.run("set-option", "-w", "-t", pane, "synchronize-panes", "on")
    sent = await rig.send("be", "hello")
    assert await rig.held("be", "synchronized") == "its panes are synchronized"
    assert beside.received().data == b""
    rig.tmux.run("set-option", "-w", "-t", pane, "synchronize-panes", "off")
    await rig.ended(sent)


async def test_an_agent_of_somebody_else_is_not_typed_into(rig: Rig) -> None:
    log = await raw(rig)
    rig.tmux.run("set-option", "-p", "-t", rig.agents["be"].pane, "@taco_agent", "other/be")
    await rig.send("be", "hello")
    assert await rig.held("be", "somebody else") == "its pane belongs to somebody else"
    assert read_raw(log).data == b""


async def test_one_agents_hold_is_nobody_elses(rig: Rig) -> None:
    await composer(rig, "be")
    log = await composer(rig, "fe")
    await rig.set("be", paused=True)
    await rig.send("be", "waits")
    await rig.ended(*[await rig.send("fe", f"n{number}") for number in range(3)])
    assert bodies(read_log(log)) == ["n0", "n1", "n2"]


# Cancelling


async def test_what_waits_is_cancelled_at_once(rig: Rig) -> None:
    log = await composer(rig)
    await rig.set("be", paused=True)
    sent = await rig.send("be", "hello")
    await rig.held("be", "paused")
    assert await rig.broker.cancel(sent) is CommandState.CANCELLED
    await rig.set("be", paused=False)
    await rig.ended(await rig.send("be", "next"))
    assert bodies(read_log(log)) == ["next"]


@pytest.mark.parametrize("text", ["hello", "one\ntwo\nthree\nfour", "a long one " * 100], ids=["line", "lines", "long"])
async def test_what_is_typed_is_taken_out_again(rig: Rig, text: str) -> None:
    log = await composer(rig, dialog_when="text", dialog_at=1, dialog_s=1.0, collapse=True)
    sent = await rig.send("be", text)
    await rig.until(sent, CommandState.TYPED)
    assert await rig.broker.cancel(sent) is CommandState.TYPED
    (ledger,) = await rig.ended(sent)
    assert ledger.state is CommandState.CANCELLED
    await rig.ended(await rig.send("be", "next"))
    assert bodies(read_log(log)) == ["next"]


async def test_what_shows_late_is_taken_out_too(rig: Rig) -> None:
    log = await composer(rig, draw_lag_ms="700")
    sent = await rig.send("be", "hello")
    await rig.until(sent, CommandState.TYPED)
    await rig.broker.cancel(sent)
    assert (await rig.ended(sent))[0].state is CommandState.CANCELLED
    (ledger,) = await rig.ended(await rig.send("be", "next"))
    assert ledger.state is CommandState.DELIVERED
    assert bodies(read_log(log)) == ["next"]


async def test_a_raw_program_gets_the_keys_that_take_a_line_back(rig: Rig) -> None:
    log = await raw(rig)
    queue = Late(rig)
    await rig.kill()
    rig.build(queue=queue)
    sent = await rig.send("be", "hello")
    assert (await rig.ended(sent))[0].state is CommandState.CANCELLED
    await rig.ended(await rig.send("be", "next"))
    assert Canvas(rig.tmux, log, rig.agents["be"].pane).settled() == b"hello\x15next\r"


class Late:
    """The broker of a rig, through which the first command is cancelled right after it was typed."""

    def __init__(self, rig: Rig) -> None:
        self._broker = rig.broker
        self._left = True

    def __getattr__(self, name: str) -> object:
        return getattr(self._broker, name)

    async def typed(self, waiting: object, at: str) -> None:
        await self._broker.typed(waiting, at)  # type: ignore[arg-type]
        if self._left:
            self._left = False
            assert await self._broker.cancel(waiting.command.id) is CommandState.TYPED  # type: ignore[attr-defined]


async def test_what_is_entered_is_not_cancelled(rig: Rig) -> None:
    await composer(rig, submit_lag_ms="1500")
    sent = await rig.send("be", "hello")
    await rig.pressed(sent)
    with pytest.raises(ConflictError, match="entered"):
        await rig.broker.cancel(sent)
    assert (await rig.ended(sent))[0].state is CommandState.DELIVERED
    with pytest.raises(ConflictError, match="delivered"):
        await rig.broker.cancel(sent)


# Errors


async def test_an_error_is_tried_three_times_with_growing_rests_and_is_dead_then(rig: Rig) -> None:
    tries: list[Given] = []

    class Broken(RecordingPipe):
        async def run(self, line: str) -> list[str]:
            if "'-l'" in line:
                tries.append(Given(asyncio.get_running_loop().time(), line))
                return await super().run("no-such-command")
            return await super().run(line)

    log = await composer(rig)
    await rig.kill()
    rig.build(pipe=Broken(rig.tmux.socket))
    sent = await rig.send("be", "hello")
    (ledger,) = await rig.ended(sent)
    assert ledger.state is CommandState.DEAD
    assert "tmux failed 3 times" in ledger.reason
    assert len(tries) == 3
    assert [each["id"] for each in await rig.broker.dead_letters()] == [sent]
    counted = await rig.counted()
    assert (counted["failed"], counted["dead"]) == (3, 1)
    retried = [event for event in await rig.events(sent) if event.type is EventType.COMMAND_RETRIED]
    assert len(retried) == 3
    await rig.kill()
    rig.build()
    await rig.broker.retry(sent)
    assert (await rig.ended(sent))[0].state is CommandState.DELIVERED
    assert bodies(read_log(log)) == ["hello"]


async def test_trouble_that_lasts_is_shown_and_ends_by_itself(rig: Rig) -> None:
    log = await composer(rig, provider=re.sub("placeholder = .*\n", "", hostile_provider()))
    bodies_dir = rig.directory / "bodies"
    bodies_dir.rmdir()  # a long body cannot be written
    sent = await rig.send("be", "line\n" * 60)
    assert "FileNotFoundError" in await rig.held("be", "in trouble")
    assert (await rig.ledger(sent)).attempts == 0
    bodies_dir.mkdir()
    rig.executor.wake("be")
    assert (await rig.ended(sent))[0].state is CommandState.DELIVERED
    assert (await rig.broker.queues())["be"].hold == ""
    assert len(read_log(log).texts()) == 1


async def test_a_retried_command_is_typed_although_it_was_typed_before(rig: Rig) -> None:
    log = await raw(rig)
    sent = await rig.send("be", "hello", id="again")
    await rig.kill()
    rig.build(queue=Forgetful(rig))
    assert (await rig.ended(sent))[0].state is CommandState.UNCONFIRMED
    await rig.kill()
    rig.build()
    await rig.broker.retry(sent)
    assert (await rig.until(sent, CommandState.DELIVERED)).evidence is Evidence.NONE
    assert Canvas(rig.tmux, log, rig.agents["be"].pane).settled() == b"hello\rhello\r"


class Forgetful:
    """The broker of a rig, through which nothing is ever confirmed."""

    def __init__(self, rig: Rig) -> None:
        self._broker = rig.broker

    def __getattr__(self, name: str) -> object:
        return getattr(self._broker, name)

    async def finish(self, waiting: object, outcome: object, at: str) -> bool:
        return await self._broker.finish(waiting, Outcome(CommandState.UNCONFIRMED, reason="test"), at)  # type: ignore[arg-type]


# Sizes and texts


TEXTS = {
    "unicode": "Grüße → 漢字, e\u0301 and ﬁ",
    "emoji": "go 🌮 👍🏽 👨‍👩‍👧‍👦 🇩🇪 ❤️ go",
    "format": "#{pane_pid} #(touch x) #[fg=red] ##",
    "semicolon": "ls ; pwd ;",
    "dash": "-R",
    "quotes": 'it\'s "quoted" `and` $HOME',
    "backslash": "C:\\dir\\",
    "escape": "red \x1b[31mtext\x1b[0m \x1b[201~ bell \x07",
    "key": "Enter",
    "slash": "/exit",
    "bang": "!ls",
    "markdown": "# Title\n\n- one\n- two\n\n```sh\nrm -rf 'x y'\n```\n",
    "dialog": "it asked: Do you want to proceed?",
    "composer": "> quoted\n> again\n────────",
    "white space": "two  spaces,\ta tab and trailing   ",
    "wide": "漢字" * 200,
    "blank lines": "a\n\n\n\nb",
}


@pytest.mark.parametrize("name", TEXTS)
async def test_any_text_arrives_in_a_composer(rig: Rig, name: str) -> None:
    log = await composer(rig)
    (ledger,) = await rig.ended(await rig.send("be", TEXTS[name]))
    assert ledger.state is CommandState.DELIVERED, ledger.reason
    (text,) = bodies(read_log(log))
    wanted = unicodedata.normalize("NFC", TEXTS[name]).replace("\x1b", "").replace("\x07", "").replace("\t", "    ")
    assert text == wanted.rstrip() + (" ." if wanted.endswith("\\") else "")


@pytest.mark.parametrize("size", [1, 1_000, 1_001, 16_344, 130_000, MAX_BODY])
async def test_a_raw_program_gets_every_byte(rig: Rig, size: int) -> None:
    log = await raw(rig)
    body = ("0123456789abcdé→🌮\n" * (size // 20 + 1)).encode()[:size].decode(errors="ignore").rstrip("\n") or "x"
    (ledger,) = await rig.ended(await rig.send("be", body))
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.NONE)
    wanted = body.encode() + b"\r"
    wait_for(lambda: len(read_raw(log).data) >= len(wanted), what="the body")
    assert read_raw(log).data == wanted


async def test_a_long_body_for_an_agent_goes_to_a_file(rig: Rig) -> None:
    log = await composer(rig, collapse=True)
    body = "word\n" * (POINTER_LIMIT // 5 + 1)
    sent = await rig.send("be", body)
    await rig.ended(sent)
    path = rig.directory / "bodies" / f"{sent}.txt"
    (text,) = bodies(read_log(log))
    assert str(path) in text
    assert path.read_text("utf-8") == body
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_body_that_the_composer_cannot_show_whole_goes_to_a_file(rig: Rig) -> None:
    plain = re.sub("placeholder = .*\n", "", hostile_provider())
    log = await composer(rig, provider=plain)
    short, tall, wide = "three\nshort\nlines", "\n".join("x" * 60), "y" * 3_000
    ids = [await rig.send("be", text) for text in (short, tall, wide)]
    assert {ledger.state for ledger in await rig.ended(*ids)} == {CommandState.DELIVERED}
    texts = bodies(read_log(log))
    assert texts[0] == short
    assert all(f"{each}.txt" in text for each, text in zip(ids[1:], texts[1:], strict=True))


READS_LINES = """\
import sys
while True:
    open(sys.argv[1], "a").write(input("> ") + "\\n")
"""
READS_KEYS = """\
import os, sys, tty
tty.setraw(0)
draft = ""
print("ready", end="\\r\\n> ", flush=True)
while True:
    for char in os.read(0, 4096).decode():
        if char in "\\r\\n":
            open(sys.argv[1], "a").write(draft + "\\n")
            print(f"\\r\\033[Kgot {draft}", end="\\r\\n> ", flush=True)
            draft = ""
            break
        else:
            draft += char
            print(char, end="", flush=True)
"""


async def simple(rig: Rig, program: str) -> Path:
    """A program with a composer and nothing else; what it took, a line each."""
    log, script = rig.directory / "log", rig.directory / "program.py"
    script.write_text(program, encoding="utf-8")
    head = 'name = "simple"\ncommand = ["x"]\nfirst_prompt = "none"\nevidence = ["screen"]\n'
    provider = head + "[screen]\ncomposer = '^> (?P<draft>.*)$'\n"
    await rig.start("be", [sys.executable, "-S", str(script), str(log)], provider)
    return log


@pytest.mark.parametrize("body", ["one line", "two\nlines", "w" * 4_200], ids=["line", "lines", "long line"])
async def test_a_program_that_reads_lines_gets_one_line_once(rig: Rig, body: str) -> None:
    log = await simple(rig, READS_LINES)
    sent = await rig.send("be", body)
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.attempts) == (CommandState.DELIVERED, 1)
    (got,) = log.read_text("utf-8").splitlines()
    assert got == f"[mother → be]: {body}" if body == "one line" else f"{sent}.txt" in got


async def test_a_text_that_its_own_line_break_submitted_is_not_typed_again(rig: Rig) -> None:
    """A raw composer without bracketed paste takes a line break for Enter; this one then drops what comes with it."""
    log = await simple(rig, READS_KEYS)
    (ledger,) = await rig.ended(await rig.send("be", "two\nlines"))
    assert (ledger.state, ledger.attempts) == (CommandState.UNCONFIRMED, 1)
    assert log.read_text("utf-8").count("two") == 1


@pytest.mark.parametrize("text", ["hello", "a long line " * 20, "three\nshort\nlines"])
async def test_a_provider_that_does_not_say_where_a_draft_ends(rig: Rig, text: str) -> None:
    log = await composer(rig, provider=re.sub("(composer_end|placeholder) = .*\n", "", hostile_provider()))
    (ledger,) = await rig.ended(await rig.send("be", text))
    assert ledger.state is CommandState.DELIVERED
    assert bodies(read_log(log)) == [text.rstrip()]


async def test_a_terminal_that_keeps_lines_gets_lines_it_can_keep(rig: Rig) -> None:
    log = await raw(rig, mode="canonical")
    fits, over = "é" + "x" * 4_093, "é" + "x" * 4_094
    ids = [await rig.send("be", text) for text in (fits, over, f"short\n{over}", "next")]
    states = [ledger.state for ledger in await rig.ended(*ids)]
    assert states == [CommandState.DELIVERED, CommandState.DEAD, CommandState.DEAD, CommandState.DELIVERED]
    reason = (await rig.ledger(ids[1])).reason
    assert "4,096 bytes" in reason and "4,095" in reason
    wanted = f"{fits}\nnext\n".encode()
    wait_for(lambda: len(read_raw(log).data) >= len(wanted), what="the lines")
    assert read_raw(log).data == wanted


@pytest.mark.parametrize("how", ["keys", "paste"])
async def test_a_provider_may_ask_for_one_way_always(rig: Rig, how: str) -> None:
    log = await composer(rig, provider=hostile_provider(input=how))
    ids = [await rig.send("be", text) for text in ("one line", "two\nlines", "x" * 1_200)]
    assert {ledger.state for ledger in await rig.ended(*ids)} == {CommandState.DELIVERED}
    assert bodies(read_log(log)) == ["one line", "two\nlines", "x" * 1_200]
    assert all(("paste-buffer" in each.line) == (how == "paste") for each in rig.pipe.typed if "Enter" not in each.line)


async def test_a_hostile_configuration_changes_nothing(hostile_tmux: Tmux, taco_home: Path) -> None:
    async with Rig.open(hostile_tmux, taco_home) as rig:
        logs = [await composer(rig, name, swallow=0.2, collapse=True) for name in ("be", "fe")]
        texts = ["hello", "two\nlines", "a long one " * 150, "#{pane_pid} ;"]
        ids = [await rig.send(name, text) for text in texts for name in ("be", "fe")]
        assert {ledger.state for ledger in await rig.ended(*ids)} == {CommandState.DELIVERED}
        for log in logs:
            assert bodies(read_log(log)) == [text.rstrip() for text in texts]


async def test_the_numbers_add_up(rig: Rig) -> None:
    await composer(rig)
    ids = [await rig.send("be", f"n{number}") for number in range(4)]
    await wait_for_async(lambda: rig.pipe.typed, what="typing")
    await rig.ended(*ids)
    counted = await rig.counted()
    assert (counted["enqueued"], counted["executed"], counted["delivered:screen"]) == (4, 4, 4)
    counts = await rig.broker.counts()
    assert (counts.pending, counts.processing, counts.completed) == (0, 0, 4)
