"""A terminal with a person at it: a program on a pty of a given size."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.waiting import wait_for

DETACH = b"\x02d"  # tmux's own prefix, then d


class Terminal:
    """Runs `argv` on a terminal of `columns` x `rows`; what it writes is read all the time."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, columns: int = 80, rows: int = 24
    ) -> None:
        self._fd, slave = os.openpty()
        termios.tcsetwinsize(slave, (rows, columns))
        self._process = subprocess.Popen(
            argv,
            env={**env, "TERM": "xterm-256color"},
            cwd=cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the last program on the terminal has ended
            while data := os.read(self._fd, 65_536):
                self._written += data

    @property
    def written(self) -> str:
        """Everything that was written to the terminal so far."""
        return self._written.decode(errors="replace")

    def shows(self, text: str, timeout_s: float = 60) -> None:
        """Wait until `text` has been written."""
        wait_for(lambda: text in self.written, timeout_s, lambda: f"{text!r} in {self.written[-2000:]!r}")

    def press(self, keys: bytes | str) -> None:
        """Type."""
        os.write(self._fd, keys.encode() if isinstance(keys, str) else keys)

    def resize(self, columns: int, rows: int) -> None:
        """Another size, as when a window is dragged."""
        termios.tcsetwinsize(self._fd, (rows, columns))

    def wait(self, timeout_s: float = 60) -> int:
        """The exit code, once the program has ended."""
        return self._process.wait(timeout_s)

    def close(self) -> None:
        """Hang up."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=5)
        os.close(self._fd)
