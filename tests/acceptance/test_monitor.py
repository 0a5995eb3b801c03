"""The monitor in window 1 of a real session, at a real terminal: what waits is told, keys do what they say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.sessions import House, Session, a_house
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("monitor")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with a_house() as house:
        yield house


@pytest.fixture(scope="module")
def session(house: House) -> Session:
    return house.start_idle("guest", "api", "web")


@pytest.fixture
def person(house: House, session: Session) -> Iterator[Terminal]:
    """At the session's window 1."""
    house.tmux.run("select-window", "-t", "=guest:1")
    terminal = Terminal(["tmux", "-L", house.tmux.socket, "attach", "-t", "=guest"], house.environ(), house.project)
    wait_for(lambda: session.pane(1, "#{session_attached}") == "1")
    yield terminal
    terminal.close()
    wait_for(lambda: session.pane(1, "#{session_attached}") == "0")


def shows(session: Session, *texts: str) -> None:
    wait_for(lambda: all(text in session.screen(1) for text in texts), what=lambda: f"{texts}\n{session.screen(1)}")


def test_a_question_is_in_the_status_line_and_answered_in_the_monitor(session: Session, person: Terminal) -> None:
    assert session.house.tmux.run("show-options", "-t", "=guest:", "-qv", "status-right") == ""
    session.send("api", "!ask prices in euros?")
    person.shows("1 waiting · C-b 1")
    shows(session, "? api asks: prices in euros?")
    person.press("a")
    shows(session, "ANSWER api")
    person.press("yes, in euros\r")
    wait_for(lambda: "  yes, in euros" in session.screen(3), what=lambda: session.screen(3))
    wait_for(lambda: session.house.tmux.run("show-options", "-t", "=guest:", "-qv", "status-right") == "")


def test_a_dialog_is_answered_in_the_monitor(session: Session, person: Terminal) -> None:
    session.taco("send", "web", "!dialog Run: make install?")
    person.shows("1 waiting · C-b 1")
    shows(session, "web waits for you: permission", "a answers")
    person.press("a")
    shows(session, "ANSWER web", "1. Yes ·", "2. No")
    person.press("2\r")
    shows(session, "web: 2. No")
    wait_for(lambda: [each["data"]["kind"] for each in session.events("ask.answered")][-1:] == ["permission"])
    assert session.events("ask.answered")[-1]["content"] == "2. No"
    wait_for(lambda: session.house.tmux.run("show-options", "-t", "=guest:", "-qv", "status-right") == "")


def test_a_message_is_sent_and_an_agent_paused(session: Session, person: Terminal) -> None:
    shows(session, "web")
    person.press("Gsare you there? qrst\r")  # all in one piece, as over a slow line
    session.received("web", text="[person → web]: are you there? qrst")
    shows(session, "delivered at web")
    person.press("p")
    wait_for(lambda: session.agent("web")["paused"])
    shows(session, "‖ paused")
    person.press("p")
    wait_for(lambda: not session.agent("web")["paused"])


def test_capture_is_what_the_window_shows(session: Session) -> None:
    captured = session.taco("agent", "capture", "api").stdout
    assert captured.strip() == session.screen(session.agent("api")["window"]).strip()


def test_who_leaves_is_asked_and_the_monitor_comes_back(session: Session, person: Terminal) -> None:
    before = session.pane(1, "#{pane_pid}")
    person.press("q")
    shows(session, "LEAVE the monitor?", "C-b d")
    person.press("y")
    wait_for(lambda: session.pane(1, "#{pane_pid}") != before)
    shows(session, "TACO", "guest", "api")
