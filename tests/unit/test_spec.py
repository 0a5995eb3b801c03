"""Specs as planners really write them: found, repaired, or refused with every error at once."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import pytest

from taco.errors import SpecError
from taco.models import AgentSpec, Spec
from taco.spec import END, START, draw, find_spec, parse_spec, schema
from tests.support.paths import FIXTURES

SPECS = FIXTURES / "specs"
EXPECTED: dict[str, dict[str, Any]] = json.loads((SPECS / "expected.json").read_text("utf-8"))
GOOD = sorted(name for name in EXPECTED if name.startswith("good/"))
TWO = {"agents": [{"name": "api", "role": "API"}, {"name": "web", "role": "Page", "wait_for": ["api"]}]}


def read(name: str) -> str:
    return (SPECS / name).read_bytes().decode("utf-8")


def marked(body: str) -> str:
    return f"{START}\n{body}\n{END}\n"


def team(*agents: dict[str, Any]) -> str:
    return json.dumps({"agents": agents})


def agent(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "role": f"Builds {name}.", **fields}


def errors_of(text: str, **options: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, **options)
    return caught.value.errors


def outcome(text: str) -> dict[str, Any]:
    try:
        spec = parse_spec(text, max_agents=30)
    except SpecError as error:
        return {"errors": error.errors}
    return {"agents": [each.name for each in spec.agents], "warnings": list(spec.warnings)}


# --- the collected specs


def test_every_collected_spec_has_its_expectation() -> None:
    files = {path.relative_to(SPECS).as_posix() for path in SPECS.glob("*/*")}
    assert files == EXPECTED.keys()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_collected(name: str) -> None:
    assert outcome(read(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", GOOD)
def test_good_ones_need_no_repair(name: str) -> None:
    assert not EXPECTED[name].get("errors") and not EXPECTED[name]["warnings"]


@pytest.mark.parametrize("name", sorted(name for name in EXPECTED if "agents" in EXPECTED[name]))
def test_what_is_found_can_be_kept_and_parsed_later(name: str) -> None:
    text = read(name)
    found = find_spec(text)
    assert found is not None
    assert parse_spec(found).agents == parse_spec(text).agents


def test_mothers_output() -> None:
    spec = parse_spec((FIXTURES / "mother_output.txt").read_text("utf-8"))
    assert len(spec.agents) == 5 and not spec.warnings
    first = spec.agents[0]
    assert (first.name, first.window) == ("frontend_dev", 3)
    assert "validator" in first.notifies
    assert [each.window for each in spec.agents] == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("name", ["one_agent", "web_app", "pipeline", "diamond"])
def test_sample_specs(name: str) -> None:
    samples = json.loads((FIXTURES / "sample_specs.json").read_text("utf-8"))
    spec = parse_spec(json.dumps(samples[name]))
    assert len(spec.agents) == len(samples[name]["agents"]) and not spec.warnings


# --- finding


def test_a_screen_gives_what_was_written_at_every_width() -> None:
    specs = [parse_spec(read(f"good/screen_{width}.txt")) for width in (60, 80, 120)]
    assert specs[0].agents == specs[1].agents == specs[2].agents
    assert specs[0].agents[0].role.endswith("a note in the log. Done when all tests pass.")
    assert 'at "C:\\data" too' in specs[0].agents[0].role


def test_a_captured_screen_keeps_roles_whole() -> None:
    spec = parse_spec(read("bad/screen_fenced_120.txt"))
    assert spec.agents[0].role.endswith('"quoted 日本語 write schema path words" regex property-based function schema')
    assert spec.agents[7].depends_on == ("agent-6", "agent-7")


def test_colours_of_a_capture_are_no_part_of_it() -> None:
    coloured = "".join(f"\x1b[38;5;7m{line}\x1b[0m\n" for line in marked(json.dumps(TWO, indent=1)).splitlines())
    assert len(parse_spec(coloured).agents) == 2


def test_the_last_one_wins() -> None:
    text = marked(team(agent("first"))) + marked(team(agent("second")))
    assert [each.name for each in parse_spec(text).agents] == ["second"]


def test_marked_beats_unmarked() -> None:
    text = marked(team(agent("marked"))) + "```json\n" + team(agent("fenced")) + "\n```\n"
    assert parse_spec(text).agents[0].name == "marked"


def test_only_marked_ones_when_asked_so() -> None:
    fenced = f"```json\n{team(agent('api'))}\n```\n"
    assert find_spec(fenced) is not None
    assert find_spec(fenced, marked_only=True) is None
    assert find_spec(team(agent("api")), marked_only=True) is None


def test_other_json_is_no_spec() -> None:
    assert find_spec('The file:\n```json\n{"name": "shop", "private": true}\n```\n') is None
    assert find_spec("Use `{}` and [x].") is None
    assert find_spec("") is None


def test_the_given_example_is_never_taken() -> None:
    example = marked("```json\n" + json.dumps(TWO, indent=2) + "\n```")
    echo = textwrap.indent(marked(json.dumps(TWO)), "  ")
    assert find_spec(echo) is not None
    assert find_spec(echo, example=example) is None
    assert find_spec(echo + marked(team(agent("other"))), example=example) == team(agent("other"))
    assert "nothing" in errors_of("", example=example)[0]


def test_an_answer_made_from_the_example_is_taken() -> None:
    text = marked(team(agent("units"), {"name": "web", "role": "Like the page before (example)"}))
    assert len(parse_spec(text).agents) == 2


def test_broken_json_is_handed_on_for_its_error() -> None:
    text = marked('{"agents": [{"name": "api" "role": "x"}]}')
    assert find_spec(text) == '{"agents": [{"name": "api" "role": "x"}]}'
    assert errors_of(text)[0].startswith("spec: not JSON: Expecting ',' delimiter")


def test_too_long_a_text() -> None:
    assert errors_of("x" * 2_000_001) == ["spec: 2000001 characters, at most 2000000"]


N = 50_000


@pytest.mark.parametrize(
    "text",
    [
        "```json\n" * N,
        f"{START}{{│{' ' * N}y│\n{END}",
        f'{START}\n{{"agents": [\n{END}\n' * N,
        f'{START}{{"a":' + '"\\' * N + f"}}{END}",
        f"{START}{'[' * N}{END}",
        f"{START}{'{}' * N}{END}",
        "\x1b]" * N,
    ],
    ids=["fences", "blanks", "blocks", "quotes", "brackets", "objects", "escapes"],
)
def test_hostile_texts_come_to_an_end(text: str) -> None:
    assert errors_of(text)[0].startswith("spec: ")


# --- repairs


def test_repaired_references_follow_the_names() -> None:
    spec = parse_spec(read("bad/names_with_spaces.json"))
    assert spec.agents[0].wait_for == ("api_server",)
    assert spec.agents[1].notifies == ("frontend_dev",)
    assert spec.agents[2].depends_on == ("api_server",)
    assert [each.workspace for each in spec.agents] == ["frontend_dev", "api_server", "cafe_menu"]


def test_mother_and_person_stay_receivers_next_to_an_agent_of_that_name() -> None:
    spec = parse_spec(read("bad/reserved_names.json"))
    assert spec.agents[0].notifies == ("mother",)
    assert spec.agents[1].depends_on == ("mother_agent",)
    assert spec.agents[2].wait_for == ("monitor_agent",)
    assert parse_spec(team(agent("api", notifies=["Mother", "person"]))).agents[0].notifies == ("mother", "person")


def test_windows_can_be_meant_by_references() -> None:
    spec = parse_spec(read("bad/windows_as_references.json"))
    assert spec.agents[1].wait_for == spec.agents[1].depends_on == ("api",)


def test_a_window_that_two_asked_for_means_nobody() -> None:
    text = team(agent("a", window=3), agent("b", window=3), agent("c", wait_for=["3"]))
    assert errors_of(text) == ["agents[2].wait_for[0]: nobody is named '3'; the team: a, b, c"]


def test_everybody_else_can_be_notified() -> None:
    spec = parse_spec(team(agent("a", notifies=["all", "b", "mother"]), agent("b"), agent("c")))
    assert spec.agents[0].notifies == ("b", "c", "mother")


def test_text_is_one_clean_line() -> None:
    spec = parse_spec(read("bad/controls_in_text.json"))
    assert spec.agents[0].role == "Line one line two [31mred [0m end"


def test_workspaces_are_normalised() -> None:
    spec = parse_spec(team(agent("a", workspace="./apps//web/"), agent("b", workspace=" . "), agent("c", workspace="")))
    assert [each.workspace for each in spec.agents] == ["apps/web", ".", "c"]


def test_the_older_form_with_its_lists() -> None:
    spec = parse_spec(read("good/older_form.txt"))
    frontend, backend, validator = spec.agents
    assert frontend.role == "React client: pages and state"
    assert frontend.depends_on == ("backend_dev",) and frontend.notifies == ("validator", "mother")
    assert backend.depends_on == () and backend.workspace == "backend"
    assert validator.wait_for == ("frontend_dev", "backend_dev")


def test_the_older_form_wrapped_on_a_screen() -> None:
    spec = parse_spec(read("good/older_form_without_markers.txt"))
    assert spec.agents[0].role.endswith("with an error for everything that is not in stock")
    assert spec.agents[1].wait_for == ("api",)


def test_reserved_and_long_names() -> None:
    spec = parse_spec(team(agent("m" * 40), agent("1" * 40), agent("-x-"), agent("3d_viewer")))
    assert [each.name for each in spec.agents] == ["m" * 32, "agent_" + "1" * 26, "x", "3d_viewer"]


# --- errors


def test_all_errors_come_at_once_in_the_order_of_the_agents() -> None:
    errors = errors_of(read("bad/everything_at_once.json"))
    assert [error.partition(":")[0] for error in errors] == [
        "agents[0].role",
        "agents[1].window",
        "agents[1].wait_for[0]",
        "agents[2].name",
        "agents[3].depends_on[0]",
        "agents[3].workspace",
    ]


def test_max_agents() -> None:
    text = team(agent("a"), agent("b"), agent("c"))
    assert len(parse_spec(text, max_agents=3).agents) == 3
    assert errors_of(text, max_agents=2) == ["agents: 3 agents, at most 2 (--max-agents)"]


def test_an_absurd_list_is_not_read_any_further() -> None:
    assert errors_of(json.dumps({"agents": [{}] * 5_000})) == ["agents: 5000 agents, at most 30 (--max-agents)"]


def test_only_known_providers() -> None:
    text = team(agent("a", provider="Claude"), agent("b", provider="hal"))
    assert parse_spec(text).agents[0].provider == "claude"
    assert errors_of(text, providers=["codex", "claude"]) == [
        "agents[1].provider: 'hal' is no provider; there are: claude, codex"
    ]


def test_cycles_through_both_lists() -> None:
    text = team(agent("a", depends_on=["x", "b"]), agent("b", wait_for=["a"]), agent("x"))
    assert errors_of(text) == ["agents[0].depends_on[1]: cycle a -> b -> a, each needs the next one first"]


def test_notifying_each_other_is_no_cycle() -> None:
    assert parse_spec(team(agent("a", notifies=["b"]), agent("b", notifies=["a"])))


def test_errors_of_one_agent_do_not_make_others_wrong() -> None:
    text = team({"name": "api"}, agent("web", wait_for=["api"]))
    assert errors_of(text) == ["agents[0].role: is missing"]


# --- schema and drawing


def test_the_schema_says_what_is_required() -> None:
    published = schema()
    one = published["$defs"]["Agent"]
    assert one["required"] == ["name", "role"]
    assert set(one["properties"]) == AgentSpec("a", "b", 3).as_dict().keys()
    assert published["required"] == ["agents"]
    assert json.dumps(published)


def test_the_tree() -> None:
    spec = parse_spec(
        team(
            agent("db", role="Schema and migrations. " + "x" * 100),
            agent("api", role="REST API", wait_for=["db"]),
            agent("web", role="Client", depends_on=["api"], notifies=["tests", "mother"]),
            agent("tests", role="End to end", wait_for=["api", "web"], depends_on=["api"]),
            agent("docs", role="Handbook"),
        )
    )
    assert draw(spec).splitlines() == [
        "db  Schema and migrations. " + "x" * 52 + "…",
        "└── api  REST API",
        "    ├┄┄ web  Client",
        "    │   │   → tests, mother",
        "    │   └── tests  End to end",
        "    └── tests ↑",
        "docs  Handbook",
        "",
        "── starts when the one above is done   ┄┄ is sent its result   → tells when done",
        "↑ drawn above",
    ]


def test_deep_chains_go_on_below() -> None:
    chain = [agent(f"step{n}", wait_for=[f"step{n - 1}"] if n else []) for n in range(25)]
    lines = draw(parse_spec(team(*chain))).splitlines()
    assert max(map(len, lines)) <= 80
    shown = [line.split("step")[1].split()[0] for line in lines if "Builds" in line]
    assert shown == [str(n) for n in range(25)]
    assert any(line.endswith("step10 ↓") for line in lines)


def test_wide_characters_count_twice() -> None:
    line = draw(Spec((AgentSpec("a", "日" * 100, 3),))).splitlines()[0]
    assert line == "a  " + "日" * 38 + "…"


def test_a_hand_made_cycle_is_drawn_all_the_same() -> None:
    pair = Spec((AgentSpec("a", "r", 3, wait_for=("b",)), AgentSpec("b", "r", 4, wait_for=("a",))))
    assert draw(pair).splitlines()[:3] == ["a  r", "└── b  r", "    └── a ↑"]


def test_one_agent_needs_no_legend() -> None:
    assert draw(parse_spec(team(agent("solo")))) == "solo  Builds solo."
