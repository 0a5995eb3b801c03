"""A team whose agents do as they are told: who waits for whom, what the person may do with them, how they end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import runs
from tests.support.sessions import House, Session, a_house
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("agents")  # one process: its tests share sessions

STUBBORN = f"""\
ignore='import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(600)'
(setsid {sys.executable} -c "$ignore" "$0.marked" &)
env -i {sys.executable} -c "$ignore" "$0.child" &
exec taco demo-agent --name "$1" --idle
"""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with a_house() as house:
        script = house.root / "stubborn"
        script.write_text(STUBBORN)
        house.provider("stubborn", ["sh", str(script), "{agent}"])
        yield house


@pytest.fixture(scope="module")
def crew(house: House) -> Session:
    return house.start_idle(
        "crew",
        "base",
        {"name": "reader", "depends_on": ["base"]},
        {"name": "after", "wait_for": ["base"], "depends_on": ["base"]},
        "doomed",
        {"name": "hopeful", "wait_for": ["doomed"]},
        "leaver",
        {"name": "left", "wait_for": ["leaver"]},
        "spare",
        {"name": "short", "wait_for": ["spare"]},
    )


def told_person(crew: Session, text: str) -> None:
    wait_for(
        lambda: any(text in each["text"] for each in crew.json("inbox")["messages"]),
        what=lambda: f"{text!r} in the inbox\n{crew.taco('inbox').stdout}\n{crew.describe()}",
    )


def is_stuck(crew: Session, name: str, reason: str) -> None:
    """The agent stays waiting, and everybody who could help is told why."""
    found = crew.wait_agent(name, waiting_for=reason)
    assert (found["status"], found["pid"]) == ("planned", None)
    assert f"waits for {reason}"[:39] in crew.taco("status").stdout
    crew.shows(1, f"waits for {reason}"[:40])
    assert f"{name} cannot start: it waits for {reason}" in crew.received("mother", text=f"{name} cannot start")
    told_person(crew, f"cannot start: it waits for {reason}")


def test_who_waits_for_nobody_starts_at_once(crew: Session) -> None:
    states = {each["name"]: (each["status"], each["waiting_for"]) for each in crew.agents()}
    assert all(states[name] == ("running", None) for name in ("base", "reader", "doomed", "leaver", "spare"))
    assert states["after"] == ("planned", "base (running)")
    assert states["hopeful"] == ("planned", "doomed (running)")


def test_a_result_goes_to_those_who_need_it(crew: Session) -> None:
    crew.send("base", "!done the tables stand")
    crew.wait_agent("after", state="idle", waiting_for=None)
    assert "- base: the tables stand" in crew.submitted("after")[0]  # it waited: in its brief
    assert crew.received("reader", text="done: ") == "[base → reader]: done: the tables stand"  # it did not: a message
    assert crew.received("mother", text="[base → mother]: done: ")
    assert not [text for text in crew.submitted("after") if "→ after]: done:" in text]


def test_who_waits_for_a_failed_agent_stays_waiting_until_it_is_done(crew: Session) -> None:
    crew.send("doomed", "!fail no compiler here")
    is_stuck(crew, "hopeful", "doomed, which failed: no compiler here")
    assert crew.received("mother", text="[doomed → mother]: failed: no compiler here")
    crew.taco("agent", "restart", "doomed")
    crew.wait_agent("hopeful", waiting_for="doomed (running)")
    crew.wait_agent("doomed", state="idle", failed=None)
    crew.send("doomed", "!done with another compiler")
    crew.wait_agent("hopeful", state="idle", status="running")


def test_who_waits_for_one_that_ended_stays_waiting(crew: Session) -> None:
    crew.taco("send", "leaver", "!exit 3")
    crew.wait_agent("leaver", state="exited(3)")
    is_stuck(crew, "left", "leaver, which exited")
    assert "leaver has ended without a report: exited(3)" in crew.received("mother", text="leaver has ended")


def test_a_message_to_one_that_ended_is_held_until_it_is_back(crew: Session) -> None:
    crew.send("reader", "before")
    crew.taco("send", "reader", "!exit 0")
    crew.wait_agent("reader", state="exited(0)")
    waits = crew.json("send", "reader", "ls")["id"]
    wait_for(lambda: "exited" in (crew.json("queue", "show", waits)["hold"] or ""), what=crew.describe)
    again = crew.taco("send", "reader", "ls", "--id", waits, "--wait", "1", check=False)
    assert (again.returncode, "exited" in again.stderr) == (3, True)
    assert "exited" in crew.agent("reader")["hold"]
    crew.taco("agent", "restart", "reader")
    assert crew.received("reader", text="]: ls") == "[person → reader]: ls"


def test_who_waits_for_one_that_was_removed_stays_waiting(crew: Session) -> None:
    crew.taco("agent", "pause", "spare")
    lost = crew.json("send", "spare", "never read")["id"]
    window = crew.agent("spare")["window"]
    crew.taco("agent", "remove", "spare")
    crew.wait(lambda team: all(each["name"] != "spare" for each in team), what="spare is removed")
    is_stuck(crew, "short", "spare, which was removed")
    wait_for(lambda: window not in crew.windows())
    assert [each["id"] for each in crew.json("queue")["dead"]] == [lost]


def test_a_paused_agent_gets_nothing_until_it_is_resumed(crew: Session) -> None:
    said = crew.taco("agent", "pause", "all").stdout
    assert "base: paused\n" in said  # and so it is: what is sent from now on waits
    ids = [crew.json("send", "base", f"for later {number}")["id"] for number in range(3)]
    hold = wait_for(lambda: crew.json("queue", "show", ids[0])["hold"])
    assert "paused" in hold
    before = crew.submitted("base")
    assert before[-1:] != ["[person → base]: for later 0"]
    assert "base: resumed\n" in crew.taco("agent", "resume", "all").stdout
    came = wait_for(lambda: len(now := crew.submitted("base")) >= len(before) + 3 and now[len(before) :])
    assert came == [f"[person → base]: for later {number}" for number in range(3)]


def test_a_restarted_agent_keeps_its_window(crew: Session) -> None:
    before = crew.agent("base")
    crew.taco("agent", "restart", "base")
    after = wait_for(lambda: (now := crew.agent("base"))["pid"] not in (None, before["pid"]) and now)
    assert (after["window"], after["pane"]) == (before["window"], before["pane"])
    crew.send("base", "welcome back")
    assert crew.received("base", text="welcome back")


def test_an_added_agent_joins_the_team(crew: Session) -> None:
    told = crew.taco("agent", "add", "helper", "--role", "helps", "--wait-for", "left", "--notifies", "base")
    found = crew.wait_agent("helper", status="planned", waiting_for="left (planned)")
    assert found["window"] == max(each["window"] for each in crew.agents())
    assert told.stdout == f"helper: will be started in window {found['window']}\n"
    assert told.stderr == ""  # others that were removed have left gaps: nobody moves for that
    crew.taco("agent", "add", "temp", "--role", "stands in")
    crew.wait_agent("temp", state="idle")
    crew.send("temp", "!send base I am new")
    assert crew.received("base", text="I am new") == "[temp → base]: I am new"
    assert crew.windows()[crew.agent("temp")["window"]] == "temp"


def test_stop_ends_whole_process_trees(crew: Session) -> None:
    crew.taco("agent", "add", "stubborn", "--role", "leaves things behind", "--provider", "stubborn")
    crew.wait_agent("stubborn", state="idle")
    files = [Path(f"{crew.house.root}/stubborn.{kind}") for kind in ("marked", "child")]
    pids = [int(wait_for(lambda file=file: file.exists() and file.read_text())) for file in files]
    left = [psutil.Process(pid) for pid in pids]
    done = crew.stop("--grace", "0.5")
    assert not [process for process in left if runs(process)]
    assert not crew.house.running()
    assert "had to be killed" in done.stderr
