"""One run of a program: all that it says is heard, and nothing of it is left, whenever its caller stops to wait."""

from __future__ import annotations

import asyncio
import os

import psutil
import pytest

from taco.tmux.client import Client
from taco.tmux.commands import CommandPipe
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for_async


def what_is_open() -> tuple[int, int]:
    """The children of this process, and its open files."""
    me = psutil.Process()
    return len(me.children()), me.num_fds()


async def test_what_is_told_and_what_is_heard_may_be_longer_than_a_pipe() -> None:
    text = os.urandom(500_000).hex().encode()
    assert await Client(["sh", "-c", "tee /dev/stderr"]).talk(text) == (text, text)


async def test_a_program_need_not_read() -> None:
    assert await Client(["sh", "-c", "echo said; echo wrong >&2"]).talk(b"x" * 1_000_000) == (b"said\n", b"wrong\n")


async def test_a_missing_program_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        await Client(["no-such-program-anywhere"]).talk(b"")


@pytest.mark.parametrize("text", [b"", b"x" * 1_000_000], ids=["reads", "does not read"])
async def test_who_waits_no_more_leaves_nothing_behind(text: bytes) -> None:
    before = what_is_open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await Client(["sleep", "600"]).talk(text)
    assert what_is_open() == before


@pytest.mark.parametrize("step", range(12))
def test_a_loop_that_ends_at_any_moment_ends(tmux: Tmux, step: int) -> None:
    """Ctrl-C while a tmux client was being made let `taco start` wait for ever."""

    async def ends_early() -> None:
        asyncio.create_task(CommandPipe(tmux.socket).run("display-message -p x"))  # noqa: RUF006  the loop ends it
        for _ in range(step):
            await asyncio.sleep(0)

    before = what_is_open()
    asyncio.run(asyncio.wait_for(ends_early(), 20))
    assert what_is_open() == before


# a client that was started ahead


async def test_a_list_goes_by_the_client_that_was_started_ahead(tmux: Tmux) -> None:
    before, pipe = what_is_open(), CommandPipe(tmux.socket)
    pipe.warm()
    pipe.warm()
    (spare,) = psutil.Process().children()
    under_way = asyncio.create_task(pipe.run("set-option -g @begun 1 ; wait-for go-on ; display-message -p ended"))
    await wait_for_async(lambda: tmux.run("show-options", "-gqv", "@begun"))
    assert psutil.Process().children() == [spare]
    tmux.run("wait-for", "-S", "go-on")
    assert await under_way == ["ended"]
    assert what_is_open() == before


async def test_one_that_nobody_needs_ends_by_itself(tmux: Tmux) -> None:
    before, pipe = what_is_open(), CommandPipe(tmux.socket)
    pipe.warm()
    await wait_for_async(lambda: what_is_open() == before)
    pipe.warm()
    await pipe.close()
    assert what_is_open() == before


async def test_one_whose_server_has_ended_is_told_nothing(tmux: Tmux) -> None:
    before, pipe = what_is_open(), CommandPipe(tmux.socket)
    assert await pipe.run("display-message -p first") == ["first"]
    pipe.warm()
    (spare,) = psutil.Process().children()
    tmux.close()
    await wait_for_async(lambda: spare.status() == psutil.STATUS_ZOMBIE)
    tmux.start()
    assert await pipe.run("display-message -p again") == ["again"]
    assert what_is_open() == before


async def test_the_server_outlives_many_that_nobody_needed(tmux: Tmux) -> None:
    pipe, other = CommandPipe(tmux.socket), CommandPipe(tmux.socket)
    for number in range(300):
        pipe.warm()
        assert await other.run(f"display-message -p {number}") == [str(number)]
        await pipe.close()
