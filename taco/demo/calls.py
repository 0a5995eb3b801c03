"""Programs that the demo agent runs beside its screen: `taco …` and the tests of what it wrote."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

NOT_FOUND = 127


class Call:
    """A running program; its output is read when `pump` is called, so that the keyboard is never left alone."""

    def __init__(self, argv: Sequence[str], text: str = "", cwd: str | None = None) -> None:
        """`text` is its standard input; a program that cannot be started has ended with code 127."""
        self.argv = list(argv)
        self._output = b""
        self.code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd
            )
        except OSError as error:
            self.code = NOT_FOUND
            self._output = f"{self.argv[0]}: {error.strerror}".encode()
            return
        assert self._process.stdin is not None and self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._feed(text.encode())

    def _feed(self, data: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.close()
        except BrokenPipeError:
            return  # it does not read; its exit code will tell

    @property
    def output(self) -> str:
        """What it has written so far, both streams."""
        return self._output.decode("utf-8", "replace").strip()

    @property
    def fd(self) -> int | None:
        """Becomes readable when there is more output or its end; None when nothing is to come."""
        if self.code is not None or self._process is None or self._process.stdout is None:
            return None
        return None if self._process.stdout.closed else self._process.stdout.fileno()

    def pump(self) -> bool:
        """Read what is there; True when the program has ended (its children may still hold the pipe)."""
        if self._process is None or self.code is not None:
            return True
        ended = self._process.poll()
        assert self._process.stdout is not None
        if not self._process.stdout.closed:
            self._read(self._process.stdout.fileno())
        if ended is None:
            return False
        self._process.stdout.close()
        self.code = ended
        return True

    def _read(self, fd: int) -> None:
        try:
            while data := os.read(fd, 65_536):
                self._output += data
        except BlockingIOError:
            return
        assert self._process is not None and self._process.stdout is not None
        self._process.stdout.close()

    def kill(self) -> None:
        """End it, when it still runs."""
        if self._process is not None and self.code is None:
            self._process.kill()
            self._process.wait()
            self.pump()
