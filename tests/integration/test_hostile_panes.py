"""What a person does to an agent's pane, and how agents end in it: a message waits, or arrives once, only there."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from taco.models import CommandState
from taco.tmux import windows
from taco.tmux.commands import CommandPipe, command
from taco.tmux.guard import Guard, Target
from tests.bench.chaos.arena import kill
from tests.hostile import hostile_argv, hostile_provider, raw_argv, read_log, read_raw
from tests.integration.test_evidence import Hooked
from tests.support.delivery import Canvas, Rig
from tests.support.lone import NAME, Lone
from tests.support.terminal import Terminal
from tests.support.tmux import KEEPER, Tmux
from tests.support.waiting import wait_for, wait_for_async

TEXT = "[mother → be]: hello"
NEXT = "[mother → be]: next"
GONE = "the agent ended before it was seen to be submitted"


@pytest.fixture
async def hasty(tmux: Tmux, taco_home: Path) -> AsyncIterator[Rig]:
    """A rig that waits for evidence only a second."""
    async with Rig.open(tmux, taco_home, evidence_timeout_s=1.0) as rig:
        yield rig


async def composer(rig: Rig, *, provider: str = "", **options: object) -> Path:
    """A hostile agent at its empty composer; its log."""
    log = rig.directory / "log"
    agent = await rig.start("be", hostile_argv(log, **options), provider or hostile_provider())
    await wait_for_async(lambda: "hostile · idle" in rig.tmux.screen(agent.pane), what="an empty composer")
    return log


def pane_of(rig: Rig) -> str:
    return rig.agents["be"].pane


def neighbour(rig: Rig, *words: str) -> Canvas:
    """A raw reader in a pane that a tmux command opens: what it gets was meant for somebody else."""
    log = rig.directory / "neighbour.log"
    return Canvas(rig.tmux, log, rig.tmux.run(*words, "-P", "-F", "#{pane_id}", *raw_argv(log)))


# A person at an attached client


class Client:
    """A person whose terminal shows the agent's window."""

    def __init__(self, rig: Rig, terminal: Terminal) -> None:
        self._rig = rig
        self.press = terminal.press
        self.resize = terminal.resize

    async def until(self, text: str) -> None:
        """Until this text stands in the agent's pane."""
        await wait_for_async(lambda: text in self._rig.tmux.screen(pane_of(self._rig)), what=lambda: self._rig.report())


@contextmanager
def attached(rig: Rig) -> Iterator[Client]:
    """A client of the test's tmux server, on the agent's window."""
    rig.tmux.run("select-window", "-t", pane_of(rig))
    argv = ["tmux", "-u", "-L", rig.tmux.socket, "attach-session", "-t", KEEPER]
    terminal = Terminal(argv, os.environ, rig.directory, 120, 40)
    try:
        wait_for(lambda: rig.tmux.show(KEEPER, "#{session_attached}") == "1", what="the client")
        yield Client(rig, terminal)
    finally:
        terminal.close()


DRAFTS = {
    "one row": ("wait, use the", "wait, use the"),
    "first row empty": ("\nsecond row", "second row"),
    "an empty row between": ("one\n\nthree", "three"),
    "a paste": ("\x1b[200~pasted\nby hand\x1b[201~", "by hand"),
}


@pytest.mark.parametrize(("keys", "shown"), DRAFTS.values(), ids=DRAFTS)
async def test_a_draft_typed_at_a_client_is_held_for_and_left_alone(rig: Rig, keys: str, shown: str) -> None:
    log = await composer(rig)
    with attached(rig) as person:
        person.press(keys)
        await person.until(shown)
        sent = await rig.send("be", "hello")
        assert await rig.held("be", "draft") == "a draft stands in the composer"
        assert rig.pipe.typed == []
        person.press("\r")
        (ledger,) = await rig.ended(sent)
    mine, ours = read_log(log).texts()
    assert mine.endswith(shown) and "mother" not in mine
    assert (ours, ledger.state, ledger.attempts) == (TEXT, CommandState.DELIVERED, 1)


