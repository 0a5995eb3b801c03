"""The executor of a session is killed, crashes, and loses its window: it is there again, or says why not."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from taco import processes, session, supervision
from tests.bench.chaos.arena import kill
from tests.hostile import read_raw
from tests.support.lone import NAME, Lone
from tests.support.program import run_taco
from tests.support.waiting import wait_for


@pytest.fixture
def house(taco_home: Path, tmux_socket: str) -> Iterator[Lone]:
    """A session that only the test supervises."""
    yield Lone(taco_home, tmux_socket)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Supervision's clock, which a call moves on by so many seconds."""
    ahead = [0.0]
    fake = SimpleNamespace(time=lambda: time.time() + ahead[0], monotonic=time.monotonic)
    monkeypatch.setattr(supervision, "time", fake)

    def move_on(seconds: float) -> None:
        ahead[0] += seconds

    return move_on


@pytest.mark.slow
def test_twenty_kills_cost_nothing(house: Lone) -> None:
    killed = set()
    for number in range(20):
        text = house.send()
        if number % 3 == 0:
            house.send()
            wait_for(lambda text=text: house.read(text), 30, text)  # type: ignore[misc]
        pid = house.pid()
        assert kill(pid)
        killed.add(pid)
        wait_for(lambda pid=pid: house.pid() != pid, what="the end of the executor")  # type: ignore[misc]
        house.forget_crashes()
        house.supervised()
    assert len(killed) == 20
    wait_for(house.all_read_once, 60, lambda: read_raw(house.log).data)


def test_many_that_look_at_once_start_one(house: Lone) -> None:
    pid = house.pid()
    assert kill(pid)
    wait_for(lambda: not processes.is_alive(pid))
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda _: house.supervise(), range(8)))
    assert sum("started again" in each for each in said) == 1, said
    house.supervised()
    assert len(processes.of_runner(house.home, NAME, "executor")) == 1


def test_its_window_shows_what_it_showed_before_a_kill(house: Lone) -> None:
    text, line = house.send(), f"person → be: {house.send()} "
    wait_for(house.all_read_once, 60, text)
    wait_for(lambda: line in house.tmux.screen(house.pane), 60, lambda: house.tmux.screen(house.pane))
    pid = house.pid()
    assert kill(pid)
    wait_for(lambda: house.pid() != pid)
    house.supervised()
    mark = f"delivers for {NAME} (pid {house.pid()})"
    wait_for(lambda: mark in house.tmux.screen(house.pane), 60, lambda: house.tmux.screen(house.pane))
    assert line in house.tmux.screen(house.pane)
    lines = (house.record.directory / "log.jsonl").read_text().splitlines()
    ids = [entry["id"] for entry in map(json.loads, lines) if "id" in entry]
    assert len(set(ids)) == len(ids)


def test_its_window_is_opened_again(house: Lone) -> None:
    house.tmux.run("kill-window", "-t", f"={NAME}:2")
    wait_for(lambda: not house.pid())
    house.supervised()
    assert house.tmux.show(house.pane, "#{window_index} #{window_name}") == "2 executor"
    house.send()
    wait_for(house.all_read_once, 60)


def test_one_that_crashes_at_once_stays_down_with_its_traceback(house: Lone, clock: Callable[[float], None]) -> None:
    (house.record.directory / "log.jsonl").unlink()
    (house.record.directory / "log.jsonl").mkdir()  # no executor can start with that
    assert kill(house.pid())
    starts, waits, said = 0, [], ""
    while "stays down" not in said:
        said = wait_for(house.supervise, 60, "word of the crash")
        if "starts again in" in said:
            waits.append(float(said.rpartition(" in ")[2].split()[0]))
            clock(waits[-1])
        starts += "started again" in said
    assert starts == supervision.CRASH_LIMIT
    assert waits == sorted(waits), "the waits grow"
    assert waits
    assert set(waits) <= set(supervision.BACKOFF_S)
    assert "IsADirectoryError" in said
    assert "Traceback" in house.tmux.run("capture-pane", "-p", "-S", "-100", "-t", house.pane)
    house.send()
    assert not house.pid()

    (house.record.directory / "log.jsonl").rmdir()
    run_taco("executor", "--restart", "--session", NAME, check=True)
    wait_for(house.all_read_once, 60, lambda: house.tmux.screen(house.pane))


