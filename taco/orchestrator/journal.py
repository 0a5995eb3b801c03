"""What window 2 shows, and the same as JSON lines on disk: every event, and what the executor itself has to say."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import orjson

from taco import log
from taco.models import Event, iso
from taco.orchestrator.terminal import Terminal
from taco.records import event_from, told
from taco.redact import redact, redacted

_COLOURS = {"error": "\x1b[31m", "warning": "\x1b[33m", "debug": "\x1b[2m"}
MOST_BYTES = 20_000_000  # the log begins anew after this, with the old one beside it
SHOWN_AGAIN = 50  # lines that a new executor shows of what the log holds
BEGINNING = "0-0"  # the id before every event
_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
_BLOCK = 65_536
_NO_ENTRY = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
_Line = tuple[str, str, str, str]  # level, time, what, text


class Journal:
    """Writes events to the screen (readable) and to `path` (JSON lines)."""

    def __init__(self, path: Path, screen: TextIO | None = None) -> None:
        """`path` is appended to; `screen` is standard output by default."""
        self._path = path
        self._screen = Terminal(screen or sys.stdout)
        self._file = _opened(path)
        self._broken = False

    def configure(self) -> None:
        """Write what the rooms log the same way."""
        log.listen(self._log)

    def event(self, event: Event) -> None:
        """Write one event."""
        self._line(*_readable(event))
        self._json(event.as_dict())

    def last_id(self) -> str:
        """The stream id of the last event that the log holds on disk; BEGINNING when it holds none."""
        ids = (_id_of(line) for line in self._backwards())
        return next((each for each in ids if each), BEGINNING)

    def show_again(self, count: int = SHOWN_AGAIN) -> None:
        """Show the last `count` lines of the log on the screen: tmux has emptied it for a new process."""
        lines = (_line_of(text) for text in self._backwards())
        for line in reversed(list(islice((each for each in lines if each), count))):
            self._line(*line)

    def _backwards(self) -> Iterator[bytes]:
        """The lines of the log from its end, and then those of the one before it."""
        return chain(_backwards(self._path), _backwards(_before(self._path)))

    def _log(self, level: str, event: str, values: Mapping[str, Any]) -> None:
        ts = iso(time.time())
        text = redact(" ".join(f"{name}={value}" for name, value in values.items()))
        self._line(level, ts, event, text)
        self._json({"ts": ts, "level": level, "type": event, "content": text, "data": redacted(dict(values))})

    def _line(self, level: str, ts: str, what: str, text: str) -> None:
        colour = _COLOURS.get(level, "")
        clean = "".join(char if char.isprintable() else " " for char in text)
        self._screen.line(f"{colour}{ts[11:19]} {what:<20} {clean}\x1b[0m")

    def _json(self, entry: dict[str, Any]) -> None:
        """A full disk must not end deliveries: it is said once, and writing goes on when there is room again."""
        try:
            self._file.write(_encoded(entry) + b"\n")
            self._file.flush()
            self._broken = False
        except (OSError, ValueError) as error:  # ValueError: it was closed already
            if not self._broken:
                self._screen.line(f"\x1b[31mthe log {self._path} cannot be written: {error}\x1b[0m")
            self._broken = True
            return
        if self._file.tell() > MOST_BYTES:
            self._file.close()
            self._path.replace(_before(self._path))
            self._file = _opened(self._path)

    def close(self) -> None:
        """Close the file, and leave the screen as it was."""
        self._file.close()
        self._screen.close()

    def flush(self) -> None:
        """Show what the screen did not take before."""
        self._screen.flush()


def _opened(path: Path) -> BinaryIO:
    """A log to append to, readable by its owner only: it holds what agents were told."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)  # one that an earlier release has made
    file = os.fdopen(descriptor, "ab")
    if _is_torn(path):
        file.write(b"\n")  # goes out with the first entry, which has a line of its own then
    return file


def _before(path: Path) -> Path:
    """Where the log goes when it begins anew."""
    return path.with_suffix(".old.jsonl")


def _is_torn(path: Path) -> bool:
    """Whether a file ends in the middle of a line: the disk was full, or the machine went down."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.seek(0, os.SEEK_END) > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
    return False


def _backwards(path: Path) -> Iterator[bytes]:
    """The lines of a file from its end, read block by block; what follows the last line break is none."""
    tail, is_ended = b"", False
    with contextlib.suppress(OSError), path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - _BLOCK)
            file.seek(begin)
            tail, *lines = (file.read(end - begin) + tail).split(b"\n")
            if lines and not is_ended:
                lines.pop()
                is_ended = True
            yield from reversed(lines)
            end = begin
    if is_ended:
        yield tail


def position(event_id: object) -> tuple[int, int] | None:
    """A stream id as a pair that can be compared; None for what is none."""
    found = _ID.fullmatch(event_id) if isinstance(event_id, str) else None
    return (int(found[1]), int(found[2])) if found else None


def _id_of(line: bytes) -> str:
    """The stream id in a line of the log; "" for a line of the executor's own, or what is none."""
    with contextlib.suppress(*_NO_ENTRY):
        found = json.loads(line)["id"]
        return str(found) if position(found) else ""
    return ""


def _line_of(text: bytes) -> _Line | None:
    """What the screen showed for a line of the log; None for what is none."""
    with contextlib.suppress(*_NO_ENTRY):
        return _readable(event_from(text))
    with contextlib.suppress(*_NO_ENTRY):  # of the executor's own
        entry = json.loads(text)
        return str(entry["level"]), str(entry["ts"]), str(entry["type"]), str(entry["content"])
    return None


def _readable(event: Event) -> _Line:
    """What the screen shows of an event."""
    says_whom = event.category == "command" and "sender" in event.data
    who = f"{event.agent}: " if event.agent and not says_whom else ""
    command = f" [{event.command}]" if event.command else ""
    return str(event.level), str(event.ts), str(event.type), f"{who}{told(event)}{command}"


def _encoded(entry: dict[str, Any]) -> bytes:
    """An entry as JSON; orjson refuses half a surrogate pair."""
    try:
        return orjson.dumps(entry, default=str)
    except TypeError:
        return json.dumps(entry, default=str).encode()