async def test_keys_of_a_client_between_text_and_enter_are_not_submitted(rig: Rig) -> None:
    log = await composer(rig, provider=hostile_provider(settle_ms=600))
    with attached(rig) as person:
        sent = await rig.send("be", "hello")
        await person.until("hello")
        person.press(" NOT YET")
        assert await rig.held("be", "person's text") == "typed, not submitted: a person's text stands with it"
        assert read_log(log).texts() == []
        person.press("\x7f" * len(" NOT YET"))
        await rig.ended(sent)
    assert read_log(log).texts() == [TEXT]


MODES = {
    "copy-mode": {"\x02[": "copy-mode"},
    "view-mode": {"\x02?": "view-mode"},
    "choose-tree": {"\x02w": "tree-mode"},
    "clock-mode": {"\x02t": "clock-mode"},
    "one over another": {"\x02[": "copy-mode", "\x02w": "tree-mode"},
}


async def shows_mode(rig: Rig, mode: str) -> None:
    await wait_for_async(lambda: rig.tmux.show(pane_of(rig), "#{pane_mode}") == mode, what=mode)


@pytest.mark.parametrize("when", ["before", "typed"])
@pytest.mark.parametrize("modes", MODES.values(), ids=MODES)
async def test_a_mode_that_a_client_is_in_is_left_and_the_message_arrives_once(
    rig: Rig, modes: dict[str, str], when: str
) -> None:
    log = await composer(rig, provider=hostile_provider(settle_ms=300))
    with attached(rig) as person:

        async def enter_mode() -> None:
            for keys, mode in modes.items():
                person.press(keys)
                await shows_mode(rig, mode)

        if when == "before":
            await enter_mode()
        sent = await rig.send("be", "hello")
        if when == "typed":
            await rig.until(sent, CommandState.TYPED)
            await enter_mode()
        (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.attempts) == (CommandState.DELIVERED, 1)
    assert read_log(log).texts() == [TEXT]
    assert read_log(log).counts["blank"] == 0


# A pane that is moved, hidden, renamed


def _zoom_another(rig: Rig, beside: Canvas) -> None:
    rig.tmux.run("join-pane", "-d", "-s", beside.pane, "-t", pane_of(rig))
    rig.tmux.run("resize-pane", "-Z", "-t", beside.pane)


def _zoom(rig: Rig, beside: Canvas) -> None:
    rig.tmux.run("join-pane", "-d", "-s", beside.pane, "-t", pane_of(rig))
    rig.tmux.run("resize-pane", "-Z", "-t", pane_of(rig))


def _join(rig: Rig, beside: Canvas) -> None:
    rig.tmux.run("join-pane", "-s", pane_of(rig), "-t", beside.pane)


def _swap_windows(rig: Rig, beside: Canvas) -> None:
    rig.tmux.run("swap-window", "-s", pane_of(rig), "-t", beside.pane)


def _swap_panes(rig: Rig, beside: Canvas) -> None:
    rig.tmux.run("swap-pane", "-s", pane_of(rig), "-t", beside.pane)


def _break(rig: Rig, beside: Canvas) -> None:
    rig.tmux.run("join-pane", "-d", "-s", beside.pane, "-t", pane_of(rig))
    rig.tmux.run("break-pane", "-d", "-s", pane_of(rig))


def _rename_session(rig: Rig, beside: Canvas) -> None:
    rig.tmux.run("rename-session", "-t", KEEPER, "mine now; it's ##{pane_id}")


def _rename_window(rig: Rig, beside: Canvas) -> None:
    rig.tmux.run("rename-window", "-t", pane_of(rig), "it's ##(false) mine")


def _renumber(rig: Rig, beside: Canvas) -> None:
    rig.tmux.run("move-window", "-s", pane_of(rig), "-t", f"{KEEPER}:77")


