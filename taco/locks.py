"""One call at a time on a session: `start`, `stop`, `resume`, and looking after it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from taco.errors import ConflictError
from taco.paths import make_private

WAIT_S = 15.0  # how long another call on the same session may take


@contextlib.contextmanager
def alone(home: Path, name: str) -> Iterator[None]:
    """Be the only call on the session; raises ConflictError when another one takes longer than WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    while True:
        with if_free(home, name) as ours:
            if ours:
                yield
                return
        if time.monotonic() > deadline:
            raise ConflictError(f"session {name!r} is being started or stopped by another call", hint="see: taco ls")
        time.sleep(0.05)


@contextlib.contextmanager
def if_free(home: Path, name: str) -> Iterator[bool]:
    """The same without waiting: False while another call is at work."""
    directory = home / "sessions"
    make_private(directory)
    with locked(directory / f".{name}.lock", os.O_CREAT) as ours:
        yield ours


@contextlib.contextmanager
def locked(path: Path, flags: int = 0) -> Iterator[bool]:
    """The lock of one file for the block, or False while another process holds it. Raises OSError for no such file."""
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)
