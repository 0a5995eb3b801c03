"""Who may start, why not, and who is told what is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taco.models import Agent, AgentState, AgentStatus, Level
from taco.schedule import announcements, ready, summaries_for

MOTHER = Agent(0, "mother", status=AgentStatus.RUNNING)
AT = "2026-01-02T03:04:05.000Z"
LATER = "2026-01-02T03:05:00.000Z"


def agent(window: int, name: str, status: AgentStatus = AgentStatus.PLANNED, **fields: Any) -> Agent:
    return Agent(window, name, status=status, **fields)


def done(window: int, name: str, summary: str = "it works", **fields: Any) -> Agent:
    return agent(window, name, AgentStatus.DONE, done=summary, reported_at=AT, **fields)


def failed(window: int, name: str, why: str = "no disk", **fields: Any) -> Agent:
    return agent(window, name, AgentStatus.FAILED, failed=why, reported_at=AT, **fields)


def started(*agents: Agent, concurrency: int = 10) -> list[str]:
    return [each.name for each in ready(agents, concurrency=concurrency).start]


# --- who may start


def test_all_who_wait_for_nobody_start() -> None:
    assert started(MOTHER, agent(4, "b"), agent(3, "a")) == ["a", "b"]


def test_depends_on_alone_does_not_delay() -> None:
    assert started(agent(3, "a"), agent(4, "b", depends_on=("a",))) == ["a", "b"]


def test_who_waits_starts_when_all_are_done() -> None:
    waiting = agent(5, "c", wait_for=("a", "b"))
    assert started(done(3, "a"), agent(4, "b", AgentStatus.RUNNING), waiting) == []
    assert started(done(3, "a"), done(4, "b"), waiting) == ["c"]


def test_only_planned_agents_start() -> None:
    others = [status for status in AgentStatus if status is not AgentStatus.PLANNED]
    assert started(*(agent(3 + n, f"a{n}", status) for n, status in enumerate(others))) == []


def test_no_more_than_the_concurrency_start_at_once() -> None:
    agents = [agent(3 + n, f"a{n}") for n in range(5)]
    plan = ready([*agents, agent(9, "s", AgentStatus.STARTING)], concurrency=3)
    assert [each.name for each in plan.start] == ["a0", "a1"]
    assert plan.blocked["a2"] == "waits for its turn: 3 agents are starting"
    assert not plan.stuck


def test_a_paused_agent_does_not_start() -> None:
    plan = ready([agent(3, "a", paused=True)], concurrency=1)
    assert plan.blocked == {"a": "is paused"} and not plan.start


def test_a_report_counts_after_the_agent_has_ended() -> None:
    ended = done(3, "a", state=AgentState(Level.EXITED, "0"))
    assert started(ended, agent(4, "b", wait_for=("a",))) == ["b"]
    assert started(replace(ended, status=AgentStatus.STOPPED), agent(4, "b", wait_for=("a",))) == ["b"]


@pytest.mark.parametrize(
    ("other", "reason", "is_stuck"),
    [
        (agent(3, "api", AgentStatus.RUNNING), "waits for api (running)", False),
        (agent(3, "api", AgentStatus.STARTING), "waits for api (starting)", False),
        (agent(3, "api", AgentStatus.PAUSED), "waits for api (paused)", False),
        (failed(3, "api", "no\ndisk"), "waits for api, which failed: no disk", True),
        (failed(3, "api", ""), "waits for api, which failed", True),
        (agent(3, "api", AgentStatus.STOPPED), "waits for api, which was stopped", True),
        (
            agent(3, "api", AgentStatus.RUNNING, state=AgentState(Level.EXITED, "1")),
            "waits for api, which exited",
            True,
        ),
        (agent(3, "api", AgentStatus.RUNNING, state=AgentState(Level.LOST)), "waits for api, which is lost", True),
        (agent(3, "other", AgentStatus.RUNNING), "waits for api, which was removed", True),
    ],
)
def test_reasons(other: Agent, reason: str, is_stuck: bool) -> None:
    plan = ready([other, agent(4, "web", wait_for=("api",))], concurrency=4)
    assert plan.blocked == {"web": reason}
    assert plan.stuck == ({"web"} if is_stuck else frozenset())


def test_the_worst_reason_stands_first() -> None:
    agents = [agent(3, "a", AgentStatus.RUNNING), failed(4, "b"), agent(5, "c", wait_for=("a", "b"))]
    assert ready(agents, concurrency=4).blocked["c"] == "waits for b, which failed: no disk; a (running)"


def test_only_who_waits_for_the_failed_one_is_stuck() -> None:
    agents = [failed(3, "a"), agent(4, "b", wait_for=("a",)), agent(5, "c", wait_for=("b",))]
    plan = ready(agents, concurrency=4)
    assert plan.stuck == {"b"}
    assert plan.blocked["c"] == "waits for b (planned)"


def test_a_failure_that_was_mended_lets_others_start() -> None:
    mended = replace(failed(3, "a"), status=AgentStatus.DONE, failed="", done="now it works")
    assert started(mended, agent(4, "b", wait_for=("a",))) == ["b"]


# --- who is told


def told(*agents: Agent) -> list[tuple[str, str, str]]:
    return [(each.recipient, each.why, each.about.name) for each in announcements(agents)]


def test_mother_is_told_of_every_report() -> None:
    assert told(MOTHER, done(3, "a"), failed(4, "b")) == [("mother", "mother", "a"), ("mother", "mother", "b")]


def test_what_was_announced_is_not_announced_again() -> None:
    assert told(MOTHER, done(3, "a", announced=AT)) == []
    assert told(MOTHER, done(3, "a", announced="2026-01-01T00:00:00.000Z")) == [("mother", "mother", "a")]
    assert told(MOTHER, agent(3, "a", AgentStatus.RUNNING)) == []


def test_each_is_told_once() -> None:
    about = done(3, "a", notifies=("b", "mother", "person", "gone", "a"))
    needing = agent(4, "b", AgentStatus.RUNNING, depends_on=("a",))
    assert told(MOTHER, about, needing) == [
        ("b", "depends_on", "a"),
        ("mother", "notifies", "a"),
        ("person", "notifies", "a"),
    ]


def test_results_go_to_those_who_started_without_them() -> None:
    agents = [
        MOTHER,
        done(3, "a"),
        agent(4, "started", AgentStatus.RUNNING, depends_on=("a",)),
        agent(5, "starting", AgentStatus.STARTING, depends_on=("a",)),
        agent(6, "planned", depends_on=("a",)),
        agent(7, "waited", AgentStatus.RUNNING, depends_on=("a",), wait_for=("a",), launched_at=LATER),
        agent(8, "other", AgentStatus.RUNNING, wait_for=("a",)),
    ]
    assert [each[0] for each in told(*agents)] == ["started", "starting", "mother"]


def test_a_second_report_goes_to_those_who_had_the_first_in_their_brief() -> None:
    again = replace(done(3, "a"), reported_at=LATER, announced=AT)
    waited = agent(4, "b", AgentStatus.RUNNING, depends_on=("a",), wait_for=("a",), launched_at=AT)
    assert [each[0] for each in told(MOTHER, again, waited)] == ["b", "mother"]


def test_what_is_said() -> None:
    texts = [each.text for each in announcements([MOTHER, done(3, "a", "42 tests pass"), failed(4, "b", "no disk")])]
    assert texts == ["done: 42 tests pass", "failed: no disk"]
    silent = [replace(done(3, "a"), done=""), replace(failed(4, "b"), failed="")]
    assert [each.text for each in announcements(silent)] == ["done: no summary given", "failed: no reason given"]


def test_summaries_are_of_those_that_are_done() -> None:
    team = [done(3, "a", "A"), done(4, "b", "B"), agent(5, "c", AgentStatus.RUNNING), failed(6, "d")]
    asking = agent(7, "e", depends_on=("a", "c", "d", "gone"), wait_for=("b", "a"))
    assert summaries_for(asking, team) == {"b": "B", "a": "A"}


# --- a whole run


@st.composite
def teams(draw: st.DrawFn) -> list[Agent]:
    count = draw(st.integers(1, 9))
    agents = []
    for n in range(count):
        earlier = st.lists(st.sampled_from([f"a{m}" for m in range(n)]), unique=True) if n else st.just([])
        agents.append(agent(3 + n, f"a{n}", wait_for=tuple(draw(earlier)), depends_on=tuple(draw(earlier))))
    return agents


@settings(max_examples=60, deadline=None)
@given(teams(), st.integers(1, 3), st.sets(st.integers(0, 8), max_size=2))
def test_a_run_starts_everybody_whose_needs_are_met(team: list[Agent], concurrency: int, failing: set[int]) -> None:
    agents = {each.name: each for each in team}
    ran: set[str] = set()
    while plan := ready(list(agents.values()), concurrency=concurrency).start:
        assert len(plan) <= concurrency
        for each in plan:
            assert all(agents[name].status is AgentStatus.DONE for name in each.wait_for)
            ran.add(each.name)
            ends = failed if each.window - 3 in failing else done
            finished = ends(each.window, each.name, wait_for=each.wait_for, depends_on=each.depends_on)
            agents[each.name] = finished
    plan_at_end = ready(list(agents.values()), concurrency=concurrency)
    assert ran | plan_at_end.blocked.keys() == agents.keys()
    assert bool(plan_at_end.blocked) == bool(plan_at_end.stuck)
    if not failing & {each.window - 3 for each in team}:
        assert ran == agents.keys()
