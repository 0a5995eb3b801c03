"""Agents and machines that are slow, deaf, stopped, overloaded or wrong about the time: each once, in order, whole."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest

from taco import redis_server
from taco.broker import Broker
from taco.models import Command, CommandState, iso
from tests.hostile import hostile_argv, hostile_provider, raw_argv, raw_provider, read_log, read_raw
from tests.support.delivery import SESSION, Rig
from tests.support.terminal import Terminal
from tests.support.tmux import KEEPER, Tmux
from tests.support.waiting import wait_for_async

MIXED = ("hello", "two\nlines", "a long line of words" * 20, "it's #{pane_pid} ; $HOME", "many\n" * 12 + "lines")


async def composer(rig: Rig, name: str = "be", *, provider: str = "", **options: object) -> Path:
    """A hostile agent; its log."""
    log = rig.directory / f"{name}.log"
    await rig.start(name, hostile_argv(log, **options), provider or hostile_provider())
    return log


def submitted(log: Path) -> list[str]:
    """What was submitted, without the header."""
    return [text.partition("]: ")[2] for text in read_log(log).texts()]


async def arrive(rig: Rig, log: Path, texts: Sequence[str], *, timeout_s: float = 40) -> None:
    """Send texts to `be`: each is delivered, once, in order, whole."""
    ids = [await rig.send("be", text) for text in texts]
    ledgers = await rig.ended(*ids, timeout_s=timeout_s)
    assert submitted(log) == list(texts)
    assert {ledger.state for ledger in ledgers} == {CommandState.DELIVERED}


# Slow programs


@pytest.fixture
async def patient(tmux: Tmux, taco_home: Path) -> AsyncIterator[Rig]:
    """A rig that tries a text and an Enter as often as it takes."""
    async with Rig.open(tmux, taco_home, evidence_timeout_s=1.0, attempts=10, enter_limit=20) as rig:
        yield rig


async def test_enters_that_are_swallowed_and_pastes_that_come_late(patient: Rig) -> None:
    log = await composer(patient, swallow=0.3, seed=5, paste_lag_ms="300", collapse=True)
    await arrive(patient, log, MIXED)
    assert read_log(log).counts["swallowed"] > 0


async def test_who_is_deaf_for_five_seconds(patient: Rig) -> None:
    log = await composer(patient, deaf_s=5)
    await arrive(patient, log, ["hello", "next"])
    assert read_log(log).counts["deaf"] > 0


async def test_a_long_text_for_a_slow_reader(rig: Rig) -> None:
    log = await composer(rig, slow="4096:50", collapse=True)
    await arrive(rig, log, ["".join(f"line {number:04}\n" for number in range(1_500)) + "end", "next"])


async def test_a_very_long_text_for_a_slow_reader_without_screen_rules(rig: Rig) -> None:
    provider = hostile_provider(screen=False, evidence=(), input="paste")
    log = await composer(rig, slow="4096:50", collapse=True, provider=provider)
    text = "".join(f"line {number:06}\n" for number in range(1_500)) + "end"
    await rig.ended(*[await rig.send("be", each) for each in (text, "next")])
    await wait_for_async(lambda: len(submitted(log)) == 2, what="both texts")
    assert submitted(log) == [text, "next"]


# A machine that has other things to do


@contextmanager
def running(*argvs: Sequence[str]) -> Iterator[None]:
    """These programs run, each in a process group of its own, until the block ends."""
    started = [subprocess.Popen(argv, stdout=subprocess.DEVNULL, start_new_session=True) for argv in argvs]
    try:
        yield
        assert all(each.poll() is None for each in started), "one ended by itself"
    finally:
        for each in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait()


FLOOD = """
import os, subprocess, sys
parent = os.getppid()
lines = "list-panes -a\\nrefresh-client -S\\ndisplay-message -p '#{T:status-left}'\\n" * 400
while os.getppid() == parent:
    subprocess.run(["tmux", "-L", sys.argv[1], "source-file", "-"], input=lines, text=True, capture_output=True)
"""
HOG = """
import os
parent = os.getppid()
while os.getppid() == parent:
    pass
