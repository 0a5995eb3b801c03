"""Fixtures that every test may use, and the rules that hold for all of them."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import needs, processes
from tests.support.redis import KINDS, end_private, redis_program
from tests.support.tmux import Tmux, hostile_conf, new_socket

# What the caller's own agent CLI, tmux or TACO left in the environment must not reach what a test starts.
FOREIGN = ("ANTHROPIC", "CLAUDE", "OPENAI", "GEMINI", "GOOGLE_API", "TACO_", "TMUX")
OWN = "TACO_TEST_"  # settings of the tests themselves
SHORT_TMP = "/tmp"  # pytest's own directories are too long for a unix socket (107 bytes)

_homes: list[Path] = []


def _foreign_names() -> list[str]:
    return [name for name in os.environ if name.startswith(FOREIGN) and not name.startswith(OWN)]


def pytest_configure() -> None:
    """What is started must not inherit the caller's agent CLI, nor a shell's habit of ignoring Ctrl-C in its jobs."""
    for name in _foreign_names():
        del os.environ[name]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes what another test may have left in the environment."""
    for name in _foreign_names():
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def orphans() -> Iterator[None]:
    """After the last test: nothing that was started under a test's TACO_HOME may still run."""
    yield
    left = processes.of_home(_homes)
    report = processes.describe(left)
    processes.end(left)
    assert not report, f"left behind by the tests:\n{report}"


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A directory with a short path, for sockets; removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="taco-t", dir=SHORT_TMP)).resolve()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def taco_home(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A TACO_HOME of its own, and no configuration of the person; its processes end with the test."""
    home = short_tmp / "h"
    home.mkdir()
    _homes.append(home)
    monkeypatch.setenv("TACO_HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(short_tmp / "c"))
    monkeypatch.setenv("XDG_STATE_HOME", str(short_tmp / "s"))
    yield home
    end_private(home)


@pytest.fixture
def tmux_socket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a tmux server of its own (`tmux -L`), which TACO uses too; it ends with the test."""
    needs.require("tmux")
    name = new_socket()
    monkeypatch.setenv("TACO_TMUX_SOCKET", name)
    yield name
    Tmux(name).close()


@pytest.fixture
def hostile_tmux_conf(short_tmp: Path) -> Path:
    """A tmux.conf that holds everything that could break a session."""
    path = short_tmp / "hostile.conf"
    path.write_text(hostile_conf(), encoding="utf-8")
    return path


@pytest.fixture
def tmux(tmux_socket: str) -> Tmux:
    """A running tmux server of its own, with an empty configuration and a session `keeper`."""
    server = Tmux(tmux_socket)
    server.start()
    return server


@pytest.fixture
def hostile_tmux(tmux_socket: str, hostile_tmux_conf: Path) -> Tmux:
    """A running tmux server of its own, with the hostile configuration and a session `keeper`."""
    server = Tmux(tmux_socket, hostile_tmux_conf)
    server.start()
    return server


@pytest.fixture(params=["plain", "hostile"])
def any_tmux(request: pytest.FixtureRequest, tmux_socket: str, hostile_tmux_conf: Path) -> Tmux:
    """Both servers, one after the other."""
    server = Tmux(tmux_socket) if request.param == "plain" else Tmux(tmux_socket, hostile_tmux_conf)
    server.start()
    return server


@pytest.fixture(params=KINDS)
def redis_binary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server program of PATH, then the embedded 6.2; TACO uses it (TACO_REDIS_SERVER)."""
    path = redis_program(request.param)
    monkeypatch.setenv("TACO_REDIS_SERVER", str(path))
    return path


@pytest.fixture
def require() -> Callable[..., Path]:
    """`require("fish")`: its path; without it the test is skipped, in CI it fails."""
    return needs.require
