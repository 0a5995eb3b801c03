"""A session of the real Aider; its models are scripted, on loopback."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from taco.models import iso
from tests.acceptance.real_session import BODIES, RealHouse, RealSession, Script, a_house, said, spec_of, start, team_of
from tests.aider_env import AiderStub, aider_environment, make_repository
from tests.stub import Received, Reply
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("aider")
TEAM = ("alpha", "beta")
GIVEN = "Your brief is among the files you were given to read. Begin now."
WAIT_S = 90.0
LONG = [name for name, body in BODIES.items() if body.count("\n") > 40]


def mother(received: Received) -> Reply | None:
    """She answers with a team when she is asked for one."""
    plans = received.history and received.history[0].startswith("You are Mother.") and "plan now" in received.text
    return Reply(spec_of({"name": "gamma", "role": "builds gamma"})) if plans else None


def environment(stub: AiderStub, root: Path, project: Path) -> dict[str, str]:
    """That of a person whose project is a repository."""
    (project / "notes.txt").write_text("one\ntwo\n")
    make_repository(project)
    return aider_environment(stub, root, project)


@pytest.fixture(scope="module")
def stub() -> Iterator[AiderStub]:
    with AiderStub(Script(mother)) as stub:
        yield stub


@pytest.fixture(scope="module")
def house(stub: AiderStub) -> Iterator[RealHouse]:
    with a_house("aider", partial(environment, stub)) as house:
        yield house


@pytest.fixture(scope="module")
def crew(house: RealHouse, stub: AiderStub) -> RealSession:
    """Two agents at their prompts."""
    crew = start(house, stub, "crew", *team_of(house, *TEAM))
    for name in TEAM:
        crew.hears(name, said("taco", name, GIVEN), WAIT_S)
    crew.idle(timeout_s=WAIT_S)
    return crew


@pytest.fixture(scope="module")
def broke(house: RealHouse, stub: AiderStub) -> RealSession:
    """An agent on another account, which is used up: it tries again for more than a minute, beside the other tests."""
    broke = start(house, stub, "broke", *team_of(house, "poor"), OPENAI_API_KEY="of-another-account")
    broke.hears("poor", said("taco", "poor", GIVEN), WAIT_S)
    broke.idle(timeout_s=WAIT_S)
    broke.tell("poor", "<<quota used up>>")
    return broke


@pytest.mark.usefixtures("broke")
def test_each_has_its_brief_in_every_request(crew: RealSession) -> None:
    for name in TEAM:
        assert crew.heard(name)[0].startswith(f"You are {name}, one of a team")
        assert crew.heard(name)[1:] == (said("taco", name, GIVEN),)
        log = crew.house.root / "home" / ".aider" / "taco" / f"{crew.conversation(name)}.md"
        assert GIVEN in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in BODIES if name not in LONG])
def test_any_text_arrives_as_it_is(crew: RealSession, name: str) -> None:
    crew.delivered(crew.tell("beta", BODIES[name]), "transcript", WAIT_S)
    crew.hears("beta", said("person", "beta", BODIES[name]).rstrip())


@pytest.mark.parametrize("name", LONG)
def test_a_text_too_tall_to_be_seen_whole_is_in_a_file_that_is_sent_along(crew: RealSession, name: str) -> None:
    sent = crew.tell("beta", BODIES[name])
    crew.delivered(sent, "transcript", WAIT_S)
    told = wait_for(lambda: next((text for text in crew.heard("beta")[::-1] if "The message is long" in text), ""))
    path = Path(told.rpartition(" ")[2])
    assert path.read_text(encoding="utf-8").count(f"message {sent}\n\n{BODIES[name]}\n") == 1
    bodies = crew.stub.bodies
    wait_for(lambda: any(BODIES[name] in each["content"] for body in bodies for each in body["messages"]))


def test_a_busy_agent_gets_it_when_it_is_idle_whatever_its_urgency(crew: RealSession) -> None:
    crew.idle("beta", timeout_s=WAIT_S)
    crew.tell("beta", "<<hold busy>>")
    crew.wait_agent("beta", state="busy")
    later = crew.tell("beta", "when you have time, once more")
    assert crew.held(later, "busy")["typed_at"] is None
    now = crew.tell("beta", "at once", "--when", "now")
    crew.held(crew.tell("beta", "urgent", "--priority", "high"), "no composer on the screen")  # it reads nothing
    assert crew.ledger(now)["typed_at"] is None
    released = iso(time.time())
    crew.release("busy")
    assert crew.delivered(later, "transcript", WAIT_S)["typed_at"] > released
    assert crew.delivered(now, "transcript", WAIT_S)["typed_at"] > released
    crew.hears("beta", said("person", "beta", "when you have time, once more"))
    crew.hears("beta", said("person", "beta", "at once"))


def test_a_turn_that_the_person_interrupts_is_over(crew: RealSession) -> None:
    crew.idle("beta", timeout_s=WAIT_S)
    crew.tell("beta", "<<wait 300>>")
    crew.reads("beta", lambda reading: reading.busy)
    crew.press("beta", "C-c")
    crew.idle("beta", timeout_s=WAIT_S)
    crew.delivered(crew.tell("beta", "after the interrupt"), "transcript", WAIT_S)


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_a_command_of_its_is_answered_from_outside(crew: RealSession, verb: str) -> None:
    crew.idle("alpha", timeout_s=WAIT_S)
    effect = crew.house.project / f"made-{verb}"
    crew.tell("alpha", f"<<bash touch {effect}>>")
    found = crew.dialog("alpha", "permission")
    assert f"touch{effect}Runshellcommand?" in "".join(found["text"].split())
    assert crew.agent("alpha")["state"] == "waiting(permission)"
    waiting = crew.tell("alpha", f"after {verb}")
    assert crew.held(waiting, "waiting: permission")["typed_at"] is None
    assert not effect.exists()
    done = crew.json(verb, found["id"])
    assert (done["pressed"], done["gone"]) == ("y" if verb == "approve" else "n", True)
    crew.delivered(waiting, "transcript", WAIT_S)
    crew.hears("alpha", said("person", "alpha", f"after {verb}"))
    assert effect.exists() is (verb == "approve")


def test_a_rule_of_the_persons_answers(crew: RealSession, house: RealHouse) -> None:
    crew.idle("beta", timeout_s=WAIT_S)
    script = house.project / "build.sh"
    script.write_text("#!/bin/sh\ntouch ruled\nsleep 1\necho it is built\nsleep 1\n")  # what is too quick it misses
    script.chmod(0o755)
    config = house.root / "c" / "taco" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('[agents.beta]\nauto_approve = ["Bash(./build.sh:*)"]\n')
    try:
        crew.tell("beta", "<<bash ./build.sh --all>>")
        wait_for((house.project / "ruled").exists, WAIT_S, crew.describe)
        wait_for(lambda: "of output to the chat." in crew.look("beta"), WAIT_S, crew.describe)
        found = [(event["agent"], event["data"].get("rule")) for event in crew.events("ask.approved")[-2:]]
        assert found == [("beta", "Bash(./build.sh:*)")] * 2  # the command, and what it printed
    finally:
        config.unlink()
    crew.tell("beta", "go on")
    crew.ran("beta", "it is built", WAIT_S)


def test_a_file_it_hears_of_waits_for_the_person(crew: RealSession) -> None:
    crew.idle("alpha", timeout_s=WAIT_S)
    crew.delivered(crew.tell("alpha", "look at notes.txt"), "transcript", WAIT_S)
    found = crew.dialog("alpha", "add_file")
    assert crew.json("approve", found["id"])["gone"]
    crew.idle("alpha", timeout_s=WAIT_S)
    assert "notes.txt" in crew.look("alpha").rpartition("─")[2]


def test_a_persons_draft_is_neither_merged_nor_submitted(crew: RealSession) -> None:
    crew.idle("beta", timeout_s=WAIT_S)
    crew.types("beta", "dear beta, what I always")
    crew.reads("beta", lambda reading: reading.draft)
    waiting = crew.tell("beta", "not into that")
    assert crew.held(waiting, "a draft stands in the composer")["attempts"] == 0
    assert crew.read("beta").draft == "dear beta, what I always"
    crew.clears("beta")
    crew.delivered(waiting, "transcript", WAIT_S)
    assert not any("dear beta" in text for text in crew.heard("beta"))


def test_it_sends_by_its_shell_and_nobody_is_asked(crew: RealSession) -> None:
    crew.idle(timeout_s=WAIT_S)
    crew.tell("alpha", '<<bash taco send beta "it stands: 42 → naïve">>')
    crew.hears("beta", said("alpha", "beta", "it stands: 42 → naïve"), WAIT_S)
    crew.idle("alpha", timeout_s=WAIT_S)


def test_what_could_be_more_than_one_command_the_person_approves(crew: RealSession) -> None:
    text = "exact: 42; it's #(touch pwned) → naïve, 'quoted' {braces}"
    crew.idle(timeout_s=WAIT_S)
    crew.tell("alpha", f'<<bash taco send beta "{text}">>')
    assert crew.json("approve", crew.dialog("alpha", "permission")["id"])["gone"]
    crew.hears("beta", said("alpha", "beta", text), WAIT_S)
    settled = wait_for(lambda: crew.agent("alpha")["state"] in ("idle", "waiting(output)"), WAIT_S, crew.describe)
    if crew.agent("alpha")["state"] != "idle":  # output of what ends at once may escape it
        crew.press("alpha", "n", "Enter")
    assert settled
    assert not list(crew.house.root.rglob("pwned"))


def test_its_tokens_count_for_its_budget(crew: RealSession, house: RealHouse) -> None:
    crew.idle("beta", timeout_s=WAIT_S)
    config = house.root / "c" / "taco" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("token_budget = 1000\n")
    try:
        waits = crew.tell("beta", "one thing more")
        assert "of 1,000 tokens used" in crew.held(waits, "budget: ")["hold"]
    finally:
        config.unlink()
    crew.delivered(waits, "transcript", WAIT_S)


def test_a_killed_agent_comes_back_with_its_conversation(crew: RealSession) -> None:
    crew.idle("beta", timeout_s=WAIT_S)
    before, conversation = crew.heard("beta"), crew.conversation("beta")
    os.kill(crew.agent("beta")["pid"], signal.SIGKILL)
    crew.wait_agent("beta", state="exited(signal 9)")
    waiting = crew.tell("beta", "welcome back")
    assert crew.held(waiting, "exited")["attempts"] == 0
    crew.taco("agent", "restart", "beta")
    crew.delivered(waiting, "transcript", WAIT_S)
    crew.hears("beta", said("person", "beta", "welcome back"))
    assert crew.conversation("beta") == conversation
    assert {text for text in before if "^C" not in text} <= set(crew.heard("beta"))  # it notes an interrupt nowhere
    assert crew.heard("beta").count(said("taco", "beta", GIVEN)) == 1


def test_a_limit_holds_its_messages_and_says_so(broke: RealSession) -> None:
    limited = wait_for(lambda: broke.agent("poor")["state"].startswith("limited("), 240, broke.describe)
    assert limited
    waits = broke.tell("poor", "once you are paid for")
    assert broke.held(waits, "limited: ")["typed_at"] is None
    assert "current quota" in broke.read("poor").limited
    broke.stop()


def test_a_stopped_session_goes_on_where_it_was_and_leaves_nothing_running(crew: RealSession) -> None:
    crew.idle(timeout_s=WAIT_S)
    crew.delivered(crew.tell("beta", "<<hold stopped>>"), "transcript", WAIT_S)
    crew.tell("alpha", "<<bash sleep 321>>")
    assert crew.json("approve", crew.dialog("alpha", "permission")["id"])["gone"]
    wait_for(lambda: "sleep 321" in crew.house.running(), what=crew.describe)
    conversations = {name: crew.conversation(name) for name in TEAM}
    before = crew.heard("beta")
    crew.stop()
    assert not crew.house.running()
    crew.resume()
    crew.release("stopped")
    crew.delivered(crew.tell("alpha", "for after the break"), "transcript", WAIT_S)
    assert {name: crew.conversation(name) for name in TEAM} == conversations
    resumed = wait_for(lambda: crew.heard("beta")[len(before) :], what=crew.describe)
    assert resumed[0].startswith("[taco → beta]: You were ended in the middle of your work")
    crew.stop()
    assert not crew.house.running()


def test_mothers_answer_becomes_the_team_and_yolo_asks_nobody(house: RealHouse, stub: AiderStub) -> None:
    whole = start(house, stub, "whole", "--yolo")
    whole.idle("mother", timeout_s=WAIT_S)
    whole.tell("mother", "plan now")
    wait_for(lambda: whole.heard("gamma"), WAIT_S, whole.describe)
    whole.idle(timeout_s=WAIT_S)
    whole.tell("gamma", "<<bash touch yolo; taco send mother 'it stands'>>")
    whole.hears("mother", said("gamma", "mother", "it stands"), WAIT_S)
    assert (house.project / "yolo").exists()
    whole.stop()


def test_a_project_that_is_no_repository_is_the_persons_to_decide(house: RealHouse, stub: AiderStub) -> None:
    project = house.root / "bare"
    project.mkdir()
    crew = start(house, stub, "bare", *team_of(house, "solo"), project=project)
    found = crew.dialog("solo", "git")
    assert crew.agent("solo")["state"].startswith("waiting(git: answer Yes")
    assert crew.json("approve", found["id"])["gone"]
    crew.hears("solo", said("taco", "solo", GIVEN), WAIT_S)
    assert (project / "solo" / ".git").exists()
    crew.stop()
