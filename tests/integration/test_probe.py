"""A provider is tried out on its real program, and what does not hold is named."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taco.doctor import Check
from taco.probe import Bench, probe
from taco.provider import Provider, parse_provider
from tests.aider_env import aider_environment
from tests.chat_stub import ChatStub
from tests.claude_env import claude_environment
from tests.claude_stub import ClaudeStub
from tests.codex_env import codex_environment
from tests.codex_stub import CodexStub
from tests.gemini_env import gemini_environment
from tests.gemini_stub import GeminiStub
from tests.hostile import hostile_provider
from tests.opencode_env import opencode_environment
from tests.recording import screens_of
from tests.stub import Stub
from tests.support import processes
from tests.support.tmux import Tmux

Environment = Callable[[Any, Path, Path], dict[str, str]]


async def tried(provider: Provider | str, tmp_path: Path, tmux_socket: str, **environ: str) -> dict[str, Check]:
    if isinstance(provider, str):
        provider = parse_provider(tomllib.loads(provider), "provider.toml")
    project = tmp_path / "p"
    project.mkdir(exist_ok=True)
    environ = environ or {name: os.environ[name] for name in ("PATH", "HOME")}
    bench = Bench(tmp_path / "probe", project, environ, tmux_socket, 60.0)
    bench.directory.mkdir()
    found = {each.name: each async for each in probe(provider, bench)}
    assert "taco-probe" not in "".join(Tmux(tmux_socket).run("ls", check=False))
    return found


def verdicts(found: dict[str, Check]) -> dict[str, str]:
    return {name: str(each.verdict) for name, each in found.items()}


async def test_all_is_well(tmp_path: Path, tmux_socket: str) -> None:
    found = await tried(hostile_provider(), tmp_path, tmux_socket)
    wanted = ("program", "starts", "composer", "clear", "ends")
    assert verdicts(found) == dict.fromkeys(wanted, "ok"), found


CLIS: dict[str, tuple[type[Stub], Environment]] = {
    "claude": (ClaudeStub, claude_environment),
    "codex": (CodexStub, codex_environment),
    "gemini": (GeminiStub, gemini_environment),
    "opencode": (ChatStub, opencode_environment),
    "aider": (ChatStub, aider_environment),
}


@pytest.mark.parametrize("name", CLIS)
async def test_a_real_cli_does_what_its_provider_says(short_tmp: Path, tmux_socket: str, name: str) -> None:
    """Which of them holds no more names the record, hook or screen that a release has changed."""
    stub_of, environment = CLIS[name]
    project = short_tmp / "p"
    project.mkdir()
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    with stub_of() as stub:
        environ = environment(stub, short_tmp, project)
        found = await tried(screens_of(name).provider, short_tmp, tmux_socket, **environ)
        told = found.pop("tells its state", None)  # some hooks come with the first turn only
        assert set(verdicts(found).values()) == {"ok"}, found
        assert told is None or told.verdict == ("ok" if name == "claude" else told.verdict) != "bad"
        assert {"program", "starts", "composer", "clear", "ends"} <= set(found)
        assert not [each for each in stub.requests if not each.aside]  # no model was asked


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        (("composer = '^> ?", "composer = '^>> ?"), "starts", "nothing shows that it is ready"),
        (("[screen]", 'clear = ["F5"]\n[screen]'), "clear", "F5 does not empty the composer"),
        (("hostile_agent.py", "no_such_agent.py"), "starts", "it ended"),
    ],
    ids=["a pattern", "keys", "a command"],
)
async def test_what_does_not_hold_is_named(
    tmp_path: Path, tmux_socket: str, change: tuple[str, str], name: str, said: str
) -> None:
    found = await tried(hostile_provider().replace(*change), tmp_path, tmux_socket)
    assert verdicts(found)[name] == "bad"
    assert said in found[name].found


async def test_a_program_that_is_not_there(tmp_path: Path, tmux_socket: str) -> None:
    toml = 'name = "mine"\ncommand = ["no-such-program"]\ninstall = "npm install -g mine"\n'
    found = await tried(toml, tmp_path, tmux_socket)
    assert list(found) == ["program"]
    assert (str(found["program"].verdict), found["program"].mend) == ("bad", "npm install -g mine")


async def test_processes_that_do_not_end_are_killed_and_told(tmp_path: Path, tmux_socket: str) -> None:
    ignores = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; print('hi'); time.sleep(99)"
    toml = f'name = "mine"\ncommand = [{sys.executable!r}, "-c", "{ignores}"]\nevidence = []\nfirst_prompt = "none"\n'
    found = await tried(toml, tmp_path, tmux_socket)
    assert verdicts(found)["screen rules"] == "warn"
    assert "had to be killed" in found["ends"].found
    assert processes.describe(processes.of_home([tmp_path / "probe"])) == ""
