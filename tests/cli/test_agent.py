from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from taco.broker import Broker
from tests.cli.conftest import AGENTS, Shop, taco
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for


def requests(shop: Shop) -> list[dict[str, Any]]:
    async def take(broker: Broker) -> list[dict[str, Any]]:
        found = await broker.requests()
        for text in found:
            await broker.drop_request(text)
        return list(found.values())

    return shop.do(take)


def test_list_and_show(shop: Shop) -> None:
    found = taco("agent", "--json").json
    assert [(each["name"], each["window"], each["status"]) for each in found] == [
        ("mother", 0, "running"),
        ("api", 3, "running"),
        ("web", 4, "planned"),
    ]
    web = taco("agent", "show", "4", "--json").json
    assert (web["name"], web["wait_for"], web["restarts"]) == ("web", ["api"], 0)
    assert "builds the pages" in taco("agent", "show", "web").out
    assert taco("agent", "show", "nobody").code == 5


def test_all_are_shown_one_after_the_other(shop: Shop) -> None:
    found = taco("agent", "show", "all", "--json").json
    assert found == [taco("agent", "show", name, "--json").json for name in ("mother", "api", "web")]
    names = [line.split()[1] for line in taco("agent", "show", "all").out.splitlines() if line.startswith("name")]
    assert names == ["mother", "api", "web"]


@pytest.mark.parametrize("words", [["agent"], ["agent", "show"], ["agent", "restart"], ["agent", "remove"]])
def test_the_help_says_who_all_are(words: list[str]) -> None:
    assert "`all`" in taco(*words, "--help").out


def test_all_but_mother_are_removed(shop: Shop) -> None:
    assert taco("agent", "remove", "all", "--json").json == {"verb": "remove", "agents": ["api", "web"]}


def test_wishes_are_left_for_the_orchestrator(shop: Shop) -> None:
    assert taco("agent", "pause", "api", "4").out == "api: will be paused\nweb: will be paused\n"
    taco("agent", "resume", "all")
    taco("agent", "restart", "all")
    assert taco("agent", "remove", "web", "--json").json == {"verb": "remove", "agents": ["web"]}
    found = requests(shop)
    assert [(each["verb"], each["agent"]) for each in found] == [
        ("pause", "api"),
        ("pause", "web"),
        ("resume", "mother"),
        ("resume", "api"),
        ("resume", "web"),
        ("restart", "mother"),
        ("restart", "api"),
        ("restart", "web"),
        ("remove", "web"),
    ]
    assert all(each["at"] for each in found)


def test_a_wish_about_nobody_changes_nothing(shop: Shop) -> None:
    done = taco("agent", "pause", "api", "nobody")
    assert (done.code, "agents: mother, api, web" in done.err) == (5, True)
    assert taco("agent", "remove", "mother").code == 2
    assert requests(shop) == []


def test_a_new_member_is_checked_like_a_spec(shop: Shop) -> None:
    done = taco("agent", "add", "Doc Writer", "--role", "writes", "--wait-for", "API", "--notifies", "mother")
    assert done.code == 0, done.err
    [found] = requests(shop)
    assert (found["verb"], found["agent"]) == ("add", "doc_writer")
    assert (found["spec"]["window"], found["spec"]["wait_for"]) == (5, ["api"])
    assert taco("agent", "add", "web", "--role", "again").code == 1
    assert taco("agent", "add", "x", "--role", "y", "--wait-for", "nobody").code == 2
    for option in ("--wait-for", "--depends-on", "--notifies"):
        done = taco("agent", "add", "x", "--role", "y", "--wait-for", "api", option, "Nobody")
        assert done.code == 2
        assert done.err == f"error: {option}: nobody is named 'Nobody' — agents: mother, api, web\n"
    assert taco("agent", "add", "x", "--role", "y", "--provider", "hal").code == 2
    assert taco("agent", "add", "x").code == 2
    assert requests(shop) == []


def test_a_provider_that_a_demo_replaces_is_told(shop: Shop) -> None:
    shop.record.changed(provider="demo", more={"scripted": True}).save()
    done = taco("agent", "add", "helper", "--role", "helps", "--provider", "claude")
    assert done.code == 0
    assert "warning: provider is not applied in a demo session: demo runs helper (claude)" in done.err


@pytest.fixture
def screen(shop: Shop, tmux: Tmux) -> str:
    """The pane of `api`: 60 numbered lines, the last one red."""
    pane = tmux.pane("sh", "-c", "seq 1 59; printf '\\033[31mred 数据\\033[0m\\n'; exec cat")
    tmux.run("set-option", "-p", "-t", pane, "@taco_agent", "shop/api")
    wait_for(lambda: "red" in tmux.screen(pane))
    shop.record.changed(tmux_socket=tmux.socket).save()

    async def move(broker: Broker) -> None:
        await broker.put_agent(replace(AGENTS[1], pane=pane))

    shop.do(move)
    return pane


def test_capture_prints_an_agents_screen(shop: Shop, screen: str) -> None:
    lines = taco("agent", "capture", "api").out.splitlines()
    assert lines[-2:] == ["59", "red 数据"]
    assert len(lines) <= 40
    assert taco("agent", "capture", "3", "--lines", "50").out.splitlines()[:2] == ["11", "12"]
    assert taco("agent", "capture", "api", "--lines", "1").out == "red 数据\n"
    assert "\x1b[31mred" in taco("agent", "capture", "api", "--lines", "1", "--ansi").out
    found = taco("agent", "capture", "api", "--lines", "2", "--json").json
    assert found == {"agent": "api", "window": 3, "pane": screen, "lines": ["59", "red 数据"]}


def test_there_is_nothing_to_capture(shop: Shop, screen: str, tmux: Tmux) -> None:
    done = taco("agent", "capture", "web")
    assert (done.code, done.err) == (
        5,
        "error: agent web has no window — it is planned and waits for api; see: taco status\n",
    )
    assert taco("agent", "capture", "nobody").code == 5
    tmux.run("set-option", "-p", "-t", screen, "@taco_agent", "other/api")
    done = taco("agent", "capture", "api")
    assert (done.code, "taco agent restart api" in done.err) == (5, True)
    tmux.run("kill-pane", "-t", screen)
    assert taco("agent", "capture", "api", "--json").json["error"]["code"] == "not_found"


def test_an_agent_does_not_look_at_the_screens_of_others(shop: Shop) -> None:
    done = taco("agent", "capture", "api", env=shop.pane("web"))
    assert "person's to run" in done.err
    assert done.code != 0
