"""What lies in an outbox is taken over once, and nothing that lies there harms the executor or another agent."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from taco import redis_server
from taco.agents import Agents, Ground
from taco.broker import Broker
from taco.config import Config
from taco.errors import BrokerError
from taco.executor import Executor
from taco.models import Agent, AgentStatus, EventType, Service
from taco.observe import Observer
from taco.orchestrator import outbox as room
from taco.orchestrator.desk import Desk
from taco.orchestrator.outbox import MOST_BYTES, Outboxes
from taco.paths import SessionRecord
from taco.spool import BAD, TRIES
from taco.tmux.commands import CommandPipe

SESSION = "shop"


@dataclass
class Office:
    """A desk with `mother` and `api` in the project itself and `bb` in `w`, none of which runs."""

    desk: Desk
    outboxes: Outboxes

    def box(self, name: str) -> Path:
        """The outbox of an agent, made when it is not there."""
        agent = next(each for each in self.desk.team if each.name == name)
        path = self.desk.ground.outbox(agent)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def drop(self, name: str, verb: str, file: str = "", **fields: Any) -> Path:
        """Leave a call in the outbox of an agent."""
        path = self.box(name) / (file or f"{time.time_ns()}-x.json")
        path.write_text(json.dumps({"verb": verb, **fields}))
        return path

    async def rounds(self, count: int = TRIES) -> None:
        """So many rounds."""
        for _ in range(count):
            await self.outboxes.step()

    async def told(self, kind: EventType) -> list[str]:
        """What was told of this kind, oldest first."""
        return [each.content for each in await self.desk.broker.events() if each.type is kind]

    async def messages(self, name: str) -> list[tuple[str, str]]:
        """Sender and text of what waits for an agent, in order."""
        found = []
        while (head := (await self.desk.broker.heads(name)).head) is not None:
            found.append((head.command.sender, head.command.message))
            await self.desk.broker.cancel(head.command.id)
        return found


@pytest.fixture
async def office(taco_home: Path, short_tmp: Path) -> AsyncIterator[Office]:
    url = redis_server.ensure(taco_home).url
    project = short_tmp / "p"
    (project / "w").mkdir(parents=True)
    try:
        broker = await Broker.connect(url, SESSION)
        record = SessionRecord(SESSION, taco_home, project_dir=project)
        ground = Ground(SESSION, record.directory, project, {}, taco_home, url)
        pipe = CommandPipe("none")
        observer = Observer(pipe, time.time, ready_timeout_s=1)
        doors: Any = None
        agents = Agents(ground, pipe, time.time)
        desk = Desk(record, Config(), broker, pipe, observer, Executor(doors), agents, ground, {}, doors, Config)
        for window, name, workspace in ((0, "mother", ""), (3, "api", "."), (4, "bb", "w")):
            await broker.put_agent(
                Agent(window, name, status=AgentStatus.RUNNING, workspace=workspace, pid=os.getpid())
            )
        desk.team = await broker.agents()
        yield Office(desk, Outboxes(desk))
        await broker.close()
    finally:
        redis_server.stop(taco_home)


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
    assert await broker.services() == [Service("db", "http://localhost:5432", 5432, "healthy", "bb")]
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
        ("stop", {}),
    ],
    ids=range(12),
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
