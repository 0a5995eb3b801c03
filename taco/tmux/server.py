"""The tmux server as a command sees it: its version, our sessions in it, attaching. Only here is libtmux used."""

from __future__ import annotations

import os
import re
import shutil
import sys

import libtmux
from libtmux.exc import LibTmuxException

from taco.errors import MissingProgramError, TmuxError, UsageError
from taco.tmux.commands import socket_words, verbatim
from taco.tmux.windows import PLACEHOLDER, runners

OLDEST = (3, 2)
FIRST_SIZE = (200, 50)
_HOOKS = ("after-new-window", "after-split-window", "after-new-session", "window-linked", "client-detached")
_SESSION_OPTIONS = {
    "destroy-unattached": "off",
    "base-index": "0",
    "renumber-windows": "off",
}


def version() -> tuple[str, tuple[int, int]]:
    """tmux's version as it says it, and as numbers; raises MissingProgramError."""
    if shutil.which("tmux") is None:
        raise MissingProgramError("tmux is not installed", hint="install tmux 3.2 or newer")
    said = "\n".join(libtmux.Server().cmd("-V").stdout).removeprefix("tmux").strip()
    found = re.search(r"(\d+)\.(\d+)", said)
    return said, (int(found[1]), int(found[2])) if found else (99, 0)  # "master" and "openbsd" are newer than any


def check_version() -> str:
    """tmux's version; raises MissingProgramError when it is missing or too old."""
    said, numbers = version()
    if numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise MissingProgramError(f"tmux {said} is too old", hint=f"install tmux {oldest} or newer")
    return said


class TmuxServer:
    """One tmux server; `socket` as `socket_words` takes it."""

    def __init__(self, socket: str = "") -> None:
        """Nothing is started by this."""
        self.socket = socket
        words = {"socket_path": socket} if "/" in socket else {"socket_name": socket or None}
        self._server = libtmux.Server(**words)

    def has(self, session: str) -> bool:
        """Whether a session of ours is there."""
        return bool(self.called_now(session))

    def called_now(self, session: str) -> str:
        """What a session of ours is called; where a person has renamed it, the panes of its runners tell.

        "" when it is not there.
        """
        if not self._run("has-session", "-t", f"={session}", check=False).stderr:
            return session
        found = self._run("list-panes", "-a", "-F", "#{@taco_agent}␞#{session_name}", check=False).stdout
        owned = (line.partition("␞") for line in found)
        return next((name for owner, _, name in owned if owner in runners(session)), "")

    def new_session(self, session: str, *, cwd: str) -> tuple[str, str]:
        """Open a detached session whose window 0 holds a placeholder; its pane's id and the server's socket path.

        One command list, with what a tmux.conf could break set for this session: `destroy-unattached` would close it
        at once, hooks could split its windows, `base-index` and `renumber-windows` move them. Raises TmuxError.
        """
        width, height = map(str, FIRST_SIZE)
        words = ["new-session", "-d", "-s", session, "-n", "mother", "-x", width, "-y", height, "-c", verbatim(cwd)]
        words += ["-P", "-F", "#{pane_id} #{socket_path}", "--", *PLACEHOLDER]
        for name, value in _SESSION_OPTIONS.items():
            words += [";", "set-option", "-t", f"={session}:", name, value]
        for hook in _HOOKS:
            words += [";", "set-hook", "-t", f"={session}:", hook, ""]
        words += [";", "move-window", "-r", "-t", f"={session}:"]
        answer = self._run(*words, check=False)
        if answer.stderr:
            if answer.stdout:  # it was opened, and only what came afterwards failed
                self.kill(session)
            raise TmuxError(f"tmux new-session: {' '.join(answer.stderr)}")
        pane, _, path = answer.stdout[0].partition(" ")
        self._run("kill-pane", "-a", "-t", pane)  # a hook of the person's may have split it
        return pane, path

    def kill(self, session: str) -> None:
        """Close a session; one that is gone already is fine."""
        if name := self.called_now(session):
            self._run("kill-session", "-t", f"={name}")

    def select(self, session: str, window: int) -> None:
        """Make a window the current one of its session."""
        self._run("select-window", "-t", f"={self.called_now(session)}:{window}")

    def attach(self, session: str) -> None:
        """Show the session in this terminal: replaces this process, or switches the tmux client it runs in.

        Raises UsageError without a terminal.
        """
        session = self.called_now(session) or session
        if self._is_around():
            self._run("switch-client", "-t", f"={session}")
            return
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError(
                "there is no terminal here to attach", hint="run it in one; to look from here: taco status"
            )
        environ = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
        argv = ["tmux", "-u", *socket_words(self.socket), "attach-session", "-t", f"={session}"]
        os.execvpe("tmux", argv, environ)

    def _is_around(self) -> bool:
        """Whether this process runs in a pane of this very server."""
        here = os.environ.get("TMUX", "").partition(",")[0]
        if not here or not os.environ.get("TMUX_PANE"):
            return False
        paths = self._run("display-message", "-p", "#{socket_path}", check=False).stdout
        return bool(paths) and os.path.realpath(paths[0]) == os.path.realpath(here)

    def _run(self, *words: str, check: bool = True) -> libtmux.common.tmux_cmd:
        try:
            # `-u` first: without a UTF-8 locale tmux prints "_" for what is not ASCII.
            answer = self._server.cmd("-u", *words)
        except LibTmuxException as error:
            raise MissingProgramError(f"tmux cannot be run: {error}", hint="install tmux 3.2 or newer") from None
        if check and answer.stderr:
            raise TmuxError(f"tmux {words[0]}: {' '.join(answer.stderr)}")
        return answer


def socket_here() -> str:
    """The socket of the tmux server this process runs in; "" outside of tmux."""
    return os.environ.get("TMUX", "").partition(",")[0]