MOVES = [_zoom_another, _zoom, _join, _swap_windows, _swap_panes, _break, _rename_session, _rename_window, _renumber]


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__.strip("_"))
async def test_a_pane_is_found_wherever_a_person_puts_it(rig: Rig, move: Callable[[Rig, Canvas], None]) -> None:
    """Moved while a message stands in its composer: that one and the next arrive there, once, and nowhere else."""
    rig.tmux.run("set-option", "-t", KEEPER, "@taco_executor", "mine")
    rig.build(guard=partial(Guard, fence="mine"))
    log = await composer(rig, provider=hostile_provider(settle_ms=300))
    beside = neighbour(rig, "new-window", "-d", "-t", f"{KEEPER}:")
    sent = await rig.send("be", "hello")
    await rig.until(sent, CommandState.TYPED)
    move(rig, beside)
    ledgers = await rig.ended(sent, await rig.send("be", "next"))
    assert [ledger.state for ledger in ledgers] == [CommandState.DELIVERED] * 2
    assert read_log(log).texts() == [TEXT, NEXT]
    assert beside.settled() == b""


async def test_input_that_is_off_is_waited_for(rig: Rig) -> None:
    log = await composer(rig)
    rig.tmux.run("select-pane", "-d", "-t", pane_of(rig))
    sent = await rig.send("be", "hello")
    assert await rig.held("be", "input") == "its input is off"
    rig.tmux.run("select-pane", "-e", "-t", pane_of(rig))
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.attempts) == (CommandState.DELIVERED, 1)
    assert read_log(log).texts() == [TEXT]


async def test_input_that_goes_off_between_text_and_enter_is_waited_for(rig: Rig) -> None:
    log = await composer(rig, provider=hostile_provider(settle_ms=500))
    sent = await rig.send("be", "hello")
    await rig.until(sent, CommandState.TYPED)
    rig.tmux.run("select-pane", "-d", "-t", pane_of(rig))
    assert await rig.held("be", "input") == "typed, not submitted: its input is off"
    rig.tmux.run("select-pane", "-e", "-t", pane_of(rig))
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.attempts, ledger.enters) == (CommandState.DELIVERED, 1, 1)
    assert read_log(log).texts() == [TEXT]


async def test_panes_synchronized_between_text_and_enter_get_nothing_but_their_own(rig: Rig) -> None:
    log = await composer(rig, provider=hostile_provider(settle_ms=500))
    beside = neighbour(rig, "split-window", "-d", "-t", pane_of(rig))
    sent = await rig.send("be", "hello")
    await rig.until(sent, CommandState.TYPED)
    rig.tmux.run("set-option", "-w", "-t", pane_of(rig), "synchronize-panes", "on")
    assert await rig.held("be", "synchronized") == "typed, not submitted: its panes are synchronized"
    rig.tmux.run("set-option", "-w", "-t", pane_of(rig), "synchronize-panes", "off")
    await rig.ended(sent)
    assert read_log(log).texts() == [TEXT]
    assert beside.settled() == b""


# An agent that is gone


async def test_five_hundred_deaths_between_look_and_text_leave_the_server_alive(tmux: Tmux, tmp_path: Path) -> None:
    """The text rides with the question whether the pane is dead: typed in none that is; no paste ends the server."""
    pipe, buffers = CommandPipe(tmux.socket), tmp_path / "buffers"
    buffers.mkdir()
    pane = await windows.open_window(pipe, KEEPER, 3, "be", cwd="/")
    guard, server = Guard(pipe, buffers), tmux.show(KEEPER, "#{pid}")
    refused = 0
    for number in range(500):
        pid = await windows.run_in(pipe, pane, ["sleep", "0"], cwd="/", owner="s/be")
        if number % 5 == 0:
            await wait_for_async(lambda: _is_dead(pipe, pane), what="death")
        text = "two\nlines" if number % 2 else "hello"
        verdict, dead = await asyncio.gather(
            guard.type_text(Target(pane, pid, "s/be"), f"m{number}", text), _is_dead(pipe, pane)
        )
        assert not (dead and verdict.done), number
        assert verdict.done or verdict.refused == ("dead",), verdict
        refused += not verdict.done
        if not verdict.done:
            assert (await pipe.pane(pane)).typed == ""  # type: ignore[union-attr]
    assert refused >= 100
    assert tmux.show(KEEPER, "#{pid}") == server
    assert [*buffers.iterdir(), *tmux.run("list-buffers").split()] == []


