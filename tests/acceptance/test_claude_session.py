"""A session of the real Claude Code CLI from its first word to its last; its models are scripted, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from taco.models import iso
from tests.acceptance.real_session import (
    BODIES,
    RealHouse,
    RealSession,
    Script,
    a_house,
    name_of,
    said,
    spec_of,
    start,
)
from tests.claude_env import API_KEY, claude_environment
from tests.claude_stub import ClaudeStub
from tests.stub import Received, Reply
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("claude")  # one process: its CLIs take 230 MB and a second of CPU each

INVALID = spec_of({"name": "alpha", "role": "builds alpha", "wait_for": ["gamma"]}, {"name": "beta", "role": ""})
ERRORS = ["agents[0].wait_for[0]: nobody is named 'gamma'; the team: alpha, beta", "agents[1].role: is empty"]
TEAM = ("alpha", "beta", "slow", "deaf")
VALID = spec_of(
    {"name": "alpha", "role": "builds alpha", "notifies": ["beta"]},
    {"name": "beta", "role": "builds beta"},
    {"name": "slow", "role": "takes its time", "provider": "slow"},
    {"name": "deaf", "role": "has no hooks", "provider": "deaf"},
)


# A hook of the person's own: it takes a moment longer than TACO's, then lets most prompts pass.
_REFUSES = "sleep 1; if grep -q forbidden; then echo 'not on a Friday' >&2; exit 2; fi"
REFUSING = {"UserPromptSubmit": [{"hooks": [{"type": "command", "command": _REFUSES}]}]}


def mother(received: Received) -> Reply | None:
    """She repeats her prompt, example included; then an invalid spec comes, then the corrected one."""
    if name_of(received) != "mother":
        return None
    if received.text.startswith("You are Mother."):
        return Reply(received.text)
    if received.text.endswith("plan now"):
        return Reply(INVALID)
    return Reply(VALID) if "Your spec cannot be used" in received.text else None


@pytest.fixture(scope="module")
def stub() -> Iterator[ClaudeStub]:
    with ClaudeStub(Script(mother)) as stub:
        yield stub


@pytest.fixture(scope="module")
def house(stub: ClaudeStub) -> Iterator[RealHouse]:
    with a_house("claude", partial(claude_environment, stub)) as house:
        house.variant("slow", settle_ms=3_000)  # time for the test between text and Enter
        bare = ["claude", "--session-id", "{session_id}", "-n", "{agent}"]
        (house.project / "slow" / ".claude").mkdir(parents=True)
        (house.project / "slow" / ".claude" / "settings.json").write_text(json.dumps({"hooks": REFUSING}))
        house.variant("deaf", hooks="", evidence=["hook"], command=bare, versions="1.0, 1.1")
        yield house


@pytest.fixture(scope="module")
def crew(house: RealHouse, stub: ClaudeStub) -> RealSession:
    """The session, its team at its prompts."""
    crew = start(house, stub, "crew")
    crew.idle("mother")
    crew.tell("mother", "plan now")
    for name in TEAM:
        wait_for(lambda name=name: crew.heard(name), 60, lambda: crew.describe())
    crew.idle()
    return crew


# From Mother's answer to the team


def test_mothers_answer_becomes_the_team(crew: RealSession) -> None:
    assert crew.windows() == dict(enumerate(("mother", "monitor", "executor", *TEAM)))
    for name in TEAM:
        assert crew.heard(name)[0].startswith(f"You are {name}, one of a team")
    (accepted,) = (text for text in crew.heard("mother") if "Your spec is accepted" in text)
    assert "- alpha (window 3): builds alpha [tells beta]" in accepted


def test_the_example_of_her_prompt_is_never_taken_for_her_answer(crew: RealSession) -> None:
    assert "(example)" in crew.heard("mother")[0]
    assert len(crew.events("spec.proposed")) == 2  # the invalid one and the valid one
    assert [each["name"] for each in crew.json("spec", "show")["spec"]["agents"]] == list(TEAM)


def test_an_invalid_spec_goes_back_with_exactly_its_errors(crew: RealSession) -> None:
    (told,) = (text for text in crew.heard("mother") if "Your spec cannot be used" in text)
    assert [line[2:] for line in told.splitlines() if line.startswith("- ")] == ERRORS
    (event,) = crew.events("spec.invalid")
    assert event["data"]["errors"] == ERRORS


# Messages


def test_an_agent_tells_another_with_its_shell(crew: RealSession) -> None:
    text = "exact: 42; it's #(touch pwned) #{pane_id} → naïve, 'quoted' {braces}"
    crew.tell("alpha", f'<<bash taco send beta "{text}">>')
    crew.hears("beta", said("alpha", "beta", text))
    found = crew.delivered(crew.results("alpha")[-1].split()[0], "hook")
    assert (found["sender"], found["target"]) == ("alpha", "beta")
    assert not list(crew.house.root.rglob("pwned"))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_text_arrives_as_it_is(crew: RealSession, body: str) -> None:
    crew.delivered(crew.tell("beta", body), "hook")
    crew.hears("beta", said("person", "beta", body).rstrip())


def test_a_very_long_text_arrives_as_a_file(crew: RealSession) -> None:
    body = "\n".join(f"{number:05} ☕ the quick brown fox" for number in range(700))
    assert len(body.encode()) > 20_000
    crew.delivered(crew.tell("beta", body), "hook")
    told = wait_for(lambda: next((text for text in crew.heard("beta") if "The message is long" in text), ""))
    assert "\n" not in told
    assert Path(told.rpartition(" ")[2]).read_text(encoding="utf-8") == body


def test_a_busy_agent_gets_it_when_it_is_idle(crew: RealSession, stub: ClaudeStub) -> None:
    crew.tell("beta", "<<hold busy>>")
    crew.wait_agent("beta", state="busy")
    later = crew.tell("beta", "when you have time, once more")
    assert crew.held(later, "busy")["typed_at"] is None
    released = iso(time.time())
    crew.release("busy")
    assert crew.delivered(later, "hook")["typed_at"] > released
    crew.hears("beta", said("person", "beta", "when you have time, once more"))


def test_now_goes_into_the_turn(crew: RealSession) -> None:
    crew.tell("beta", "<<hold turn>>")
    crew.wait_agent("beta", state="busy")
    now = crew.tell("beta", "stop that, rather", "--when", "now")
    crew.delivered(now, "transcript")
    assert crew.read("beta").busy
    crew.release("turn")
    crew.hears("beta", said("person", "beta", "stop that, rather"))


def test_now_goes_into_a_tool_that_runs(crew: RealSession) -> None:
    crew.tell("beta", "<<bash taco ask 'shall I go on?' --wait 60>>")
    wait_for(lambda: crew.json("inbox")["asks"], what=crew.describe)
    crew.delivered(crew.tell("beta", "while your tool runs", "--when", "now"), "transcript")
    assert crew.read("beta").busy
    crew.taco("answer", "go on")
    crew.ran("beta", "go on")
    notes = crew.requests("beta")[-1].notes
    assert sum(said("person", "beta", "while your tool runs") in note for note in notes) == 1


# Dialogs: nothing is typed, nothing is approved


@pytest.mark.parametrize(("answer", "approved"), [("Escape", False), ("Enter", True)])
def test_a_permission_dialog_belongs_to_the_person(crew: RealSession, answer: str, approved: bool) -> None:
    effect = crew.house.project / "alpha" / f"made-{answer}"
    crew.tell("alpha", f"<<bash touch {effect.name}>>")
    crew.reads("alpha", lambda reading: reading.waiting == "permission")
    crew.wait_agent("alpha", state="waiting(permission)")
    dialog = crew.look("alpha")
    waiting = crew.tell("alpha", f"after {answer}")
    urgent = crew.tell("alpha", f"at once, {answer}", "--priority", "high", "--when", "now")
    held = crew.held(urgent, "waiting: permission")
    assert (held["attempts"], held["typed_at"]) == (0, None)
    assert crew.look("alpha") == dialog
    assert not effect.exists()
    answered = iso(time.time())
    crew.press("alpha", answer)
    for command_id, text in ((urgent, f"at once, {answer}"), (waiting, f"after {answer}")):
        assert crew.until(command_id, state="delivered")["typed_at"] > answered
        crew.hears("alpha", said("person", "alpha", text))
    assert effect.exists() is approved


def test_a_dialog_that_opens_between_text_and_enter_is_not_answered(crew: RealSession) -> None:
    effect = crew.house.project / "slow" / "made"
    crew.tell("slow", "<<hold race>> <<bash touch made>>")
    crew.wait_agent("slow", state="busy")
    text = "typed before the dialog"
    raced = crew.tell("slow", text, "--when", "now")
    crew.reads("slow", lambda reading: reading.draft == said("person", "slow", text))
    crew.release("race")
    crew.reads("slow", lambda reading: reading.waiting == "permission")
    dialog = crew.look("slow")
    assert crew.held(raced, "typed, not submitted")["entered_at"] is None
    assert crew.look("slow") == dialog
    assert not effect.exists()
    crew.press("slow", "Escape")
    crew.delivered(raced, "hook")
    crew.hears("slow", said("person", "slow", text))
    assert not effect.exists()


# Whose text stands in the composer


def test_a_persons_draft_is_neither_merged_nor_submitted(crew: RealSession) -> None:
    crew.types("beta", "dear beta, what I always")
    crew.reads("beta", lambda reading: reading.draft)
    waiting = crew.tell("beta", "not into that")
    assert crew.held(waiting, "a draft stands in the composer")["attempts"] == 0
    assert crew.read("beta").draft == "dear beta, what I always"
    crew.clears("beta")
    crew.delivered(waiting, "hook")
    crew.hears("beta", said("person", "beta", "not into that"))
    assert not any("dear beta" in text for text in crew.heard("beta"))


def test_a_message_that_an_interrupt_put_back_is_known_as_ours(crew: RealSession) -> None:
    ours = said("person", "beta", "<<hold interrupted>>")
    crew.delivered(crew.tell("beta", "<<hold interrupted>>"), "hook")
    wait_for(lambda: crew.heard("beta")[-1] == ours, what=lambda: crew.report("beta"))
    crew.press("beta", "Escape")
    crew.reads("beta", lambda reading: reading.draft == ours)
    waiting = crew.tell("beta", "not behind that")
    assert crew.held(waiting, "an earlier message stands in the composer again")["attempts"] == 0
    assert crew.read("beta").draft == ours
    crew.clears("beta")
    crew.release("interrupted")
    crew.delivered(waiting, "hook")
    crew.hears("beta", said("person", "beta", "not behind that"))


# What counts as having arrived


def test_what_a_hook_of_the_persons_refuses_is_rejected(crew: RealSession) -> None:
    refused = crew.tell("slow", "the forbidden words")
    taken = crew.tell("slow", "other words")
    assert "not on a Friday" in crew.until(refused, state="rejected")["reason"]
    done = crew.taco("send", "slow", "the forbidden words", "--id", refused, "--wait", "5", check=False)
    assert (done.returncode, "rejected: a hook refused it" in done.stderr) == (3, True)
    crew.delivered(taken, "hook")
    crew.hears("slow", said("person", "slow", "other words"))
    assert said("person", "slow", "the forbidden words") not in crew.heard("slow")


def test_a_used_up_budget_holds_until_the_person_raises_it(crew: RealSession, house: RealHouse) -> None:
    config = house.root / "c" / "taco" / "config.toml"
    config.write_text("token_budget = 1000\n")  # one answer of the stub costs more
    try:
        waits = crew.tell("beta", "one thing more")
        assert "of 1,000 tokens used" in crew.held(waits, "budget: ")["hold"]
    finally:
        config.unlink()
    crew.delivered(waits, "hook")


def test_without_hooks_the_transcript_tells(crew: RealSession) -> None:
    spool = crew.spool("alpha")
    shutil.rmtree(spool)
    try:
        crew.delivered(crew.tell("alpha", "your hooks are gone"), "transcript")
    finally:
        spool.mkdir(mode=0o700)
    crew.hears("alpha", said("person", "alpha", "your hooks are gone"))
    crew.idle("alpha")
    crew.delivered(crew.tell("alpha", "your hooks are back"), "hook")


def test_a_release_that_was_not_tested_is_told_once(crew: RealSession) -> None:
    (event,) = wait_for(lambda: crew.events("provider.untested"), what=crew.describe)
    assert (event["level"], event["data"]["provider"]) == ("warning", "deaf")
    assert "is not a release that TACO was tested with (1.0, 1.1)" in event["content"]


def test_only_a_hook_of_this_process_with_this_text_after_enter_counts(crew: RealSession) -> None:
    pid = crew.agent("deaf")["pid"]
    spool = crew.spool("deaf")
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)

    def forge(prompt: str, *, process: int = pid, in_s: float = 60, event: str = "UserPromptSubmit") -> None:
        name = f"{int((time.time() + in_s) * 1e9)}-{process}-{event}.json"
        (spool / name).write_text(json.dumps({"prompt": prompt}), encoding="utf-8")

    text = said("person", "deaf", "did you hear?")
    forge("another text")
    forge(f"{text} and more")
    forge(text, process=os.getpid())  # as of a `claude -p` that the agent started
    forge(text, in_s=-1)  # as of an earlier message
    forge("", in_s=61, event="Stop")  # or it counts as busy
    command_id = crew.tell("deaf", "did you hear?")
    found = crew.until(command_id, state="unconfirmed")
    assert (found["evidence"], found["attempts"]) == (None, 1)
    crew.hears("deaf", text)
    forge(said("person", "deaf", "and now?"))
    forge("", in_s=62, event="Stop")
    crew.delivered(crew.tell("deaf", "and now?"), "hook")


# What agents may do


def test_done_reaches_those_who_are_to_be_told(crew: RealSession) -> None:
    crew.tell("alpha", "<<bash taco done 'alpha stands: run make test'>>")
    for name in ("beta", "mother"):
        crew.hears(name, said("alpha", name, "done: alpha stands: run make test"))
    assert crew.agent("alpha")["done"] == "alpha stands: run make test"


@pytest.mark.parametrize("command", ["taco stop crew", "taco spec approve"])
def test_what_is_the_persons_is_refused_even_when_a_person_lets_it_run(crew: RealSession, command: str) -> None:
    crew.idle("alpha")
    crew.tell("alpha", f"<<bash {command}>>")
    crew.reads("alpha", lambda reading: reading.waiting == "permission")
    crew.press("alpha", "Enter")
    crew.ran("alpha", f"{command.split()[1]} is the person's to run; agent alpha may not")
    assert crew.status()["status"] == "running"


PERSONS = """
start x, attach, stop, resume, answer yes, approve, deny, queue, queue retry x, ls, monitor, agent list,
agent pause all, agent add x, log, config, config edit, provider trust, doctor --fix, uninstall --yes, completion bash,
executor --restart, spec show, spec approve, spec reject, spec edit, service list, service unregister x
"""
PERSONS_VERBS = [each.strip() for each in PERSONS.split(",")]


@pytest.fixture(scope="module")
def refused(crew: RealSession) -> str:
    """What the tool of an agent's Claude Code printed when it called all of them, one after the other."""
    script = crew.house.project / "alpha" / "verbs.sh"
    calls = (f'echo "== {each}"; taco {each} 2>&1 </dev/null; echo "ended with $?"\n' for each in PERSONS_VERBS)
    script.write_text("".join(calls))
    crew.idle("alpha")
    crew.tell("alpha", "<<bash sh verbs.sh>>")
    crew.reads("alpha", lambda reading: reading.waiting == "permission")
    crew.press("alpha", "Enter")
    return crew.ran("alpha", f"== {PERSONS_VERBS[-1]}", 90)


