"""What the model's side refuses the real Claude Code: the fleet rests, says so, and goes on."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.acceptance.real_session import RealHouse, RealSession, Script, a_house, said, start, team_of
from tests.claude_env import claude_environment
from tests.claude_screens import answer
from tests.claude_stub import ClaudeStub
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("claude")

TOLD = "told.txt"
TOKEN = "sk-ant-oat01-test-not-a-real-token"
GO_ON = "The limit that stopped you is over."


@pytest.fixture(scope="module")
def stub() -> Iterator[ClaudeStub]:
    with ClaudeStub(Script(answer)) as stub:
        yield stub


@pytest.fixture(scope="module")
def house(stub: ClaudeStub) -> Iterator[RealHouse]:
    with a_house("claude", partial(claude_environment, stub)) as house:
        (house.root / "c" / "taco").mkdir()
        (house.root / "told.py").write_text(
            f"import sys\nopen({str(house.root / TOLD)!r}, 'a').write(sys.argv[1] + '\\n')\n"
        )
        settings(house)
        yield house


@pytest.fixture(scope="module")
def crew(house: RealHouse, stub: ClaudeStub) -> RealSession:
    """Three agents at their prompts, whose CLI tries again by itself."""
    crew = start(house, stub, "crew", *team_of(house, "alpha", "beta", "gamma"), CLAUDE_CODE_MAX_RETRIES="3")
    crew.idle()
    return crew


def settings(house: RealHouse, **values: object) -> None:
    """What the person's file says from now on."""
    command = shlex.join([sys.executable, str(house.root / "told.py")])
    lines = {"notify_command": command, "limit_retry_s": 900, **values}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
    (house.root / "c" / "taco" / "config.toml").write_text(text)


def told(house: RealHouse) -> str:
    """What the person was told by the program of theirs."""
    path = house.root / TOLD
    return path.read_text() if path.exists() else ""


def limits(crew: RealSession) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = crew.json("status")["limits"]
    return found


def trouble(crew: RealSession, name: str, words: str) -> dict[str, Any]:
    """The agent, once its trouble contains these words."""

    def met() -> dict[str, Any] | None:
        found = crew.agent(name)
        return found if words in (found["trouble"] or "") else None

    found = wait_for(met, 40, lambda: crew.report(name))
    assert found is not None
    return found


def test_an_account_that_is_refused_rests_with_all_its_agents(crew: RealSession, house: RealHouse) -> None:
    crew.tell("alpha", "<<error 429>>")
    (limit,) = wait_for(lambda: limits(crew), 40, crew.describe)
    assert (limit["title"], limit["guessed"], limit["providers"]) == ("Claude Code", True, ["claude"])
    assert "Request rejected (429)" in limit["text"]
    (event,) = crew.events("account.limited")
    assert "all 3 agents on it rest until" in event["content"]
    assert wait_for(lambda: event["content"] in told(house))
    waiting = [crew.tell(name, "not before it is over") for name in ("alpha", "beta")]
    for each in waiting:
        assert crew.held(each, "limited: Claude Code until")["attempts"] == 0
    crew.taco("agent", "add", "delta", "--role", "joins late")
    late = wait_for(lambda: next((each for each in crew.agents() if each["name"] == "delta"), None), what=crew.describe)
    wait_for(lambda: "limited: Claude Code" in (crew.agent("delta")["waiting_for"] or ""), what=crew.describe)
    assert (late["status"], late["pid"]) == ("planned", None)
    asked = len(crew.stub.requests)
    assert "limit     Claude Code" in crew.taco("status").stdout
    assert len(crew.stub.requests) == asked

    done = crew.house.taco("resume", "--now", crew.name)
    assert "tried again now: Claude Code" in done.stderr
    for each in waiting:
        crew.delivered(each, "hook")
    wait_for(lambda: crew.heard("delta"), 60, crew.describe)
    wait_for(lambda: any(GO_ON in text for text in crew.heard("alpha")), 40, lambda: crew.report("alpha"))
    assert not any(GO_ON in text for text in crew.heard("beta"))
    assert limits(crew) == []
    assert len(crew.events("account.freed")) == 1
    assert f"no account of {crew.name} waits" in crew.house.taco("resume", "--now", crew.name).stderr


