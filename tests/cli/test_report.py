from __future__ import annotations

from taco.models import Agent, AgentStatus
from tests.cli.conftest import Shop, taco


def web(shop: Shop) -> Agent:
    return shop.do(lambda broker: broker.agents())[2]


def test_done_is_recorded_with_its_summary(shop: Shop) -> None:
    done = taco("done", "all", "of it", env=shop.pane("web"))
    assert (done.code, done.out, done.err) == (0, "recorded: web is done\n", "")
    agent = web(shop)
    assert (agent.status, agent.done, agent.failed) == (AgentStatus.DONE, "all of it", "")
    assert agent.reported_at


def test_fail_is_recorded_with_its_reason(shop: Shop) -> None:
    found = taco("fail", "-", "--json", env=shop.pane("web"), input="no\nluck").json
    assert found | {"agent": "web", "status": "failed", "text": "no\nluck"} == found
    assert (web(shop).status, web(shop).failed) == (AgentStatus.FAILED, "no\nluck")


def test_a_report_says_something(shop: Shop) -> None:
    done = taco("done", env=shop.pane("web"))
    assert (done.code, "the summary is missing" in done.err) == (2, True)
    assert taco("fail", " ", env=shop.pane("web")).code == 2
    assert web(shop).status is AgentStatus.PLANNED


def test_each_reports_for_itself(shop: Shop) -> None:
    assert taco("done", "x").code == 2
    assert taco("done", "x", "--from", "api", env=shop.pane("web")).code == 1
    assert taco("done", "x", "--from", "web").code == 0
    assert taco("done", "x", "--from", "nobody").code == 5
    assert web(shop).done == "x"
