"""A session of the real Gemini CLI; its models are scripted, on loopback."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial

import pytest

from taco.models import iso
from tests.acceptance.real_session import BODIES, RealHouse, RealSession, Script, a_house, said, spec_of, start, team_of
from tests.gemini_env import gemini_environment
from tests.gemini_stub import GeminiStub
from tests.stub import Received, Reply
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("gemini")
TEAM = ("alpha", "beta")


def mother(received: Received) -> Reply | None:
    """She answers with a team when she is asked for one."""
    plans = received.history and received.history[0].startswith("You are Mother.") and "plan now" in received.text
    return Reply(spec_of({"name": "gamma", "role": "builds gamma"})) if plans else None


@pytest.fixture(scope="module")
def stub() -> Iterator[GeminiStub]:
    with GeminiStub(Script(mother)) as stub:
        yield stub


@pytest.fixture(scope="module")
def house(stub: GeminiStub) -> Iterator[RealHouse]:
    with a_house("gemini", partial(gemini_environment, stub)) as house:
        yield house


@pytest.fixture(scope="module")
def crew(house: RealHouse, stub: GeminiStub) -> RealSession:
    """Two agents at their prompts."""
    crew = start(house, stub, "crew", *team_of(house, *TEAM))
    crew.idle(timeout_s=120)
    return crew


def test_each_has_its_brief(crew: RealSession) -> None:
    for name in TEAM:
        assert len(crew.heard(name)) == 1
        assert crew.heard(name)[0].startswith(f"You are {name}, one of a team")
        chats = crew.house.root / "home" / ".gemini" / "tmp"
        assert len(list(chats.glob(f"*/chats/session-*-{crew.conversation(name)[:8]}.jsonl"))) == 1


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_text_arrives_as_it_is(crew: RealSession, body: str) -> None:
    crew.delivered(crew.tell("beta", body), "transcript", timeout_s=60)
    crew.hears("beta", said("person", "beta", body).rstrip())


def test_a_file_that_a_message_names_is_read_by_the_cli_and_the_message_is_seen_all_the_same(crew: RealSession) -> None:
    (crew.house.project / "beta" / "notes.txt").write_text("one\ntwo\n")
    crew.delivered(crew.tell("beta", "see @notes.txt, or ask me@example.com"), "transcript", timeout_s=60)


def test_a_busy_agent_gets_it_when_it_is_idle(crew: RealSession) -> None:
    crew.tell("beta", "<<hold busy>>")
    crew.wait_agent("beta", state="busy")
    later = crew.tell("beta", "when you have time, once more")
    assert crew.held(later, "busy")["typed_at"] is None
    released = iso(time.time())
    crew.release("busy")
    assert crew.delivered(later, "transcript", timeout_s=60)["typed_at"] > released
    crew.hears("beta", said("person", "beta", "when you have time, once more"))


def test_now_is_queued_by_the_cli_and_heard_when_the_turn_ends(crew: RealSession) -> None:
    crew.tell("beta", "<<hold queue>>")
    crew.wait_agent("beta", state="busy")
    now = crew.tell("beta", "as soon as you can", "--when", "now")
    assert crew.until(now, 60, state="delivered")["evidence"] == "screen"
    assert crew.read("beta").queued
    crew.release("queue")
    crew.hears("beta", said("person", "beta", "as soon as you can"))


def test_a_turn_that_the_person_interrupts_is_over(crew: RealSession) -> None:
    crew.idle("beta")
    crew.tell("beta", "<<wait 90>>")
    crew.reads("beta", lambda reading: reading.busy)
    crew.press("beta", "Escape")
    crew.idle("beta")
    crew.delivered(crew.tell("beta", "after the interrupt"), "transcript")


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_a_permission_is_answered_from_outside(crew: RealSession, verb: str) -> None:
    effect = crew.house.project / f"made-{verb}"
    crew.tell("alpha", f"<<bash touch {effect}>>")
    crew.reads("alpha", lambda reading: reading.waiting == "permission", 60)
    crew.wait_agent("alpha", state="waiting(permission)")
    found = crew.dialog("alpha", "permission")
    assert f"touch {effect}" in " ".join(found["text"].split())
    waiting = crew.tell("alpha", f"after {verb}")
    assert crew.held(waiting, "waiting: permission")["typed_at"] is None
    assert not effect.exists()
    done = crew.json(verb, found["id"])
    assert (done["pressed"], done["gone"]) == ("1" if verb == "approve" else "3", True)
    crew.delivered(waiting, "transcript", timeout_s=60)
    crew.hears("alpha", said("person", "alpha", f"after {verb}"))
    assert effect.exists() is (verb == "approve")


def test_a_persons_draft_is_neither_merged_nor_submitted(crew: RealSession) -> None:
    crew.types("beta", "dear beta, what I always")
    crew.reads("beta", lambda reading: reading.draft == "dear beta, what I always")
    waiting = crew.tell("beta", "not into that")
    assert crew.held(waiting, "a draft stands in the composer")["attempts"] == 0
    assert crew.read("beta").draft == "dear beta, what I always"
    crew.clears("beta")
    crew.delivered(waiting, "transcript")
    assert not any("dear beta" in text for text in crew.heard("beta"))


def test_it_sends_from_its_shell_and_asks_nobody(crew: RealSession) -> None:
    text = "exact: 42; it is (by now) → naïve, {braces} & *stars*"
    crew.tell("alpha", f"<<bash taco send beta '{text}'>>")
    crew.hears("beta", said("alpha", "beta", text), 60)
    assert crew.read("alpha").waiting == ""


def test_what_stands_beside_an_allowed_verb_is_asked_about(crew: RealSession) -> None:
    crew.idle("alpha")
    crew.tell("alpha", "<<bash taco send beta 'never'; touch beside>>")
    crew.reads("alpha", lambda reading: reading.waiting == "permission", 60)
    assert not (crew.house.project / "alpha" / "beside").exists()
    crew.press("alpha", "Escape")
    crew.idle("alpha")
    assert said("alpha", "beta", "never") not in crew.heard("beta")


def test_its_tokens_count_for_its_budget(crew: RealSession, house: RealHouse) -> None:
    config = house.root / "c" / "taco" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("token_budget = 1000\n")  # one answer of the stub costs 1,042
    try:
        waits = crew.tell("beta", "one thing more")
        assert "of 1,000 tokens used" in crew.held(waits, "budget: ")["hold"]
    finally:
        config.unlink()
    crew.delivered(waits, "transcript")


def test_a_usage_limit_holds_until_a_person_has_answered_it(crew: RealSession) -> None:
    crew.idle("alpha")
    crew.tell("alpha", "<<error 429 1>>")
    crew.reads("alpha", lambda reading: reading.waiting == "limit", 60)
    crew.wait_agent("alpha", state="limited(Usage limit reached for gemini-2.5-flash.)")
    waiting = crew.tell("alpha", "after the limit")
    assert crew.held(waiting, "limited: Usage limit reached")["typed_at"] is None
    crew.press("alpha", "1")
    crew.delivered(waiting, "transcript", timeout_s=60)


def test_a_killed_agent_comes_back_with_its_conversation(crew: RealSession) -> None:
    crew.idle("beta")
    before, conversation = crew.heard("beta"), crew.conversation("beta")
    os.kill(crew.agent("beta")["pid"], signal.SIGKILL)
    crew.wait_agent("beta", state="exited(signal 9)")
    waiting = crew.tell("beta", "welcome back")
    assert crew.held(waiting, "exited")["attempts"] == 0
    crew.taco("agent", "restart", "beta")
    crew.until(waiting, 90, state="delivered")  # by its transcript, or queued by the CLI until that is up
    crew.hears("beta", said("person", "beta", "welcome back"))
    assert crew.conversation("beta") == conversation
    assert crew.heard("beta") == (*before, said("person", "beta", "welcome back"))


def test_a_stopped_session_goes_on_where_it_was_and_leaves_nothing_running(crew: RealSession) -> None:
    crew.idle()
    crew.delivered(crew.tell("beta", "<<hold stopped>>"), "transcript")
    crew.tell("alpha", "<<bash sleep 321>>")
    crew.reads("alpha", lambda reading: reading.waiting == "permission", 60)
    crew.press("alpha", "1")
    wait_for(lambda: "sleep 321" in crew.house.running(), what=crew.describe)
    conversations = {name: crew.conversation(name) for name in TEAM}
    before = crew.heard("beta")
    crew.stop()
    assert not crew.house.running()
    crew.resume()
    crew.release("stopped")
    crew.until(crew.tell("alpha", "for after the break"), 120, state="delivered")
    crew.hears("alpha", said("person", "alpha", "for after the break"), 60)
    assert {name: crew.conversation(name) for name in TEAM} == conversations
    told = [text for text in crew.heard("alpha") if "This was your brief from the beginning" in text]
    assert len(told) == 1  # after a tool that was denied Gemini CLI takes a conversation up without its first message
    assert told[0].startswith("[taco → alpha]: You are alpha, one of a team")
    resumed = wait_for(lambda: crew.heard("beta")[len(before) :], 60, crew.describe)
    assert resumed[0].startswith("[taco → beta]: You were ended in the middle of your work")
    crew.idle()
    crew.stop()
    assert not crew.house.running()


def test_mothers_answer_becomes_the_team_and_yolo_asks_nobody(house: RealHouse, stub: GeminiStub) -> None:
    whole = start(house, stub, "whole", "--yolo")
    whole.idle("mother", timeout_s=120)
    whole.tell("mother", "plan now")
    wait_for(lambda: whole.heard("gamma"), 120, whole.describe)
    whole.idle(timeout_s=120)
    whole.tell("gamma", "<<bash touch unasked; taco send mother 'it stands'>>")
    whole.hears("mother", said("gamma", "mother", "it stands"), 60)
    assert (whole.project / "gamma" / "unasked").exists()
    whole.stop()


def test_trust_is_the_persons_to_give_in_its_window(house: RealHouse, stub: GeminiStub) -> None:
    project = house.root / "untrusted"
    project.mkdir()
    crew = start(house, stub, "trusting", *team_of(house, "solo"), project=project)
    found = crew.dialog("solo", "trust")
    assert "Do you trust the files in this folder?" in found["text"]
    waiting = crew.tell("solo", "are you there?")
    assert crew.held(waiting, "waiting: trust: ")["typed_at"] is None
    crew.press("solo", "1")
    crew.wait_agent("solo", state="exited(42)", timeout_s=60)  # it starts itself anew, and finds its own conversation
    crew.taco("agent", "restart", "solo")
    crew.until(waiting, 120, state="delivered")
    crew.hears("solo", said("person", "solo", "are you there?"), 60)
    assert [text[:12] for text in crew.heard("solo")] == ["You are solo", "[person → so"]
    crew.stop()


def test_a_trust_given_at_the_start_asks_in_no_window_and_writes_nothing(house: RealHouse, stub: GeminiStub) -> None:
    project = house.root / "flagged"
    project.mkdir()
    known = house.root / "home" / ".gemini" / "trustedFolders.json"
    before = known.read_text(encoding="utf-8")
    crew = start(house, stub, "flagged", *team_of(house, "solo"), "--trust", project=project)
    crew.idle("solo", timeout_s=120)
    crew.stop()
    crew.resume()
    crew.until(crew.tell("solo", "are you there?"), 120, state="delivered")
    crew.hears("solo", said("person", "solo", "are you there?"), 60)
    assert crew.events("agent.state")
    assert not [each for each in crew.events("agent.state") if "waiting" in each["content"]]
    assert known.read_text(encoding="utf-8") == before
    crew.stop()
