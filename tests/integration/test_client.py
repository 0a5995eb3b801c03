"""One run of a program: all that it says is heard, and nothing of it is left, whenever its caller stops to wait."""

from __future__ import annotations

import asyncio
import os

import psutil
import pytest

from taco.tmux.client import talk
from taco.tmux.commands import CommandPipe
from tests.support.tmux import Tmux


def what_is_open() -> tuple[int, int]:
    """The children of this process, and its open files."""
    me = psutil.Process()
    return len(me.children()), me.num_fds()


async def test_what_is_told_and_what_is_heard_may_be_longer_than_a_pipe() -> None:
    text = os.urandom(500_000).hex().encode()
    assert await talk(["sh", "-c", "tee /dev/stderr"], text) == (text, text)


async def test_a_program_need_not_read() -> None:
    assert await talk(["sh", "-c", "echo said; echo wrong >&2"], b"x" * 1_000_000) == (b"said\n", b"wrong\n")


async def test_a_missing_program_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        await talk(["no-such-program-anywhere"], b"")


@pytest.mark.parametrize("text", [b"", b"x" * 1_000_000], ids=["reads", "does not read"])
async def test_who_waits_no_more_leaves_nothing_behind(text: bytes) -> None:
    before = what_is_open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await talk(["sleep", "600"], text)
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
