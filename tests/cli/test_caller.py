from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from taco.cli.app import ENTRIES
from taco.cli.caller import AGENT_VERBS, AGENT_WAIT_S, MOTHER_VERBS, Caller, check_allowed
from taco.errors import RefusedError
from tests.cli.conftest import Shop, taco
from tests.support.paths import ROOT

AGENT, MOTHER, PERSON = Caller("web", "shop"), Caller("mother", "shop"), Caller()


def test_the_person_may_do_everything() -> None:
    for command in ENTRIES:
        check_allowed(PERSON, command, "anything")


@pytest.mark.parametrize("command", sorted(set(ENTRIES) - set(MOTHER_VERBS)))
def test_what_is_the_persons_is_refused_to_agents(command: str) -> None:
    for who in (AGENT, MOTHER):
        with pytest.raises(RefusedError, match=f"agent {who.name} may not"):
            check_allowed(who, command)


@pytest.mark.parametrize("command", ["send", "broadcast", "done", "fail", "ask", "inbox", "status", "mcp"])
def test_agents_may_work(command: str) -> None:
    check_allowed(AGENT, command)
    assert AGENT_VERBS[command] is None


def test_of_a_family_only_some_are_allowed() -> None:
    for sub in ("register", "url", "wait"):
        check_allowed(AGENT, "service", sub)
    for sub in ("submit", "check", "show", "schema"):
        check_allowed(MOTHER, "spec", sub)
        with pytest.raises(RefusedError):
            check_allowed(AGENT, "spec", sub)
    for who, command, sub in ((AGENT, "service", "list"), (MOTHER, "spec", "approve"), (MOTHER, "spec", "edit")):
        with pytest.raises(RefusedError):
            check_allowed(who, command, sub)


@pytest.mark.parametrize(
    "args",
    [
        ["queue"],
        ["spec", "approve"],
        ["spec", "--session", "submit", "approve"],
        ["spec", "--json", "approve"],
        ["service", "list"],
        ["service"],
        ["agent", "remove", "all"],
        ["answer", "yes"],
        ["stop"],
        ["executor"],
        ["config"],
    ],
)
def test_an_agent_is_refused_in_one_line(shop: Shop, args: Sequence[str]) -> None:
    done = taco(*args, env=shop.pane("mother"))
    assert done.code == 1
    assert bool(done.out) is ("--json" in args)
    assert "is the person's to run; agent mother may not" in done.err
    assert len(done.err.splitlines()) == 1


def test_an_agent_cannot_pass_for_the_person_or_another(shop: Shop) -> None:
    for claim in ("", "person", "api"):
        done = from_a_pane(shop, claim, "send", "api", "hello", "--json")
        assert json.loads(done.stdout)["sender"] == "web"
        refused = from_a_pane(shop, claim, "spec", "approve")
        assert (refused.returncode, "agent web may not" in refused.stderr) == (1, True)


LIAR = """
import os, subprocess, sys
environ = os.environ | {"TACO_AGENT": sys.argv[1]}
sys.exit(subprocess.run(sys.argv[2:], env=environ).returncode)
"""


def from_a_pane(shop: Shop, claim: str, *args: str) -> subprocess.CompletedProcess[str]:
    """A call below web's own process, whose own environment says that somebody else calls."""
    call = [sys.executable, "-m", "taco", *args]
    return subprocess.run(
        [sys.executable, "-c", LIAR, claim, *call],
        env={**os.environ, "PYTHONPATH": str(ROOT), **shop.pane("web")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_agent_stays_in_its_session(shop: Shop) -> None:
    done = taco("status", "--session", "blog", env=shop.pane("web"))
    assert (done.code, "agent web belongs to session shop" in done.err) == (1, True)
    assert taco("send", "blog:3", "hello", env=shop.pane("web")).code == 1


def test_only_agents_are_hurried() -> None:
    assert (AGENT.wait_s(1_000), AGENT.wait_s(5), PERSON.wait_s(1_000)) == (AGENT_WAIT_S, 5, 1_000)


def test_the_session_is_the_only_running_one(shop: Shop, taco_home: Path) -> None:
    assert taco("status", "--json").json["session"] == "shop"
    shop.record.changed(name="blog").save()
    done = taco("status")
    assert (done.code, "several sessions run: blog, shop" in done.err) == (2, True)
    shop.record.changed(name="blog", status="stopped").save()
    assert taco("status", "--json").json["session"] == "shop"
    assert taco("status", env={"TACO_SESSION": "no-such"}).code == 5


def test_without_a_session_the_way_to_one_is_shown(taco_home: Path) -> None:
    done = taco("send", "api", "hello")
    assert (done.code, "taco start" in done.err) == (5, True)
