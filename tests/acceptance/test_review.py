"""Plans: checked by anybody, reviewed by the person, corrected by Mother, and what happens when none comes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from taco.cli import app
from tests.support.paths import FIXTURES
from tests.support.sessions import IDLER, House, Session, a_house
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("review")  # one process: its tests share sessions

SPECS = FIXTURES / "specs"
EXPECTED: dict[str, dict[str, Any]] = json.loads((SPECS / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with a_house() as house:
        yield house


def planned(session: Session, **wanted: Any) -> dict[str, Any]:
    """`taco spec show --json`, once these fields have these values."""

    def met() -> dict[str, Any]:
        found: dict[str, Any] = session.json("spec", "show")
        return found if all(found[key] == value for key, value in wanted.items()) else {}

    return wait_for(met, what=lambda: f"spec {wanted}\n{session.describe()}")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_collected_spec_is_judged_as_expected(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    house.provider("codex", ["true"])  # one of them asks for it
    for variable in ("TACO_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, house.environ()[variable])
    # In this process: eighty starts of the program would cost half a minute.
    code = app.main(["spec", "check", str(SPECS / name), "--max-agents", "30", "--json"])
    said = capsys.readouterr()
    found, expected = json.loads(said.out), EXPECTED[name]
    if errors := expected.get("errors"):
        # Beside the form of a provider's name, the program looks whether there is one.
        told = [re.sub("provider; there are: .*", "provider's name", each) for each in found["error"]["errors"]]
        assert (code, told, said.err.count("error:")) == (2, errors, len(errors))
    else:
        assert (code, found["warnings"]) == (0, expected["warnings"])
        assert [each["name"] for each in found["spec"]["agents"]] == expected["agents"]


def test_mothers_own_words_and_the_samples_are_specs(house: House) -> None:
    drawn = house.taco("spec", "check", str(FIXTURES / "mother_output.txt")).stdout
    assert "frontend_dev" in drawn
    for spec in json.loads((FIXTURES / "sample_specs.json").read_text(encoding="utf-8")).values():
        assert house.json("spec", "check", "-", input=json.dumps(spec))["valid"]


def test_review_stops_at_the_plan_until_the_person_approves(house: House) -> None:
    session = house.start("careful", "--provider", "demo", "--review")
    assert len(planned(session, status="review")["spec"]["agents"]) == 4
    session.shows(1, "validator")
    assert "taco spec approve starts it" in session.taco("spec", "show").stderr
    assert [each["name"] for each in session.agents()] == ["mother"]
    session.taco("spec", "reject", "too", "many", "cooks")
    assert session.received("mother", text="too many cooks").startswith("[person → mother]: ")
    assert planned(session, status="rejected")
    done = session.taco("spec", "approve", check=False)
    assert (done.returncode, "the spec is rejected" in done.stderr) == (1, True)
    session.taco("spec", "submit", str(house.spec("smaller", "cook")))
    assert [each["name"] for each in planned(session, status="review")["spec"]["agents"]] == ["cook"]
    assert [each["name"] for each in session.agents()] == ["mother"]
    session.taco("spec", "approve")
    session.wait(lambda team: [each["name"] for each in team] == ["mother", "cook"], what="the team stands")
    session.wait_agent("cook", status="done")
    done = session.taco("spec", "approve", check=False)
    assert done.returncode == 1
    session.stop("--grace", "1")


def test_a_given_plan_waits_for_approval_and_mother_only_coordinates(house: House) -> None:
    words = ("--provider", "demo", "--review", "--spec", str(house.spec("given", "cook")))
    session = house.start("given", *words, TACO_DEMO_LOG=str(house.root / "l" / "given-{agent}.jsonl"))
    assert planned(session, status="review")["source"] == "--spec"
    assert session.received("mother", text="<request>").startswith("The person has given the plan.")
    session.shows(0, "it waits for your approval")
    session.taco("spec", "approve")
    assert "- cook (window 3)" in session.received("mother", text="From now on you coordinate.")
    session.shows(0, "The spec is accepted.")
    assert not any("plan the team" in each for each in session.submitted("mother"))
    session.stop("--grace", "1")


def test_a_given_plan_that_is_rejected_is_mothers_to_make(house: House) -> None:
    spec = house.spec("poor", "cook")
    session = house.start("poor", "--provider", "demo", "--review", "--spec", str(spec))
    planned(session, status="review")
    session.taco("spec", "reject", "nobody tests")
    assert "Your task now is to plan the team" in session.received("mother", text="nobody tests")
    assert len(planned(session, status="review", source="mother")["spec"]["agents"]) == 4
    session.stop("--grace", "1")


def test_a_plan_that_the_person_edited_is_what_runs(house: House) -> None:
    session = house.start("edited", "--provider", "demo", "--review")
    planned(session, status="review")
    editor = house.root / "editor"
    editor.write_text('#!/bin/sh\nsed -i -e \'s/"frontend"/"cashier"/g\' "$1"\n')
    editor.chmod(0o755)
    session.taco("spec", "edit", EDITOR=str(editor))
    session.wait(
        lambda team: [each["name"] for each in team] == ["mother", "api", "web", "cashier", "validator"],
        what="the edited team stands",
    )
    assert planned(session, status="running")["source"] == "person"
    done = session.taco("spec", "edit", check=False, EDITOR=str(editor))
    assert (done.returncode, "the team runs already" in done.stderr) == (1, True)
    session.stop("--grace", "1")


def test_without_a_plan_the_person_is_told_and_everything_keeps_running(house: House) -> None:
    session = house.start("silent", "--provider", IDLER, TACO_SPEC_TIMEOUT_S="1")
    late = "Mother has not proposed a team"
    wait_for(
        lambda: any(late in each["text"] for each in session.json("inbox")["messages"]), what=lambda: session.describe()
    )
    session.shows(1, late)
    assert session.send("mother", "take your time")
    session.taco("spec", "submit", str(house.spec("late", "at_last")))
    session.wait_agent("at_last", state="idle")
    assert len([each for each in session.json("inbox")["messages"] if late in each["text"]]) == 1
    session.stop("--grace", "1")


def test_an_invalid_plan_goes_back_to_mother_with_its_errors_three_times(house: House) -> None:
    session = house.start("wrong", "--provider", IDLER)
    for number in range(1, 5):
        bad = json.dumps({"agents": [{"name": f"cook{number}", "role": "cooks", "wait_for": ["nobody"]}]})
        session.send("mother", f"!say AGENT_SPEC_JSON_START {bad} AGENT_SPEC_JSON_END")
        wait_for(lambda number=number: session.json("spec", "show")["tries"] == number, what=session.describe)
        found = planned(session, status="invalid")
        (error,) = found["errors"]
        assert error == f"agents[0].wait_for[0]: nobody is named 'nobody'; the team: cook{number}"
        if number <= 3:
            assert error in session.received("mother", text=f"the team: cook{number}")
    wait_for(lambda: any("still invalid after 4 tries" in each["text"] for each in session.json("inbox")["messages"]))
    assert [each["name"] for each in session.agents()] == ["mother"]
    session.taco("spec", "submit", str(house.spec("right", "chef")))
    session.wait_agent("chef", state="idle")
    session.stop("--grace", "1")
