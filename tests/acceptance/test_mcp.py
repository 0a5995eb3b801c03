"""`taco mcp` as the real agent CLIs start it: no shell, no dialog, out of Codex' sandbox; their models are scripted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import claude_session, codex_session
from tests.acceptance.claude_session import ClaudeHouse, ClaudeSession, Script, a_claude_house
from tests.acceptance.codex_session import CodexSession, a_codex_house
from tests.claude_stub import ClaudeStub
from tests.codex_stub import CodexStub
from tests.support.waiting import wait_for

TEXT = "exact: 42; it's #(touch pwned) → naïve, 'quoted' {braces}"
CLAUDE_TOOL, CODEX_TOOL = "mcp__taco__send", "mcp__taco__send"


@pytest.fixture(scope="module")
def claude() -> Iterator[ClaudeSession]:
    """Two agents that are Claude Code."""
    with ClaudeStub(Script()) as stub, a_claude_house(stub) as house:
        spec = house.spec("crew", "alpha", "beta")
        yield claude_session.start(house, stub, "crew", "--no-mother", "--spec", str(spec))


@pytest.fixture(scope="module")
def codex() -> Iterator[CodexSession]:
    """Two agents that are Codex, in its default sandbox."""
    with CodexStub(Script()) as stub, a_codex_house(stub) as house:
        yield codex_session.start(house, stub, "crew", "alpha", "beta")


def test_claude(claude: ClaudeSession) -> None:
    claude.idle()
    print(claude.requests("alpha")[0].tools)
    claude.tell("alpha", f"<<tool {CLAUDE_TOOL} {json.dumps({'target': 'beta', 'text': TEXT})}>>")
    wait_for(lambda: claude.results("alpha"), 30, lambda: claude.report("alpha"))
    print(claude.results("alpha"))
    claude.hears("beta", f"[alpha → beta]: {TEXT}")
    assert 0, claude.look("alpha")


def test_codex(codex: CodexSession) -> None:
    codex.idle()
    print(codex.requests("alpha")[0].tools)
    print(json.dumps([t for t in codex.stub.bodies[0]["tools"] if "taco" in json.dumps(t)])[:6000])
    codex.press("alpha", "F2")
    import time; time.sleep(2)
    print(codex.look("alpha"))
    codex.press("alpha", "Escape")
    codex.tell("alpha", "hello")
    wait_for(lambda: len(codex.requests("alpha"))>1, 30, lambda: codex.report("alpha"))
    print(codex.requests("alpha")[-1].tools)
    print(json.dumps([t for t in codex.stub.bodies[-1]["tools"] if "mcp__" in json.dumps(t)])[:6000])
    import subprocess
    print(subprocess.run(["ps","axfwww","-o","pid,args"],capture_output=True,text=True).stdout[-6000:])
    for p in sorted(codex.house.root.rglob("*.log"))+list((codex.house.root/"codex-home").rglob("*.json*")): print(p)
    assert 0, codex.look("alpha")
