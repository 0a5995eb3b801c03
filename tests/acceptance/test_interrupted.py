"""`start` that was killed half-way, names that others have taken meanwhile, and the environment of `resume`."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taco import paths
from tests.support.program import TACO
from tests.support.sessions import IDLER, House, Session, a_house
from tests.support.waiting import wait_for


@pytest.fixture
def house() -> Iterator[House]:
    with a_house() as house:
        yield house


def start_killed(house: House, name: str, when: str) -> None:
    """`taco start`, killed when it says `when`."""
    words = [str(TACO), "start", "x", "--provider", IDLER, "--session", name, "-d"]
    running = subprocess.Popen(words, env=house.environ(), cwd=house.project, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if when in line:
            running.kill()
            break
    assert running.wait(60) == -signal.SIGKILL
    running.stderr.close()


@pytest.mark.parametrize("on", ["stop", "resume", "start"])
def test_a_start_that_was_killed_half_way_is_told_and_gone_on_from(house: House, on: str) -> None:
    start_killed(house, "half", "windows 0 to 2")
    session = Session(house, "half", house.root / "l" / "{agent}.jsonl")
    assert paths.session(house.home, "half").status == "starting"
    wanted = "was interrupted (starting): taco stop half, then taco resume half"
    assert wanted in session.taco("status").stderr
    assert wanted in house.taco("ls").stderr
    if on == "stop":
        session.stop("--grace", "0.5")
        assert not house.running()
    if on == "start":
        house.taco("start", "x", "--provider", IDLER, "--session", "half", "-d")
    else:
        session.resume()
    assert paths.session(house.home, "half").status == "running"
    assert session.send("mother", "all there?")
    assert wanted not in session.taco("status").stderr
    session.stop("--grace", "0.5")
    assert not house.running()


def test_a_start_that_finds_the_name_taken_leaves_it_alone(house: House) -> None:
    house.tmux.conf.write_text("set-hook -g session-created ''\n")
    house.tmux.start()
    binary = house.root / "bin"
    binary.mkdir()
    real = subprocess.run(["which", "tmux"], capture_output=True, text=True, check=True).stdout.strip()
    # The person opens a session of that name after it was looked for and before ours is opened.
    opens = f"{real} -L {house.tmux.socket} new-session -d -s late cat"
    (binary / "tmux").write_text(f'#!/bin/sh\ncase "$*" in *new-session*"-s late"*) {opens};; esac\nexec {real} "$@"\n')
    (binary / "tmux").chmod(0o755)
    path = f"{binary}:{os.environ['PATH']}"
    done = house.taco("start", "x", "--provider", IDLER, "--session", "late", "-d", check=False, PATH=path)
    assert (done.returncode, "duplicate session" in done.stderr) == (1, True), done.stderr
    assert house.tmux.run("list-panes", "-t", "=late", "-F", "#{pane_current_command}") == "cat"
    assert house.json("ls") == []


def test_a_name_that_runs_from_another_home_in_the_same_redis_is_refused(house: House) -> None:
    with a_house() as other:
        first = other.start_idle("shared", "api")
        url = first.status()["redis"]["url"]
        words = ("start", "x", "--provider", IDLER, "--session", "shared", "-d")
        done = house.taco(*words, check=False, TACO_REDIS_URL=url)
        assert (done.returncode, "another session 'shared' runs in that Redis" in done.stderr) == (1, True), done.stderr
        assert house.json("ls") == []
        assert first.send("api", "still here?")
        first.stop("--grace", "0.5")


def test_a_resumed_session_has_the_environment_of_its_start_or_of_that_call(house: House) -> None:
    session = house.start_idle("env", "api", options=["--no-mother"])
    session.stop("--grace", "0.5")
    done = house.taco("resume", "env", "-d", NEW_KEY="rotated")
    assert "agents get the environment of 0 h 0 min ago; that of this call with: taco resume --env" in done.stderr
    environ = wait_for(lambda: _environ(session, lambda: int(session.agent("api").get("pid") or 0)), 30)
    assert "NEW_KEY=rotated" not in environ
    session.stop("--grace", "0.5")
    done = house.taco("resume", "env", "-d", "--env", NEW_KEY="rotated")
    assert "the environment of this call is used" in done.stderr
    environ = wait_for(lambda: _environ(session, lambda: int(session.agent("api").get("pid") or 0)), 30)
    assert "NEW_KEY=rotated" in environ
    assert f"TACO_HOME={house.home}" in environ
    session.stop("--grace", "0.5")


def _environ(session: Session, pid: Callable[[], int]) -> list[str]:
    """The variables of an agent's process, once it runs."""
    try:
        found = Path(f"/proc/{pid()}/environ").read_text(errors="replace").split("\0")
    except OSError:
        return []
    return found if "TACO_AGENT=api" in found else []
