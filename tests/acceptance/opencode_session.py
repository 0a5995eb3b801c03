"""Sessions of the real OpenCode as a person has them; what its models answer is scripted, on loopback."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taco.files import load_provider
from taco.screen import Reading, read_screen
from tests.acceptance.claude_session import ClaudeHouse, ClaudeSession
from tests.chat_stub import ChatStub
from tests.claude_stub import Received
from tests.opencode_env import opencode_environment
from tests.support.needs import require
from tests.support.paths import PACKAGE
from tests.support.redis import end_private
from tests.support.tmux import Tmux, new_socket

PROVIDER = load_provider(PACKAGE / "providers" / "opencode.toml")
_BRIEF = re.compile(r"You are (\w+), one of a team")


@dataclass(frozen=True)
class OpencodeSession(ClaudeSession):
    """One running session of agents that are OpenCode, and what their models were sent."""

    def requests(self, name: str) -> list[Received]:
        """What was sent to an agent's model, oldest first."""
        return [each for each in self.stub.requests if not each.aside and each.history and name_of(each) == name]

    def read(self, name: str) -> Reading:
        """What TACO must make of an agent's window."""
        pane = self.agent(name)["pane"]
        return read_screen(PROVIDER.screen, self.house.tmux.run("capture-pane", "-p", "-e", "-t", pane))

    def interrupts(self, name: str) -> None:
        """The person ends the turn: Escape, and once more as the CLI asks."""
        self.press(name, "Escape")
        self.reads(name, lambda reading: any("esc again to interrupt" in row for row in reading.lines))
        self.press(name, "Escape")


@contextlib.contextmanager
def an_opencode_house(stub: ChatStub, **config: Any) -> Iterator[ClaudeHouse]:
    """A person whose OpenCode talks to `stub` only and has this configuration; all of it ends with the block."""
    require("tmux")
    root = Path(tempfile.mkdtemp(prefix="taco-t", dir="/tmp")).resolve()  # short: sockets lie in it
    for name in ("p", "c"):
        (root / name).mkdir()
    house = ClaudeHouse(root, Tmux(new_socket()))
    try:
        house = ClaudeHouse(root, house.tmux, env=opencode_environment(root, stub, **config))
        yield house
    finally:
        house.close()
        end_private(house.home)
        shutil.rmtree(root, ignore_errors=True)


def start(house: ClaudeHouse, stub: ChatStub, name: str, *agents: str) -> OpencodeSession:
    """A session with these agents and no Mother, each in a directory of its own."""
    spec = house.root / f"{name}.json"
    spec.write_text(json.dumps({"agents": [{"name": each, "role": "does as told"} for each in agents]}))
    words = ["--session", name, "--dir", str(house.project), "-d", "--provider", "opencode"]
    house.taco("start", "build two things", *words, "--no-mother", "--spec", str(spec))
    return OpencodeSession(house, name, Path(), stub, house.project)  # type: ignore[arg-type]


def name_of(received: Received) -> str:
    """Whose conversation this is, by its brief."""
    if received.history[0].startswith("You are Mother."):
        return "mother"
    found = _BRIEF.match(received.history[0])
    return found[1] if found else ""
