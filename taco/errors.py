"""The errors of TACO and the exit codes they end a command with.

Branches are named by what the catcher should do; the class docstring is the default message.
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Exit codes of every `taco` command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_DELIVERED = 3
    UNCONFIRMED = 4
    NOT_FOUND = 5
    STILL_WAITING = 75
    INTERRUPTED = 130


class TacoError(Exception):
    """Something went wrong."""

    code: str = "failed"
    exit: Exit = Exit.FAILED

    def __init__(self, message: str | None = None, *, hint: str = "") -> None:
        """`message` says what is wrong and where; `hint` says what to do next."""
        self.message = message or (type(self).__doc__ or "").split("\n")[0]
        self.hint = hint
        super().__init__(self.message)


class UsageError(TacoError):
    """The command was called in a way that cannot work."""

    code = "usage"
    exit = Exit.USAGE


class ConfigError(UsageError):
    """A configuration or provider file is wrong."""

    code = "config"


class SpecError(UsageError):
    """The text holds no valid spec."""

    code = "spec"

    def __init__(self, errors: list[str], *, hint: str = "") -> None:
        """`errors` are whole sentences, each beginning with its path (`agents[2].name: ...`)."""
        self.errors = errors
        super().__init__("; ".join(errors), hint=hint)


class NotFoundError(TacoError):
    """What was named does not exist."""

    code = "not_found"
    exit = Exit.NOT_FOUND


class RefusedError(TacoError):
    """This caller may not do that."""

    code = "refused"


class ConflictError(TacoError):
    """Something of that name is already there, with other contents."""

    code = "conflict"


class QueueFullError(TacoError):
    """The queue takes no more messages from this sender."""

    code = "queue_full"


class TemporaryError(TacoError):
    """It may work when it is tried again."""

    code = "temporary"


class BrokerError(TemporaryError):
    """Redis cannot be reached or refused the call."""

    code = "redis"


class TmuxError(TemporaryError):
    """tmux refused a command."""

    code = "tmux"


class TmuxGoneError(TmuxError):
    """The tmux server is not running."""

    code = "tmux_gone"


class MissingProgramError(TacoError):
    """A program that TACO needs is not installed."""

    code = "missing_program"
