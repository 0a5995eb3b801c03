"""What is killed comes back by itself, goes on where it was, and has lost and doubled nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from tests.support import processes
from tests.support.processes import runs
from tests.support.sessions import Session, a_house
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("recovery")  # one process: its tests share sessions

MOTHER, MONITOR, EXECUTOR = 0, 1, 2


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with a_house() as house:
        yield house.start_idle("phoenix", "api", "web")


def kill(pid: int) -> None:
    """End one process as a crash would, and wait until it is gone."""
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not runs(process))


def executor(session: Session) -> int:
    """The pid of the executor, once it runs."""

    def found() -> int:
        pid = int(session.pane(EXECUTOR, "#{pane_pid}") or 0) if EXECUTOR in session.windows() else 0
        return pid if pid and psutil.pid_exists(pid) and runs(psutil.Process(pid)) else 0

    return wait_for(found, 40, session.describe)


def redis(session: Session) -> int:
    return int((session.house.home / "redis" / "redis.pid").read_text())


def test_the_monitor_alone_brings_the_executor_back(session: Session) -> None:
    kill(executor(session))
    assert executor(session)  # no taco command in between
    session.shows(MONITOR, "phoenix")
    assert session.send("web", "who woke you?")


def test_a_killed_executor_is_back_and_goes_on_where_it_was(session: Session) -> None:
    heard = len(session.submitted("api"))
    before = {each["name"]: each["pid"] for each in session.agents()}
    for number in range(12):
        session.taco("send", "api", f"order {number}")
        if number == 6:
            kill(executor(session))
    wait_for(lambda: len(session.submitted("api")) >= heard + 12, 40, session.describe)
    assert session.submitted("api")[heard:] == [f"[person → api]: order {number}" for number in range(12)]
    assert {each["name"]: each["pid"] for each in session.agents()} == before
    assert len(session.windows()) == 5


def test_a_killed_redis_is_started_again_with_everything_acknowledged(session: Session) -> None:
    session.taco("agent", "pause", "web")
    session.wait_agent("web", paused=True)
    ids = [session.json("send", "web", f"kept {number}")["id"] for number in range(5)]
    killed = redis(session)
    kill(killed)
    wait_for(lambda: redis(session) != killed, what=session.describe)  # no taco command in between
    assert session.agent("web")["queue_depth"] == 5
    assert [session.json("queue", "show", each)["state"] for each in ids] == ["queued"] * 5
    kill(redis(session))
    session.taco("agent", "resume", "web")  # a taco command finds it dead and starts it
    wait_for(lambda: any("kept 4" in text for text in session.submitted("web")), 40, session.describe)
    kept = [text for text in session.submitted("web") if "kept" in text]
    assert kept == [f"[person → web]: kept {number}" for number in range(5)]
    assert session.send("api", "still here?")


def test_a_closed_executor_window_is_opened_again_once(session: Session) -> None:
    session.house.tmux.run("kill-window", "-t", f"={session.name}:{EXECUTOR}")
    assert executor(session)
    assert session.send("api", "delivered from the new window")
    assert session.windows() == {0: "mother", 1: "monitor", 2: "executor", 3: "api", 4: "web"}


def test_a_closed_agent_window_is_told_and_opened_again(session: Session) -> None:
    session.house.tmux.run("kill-window", "-t", f"={session.name}:4")
    session.wait_agent("web", state="lost(its window was closed)")
    session.taco("send", "web", "after the window")
    session.taco("agent", "restart", "web")
    assert session.received("web", text="after the window")
    assert session.windows()[4] == "web"


def test_a_session_that_lost_its_tmux_is_resumed_with_its_queue(session: Session) -> None:
    tmux = session.house.tmux
    session.taco("agent", "pause", "web")
    session.wait_agent("web", paused=True)
    session.taco("send", "web", "queued before the crash")
    server = psutil.Process(int(tmux.run("display-message", "-p", "#{pid}")))
    tmux.run("kill-server")
    wait_for(lambda: not runs(server))
    (listed,) = session.house.json("ls")
    assert listed["status"] == "down"
    assert session.status()["status"] == "down"
    wait_for(lambda: "is down: its tmux server ended at" in session.taco("status").stderr, what=session.describe)
    told = session.taco("send", "api", "queued while it is down")
    assert "taco resume phoenix" in told.stderr
    done = session.house.taco("attach", session.name, check=False)
    assert (done.returncode, "taco resume phoenix" in done.stderr) == (5, True)
    session.resume()
    assert session.received("api", text="queued while it is down")
    assert session.agent("web")["queue_depth"] == 1
    session.taco("agent", "resume", "web")
    assert session.received("web", text="queued before the crash")
    assert session.windows() == {0: "mother", 1: "monitor", 2: "executor", 3: "api", 4: "web"}


def test_after_a_reboot_nothing_is_lost_and_nothing_comes_twice(session: Session) -> None:
    """Every process has ended at once, Redis and tmux among them; what is on disk is left."""
    assert session.send("api", "delivered before the reboot")
    session.taco("agent", "pause", "web")
    session.wait_agent("web", paused=True)
    session.taco("send", "web", "queued before the reboot")
    server = psutil.Process(int(session.house.tmux.run("display-message", "-p", "#{pid}")))
    ended = [server, *processes.of_home([session.house.home])]
    for each in ended:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    wait_for(lambda: not any(runs(each) for each in ended))
    session.resume()
    session.taco("agent", "resume", "web")
    assert session.received("web", text="queued before the reboot")
    assert session.send("api", "after the reboot")
    assert session.submitted("api").count("[person → api]: delivered before the reboot") == 1
    assert session.windows() == {0: "mother", 1: "monitor", 2: "executor", 3: "api", 4: "web"}


def test_a_session_that_somebody_closed_is_told_apart_from_a_crash(session: Session) -> None:
    tmux = session.house.tmux
    tmux.run("new-session", "-d", "-s", "theirs")
    tmux.run("rename-window", "-t", f"={session.name}:4", "pages")
    assert session.send("web", "to a window of another name")
    tmux.run("kill-session", "-t", f"={session.name}")
    wait_for(lambda: "is down: its tmux session was closed at" in session.taco("status").stderr, what=session.describe)
    session.resume()
    assert "is down" not in session.taco("status").stderr
    assert session.windows() == {0: "mother", 1: "monitor", 2: "executor", 3: "api", 4: "web"}
    tmux.run("kill-session", "-t", "=theirs")


def test_a_monitor_that_ends_again_and_again_stays_down(session: Session) -> None:
    """What it is started with is broken: the executor says so and stops trying."""
    launch = session.house.home / "sessions" / session.name / "launch" / "monitor.json"
    kept = launch.read_text(encoding="utf-8")
    launch.write_text(json.dumps({**json.loads(kept), "argv": ["/bin/false"]}), encoding="utf-8")
    session.house.tmux.run("respawn-pane", "-k", "-t", f"={session.name}:{MONITOR}", "/bin/false")
    (event,) = wait_for(lambda: session.events("monitor.crashed"), 60, session.describe)
    assert "stays down: look at window 1; then: taco executor --restart" in event["content"]
    launch.write_text(kept, encoding="utf-8")
    session.taco("executor", "--restart")
    session.shows(MONITOR, session.name)


def test_an_executor_that_crashes_at_once_stays_down_and_says_why(session: Session) -> None:
    log = session.house.home / "sessions" / session.name / "log.jsonl"
    assert "the executor runs" in session.taco("executor", "--restart").stderr  # crashes so far are forgotten
    log.rename(kept := log.with_suffix(".kept"))
    log.mkdir()
    kill(executor(session))
    session.shows(MONITOR, "crashed 5 times", 60)
    done = session.taco("status")
    assert "the executor crashed 5 times and stays down" in done.stderr
    assert "IsADirectoryError" in done.stderr
    assert "taco executor --restart" in done.stderr
    session.shows(EXECUTOR, "in _run_module_as_main")  # the traceback, whose head may have scrolled away
    session.shows(EXECUTOR, "IsADirectoryError")
    queued = session.json("send", "api", "when you are back")["id"]
    log.rmdir()
    kept.rename(log)
    session.taco("executor", "--restart")
    assert session.received("api", text="when you are back")
    assert session.json("queue", "show", queued)["state"] == "delivered"
    wait_for(lambda: "crashed" not in session.screen(MONITOR), what=lambda: session.screen(MONITOR))


def test_stop_leaves_nothing_behind_after_all_of_this(session: Session) -> None:
    session.stop("--grace", "1")
    assert not session.house.running()
