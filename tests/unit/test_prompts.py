"""The prompts: every placeholder is documented and filled, every command exists for agents, the example is none."""

from __future__ import annotations

import re
import string

import pytest

from taco import brief
from taco.models import Agent, AgentStatus
from taco.spec import EXAMPLE_MARK, find_spec, parse_spec
from tests.support.paths import PACKAGE

PROMPTS = PACKAGE / "prompts"
TEAM = [
    Agent(0, "mother", status=AgentStatus.RUNNING),
    Agent(3, "db", "Tables.", AgentStatus.DONE, done="schema.sql, 12 tests", notifies=("web",)),
    Agent(4, "api", "REST " + "x" * 300, AgentStatus.RUNNING, wait_for=("db",), depends_on=("db",)),
    Agent(5, "web", "Client.", AgentStatus.RUNNING, depends_on=("api", "old", "db"), workspace="/p/web"),
    Agent(6, "old", "Old.", AgentStatus.FAILED, failed="no disk"),
]
VALUES = {
    "mother": brief.mother_values(project_dir="/p", prompt="a shop for $5 {now}", max_agents=7),
    "spec_invalid": brief.invalid_values(["agents[0].role: is missing", "agents: too many"], tries_left=2),
    "coordinate": brief.coordinate_values(TEAM, project_dir="/p", prompt="a shop", tools=["send", "ask"]),
    "given": brief.given_values(TEAM[:3], project_dir="/p", prompt="a shop"),
    "resumed": brief.resumed_values(["[db → web]: the tables stand", "[person → web]: two\nlines"]),
    "reminded": {},
    "lost": brief.lost_values(TEAM[1], ["12:00 person → db: use SQLite", "12:01 db → web: it stands"]),
    "agent": brief.agent_values(TEAM[3], TEAM, {"db": "schema.sql, 12 tests"}, project_dir="/p", prompt="a shop"),
}
# What an agent may do without being asked (the person's verbs are refused), and what only Mother may.
VERBS = {
    *("send", "broadcast", "done", "fail", "ask", "inbox", "status"),
    *("service register", "service url", "service wait"),
}
MOTHERS = {"spec submit"}


def source(name: str) -> str:
    return (PROMPTS / f"{name}.md").read_text("utf-8")


def parts(name: str) -> tuple[str, str]:
    comment, closed, body = source(name).partition("-->\n")
    assert comment.startswith("<!--\n") and closed
    return comment, body


def rendered(name: str) -> str:
    return string.Template(parts(name)[1]).substitute(VALUES[name])


def test_there_are_no_other_prompts() -> None:
    assert {path.stem for path in PROMPTS.glob("*.md")} == VALUES.keys()


@pytest.mark.parametrize("name", sorted(VALUES))
def test_placeholders_are_documented_used_and_filled(name: str) -> None:
    comment, body = parts(name)
    documented = set(re.findall(r"^  \$(\w+) ", comment, re.MULTILINE))
    template = string.Template(body)
    assert template.is_valid()
    assert documented == set(template.get_identifiers()) == VALUES[name].keys()


@pytest.mark.parametrize("name", sorted(VALUES))
def test_what_a_person_wrote_stands_there_unchanged(name: str) -> None:
    for value in VALUES[name].values():
        assert value in rendered(name)


@pytest.mark.parametrize("name", sorted(VALUES))
def test_commands_are_those_an_agent_may_use(name: str) -> None:
    verbs = set(re.findall(r"`taco ((?:service |spec )?[a-z]+)", source(name)))
    assert verbs <= VERBS | (MOTHERS if name != "agent" else set())


def test_every_verb_is_explained_to_agents() -> None:
    assert set(re.findall(r"`taco ((?:service )?[a-z]+)", source("agent"))) == VERBS


def test_the_example_is_a_valid_spec_that_is_never_taken() -> None:
    body = rendered("mother")
    assert find_spec(body) is None
    spec = parse_spec(body.replace(EXAMPLE_MARK, ""))
    assert [agent.name for agent in spec.agents] == ["units", "shell", "checker"]
    assert not spec.warnings


@pytest.mark.parametrize("name", sorted(VALUES))
def test_no_prompt_is_taken_for_an_answer(name: str) -> None:
    assert find_spec(rendered(name)) is None


def test_errors_are_listed_exactly() -> None:
    assert VALUES["spec_invalid"]["errors"] == "- agents[0].role: is missing\n- agents: too many"


def test_an_agent_that_goes_on_is_told_what_it_has_not_seen() -> None:
    assert (
        rendered("resumed")
        .rstrip()
        .endswith("not seen yet: \n\n[db → web]: the tables stand\n\n[person → web]: two\nlines")
    )
    assert brief.resumed_values([]) == {"messages": "none"}


def test_the_team_as_mother_sees_it() -> None:
    lines = VALUES["coordinate"]["team"].splitlines()
    assert lines[0] == "- db (window 3): Tables. [tells web; is done]"
    assert lines[1].endswith("x… [starts after db]")
    assert lines[2] == "- web (window 5): Client. [gets results of api, old, db]"
    assert len(lines) == 4


def test_the_brief_of_an_agent() -> None:
    values = VALUES["agent"]
    assert "- web (window 5): you [gets results of api, old, db]" in values["team"]
    assert values["results"].splitlines() == [
        "- api: not done yet. Begin without it; its result will come as a message.",
        "- old: failed: no disk. Ask mother what to do without its result.",
        "- db: schema.sql, 12 tests",
    ]
    assert "`[sender → web]: text`" in rendered("agent")


def test_who_waits_for_an_agent() -> None:
    def waiting(at: int) -> str:
        return brief.agent_values(TEAM[at], TEAM, {}, project_dir="/p", prompt="x")["waiting"]

    assert (waiting(1), waiting(2), waiting(3)) == ("api, web", "web", "nobody")


def test_an_agent_that_needs_nobody() -> None:
    values = brief.agent_values(TEAM[1], TEAM[:2], {}, project_dir="/p", prompt="x")
    assert values["results"] == "You need nobody's results to begin."
    gone = brief.agent_values(TEAM[2], TEAM[2:], {}, project_dir="/p", prompt="x")
    assert gone["results"] == "- db: is no longer in the team. Ask mother what to do without its result."


def test_with_a_plan_of_the_person_mother_is_not_asked_for_one() -> None:
    text = rendered("given")
    assert "waits for the person's approval" in text
    assert "- db (window 3): Tables." in text
    assert "plan the team" not in text
    assert "spec submit" not in text
