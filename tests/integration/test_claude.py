"""The real Claude Code against the stub: its hooks, its transcript and its composer are what TACO takes them for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from taco.files import load_provider
from taco.hooks import HookEvent, parse_hook, settings_json
from taco.screen import Reading, read_screen
from taco.transcript import contains, last_assistant_text, transcript_path
from tests.claude_env import claude_environment
from tests.claude_stub import ClaudeStub
from tests.support.paths import PACKAGE
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for

PROVIDER = load_provider(PACKAGE / "providers" / "claude.toml")


@dataclass
class Cli:
    """One CLI, started by the provider's own command."""

    tmux: Tmux
    stub: ClaudeStub
    environment: dict[str, str]
    project: Path
    spool: Path
    settings: Path
    session_id: str
    pane: str = ""

    def start(self, *words: str, resume: bool = False) -> None:
        values = {"settings": str(self.settings), "session_id": self.session_id, "agent": "backend"}
        argv = PROVIDER.argv(values, resume=resume)
        env = [f"{name}={value}" for name, value in self.environment.items()]
        launch = ["env", "-i", *env, *argv, *words]
        self.pane = self.tmux.pane("sh", "-c", 'cd "$0" && exec "$@"', str(self.project), *launch)

    @property
    def pid(self) -> int:
        return int(self.tmux.show(self.pane, "#{pane_pid}"))

    @property
    def transcript_path(self) -> Path:
        return transcript_path(Path(self.environment["CLAUDE_CONFIG_DIR"]), self.project, self.session_id)

    @property
    def transcript(self) -> bytes:
        return self.transcript_path.read_bytes() if self.transcript_path.exists() else b""

    def read(self) -> Reading:
        capture = self.tmux.run("capture-pane", "-p", "-e", "-t", self.pane)
        return read_screen(PROVIDER.screen, capture)

    def events(self, event: str) -> list[HookEvent]:
        """The hooks of this kind so far, oldest first."""
        found = [parse_hook(path.name, path.read_bytes()) for path in sorted(self.spool.glob(f"*-{event}.json"))]
        return [each for each in found if each.pid == self.pid]

    def await_event(self, event: str, count: int = 1) -> HookEvent:
        return wait_for(lambda: self.events(event)[count - 1 :], timeout_s=60, what=self.screen)[0]

    def await_ready(self) -> None:
        wait_for(lambda: self.read().ready and not self.read().busy, timeout_s=60, what=self.screen)

    def say(self, text: str) -> None:
        """Types, waits until it is seen, presses Enter."""
        self.await_ready()
        self.tmux.run("send-keys", "-t", self.pane, "-l", "--", text)
        wait_for(lambda: self.read().draft.split() == text.split(), what=self.screen)
        self.tmux.run("send-keys", "-t", self.pane, "Enter")

    def screen(self) -> str:
        return self.tmux.screen(self.pane)


@pytest.fixture
def cli(short_tmp: Path, tmux_socket: str) -> Iterator[Cli]:
    project, spool = short_tmp / "project", short_tmp / "the agent's spool"
    project.mkdir()
    spool.mkdir()
    settings = short_tmp / "settings.json"
    settings.write_text(json.dumps(settings_json(str(spool))))
    tmux = Tmux(tmux_socket)
    with ClaudeStub() as stub:
        environment = claude_environment(stub, short_tmp, project)
        tmux.start(120, 40)
        yield Cli(tmux, stub, environment, project, spool, settings, str(uuid.uuid4()))


def test_a_turn_leaves_its_hooks_and_its_transcript(cli: Cli) -> None:
    cli.start("[mother → backend]: build it")
    started = cli.await_event("SessionStart")
    assert (started.kind, started.session_id) == ("startup", cli.session_id)
    submitted = cli.await_event("UserPromptSubmit")
    assert submitted.prompt == "[mother → backend]: build it"
    stopped = cli.await_event("Stop")
    assert stopped.last_message.startswith("ack ")
    assert started.at < submitted.at < stopped.at
    # the transcript, the file itself included, may come after the Stop hook of a first turn
    wait_for(lambda: last_assistant_text(cli.transcript) == stopped.last_message, what=cli.screen)
    assert Path(stopped.transcript).samefile(cli.transcript_path)
    assert contains(cli.transcript, "[mother → backend]: build it")
    assert cli.stub.texts(cli.session_id) == ["[mother → backend]: build it"]


def test_what_is_typed_in_a_tool_is_in_the_transcript_only(cli: Cli) -> None:
    cli.start("<<bash sleep 2>>")
    cli.await_event("PreToolUse")
    wait_for(lambda: cli.read().busy and cli.read().composer_row is not None, what=cli.screen)
    before = len(cli.transcript)
    cli.tmux.run("send-keys", "-t", cli.pane, "-l", "--", "[frontend → backend]: how far?")
    wait_for(lambda: cli.read().draft == "[frontend → backend]: how far?", what=cli.screen)
    cli.tmux.run("send-keys", "-t", cli.pane, "Enter")
    wait_for(lambda: contains(cli.transcript[before:], "[frontend → backend]: how far?"), what=cli.screen)
    cli.await_event("Stop")
    assert [each.prompt for each in cli.events("UserPromptSubmit")] == ["<<bash sleep 2>>"]


def test_agents_send_without_a_prompt_and_start_nothing(cli: Cli) -> None:
    cli.start("<<bash taco send frontend 'it works; really | > yes'>>")
    cli.await_event("Stop")
    assert not cli.events("PermissionRequest")
    cli.say("<<bash taco start something>>")
    assert cli.await_event("PermissionRequest").tool == "Bash"
    wait_for(lambda: cli.read().waiting == "permission", what=cli.screen)
    cli.tmux.run("send-keys", "-t", cli.pane, "Escape")
    cli.await_ready()


def test_a_failed_turn_and_the_end(cli: Cli) -> None:
    cli.start("<<error 400>>")
    assert cli.await_event("StopFailure").last_message.startswith("API Error: 400")
    cli.say("/exit")
    pid = cli.pid
    wait_for(lambda: cli.tmux.show(cli.pane, "#{pane_dead}") == "1", what=cli.screen)
    ended = wait_for(lambda: sorted(cli.spool.glob(f"*-{pid}-SessionEnd.json")), what=cli.screen)
    assert parse_hook(ended[0].name, ended[0].read_bytes()).kind == "prompt_input_exit"
    assert cli.read().exited


def test_a_conversation_goes_on_under_its_id(cli: Cli) -> None:
    cli.start("first")
    cli.await_event("Stop")
    cli.say("/exit")
    wait_for(lambda: cli.tmux.show(cli.pane, "#{pane_dead}") == "1", what=cli.screen)
    cli.start("second", resume=True)
    assert cli.await_event("SessionStart").kind == "resume"
    assert cli.await_event("Stop").session_id == cli.session_id
    assert contains(cli.transcript, "first")
    wait_for(lambda: contains(cli.transcript, "second"), what=cli.screen)
