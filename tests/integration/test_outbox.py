"""What lies in an outbox is taken over once, and nothing that lies there harms the executor or another agent."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from taco import redis_server
from taco.errors import BrokerError
from taco.models import EventType, Service
from taco.orchestrator import outbox as room
from taco.orchestrator.outbox import MOST_BYTES
from taco.spool import BAD, TRIES
from tests.support.office import Office, an_office


@pytest.fixture
async def office(taco_home: Path, short_tmp: Path) -> AsyncIterator[Office]:
    async with an_office(taco_home, short_tmp) as office:
        yield office


async def test_every_verb_is_taken_over(office: Office) -> None:
    broker = office.desk.broker
    office.drop("bb", "send", id="m1", sender="mother", target="api", message="hello")
    office.drop("bb", "send", id="m2", target="3", message="again")
    office.drop("bb", "broadcast", id="m3", text="all")
    office.drop("bb", "send", id="m4", target="person", message="look\nhere")
    office.drop("bb", "ask", id="abc123", text="which?")
    office.drop("bb", "service", id="m5", service={"name": "db", "port": 5432, "health": "healthy"})
    office.drop("bb", "done", id="m6", text="all of it")
    await office.rounds(1)
    assert await office.messages("api") == [("bb", "hello"), ("bb", "again"), ("bb", "all")]
    assert await office.messages("mother") == [("bb", "all")]
    assert await office.told(EventType.PERSON_MESSAGE) == ["look here"]
    assert [(each.id, each.agent, each.question) for each in await broker.asks()] == [("abc123", "bb", "which?")]
    assert await broker.services() == [
        Service("db", "http://localhost:5432", 5432, owner="bb", check="tcp", claimed=True)
    ]
    assert next(each.done for each in await broker.agents() if each.name == "bb") == "all of it"
    assert list(office.box("bb").iterdir()) == []


@pytest.mark.parametrize("depth", range(4))
async def test_a_link_is_not_followed_anywhere_on_the_way(office: Office, short_tmp: Path, depth: int) -> None:
    box = office.box("bb")
    victim = short_tmp / "victim"
    inner = victim.joinpath(*box.parts[len(box.parts) - depth :]) if depth else victim
    inner.mkdir(parents=True)
    package = inner / "package.json"
    package.write_text('{"verb": "send", "id": "m1", "target": "api", "message": "stolen"}')
    place = [box, *box.parents][depth]
    place.rename(short_tmp / "away")
    place.symlink_to(victim)
    await office.rounds()
    assert package.exists()
    assert await office.messages("api") == []


async def test_a_workspace_that_became_a_link_out_of_the_project_is_not_entered(
    office: Office, short_tmp: Path
) -> None:
    office.drop("bb", "send", id="m1", target="api", message="stolen")
    (office.desk.ground.project / "w").rename(short_tmp / "away")
    (office.desk.ground.project / "w").symlink_to(short_tmp / "away")
    await office.rounds()
    assert await office.messages("api") == []


def fifo(path: Path) -> None:
    os.mkfifo(path)


def directory(path: Path) -> None:
    (path / "inner").mkdir(parents=True)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def long(path: Path) -> None:
    path.write_text(" " * (MOST_BYTES + 1))


@pytest.mark.parametrize("make", [fifo, directory, endless, long])
async def test_what_is_no_file_is_set_aside_and_the_rest_goes_on(office: Office, make: Callable[[Path], None]) -> None:
    bad = office.box("bb") / "0-bad.json"
    make(bad)
    office.drop("bb", "send", id="m1", target="api", message="after it")
    office.drop("api", "send", id="m2", target="mother", message="of another")
    await office.rounds()
    assert await office.messages("api") == [("bb", "after it")]
    assert await office.messages("mother") == [("api", "of another")]
    assert [each.name for each in office.box("bb").iterdir()] == [bad.name + BAD]


async def test_half_a_surrogate_pair_is_no_reason_to_fail(office: Office) -> None:
    office.drop("bb", "send", id="m1", target="api", message="a\ud800b")
    office.drop("bb", "fail", id="m2", text="\udfff")
    office.drop("bb", "\ud800", id="m3")
    await office.rounds(1)
    assert await office.messages("api") == [("bb", "a?b")]
    assert list(office.box("bb").iterdir()) == []


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        ("ask", {"id": "open", "text": "?"}),
        ("ask", {"text": "?"}),
        ("send", {"id": "a b", "target": "api", "message": "x"}),
        ("send", {"id": ["a"], "target": "api", "message": "x"}),
        ("send", {"id": "m1", "target": "nobody", "message": "x"}),
        ("send", {"id": "m1", "target": "api", "message": "x" * 1_100_000}),
        ("send", {"id": "m1", "target": "api", "message": "x", "priority": "urgent"}),
        ("service", {"service": {"name": "a:b", "port": 80}}),
        ("service", {"service": {"name": "db", "port": "eighty"}}),
        ("service", {"service": {"name": "taken", "port": 80}}),
        ("service", {"service": ["db"]}),
        ("service", {"service": {"name": "db", "url": "http://example.com:80"}}),
        ("stop", {}),
    ],
    ids=range(13),
)
async def test_what_the_command_line_would_refuse_is_refused(office: Office, verb: str, fields: dict[str, Any]) -> None:
    await office.desk.broker.put_service(Service("taken", "http://localhost:1", 1, owner="api"))
    office.drop("bb", verb, **fields)
    await office.rounds(1)
    (told,) = await office.told(EventType.COMMAND_REJECTED)
    assert told.startswith("outbox: ")
    assert await office.desk.broker.asks() == []
    assert await office.messages("api") == []
    assert list(office.box("bb").iterdir()) == []


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"1", b"[" * 1_000_000, b'{"verb": 1}'], ids=range(6))
async def test_what_is_no_call_is_refused(office: Office, body: bytes) -> None:
    (office.box("bb") / "1-x.json").write_bytes(body)
    await office.rounds(1)
    assert len(await office.told(EventType.COMMAND_REJECTED)) == 1
    assert list(office.box("bb").iterdir()) == []


async def test_agents_that_share_a_directory_keep_their_names(office: Office) -> None:
    assert office.box("mother") != office.box("api")
    office.drop("api", "send", id="m1", target="bb", message="mine")
    await office.rounds(1)
    assert await office.messages("bb") == [("api", "mine")]


async def test_what_finds_a_queue_full_waits_in_order(office: Office) -> None:
    await office.desk.broker.put_session({"sender_limit": "1"})
    for text in ("one", "two"):
        office.drop("bb", "send", id=text, target="api", message=text)
    office.drop("bb", "done", text="reported meanwhile")
    await office.rounds(TRIES + 1)
    assert len(list(office.box("bb").iterdir())) == 1
    assert await office.messages("api") == [("bb", "one")]
    assert next(each.done for each in await office.desk.broker.agents() if each.name == "bb") == "reported meanwhile"
    await office.rounds(1)
    assert await office.messages("api") == [("bb", "two")]


async def test_a_file_stays_while_redis_is_away(office: Office, taco_home: Path) -> None:
    path = office.drop("bb", "send", id="m1", target="api", message="later")
    redis_server.stop(taco_home)
    for _ in range(TRIES + 1):
        with pytest.raises(BrokerError):
            await office.outboxes.step()
    redis_server.ensure(taco_home)
    assert path.exists()
    await office.rounds(1)
    assert await office.messages("api") == [("bb", "later")]


async def test_a_file_that_redis_alone_refuses_is_set_aside(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> None:
        raise BrokerError("Redis: no")

    office.drop("bb", "send", id="m1", target="api", message="poison")
    monkeypatch.setattr(room, "_import", refuse)
    await office.rounds()
    assert [each.suffix for each in office.box("bb").iterdir()] == [BAD]


async def test_a_sandboxed_agent_has_the_port_that_it_guessed_or_is_told_which(office: Office) -> None:
    broker = office.desk.broker
    await broker.put_session({"port_range": "20000-20999"})
    office.drop("bb", "service", id="m1", service={"name": "db", "port": 20_500, "auto": True})
    await office.rounds(1)
    assert (await broker.services())[0].port == 20_500
    assert await office.messages("bb") == []
    office.drop("api", "service", id="m2", service={"name": "web", "port": 20_500, "auto": True})
    office.drop("bb", "service", id="m3", service={"name": "db", "port": 20_777, "auto": True})
    await office.rounds(1)
    db, web = await broker.services()
    assert {port: each.holder for port, each in (await broker.claims()).items()} == {
        20_500: "shop/db",
        web.port: "shop/web",
    }
    assert (db.port, db.url, web.url) == (20_500, "http://localhost:20500", f"http://localhost:{web.port}")
    assert await office.messages("api") == [
        ("taco", f"Use port {web.port} for your service web (not 20500): {web.url}")
    ]
    assert await office.messages("bb") == [("taco", f"Use port 20500 for your service db (not 20777): {db.url}")]


async def test_a_sandboxed_agent_is_told_whose_the_port_is_that_it_named(office: Office) -> None:
    await office.desk.broker.claim_port("shop/web", [(3_000, None)])
    office.drop("bb", "service", id="m1", service={"name": "db", "port": 3_000})
    await office.rounds(1)
    assert await office.desk.broker.services() == []
    ((sender, text),) = await office.messages("bb")
    assert (sender, "port 3000 is claimed for service 'web'" in text) == ("taco", True)
    assert len(await office.told(EventType.COMMAND_REJECTED)) == 1
