"""Whoever reads what a command prints: when a pipe's other end is closed, a command that follows has nothing to do."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Coroutine
from typing import Any


async def while_read(work: Coroutine[Any, Any, None]) -> None:
    """Await `work`; BrokenPipeError as soon as nobody reads stdout any more, also while nothing is written.

    A write into a closed pipe fails, but what follows a quiet session may not write for hours (`| head -n 1`). The
    write end of a pipe is only ever readable when its other end has been closed.
    """
    task = asyncio.ensure_future(work)
    fd = _pipe()
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    if fd >= 0:
        loop.add_reader(fd, closed.set)
    watch = asyncio.ensure_future(closed.wait())
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise BrokenPipeError
        await task
    finally:
        if fd >= 0:
            loop.remove_reader(fd)
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


def _pipe() -> int:
    """The descriptor of stdout where that is a pipe, else -1."""
    try:
        fd = sys.stdout.fileno()
        return fd if stat.S_ISFIFO(os.fstat(fd).st_mode) else -1
    except (AttributeError, OSError, ValueError):  # closed, from the start or since, or no file at all
        return -1
