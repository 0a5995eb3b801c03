"""The commands of the README, one after the other, as a newcomer without an agent CLI runs them."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for

README = (ROOT / "README.md").read_text(encoding="utf-8")
SESSION = "shop"
PATH = os.environ["PATH"]  # a developer's, with all that the tests need


def commands() -> list[str]:
    """Every line of the `sh` blocks, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture
def newcomer(taco_home: Path, tmux_socket: str, short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of their own, and a PATH with the programs TACO needs but no agent CLI."""
    tools = short_tmp / "bin"
    tools.mkdir()
    for name in (
        "tmux",
        "sh",
        "bash",
        "env",
        "sleep",
        "python3",
        "redis-server",
        "uname",
        "cat",
        "git",
        "cmp",
        "date",
        "mkdir",
    ):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("TACO_DEMO_SPEED", "0.2")
    monkeypatch.setenv("HOME", str(short_tmp / "home"))
    (short_tmp / "home").mkdir()
    yield short_tmp / "home"
    subprocess.run([str(ROOT / "bin" / "taco"), "stop", "--all"], check=False, capture_output=True, timeout=60)


def run(line: str, cwd: Path) -> str:
    """One command of the tour; its output. AssertionError when it fails."""
    words = re.sub(r"(^|&& )(bin/)?taco\b", rf"\1{ROOT / 'bin' / 'taco'}", line)
    done = subprocess.run(["bash", "-c", words], cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def collected(cwd: Path) -> str:
    """What `bin/test` would run: it is this suite, so pytest is told to name the tests only."""
    environment = os.environ | {"PATH": PATH, "TACO_TEST_JOBS": "0"}
    environment["PYTEST_ADDOPTS"] = "--collect-only -q -p no:cacheprovider"
    argv = [str(ROOT / "bin" / "test")]
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def attach_and_leave(line: str, cwd: Path, tmux: Tmux) -> None:
    """Run a command that attaches in a terminal of its own, and detach again."""
    argv = [str(ROOT / "bin" / "taco"), *line.split()[1:]]
    leader, follower = pty.openpty()
    client = subprocess.Popen(argv, cwd=cwd, stdin=follower, stdout=follower, stderr=follower, start_new_session=True)
    os.close(follower)
    os.set_blocking(leader, False)
    try:
        wait_for(lambda: tmux.run("list-clients", "-F", "#{session_name}").strip() == SESSION, what=f"a client: {line}")
        tmux.run("detach-client", "-s", SESSION)
        wait_for(lambda: client.poll() is not None, what="the client to leave")
    finally:
        client.kill()
        client.wait()
        os.close(leader)


@pytest.mark.slow
def test_the_readmes_commands_do_what_it_says(newcomer: Path, tmux_socket: str) -> None:
    tmux = Tmux(tmux_socket)
    ran = []
    for line in commands():
        ran.append(line)
        if line == "bin/test":
            assert "tests/acceptance/test_readme.py" in collected(newcomer)
        elif line.startswith("alias "):
            continue
        elif line.startswith("taco attach"):
            attach_and_leave(line, newcomer, tmux)
        elif line.startswith("taco send api"):
            wait_for(lambda: re.search(r"^api\b", run("taco status", newcomer), re.MULTILINE), timeout_s=60, what="api")
            run(line, newcomer)
        elif line.startswith("taco inbox"):
            wait_for(lambda: "prices" in run("taco inbox", newcomer), timeout_s=30, what="the question")
        else:
            run(line, newcomer)
    assert {"api", "web"} <= {path.name for path in (newcomer / "shop").iterdir()}
    assert [line.split("taco ")[1].split()[0] for line in ran if re.search(r"(^|&& )(bin/)?taco ", line)] == [
        "start",
        "status",
        "log",
        "send",
        "broadcast",
        "queue",
        "attach",
        "send",
        "inbox",
        "answer",
        "stop",
        "resume",
    ]


def test_what_the_readme_names_is_there() -> None:
    for path in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / path).exists(), path
    for setting in re.findall(r"^([a-z_]+) = .*# ", README, re.MULTILINE):
        assert setting in (ROOT / "taco" / "config.py").read_text() + (ROOT / "taco" / "provider.py").read_text()