@pytest.mark.parametrize("command", PERSONS_VERBS)
def test_every_verb_of_the_persons_is_refused_to_an_agents_tool(refused: str, command: str) -> None:
    told = refused.partition(f"== {command}\n")[2].partition("\n== ")[0]
    assert "is the person's to run; agent alpha may not" in told
    assert "ended with 1" in told


def test_what_runs_is_what_ran_before(crew: RealSession) -> None:
    assert crew.status()["status"] == "running"
    assert {each["name"] for each in crew.status()["agents"]} == {"mother", *TEAM}


# Ends and new beginnings


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


def test_a_stopped_session_goes_on_where_it_was(crew: RealSession) -> None:
    crew.idle()
    crew.delivered(crew.tell("beta", "<<hold stopped>>"), "hook")
    crew.delivered(crew.tell("beta", "queued in your turn", "--when", "now"), "transcript")
    waiting = crew.tell("beta", "for after the break")
    crew.held(waiting, "busy")
    conversations = {name: crew.conversation(name) for name in TEAM}
    before = crew.heard("beta")
    crew.stop()
    assert not crew.house.running()
    crew.resume()
    crew.delivered(waiting, "hook", timeout_s=60)
    crew.hears("beta", said("person", "beta", "for after the break"))
    assert {name: crew.conversation(name) for name in TEAM} == conversations
    assert crew.heard("beta")[: len(before)] == before
    resumed, after = crew.heard("beta")[len(before) :]
    assert resumed.startswith("[taco → beta]: You were ended in the middle of your work")
    assert resumed.endswith(f"not seen yet: \n\n{said('person', 'beta', 'queued in your turn')}")
    assert after == said("person", "beta", "for after the break")
    assert not any("You were ended" in text for name in TEAM[2:] for text in crew.heard(name))
    crew.release("stopped")


