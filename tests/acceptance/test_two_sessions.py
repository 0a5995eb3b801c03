"""Two sessions at once on the one Redis, with the same agents in both: nothing crosses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.sessions import IDLER, House, Session, a_house
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("two")  # one process: its tests share sessions

NAMES = ("left", "right")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with a_house() as house:
        yield house


@pytest.fixture(scope="module")
def pair(house: House) -> tuple[Session, Session]:
    spec = str(house.spec("team", "api", {"name": "web", "notifies": ["api"]}))
    sessions = [
        house.start(
            name, "--provider", IDLER, "--spec", spec, TACO_DEMO_LOG=str(house.root / "l" / f"{name}-{{agent}}.jsonl")
        )
        for name in NAMES
    ]
    for session in sessions:
        session.wait(lambda team: len(team) == 3 and all(each["state"] == "idle" for each in team))
    return sessions[0], sessions[1]


def heard(session: Session, agent: str) -> list[str]:
    """What came to an agent, its brief aside."""
    return [text for text in session.submitted(agent) if text.startswith("[")]


def test_messages_stay_in_their_session(house: House, pair: tuple[Session, Session]) -> None:
    assert pair[0].status()["redis"] == pair[1].status()["redis"]
    for number in range(3):
        for session in pair:
            session.taco("send", "api", f"{session.name} {number}")
            house.taco("send", f"{session.name}:4", f"by address {session.name} {number}")
            session.taco("broadcast", f"all of {session.name} {number}")
    for session in pair:
        session.send("web", "!send api from my web")
        session.send("web", "!done web stands")
    for session in pair:
        for agent in ("mother", "api", "web"):
            wait_for(lambda session=session, agent=agent: len(heard(session, agent)) >= 4, what=session.describe)
        session.received("api", text="done: web stands")
        session.received("mother", text="done: web stands")
        session.wait(lambda team: not any(each["queue_depth"] for each in team))
    for session, other in (pair, pair[::-1]):
        said = [text for agent in ("mother", "api", "web") for text in heard(session, agent)]
        assert not [text for text in said if other.name in text]
        assert heard(session, "api").count("[web → api]: from my web") == 1
        assert [text for text in heard(session, "api") if text.endswith("done: web stands")] == [
            "[web → api]: done: web stands"
        ]
        assert session.status()["queue"]["completed"] == len(said)


def test_which_session_is_meant_must_be_said(house: House, pair: tuple[Session, Session]) -> None:
    done = house.taco("send", "api", "for whom?", check=False)
    assert (done.returncode, "several sessions run: left, right" in done.stderr) == (2, True)
    assert "--session" in done.stderr
    assert house.taco("stop", check=False).returncode == 5
    inside = house.taco("status", TACO_SESSION="right").stdout
    assert inside.startswith("right")


def test_an_agent_cannot_reach_into_the_other_session(pair: tuple[Session, Session]) -> None:
    left, right = pair
    left.send("api", "!send right:web are you there?")
    left.shows(3, "I cannot report: `taco send right:web` failed")
    assert not [text for text in heard(right, "web") if "are you there" in text]


def test_stopping_one_leaves_the_other_untouched(house: House, pair: tuple[Session, Session]) -> None:
    left, right = pair
    pids = {each["name"]: each["pid"] for each in right.agents()}
    server = (house.home / "redis" / "redis.pid").read_text()
    left.stop()
    assert {each["session"]: each["status"] for each in house.json("ls")} == {"left": "stopped", "right": "running"}
    assert {each["name"]: each["pid"] for each in right.agents()} == pids
    keys = ("state", "source", "pid", "pane")
    assert {tuple(each[key] for key in keys) for each in left.agents()} == {("exited", "stop", None, None)}
    assert (house.home / "redis" / "redis.pid").read_text() == server
    assert right.send("api", "you and me now")
    left.resume()
    left.wait(lambda team: all(each["state"] == "idle" for each in team))
    assert right.send("api", "welcome them")
    assert left.send("api", "welcome back")


def test_all_are_stopped_at_once(house: House, pair: tuple[Session, Session]) -> None:
    assert house.json("stop", "--all") == list(NAMES)
    assert not house.running()
