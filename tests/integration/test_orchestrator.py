"""The run of a session: who may deliver, what it says of itself, and that it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from taco import orchestrator, redis_server, session
from taco.broker import Broker
from taco.config import Config
from taco.errors import BrokerError
from taco.models import Event, EventType, Service
from taco.orchestrator.journal import Journal
from taco.paths import SessionRecord
from tests.support.paths import ROOT
from tests.support.tmux import KEEPER, Tmux
from tests.support.waiting import wait_for_async
from tests.support.web import a_web


@pytest.fixture
def record(taco_home: Path, short_tmp: Path, tmux: Tmux) -> Iterator[SessionRecord]:
    """A session without agents, whose tmux session is the keeper; Redis runs, nothing delivers."""
    server = redis_server.ensure(taco_home)
    record = SessionRecord(
        KEEPER, taco_home, "running", short_tmp, tmux_socket=tmux.socket, redis_url=server.url, redis_private=True
    )
    record.save()
    (record.directory / "environment.json").write_text("{}")
    yield record
    redis_server.stop(taco_home)


@pytest.fixture
async def broker(record: SessionRecord) -> AsyncIterator[Broker]:
    broker = await Broker.connect(record.redis_url, record.name)
    await broker.put_session({"status": "starting"})
    yield broker
    await broker.close()


class Running:
    """An executor that runs in this process, until the block ends."""

    def __init__(self, record: SessionRecord) -> None:
        self.stop = asyncio.Event()
        self.journal = Journal(record.directory / "log.jsonl")
        self.journal.configure()
        self.task = asyncio.create_task(orchestrator._serve(record, self.journal, self.stop))

    async def __aenter__(self) -> Running:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await asyncio.wait([self.task], timeout=20)
        self.journal.close()


async def kinds(broker: Broker) -> list[str]:
    return [str(each.type) for each in await broker.events()]


async def heard(broker: Broker, kind: EventType) -> None:
    async def there() -> bool:
        return kind in await kinds(broker)

    await wait_for_async(there, what=kind)


async def test_one_that_is_ended_while_another_delivers_changes_nothing(
    record: SessionRecord, broker: Broker, tmux: Tmux
) -> None:
    async with Running(record) as first:
        await heard(broker, EventType.EXECUTOR_STARTED)
        fence, fields, said = _fence(tmux), await broker.session_fields(), await kinds(broker)
        async with Running(record) as second:
            second.stop.set()
            assert await second.task == 0
        assert (_fence(tmux), await broker.session_fields(), await kinds(broker)) == (fence, fields, said)
        assert not first.task.done()


def _fence(tmux: Tmux) -> str:
    return tmux.run("show-options", "-qv", "-t", KEEPER, orchestrator.FENCE).strip()


async def test_the_holder_of_the_lease_takes_the_panes_back(record: SessionRecord, broker: Broker, tmux: Tmux) -> None:
    async with Running(record):
        await heard(broker, EventType.EXECUTOR_STARTED)
        fence = _fence(tmux)
        tmux.run("set-option", "-t", KEEPER, orchestrator.FENCE, "another")
        await wait_for_async(lambda: _fence(tmux) == fence, what="the panes")


async def test_a_session_says_when_it_starts_and_stops(record: SessionRecord, broker: Broker) -> None:
    async with Running(record):
        await heard(broker, EventType.EXECUTOR_STARTED)
    async with Running(record):
        await wait_for_async(lambda: _count(broker, EventType.EXECUTOR_STARTED, 2))
        record.changed(status="stopping").save()
    said = [each for each in await kinds(broker) if each.startswith(("session.", "executor."))]
    assert said == [
        "session.started",
        "executor.started",
        "executor.stopped",
        "executor.started",
        "session.stopping",
        "executor.stopped",
    ]


async def _count(broker: Broker, kind: EventType, count: int) -> bool:
    return (await kinds(broker)).count(kind) == count


async def test_redis_that_comes_back_is_told_and_heard_again(record: SessionRecord, broker: Broker) -> None:
    async with Running(record) as running:
        await heard(broker, EventType.EXECUTOR_STARTED)
        redis_server.stop(record.home)  # it is started again by who misses it
        await wait_for_async(lambda: "redis.back" in _log(record), what="redis.back")
        await broker.emit(Event(EventType.PERSON_MESSAGE, record.name, content="after it"))
        await wait_for_async(lambda: _again(broker, record), what="a live event")
        assert not running.task.done()


async def _again(broker: Broker, record: SessionRecord) -> bool:
    await broker.emit(Event(EventType.PERSON_MESSAGE, record.name, content="after it"))
    return "after it" in _log(record)


def _log(record: SessionRecord) -> str:
    return (record.directory / "log.jsonl").read_text()


def _journaled(record: SessionRecord) -> list[dict[str, Any]]:
    """The events of the log, without the executor's own words."""
    return [entry for entry in map(json.loads, _log(record).splitlines()) if "id" in entry]


async def _is_whole(broker: Broker, record: SessionRecord) -> bool:
    """Whether the log holds exactly what the stream holds."""
    return [each["id"] for each in _journaled(record)] == [each.id for each in await broker.events(count=10_000)]


