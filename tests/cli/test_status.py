from __future__ import annotations

import pytest

from taco import redis_server
from taco.broker import Broker
from taco.cli.snapshot import public_url
from taco.models import AgentState, Command, Level, Service
from taco.records import state_fields
from tests.cli.conftest import Shop, taco
from tests.support.tmux import KEEPER, Tmux


def fill(shop: Shop) -> None:
    async def work(broker: Broker) -> None:
        await broker.enqueue(Command("one", "person", "api", "hello"))
        await broker.held("api", "one", "a dialog is up: permission")
        await broker.put_service(Service("front", "http://localhost:3000", 3000, "healthy", "web"))
        await broker.report("api", failed=False, text="all of it", at="2026-01-01T00:00:01.000Z")

    shop.do(work)


def test_status_has_the_promised_json(shop: Shop) -> None:
    fill(shop)
    found = taco("status", "--json").json
    promised = {"session", "status", "project_dir", "prompt", "provider", "started_at", "tmux", "redis"}
    assert promised | {"agents", "queue", "services"} <= found.keys()
    assert (found["session"], found["status"], found["prompt"]) == (
        "shop",
        "down",
        "a shop",
    )  # no tmux session is there
    assert found["tmux"] == {"socket": "default", "session": "shop"}
    assert found["redis"]["url"] == shop.url
    assert found["redis"]["version"].count(".") == 2
    assert [each["name"] for each in found["agents"]] == ["mother", "api", "web"]
    api = found["agents"][1]
    assert (
        api
        | {
            "window": 3,
            "pane": "%5",
            "role": "builds the API",
            "provider": "demo",
            "state": "busy",
            "since": "2023-11-14T22:13:20.000Z",
            "source": "hook",
            "waiting_for": None,
            "hold": "a dialog is up: permission",
            "queue_depth": 1,
            "workspace": "/srv/shop/api",
            "pid": 4242,
            "done": "all of it",
            "failed": None,
        }
        == api
    )
    assert found["agents"][2]["waiting_for"] == "api"
    numbers = {"pending": 1, "processing": 0, "completed": 0, "failed": 0, "dead": 0, "unconfirmed": 0}
    assert found["queue"] == numbers
    front = {
        "name": "front",
        "url": "http://localhost:3000",
        "port": 3000,
        "health": "healthy",
        "owner": "web",
        "reason": None,
    }
    assert found["services"] == [front]


def test_people_see_it_aligned_and_without_colours_in_a_pipe(shop: Shop) -> None:
    fill(shop)
    done = taco("status")
    assert done.code == 0
    assert done.err == "session shop is down: its tmux session is gone; to go on: taco resume shop\n"
    assert "\x1b" not in done.out
    head, *rows = [line for line in done.out.splitlines() if line.startswith(("AGENT", "mother", "api", "web"))]
    assert len(rows) == 3
    assert all(row[head.index("ROLE") :].startswith(("plans", "builds")) for row in rows)
    assert "1 pending" in done.out
    assert "http://localhost:3000" in done.out


@pytest.mark.parametrize(
    ("state", "hold", "shown", "note"),
    [
        (AgentState(Level.WAITING, "permission"), "", "waiting(permission)", "all of it"),
        (AgentState(Level.EXITED, "0"), "exited (0)", "exited(0)", "exited (0)"),
        (AgentState(Level.IDLE), "a draft stands in the composer", "idle", "a draft stands in the composer"),
        (AgentState(Level.EXITED, "0"), "", "done", "all of it"),
        (AgentState(Level.BUSY), "", "done", "all of it"),
    ],
)
def test_what_needs_the_person_shows_though_the_work_is_done(
    shop: Shop, state: AgentState, hold: str, shown: str, note: str
) -> None:
    async def work(broker: Broker) -> None:
        await broker.report("api", failed=False, text="all of it", at="2026-01-01T00:00:01.000Z")
        await broker.set_agent(3, {**state_fields(state), "hold": hold})

    shop.do(work)
    [row] = [line for line in taco("status").out.splitlines() if line.startswith("api")]
    assert row.split()[2] == shown
    assert note in row


def test_colours_can_be_asked_for_and_refused(shop: Shop) -> None:
    assert "\x1b[" in taco("status", env={"FORCE_COLOR": "1"}).out
    assert "\x1b" not in taco("status", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out


def test_without_redis_the_disk_is_asked_and_that_is_said(shop: Shop) -> None:
    redis_server.stop(shop.record.home)
    done = taco("status")
    assert done.code == 0
    assert "Redis is down" in done.err
    assert "api" in done.out
    found = taco("status", "--json").json
    assert (found["redis"]["version"], [each["name"] for each in found["agents"]]) == (None, ["mother", "api", "web"])
    assert {each["state"] for each in found["agents"]} == {"unknown"}
    assert found["agents"][1]["source"] == "session.json"
    assert found["queue"] is None
    assert redis_server.running(shop.record.home) is None


def test_an_agent_may_look(shop: Shop) -> None:
    assert taco("status", env=shop.pane("web")).code == 0


def test_control_characters_of_agents_do_not_reach_the_terminal(shop: Shop) -> None:
    evil = "done\x1b]0;owned\x07\x1b[2J\nline\u202e"

    async def work(broker: Broker) -> None:
        await broker.report("api", failed=False, text=evil, at="2026-01-01T00:00:01.000Z")

    shop.do(work)
    for args in (["status"], ["agent", "show", "api"], ["log"]):
        out = taco(*args).out
        assert "owned" in out
        assert not {"\x1b", "\x07", "\u202e"} & set(out)


def test_ls_knows_whether_tmux_has_it(shop: Shop, tmux: Tmux) -> None:
    shop.record.changed(tmux_socket=tmux.socket).save()
    [found] = taco("ls", "--json").json
    assert found == {
        "session": "shop",
        "status": "down",
        "project_dir": "/srv/shop",
        "started_at": "2026-01-01T00:00:00.000Z",
        "agents": 2,
    }
    assert "taco resume shop" in taco("ls").err
    tmux.run("rename-session", "-t", KEEPER, "shop")
    assert taco("ls", "--json").json[0]["status"] == "running"
    tmux.run("rename-session", "-t", "shop", "shop2")
    shop.record.changed(tmux_socket=str(tmux.path), status="stopped").save()
    assert taco("ls", "--json").json[0]["status"] == "stopped"


def test_the_session_of_the_tmux_we_are_in_is_meant(shop: Shop, tmux: Tmux) -> None:
    shop.record.changed(name="blog").save()
    tmux.run("rename-session", "-t", KEEPER, "blog")
    pane = tmux.show("blog", "#{pane_id}")
    inside = {"TMUX": f"{tmux.path},1,0", "TMUX_PANE": pane}
    assert taco("status", "--json", env=inside).json["session"] == "blog"


def test_only_the_head_of_a_long_prompt_is_looked_at(shop: Shop) -> None:
    shop.record.changed(prompt="a" + "\n" * 30_000 + "late").save()
    done = taco("status")
    assert (done.code, "“a”" in done.out, "late" in done.out) == (0, True, False)


def test_without_sessions_ls_is_empty(taco_home: object) -> None:
    assert taco("ls", "--json").json == []
    assert taco("ls").out == ""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:secret@host:6379/0", "redis://u:***@host:6379/0"),
        ("redis://:secret@host/0", "redis://:***@host/0"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert public_url(url) == shown
