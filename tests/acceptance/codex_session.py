"""Sessions of the real Codex as a person has them; what its models answer is scripted, on loopback."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from taco.screen import Reading, read_screen
from tests.acceptance.claude_session import ClaudeHouse, ClaudeSession
from tests.claude_stub import Received
from tests.codex_env import codex_environment
from tests.codex_screens import PROVIDER
from tests.codex_stub import CodexStub
from tests.support.needs import require
from tests.support.redis import end_private
from tests.support.tmux import Tmux, new_socket

_BRIEF = re.compile(r"You are (\w+), one of a team")


@dataclass(frozen=True)
class CodexSession(ClaudeSession):
    """One running session of agents that are Codex, and what their models were sent."""

    def requests(self, name: str) -> list[Received]:
        """What was sent to an agent's model, oldest first."""
        return [each for each in self.stub.requests if each.history and name_of(each) == name]

    def read(self, name: str) -> Reading:
        """What TACO must make of an agent's window."""
        pane = self.agent(name)["pane"]
        return read_screen(PROVIDER.screen, self.house.tmux.run("capture-pane", "-p", "-e", "-t", pane))


@contextlib.contextmanager
def a_codex_house(stub: CodexStub) -> Iterator[ClaudeHouse]:
    """A person whose Codex talks to `stub` only and trusts the project; all of it ends with the block."""
    require("tmux")
    root = Path(tempfile.mkdtemp(prefix="taco-t", dir="/tmp")).resolve()  # short: sockets lie in it
    for name in ("p", "c"):
        (root / name).mkdir()
    house = ClaudeHouse(root, Tmux(new_socket()))
    try:
        # A directory's trust counts for those below it in a repository only.
        subprocess.run([require("git"), "init", "-q", str(house.project)], check=True)
        house = ClaudeHouse(root, house.tmux, env=codex_environment(root, stub, house.project))
        yield house
    finally:
        house.close()
        end_private(house.home)
        shutil.rmtree(root, ignore_errors=True)


def start(house: ClaudeHouse, stub: CodexStub, name: str, *agents: str, project: Path | None = None) -> CodexSession:
    """A session with these agents and no Mother, each in a directory of its own."""
    spec = house.root / f"{name}.json"
    spec.write_text(json.dumps({"agents": [{"name": each, "role": "does as told"} for each in agents]}))
    project = project or house.project
    words = ["--session", name, "--dir", str(project), "-d", "--provider", "codex"]
    house.taco("start", "build two things", *words, "--no-mother", "--spec", str(spec))
    return CodexSession(house, name, Path(), stub, project)  # type: ignore[arg-type]


def name_of(received: Received) -> str:
    """Whose conversation this is, by its brief."""
    if received.history[0].startswith("You are Mother."):
        return "mother"
    found = _BRIEF.match(received.history[0])
    return found[1] if found else ""
