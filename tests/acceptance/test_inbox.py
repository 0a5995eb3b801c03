"""What the real Claude Code asks the person: shown in one list, answered from outside its window, by a rule, or not."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.real_session import RealHouse, RealSession, Script, a_house, start, team_of
from tests.claude_env import claude_environment
from tests.claude_stub import ClaudeStub
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("claude")

NOTIFIED = "notified.txt"
CONFIG = """\
notify_command = {command}
[agents.ruled]
auto_approve = ["Bash(mkdir -p:*)", "Bash(taco-never:*)"]
"""
COLOURS = [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]
QUESTION = [{"question": "Which colour?", "header": "Colour", "multiSelect": False, "options": COLOURS}]


@pytest.fixture(scope="module")
def stub() -> Iterator[ClaudeStub]:
    with ClaudeStub(Script()) as stub:
        yield stub


@pytest.fixture(scope="module")
def house(stub: ClaudeStub) -> Iterator[RealHouse]:
    with a_house("claude", partial(claude_environment, stub)) as house:
        script = house.root / "told.py"
        script.write_text(f"import sys\nopen({str(house.root / NOTIFIED)!r}, 'a').write(sys.argv[1] + '\\n==\\n')\n")
        (house.root / "c" / "taco").mkdir()
        command = json.dumps(shlex.join([sys.executable, str(script)]))
        (house.root / "c" / "taco" / "config.toml").write_text(CONFIG.format(command=command))
        yield house


@pytest.fixture(scope="module")
def crew(house: RealHouse, stub: ClaudeStub) -> RealSession:
    """Two agents at their prompts."""
    crew = start(house, stub, "inbox", *team_of(house, "asker", "ruled"))
    crew.idle()
    return crew


def gone(crew: RealSession, name: str) -> None:
    """Wait until nothing of this agent is in the inbox."""
    wait_for(lambda: not [each for each in crew.json("inbox")["dialogs"] if each["agent"] == name], 30, crew.describe)


def test_a_tool_is_approved_from_outside(crew: RealSession) -> None:
    crew.tell("asker", "<<bash touch approved>>")
    found = crew.dialog("asker", "permission")
    assert "touch approved" in found["text"]
    assert [each[:2] for each in found["choices"]] == ["1.", "2.", "3."]
    told = wait_for(lambda: (path := crew.house.root / NOTIFIED).exists() and path.read_text(), 30, crew.describe)
    assert str(told).startswith("taco inbox: 1 waiting for you\nasker waits at permission: Bash command touch approved")
    shown = crew.taco("inbox").stdout
    assert f"taco approve {found['id']}" in shown
    assert "touch approved" in shown
    done = crew.json("approve", found["id"])
    assert (done["pressed"], done["gone"]) == ("1", True)
    assert wait_for((crew.house.project / "asker" / "approved").exists) is not False
    gone(crew, "asker")
    again = crew.taco("approve", found["id"], check=False)
    assert (again.returncode, "answered already: 1. Yes" in again.stderr) == (1, True)


def test_a_tool_is_denied_with_a_reason(crew: RealSession) -> None:
    crew.idle("asker")
    crew.tell("asker", "<<bash touch denied>>")
    crew.dialog("asker", "permission")
    crew.taco("deny", "asker", "not", "on a Friday")
    crew.hears("asker", "[person → asker]: not on a Friday")
    assert not (crew.house.project / "asker" / "denied").exists()


def test_a_question_of_the_cli_is_answered_by_its_words(crew: RealSession) -> None:
    crew.idle("asker")
    crew.tell("asker", f"<<tool AskUserQuestion {json.dumps({'questions': QUESTION})}>>")
    found = crew.dialog("asker", "question")
    assert "Which colour?" in found["text"]
    wrong = crew.taco("answer", found["id"], "Green", check=False)
    assert (wrong.returncode, "2. Blue" in wrong.stderr) == (2, True)
    assert crew.taco("approve", found["id"], check=False).returncode == 2
    crew.taco("answer", found["id"], "blue")
    crew.ran("asker", "Blue")


def test_a_plan_is_approved(crew: RealSession) -> None:
    crew.idle("asker")
    crew.tell("asker", "<<tool EnterPlanMode {}>>")
    crew.idle("asker")
    crew.tell("asker", '<<tool ExitPlanMode {"plan": "do this"}>>')
    found = crew.dialog("asker", "plan")
    crew.taco("approve", "asker")
    gone(crew, "asker")
    assert found["id"]


def test_a_rule_of_the_persons_answers(crew: RealSession) -> None:
    crew.tell("ruled", "<<bash mkdir -p ruled-one>>")
    wait_for((crew.house.project / "ruled" / "ruled-one").exists, 30, crew.describe)
    (event,) = wait_for(lambda: crew.events("ask.approved"), what=crew.describe)
    assert (event["agent"], event["data"]["rule"]) == ("ruled", "Bash(mkdir -p:*)")
    crew.idle("ruled")
    assert "ruled-one" not in (crew.house.root / NOTIFIED).read_text()  # the rule was faster


@pytest.mark.parametrize("command", ["mkdir -p two; touch three", "touch other", "mkdir -p four > five"])
def test_a_rule_answers_nothing_else(crew: RealSession, command: str) -> None:
    crew.idle("ruled")
    crew.tell("ruled", f"<<bash {command}>>")
    found = crew.dialog("ruled", "permission")
    crew.taco("deny", found["id"])
    gone(crew, "ruled")
    assert len(crew.events("ask.approved")) == 1


def test_trust_is_given_from_outside(house: RealHouse, stub: ClaudeStub, tmp_path: Path) -> None:
    project = tmp_path / "untrusted"
    project.mkdir()
    crew = start(house, stub, "trusting", *team_of(house, "solo"), project=project)
    found = crew.dialog("solo", "trust")
    assert str(project) in found["text"]
    crew.taco("approve", found["id"])
    crew.idle("solo")
    house.taco("stop", "trusting")
