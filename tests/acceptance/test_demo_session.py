"""A demo session from its first word to its last, by `bin/taco` alone, on a machine that reaches nothing but itself."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.needs import unavailable
from tests.support.program import TACO, run_taco
from tests.support.sessions import OFFLINE, House, Session, a_house, is_offline_permitted
from tests.support.terminal import DETACH, Terminal
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("demo")  # one process: its tests share sessions

BUILDERS = ("api", "web", "frontend")
TEAM = (*BUILDERS, "validator")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Set up by a first call; every later one has a network of nothing but loopback where that is permitted."""
    run_taco("--version", check=True)
    with a_house(prefix=OFFLINE if is_offline_permitted() else ()) as house:
        yield house


@pytest.fixture(scope="module")
def session(house: House) -> Session:
    """The demo session, its work done."""
    session = house.start("shop", "--provider", "demo")
    session.wait(lambda team: len(team) == 5 and all(each["done"] for each in team[1:]), 60, "everybody done")
    return session


def test_it_runs_where_nothing_can_be_reached(session: Session) -> None:
    if not is_offline_permitted():
        unavailable("a network namespace: unshare -n is not permitted")
    for agent in session.agents():
        routes = (Path("/proc") / str(agent["pid"]) / "net" / "dev").read_text()
        assert re.findall(r"^ *(\S+):", routes, re.MULTILINE) == ["lo"]


def test_the_windows_stand_where_they_belong(session: Session) -> None:
    assert session.windows() == dict(enumerate(("mother", "monitor", "executor", *TEAM)))
    status = session.status()
    assert {each["name"]: each["window"] for each in status["agents"]} == {
        "mother": 0,
        **{name: 3 + at for at, name in enumerate(TEAM)},
    }
    assert all(session.pane(each["window"]) == each["pane"] for each in status["agents"])
    assert status["status"] == "running"
    assert status["redis"]["url"].startswith("unix://")


def test_the_spec_is_mothers(session: Session) -> None:
    spec = session.json("spec", "show")
    assert (spec["status"], spec["source"], spec["errors"]) == ("running", "mother", [])
    by_name = {each["name"]: each for each in spec["spec"]["agents"]}
    assert list(by_name) == list(TEAM)
    assert by_name["validator"]["wait_for"] == list(BUILDERS)


def test_who_waits_for_others_starts_after_them_and_everybody_is_told(session: Session) -> None:
    shown = {name: session.json("agent", "show", name) for name in TEAM}
    assert all(shown["validator"]["launched_at"] > shown[name]["reported_at"] for name in BUILDERS)
    brief = session.submitted("validator")[0]
    for name in BUILDERS:
        assert f"- {name}: {shown[name]['done']}" in brief  # by wait_for: in its brief
        told = session.received("validator", text=f"[{name} → validator]: done: ")  # by notifies: as a message
        assert told == f"[{name} → validator]: done: {shown[name]['done']}"
    for name in TEAM:
        assert session.received("mother", text=f"[{name} → mother]: done: ")
    session.shows(0, "Every agent has reported. Summary:")


