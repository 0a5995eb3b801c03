"""A provider is tried out on its real program, and what does not hold is named."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

import pytest

from taco.doctor import Check
from taco.probe import Bench, probe
from taco.provider import Provider, parse_provider
from tests.claude_env import claude_environment
from tests.claude_stub import ClaudeStub
from tests.hostile import hostile_provider
from tests.recording import screens_of
from tests.support import processes
from tests.support.tmux import Tmux


async def tried(provider: Provider | str, tmp_path: Path, tmux_socket: str, **environ: str) -> dict[str, Check]:
    if isinstance(provider, str):
        provider = parse_provider(tomllib.loads(provider), "provider.toml")
    project = tmp_path / "p"
    project.mkdir(exist_ok=True)
    environ = environ or {name: os.environ[name] for name in ("PATH", "HOME")}
    bench = Bench(tmp_path / "probe", project, environ, tmux_socket, 10.0)
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


async def test_the_real_claude(tmp_path: Path, tmux_socket: str) -> None:
    with ClaudeStub() as stub:
        environ = claude_environment(stub, tmp_path, tmp_path / "p")
        found = await tried(screens_of("claude").provider, tmp_path, tmux_socket, **environ)
        wanted = ("program", "starts", "tells its state", "composer", "clear", "ends")
        assert verdicts(found) == dict.fromkeys(wanted, "ok"), found
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
