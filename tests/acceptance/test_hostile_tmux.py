"""Sessions in a person's tmux, whatever their tmux.conf holds, on the oldest Redis and on the one people have."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.redis import redis_program
from tests.support.sessions import House, Session, a_house
from tests.support.terminal import Terminal
from tests.support.tmux import KEEPER, hostile_conf
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("hostile")  # one process: its tests share sessions

TEXTS = ("one line; with #{pane_id} and a tail;", "two\n\n  lines", "naïve 日本語 " * 60, "Enter")
# name -> the tmux.conf, the Redis, whether the person's server runs already, whether the environment is empty
KINDS = {
    "plain, Redis 6.2": ("", "embedded", False, False),
    "hostile, Redis 7": (hostile_conf(), "installed", False, False),
    "hostile and running, env -i": (hostile_conf(), "installed", True, True),
}


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    conf, redis, runs, empty = request.param
    with a_house(tmux_conf=conf, TACO_REDIS_SERVER=str(redis_program(redis))) as house:
        if runs:
            house.tmux.start()
        if empty:
            given = [f"{key}={value}" for key, value in house.environ().items() if key not in os.environ]
            house = replace(house, prefix=("env", "-i", f"HOME={house.environ()['HOME']}", *given))
        yield house


@pytest.fixture(scope="module")
def session(house: House) -> Session:
    return house.start_idle("guest", "api", {"name": "web", "wait_for": ["api"]})


def panes(session: Session) -> list[str]:
    """`window name` of every pane of the session."""
    listing = session.house.tmux.run("list-panes", "-s", "-t", "=guest", "-F", "#{window_index} #{window_name}")
    return listing.splitlines()


def test_windows_are_where_they_belong_and_undivided(session: Session) -> None:
    conf = session.house.tmux.conf.read_text()
    assert session.house.tmux.run("show-options", "-gv", "base-index") == ("1" if conf else "0")
    assert panes(session) == ["0 mother", "1 monitor", "2 executor", "3 api"]
    session.shows(1, "guest")


def test_messages_arrive_whole_once_and_only_where_they_should(session: Session) -> None:
    for text in TEXTS:
        session.send("api", text)
    assert session.submitted("api")[1:] == [f"[person → api]: {text}".rstrip() for text in TEXTS]
    assert len(session.submitted("mother")) == 1


def test_a_later_window_too(session: Session) -> None:
    session.send("api", "!done as said")
    session.wait_agent("web", state="idle")
    session.send("web", "are you whole?")
    assert panes(session) == ["0 mother", "1 monitor", "2 executor", "3 api", "4 web"]


def test_an_attached_person_changes_nothing(session: Session) -> None:
    house = session.house
    before = len(session.submitted("web"))
    terminal = Terminal(["tmux", "-L", house.tmux.socket, "attach", "-t", "=guest"], house.environ(), house.project)
    try:
        wait_for(lambda: session.pane(0, "#{session_attached}") == "1")
        session.send("web", TEXTS[2])
    finally:
        terminal.close()
    wait_for(lambda: session.pane(0, "#{session_attached}") == "0")
    session.send("web", TEXTS[1])
    assert len(session.submitted("web")) == before + 2


def test_the_executor_comes_back_here_too(session: Session) -> None:
    os.kill(int(session.pane(2, "#{pane_pid}")), signal.SIGKILL)
    session.send("api", "after the fall")
    assert panes(session) == ["0 mother", "1 monitor", "2 executor", "3 api", "4 web"]


def test_stop_and_resume_leave_what_is_the_persons(house: House, session: Session) -> None:
    settings = house.tmux.run("show-options", "-g"), house.tmux.run("show-options", "-gw")
    session.stop("--grace", "1")
    session.resume()
    session.wait(lambda team: all(each["state"] == "idle" for each in team), what="everybody is back")
    assert panes(session) == ["0 mother", "1 monitor", "2 executor", "3 api", "4 web"]
    assert (house.tmux.run("show-options", "-g"), house.tmux.run("show-options", "-gw")) == settings
    session.send("web", "still whole?")
    session.stop("--grace", "1")
    others = house.tmux.run("list-sessions", "-F", "#{session_name}", check=False).splitlines()
    assert others in ([], [KEEPER])
    assert not [line for line in house.running().splitlines() if "tmux" not in line]