def test_the_work_is_real(session: Session) -> None:
    for name in BUILDERS:
        words = [sys.executable, "-m", "unittest", f"test_part_{name}"]
        done = subprocess.run(words, cwd=session.house.project / name, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


def test_messages_go_both_ways(session: Session) -> None:
    found = session.json("send", "api", "are you there?", "--wait", "20")
    assert (found["state"], found["evidence"], found["sender"], found["attempts"]) == (
        "delivered",
        "screen",
        "person",
        1,
    )
    assert session.received("api", text="are you there?") == "[person → api]: are you there?"
    session.send("web", "!send frontend which colour?")
    assert session.received("frontend", text="which colour?") == "[web → frontend]: which colour?"
    session.send("mother", "reply: the plan stands")
    notes = wait_for(lambda: [each for each in session.json("inbox")["messages"] if each["sender"] == "mother"])
    assert notes[-1]["text"] == "got it: the plan stands"


def test_a_person_attaches_and_detaches(session: Session) -> None:
    house = session.house
    words = [*house.prefix, str(TACO), "attach", "shop"]
    before = {each["name"]: (each["pid"], each["pane"]) for each in session.agents()}
    terminal = Terminal(words, house.environ(), house.project)
    try:
        wait_for(
            lambda: session.pane(0, "#{session_attached} #{window_width}") == "1 80", what=lambda: terminal.written
        )
        session.send("api", "somebody looks on")
        terminal.press(DETACH)
        assert terminal.wait() == 0
    finally:
        terminal.close()
    wait_for(lambda: session.pane(0, "#{session_attached}") == "0")
    session.send("api", "nobody looks on")
    assert session.received("api", text="nobody looks on") == "[person → api]: nobody looks on"
    assert {each["name"]: (each["pid"], each["pane"]) for each in session.agents()} == before


def test_a_broadcast_reaches_everybody_once(session: Session) -> None:
    session.taco("broadcast", "lunch at noon")
    for name in ("mother", *TEAM):
        assert session.received(name, text="lunch at noon") == f"[person → {name}]: lunch at noon"


HOSTILE_BODIES = {
    "key names": "Enter",
    "semicolon at the end": "a; b;",
    "an option": "-R --help",
    "a format": "#(touch pwned) #{pane_id} $HOME `id` $(id)",
    "quotes": """it's "quoted" '\\'' {braces}""",
    "not ASCII": "naïve → 日本語 👩‍👩‍👧 ﷽",
    "lines": "first\n\n  second\nthird",
    "a backslash at the end": "C:\\dir\\",
    "a slash command": "/exit",
    "a shell escape": "! rm -rf",
    "2,000 characters": "wörter " * 285,
}


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
def test_any_text_arrives_as_it_is(session: Session, body: str) -> None:
    before = len(session.submitted("api"))
    session.send("api", body)
    (only,) = wait_for(lambda: session.submitted("api")[before:])
    expected = f"[person → api]: {body}".rstrip()
    assert only == (f"{expected} ." if body.endswith("\\") else expected)


def test_a_question_reaches_the_person_and_the_answer_the_agent(session: Session) -> None:
    session.send("frontend", "!ask Which port shall I take?")
    (asked,) = wait_for(lambda: session.json("inbox")["asks"])
    assert (asked["agent"], asked["question"]) == ("frontend", "Which port shall I take?")
    session.shows(1, "frontend asks: Which port shall I take?")
    session.taco("answer", asked["id"], "take 8080")
    wait_for(lambda: "take 8080" in session.screen(session.agent("frontend")["window"]), what=session.describe)
    assert session.json("inbox")["asks"] == []
    wait_for(lambda: "a answers" not in session.screen(1), what=lambda: session.screen(1))


def test_the_monitor_shows_the_team_and_that_it_is_scripted(session: Session) -> None:
    for text in (*TEAM, "DEMO", "shop"):
        session.shows(1, text)


def test_nothing_was_lost_or_done_twice(session: Session) -> None:
    session.wait(lambda team: not any(each["queue_depth"] for each in team), what="empty queues")
    queue = session.status()["queue"]
    assert {key: queue[key] for key in ("pending", "processing", "failed", "dead", "unconfirmed")} == dict.fromkeys(
        ("pending", "processing", "failed", "dead", "unconfirmed"), 0
    )
    events = session.events("command.delivered")
    assert queue["completed"] == len(events) == len({event["command"] for event in events})
    assert not (session.house.project / "pwned").exists()


def test_an_agent_may_not_do_what_is_the_persons(session: Session) -> None:
    done = session.taco("stop", check=False, TACO_AGENT="api", TACO_SESSION="shop")
    assert done.returncode == 1
    assert "stop is the person's to run" in done.stderr
    assert session.status()["status"] == "running"


def test_stop_ends_everything_and_resume_brings_it_back(session: Session) -> None:
    house = session.house
    for agent in ("api", "web"):
        session.taco("agent", "pause", agent)
        session.wait(lambda team, agent=agent: any(each["name"] == agent and each["paused"] for each in team))
    session.taco("send", "api", "for later")
    session.stop()
    assert not house.running()
    assert "shop" in house.taco("ls").stdout
    (listed,) = house.json("ls")
    assert listed["status"] == "stopped"
    session.resume()
    assert session.windows() == dict(enumerate(("mother", "monitor", "executor", *TEAM)))
    session.wait(lambda team: all(each["state"] == "idle" for each in team), what="everybody is back")
    assert [each["queue_depth"] for each in session.agents() if each["name"] == "api"] == [1]
    session.taco("agent", "resume", "all")
    assert session.received("api", text="for later") == "[person → api]: for later"
    assert all(session.agent(name)["done"] for name in TEAM)
    session.stop()
    assert not house.running()
