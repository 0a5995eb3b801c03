"""Who calls, and what they may do. Imports nothing heavy: every call of an agent passes here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from taco.errors import RefusedError

PERSON, MOTHER, EVERYONE = "person", "mother", "all"  # as in models, which would cost each call 30 ms
AGENT_WAIT_S = 100.0  # an agent's shell tool is cut off after about 120 s (measured with Claude Code 2.1.197)
_PROC = "/proc"

# What an agent may call; a command with a set of words is limited to these subcommands.
AGENT_VERBS: Mapping[str, frozenset[str] | None] = {
    "send": None,
    "broadcast": None,
    "done": None,
    "fail": None,
    "ask": None,
    "inbox": None,
    "status": None,
    "service": frozenset({"register", "url", "wait"}),
    "mcp": None,
}
MOTHER_VERBS: Mapping[str, frozenset[str] | None] = {
    **AGENT_VERBS,
    "spec": frozenset({"submit", "check", "show", "schema"}),
}


class Caller(NamedTuple):
    """Who runs this command: the person, or an agent of a session."""

    name: str = PERSON
    session: str = ""

    @property
    def is_agent(self) -> bool:
        """Whether an agent calls."""
        return self.name != PERSON

    def wait_s(self, wanted: float) -> float:
        """How long this caller may be kept waiting: an agent's tool would be killed after two minutes."""
        return min(wanted, AGENT_WAIT_S) if self.is_agent else wanted


def caller() -> Caller:
    """Who calls: an agent's pane among the ancestors counts, whatever this process' own environment says."""
    for environ in _ancestors():
        name = environ.get("TACO_AGENT", "")
        if name and name != PERSON:
            return Caller(name, environ.get("TACO_SESSION", ""))
    name = os.environ.get("TACO_AGENT", "") or PERSON
    return Caller(name, os.environ.get("TACO_SESSION", ""))


def check_allowed(who: Caller, command: str, subcommand: str = "") -> None:
    """Raise RefusedError unless this caller may run the command; a group is asked again with its subcommand."""
    verbs = MOTHER_VERBS if who.name == MOTHER else AGENT_VERBS
    subcommands = verbs.get(command, frozenset())
    if not who.is_agent or subcommands is None or (subcommands and subcommand in ("", *subcommands)):
        return
    may = ", ".join(f"{verb} {'|'.join(sorted(subs))}" if subs else verb for verb, subs in verbs.items())
    raise RefusedError(
        f"{f'{command} {subcommand}'.strip()} is the person's to run; agent {who.name} may not",
        hint=f"ask for it with: taco ask. Agents may: {may}",
    )


def _ancestors() -> Iterator[Mapping[str, str]]:
    """The environments that the ancestors were started with, outermost first, up to the tmux server."""
    chain = list(_from_proc() if os.access(_PROC, os.X_OK) else _from_psutil())
    return reversed(chain)


def _from_proc() -> Iterator[Mapping[str, str]]:
    pid = os.getppid()
    while pid > 1:
        parent = 0
        try:
            name, parent = _stat(pid)
            if name.startswith("tmux"):  # the server's own environment is that of whoever started it
                return
            yield _environ(pid)
        except PermissionError:
            yield {}  # another user's: sudo or a setuid program in between
        except OSError:
            return  # gone
        pid = parent


def _stat(pid: int) -> tuple[str, int]:
    head, _, tail = _read(pid, "stat").decode("utf-8", "replace").rpartition(")")
    return head.partition("(")[2], int(tail.split()[1])


def _environ(pid: int) -> Mapping[str, str]:
    found = {}
    for entry in _read(pid, "environ").split(b"\0"):
        if entry.startswith((b"TACO_AGENT=", b"TACO_SESSION=")):
            key, _, value = entry.decode("utf-8", "replace").partition("=")
            found[key] = value
    return found


def _read(pid: int, name: str) -> bytes:
    with open(f"{_PROC}/{pid}/{name}", "rb") as file:  # noqa: PTH123  pathlib would cost each call 3 ms
        return file.read()


def _from_psutil() -> Iterator[Mapping[str, str]]:
    import psutil

    for parent in psutil.Process().parents():
        try:
            if parent.name().startswith("tmux"):
                return
            yield parent.environ()
        except psutil.AccessDenied:
            yield {}
        except psutil.Error:
            return
