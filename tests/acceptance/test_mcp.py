"""`taco mcp` as the real agent CLIs start it: no shell, no dialog, out of Codex' sandbox; their models are scripted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError

from taco.hooks import TOOLS
from taco.paths import is_roots
from tests.acceptance import real_session
from tests.acceptance.real_session import RealSession, Script, said, start, team_of
from tests.acceptance.test_codex_session import environment as codex_environment
from tests.chat_stub import ChatStub
from tests.claude_env import claude_environment
from tests.claude_stub import ClaudeStub
from tests.codex_stub import CodexStub
from tests.gemini_env import gemini_environment
from tests.gemini_stub import GeminiStub
from tests.opencode_env import opencode_environment
from tests.support.mcp import speaker
from tests.support.sessions import a_house
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("mcp")

TEXT = "exact: 42; it's #(touch pwned) → naïve, 'quoted' {braces}"
CLIS: dict[str, tuple[Any, Any, str]] = {  # the service of their models, their environment, what begins a tool's name
    "claude": (ClaudeStub, claude_environment, "mcp__taco__"),
    "codex": (CodexStub, codex_environment, "mcp__taco__"),
    "opencode": (ChatStub, opencode_environment, "taco_"),
    "gemini": (GeminiStub, gemini_environment, "mcp_taco_"),
}
PLACES = {"gemini": "/run"}  # it takes tools from nobody but root, out of directories of root's
CALLS: dict[str, dict[str, Any]] = {
    "send": {"target": "beta", "text": "as all do"},
    "broadcast": {"text": "to all"},
    "ask": {"question": "Which one?", "choices": ["this", "that"], "wait_s": 0},
    "inbox": {},
    "status": {},
    "service_register": {"name": "web"},
    "service_url": {"name": "web"},
    "service_wait": {"name": "web", "timeout_s": 0},
    "fail": {"reason": "no network"},
    "done": {"summary": "it stands"},
}


@pytest.fixture(scope="module", params=CLIS)
def crew(request: pytest.FixtureRequest) -> Iterator[RealSession]:
    """Two agents that have started their servers; Codex in its default sandbox."""
    kind, environment, _ = CLIS[request.param]
    place = PLACES.get(request.param, "/tmp")
    if request.param in PLACES and not (os.geteuid() == 0 and is_roots(Path(place))):
        pytest.skip(f"it takes root, and a {place} of root's")
    with kind(Script()) as stub, real_session.a_house(request.param, partial(environment, stub), place) as house:
        yield ready(start(house, stub, "crew", *team_of(house, "alpha", "beta")))


def test_a_persons_server_outlives_the_stop_and_the_resume_of_its_session() -> None:
    with a_house() as house:
        session = house.start_idle("shop", "alpha", "beta")
        with speaker(house.environ(), "--session", "shop") as person:
            sent = person.answer("send", target="beta", text="before the break", wait_s=60)
            assert sent["state"] == "delivered"
            session.received("beta", text="[person → beta]: before the break")
            session.stop()
            error = person.error("send", target="beta", text="in the break")
            assert (error["code"], "taco resume shop" in error["hint"]) == ("failed", True)
            assert person.answer("status")["status"] == "stopped"
            session.resume()
            assert person.answer("send", target="beta", text="after the break", wait_s=60)["state"] == "delivered"
            session.received("beta", text="[person → beta]: after the break")


def test_an_agents_server_ends_with_its_session() -> None:
    with a_house() as house:
        session = house.start_idle("shop", "alpha")
        with speaker(house.environ(TACO_SESSION="shop", TACO_AGENT="alpha")) as alpha:
            assert alpha.answer("send", target="alpha", text="to myself", wait_s=60)["state"] == "delivered"
            session.stop()
            with pytest.raises(MCPError, match="Connection closed"):
                alpha.answer("status")
        assert not house.running()


def test_gemini_has_them_from_its_person_too() -> None:
    """Whoever is not root adds them to their own settings, once; nothing is handed over then."""
    with GeminiStub(Script()) as stub, real_session.a_house("gemini", partial(gemini_environment, stub)) as house:
        path = house.root / "home" / ".gemini" / "settings.json"
        servers = {"taco": {"command": "taco", "args": ["mcp"]}}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"mcpServers": servers}))
        crew = ready(start(house, stub, "crew", *team_of(house, "alpha", "beta"), GEMINI_CLI_SYSTEM_DEFAULTS_PATH=""))
        assert "MCP server `taco`" in crew.heard("alpha")[0]
        assert result(crew, "send", target="beta", text=TEXT)["state"] in ("queued", "delivered")
        crew.hears("beta", said("alpha", "beta", TEXT))
        crew.stop()


def ready(crew: RealSession) -> RealSession:
    """The session once its agents are at their prompts and have the tools: both CLIs start servers beside a turn."""
    crew.idle(timeout_s=300)
    for name in ("alpha", "beta"):
        wait_for(lambda name=name: tool(crew, "send") in offered(crew, name), 60, lambda: crew.report("alpha"))
    return crew


def tool(crew: RealSession, name: str) -> str:
    """What a CLI calls one of the tools."""
    return f"{CLIS[crew.cli][2]}{name}"


def offered(crew: RealSession, name: str) -> tuple[str, ...]:
    """The tools that an agent's model is offered in a new turn."""
    before = len(crew.requests(name))
    crew.tell(name, "go on")
    wait_for(lambda: len(crew.requests(name)) > before, 30, lambda: crew.report(name))
    crew.idle(name)
    return crew.requests(name)[-1].tools


