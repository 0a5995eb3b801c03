"""Lines for the terminal of window 2, written without ever waiting for it: a person may have stopped it."""

from __future__ import annotations

import contextlib
import os
import termios
from collections import deque
from typing import Any, TextIO

MOST_LINES = 2_000  # that may wait for the terminal


class Terminal:
    """Writes lines to `stream`; to what is no terminal it just prints."""

    def __init__(self, stream: TextIO) -> None:
        """Ctrl-S in this terminal does nothing from now on, until `close`."""
        self._stream = stream
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._descriptor = -1
        self._settings: list[Any] = []
        with contextlib.suppress(OSError, ValueError, termios.error):  # no terminal: a file, a pipe, a StringIO
            name = os.ttyname(stream.fileno())
            # One of our own: what is set on the inherited one is set for everybody who shares it.
            self._descriptor = os.open(name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._settings = termios.tcgetattr(self._descriptor)
            without = [self._settings[0] & ~termios.IXON, *self._settings[1:]]
            termios.tcsetattr(self._descriptor, termios.TCSANOW, without)

    def line(self, text: str) -> None:
        """Write a line, or keep it until the terminal takes it; of too many the newest are left out and counted."""
        if self._descriptor < 0:
            print(text, file=self._stream, flush=True)
            return
        if len(self._waiting) < MOST_LINES:
            self._waiting.append(f"{text}\n".encode(errors="replace"))
        else:
            self._dropped += 1
        self.flush()

    def flush(self) -> None:
        """Write as much as the terminal takes now of what waits."""
        while self._waiting:
            try:
                written = os.write(self._descriptor, self._waiting[0])
            except BlockingIOError:
                return
            except OSError:
                self._waiting.clear()  # the terminal is gone; the log is on the disk
                return
            line = self._waiting.popleft()
            if written < len(line):
                self._waiting.appendleft(line[written:])
                return
            if self._dropped and len(self._waiting) == 0:
                self._waiting.append(f"… {self._dropped} lines left out\n".encode())
                self._dropped = 0

    def close(self) -> None:
        """Write what the terminal takes, and leave it as it was."""
        if self._descriptor < 0:
            return
        self.flush()
        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._settings)
        os.close(self._descriptor)
        self._descriptor = -1
