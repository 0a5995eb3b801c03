"""Which processes `stop` and `resume` end: those that carry a session's marks and what is below them, nobody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from taco import paths, session
from taco.models import Agent
from taco.processes import of_agents
from tests.support import processes
from tests.support.lone import NAME, Lone
from tests.support.program import run_taco
from tests.support.waiting import wait_for

Spawn = Callable[..., psutil.Process]
CHILD = "import subprocess, sys; subprocess.run(['sleep', '600'], env={})"


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a program in a session of its own with these variables in its environment."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, **env: str) -> psutil.Process:
        found = subprocess.Popen(argv or ("sleep", "600"), env={**os.environ, **env}, start_new_session=True)
        started.append(found)
        return psutil.Process(found.pid)

    yield start
    processes.end(processes.tree([each.pid for each in started]))
    for each in started:
        each.wait(10)


def found(home: Path, *agents: Agent) -> set[int]:
    return {process.pid for process in of_agents(home, NAME, agents or None)}


def test_what_dropped_the_marks_below_an_agent_is_its_process(tmp_path: Path, spawn: Spawn) -> None:
    marks = {"TACO_HOME": str(tmp_path), "TACO_SESSION": NAME, "TACO_AGENT": "be"}
    agent = spawn(sys.executable, "-c", CHILD, **marks)
    (child,) = wait_for(agent.children, 30, "the child")
    wait_for(lambda: child.name() == "sleep")
    others = [spawn(**{**marks, name: "another"}) for name in marks]
    fe = next(each for each, name in zip(others, marks, strict=True) if name == "TACO_AGENT")
    assert found(tmp_path, Agent(3, "be")) == {agent.pid, child.pid}
    assert found(tmp_path) == {agent.pid, child.pid, fe.pid}


def test_a_pid_alone_says_nothing(tmp_path: Path, spawn: Spawn) -> None:
    stranger = spawn()
    assert found(tmp_path, Agent(3, "be", pid=stranger.pid)) == set()
    launch = tmp_path / "sessions" / NAME / "launch" / "be.json"
    starting = spawn(sys.executable, "-c", "import time; time.sleep(600)", "exec-agent", str(launch))
    wait_for(lambda: starting.cmdline()[-1:] == [str(launch)])
    assert found(tmp_path, Agent(3, "be", pid=starting.pid)) == {starting.pid}


def test_a_stopped_session_remembers_no_pid(taco_home: Path, tmux_socket: str, spawn: Spawn) -> None:
    house = Lone(taco_home, tmux_socket)
    session.stop(house.record, grace_s=1, say=lambda _: None)
    assert [(each["pid"], each["pane"]) for each in house.record.agents] == [("0", "")]

    stranger = spawn()  # a restart of the machine has given it the pid of an agent
    remembered = tuple({**each, "pid": str(stranger.pid)} for each in house.record.agents)
    kept = replace(house.record, agents=remembered)
    kept.save()
    kept.save_agents()
    session.resume(house.record, lambda _: None)
    assert processes.runs(stranger)
    wait_for(lambda: [each for each in house.record.agents if int(str(each["pid"])) not in (0, stranger.pid)], 60)
    session.stop(house.record, grace_s=1, say=lambda _: None)
    assert processes.runs(stranger)


def test_an_agent_nobody_knows_any_more_ends_with_its_session(taco_home: Path, tmux_socket: str, spawn: Spawn) -> None:
    house = Lone(taco_home, tmux_socket)
    removed = spawn(TACO_HOME=str(taco_home), TACO_SESSION=NAME, TACO_AGENT="removed")
    session.stop(house.record, grace_s=1, say=lambda _: None)
    assert not processes.runs(removed)


def test_the_team_is_kept_in_a_file_of_its_own(taco_home: Path, tmux_socket: str) -> None:
    house = Lone(taco_home, tmux_socket)
    file = house.record.directory / "session.json"
    wait_for(lambda: (house.record.directory / paths.TEAM).exists(), 30, "the team on disk")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"colour": "blue", "agents": []}))
    assert house.record.agents[0]["name"] == "be"
    before = file.stat().st_mtime_ns
    run_taco("agent", "pause", "be", "--session", NAME, check=True)
    wait_for(lambda: house.record.agents[0]["paused"] == "1", 30, "the team on disk")
    assert (file.stat().st_mtime_ns, house.record.more["colour"]) == (before, "blue")
