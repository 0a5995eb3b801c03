from __future__ import annotations

import json
from pathlib import Path

import pytest

from taco.broker import Broker
from taco.models import EventType
from taco.spec import mark, parse_spec
from tests.cli.conftest import Shop, taco

TEAM = {
    "agents": [{"name": "Front End", "role": "pages"}, {"name": "tester", "role": "tests", "wait_for": ["front_end"]}]
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "team.json"
    path.write_text(json.dumps(TEAM))
    return path


def fields(shop: Shop) -> dict[str, str]:
    return shop.do(lambda broker: broker.spec_fields())


def put(shop: Shop, **values: str) -> None:
    shop.do(lambda broker: broker.put_spec(values))


def kinds(shop: Shop) -> list[EventType]:
    async def read(broker: Broker) -> list[EventType]:
        return [each.type for each in await broker.events()]

    return shop.do(read)


def test_a_good_spec_is_drawn(taco_home: Path, file: Path) -> None:
    done = taco("spec", "check", str(file))
    assert done.code == 0, done.err
    assert "tester" in done.out
    assert "2 agents, no errors" in done.err
    found = taco("spec", "check", "-", "--json", input=file.read_text()).json
    assert (found["valid"], len(found["spec"]["agents"]), bool(found["warnings"])) == (True, 2, True)


def test_every_error_is_named_with_its_path(taco_home: Path) -> None:
    text = json.dumps({"agents": [{"name": "a", "role": "x", "wait_for": ["b"]}, {"role": "y"}]})
    done = taco("spec", "check", "-", input=text)
    assert (done.code, done.out) == (2, "")
    assert "agents[0].wait_for[0]" in done.err
    assert "agents[1].name" in done.err
    found = taco("spec", "check", "-", "--json", input=text).json["error"]
    assert (found["code"], len(found["errors"])) == ("spec", 2)


def test_mother_submits(shop: Shop, file: Path) -> None:
    done = taco("spec", "submit", str(file), env=shop.pane("mother"))
    assert done.code == 0, done.err
    stored = fields(shop)
    assert (stored["status"], stored["source"]) == ("submitted", "mother")
    assert json.loads(stored["text"]) == TEAM
    assert taco("spec", "submit", "-", input="no spec", env=shop.pane("mother")).code == 2
    assert fields(shop) == stored


def test_a_running_team_takes_no_other_spec(shop: Shop, file: Path) -> None:
    put(shop, status="running")
    done = taco("spec", "submit", str(file))
    assert (done.code, "taco agent add" in done.err) == (1, True)


def test_only_what_waits_for_review_is_approved_or_rejected(shop: Shop) -> None:
    for verb in ("approve", "reject"):
        done = taco("spec", verb)
        assert (done.code, "not there yet" in done.err) == (1, True)
    put(shop, status="review", json=json.dumps(TEAM), text="x", source="hook")
    assert taco("spec", "reject", "too", "many").code == 0
    stored = fields(shop)
    assert (stored["status"], stored["reason"], stored["told"]) == ("rejected", "too many", "")
    put(shop, status="review")
    assert taco("spec", "approve", "--json").json == {"status": "approved"}
    assert fields(shop)["status"] == "approved"
    assert kinds(shop) == [EventType.SPEC_REJECTED, EventType.SPEC_APPROVED]


def test_a_rejection_says_who_is_told(shop: Shop) -> None:
    put(shop, status="review", json=json.dumps(TEAM))
    assert taco("spec", "reject", "no").out == "rejected: Mother is told\n"
    put(shop, status="review")
    shop.record.changed(more={"mother": False}).save()
    out = taco("spec", "reject", "no").out
    assert "there is no Mother to tell" in out
    assert "taco spec submit FILE" in out


def test_show_tells_the_status_the_errors_and_the_team(shop: Shop) -> None:
    assert "not proposed a team yet" in taco("spec").err
    put(shop, status="invalid", errors=json.dumps(["agents[0].name: is missing"]), text="{}", tries="2", source="hook")
    assert "agents[0].name: is missing" in taco("spec", "show").out
    found = taco("spec", "show", "--json").json
    assert (found["status"], found["errors"], found["tries"]) == ("invalid", ["agents[0].name: is missing"], 2)
    put(shop, status="review", errors="", json=json.dumps(TEAM))
    done = taco("spec", "show")
    assert "tester" in done.out
    assert "taco spec approve" in done.err


def test_edit_submits_what_the_editor_leaves(shop: Shop, tmp_path: Path) -> None:
    put(shop, status="review", json=json.dumps(TEAM))
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i.bak 's/tester/checker/' \"$1\"\n")
    editor.chmod(0o755)
    done = taco("spec", "edit", env={"EDITOR": str(editor), "VISUAL": ""})
    assert done.code == 0, done.err
    stored = fields(shop)
    assert stored["status"] == "submitted"
    assert json.loads(stored["text"])["agents"][1]["name"] == "checker"
    assert stored["reviewed"] == mark(parse_spec(stored["text"]))