# The first start


def test_a_conversation_that_was_cleared_is_followed(crew: RealSession) -> None:
    crew.idle("beta")
    before = crew.conversation("beta")
    crew.types("beta", "/clear")
    crew.press("beta", "Enter")
    wait_for(lambda: crew.conversation("beta") != before, what=lambda: crew.report("beta"))
    crew.delivered(crew.tell("beta", "after the clear"), "hook")
    crew.idle("beta")
    os.kill(crew.agent("beta")["pid"], signal.SIGKILL)
    crew.wait_agent("beta", state="exited(signal 9)")
    crew.taco("agent", "restart", "beta")
    crew.delivered(crew.tell("beta", "and after its end"), "hook")
    both = [said("person", "beta", text) for text in ("after the clear", "and after its end")]

    def resumed() -> bool:
        """Whether its model was sent the conversation since the clear, and nothing before it."""
        heard = [each.history for each in crew.stub.requests if both[1] in each.history]
        return bool(heard) and list(heard[-1][-2:]) == both and not heard[-1][0].startswith("You are beta")

    wait_for(resumed, what=lambda: crew.report("beta"))


def test_the_dialogs_of_the_first_start_wait_for_the_person(house: RealHouse, stub: ClaudeStub) -> None:
    project = house.root / "untrusted"
    project.mkdir()
    another_key = API_KEY[::-1]
    fresh = start(house, stub, "fresh", project=project, ANTHROPIC_API_KEY=another_key)
    waiting = fresh.tell("mother", "are you there?")

    def stands_at(dialog: str) -> str:
        fresh.wait(lambda team: team[0]["state"].startswith(f"waiting({dialog}: "), what=dialog)
        assert fresh.held(waiting, f"waiting: {dialog}: ")["attempts"] == 0
        return fresh.look("mother")

    shown = stands_at("trust")
    assert "answer Yes in the agent's window" in fresh.agent("mother")["state"]
    fresh.stop()
    fresh.resume(ANTHROPIC_API_KEY=another_key)  # nothing was said yet: it starts afresh, and asks again
    assert stands_at("trust") == shown
    assert not fresh.requests("mother")
    fresh.press("mother", "Enter")
    shown = stands_at("api_key")
    fresh.press("mother", "Up")
    wait_for(lambda: fresh.look("mother") != shown, what=lambda: fresh.look("mother"))
    fresh.press("mother", "Enter")
    # What is pasted in the moment its first turn ends 2.1.197 may queue, or drop: then it is typed once more.
    found = fresh.until(waiting, 60, state="delivered")
    assert found["evidence"] in ("hook", "transcript")
    assert found["attempts"] <= 2
    fresh.hears("mother", said("person", "mother", "are you there?"))
    assert fresh.heard("mother")[0].startswith("You are Mother.")
    assert len(fresh.heard("mother")) == 2
    fresh.stop()