async def test_the_log_holds_the_start_and_the_end_of_session_and_executor(
    record: SessionRecord, broker: Broker
) -> None:
    async with Running(record):
        await heard(broker, EventType.EXECUTOR_STARTED)
    assert await _is_whole(broker, record)
    await session._put_stopped(record)  # `taco stop` tells it when the executor has ended
    async with Running(record):
        await wait_for_async(lambda: _count(broker, EventType.EXECUTOR_STARTED, 2))
    assert await _is_whole(broker, record)
    assert [each["type"] for each in _journaled(record)] == [
        "session.started",
        "executor.started",
        "executor.stopped",
        "session.stopped",
        "executor.started",
        "executor.stopped",
    ]
    assert "executor.stuck" not in _log(record)  # ended while it subscribed


async def test_a_kill_of_redis_leaves_no_hole_in_the_log(record: SessionRecord, broker: Broker) -> None:
    async with Running(record):
        await heard(broker, EventType.EXECUTOR_STARTED)
        for number in range(3):
            await wait_for_async(lambda: _is_whole(broker, record), what=lambda: _log(record))
            await broker.emit(Event(EventType.PERSON_MESSAGE, record.name, content=f"before {number}"))
            server = redis_server.running(record.home)
            assert server is not None
            os.kill(server.pid, signal.SIGKILL)
            await wait_for_async(lambda: _emitted(broker, record, f"at once {number}"))  # noqa: B023  waited for here
        await wait_for_async(lambda: _is_whole(broker, record), what=lambda: _log(record))
    assert await _is_whole(broker, record)
    said = [each["content"] for each in _journaled(record)]
    assert all(f"before {number}" in said and f"at once {number}" in said for number in range(3))


async def _emitted(broker: Broker, record: SessionRecord, content: str) -> bool:
    """Tell it as soon as Redis is back; False while it is not."""
    try:
        await asyncio.to_thread(redis_server.ensure, record.home)
        await broker.emit(Event(EventType.PERSON_MESSAGE, record.name, content=content))
    except BrokerError:
        return False
    return True


async def test_what_hurries_the_rounds_does_so_when_it_is_caught_up_too(
    record: SessionRecord, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestrator, "ROUND_S", 600.0)
    monkeypatch.setattr(orchestrator, "QUIET_ROUND_S", 600.0)
    rounds: list[int] = []
    one_round = orchestrator.Run._one_round

    async def counted(self: orchestrator.Run) -> None:
        await one_round(self)
        rounds.append(len(rounds))

    monkeypatch.setattr(orchestrator.Run, "_one_round", counted)
    async with Running(record):
        await wait_for_async(lambda: _is_whole(broker, record))
        await wait_for_async(lambda: rounds)
        for number in range(2):
            before = len(rounds)
            await broker.emit(Event(EventType.AGENT_DONE, record.name, agent="api", content=str(number)))
            if number:
                await broker._run("CLIENT", "KILL", "TYPE", "pubsub")
            await wait_for_async(lambda: len(rounds) > before, what=number)  # noqa: B023  waited for here


async def test_an_event_that_is_none_is_passed_over(record: SessionRecord, broker: Broker) -> None:
    async with Running(record) as running:
        await heard(broker, EventType.EXECUTOR_STARTED)
        for junk in ("", "[1]", "{}", '{"type": "nothing.known"}', "[" * 100_000):
            await broker._run("PUBLISH", broker.keys.live, junk)
        await wait_for_async(lambda: _again(broker, record), what="the next event")
        assert not running.task.done()
        assert "watch.failed" not in _log(record)


async def test_without_watches_it_tries_again_more_and_more_rarely(
    record: SessionRecord, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests = []
    tried = asyncio.Event()

    def fail(*_: Any) -> Any:
        raise OSError("OS file watch limit reached")

    async def pause(_: asyncio.Event, most_s: float) -> None:
        rests.append(most_s)
        if len(rests) == 8:
            tried.set()
            await asyncio.Future[None]()

    monkeypatch.setattr(orchestrator, "changes", fail)
    monkeypatch.setattr(orchestrator, "_pause", pause)
    async with Running(record) as running:
        await asyncio.wait_for(tried.wait(), 20)
        assert not running.task.done()
    assert rests == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert "redis.failed" not in _log(record)
    assert "OS file watch limit reached" in _log(record)


STUCK = """
import sys, threading
from taco import orchestrator
orchestrator.END_S = 1.0
class Stuck(orchestrator.Executor):
    async def close(self):
        while True:
            try:
                await orchestrator.asyncio.sleep(60)
            except orchestrator.asyncio.CancelledError:
                pass
orchestrator.Executor = Stuck
sys.exit(orchestrator.run(sys.argv[1]))
"""


async def test_one_that_hangs_at_its_end_is_gone_soon(record: SessionRecord, broker: Broker) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, record.name],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    try:
        await heard(broker, EventType.EXECUTOR_STARTED)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 20) == 1
        assert "executor.stuck" in _log(record)
    finally:
        process.kill()
        process.wait()


async def test_services_are_looked_at_while_a_session_runs(record: SessionRecord, broker: Broker) -> None:
    with a_web() as web:
        async with Running(record):
            await heard(broker, EventType.EXECUTOR_STARTED)
            assert (await broker.session_fields())["port_range"] == Config().port_range
            await broker.put_service(Service("front", web.url(), web.port, owner="person"))
            await wait_for_async(lambda: _health(broker, "healthy"), what="healthy")
            web.down()
            await wait_for_async(lambda: _health(broker, "down"), what="down")


async def _health(broker: Broker, wanted: str) -> bool:
    return [each.health for each in await broker.services()] == [wanted]
