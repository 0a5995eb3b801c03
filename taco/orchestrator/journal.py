"""What window 2 shows, and the same as JSON lines on disk: every event, and what the executor itself has to say."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import orjson

from taco import log
from taco.models import Event, iso
from taco.orchestrator.terminal import Terminal
from taco.records import told

_COLOURS = {"error": "\x1b[31m", "warning": "\x1b[33m", "debug": "\x1b[2m"}
MOST_BYTES = 20_000_000  # the log begins anew after this, with the old one beside it


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
        says_whom = event.category == "command" and "sender" in event.data
        who = f"{event.agent}: " if event.agent and not says_whom else ""
        command = f" [{event.command}]" if event.command else ""
        self._line(event.level, event.ts, str(event.type), f"{who}{told(event)}{command}")
        self._json(event.as_dict())

    def _log(self, level: str, event: str, values: Mapping[str, Any]) -> None:
        ts = iso(time.time())
        text = " ".join(f"{name}={value}" for name, value in values.items())
        self._line(level, ts, event, text)
        self._json({"ts": ts, "level": level, "type": event, "content": text, "data": dict(values)})

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
            self._path.replace(self._path.with_suffix(".old.jsonl"))
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
    return os.fdopen(descriptor, "ab")


def _encoded(entry: dict[str, Any]) -> bytes:
    """An entry as JSON; orjson refuses half a surrogate pair."""
    try:
        return orjson.dumps(entry, default=str)
    except TypeError:
        return json.dumps(entry, default=str).encode()