def test_what_was_not_shown_is_not_approved(shop: Shop, file: Path) -> None:
    put(shop, status="review", json=json.dumps(TEAM), mark="one")
    assert taco("spec", "show", env=shop.pane("mother")).code == 0
    assert "shown" not in fields(shop)
    assert taco("spec", "show").code == 0
    put(shop, mark="another")
    done = taco("spec", "approve")
    assert (done.code, "has changed since you looked at it" in done.err) == (1, True)
    done = taco("spec", "submit", str(file), env=shop.pane("mother"))
    assert (done.code, "the spec is review" in done.err) == (1, True)
    taco("spec", "show")
    assert taco("spec", "approve").code == 0
    assert (fields(shop)["status"], fields(shop)["reviewed"]) == ("approved", "another")


@pytest.mark.parametrize(("editor", "code"), [("true", 2), ("false", 1), ("no-such-editor", 1)])
def test_an_edit_that_changes_nothing_submits_nothing(shop: Shop, editor: str, code: int) -> None:
    put(shop, status="review", json=json.dumps(TEAM))
    assert taco("spec", "edit", env={"EDITOR": editor, "VISUAL": ""}).code == code
    assert fields(shop)["status"] == "review"


def test_the_schema_is_json() -> None:
    assert taco("spec", "schema").json["type"] == "object"


def marked(*names: str) -> str:
    """What Mother says when she proposes these agents."""
    team = {"agents": [{"name": name, "role": "works"} for name in names]}
    return f"Here it is:\nAGENT_SPEC_JSON_START\n```json\n{json.dumps(team)}\n```\nAGENT_SPEC_JSON_END\n"


def said(text: str, kind: str = "assistant") -> str:
    """A line of a transcript."""
    message = {"id": text[:20], "role": kind, "content": [{"type": "text", "text": text}]}
    return json.dumps({"type": kind, "message": message}) + "\n"


def checked(text: str) -> list[str]:
    """The names of the agents in the spec that `taco spec check` finds."""
    done = taco("spec", "check", "-", "--json", input=text)
    assert done.code == 0, done.err
    return [each["name"] for each in done.json["spec"]["agents"]]


def test_the_last_spec_of_a_transcript_is_checked(taco_home: Path) -> None:
    talk = (
        said(f"plan it, like {marked('asked')}", "user") + said(marked("old")) + said(f"Better. {marked('api', 'web')}")
    )
    assert checked(talk + said("The spec is submitted.") + said(marked("quoted"), "user")) == ["api", "web"]
    assert checked(talk + said("long " * 300_000)) == ["api", "web"]  # more than a spec may have


def test_the_answer_in_what_a_stop_hook_was_given_is_checked(taco_home: Path) -> None:
    stop = {"hook_event_name": "Stop", "session_id": "x", "last_assistant_message": marked("api")}
    assert checked(json.dumps(stop)) == checked(json.dumps(stop, indent=2)) == ["api"]


def test_a_transcript_without_a_spec_says_so(taco_home: Path) -> None:
    done = taco("spec", "check", "-", input=said(marked("asked"), "user") + said("I could not decide."))
    assert (done.code, done.err.count("error:")) == (2, 1)
    assert "there is nothing between AGENT_SPEC_JSON_START and AGENT_SPEC_JSON_END" in done.err


def test_a_demo_session_tells_whose_provider_it_replaces(shop: Shop) -> None:
    shop.record.changed(more={"scripted": True}).save()
    team = {"agents": [{"name": "api", "role": "x", "provider": "claude"}, {"name": "web", "role": "y"}]}
    team["agents"].append({"name": "sh", "role": "z", "provider": "shell"})
    done = taco("spec", "submit", "-", input=json.dumps(team))
    said = "provider is not applied in a demo session: demo runs api (claude), sh (shell)"
    assert (done.code, done.err) == (0, f"warning: {said}\n")
    put(shop, status="review")
    assert taco("spec", "submit", "-", "--json", input=json.dumps(team)).json["warnings"] == [said]
