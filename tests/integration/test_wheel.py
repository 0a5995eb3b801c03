"""The wheel: what is in it, and that it is enough: a demo session runs from an environment that holds nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from taco import __version__
from tests.support import processes
from tests.support.needs import unavailable
from tests.support.paths import PACKAGE, ROOT
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("wheel")  # one process: its fixtures take long

DATA = {".toml", ".md", ".tcss", ".lua", ".js", ".json"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    target = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(target.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    wanted = {
        f"taco/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == wanted
    assert {Path(name).suffix for name in held} >= {".toml", ".md", ".tcss", ".lua"}
    assert {Path(name).suffix for name in held} <= DATA | {".py", ".sh"}


def test_the_wheel_says_how_the_program_is_called(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"taco_orchestrator-{__version__}.dist-info"
        assert "taco = taco.__main__:main" in archive.read(f"{info}/entry_points.txt").decode()
        assert "MIT License" in archive.read(f"{info}/licenses/LICENSE").decode()


@pytest.fixture(scope="module", params=["pip install .", "uv tool install ."])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program `taco` of an environment into which only the checkout was installed, by a command of the README."""
    command = str(request.param)
    assert f"`{command}`" in (ROOT / "README.md").read_text(encoding="utf-8")
    directory = tmp_path_factory.mktemp("empty") / "an environment"
    subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True, capture_output=True)
    programs = directory / "bin"
    tools = {"UV_TOOL_DIR": "tools", "UV_TOOL_BIN_DIR": "bin", "UV_CACHE_DIR": "cache"}
    environment = os.environ | {name: str(directory / path) for name, path in tools.items()}
    needed = [] if command.startswith("pip ") else [["pip", "install", "uv"]]
    for program, *words in [*needed, command.split()]:
        argv = [str(programs / program), *words]
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            unavailable(f"{command} failed: {done.stderr}")
    return programs / "taco"


def run(program: Path, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What the installed program did."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(program), *args],
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_installed_program_knows_its_release(installed: Path, tmp_path: Path) -> None:
    assert run(installed, "--version", cwd=tmp_path).stdout == f"taco {__version__}\n"


def _upgrade(installed: Path, project: Path, tmux_socket: str, name: str) -> None:
    """Another release is installed in place of the one that runs: it takes over in the same windows."""
    (first,) = (path for path in installed.resolve().parent.parent.rglob("site-packages/taco/__init__.py"))
    text = first.read_text(encoding="utf-8")
    panes = Tmux(tmux_socket).run("list-panes", "-s", "-t", f"={name}", "-F", "#{window_index} #{pane_id}")
    monitor = Tmux(tmux_socket).show(f"{name}:1", "#{pane_pid}")
    first.write_text(text.replace(f'"{__version__}"', '"9.9.9"'), encoding="utf-8")

    def taken_over() -> bool:
        status = run(installed, "status", "--json", cwd=project)
        return json.loads(status.stdout)["executor"]["release"] == "9.9.9"

    noted = run(installed, "status", cwd=project)
    assert f"runs with TACO {__version__}, this is 9.9.9" in noted.stderr or taken_over()
    wait_for(taken_over, 90)
    wait_for(lambda: Tmux(tmux_socket).show(f"{name}:1", "#{pane_pid}") != monitor, what="the monitor of that release")
    assert Tmux(tmux_socket).run("list-panes", "-s", "-t", f"={name}", "-F", "#{window_index} #{pane_id}") == panes
    log = run(installed, "log", "--json", "-n", "500", cwd=project).stdout
    assert "executor.handed_over" in log
    first.write_text(text, encoding="utf-8")


def test_a_demo_session_runs_from_what_was_installed(
    installed: Path, short_tmp: Path, taco_home: Path, tmux_socket: str
) -> None:
    project = short_tmp / "project"
    project.mkdir()
    started = run(installed, "start", "build a small site", "--provider", "demo", "--detach", "--json", cwd=project)
    assert started.returncode == 0, started.stderr

    def agents() -> dict[str, dict[str, object]]:
        status = json.loads(run(installed, "status", "--json", cwd=project).stdout)
        return {agent["name"]: agent for agent in status["agents"]}

    def team_is_done() -> bool:
        team = [agent for name, agent in agents().items() if name != "mother"]
        return bool(team) and all(agent["done"] for agent in team)

    wait_for(team_is_done, 120, what=lambda: f"the team being done: {agents()}")
    assert any(path.is_file() for path in project.rglob("*.py")), "the agents did real work"
    name = json.loads(started.stdout)["session"]
    assert "demo" in Tmux(tmux_socket).screen(f"{name}:1").lower(), "the monitor draws, and says it is scripted"
    _upgrade(installed, project, tmux_socket, name)
    stopped = run(installed, "stop", cwd=project)
    assert stopped.returncode == 0, stopped.stderr
    assert processes.describe(processes.of_home([taco_home])) == ""
