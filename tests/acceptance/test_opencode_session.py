"""A session of the real OpenCode; its models are scripted, on loopback."""

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
from tests.chat_stub import ChatStub
from tests.opencode_env import opencode_environment
from tests.stub import Received, Reply
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("opencode")
TEAM = ("alpha", "beta")
ASKS = {"bash": {"*": "ask", "sleep *": "allow"}}  # more than by default, when all commands of the shell are allowed
LATE_S = 120  # it starts slowly, and does so beside others


def mother(received: Received) -> Reply | None:
    """She answers with a team when she is asked for one."""
    plans = received.history and received.history[0].startswith("You are Mother.") and "plan now" in received.text
    return Reply(spec_of({"name": "gamma", "role": "builds gamma"})) if plans else None


def out_of_tokens(received: Received) -> Reply | None:
    """The account may go on in an hour, once only."""
    if received.text.endswith("<<limit>>") and not received.results:
        return Reply("Rate limit reached", error=429, headers=(("retry-after", "3600"),))
    return None


@pytest.fixture(scope="module")
def stub() -> Iterator[ChatStub]:
    with ChatStub(Script(mother, out_of_tokens)) as stub:
        yield stub


@pytest.fixture(scope="module")
def house(stub: ChatStub) -> Iterator[RealHouse]:
    with a_house("opencode", partial(opencode_environment, stub, permission=ASKS)) as house:
        yield house


@pytest.fixture(scope="module")
def crew(house: RealHouse, stub: ChatStub) -> RealSession:
    """Two agents at their prompts."""
    crew = start(house, stub, "crew", *team_of(house, *TEAM))
    crew.idle(timeout_s=300)
    return crew


def transcript(crew: RealSession, name: str) -> Path:
    """Where the hooks of an agent's launch write what is said in its conversation."""
    return crew.house.home / "sessions" / crew.name / "transcripts" / f"{crew.conversation(name)}.jsonl"


def interrupt(crew: RealSession, name: str) -> None:
    """The person ends the turn: Escape, and again when the CLI asks for it."""

    def over() -> bool:
        reading = crew.read(name)
        if reading.busy or reading.limited:
            crew.press(name, "Escape")
            wait_for(lambda: crew.read(name) != reading, LATE_S, lambda: crew.report(name))
            return False
        return True

    wait_for(over, LATE_S, lambda: crew.report(name))


def test_each_has_its_brief(crew: RealSession) -> None:
    for name in TEAM:
        assert len(crew.heard(name)) == 1
        assert crew.heard(name)[0].startswith(f"You are {name}, one of a team")
        assert crew.conversation(name).startswith("ses_")
        assert f"You are {name}" in transcript(crew, name).read_text(encoding="utf-8")


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_text_arrives_as_it_is(crew: RealSession, body: str) -> None:
    crew.delivered(crew.tell("beta", body), "hook", LATE_S)
    wanted = said("person", "beta", body).rstrip()
    collapsed = f"{wanted} "  # OpenCode's own, behind what it shows as "[Pasted ~3 lines]"
    wait_for(lambda: {wanted, collapsed} & {*crew.heard("beta")}, LATE_S, lambda: crew.report("beta"))
    assert sum(crew.heard("beta").count(each) for each in (wanted, collapsed)) == 1


def test_a_busy_agent_gets_it_when_it_is_idle(crew: RealSession) -> None:
    crew.tell("beta", "<<hold busy>>")
    crew.wait_agent("beta", state="busy")
    later = crew.tell("beta", "when you have time, once more")
    assert crew.held(later, "busy")["typed_at"] is None
    released = iso(time.time())
    crew.release("busy")
    assert crew.delivered(later, "hook", LATE_S)["typed_at"] > released
    crew.hears("beta", said("person", "beta", "when you have time, once more"))


def test_now_is_queued_by_the_cli_itself(crew: RealSession) -> None:
    crew.idle("beta")
    crew.tell("beta", "<<hold queue>>")
    crew.reads("beta", lambda reading: reading.busy, LATE_S)
    now = crew.tell("beta", "while you answer", "--when", "now")
    crew.delivered(now, "hook", LATE_S)
    assert "QUEUED" in crew.look("beta")
    assert said("person", "beta", "while you answer") not in crew.heard("beta")
    crew.release("queue")
    crew.hears("beta", said("person", "beta", "while you answer"), LATE_S)


