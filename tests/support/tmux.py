"""Real tmux servers on sockets of their own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support import needs, processes
from tests.support.waiting import wait_for

KEEPER = "keeper"  # a session that keeps a test's server alive

HOSTILE = """\
set -g base-index 1
set -g pane-base-index 1
set -g renumber-windows on
set -g destroy-unattached on
set -g remain-on-exit off
set -g mouse on
set -g history-limit 0
set -g set-titles on
set -g prefix C-a
set -gw allow-rename on
set -gw automatic-rename on
set -gw synchronize-panes on
set -gw mode-keys vi
set-hook -g after-new-window 'split-window -d'
set-hook -g after-new-session 'split-window -d'
"""


def hostile_conf() -> str:
    """A person's tmux.conf with everything in it that could break a session of TACO."""
    shell = needs.require("fish") if needs.in_ci() else shutil.which("fish")
    return HOSTILE + (f"set -g default-shell {shell}\n" if shell else "")


def new_socket() -> str:
    """A name for `tmux -L` that nobody has."""
    return f"taco-test-{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Tmux:
    """A private tmux server: its socket's name and the configuration it reads."""

    socket: str
    conf: Path = Path("/dev/null")

    def run(self, *words: str, check: bool = True, stdin: str | None = None) -> str:
        """What one tmux command prints, without the last line break; CalledProcessError when it fails."""
        argv = ["tmux", "-u", "-L", self.socket, "-f", str(self.conf), *words]
        done = subprocess.run(argv, capture_output=True, text=True, input=stdin, check=False, timeout=30)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)} failed: {done.stderr.strip()}")
        return done.stdout.removesuffix("\n")

    def start(self, width: int = 120, height: int = 40) -> None:
        """Starts the server with one session (`keeper`) that outlives a hostile configuration."""
        size = ["-x", str(width), "-y", str(height)]
        keep = [";", "set-option", "-t", KEEPER, "destroy-unattached", "off"]
        self.run("new-session", "-d", "-s", KEEPER, *size, "cat", *keep)

    def pane(self, *argv: str, session: str = KEEPER) -> str:
        """The id (`%5`) of a new window's pane that runs `argv`, not through a shell."""
        remain = [";", "set-option", "-w", "remain-on-exit", "on"]
        return self.run("new-window", "-P", "-F", "#{pane_id}", "-t", f"{session}:", *argv, *remain)

    def show(self, target: str, format_: str) -> str:
        """The value of a format for a target."""
        return self.run("display-message", "-p", "-t", target, format_)

    def screen(self, pane: str) -> str:
        """The visible text of a pane."""
        return self.run("capture-pane", "-p", "-t", pane)

    def pids(self) -> list[int]:
        """The process ids of the server and of the programs in its panes; empty when it is not running."""
        server = self.run("display-message", "-p", "#{pid}", check=False)
        panes = self.run("list-panes", "-a", "-F", "#{pane_pid}", check=False)
        return [int(word) for word in f"{server} {panes}".split() if word.isdigit()]

    def close(self) -> None:
        """Ends the server and every process below it, and checks that nothing is left."""
        trees = processes.tree(self.pids())
        self.run("kill-server", check=False)
        processes.end(trees)
        wait_for(lambda: not self.pids(), what=f"end of the tmux server {self.socket}")
        assert not (left := [each for each in trees if processes.runs(each)]), processes.describe(left)
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    @property
    def path(self) -> Path:
        """Where the socket lies."""
        return Path(os.environ.get("TMUX_TMPDIR") or "/tmp") / f"tmux-{os.getuid()}" / self.socket