def test_it_goes_on_by_itself(crew: RealSession, house: RealHouse) -> None:
    settings(house, limit_retry_s=6)
    try:
        crew.idle()
        before = len(crew.events("account.freed"))
        crew.tell("beta", "<<error 401>>")
        wait_for(lambda: len(crew.events("account.limited")) == 2, 40, crew.describe)
        waiting = crew.tell("gamma", "when it is over")
        assert "limited: " in crew.held(waiting, "limited: ")["hold"]
        crew.delivered(waiting, "hook", timeout_s=60)
        wait_for(lambda: any(GO_ON in text for text in crew.heard("beta")), 40, lambda: crew.report("beta"))
        assert len(crew.events("account.freed")) == before + 1
    finally:
        settings(house)


def test_a_turn_that_is_refused_again_and_again_is_told(crew: RealSession, house: RealHouse) -> None:
    crew.idle("beta")
    for _ in range(3):
        crew.delivered(crew.tell("beta", "<<error 500>>"), "hook")
        crew.idle("beta")
    found = trouble(crew, "beta", "server_error, 3 times in a row: API Error: 500")
    assert (found["state"], limits(crew)) == ("idle", [])  # it is no matter of the account
    wait_for(lambda: "beta: server_error, 3 times in a row" in told(house))
    assert "server_error" in crew.taco("agent", "show", "beta").stdout
    crew.delivered(crew.tell("beta", "once more"), "hook")
    wait_for(lambda: crew.agent("beta")["trouble"] is None, 40, lambda: crew.report("beta"))


def test_who_does_not_get_on_is_told_of_and_nudged_once_and_never_ended(crew: RealSession, house: RealHouse) -> None:
    crew.idle("gamma")
    pid = crew.agent("gamma")["pid"]
    settings(house, stall_after_s=3, stall_nudge="are you still there?")
    try:
        crew.tell("gamma", "<<hold stalled>>")
        found = trouble(crew, "gamma", "stalled: busy, and nothing has moved for over 3 s")
        assert found["state"] == "busy"
        wait_for(lambda: "gamma: stalled" in told(house))
        (sent,) = wait_for(
            lambda: [each for each in crew.events("command.queued") if "are you still there?" in each["content"]]
        )
        assert crew.until(sent["command"], state="delivered")["when"] == "now"
        crew.release("stalled")
        wait_for(lambda: crew.agent("gamma")["trouble"] is None, 40, lambda: crew.report("gamma"))
        crew.hears("gamma", said("taco", "gamma", "are you still there?"))
        assert crew.agent("gamma")["pid"] == pid
    finally:
        settings(house)


def test_retries_of_the_cli_itself_are_no_stall(crew: RealSession, house: RealHouse) -> None:
    crew.idle("gamma")
    before = len(crew.events("agent.trouble"))
    settings(house, stall_after_s=0.5)
    try:
        crew.tell("gamma", "<<error 529 2>>")
        crew.reads("gamma", lambda reading: reading.retrying)
        wait_for(lambda: any("recovered after 2 errors" in row for row in crew.read("gamma").lines), 40)
    finally:
        settings(house)
    crew.idle("gamma")
    events = crew.events("agent.trouble")[before:]
    assert not [each for each in events if each["agent"] == "gamma" and "stalled" in each["content"]], events


def test_a_usage_limit_names_its_end_and_its_menu_is_closed_when_it_is_lifted(
    house: RealHouse, stub: ClaudeStub
) -> None:
    options = team_of(house, "first", "second")
    crew = start(house, stub, "paid", *options, ANTHROPIC_API_KEY="", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    crew.idle()
    crew.tell("first", "at the limit")
    crew.wait(lambda team: team[0]["state"].startswith("limited(until "), 60, "limited")
    assert crew.read("first").waiting == "limit"  # the menu that opens by itself
    (limit,) = wait_for(lambda: limits(crew), 40, crew.describe)
    assert (limit["guessed"], "hit your" in limit["text"]) == (False, True)
    waiting = crew.tell("second", "later, then")
    assert crew.held(waiting, "limited: Claude Code until")["attempts"] == 0
    crew.house.taco("resume", "--now", "paid")
    crew.delivered(waiting, "hook")
    wait_for(lambda: any(GO_ON in text for text in crew.heard("first")), 60, lambda: crew.report("first"))
    assert not limits(crew)
    crew.stop()