def test_a_turn_that_the_person_interrupts_is_over(crew: RealSession) -> None:
    crew.idle("beta")
    crew.tell("beta", "<<bash sleep 30>>")
    crew.reads("beta", lambda reading: reading.busy, LATE_S)
    interrupt(crew, "beta")
    crew.idle("beta")
    crew.delivered(crew.tell("beta", "after the interrupt"), "hook", LATE_S)


@pytest.mark.parametrize(("verb", "key"), [("approve", "Enter"), ("deny", "Escape")])
def test_a_permission_is_answered_from_outside(crew: RealSession, verb: str, key: str) -> None:
    effect = crew.house.project / "alpha" / f"made-{verb}"
    crew.tell("alpha", f"<<bash touch {effect.name}>>")
    crew.reads("alpha", lambda reading: reading.waiting == "permission", LATE_S)
    crew.wait_agent("alpha", state="waiting(permission)")
    found = crew.dialog("alpha", "permission")
    assert f"touch {effect.name}" in " ".join(found["text"].split())
    waiting = crew.tell("alpha", f"after {verb}")
    assert crew.held(waiting, "waiting: permission")["typed_at"] is None
    assert not effect.exists()
    done = crew.json(verb, found["id"])
    assert (done["pressed"], done["gone"]) == (key, True)
    crew.delivered(waiting, "hook", LATE_S)
    crew.hears("alpha", said("person", "alpha", f"after {verb}"))
    assert effect.exists() is (verb == "approve")


def test_a_rule_of_the_persons_answers(crew: RealSession, house: RealHouse) -> None:
    config = house.root / "c" / "taco" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('[agents.beta]\nauto_approve = ["Bash(mkdir -p:*)"]\n')
    try:
        crew.tell("beta", "<<bash mkdir -p ruled>>")
        wait_for((crew.house.project / "beta" / "ruled").exists, LATE_S, crew.describe)
        (event,) = crew.events("ask.approved")[-1:]
        assert (event["agent"], event["data"].get("rule")) == ("beta", "Bash(mkdir -p:*)")
    finally:
        config.unlink()


def test_its_own_question_waits_for_the_person(crew: RealSession) -> None:
    asks = '{"questions":[{"header":"Ink","question":"Which?","options":[{"label":"Red","description":"warm"},'
    crew.tell("alpha", f'<<tool question {asks}{{"label":"Blue","description":"cold"}}]}}]}}>>')
    crew.wait_agent("alpha", state="waiting(question)", timeout_s=LATE_S)
    found = crew.dialog("alpha", "question")
    waiting = crew.tell("alpha", "not into that question")
    assert crew.held(waiting, "waiting: question")["typed_at"] is None
    assert crew.json("answer", found["id"], "Blue")["gone"] is True
    crew.ran("alpha", '"Which?"="Blue"', LATE_S)
    crew.delivered(waiting, "hook", LATE_S)


def test_a_menu_over_the_screen_holds(crew: RealSession) -> None:
    crew.idle("beta")
    crew.press("beta", "C-p")
    crew.reads("beta", lambda reading: reading.waiting == "dialog", LATE_S)
    waiting = crew.tell("beta", "not into the search")
    assert crew.held(waiting, "waiting: dialog")["attempts"] == 0
    crew.press("beta", "Escape")
    crew.delivered(waiting, "hook", LATE_S)


def test_a_persons_draft_is_neither_merged_nor_submitted(crew: RealSession) -> None:
    crew.idle("beta")
    crew.types("beta", "dear beta, what I always")
    crew.reads("beta", lambda reading: reading.draft)
    waiting = crew.tell("beta", "not into that")
    assert crew.held(waiting, "a draft stands in the composer")["attempts"] == 0
    assert crew.read("beta").draft == "dear beta, what I always"
    crew.clears("beta")
    crew.delivered(waiting, "hook", LATE_S)
    assert not any("dear beta" in text for text in crew.heard("beta"))