def result(crew: RealSession, which: str, **given: Any) -> dict[str, Any]:
    """What a tool answers alpha."""
    text = told(crew, which, **given)
    return in_json(in_json(text)["output"] if crew.cli == "gemini" else text)


def in_json(text: str) -> dict[str, Any]:
    """The object that a text holds, whatever a CLI has put around it."""
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text, text.index("{"))[0]
    return found


def told(crew: RealSession, which: str, **given: Any) -> str:
    """What alpha's model is told of a call, with nobody asked for permission."""
    crew.idle("alpha")
    before = len(crew.requests("alpha"))
    crew.tell("alpha", f"<<tool {tool(crew, which)} {json.dumps(given)}>>")

    def met() -> str:
        news = [text for each in crew.requests("alpha")[before:] for text in each.results]
        return news[0] if news else ""

    return wait_for(met, 30, lambda: crew.report("alpha"))


def test_a_call_reaches_the_other_pane(crew: RealSession) -> None:
    sent = result(crew, "send", target="beta", text=TEXT)
    assert "notes" not in sent  # it needs no outbox: servers run outside of Codex' sandbox
    crew.delivered(sent["messages"][0]["id"], "transcript" if crew.cli == "gemini" else "hook")
    crew.hears("beta", said("alpha", "beta", TEXT))
    assert not list(crew.house.root.rglob("pwned"))


def test_every_tool_is_offered_and_none_asks_for_permission(crew: RealSession) -> None:
    assert CALLS.keys() == set(TOOLS)
    assert {tool(crew, name) for name in TOOLS} <= set(offered(crew, "alpha"))
    for name, given in CALLS.items():
        assert "error" not in result(crew, name, **given), name
    assert crew.agent("alpha")["done"] == "it stands"
    assert crew.json("inbox")["asks"][0]["choices"] == ["this", "that"]


def test_a_refusal_is_told_to_the_model(crew: RealSession) -> None:
    refusal = told(crew, "send", target="nobody", text="x")
    assert "no agent 'nobody' in session crew" in refusal
    assert "agents: alpha, beta" in refusal


def test_the_persons_verbs_are_no_tools(crew: RealSession) -> None:
    ours = {name for name in offered(crew, "alpha") if name.startswith(tool(crew, ""))}
    assert ours == {tool(crew, name) for name in TOOLS}


def test_it_is_switched_off_for_one_agent(crew: RealSession) -> None:
    config = crew.house.root / "c" / "taco" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("[agents.beta]\nmcp = false\n")
    try:
        crew.taco("agent", "restart", "beta")
        crew.idle("beta")
        assert not set(offered(crew, "beta")) & {tool(crew, name) for name in TOOLS}
    finally:
        config.unlink()


def test_a_stopped_session_leaves_no_server_behind(crew: RealSession) -> None:
    assert "taco mcp" in crew.house.running()
    crew.stop()
    assert not crew.house.running()
    crew.resume()
    ready(crew)
    assert result(crew, "send", target="beta", text="after the break")["state"] in ("queued", "delivered")
    crew.hears("beta", said("alpha", "beta", "after the break"))
    crew.stop()
    assert not crew.house.running()