async def _is_dead(pipe: CommandPipe, pane: str) -> bool:
    return await pipe.run(command("display-message", "-p", "-t", pane, "#{pane_dead}")) == ["1"]


@pytest.mark.parametrize("how", ["kill-window", "kill-pane"])
async def test_a_window_closed_between_text_and_enter_sends_it_to_the_next(rig: Rig, how: str) -> None:
    log = await composer(rig, provider=hostile_provider(settle_ms=500))
    sent = await rig.send("be", "hello")
    await rig.until(sent, CommandState.TYPED)
    rig.tmux.run(how, "-t", pane_of(rig))
    assert await rig.held("be", "lost") == "lost: its window was closed"
    assert read_log(log).texts() == []
    await rig.start("be", hostile_argv(log), hostile_provider())
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.attempts) == (CommandState.DELIVERED, 2)
    assert read_log(log).texts() == [TEXT]


async def test_a_window_closed_between_enter_and_evidence_leaves_it_unconfirmed(hasty: Rig) -> None:
    rig = hasty
    log = await composer(rig, provider=hostile_provider(evidence=("hook",)))
    sent = await rig.send("be", "hello")
    await wait_for_async(lambda: read_log(log).texts(), what="submission")
    rig.tmux.run("kill-window", "-t", pane_of(rig))
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.reason) == (CommandState.UNCONFIRMED, GONE)
    await rig.start("be", hostile_argv(log), hostile_provider())
    await rig.ended(await rig.send("be", "next"))
    assert read_log(log).texts() == [TEXT, NEXT]


@pytest.mark.parametrize("when", ["text", "submit"])
async def test_a_shell_that_follows_in_the_very_process_gets_nothing(hasty: Rig, when: str) -> None:
    """An agent started by a script that ends in a shell: the pid stays, and only the screen tells."""
    rig = hasty
    log, shell = rig.directory / "log", rig.directory / "shell.log"
    follows = f'"$@"; exec {shlex.join(raw_argv(shell))}'
    argv = ["sh", "-c", follows, "sh", *hostile_argv(log, die_at=1, die_when=when)]
    agent = await rig.start("be", argv, hostile_provider())
    first = await rig.send("be", "rm -rf build")
    await wait_for_async(lambda: read_raw(shell).ready, what="the shell")
    after = await rig.send("be", "next")
    canvas = Canvas(rig.tmux, shell, agent.pane)
    if when == "text":
        assert await rig.held("be", "not submitted") == "typed, not submitted: no composer on the screen"
    else:
        await rig.ended(first)
        assert (await rig.held("be", "exited")).startswith("exited")
    assert canvas.settled() == b""
    assert (await rig.ledger(after)).attempts == 0


# Signs that belong to something else


async def test_a_late_hook_of_an_equal_message_and_one_of_a_nested_run_are_no_evidence(hasty: Rig) -> None:
    """The first message is known from the transcript; its hook comes when an equal one stands there unsubmitted."""
    rig = hasty
    agent = await Hooked.start(rig)
    first = await rig.send("be", "hello")
    await agent.submitted()
    at = time.time()
    agent.user(TEXT)
    await rig.ended(first)
    second = await rig.send("be", "hello")
    await agent.submitted(2)
    agent.hook("UserPromptSubmit", prompt=TEXT, at=at)
    agent.hook("UserPromptSubmit", prompt=TEXT, pid=agent.rig.agents["be"].pid + 1)
    (ledger,) = await rig.ended(second)
    assert (ledger.state, ledger.evidence) == (CommandState.UNCONFIRMED, None)


# A session that a person calls something else


def test_an_executor_killed_while_its_session_has_another_name_is_back(taco_home: Path, tmux_socket: str) -> None:
    house = Lone(taco_home, tmux_socket)
    house.tmux.run("rename-session", "-t", f"={NAME}", "mine now")
    house.send()
    wait_for(house.all_read_once, 30, "what the first executor delivers")
    assert kill(house.pid())
    wait_for(lambda: not house.pid(), what="the end of the executor")
    house.supervised()
    house.send()
    wait_for(house.all_read_once, 30, lambda: house.tmux.screen(house.pane))