def test_it_sends_from_its_shell_without_being_asked(crew: RealSession) -> None:
    text = "exact: 42; it's #(touch pwned) → naïve, 'quoted' {braces}"
    crew.tell("alpha", f'<<bash taco send beta "{text}">>')
    crew.hears("beta", said("alpha", "beta", text), LATE_S)
    assert crew.read("alpha").waiting == ""
    assert not list(crew.house.root.rglob("pwned"))


def test_what_would_write_a_file_is_asked_as_ever(crew: RealSession) -> None:
    crew.tell("alpha", "<<bash taco status > ./listed>>")
    crew.reads("alpha", lambda reading: reading.waiting == "permission", LATE_S)
    crew.press("alpha", "Escape")
    crew.idle("alpha")
    assert not (crew.house.project / "alpha" / "listed").exists()


def test_a_usage_limit_holds_until_it_is_over(crew: RealSession) -> None:
    crew.idle("beta")
    crew.tell("beta", "<<limit>>")
    crew.wait_agent("beta", state="limited(Rate limit reached)", timeout_s=LATE_S)
    waiting = crew.tell("beta", "after the limit")
    assert crew.held(waiting, "limited")["attempts"] == 0
    interrupt(crew, "beta")
    crew.house.taco("resume", "--now", crew.name)  # else its account rests
    crew.delivered(waiting, "hook", LATE_S)


def test_its_tokens_count_for_its_budget(crew: RealSession, house: RealHouse) -> None:
    config = house.root / "c" / "taco" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("token_budget = 1000\n")  # one answer of the stub costs 1,242
    try:
        waits = crew.tell("beta", "one thing more")
        assert "of 1,000 tokens used" in crew.held(waits, "budget: ")["hold"]
    finally:
        config.unlink()
    crew.delivered(waits, "hook", LATE_S)


def test_a_killed_agent_comes_back_with_its_conversation(crew: RealSession) -> None:
    crew.idle("beta")
    before, conversation = crew.heard("beta"), crew.conversation("beta")
    os.kill(crew.agent("beta")["pid"], signal.SIGKILL)
    crew.wait_agent("beta", state="exited(signal 9)")
    waiting = crew.tell("beta", "welcome back")
    assert crew.held(waiting, "exited")["attempts"] == 0
    crew.taco("agent", "restart", "beta")
    crew.delivered(waiting, "hook", LATE_S)
    crew.hears("beta", said("person", "beta", "welcome back"))
    assert crew.conversation("beta") == conversation
    assert crew.heard("beta") == (*before, said("person", "beta", "welcome back"))


def test_a_stopped_session_goes_on_where_it_was_and_leaves_nothing_running(crew: RealSession) -> None:
    crew.idle()
    crew.delivered(crew.tell("beta", "<<hold stopped>>"), "hook", LATE_S)
    crew.tell("alpha", "<<bash sleep 321>>")
    wait_for(lambda: "sleep 321" in crew.house.running(), LATE_S, crew.describe)
    conversations = {name: crew.conversation(name) for name in TEAM}
    before = crew.heard("beta")
    crew.stop()
    assert not crew.house.running()
    crew.resume()
    crew.release("stopped")
    crew.delivered(crew.tell("alpha", "for after the break"), "hook", timeout_s=300)
    assert {name: crew.conversation(name) for name in TEAM} == conversations
    resumed = wait_for(lambda: crew.heard("beta")[len(before) :], LATE_S, crew.describe)
    assert resumed[0].startswith("[taco → beta]: You were ended in the middle of your work")
    crew.idle()
    crew.stop()
    assert not crew.house.running()


def test_mothers_answer_becomes_the_team_and_yolo_asks_nobody(house: RealHouse, stub: ChatStub) -> None:
    whole = start(house, stub, "whole", "--yolo")
    whole.idle("mother", timeout_s=300)
    whole.tell("mother", "plan now")
    wait_for(lambda: whole.heard("gamma"), 300, whole.describe)
    whole.idle()
    whole.tell("gamma", "<<bash touch asked; taco send mother 'it stands'>>")
    whole.hears("mother", said("gamma", "mother", "it stands"), LATE_S)
    assert (house.project / "gamma" / "asked").exists()
    whole.stop()