"""


def a_flood_of_commands(rig: Rig) -> AbstractContextManager[None]:
    return running(*[[sys.executable, "-c", FLOOD, rig.tmux.socket]] * 2)


def no_time_for_us(rig: Rig) -> AbstractContextManager[None]:
    return running(*[["nice", "-n", "5", sys.executable, "-c", HOG]] * 4)


@pytest.mark.parametrize("load", [a_flood_of_commands, no_time_for_us], ids=lambda load: load.__name__)
async def test_under_load(patient: Rig, load: Callable[[Rig], AbstractContextManager[None]]) -> None:
    log = await composer(patient, swallow=0.2, seed=3, collapse=True)
    with load(patient):
        await arrive(patient, log, MIXED)


@pytest.fixture
async def steady(tmux: Tmux, taco_home: Path) -> AsyncIterator[Rig]:
    """A rig that waits for evidence as long as the product does."""
    async with Rig.open(tmux, taco_home, evidence_timeout_s=10.0, enter_limit=20) as rig:
        yield rig


async def test_a_terminal_that_changes_its_size_all_the_time(steady: Rig) -> None:
    log = await composer(steady, swallow=0.2, seed=3, collapse=True, paste_lag_ms="100")
    steady.tmux.run("select-window", "-t", steady.agents["be"].pane)
    argv = ["tmux", "-u", "-L", steady.tmux.socket, "attach-session", "-t", KEEPER]
    terminal = Terminal(argv, os.environ, steady.directory, 120, 40)
    widths: set[str] = set()
    going_on = True

    async def drag() -> None:
        number = 0
        while going_on:
            number += 1
            columns, rows = 70 + number * 37 % 90, 20 + number * 7 % 30
            terminal.resize(columns, rows)
            steady.tmux.run("refresh-client", "-S", check=False)
            widths.add(steady.tmux.show(steady.agents["be"].pane, "#{pane_width}"))
            await asyncio.sleep(0.05 * (number % 8))  # in bursts: tmux tells the program up to 0.25 s late

    dragging = asyncio.create_task(drag())
    try:
        await arrive(steady, log, MIXED)
    finally:
        going_on = False
        await dragging
        terminal.close()
    assert len(widths) > 3


# One that does not read


def below_a_shell(argv: Sequence[str]) -> list[str]:
    """The same program as the child of a shell: tmux lets no process of its own be stopped."""
    return ["sh", "-c", '"$@"; exit $?', "sh", *argv]


@contextmanager
def stopped(rig: Rig, *names: str) -> Iterator[None]:
    """The programs of these agents, each below a shell, stand still for the length of the block."""
    children = [psutil.Process(rig.agents[name].pid).children() for name in names]
    programs = [each for found in children for each in found]
    assert len(programs) == len(names)
    for each in programs:
        each.suspend()
    try:
        yield
    finally:
        for each in programs:
            each.resume()


async def test_who_never_reads_slows_nobody(rig: Rig) -> None:
    names = ["one", "two"]
    logs = [await composer(rig, name) for name in names]
    log, raw_log = rig.directory / "silent.log", rig.directory / "raw.log"
    await rig.start("silent", below_a_shell(hostile_argv(log)), hostile_provider())
    await rig.start("raw", below_a_shell(raw_argv(raw_log)), raw_provider("raw", raw_log))
    await wait_for_async(lambda: read_raw(raw_log).ready, what="the raw reader")
    await wait_for_async(lambda: "idle" in rig.tmux.screen(rig.agents["silent"].pane), what="a composer")
    large = "0123456789abcdef" * 20_000
    with stopped(rig, "silent", "raw"):
        unread = [await rig.send("silent", f"n{number}") for number in range(3)]
        raw = [await rig.send("raw", text) for text in (large, "next")]
        ids = [await rig.send(name, f"n{number}") for number in range(4) for name in names]
        await rig.ended(*ids, *raw)
        for each in logs:
            assert submitted(each) == [f"n{number}" for number in range(4)]
        assert read_raw(raw_log).data == b""
        assert submitted(log) == []
    wanted = f"{large}\rnext\r".encode()
    await wait_for_async(lambda: len(read_raw(raw_log).data) >= len(wanted), what="all of it")
    assert read_raw(raw_log).data == wanted
    await rig.ended(*unread)
    assert submitted(log) == ["n0", "n1", "n2"]


async def test_a_text_that_was_not_read_yet_is_not_typed_again(tmux: Tmux, taco_home: Path) -> None:
    """A program that stands still has its text waiting in its terminal: that is not gone, however long it takes."""
    async with Rig.open(tmux, taco_home, evidence_timeout_s=0.3) as rig:
        log = rig.directory / "log"
        agent = await rig.start("be", below_a_shell(hostile_argv(log)), hostile_provider())
        await wait_for_async(lambda: "hostile · idle" in tmux.screen(agent.pane), what="a composer")
        with stopped(rig, "be"):
            sent = await rig.send("be", "hello")
            assert await rig.held("be", "read") == "typed, not submitted: the agent has not read it yet"
            assert (await rig.ledger(sent)).state is CommandState.TYPED
        (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.attempts) == (CommandState.DELIVERED, 1)
    assert submitted(log) == ["hello"]


async def test_an_enter_that_was_not_read_yet_is_not_pressed_again(rig: Rig) -> None:
    log = rig.directory / "log"
    await rig.start("be", below_a_shell(hostile_argv(log)), hostile_provider(settle_ms=500))
    sent = await rig.send("be", "hello")
    await wait_for_async(lambda: "hello" in rig.tmux.screen(rig.agents["be"].pane), what="text")
    with stopped(rig, "be"):
        assert await rig.held("be", "read") == "not submitted: the agent has not read Enter yet"
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.enters) == (CommandState.DELIVERED, 1)
    assert submitted(log) == ["hello"]
    assert read_log(log).counts["blank"] == 0


# Clocks


@pytest.mark.parametrize("apart_s", [3_600, -3_600])
async def test_two_executors_whose_clocks_are_apart(rig: Rig, apart_s: int) -> None:
    log = await composer(rig, swallow=0.3, seed=2)
    first = rig.executor
    rig.build(now=lambda: time.time() + apart_s)  # the first one goes on
    ids = [await rig.send("be", f"n{number}") for number in range(3)]
    for each in ids:
        first.wake("be")
        await rig.ended(each)
    await first.close()
    assert submitted(log) == [f"n{number}" for number in range(3)]
    assert {(await rig.ledger(each)).state for each in ids} == {CommandState.DELIVERED}


@pytest.mark.parametrize("state", [CommandState.QUEUED, CommandState.TYPED, CommandState.ENTERED])
async def test_a_clock_that_is_set_back(rig: Rig, state: CommandState) -> None:
    await rig.kill()
    back_s = 0.0
    rig.build(now=lambda: time.time() - back_s)
    log = await composer(rig, provider=hostile_provider(settle_ms=400), submit_lag_ms="400")
    await rig.set("be", paused=True)
    ids = [await rig.send("be", text) for text in ("hello", "next")]
    await rig.held("be", "paused")
    if state is CommandState.QUEUED:
        back_s = 3_600.0
    await rig.set("be", paused=False)
    if state is not CommandState.QUEUED:
        await rig.until(ids[0], state)
        back_s = 3_600.0
    assert {ledger.state for ledger in await rig.ended(*ids)} == {CommandState.DELIVERED}
    assert submitted(log) == ["hello", "next"]


# Senders


@contextlib.asynccontextmanager
async def another_sender(rig: Rig) -> AsyncIterator[Broker]:
    """A connection of its own to the same Redis."""
    broker = await Broker.connect(redis_server.ensure(rig.directory).url, SESSION)
    try:
        yield broker
    finally:
        await broker.close()


async def test_two_senders_flood_one_agent(rig: Rig) -> None:
    log = await composer(rig)
    async with another_sender(rig) as left, another_sender(rig) as right:

        async def flood(broker: Broker, sender: str) -> list[str]:
            ids = [f"{sender}{number}" for number in range(7)]
            for each in ids:
                await broker.enqueue(Command(each, sender, "be", each, timestamp=iso(time.time())))
            return ids

        ids = await asyncio.gather(flood(left, "left"), flood(right, "right"))
        await rig.ended(*ids[0], *ids[1], timeout_s=40)
    texts = submitted(log)
    assert sorted(texts) == sorted([*ids[0], *ids[1]])
    for each in ids:
        assert [text for text in texts if text in each] == each


async def test_the_same_id_from_many_hands_is_one_message(rig: Rig) -> None:
    log = await composer(rig)
    one = Command("once", "mother", "be", "hello", timestamp=iso(time.time()))
    async with another_sender(rig) as left, another_sender(rig) as right:
        stored = await asyncio.gather(*(broker.enqueue(one) for broker in (left, right, rig.broker) * 3))
        assert stored.count(True) == 1
        await rig.ended("once")
        assert not await left.enqueue(one)
    await rig.ended(await rig.send("be", "next"))
    assert submitted(log) == ["hello", "next"]


# What a person does about messages that failed


async def test_an_unconfirmed_message_that_is_retried_arrives_once(tmux: Tmux, taco_home: Path) -> None:
    async with Rig.open(tmux, taco_home, enter_limit=2) as rig:
        log = await composer(rig, swallow=1.0, swallow_most=2)
        sent = await rig.send("be", "hello")
        (ledger,) = await rig.ended(sent)
        assert (ledger.state, ledger.enters) == (CommandState.UNCONFIRMED, 2)
        await rig.broker.retry(sent)
        await rig.held("be", "an earlier message stands in the composer again")
        tmux.run("send-keys", "-t", rig.agents["be"].pane, "C-u")
        assert (await rig.until(sent, CommandState.DELIVERED)).enters == 1
        assert submitted(log) == ["hello"]


async def test_a_dead_message_that_is_dropped_never_arrives(rig: Rig) -> None:
    log = rig.directory / "log"
    await rig.start("be", raw_argv(log, mode="canonical"), raw_provider("raw", log))
    await wait_for_async(lambda: read_raw(log).ready, what="the raw reader")
    dead = await rig.send("be", "x" * 5_000)
    assert (await rig.ended(dead))[0].state is CommandState.DEAD
    await rig.broker.drop(dead)
    assert await rig.broker.dead_letters() == []
    await rig.ended(await rig.send("be", "next"))
    await wait_for_async(lambda: read_raw(log).data, what="the next")
    assert read_raw(log).data == b"next\n"
