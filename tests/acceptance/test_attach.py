"""People who come and go: terminals of two sizes are attached while messages go on, and nothing changes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from tests.support.program import TACO
from tests.support.sessions import Session, a_house
from tests.support.terminal import DETACH, Terminal
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("attach")  # one process: its tests share sessions

SIZES = [(80, 24), (200, 50)]
EXPORTED = ("HOME", "XDG_CONFIG_HOME", "TACO_HOME", "TACO_TMUX_SOCKET", "TACO_DEMO_SPEED", "TACO_DEMO_LOG")
LONG = "a message that is wrapped on a narrow terminal " * 6


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with a_house() as house:
        yield house.start_idle("pair", "api", "web")


def person(session: Session, columns: int, rows: int) -> Terminal:
    return Terminal([str(TACO), "attach", session.name], session.house.environ(), session.house.project, columns, rows)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_attaching_and_detaching_changes_nothing(session: Session, size: tuple[int, int]) -> None:
    before = {each["name"]: (each["pid"], each["pane"], each["window"]) for each in session.agents()}
    windows, heard = session.windows(), len(session.submitted("api"))
    terminal = person(session, *size)
    try:
        wait_for(lambda: session.pane(0, "#{session_attached} #{window_width}") == f"1 {size[0]}")
        assert session.send("api", f"seen by {size[0]} {LONG}")
        terminal.press(DETACH)
        assert terminal.wait() == 0
    finally:
        terminal.close()
    wait_for(lambda: session.pane(0, "#{session_attached}") == "0")
    assert session.send("api", f"alone after {size[0]} {LONG}")
    assert session.submitted("api")[heard:] == [
        f"[person → api]: seen by {size[0]} {LONG}".rstrip(),
        f"[person → api]: alone after {size[0]} {LONG}".rstrip(),
    ]
    assert {each["name"]: (each["pid"], each["pane"], each["window"]) for each in session.agents()} == before
    assert session.windows() == windows


def test_the_bell_rings_for_who_is_attached_when_something_waits(session: Session) -> None:
    terminal = person(session, 80, 24)
    try:
        wait_for(lambda: session.pane(0, "#{session_attached}") == "1")
        quiet = terminal.written.count("\a")
        session.taco("send", "web", "!ask which colour?")
        wait_for(lambda: terminal.written.count("\a") > quiet, 30, session.describe)
        assert session.pane(2, "#{window_bell_flag}") == "1"
        session.taco("answer", "blue")
        terminal.press(DETACH)
        assert terminal.wait() == 0
    finally:
        terminal.close()
    wait_for(lambda: not session.json("inbox")["asks"], what=session.describe)


def test_messages_go_on_while_terminals_come_go_and_change_size(session: Session) -> None:
    heard = len(session.submitted("web"))
    for number in range(24):
        session.taco("send", "web", f"{number} {LONG}")
    terminals = []
    try:
        for size in SIZES:
            terminals.append(person(session, *size))
            terminals[-1].shows("pair")
            terminals[-1].resize(100, 30)
        assert wait_for(lambda: len(session.submitted("web")) >= heard + 12, 60)
        for terminal in terminals:
            terminal.press(DETACH)
            assert terminal.wait() == 0
        wait_for(lambda: len(session.submitted("web")) >= heard + 24, 60, session.describe)
    finally:
        for terminal in terminals:
            terminal.close()
    expected = [f"[person → web]: {number} {LONG}".rstrip() for number in range(24)]
    assert session.submitted("web")[heard:] == expected
    session.wait(lambda team: not any(each["queue_depth"] for each in team))
    assert session.status()["queue"]["unconfirmed"] == 0


def test_a_draft_of_the_person_is_neither_sent_nor_mixed_with_a_message(session: Session) -> None:
    terminal = person(session, 120, 40)
    try:
        wait_for(lambda: session.pane(0, "#{session_attached}") == "1")
        session.house.tmux.run("select-window", "-t", f"={session.name}:3")
        terminal.press("not yet finish")
        session.shows(3, "> not yet finish")
        sent = session.json("send", "api", "are you free?")["id"]
        hold = wait_for(lambda: session.json("queue", "show", sent)["hold"])
        assert "draft" in hold
        terminal.press("ed\r")
        assert session.received("api", text="are you free?") == "[person → api]: are you free?"
        assert session.submitted("api")[-2:] == ["not yet finished", "[person → api]: are you free?"]
    finally:
        terminal.close()


def test_without_a_terminal_there_is_nothing_to_attach(session: Session) -> None:
    done = session.house.taco("attach", session.name, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no terminal here to attach — ")


def test_starting_in_a_terminal_goes_to_the_session(session: Session) -> None:
    house = session.house
    words = [str(TACO), "start", "--provider", "idler", "--session", "seen", "say nothing"]
    terminal = Terminal(words, house.environ(), house.project, 120, 40)
    try:
        terminal.shows("demo agent: scripted")
        terminal.press(DETACH)
        assert terminal.wait() == 0
    finally:
        terminal.close()
    assert {each["session"] for each in house.json("ls")} == {"pair", "seen"}
    house.taco("stop", "seen", "--grace", "1")


def test_inside_the_same_tmux_a_client_is_switched(session: Session) -> None:
    tmux = session.house.tmux
    tmux.start()
    pane = tmux.pane("sh")
    client = Terminal(["tmux", "-L", tmux.socket, "attach", "-t", "keeper"], session.house.environ(), tmux.conf.parent)
    try:
        wait_for(lambda: tmux.show("keeper:", "#{session_attached}") == "1")
        tmux.run("send-keys", "-t", pane, f"{TACO} attach pair", "Enter")
        wait_for(lambda: session.pane(0, "#{session_attached}") == "1", what=lambda: tmux.screen(pane))
        tmux.run("switch-client", "-t", "keeper")
        house = session.house
        exports = " ".join(f"{name}={shlex.quote(house.environ()[name])}" for name in EXPORTED)
        words = f"cd {house.project}; env {exports} {TACO} start --provider idler --session inside 'from within'"
        tmux.run("send-keys", "-t", pane, words, "Enter")
        wait_for(
            lambda: tmux.run("list-clients", "-F", "#{client_session}") == "inside", what=lambda: tmux.screen(pane)
        )
    finally:
        client.close()
    session.house.taco("stop", "inside", "--grace", "1")
    tmux.run("kill-session", "-t", "=keeper")
    assert session.status()["status"] == "running"


def test_a_session_that_the_person_renamed_is_still_the_session(session: Session) -> None:
    house = session.house
    renamed = house.start_idle("before", "api")
    house.tmux.run("rename-session", "-t", "=before", "after")
    assert {each["session"]: each["status"] for each in house.json("ls")}["before"] == "running"
    assert renamed.send("api", "still here?")
    house.tmux.run("kill-pane", "-t", "=after:2")  # the executor's: its window is opened again where the others are
    wait_for(lambda: "executor" in house.tmux.run("list-windows", "-t", "=after", "-F", "#{window_name}"))
    assert renamed.send("api", "and now?")
    terminal = Terminal([str(TACO), "attach", "before"], house.environ(), house.project, 120, 40)
    try:
        wait_for(lambda: house.tmux.show("=after:", "#{session_attached}") == "1")
        terminal.press(DETACH)
        assert terminal.wait() == 0
    finally:
        terminal.close()
    assert house.taco("resume", "before", check=False).returncode == 1
    house.taco("stop", "before", "--grace", "1")
    assert "after" not in house.tmux.run("list-sessions", "-F", "#{session_name}").split()
