"""What the programs in the panes wrote down themselves: each submitted text, exact, in order."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.hostile import text_of


class PaneLog:
    """The log of one pane's program, read on from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self.submitted: list[str] = []
        self.abandoned: list[str] = []  # what stood unsubmitted when a program ended
        self.other = 0  # events that must not be: text lost in a dialog, blank Enters
        self._path = path
        self._read = 0
        self._rest = b""

    def poll(self) -> int:
        """Read what is new; how many texts were submitted in all."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            self._read += len(new)
            *lines, self._rest = (self._rest + new).split(b"\n")
            for line in lines:
                self.take(json.loads(line))
        return len(self.submitted)

    def take(self, line: dict[str, Any]) -> None:
        """One line of the log."""
        raise NotImplementedError


class HostileLog(PaneLog):
    """The log of tests/hostile_agent.py."""

    def take(self, line: dict[str, Any]) -> None:
        if line["event"] == "submit":
            self.submitted.append(text_of(line))
        elif line["event"] in ("blank", "discarded", "command", "interrupted"):
            self.other += 1


class RawLog(PaneLog):
    """The log of tests/raw_reader.py: a carriage return submits what came before it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._draft = b""

    def take(self, line: dict[str, Any]) -> None:
        if line["event"] == "ready":
            if self._draft:
                self.abandoned.append(self._draft.decode(errors="replace"))
            self._draft = b""
        elif line["event"] == "read":
            *texts, self._draft = (self._draft + base64.b64decode(line["data"])).split(b"\r")
            self.submitted += [text.decode("utf-8", "surrogateescape") for text in texts]
