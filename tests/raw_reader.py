"""A program without a composer that logs every byte it gets; run by path, standard library only.

The log has JSON lines: {"event": "ready"}, then for each read {"t": epoch s, "mono": s, "offset": of the first byte,
"data": base64, "brackets": [["begin" | "end", offset]]} where a bracketed paste begins or ends (its ESC sequence).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import signal
import sys
import termios
import time
import tty
from pathlib import Path

BRACKET = re.compile(rb"\x1b\[20([01])~")
LONGEST = 6  # bytes of a bracket


def set_mode(mode: str) -> None:
    """`raw`: every byte at once and untouched; `canonical`: lines, as a shell's `read` gets them. Neither echoes."""
    if mode == "raw":
        tty.setraw(0, termios.TCSANOW)
        return
    attributes = termios.tcgetattr(0)
    attributes[3] = (attributes[3] | termios.ICANON | termios.ISIG) & ~termios.ECHO
    termios.tcsetattr(0, termios.TCSANOW, attributes)


def brackets(tail: bytes, data: bytes, offset: int) -> list[list[object]]:
    """The brackets that are complete with `data`; `tail` are the bytes before it."""
    seen = tail + data
    return [
        ["begin" if found[1] == b"0" else "end", offset - len(tail) + found.start()]
        for found in BRACKET.finditer(seen)
        if found.end() > len(tail)
    ]


def serve(log: Path, size: int) -> None:
    """Log all that comes until the terminal closes."""
    tail, offset = b"", 0
    with log.open("ab", buffering=0) as out:

        def put(**line: object) -> None:
            out.write(json.dumps({"t": time.time(), "mono": time.monotonic(), **line}).encode() + b"\n")

        put(event="ready", pid=os.getpid())
        os.write(1, b"ready\r\n")
        while data := os.read(0, size):
            put(
                event="read",
                offset=offset,
                data=base64.b64encode(data).decode(),
                brackets=brackets(tail, data, offset),
            )
            tail = (tail + data)[-(LONGEST - 1) :]
            offset += len(data)
        put(event="end", offset=offset)


def main() -> int:
    """Run with this program's arguments; gives the exit code."""
    parser = argparse.ArgumentParser("raw_reader.py", description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--mode", choices=("raw", "canonical"), default="raw")
    parser.add_argument("--bracketed", action="store_true", help="ask the terminal to frame pastes")
    parser.add_argument("--size", type=int, default=65_536, help="bytes of one read at most")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    before = termios.tcgetattr(0)
    set_mode(options.mode)
    if options.bracketed:
        os.write(1, b"\x1b[?2004h")
    try:
        serve(options.log, options.size)
    except OSError:
        return 129  # the terminal is gone
    finally:
        termios.tcsetattr(0, termios.TCSANOW, before)
    return 0


if __name__ == "__main__":
    sys.exit(main())
