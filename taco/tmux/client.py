"""One run of a tmux client: told something, heard to its end.

asyncio's own subprocesses are not used: one that is cancelled while it is made waits for ever for pipes that were
never connected, and Ctrl-C with it (`asyncio.base_subprocess`, Python 3.11.7). This way takes less than half the CPU.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Sequence
from typing import IO

_CHUNK = 65_536


class Client:
    """A program that has been started and waits to be told something.

    A tmux client takes 3 ms to start and to connect, and 1 ms for what it is told then.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        """Starts it; raises OSError when that is not possible."""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)

    @property
    def is_there(self) -> bool:
        """Whether it runs still: what a client of a server that has ended is told would be lost."""
        return self._process.poll() is None

    async def talk(self, text: bytes) -> tuple[bytes, bytes]:
        """What it wrote to stdout and stderr until it closed both, when `text` was its standard input.

        It does not outlive the call, however that ends.
        """
        with self._process as process:
            assert process.stdin and process.stdout and process.stderr
            streams = _Streams()
            try:
                streams.tell(process.stdin, text)
                out, err = streams.hear(process.stdout), streams.hear(process.stderr)
                await streams.heard.wait()
            finally:
                streams.leave()
                process.kill()  # nothing to one that has ended
        return bytes(out), bytes(err)

    def end(self) -> None:
        """There is nothing to tell it after all."""
        with self._process as process:
            process.kill()


class _Streams:
    """The three ends of a program's streams in the running loop."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()  # what is heard has been heard to its end
        self._loop = asyncio.get_running_loop()
        self._to: IO[bytes] | None = None
        self._from: set[int] = set()

    def tell(self, stream: IO[bytes], text: bytes) -> None:
        """Write `text` and close; what a program that has ended does not take is dropped."""
        os.set_blocking(stream.fileno(), False)
        self._to = stream
        self._write(memoryview(text))

    def hear(self, stream: IO[bytes]) -> bytearray:
        """Fills with what `stream` holds."""
        fd, said = stream.fileno(), bytearray()
        os.set_blocking(fd, False)
        self._from.add(fd)
        self._loop.add_reader(fd, self._read, fd, said)
        return said

    def leave(self) -> None:
        """The loop looks at none of them any more; they can be closed."""
        for fd in self._from:
            self._loop.remove_reader(fd)
        if self._to is not None:
            self._loop.remove_writer(self._to.fileno())

    def _write(self, rest: memoryview) -> None:
        assert self._to is not None
        fd = self._to.fileno()
        self._loop.remove_writer(fd)
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            rest = rest[:0]
        if rest:
            self._loop.add_writer(fd, self._write, rest)
        else:
            self._to.close()
            self._to = None

    def _read(self, fd: int, said: bytearray) -> None:
        if chunk := os.read(fd, _CHUNK):
            said += chunk
            return
        self._loop.remove_reader(fd)
        self._from.discard(fd)
        if not self._from:
            self.heard.set()
