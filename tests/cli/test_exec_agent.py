from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from taco.cli import exec_agent
from tests.cli.conftest import Done, taco

SHOW = """
import json, os, signal
print(json.dumps({"env": dict(os.environ), "cwd": os.getcwd(), "pid": os.getpid(),
                  "pipe": signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL}))
"""


def launch(tmp_path: Path, argv: list[str], env: dict[str, str], cwd: Path, **pane: str) -> Done:
    file = tmp_path / "launch.json"
    file.write_text(json.dumps({"argv": argv, "env": env, "cwd": str(cwd)}))
    return taco("exec-agent", str(file), env=pane)


def test_the_program_gets_the_launchs_environment_and_the_panes_terminal(tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin", "SECRET": "x", "TERM": "xterm-kitty", "TMUX": "old", "COLUMNS": "300", "N": "1"}
    done = launch(
        tmp_path,
        [sys.executable, "-S", "-c", SHOW.replace("== signal", "is signal")],
        env,
        tmp_path,
        TERM="tmux-256color",
        TMUX="new,1,2",
        TMUX_PANE="%7",
    )
    found = json.loads(done.out)
    assert found["cwd"] == str(tmp_path)
    got = found["env"]
    assert (got["TERM"], got["TMUX"], got["TMUX_PANE"], got["SECRET"]) == ("tmux-256color", "new,1,2", "%7", "x")
    assert not {"COLUMNS", "PYTHONPATH", "HOME"} & got.keys()
    assert got["PATH"] == "/usr/bin"


def test_the_process_is_the_program_itself(tmp_path: Path) -> None:
    file = tmp_path / "launch.json"
    file.write_text(json.dumps({"argv": ["sh", "-c", "echo $$"], "env": {"PATH": "/usr/bin:/bin"}, "cwd": "/"}))
    with subprocess.Popen(
        [sys.executable, "-m", "taco", "exec-agent", str(file)], stdout=subprocess.PIPE, text=True
    ) as process:
        out, _ = process.communicate(timeout=60)
    assert int(out) == process.pid


def test_a_broken_pipe_ends_the_program_as_it_should(tmp_path: Path) -> None:
    argv = ["sh", "-c", "kill -PIPE $$; echo alive"]
    done = launch(tmp_path, argv, {"PATH": "/usr/bin:/bin"}, tmp_path)
    assert (done.code, done.out) == (-signal.SIGPIPE, "")


def test_the_path_is_the_launchs() -> None:
    assert exec_agent.environment({"PATH": "/a:/b"}, {"PATH": "/c"})["PATH"] == "/a:/b"
    assert exec_agent.environment({}, {"PATH": "/c"})["PATH"] == os.defpath


@pytest.mark.parametrize(
    ("argv", "cwd", "code", "says"),
    [
        (["no-such-program"], "/", 127, "'no-such-program' is not installed"),
        (["/etc/passwd"], "/", 126, "cannot be run"),
        (["sh"], "/no/such/place", 126, "cannot enter /no/such/place: No such file"),
    ],
)
def test_what_cannot_be_started_is_said_on_the_screen(
    tmp_path: Path, argv: list[str], cwd: str, code: int, says: str
) -> None:
    done = launch(tmp_path, argv, {"PATH": "/usr/bin:/bin"}, Path(cwd))
    assert done.code == code
    assert says in done.err
    assert done.err.startswith("taco: ")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"argv": ["sh"], "env": 3, "cwd": "/"}'])
def test_a_broken_launch_file_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "launch.json"
    file.write_text(text)
    done = taco("exec-agent", str(file))
    assert (done.code, "cannot be read" in done.err) == (126, True)
    assert taco("exec-agent").code == 2


def test_nothing_heavy_stands_before_the_agent(tmp_path: Path) -> None:
    file = tmp_path / "launch.json"
    file.write_text(json.dumps({"argv": ["true"], "env": {"PATH": "/usr/bin:/bin"}, "cwd": "/"}))
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "taco", "exec-agent", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "taco.cli.exec_agent" in loaded
    assert not loaded & {"click", "redis", "pydantic", "asyncio", "taco.models"}
