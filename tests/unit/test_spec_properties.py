"""Whatever text comes: a valid team or errors with paths, never anything else."""

from __future__ import annotations

import json
import re
import textwrap
from graphlib import TopologicalSorter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from taco.errors import SpecError
from taco.models import MOTHER, PERSON, RESERVED_NAMES, Spec
from taco.spec import END, START, draw, find_spec, names, parse_spec

modest = settings(max_examples=80, deadline=None)
PATH = re.compile(r"(spec|agents(\[\d+\](\.[a-z_]+(\[\d+\])?)?)?): \S")

plain_names = st.from_regex(r"[a-z][a-z0-9_-]{0,20}[a-z0-9]", fullmatch=True).filter(
    lambda name: name not in RESERVED_NAMES
)
words = st.text(st.characters(blacklist_categories=("C", "Z"), blacklist_characters="`~"), min_size=1, max_size=12)
roles = st.lists(words, min_size=1, max_size=30).map(" ".join)


@st.composite
def valid_teams(draw_: st.DrawFn) -> dict[str, Any]:
    """A spec without a flaw: references only to agents further up."""
    chosen = draw_(st.lists(plain_names, min_size=1, max_size=8, unique=True))
    agents = []
    for n, name in enumerate(chosen):
        some = st.lists(st.sampled_from(chosen[:n]), unique=True, max_size=3) if n else st.just([])
        others = [*(other for other in chosen if other != name), MOTHER, PERSON]
        agents.append(
            {
                "window": n + 3,
                "name": name,
                "role": draw_(roles),
                "depends_on": draw_(some),
                "wait_for": draw_(some),
                "notifies": draw_(st.lists(st.sampled_from(others), unique=True, max_size=3)),
                "workspace": f"parts/{name}",
            }
        )
    return {"agents": agents}


def on_screen(text: str, width: int) -> str:
    """As Claude Code draws a fenced block: wrapped hard, indented by 2, a bullet in front."""
    rows = []
    for line in text.split("\n"):
        rows += textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False)
    return "● The team:\n\n" + "\n".join(f"  {row}" for row in rows) + "\n\n❯ \n"


def assert_sound(spec: Spec, max_agents: int) -> None:
    chosen = [agent.name for agent in spec.agents]
    assert 1 <= len(chosen) == len(set(chosen)) <= max_agents
    assert [agent.window for agent in spec.agents] == list(range(3, 3 + len(chosen)))
    for agent in spec.agents:
        assert re.fullmatch(r"[a-z0-9_-]{1,32}", agent.name)
        assert agent.name not in RESERVED_NAMES and not agent.name.isdecimal() and agent.name[0] not in "-_"
        assert agent.role == names.clean(agent.role) != ""
        assert set(agent.depends_on) | set(agent.wait_for) <= set(chosen) - {agent.name}
        assert set(agent.notifies) <= set(chosen) | {MOTHER, PERSON} - {agent.name}
        assert agent.workspace and not agent.workspace.startswith(("/", "~", "-"))
        assert not {"..", ".git", ".taco"} & set(agent.workspace.split("/"))
        agent.role.encode("utf-8")
    TopologicalSorter({agent.name: {*agent.depends_on, *agent.wait_for} for agent in spec.agents}).prepare()


def check(text: str, max_agents: int = 6) -> None:
    try:
        spec = parse_spec(text, max_agents=max_agents)
    except SpecError as error:
        assert error.errors
        for each in error.errors:
            assert PATH.match(each) and "\n" not in each, each
            each.encode("utf-8")
    else:
        assert_sound(spec, max_agents)
        again = parse_spec(json.dumps(spec.as_dict()), max_agents=max_agents)
        assert again.agents == spec.agents
        assert not [warning for warning in again.warnings if "is the workspace of" not in warning]


@modest
@given(valid_teams(), st.integers(40, 200))
def test_a_valid_spec_is_the_same_from_everywhere(data: dict[str, Any], width: int) -> None:
    spec = parse_spec(json.dumps(data))
    assert not spec.warnings
    assert [agent.as_dict()["role"] for agent in spec.agents] == [names.clean(each["role"]) for each in data["agents"]]
    pretty = f"{START}\n{json.dumps(data, indent=2, ensure_ascii=False)}\n{END}"
    assert parse_spec(pretty).agents == spec.agents
    assert parse_spec(f"```json\n{pretty}\n```\n").agents == spec.agents
    assert parse_spec(on_screen(pretty, width)).agents == spec.agents
    assert find_spec(on_screen(pretty, width), example=pretty) is None


loose = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 40),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["api", "web", "mother", "3", "../x", "a b", "API", "all"]),
)
loose_lists = st.one_of(loose, st.lists(loose, max_size=3))
loose_agents = st.fixed_dictionaries(
    {"name": st.one_of(loose, plain_names), "role": st.one_of(loose, roles)},
    optional={
        "window": loose,
        "depends_on": loose_lists,
        "wait_for": loose_lists,
        "notifies": loose_lists,
        "workspace": loose,
        "provider": loose,
        "model": loose,
        "template": loose,
        "tools": loose_lists,
    },
)


@modest
@given(st.lists(st.one_of(loose_agents, loose), max_size=8))
def test_any_data_is_repaired_or_refused(agents: list[Any]) -> None:
    check(json.dumps({"agents": agents}))


@modest
@given(st.recursive(loose, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner)))
def test_any_json_is_repaired_or_refused(data: Any) -> None:
    check(f"{START}\n{json.dumps(data)}\n{END}")


pieces = st.sampled_from(
    [
        *(START, END, "\n", "{", "}", "[", "]", '"', ",", "\\", "“", "// c\n"),
        *('"agents": [', '{"name": "api", "role": "r"}', "```json\n", "\n```\n"),
        *("AGENT:3:api:role\n", "WAIT_FOR: api\n", "● ", "❯ ", "\ud800", "\ufeff", "\x1b[0m"),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(pieces, st.text(max_size=4)), max_size=25).map("".join))
def test_any_text_is_repaired_or_refused(text: str) -> None:
    check(text)
    find_spec(text, example=text)


@modest
@given(st.text(max_size=60))
def test_names_and_workspaces_are_fixed_points(text: str) -> None:
    name = names.agent_name(text)
    assert names.agent_name(name) == name
    assert names.clean(names.clean(text)) == names.clean(text)
    try:
        path = names.workspace(text)
    except ValueError:
        return
    assert names.workspace(path) == path


@modest
@given(valid_teams(), st.integers(60, 120))
def test_a_drawing_fits_and_shows_everybody(data: dict[str, Any], width: int) -> None:
    spec = parse_spec(json.dumps(data))
    lines = draw(spec, width=width).splitlines()
    assert all(len(line) <= width for line in lines)
    for agent in spec.agents:
        full = [line for line in lines if re.search(rf"(^|[─┄] ){re.escape(agent.name)}  ", line + "  ")]
        assert len(full) == 1
