"""A session with one agent, a raw reader, and nobody but the test to look after its executor."""

from __future__ import annotations

import json
import os
from pathlib import Path

from taco import paths, processes, session
from taco.models import Command, Priority
from taco.paths import SessionRecord
from taco.wire import Wire
from tests.hostile import raw_provider, read_raw
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for

NAME = "s"


class Lone:
    """A running session whose agent `be` logs all it gets; `settings` are lines of the person's config.toml."""

    def __init__(self, home: Path, socket: str, *, settings: str = "") -> None:
        self.home = home
        self.tmux = Tmux(socket)
        self.log = home.parent / "be.log"
        self._sent = 0
        providers = home.parent / "c" / "taco" / "providers"
        providers.mkdir(parents=True)
        (providers / "raw.toml").write_text(raw_provider("raw", self.log), encoding="utf-8")
        (providers.parent / "config.toml").write_text(settings, encoding="utf-8")
        spec = json.dumps({"agents": [{"name": "be", "role": "reads", "provider": "raw"}]})
        environ = {**os.environ, "XDG_CONFIG_HOME": str(home.parent / "c")}
        project = home.parent / "project"
        project.mkdir()
        request = session.StartRequest(
            "x",
            project,
            session=NAME,
            provider="raw",
            spec=f"AGENT_SPEC_JSON_START\n{spec}\nAGENT_SPEC_JSON_END\n",
            mother=False,
            socket=socket,
            environ=environ,
        )
        session.open_session(request, lambda _: None)
        self.tmux.run("kill-pane", "-t", str(self.record.more["monitor_pane"]))
        wait_for(lambda: read_raw(self.log).ready, 60, "the agent")

    @property
    def record(self) -> SessionRecord:
        return paths.session(self.home, NAME)

    @property
    def pane(self) -> str:
        return str(self.record.more["executor_pane"])

    def pid(self) -> int:
        """The executor; 0 when none runs."""
        found = processes.of_runner(self.home, NAME, "executor")
        return found[0].pid if found else 0

    def supervise(self) -> str:
        return session.supervise(self.record)

    def supervised(self) -> None:
        """Look after the executor until it runs."""
        wait_for(lambda: self.supervise() == "" and self.pid(), 60, lambda: self.tmux.screen(self.pane))

    def send(self, priority: Priority = Priority.NORMAL, *, sender: str = "person") -> str:
        """Queue the next message; its text."""
        self._sent += 1
        text = f"message {self._sent}"
        with Wire(self.record.redis_url, NAME) as wire:
            wire.enqueue(Command(f"m{self._sent}", sender, "be", text, priority))
        return text

    def read(self, text: str) -> bool:
        """Whether the agent has got this message."""
        return f"{text}\r".encode() in read_raw(self.log).data

    def all_read_once(self) -> bool:
        """Whether every message arrived, in order, exactly once."""
        wanted = "".join(f"message {number}\r" for number in range(1, self._sent + 1))
        return read_raw(self.log).data.decode() == wanted

    def forget_crashes(self) -> None:
        """As if the last crashes were long ago."""
        (self.record.directory / "crashes.json").unlink(missing_ok=True)
