"""The end of every command: errors told in one line, exit codes, Ctrl-C and a broken pipe. Imports nothing heavy."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from taco.cli import say
from taco.errors import Exit, TacoError

Result = TypeVar("Result")

_LOCKED = "mend its permissions, or set TACO_HOME to another directory"
_NEXT = {  # what the machine refuses, and what to do then; any other OSError is a fault of ours
    errno.ENOSPC: "make room on that disk; nothing that was queued is lost",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _LOCKED),
}


def wants_json(argv: Sequence[str]) -> bool:
    """Whether the caller asked for JSON, so that errors are JSON too."""
    words = argv[: argv.index("--")] if "--" in argv else argv
    return "--json" in words


def conclude(work: Callable[[], int | None], *, as_json: bool) -> int:
    """The exit code of `work()`; what went wrong is told on stderr, and on stdout when JSON was asked for."""

    def finished() -> int:
        code = int(work() or 0)
        sys.stdout.flush()
        return code

    try:
        return translated(finished)
    except TacoError as error:
        return say.problem(error, as_json=as_json)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        _silence()
        return int(Exit.FAILED)


def translated(work: Callable[[], Result]) -> Result:
    """What `work()` returns; what the machine refuses is raised as a TacoError that says what to do."""
    try:
        return work()
    except OSError as error:
        if error.errno not in _NEXT:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise TacoError(f"{where}{error.strerror}", hint=_NEXT[error.errno]) from None


def prepare_streams() -> None:
    """What the terminal's encoding lacks is replaced, and so is a closed stream: neither must end a command."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # below `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure and not (stream.encoding or "").lower().startswith("utf"):
            reconfigure(errors="replace")


def _silence() -> None:
    """Nobody reads stdout any more: Python's last flush would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
