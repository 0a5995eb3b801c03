"""Files that hooks and sandboxed agents drop.

A writer makes `<name>.tmp` and renames it to `<name>.json`, so a `.json` file is always whole. Names begin with the
time in nanoseconds, so that their order is that of the calls. Whoever may write there may put anything there: links,
pipes, devices, directories. Only regular files of ours are read, and nothing is followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from watchfiles import awatch

KEEP_S = 120.0
MOST_HOOK_BYTES = 16_000_000  # the result of a tool may be long
TRIES = 3
BAD = ".bad"  # what a file's name ends with once it is set aside
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # not blocking: it may be a pipe


@dataclass(frozen=True, slots=True)
class Dropped:
    """One file of a spool: its path and its bytes."""

    path: Path
    body: bytes


class Box:
    """A directory that others write to, held by its descriptor: whatever its path leads to later, it is this one."""

    def __init__(self, descriptor: int) -> None:
        """Use `open`."""
        self._descriptor = descriptor

    @classmethod
    @contextlib.contextmanager
    def open(cls, root: Path, *way: str) -> Iterator[Self]:
        """The directory `way` (one name each) below `root`; raises OSError when one is a link, or it is not ours."""
        descriptor = os.open(root, _OPEN | os.O_DIRECTORY)
        try:
            for name in way:
                inner = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            if os.fstat(descriptor).st_uid != os.geteuid():
                raise PermissionError(f"{root.joinpath(*way)} is somebody else's")
            yield cls(descriptor)
        finally:
            os.close(descriptor)

    def names(self) -> list[str]:
        """Every whole file, oldest first."""
        return sorted(name for name in os.listdir(self._descriptor) if name.endswith(".json"))  # noqa: PTH208

    def read(self, name: str, most: int) -> bytes:
        """What a file holds; raises OSError, ValueError for anything but a regular file of ours of `most` bytes."""
        descriptor = os.open(name, _OPEN, dir_fd=self._descriptor)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise ValueError("not a regular file of ours")
            body = file.read(most + 1)
        if len(body) > most:
            raise ValueError(f"longer than {most:,} bytes")
        return body

    def remove(self, name: str) -> None:
        """Remove a file; raises OSError for a directory."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)

    def set_aside(self, name: str) -> None:
        """Call it `<name>.bad`, so that nobody tries it again; raises OSError."""
        os.rename(name, name + BAD, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)


def is_filled(directory: str | Path) -> bool:
    """Whether a careful look by `Box` may find something; asked every second of every agent, at a tenth of its cost."""
    try:
        return any(name.endswith(".json") for name in os.listdir(directory))  # noqa: PTH208
    except OSError:
        return False


class Spool:
    """Reads a spool again and again; files stay for two minutes, for a reader that starts anew after a crash."""

    def __init__(self, directory: Path) -> None:
        """A directory that is not there yet holds nothing."""
        self.directory = directory
        self._seen: set[str] = set()
        self._tries: Counter[str] = Counter()

    def new(self, now: float) -> list[Dropped]:
        """What was dropped since the last call, oldest first; `now` in epoch seconds."""
        if not is_filled(self.directory):
            return []
        try:
            with Box.open(self.directory.parent, self.directory.name) as box:
                return list(self._new(box, now))
        except OSError:
            return []  # not there yet, or no directory: the other sources tell

    def _new(self, box: Box, now: float) -> Iterator[Dropped]:
        for name in box.names():
            if name not in self._seen:
                yield from self._read(box, name)
            elif _dropped_at(name) < now - KEEP_S:
                with contextlib.suppress(OSError):
                    box.remove(name)
                    self._seen.discard(name)

    def _read(self, box: Box, name: str) -> Iterator[Dropped]:
        try:
            body = box.read(name, MOST_HOOK_BYTES)
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            self._tries[name] += 1
            if self._tries[name] >= TRIES:
                self._seen.add(name)
                del self._tries[name]
                with contextlib.suppress(OSError):
                    box.set_aside(name)
            return
        self._seen.add(name)
        yield Dropped(self.directory / name, body)


def _dropped_at(name: str) -> float:
    digits = name.partition("-")[0]
    return int(digits) / 1e9 if digits.isascii() and digits.isdigit() else 0.0


async def changes(root: Path, stop: asyncio.Event) -> AsyncIterator[set[Path]]:
    """Directories below `root` in which something was dropped, as it happens.

    Only a wake-up call: what lies in a spool is found whether or not a change was seen.
    """
    async for batch in awatch(root, stop_event=stop, debounce=100, step=100, rust_timeout=5_000, recursive=True):
        yield {path.parent for path in _whole(name for _, name in batch)}


def _whole(names: Iterable[str]) -> Iterable[Path]:
    return (path for path in map(Path, names) if path.suffix == ".json")