def test_yolo_asks_nobody_and_trust_notes_one_directory(house: RealHouse, stub: ClaudeStub) -> None:
    house.taco("stop", "--all", "--grace", "0.5")  # every CLI that runs writes the whole of .claude.json now and then
    project = house.root / "trusted"
    project.mkdir()
    path = house.root / "claude-config" / ".claude.json"
    before = json.loads(path.read_text())
    for parent in project.parents:  # below a trusted directory nothing has to be noted
        before["projects"].pop(str(parent), None)
    path.write_text(json.dumps(before))
    spec = house.spec("wild", "gamma")
    options = ("--trust", "--yolo", "--no-mother", "--spec", str(spec))
    wild = start(house, stub, "wild", *options, project=project, IS_SANDBOX="0")
    wild.tell("gamma", "<<bash touch made>>")
    wait_for((project / "gamma" / "made").exists, 60, wild.describe)
    wild.idle("gamma")
    assert not [event for event in wild.events("agent.state") if "waiting" in event["content"]]
    after = json.loads(path.read_text())
    assert set(after["projects"]) - set(before["projects"]) >= {str(project)}
    assert after["projects"][str(project)]["hasTrustDialogAccepted"] is True
    assert {key: after["projects"][key] for key in before["projects"]} == before["projects"]
    assert after["customApiKeyResponses"] == before["customApiKeyResponses"]
    wild.stop()
