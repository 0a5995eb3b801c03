"""The monitor over a real Redis, and over the twin of the broker that ships with the package."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from taco import redis_server
from taco.broker import Broker
from taco.errors import BrokerError, ConflictError, NotFoundError, TacoError, TmuxError
from taco.models import (
    Agent,
    AgentState,
    AgentStatus,
    Ask,
    Command,
    CommandState,
    Event,
    EventType,
    Evidence,
    Incarnation,
    Level,
    Outcome,
    QueueCounts,
    Service,
    from_iso,
)
from taco.monitor.app import MonitorApp
from taco.monitor.rate import minute
from taco.monitor.session_source import SHOWN, SessionSource
from taco.paths import SessionRecord
from taco.testing import MemoryBroker
from tests.monitor.data import NOW
from tests.monitor.screens import rows_of
from tests.support.waiting import wait_for_async

AT = "2026-03-14T12:34:00.000Z"
RECORD = SessionRecord(
    "todo",
    Path("/nowhere"),
    status="running",
    prompt="from disk",
    provider="claude",
    started_at=AT,
    project_dir=Path("/p"),
)
AGENTS = (
    Agent(0, "mother", status=AgentStatus.RUNNING, provider="claude"),
    Agent(3, "be", "builds", AgentStatus.RUNNING, "claude", state=AgentState(Level.BUSY, "", NOW - 60, "hook")),
    Agent(4, "fe", "paints", AgentStatus.RUNNING, "claude"),
)


@pytest.fixture(params=["redis", "twin"])
async def broker(request: pytest.FixtureRequest, taco_home: Path) -> AsyncIterator[Broker]:
    """A session with three agents."""
    if request.param == "redis":
        found = await Broker.connect((await asyncio.to_thread(redis_server.ensure, taco_home)).url, "todo")
    else:
        found = await MemoryBroker.connect("", "todo")
    for agent in AGENTS:
        await found.put_agent(agent)
    yield found
    await found.close()
    await asyncio.to_thread(redis_server.stop, taco_home)


async def wrong() -> str:
    return "it is down"


def source_of(connect: Callable[[], Awaitable[Broker]], jumps: list[int] | None = None) -> SessionSource:
    """A source that writes jumps down."""

    async def jump(window: int) -> None:
        assert jumps is not None
        jumps.append(window)

    return SessionSource(RECORD, connect, jump=jump, supervise=wrong)


def over(broker: Broker, jumps: list[int] | None = None) -> SessionSource:
    """A source over a broker that is there."""

    async def connect() -> Broker:
        return broker

    return source_of(connect, jumps)


async def test_an_empty_session_is_what_the_disk_says(broker: Broker) -> None:
    seen = await over(broker).snapshot()
    assert (seen.session, seen.status, seen.prompt, seen.provider) == ("todo", "running", "from disk", "claude")
    assert (seen.project_dir, seen.started_at, seen.demo, seen.yolo) == ("/p", AT, False, False)
    assert [agent.name for agent in seen.agents] == ["mother", "be", "fe"]
    assert seen.counts == QueueCounts()
    assert (seen.asks, seen.services, seen.executor_age_s) == ((), (), None)


async def test_everything_that_redis_knows(broker: Broker) -> None:
    source = over(broker)
    await broker.put_session({"status": "review", "prompt": "build it", "provider": "demo", "yolo": "1"})
    await broker.put_spec({"status": "review", "json": "{}"})
    await broker.put_service(Service("web", "http://localhost:1", 1, "ok", "fe"))
    await broker.open_ask(Ask("q1", "fe", "which colour?", AT))
    await broker.claim("me", 60_000)
    await broker.renew("me", 60_000, 1)
    await broker.enqueue(Command("c1", "be", "fe", "API ready\nsee docs", timestamp=AT))
    await broker.enqueue(Command("c2", "person", "fe", "hurry", timestamp=AT))
    seen = await source.snapshot()
    assert (seen.status, seen.prompt, seen.demo, seen.yolo) == ("review", "build it", True, True)
    assert seen.spec["json"] == "{}"
    assert [service.name for service in seen.services] == ["web"]
    assert [ask.question for ask in seen.asks] == ["which colour?"]
    assert seen.executor_age_s is not None
    assert seen.executor_age_s > 10
    assert seen.queues["fe"].depth == 2
    assert seen.counts.pending == 2
    assert seen.last_messages["fe"] == "← person: hurry"
    assert seen.last_messages["be"].startswith("→ fe: API ready")


async def test_what_is_worked_on_and_how_many_were_sent(broker: Broker) -> None:
    source = over(broker)
    await broker.enqueue(Command("c1", "be", "fe", "API ready", timestamp=AT))
    waiting = (await broker.heads("fe")).head
    assert waiting is not None
    assert (await source.snapshot()).work == {}
    assert await broker.begin(waiting, Incarnation(1, 2, "%1", 3))
    await broker.typed(waiting, AT)
    assert await broker.entered(waiting, AT, 1, -1)
    await broker.emit(Event(EventType.PERSON_MESSAGE, "todo", ts="2026-03-14T12:35:59.000Z", agent="be", content="hi"))
    await broker.emit(Event(EventType.PERSON_MESSAGE, "todo", ts="never", agent="be", content="hi"))
    seen = await source.snapshot()
    assert seen.work == {"fe": "be: API ready"}
    assert seen.minutes == {minute(from_iso(AT)): 1, minute(from_iso(AT)) + 1: 1}


async def test_minutes_of_long_ago_are_forgotten(broker: Broker) -> None:
    source = over(broker)
    await broker.enqueue(Command("c1", "be", "fe", "old", timestamp="2026-03-14T10:00:00.000Z"))
    await source.snapshot()
    await broker.enqueue(Command("c2", "be", "fe", "new", timestamp=AT))
    assert (await source.snapshot()).minutes == {minute(from_iso(AT)): 1}


async def test_what_the_person_sends_is_a_message_of_the_persons(broker: Broker) -> None:
    source = over(broker)
    (own,) = await source.send(["fe"], "use port 3")
    both = await source.send(["be", "fe"], "commit")
    assert [each.rpartition("-")[2] for each in both] == ["be", "fe"]
    ledger = await broker.ledger(own)
    assert ledger is not None
    assert (ledger.sender, ledger.target, ledger.preview) == ("person", "fe", "use port 3")
    assert (await source.snapshot()).counts.pending == 3
    with pytest.raises(NotFoundError):
        await source.send(["nobody"], "x")
    with pytest.raises(TacoError, match=r"not sent to nobody: .*; 2 others have it"):
        await source.send(["be", "nobody", "fe"], "x")
    assert (await source.snapshot()).counts.pending == 5


async def test_wishes_are_left_as_the_command_leaves_them(broker: Broker) -> None:
    source = over(broker)
    await source.ask_for("pause", "fe")
    ((request,),) = [list((await broker.requests()).values())]
    assert (request["verb"], request["agent"]) == ("pause", "fe")
    (event,) = (await source.snapshot()).events
    assert (event.type, event.agent, event.content) == (EventType.AGENT_REQUESTED, "fe", "pause")


async def test_an_answer_reaches_the_agent_as_a_message(broker: Broker) -> None:
    source = over(broker)
    await broker.open_ask(Ask("q1", "fe", "which colour?", AT))
    message = await source.answer("q1", "blue")
    ledger = await broker.ledger(message)
    assert ledger is not None
    assert "blue" in ledger.preview
    assert (await source.snapshot()).asks == ()
    with pytest.raises(NotFoundError, match="q1 is not open"):
        await source.answer("q1", "green")


async def test_letters_are_sent_again_or_dropped(broker: Broker) -> None:
    source = over(broker)
    for name in ("c1", "c2"):
        await broker.enqueue(Command(name, "be", "fe", name, timestamp=AT))
        waiting = (await broker.heads("fe")).head
        assert waiting is not None
        await broker.begin(waiting, Incarnation(1, 2, "%1", 3))
        await broker.finish(waiting, Outcome(CommandState.DEAD, None, "gone"), AT)
    await source.drop("c1")
    await source.retry("c2")
    assert (await source.letters()).dead == ()
    assert (await source.snapshot()).counts.pending == 1
    with pytest.raises(NotFoundError):
        await source.drop("c9")


async def test_only_the_plan_that_was_shown_is_decided(broker: Broker) -> None:
    source = over(broker)
    await broker.put_spec({"status": "review", "mark": "m1", "json": "{}"})
    with pytest.raises(ConflictError):
        await source.decide("m0", approved=True)
    await source.decide("m1", approved=False, reason="too big")
    assert (await broker.spec_fields())["reason"] == "too big"
    with pytest.raises(ConflictError):
        await source.decide("m1", approved=True)
    await broker.put_spec({"status": "review"})
    await source.decide("m1", approved=True)
    fields = await broker.spec_fields()
    assert (fields["status"], fields["reviewed"]) == ("approved", "m1")


async def test_the_persons_messages_and_the_screens_of_those_that_wait(broker: Broker) -> None:
    async def screen(agent: Agent) -> list[str]:
        if agent.name == "be":
            raise TmuxError("gone")
        return [f"screen of {agent.name}"]

    async def prefix() -> str:
        raise TmuxError("gone")

    async def connect() -> Broker:
        return broker

    async def jump(_window: int) -> None:
        return None

    source = SessionSource(RECORD, connect, jump=jump, supervise=wrong, screen=screen, prefix=prefix)
    await broker.emit(
        Event(EventType.PERSON_MESSAGE, "todo", ts=AT, agent="be", content="hi", data={"message": "hi you"})
    )
    assert [(note.sender, note.text) for note in await source.notes()] == [("be", "hi you")]
    assert await source.screens(AGENTS[1:]) == {"fe": ["screen of fe"]}
    assert await source.prefix() == ""
    assert await over(broker).screens(AGENTS[:1]) == {"mother": ()}


async def test_events_are_read_once_and_go_on(broker: Broker) -> None:
    source = over(broker)
    for at in range(SHOWN + 5):
        await broker.emit(Event(EventType.AGENT_STATE, "todo", ts=AT, agent="be", content=str(at)))
    assert [event.content for event in (await source.snapshot()).events][-1] == str(SHOWN + 4)
    await broker.emit(Event(EventType.PERSON_MESSAGE, "todo", ts=AT, agent="be", content="hi", data={"sender": "be"}))
    seen = await source.snapshot()
    assert len(seen.events) == SHOWN
    assert [event.content for event in seen.events[-2:]] == [str(SHOWN + 4), "hi"]
    assert seen.last_messages["be"] == "→ person: hi"


async def test_letters(broker: Broker) -> None:
    for id_, state in (("c1", CommandState.DEAD), ("c2", CommandState.UNCONFIRMED), ("c3", CommandState.DELIVERED)):
        await broker.enqueue(Command(id_, "be", "fe", f"text of {id_}", timestamp=AT))
        waiting = (await broker.heads("fe")).head
        assert waiting
        await broker.begin(waiting, Incarnation(1, 1, "%1", 1))
        await broker.typed(waiting, AT)
        await broker.entered(waiting, AT, 1, -1)
        await broker.finish(waiting, Outcome(state, Evidence.HOOK, "so it goes"), AT)
    letters = await over(broker).letters()
    assert [letter["message"] for letter in letters.dead] == ["text of c1"]
    assert [letter["id"] for letter in letters.unconfirmed] == ["c2"]
    assert letters.dead[0]["reason"] == "so it goes"


async def test_events_as_they_happen(broker: Broker) -> None:
    live = over(broker).live()
    first = asyncio.ensure_future(anext(live))

    async def heard() -> bool:
        await broker.emit(Event(EventType.AGENT_STATE, "todo", ts=AT, agent="be", content="busy"))
        return first.done()

    await wait_for_async(heard)
    assert (await first).content == "busy"
    await live.aclose()


async def test_what_is_injected_is_called(broker: Broker) -> None:
    jumps: list[int] = []
    source = over(broker, jumps)
    await source.jump(4)
    assert (jumps, await source.supervise()) == ([4], "it is down")


async def test_a_fresh_heartbeat_needs_no_supervision(broker: Broker) -> None:
    source = over(broker)
    await broker.claim("me", 60_000)
    await broker.renew("me", 60_000, int(time.time() * 1000))
    await broker.put_session({"executor_pid": str(os.getpid())})
    await source.snapshot()
    assert await source.supervise() == ""
    await broker.put_session({"executor_pid": str(2**22 + 1)})  # above the largest pid there is
    await source.snapshot()
    assert await source.supervise() == "it is down"
    await broker.put_session({"executor_pid": str(os.getpid())})
    await broker.renew("me", 60_000, int(time.time() * 1000) - 6_000)
    await source.snapshot()
    assert await source.supervise() == "it is down"


async def test_it_connects_when_redis_is_there() -> None:
    attempts = []

    async def connect() -> Broker:
        attempts.append(1)
        raise BrokerError("nobody there")

    source = source_of(connect)
    for _ in range(2):
        with pytest.raises(BrokerError):
            await source.snapshot()
    assert len(attempts) == 2
    await source.close()


async def test_the_monitor_survives_a_redis_that_is_killed(redis_binary: Path, taco_home: Path) -> None:
    server = await asyncio.to_thread(redis_server.ensure, taco_home)
    source = source_of(lambda: Broker.connect(server.url, "todo"))
    writer = await Broker.connect(server.url, "todo")
    for agent in AGENTS:
        await writer.put_agent(agent)
    app = MonitorApp(source, now=lambda: NOW)
    async with app.run_test(size=(80, 24)):
        await wait_for_async(lambda: "● busy hook" in _text(app))
        await asyncio.to_thread(redis_server.stop, taco_home)
        await wait_for_async(lambda: "Redis is gone" in _text(app))
        await asyncio.to_thread(redis_server.ensure, taco_home)
        await wait_for_async(lambda: "Redis is gone" not in _text(app), what=lambda: _text(app))
        await writer.enqueue(Command("c9", "be", "fe", "are you back?", timestamp=AT))
        await wait_for_async(lambda: "[be → fe] are you back?" in _text(app), what=lambda: _text(app))
    await writer.close()
    await source.close()
    await asyncio.to_thread(redis_server.stop, taco_home)


def _text(app: MonitorApp) -> str:
    return "\n".join(rows_of(app.export_screenshot()))