def test_one_that_crashes_every_15_seconds_stays_down_too(house: Lone, clock: Callable[[float], None]) -> None:
    for _ in range(supervision.CRASH_LIMIT):
        assert kill(wait_for(house.pid, 30))
        assert "has been started again" in wait_for(house.supervise, 30)
        clock(15)
    assert kill(wait_for(house.pid, 30))
    assert "crashed 5 times and stays down" in wait_for(house.supervise, 30)
    clock(1_000)
    assert "stays down" in house.supervise()
    supervision.restart(house.record)
    house.supervised()


def test_one_that_hangs_is_told_and_then_ended(house: Lone, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"FRESH_S": 0.0, "SILENT_S": 5.0, "HUNG_S": 8.0, "SECOND_LOOK_S": 0.5}
    for name, limit in limits.items():
        monkeypatch.setattr(supervision, name, limit)
    marks = ("-e", f"TACO_HOME={house.home}", "-e", f"TACO_SESSION={NAME}")
    sleeper = (sys.executable, "-c", "import time; time.sleep(600)", "taco", "executor", "--session", NAME)
    house.tmux.run("respawn-pane", "-k", "-t", house.pane, *marks, *sleeper)  # tmux goes on with what is stopped
    pid = int(house.tmux.show(house.pane, "#{pane_pid}"))
    text = house.send()
    assert f"the executor (pid {pid}) has been silent for" in wait_for(house.supervise, 30)
    said = wait_for(lambda: next((each for each in [house.supervise()] if "silent" not in each), ""), 30)
    assert "the executor hung for" in said
    assert not processes.is_alive(pid)
    wait_for(lambda: house.read(text), 60, lambda: house.tmux.screen(house.pane))
    assert house.all_read_once()


def test_restart_ends_one_that_runs(house: Lone) -> None:
    pid = house.pid()
    run_taco("executor", "--restart", "--session", NAME, check=True)
    assert not processes.is_alive(pid)
    house.supervised()
    assert house.pid() != pid


def test_a_pane_that_is_not_its_own_is_left_alone(house: Lone) -> None:
    agents_pane = str(house.record.agents[0]["pane"])
    pid = house.tmux.show(agents_pane, "#{pane_pid}")
    house.tmux.run("kill-window", "-t", f"={NAME}:2")
    wait_for(lambda: not house.pid())
    record = house.record  # as after a restart of tmux, which counts its panes anew
    record.changed(more={**record.more, "executor_pane": agents_pane}).save()
    assert "started again" in house.supervise()
    assert house.pane != agents_pane
    assert house.tmux.show(agents_pane, "#{pane_pid}") == pid


def test_a_lost_tmux_session_is_told(house: Lone) -> None:
    house.tmux.run("new-session", "-d", "-s", "other", "cat")
    house.tmux.run("kill-session", "-t", f"={NAME}")
    wait_for(lambda: not house.pid())
    assert f"session {NAME} is down" in house.supervise()
    house.tmux.run("new-session", "-d", "-s", NAME, "cat")  # the person's own, of the same name
    assert f"taco resume {NAME}" in house.supervise()
    assert house.tmux.run("list-windows", "-t", f"={NAME}", "-F", "#{window_index}") == "0"


def test_a_stopped_session_stays_stopped(house: Lone) -> None:
    session.stop(house.record, grace_s=1, say=lambda _: None)
    assert house.supervise() == ""
    assert not house.pid()
