"""Removes what nobody needs any more: texts and drafts that were left behind, spools of agents that are gone."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from taco import log
from taco.errors import TmuxError
from taco.tmux.commands import CommandPipe, command, command_list

EVERY_S = 3_600.0
BUFFER_S = 60.0  # a paste takes a moment; another session's executor may be in the middle of one
_BUFFER = re.compile(r"(taco-[0-9a-f]{12}) (\d+)")
_DRAFTS = ("", "bodies", "buffers", "launch", "briefs", "settings", "retries")


def clean(directory: Path, agents: Collection[str], *, before: float) -> int:
    """Remove what is older than `before` (epoch seconds) from a session's directory; how many files that were."""
    removed = 0
    for name in ("bodies", "buffers"):
        removed += sum(_remove(each, before) for each in _files(directory / name))
    for name in _DRAFTS:
        removed += sum(_remove(each, before) for each in _files(directory / name) if each.name.endswith(".tmp"))
    for spool in _directories(directory / "spool"):
        gone = Path(spool).name not in agents
        files = (each for each in _files(spool) if gone or not each.name.endswith(".json"))
        removed += sum(_remove(each, before) for each in files)
        if gone:
            with contextlib.suppress(OSError):  # not empty yet
                spool.rmdir()
    return removed


def _files(directory: Path) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(OSError), os.scandir(directory) as found:
        yield from (each for each in found if not each.is_dir(follow_symlinks=False))


def _directories(directory: Path) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(directory) as found:
        return [Path(each.path) for each in found if each.is_dir(follow_symlinks=False)]
    return []


def _remove(file: os.DirEntry[str], before: float) -> bool:
    with contextlib.suppress(OSError):
        if file.stat(follow_symlinks=False).st_mtime < before:
            os.unlink(file.path)  # noqa: PTH108
            return True
    return False


async def drop_buffers(pipe: CommandPipe, *, before: float | None = None) -> None:
    """Delete the tmux buffers that executors left behind when they were killed; `before`: in epoch seconds."""
    before = time.time() - BUFFER_S if before is None else before
    try:
        lines = await pipe.run("list-buffers -F '#{buffer_name} #{buffer_created}'")
        found = [_BUFFER.fullmatch(line) for line in lines]
        old = [each[1] for each in found if each and int(each[2]) < before]
        if old:
            await pipe.run(command_list(command("delete-buffer", "-b", name) for name in old))
    except TmuxError as error:
        log.warning("cleaning.failed", error=error.message)
