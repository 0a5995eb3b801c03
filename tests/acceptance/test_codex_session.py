"""A session of the real Codex CLI; its models are scripted, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from taco.hooks import _CODEX_TIMEOUT_S, _codex_digest
from taco.models import iso
from tests.acceptance.real_session import BODIES, RealHouse, RealSession, Script, a_house, said, spec_of, start, team_of
from tests.codex_env import codex_environment
from tests.codex_stub import CodexStub
from tests.stub import Received, Reply
from tests.support.needs import require
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("codex")
TEAM = ("alpha", "beta")


def mother(received: Received) -> Reply | None:
    """She answers with a team when she is asked for one."""
    plans = received.history and received.history[0].startswith("You are Mother.") and "plan now" in received.text
    return Reply(spec_of({"name": "gamma", "role": "builds gamma"})) if plans else None


def environment(stub: CodexStub, root: Path, project: Path) -> dict[str, str]:
    """That of a person who trusts the project: its trust counts for the directories below it in a repository only."""
    subprocess.run([require("git"), "init", "-q", str(project)], check=True)
    return codex_environment(stub, root, project)


LEFT = (".git", ".codex", ".agents", ".aws")


@pytest.fixture(scope="module")
def stub() -> Iterator[CodexStub]:
    with CodexStub(Script(mother)) as stub:
        yield stub


@pytest.fixture(scope="module")
def house(stub: CodexStub) -> Iterator[RealHouse]:
    before = {name: Path("/tmp", name).exists() for name in LEFT}
    with a_house("codex", partial(environment, stub)) as house:
        yield house
    for name in LEFT:  # where its sandbox mounts something over; a killed one leaves them: /tmp would be a repository
        if not before[name]:
            with contextlib.suppress(OSError):
                Path("/tmp", name).rmdir()


@pytest.fixture(scope="module")
def crew(house: RealHouse, stub: CodexStub) -> RealSession:
    """Two agents at their prompts."""
    crew = start(house, stub, "crew", *team_of(house, *TEAM))
    crew.idle()
    return crew


def test_each_has_its_brief(crew: RealSession) -> None:
    for name in TEAM:
        assert len(crew.heard(name)) == 1
        assert crew.heard(name)[0].startswith(f"You are {name}, one of a team")
        assert list((crew.house.root / "codex-home" / "sessions").rglob(f"*-{crew.conversation(name)}.jsonl"))


TALL = "\n".join(f"{number}" for number in range(70))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_text_arrives_as_it_is(crew: RealSession, body: str) -> None:
    crew.delivered(crew.tell("beta", body), "hook")
    crew.hears("beta", said("person", "beta", body).rstrip())


def test_a_text_too_tall_to_be_seen_whole_arrives_as_a_file(crew: RealSession) -> None:
    crew.delivered(crew.tell("beta", TALL), "hook")
    told = wait_for(lambda: next((text for text in crew.heard("beta") if "The message is long" in text), ""))
    assert Path(told.rpartition(" ")[2]).read_text(encoding="utf-8") == TALL


def test_a_busy_agent_gets_it_when_it_is_idle(crew: RealSession) -> None:
    crew.tell("beta", "<<hold busy>>")
    crew.wait_agent("beta", state="busy")
    later = crew.tell("beta", "when you have time, once more")
    assert crew.held(later, "busy")["typed_at"] is None
    released = iso(time.time())
    crew.release("busy")
    assert crew.delivered(later, "hook")["typed_at"] > released
    crew.hears("beta", said("person", "beta", "when you have time, once more"))


def test_now_goes_into_the_turn(crew: RealSession) -> None:
    crew.tell("beta", "<<bash sleep 3; echo slept>>")
    crew.wait_agent("beta", state="busy")
    now = crew.tell("beta", "while your tool runs", "--when", "now")
    assert crew.until(now, state="delivered")["attempts"] == 1
    crew.hears("beta", said("person", "beta", "while your tool runs"))


def test_a_turn_that_the_person_interrupts_is_over(crew: RealSession) -> None:
    crew.idle("beta")
    crew.tell("beta", "<<bash sleep 30>>")
    crew.reads("beta", lambda reading: reading.busy)
    crew.press("beta", "Escape")
    crew.idle("beta")
    crew.delivered(crew.tell("beta", "after the interrupt"), "hook")


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_a_permission_is_answered_from_outside(crew: RealSession, verb: str) -> None:
    effect = crew.house.project / f"made-{verb}"
    crew.tell("alpha", f"<<ask touch {effect}>>")
    crew.reads("alpha", lambda reading: reading.waiting == "permission")
    crew.wait_agent("alpha", state="waiting(permission)")
    found = crew.dialog("alpha", "permission")
    assert f"touch {effect}" in " ".join(found["text"].split())
    waiting = crew.tell("alpha", f"after {verb}")
    assert crew.held(waiting, "waiting: permission")["typed_at"] is None
    assert not effect.exists()
    done = crew.json(verb, found["id"])
    assert (done["pressed"], done["gone"]) == ("1" if verb == "approve" else "3", True)
    crew.delivered(waiting, "hook")
    crew.hears("alpha", said("person", "alpha", f"after {verb}"))
    assert effect.exists() is (verb == "approve")


def test_a_rule_of_the_persons_answers(crew: RealSession, house: RealHouse) -> None:
    config = house.root / "c" / "taco" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('[agents.beta]\nauto_approve = ["Bash(mkdir -p:*)"]\n')
    try:
        crew.tell("beta", "<<ask mkdir -p ruled>>")
        wait_for((crew.house.project / "beta" / "ruled").exists, 30, crew.describe)
        (event,) = crew.events("ask.approved")[-1:]
        assert (event["agent"], event["data"].get("rule")) == ("beta", "Bash(mkdir -p:*)")
    finally:
        config.unlink()


def test_a_persons_draft_is_neither_merged_nor_submitted(crew: RealSession) -> None:
    crew.types("beta", "dear beta, what I always")
    crew.reads("beta", lambda reading: reading.draft)
    waiting = crew.tell("beta", "not into that")
    assert crew.held(waiting, "a draft stands in the composer")["attempts"] == 0
    assert crew.read("beta").draft == "dear beta, what I always"
    crew.clears("beta")
    crew.delivered(waiting, "hook")
    assert not any("dear beta" in text for text in crew.heard("beta"))


def test_nothing_is_typed_where_text_is_run_or_is_commands(crew: RealSession) -> None:
    crew.idle("beta")
    crew.press("beta", "!")
    crew.reads("beta", lambda reading: reading.draft == "!")
    for_no_shell = crew.tell("beta", "not for a shell")
    assert crew.held(for_no_shell, "a draft stands in the composer")["attempts"] == 0
    crew.press("beta", "BSpace")
    crew.delivered(for_no_shell, "hook")
    crew.idle("beta")
    toggles_vim(crew, "beta")
    crew.reads("beta", lambda reading: reading.draft == "›")
    for_no_vim = crew.tell("beta", "dd is no command")
    assert crew.held(for_no_vim, "a draft stands in the composer")["attempts"] == 0
    crew.press("beta", "i")
    crew.delivered(for_no_vim, "hook")
    crew.hears("beta", said("person", "beta", "dd is no command"))
    crew.idle("beta")
    toggles_vim(crew, "beta")


def toggles_vim(crew: RealSession, name: str) -> None:
    """The person switches vim's keys in an agent's window."""
    crew.types(name, "/vim")
    crew.reads(name, lambda reading: reading.draft == "/vim")
    crew.press(name, "Enter")
    crew.reads(name, lambda reading: reading.draft != "/vim")


def test_it_sends_from_its_sandbox(crew: RealSession) -> None:
    text = "exact: 42; it's #(touch pwned) → naïve, 'quoted' {braces}"
    crew.tell("alpha", f'<<bash taco send beta "{text}">>')
    crew.hears("beta", said("alpha", "beta", text))
    crew.ran("alpha", "queued through the outbox: this sandbox does not allow connections")
    assert crew.read("alpha").waiting == ""
    assert not list(crew.house.root.rglob("pwned"))


def test_its_tokens_count_for_its_budget(crew: RealSession, house: RealHouse) -> None:
    config = house.root / "c" / "taco" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("token_budget = 1000\n")  # one answer of the stub costs 1,042
    try:
        waits = crew.tell("beta", "one thing more")
        assert "of 1,000 tokens used" in crew.held(waits, "budget: ")["hold"]
    finally:
        config.unlink()
    crew.delivered(waits, "hook")


def test_a_killed_agent_comes_back_with_its_conversation(crew: RealSession) -> None:
    crew.idle("beta")
    before, conversation = crew.heard("beta"), crew.conversation("beta")
    os.kill(crew.agent("beta")["pid"], signal.SIGKILL)
    crew.wait_agent("beta", state="exited(signal 9)")
    waiting = crew.tell("beta", "welcome back")
    assert crew.held(waiting, "exited")["attempts"] == 0
    crew.taco("agent", "restart", "beta")
    crew.delivered(waiting, "hook")
    crew.hears("beta", said("person", "beta", "welcome back"))
    assert crew.conversation("beta") == conversation
    assert crew.heard("beta") == (*before, said("person", "beta", "welcome back"))


def test_a_stopped_session_goes_on_where_it_was_and_leaves_nothing_running(crew: RealSession) -> None:
    crew.idle()
    crew.delivered(crew.tell("beta", "<<hold stopped>>"), "hook")
    crew.tell("alpha", "<<bash sleep 321>>")
    wait_for(lambda: "sleep 321" in crew.house.running(), what=crew.describe)
    conversations = {name: crew.conversation(name) for name in TEAM}
    before = crew.heard("beta")
    crew.stop()
    assert not crew.house.running()
    crew.resume()
    crew.release("stopped")
    crew.delivered(crew.tell("alpha", "for after the break"), "hook", timeout_s=60)
    assert {name: crew.conversation(name) for name in TEAM} == conversations
    resumed = wait_for(lambda: crew.heard("beta")[len(before) :], what=crew.describe)
    assert resumed[0].startswith("[taco → beta]: You were ended in the middle of your work")
    crew.idle()
    crew.stop()
    assert not crew.house.running()


def test_mothers_answer_becomes_the_team_and_yolo_asks_nobody(house: RealHouse, stub: CodexStub) -> None:
    whole = start(house, stub, "whole", "--yolo")
    whole.idle("mother")
    whole.tell("mother", "plan now")
    wait_for(lambda: whole.heard("gamma"), 60, whole.describe)
    whole.idle()
    whole.tell("gamma", "<<bash taco send mother 'it stands'>>")
    whole.hears("mother", said("gamma", "mother", "it stands"))
    assert "outbox" not in whole.results("gamma")[-1]
    whole.stop()


def test_trust_is_the_persons_to_give_in_its_window(house: RealHouse, stub: CodexStub) -> None:
    project = house.root / "untrusted"
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    crew = start(house, stub, "trusting", *team_of(house, "solo"), project=project)
    found = crew.dialog("solo", "trust")
    assert str(project / "solo") in found["text"]
    waiting = crew.tell("solo", "are you there?")
    assert crew.held(waiting, "waiting: trust: ")["typed_at"] is None
    assert crew.taco("approve", found["id"], check=False).returncode == 2  # its digits choose nothing: only Enter does
    crew.press("solo", "Enter")
    crew.delivered(waiting, "hook")
    assert [text[:12] for text in crew.heard("solo")] == ["You are solo", "[person → so"]
    crew.stop()


def test_a_trust_given_at_the_start_asks_in_no_window_and_writes_nothing(house: RealHouse, stub: CodexStub) -> None:
    project = house.root / "trusted.by flag"
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    crew = start(house, stub, "flagged", *team_of(house, "solo"), "--trust", project=project)
    crew.idle("solo")
    crew.stop()
    crew.resume()
    crew.delivered(crew.tell("solo", "are you there?"), "hook")
    assert [text[:12] for text in crew.heard("solo")] == ["You are solo", "[person → so"]
    assert crew.events("agent.state")
    assert not [each for each in crew.events("agent.state") if "waiting" in each["content"]]
    assert str(project) not in (house.root / "codex-home" / "config.toml").read_text(encoding="utf-8")
    crew.stop()


def test_what_a_hook_of_the_persons_refuses_is_rejected(house: RealHouse, stub: CodexStub) -> None:
    config = house.root / "codex-home" / "config.toml"
    before = config.read_text(encoding="utf-8")
    line = "grep -q forbidden && { echo 'not on a Friday' >&2; exit 2; }; exit 0"
    hook = f'type="command",command={json.dumps(line)},timeout={_CODEX_TIMEOUT_S}'
    name, digest = f"{config}:user_prompt_submit:0:0", _codex_digest("UserPromptSubmit", line)
    trusted = f"[hooks.state.{json.dumps(name)}]\ntrusted_hash = {json.dumps(digest)}\n"
    config.write_text(f"{before}[hooks]\nUserPromptSubmit = [{{hooks=[{{{hook}}}]}}]\n{trusted}", encoding="utf-8")
    try:
        crew = start(house, stub, "strict", *team_of(house, "slow"))
        crew.idle("slow")
        refused = crew.tell("slow", "the forbidden words")
        taken = crew.tell("slow", "other words")
        reason = crew.until(refused, state="rejected")["reason"]
        assert reason == "a hook refused it (UserPromptSubmit): not on a Friday"
        crew.delivered(taken, "hook")
        crew.hears("slow", said("person", "slow", "other words"))
        assert said("person", "slow", "the forbidden words") not in crew.heard("slow")
        crew.stop()
    finally:
        config.write_text(before, encoding="utf-8")
