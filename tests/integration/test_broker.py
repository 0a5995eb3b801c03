"""What every broker keeps to: the one over Redis (of PATH, and the embedded 6.2) and its twin in memory."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taco import keys, redis_server
from taco.broker import Broker
from taco.errors import BrokerError, ConflictError, NotFoundError, QueueFullError, TacoError, UsageError
from taco.models import (
    FINAL_STATES,
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
    Priority,
    Service,
    When,
    iso,
)
from taco.records import Waiting
from taco.testing import MemoryBroker
from tests.support.redis import KINDS, redis_program
from tests.support.waiting import wait_for_async

AnyBroker = Broker | MemoryBroker
INTENT = Incarnation(1, 1_700_000_000, "%5", 99)
AT = "2026-01-01T00:00:00.000Z"
LATER = "2026-01-01T00:00:01.000Z"
DELIVERED = Outcome(CommandState.DELIVERED, Evidence.HOOK)
DEAD = Outcome(CommandState.DEAD, reason="no pane")
FINAL = sorted(FINAL_STATES)


@pytest.fixture(params=[*KINDS, "memory"])
def url(request: pytest.FixtureRequest, taco_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the broker's Redis is; empty for the twin."""
    if request.param == "memory":
        yield ""
        return
    monkeypatch.setenv("TACO_REDIS_SERVER", str(redis_program(request.param)))
    yield redis_server.ensure(taco_home).url
    redis_server.stop(taco_home)


@pytest.fixture
async def broker(url: str) -> AsyncIterator[AnyBroker]:
    """A session with Mother and two agents, `be` and `fe`."""
    broker = await (Broker.connect(url, "demo") if url else MemoryBroker.connect("", "demo"))
    for window, name in enumerate(["mother", "be", "fe"]):
        await broker.put_agent(Agent(window + (2 if window else 0), name, status=AgentStatus.RUNNING))
    yield broker
    await broker.close()


def command(
    id_: str,
    target: str = "be",
    message: str = "hello",
    *,
    sender: str = "person",
    priority: Priority = Priority.NORMAL,
    when: When = When.IDLE,
) -> Command:
    return Command(id_, sender, target, message, priority, when, AT)


async def head(broker: AnyBroker, agent: str = "be") -> Waiting:
    found = (await broker.heads(agent)).head
    assert found is not None
    return found


async def head_id(broker: AnyBroker, agent: str = "be") -> str:
    found = (await broker.heads(agent)).head
    return found.command.id if found else ""


async def typed(broker: AnyBroker, agent: str = "be") -> Waiting:
    waiting = await head(broker, agent)
    assert await broker.begin(waiting, INTENT)
    await broker.typed(waiting, AT)
    return await head(broker, agent)


async def types(broker: AnyBroker) -> list[str]:
    return [str(event.type) for event in await broker.events()]


async def adds_up(broker: AnyBroker) -> bool:
    """Whether every command that was ever queued is accounted for."""
    counters = await broker.counters()
    ended = (keys.EXECUTED, keys.UNCONFIRMED, keys.DEAD, keys.CANCELLED, keys.REJECTED)
    waiting = sum((await broker.waiting_agents()).values())
    return counters.get(keys.ENQUEUED, 0) == sum(counters.get(name, 0) for name in ended) + waiting


def test_the_twin_has_the_same_methods() -> None:
    def methods(class_: type) -> dict[str, inspect.Signature]:
        found = inspect.getmembers(class_, inspect.isroutine)
        return {name: inspect.signature(method) for name, method in found if not name.startswith("_")}

    assert methods(MemoryBroker) == methods(Broker)


# session, spec, agents


async def test_the_session_and_its_spec_are_hashes(broker: AnyBroker) -> None:
    await broker.put_session({"project_dir": "/p", "prompt": "büild"})
    await broker.put_session({"status": "running"})
    assert await broker.session_fields() == {"project_dir": "/p", "prompt": "büild", "status": "running"}
    await broker.put_spec({"status": "proposed"})
    await broker.put_spec({})
    assert await broker.spec_fields() == {"status": "proposed"}


async def test_agents_are_listed_by_window(broker: AnyBroker) -> None:
    state = AgentState(Level.BUSY, "", 1_700_000_000.5, "hook")
    await broker.put_agent(Agent(12, "qa", wait_for=("be", "fe"), state=state, paused=True))
    listed = await broker.agents()
    assert [agent.name for agent in listed] == ["mother", "be", "fe", "qa"]
    assert (listed[3].wait_for, listed[3].state, listed[3].paused) == (("be", "fe"), state, True)


async def test_a_field_of_an_agent_changes_alone(broker: AnyBroker) -> None:
    await broker.set_agent(3, {"pane": "%7", "status": "failed"})
    await broker.set_agent(3, {})
    await broker.set_agent(77, {"pane": "%7"})
    listed = await broker.agents()
    assert (listed[1].pane, listed[1].status, listed[1].name) == ("%7", AgentStatus.FAILED, "be")
    assert len(listed) == 3


async def test_a_window_or_a_name_is_used_once(broker: AnyBroker) -> None:
    await broker.put_agent(Agent(3, "backend"))
    await broker.put_agent(Agent(9, "fe"))
    assert [(agent.window, agent.name) for agent in await broker.agents()] == [(0, "mother"), (3, "backend"), (9, "fe")]
    with pytest.raises(NotFoundError):
        await broker.enqueue(command("c1", "be"))


async def test_active_agents_are_counted_without_mother(broker: AnyBroker) -> None:
    async def active() -> int:
        return (await broker.counters())[keys.ACTIVE_AGENTS]

    assert await active() == 2
    await broker.put_agent(Agent(5, "qa", status=AgentStatus.PLANNED))
    assert await active() == 2
    await broker.set_agent(5, {"status": "starting"})
    assert await active() == 3
    await broker.set_agent(5, {"status": "running"})
    await broker.report("be", failed=False, text="", at=AT)
    assert await active() == 2
    await broker.remove_agent(5)
    assert await active() == 1


async def test_reports(broker: AnyBroker) -> None:
    await broker.report("be", failed=False, text="all tests pass", at=AT)
    await broker.report("fe", failed=True, text="no node", at=LATER)
    _, be, fe = await broker.agents()
    assert (be.status, be.done, be.failed, be.reported_at) == (AgentStatus.DONE, "all tests pass", "", AT)
    assert (fe.status, fe.done, fe.failed, fe.reported_at) == (AgentStatus.FAILED, "", "no node", LATER)
    assert await types(broker) == ["agent.done", "agent.failed"]
    with pytest.raises(NotFoundError):
        await broker.report("nobody", failed=False, text="", at=AT)


# enqueue


async def test_a_command_is_stored_once(broker: AnyBroker) -> None:
    assert await broker.enqueue(command("c1"))
    assert not await broker.enqueue(command("c1"))
    assert await broker.waiting_agents() == {"be": 1}
    assert (await broker.counters())[keys.ENQUEUED] == 1
    assert await types(broker) == ["command.queued"]


@pytest.mark.parametrize(
    "other",
    [command("c1", message="bye"), command("c1", sender="fe"), command("c1", "fe")],
    ids=["message", "sender", "target"],
)
async def test_the_same_id_with_another_body_is_an_error(broker: AnyBroker, other: Command) -> None:
    await broker.enqueue(command("c1"))
    with pytest.raises(ConflictError, match="c1"):
        await broker.enqueue(other)
    assert await broker.waiting_agents() == {"be": 1}


async def test_an_id_stays_known_after_its_end(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await broker.finish(await head(broker), DELIVERED, AT)
    assert not await broker.enqueue(command("c1"))
    assert await broker.waiting_agents() == {}


async def test_nobody_is_no_target(broker: AnyBroker) -> None:
    for name in ("nobody", "person"):
        with pytest.raises(NotFoundError, match=name):
            await broker.enqueue(command("c1", name))
    assert await broker.ledger("c1") is None
    assert await adds_up(broker)


async def test_mother_is_a_target(broker: AnyBroker) -> None:
    assert await broker.enqueue(command("c1", "mother", sender="be"))
    assert await head_id(broker, "mother") == "c1"


async def test_what_a_ledger_says_first(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1", message="ü" * 300, priority=Priority.HIGH, when=When.NOW))
    ledger = await broker.ledger("c1")
    assert ledger is not None
    assert (ledger.state, ledger.priority, ledger.when) == (CommandState.QUEUED, Priority.HIGH, When.NOW)
    assert (ledger.queued_at, ledger.preview, ledger.attempts) == (AT, "ü" * 200, 0)
    assert await broker.ledger("c2") is None


async def test_a_command_without_a_time_gets_one(broker: AnyBroker) -> None:
    before = iso(time.time())
    await broker.enqueue(Command("c1", "person", "be", "x"))
    assert before <= (await head(broker)).command.timestamp <= iso(time.time())


@pytest.mark.parametrize(
    "text",
    ["", "a\nb\0c", "日本語 🚀 'quotes' \"%s\" {x} $HOME", "x" * 1_000_000],
    ids=["empty", "control", "odd", "1 MB"],
)
async def test_any_text_comes_back_as_it_was(broker: AnyBroker, text: str) -> None:
    await broker.enqueue(command("c1", message=text))
    assert (await head(broker)).command.message == text


async def test_too_long_a_text_is_refused(broker: AnyBroker) -> None:
    with pytest.raises(UsageError):
        await broker.enqueue(command("c1", message="x" * 1_048_577))


async def test_a_queue_has_a_limit_that_urgent_commands_pass(broker: AnyBroker) -> None:
    await broker.put_session({"queue_limit": "2"})
    for id_ in ("c1", "c2"):
        await broker.enqueue(command(id_, sender=f"agent_{id_}"))
    with pytest.raises(QueueFullError, match=r"be.*2"):
        await broker.enqueue(command("c3", sender="fe"))
    assert await broker.enqueue(command("c4", priority=Priority.HIGH))
    assert await broker.enqueue(command("c5", "fe"))
    for _ in range(2):
        await broker.finish(await head(broker), DELIVERED, AT)
    assert await broker.enqueue(command("c3", sender="fe"))


async def test_a_sender_has_a_limit_of_its_own(broker: AnyBroker) -> None:
    await broker.put_session({"sender_limit": "2"})
    for id_ in ("c1", "c2"):
        await broker.enqueue(command(id_, sender="fe"))
    with pytest.raises(QueueFullError, match="fe has 2"):
        await broker.enqueue(command("c3", sender="fe"))
    assert await broker.enqueue(command("c4"))
    assert await broker.enqueue(command("c5", sender="fe", priority=Priority.HIGH))
    await broker.finish(await head(broker), DELIVERED, AT)
    await broker.finish(await head(broker), DELIVERED, AT)
    assert await broker.enqueue(command("c3", sender="fe"))


# heads


async def test_an_empty_queue_has_no_heads(broker: AnyBroker) -> None:
    heads = await broker.heads("be")
    assert (heads.head, heads.now) == (None, None)


async def test_order_is_by_priority_then_age(broker: AnyBroker) -> None:
    for id_, priority in [("l", "low"), ("n1", "normal"), ("n2", "normal"), ("h1", "high"), ("h2", "high")]:
        await broker.enqueue(command(id_, priority=Priority(priority)))
    seen = []
    while id_ := await head_id(broker):
        seen.append(id_)
        assert await broker.finish(await head(broker), DELIVERED, AT)
    assert seen == ["h1", "h2", "n1", "n2", "l"]


async def test_now_is_the_first_of_those_that_may_interrupt(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    assert (await broker.heads("be")).now is None
    await broker.enqueue(command("low", priority=Priority.LOW, when=When.NOW))
    await broker.enqueue(command("n1", when=When.NOW))
    await broker.enqueue(command("n2", when=When.NOW))
    heads = await broker.heads("be")
    assert heads.head and heads.now
    assert (heads.head.command.id, heads.now.command.id) == ("c1", "n1")
    await broker.finish(heads.now, DELIVERED, AT)
    await broker.finish(heads.head, DELIVERED, AT)
    heads = await broker.heads("be")
    assert heads.head == heads.now
    assert await head_id(broker) == "n2"
    await broker.cancel("n2")
    heads = await broker.heads("be")
    assert heads.now is not None
    assert heads.now.command.id == "low"


async def test_what_is_typed_is_finished_before_anything_urgent(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await typed(broker)
    await broker.enqueue(command("c2", priority=Priority.HIGH))
    assert await head_id(broker) == "c1"
    await broker.finish(await head(broker), DELIVERED, AT)
    assert await head_id(broker) == "c2"


async def test_what_may_be_typed_is_looked_at_first(broker: AnyBroker) -> None:
    """After `begin` a kill leaves open whether it was typed."""
    await broker.enqueue(command("c1"))
    await broker.begin(await head(broker), INTENT)
    await broker.enqueue(command("c2", priority=Priority.HIGH))
    assert await head_id(broker) == "c1"
    assert (await head(broker)).ledger.intent == INTENT


async def test_agents_do_not_see_each_other(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1", "be"))
    await broker.enqueue(command("c2", "fe"))
    assert (await head_id(broker, "be"), await head_id(broker, "fe")) == ("c1", "c2")
    assert await broker.waiting_agents() == {"be": 1, "fe": 1}


# begin, typed, entered


async def test_the_life_of_a_command(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    waiting = await head(broker)
    assert await broker.begin(waiting, INTENT)
    await broker.typed(waiting, AT)
    assert await broker.entered(waiting, LATER, 1, 500)
    ledger = (await head(broker)).ledger
    assert (ledger.state, ledger.attempts, ledger.enters) == (CommandState.ENTERED, 1, 1)
    assert (ledger.typed_at, ledger.entered_at, ledger.transcript_mark) == (AT, LATER, 500)
    assert (await broker.counts()).processing == 1
    assert await broker.finish(waiting, DELIVERED, LATER)
    last = await broker.ledger("c1")
    assert last is not None
    assert (last.state, last.evidence, last.delivered_at) == (CommandState.DELIVERED, Evidence.HOOK, LATER)
    assert await types(broker) == ["command.queued", "command.typed", "command.entered", "command.delivered"]
    counters = await broker.counters()
    assert (counters[keys.EXECUTED], counters[keys.DELIVERED_BY + "hook"]) == (1, 1)
    counts = await broker.counts()
    assert (counts.pending, counts.processing, counts.completed) == (0, 0, 1)
    assert await broker.completed() != []


async def test_only_what_waits_may_be_typed(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    waiting = await typed(broker)
    assert not await broker.begin(waiting, INTENT)
    await broker.finish(waiting, DELIVERED, AT)
    assert not await broker.begin(waiting, INTENT)


async def test_one_command_at_a_time_is_under_way(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await broker.enqueue(command("c2", when=When.NOW))
    heads = await broker.heads("be")
    assert heads.head and heads.now
    await broker.begin(heads.head, INTENT)
    await broker.typed(heads.head, AT)
    assert not await broker.begin(heads.now, INTENT)


async def test_one_that_may_interrupt_overtakes_one_that_is_not_begun(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await broker.enqueue(command("c2", when=When.NOW))
    heads = await broker.heads("be")
    assert heads.head and heads.now
    await broker.begin(heads.head, INTENT)
    assert not await broker.begin(heads.now, INTENT)
    await broker.undo(heads.head)
    assert await broker.begin(heads.now, INTENT)
    assert await head_id(broker) == "c2"


async def test_begin_is_taken_back(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    waiting = await head(broker)
    await broker.begin(waiting, INTENT)
    await broker.undo(waiting)
    await broker.undo(waiting)
    ledger = (await head(broker)).ledger
    assert (ledger.state, ledger.attempts, ledger.intent) == (CommandState.QUEUED, 0, None)
    await broker.enqueue(command("c2", priority=Priority.HIGH))
    assert await head_id(broker) == "c2"
    assert (await broker.counters()).get(keys.FAILED, 0) == 0


async def test_the_time_and_the_mark_of_the_first_enter_count(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    waiting = await typed(broker)
    assert await broker.entered(waiting, AT, 1, 100)
    assert await broker.entered(waiting, LATER, 2, 200)
    ledger = (await head(broker)).ledger
    assert (ledger.entered_at, ledger.transcript_mark, ledger.enters) == (AT, 100, 2)


async def test_an_announced_enter_is_taken_back(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    waiting = await typed(broker)
    await broker.refused(waiting)
    await broker.entered(waiting, AT, 1, 100)
    await broker.refused(waiting)
    ledger = (await head(broker)).ledger
    assert (ledger.state, ledger.entered_at, ledger.enters) == (CommandState.TYPED, "", 0)
    assert ledger.transcript_mark == -1
    assert (await broker.counts()).processing == 1


async def test_typed_and_entered_do_not_wake_the_dead(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    waiting = await head(broker)
    await broker.finish(waiting, DEAD, AT)
    before = await types(broker)
    await broker.typed(waiting, LATER)
    assert not await broker.entered(waiting, LATER, 1, -1)
    await broker.failed(waiting, "x")
    await broker.requeue(waiting, "x")
    await broker.held("be", "c1", "busy")
    ledger = await broker.ledger("c1")
    assert ledger is not None
    assert (ledger.state, ledger.typed_at, ledger.hold) == (CommandState.DEAD, "", "")
    assert [type_ for type_ in await types(broker) if type_ != "command.held"] == before


# requeue, failed, held


async def test_a_requeued_command_keeps_its_place(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await broker.enqueue(command("c2"))
    waiting = await typed(broker)
    await broker.requeue(waiting, "it vanished")
    again = await head(broker)
    assert (again.command.id, again.command.retry_count, again.entry_id) == ("c1", 1, waiting.entry_id)
    assert (again.ledger.state, again.ledger.intent, again.ledger.typed_at) == (CommandState.QUEUED, None, "")
    assert again.ledger.attempts == 1
    assert (await broker.counters())[keys.FAILED] == 1
    assert (await broker.counts()).processing == 0
    assert (await broker.events())[-1].type is EventType.COMMAND_RETRIED
    assert await broker.begin(again, INTENT)


async def test_what_was_entered_is_never_queued_again(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    waiting = await typed(broker)
    await broker.entered(waiting, AT, 1, -1)
    await broker.requeue(waiting, "x")
    await broker.undo(waiting)
    assert (await head(broker)).ledger.state is CommandState.ENTERED


async def test_a_failed_attempt_is_counted(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    waiting = await head(broker)
    await broker.begin(waiting, INTENT)
    await broker.failed(waiting, "tmux is gone")
    again = await head(broker)
    assert (again.command.retry_count, again.ledger.intent) == (1, INTENT)
    last = (await broker.events())[-1]
    assert (last.type, last.content) == (EventType.COMMAND_RETRIED, "tmux is gone")
    assert (await broker.counts()).failed == 1


async def test_a_hold_is_told_once(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    for _ in range(3):
        await broker.held("be", "c1", "busy")
    ledger = await broker.ledger("c1")
    assert ledger is not None
    assert ledger.hold == "busy"
    assert (await broker.agents())[1].hold == "busy"
    assert (await broker.queues())["be"].hold == "busy"
    await broker.held("be", "c1", "a draft")
    await broker.held("be", "", "paused")
    held = [event for event in await broker.events() if event.type is EventType.COMMAND_HELD]
    assert [event.content for event in held] == ["busy", "a draft", "paused"]


async def test_a_hold_ends(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await broker.enqueue(command("c2", "fe"))
    await broker.held("be", "c1", "busy")
    await broker.held("fe", "c2", "busy")
    await broker.held("fe", "c2", "")
    waiting = await typed(broker)
    assert waiting.ledger.hold == ""
    assert [agent.hold for agent in await broker.agents()] == ["", "", ""]
    assert (await types(broker)).count("command.held") == 2


async def test_a_hold_ends_with_its_command(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await broker.held("be", "c1", "busy")
    await broker.cancel("c1")
    assert (await broker.agents())[1].hold == ""


# finish, retry, drop, cancel


@pytest.mark.parametrize("state", ["delivered", "unconfirmed", "dead", "cancelled", "rejected"])
async def test_every_end_is_counted_and_told(broker: AnyBroker, state: str) -> None:
    await broker.enqueue(command("c1"))
    outcome = Outcome(CommandState(state), Evidence.SCREEN if state == "delivered" else None, "because")
    waiting = await head(broker)
    assert await broker.finish(waiting, outcome, AT)
    assert not await broker.finish(waiting, DELIVERED, AT)
    assert await types(broker) == ["command.queued", f"command.{state}"]
    kept = {"dead": broker.dead_letters, "unconfirmed": broker.unconfirmed}.get(state, broker.completed)
    [entry] = await kept()
    assert (entry["id"], entry["state"], entry["reason"], entry["at"]) == ("c1", state, "because", AT)
    assert (entry["sender"], entry["target"]) == ("person", "be")
    assert await broker.waiting_agents() == {}
    assert await adds_up(broker)


async def test_dead_letters_keep_their_text_newest_first(broker: AnyBroker) -> None:
    for id_ in ("c1", "c2", "c3"):
        await broker.enqueue(command(id_, message=f"text of {id_}"))
        await broker.finish(await head(broker), DEAD, AT)
    letters = await broker.dead_letters(2)
    assert [(letter["id"], letter["message"]) for letter in letters] == [("c3", "text of c3"), ("c2", "text of c2")]


@pytest.mark.parametrize("state", [CommandState.DEAD, CommandState.UNCONFIRMED])
async def test_retry_queues_again_as_the_last(broker: AnyBroker, state: CommandState) -> None:
    await broker.enqueue(command("c1", message="text", when=When.NOW))
    waiting = await typed(broker)
    await broker.finish(waiting, Outcome(state, reason="x"), AT)
    await broker.enqueue(command("c2"))
    again = await broker.retry("c1")
    assert (again.id, again.message, again.when, again.retry_count) == ("c1", "text", When.NOW, 0)
    assert await head_id(broker) == "c2"
    heads = await broker.heads("be")
    assert heads.now is not None
    ledger = heads.now.ledger
    assert (ledger.id, ledger.state, ledger.attempts, ledger.reason) == ("c1", CommandState.QUEUED, 0, "")
    assert (ledger.typed_at, ledger.intent) == ("", None)
    counts = await broker.counts()
    assert (counts.pending, counts.dead, counts.unconfirmed) == (2, 0, 0)
    assert await adds_up(broker)
    assert not await broker.finish(waiting, DELIVERED, AT), "of the time before"
    assert not await broker.enqueue(command("c1", message="text", when=When.NOW)), "still the same command"


async def test_only_what_failed_is_retried(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    with pytest.raises(ConflictError, match="queued"):
        await broker.retry("c1")
    await broker.finish(await head(broker), DELIVERED, AT)
    with pytest.raises(ConflictError, match="delivered"):
        await broker.retry("c1")
    with pytest.raises(NotFoundError):
        await broker.retry("nothing")


async def test_a_dropped_letter_is_gone(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await broker.finish(await head(broker), DEAD, AT)
    await broker.drop("c1")
    assert await broker.dead_letters() == []
    assert (await broker.events())[-1].type is EventType.COMMAND_DROPPED
    for again in (broker.drop, broker.retry):
        with pytest.raises(NotFoundError, match="not kept"):
            await again("c1")
    assert await adds_up(broker)


async def test_drop_cancels_what_waits(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await broker.drop("c1")
    ledger = await broker.ledger("c1")
    assert ledger is not None
    assert ledger.state is CommandState.CANCELLED
    with pytest.raises(ConflictError, match="cancelled"):
        await broker.drop("c1")
    with pytest.raises(NotFoundError):
        await broker.drop("nothing")


async def test_what_waits_is_cancelled_at_once(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await broker.enqueue(command("c2"))
    waiting = await head(broker)
    assert await broker.cancel("c1") is CommandState.CANCELLED
    assert not await broker.begin(waiting, INTENT)
    assert await head_id(broker) == "c2"
    with pytest.raises(ConflictError, match="cancelled"):
        await broker.cancel("c1")
    with pytest.raises(NotFoundError):
        await broker.cancel("nothing")
    assert await adds_up(broker)


async def test_what_is_typed_is_marked_and_never_entered(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    waiting = await typed(broker)
    assert await broker.cancel("c1") is CommandState.TYPED
    marked = await head(broker)
    assert (marked.cancel, marked.ledger.state) == (True, CommandState.TYPED)
    assert not await broker.entered(waiting, AT, 1, -1)
    assert await broker.finish(marked, Outcome(CommandState.CANCELLED), AT)
    assert await adds_up(broker)


async def test_what_is_being_typed_is_marked(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    waiting = await head(broker)
    await broker.begin(waiting, INTENT)
    assert await broker.cancel("c1") is CommandState.TYPED
    assert not await broker.begin(waiting, INTENT)
    await broker.undo(waiting)
    ledger = await broker.ledger("c1")
    assert ledger is not None
    assert ledger.state is CommandState.CANCELLED


async def test_a_marked_command_that_vanished_is_cancelled(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    waiting = await typed(broker)
    await broker.cancel("c1")
    await broker.requeue(waiting, "x")
    assert (await types(broker))[-1] == "command.cancelled"
    assert await head_id(broker) == ""


async def test_what_was_entered_is_too_late_to_cancel(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await broker.entered(await typed(broker), AT, 1, -1)
    with pytest.raises(ConflictError, match="entered"):
        await broker.cancel("c1")
    assert not (await head(broker)).cancel


async def test_a_removed_agent_takes_no_commands_with_it(broker: AnyBroker) -> None:
    for id_, priority in [("c1", "normal"), ("c2", "low"), ("c3", "high"), ("c4", "normal")]:
        await broker.enqueue(command(id_, priority=Priority(priority), when=When.NOW))
    await broker.finish(await head(broker), DELIVERED, AT)
    await broker.entered(await typed(broker), AT, 1, -1)
    await broker.remove_agent(3)
    await broker.remove_agent(3)
    assert [agent.name for agent in await broker.agents()] == ["mother", "fe"]
    assert sorted(letter["id"] for letter in await broker.dead_letters()) == ["c2", "c4"]
    assert [letter["id"] for letter in await broker.unconfirmed()] == ["c1"]
    assert "be" in (await broker.dead_letters())[0]["reason"]
    dead = [event for event in await broker.events() if event.type is EventType.COMMAND_DEAD]
    assert {event.command for event in dead} == {"c2", "c4"}
    assert await broker.waiting_agents() == {}
    assert await adds_up(broker)
    with pytest.raises(NotFoundError):
        await broker.enqueue(command("c5"))
    with pytest.raises(NotFoundError, match="be"):
        await broker.retry("c2")
    await broker.put_agent(Agent(7, "be"))
    assert (await broker.heads("be")).now is None
    await broker.retry("c2")
    assert await head_id(broker) == "c2"
    assert await adds_up(broker)


async def test_numbers_of_the_queues(broker: AnyBroker) -> None:
    before = time.time()
    await broker.enqueue(Command("c1", "person", "be", "x"))
    await broker.enqueue(Command("c2", "person", "be", "x", Priority.LOW))
    await broker.enqueue(Command("c3", "person", "be", "x", Priority.HIGH))
    await typed(broker)
    queues = await broker.queues()
    assert set(queues) == {"mother", "be", "fe"}
    be = queues["be"]
    assert (be.high, be.normal, be.low, be.depth) == (1, 1, 1, 3)
    assert be.oldest_wait_s is not None
    assert 0 <= be.oldest_wait_s <= time.time() - before + 1
    assert queues["fe"].oldest_wait_s is None
    counts = await broker.counts()
    assert (counts.pending, counts.processing) == (2, 1)


async def test_many_hands_lose_nothing(broker: AnyBroker) -> None:
    """Twenty senders, two couriers, somebody who cancels: every command ends once."""
    total = 200

    async def send(start: int) -> None:
        for n in range(start, total, 20):
            await broker.enqueue(command(f"c{n}", "be" if n % 2 else "fe"))
            if n % 7 == 0:
                await broker.cancel(f"c{n}")

    async def deliver(agent: str) -> None:
        while (await broker.counters()).get(keys.ENQUEUED, 0) < total or await head_id(broker, agent):
            waiting = (await broker.heads(agent)).head
            if waiting is None or not await broker.begin(waiting, INTENT):
                if waiting and waiting.cancel:
                    await broker.finish(waiting, Outcome(CommandState.CANCELLED), AT)
                continue
            await broker.typed(waiting, AT)
            await broker.entered(waiting, AT, 1, -1)
            await broker.finish(waiting, DELIVERED, AT)

    await asyncio.gather(*(allow_late(send(start)) for start in range(20)), deliver("be"), deliver("fe"))
    counters = await broker.counters()
    assert counters[keys.EXECUTED] + counters.get(keys.CANCELLED, 0) == total
    assert await adds_up(broker)
    assert (await broker.counts()).processing == 0


async def allow_late(sending: object) -> None:
    try:
        await sending  # type: ignore[misc]
    except ConflictError:
        return


# events


async def test_events_are_read_in_order_and_from_a_place(broker: AnyBroker) -> None:
    for n in range(5):
        await broker.emit(Event(EventType.PERSON_MESSAGE, "demo", ts=AT, content=str(n), data={"n": n}))
    events = await broker.events()
    assert [event.content for event in events] == ["0", "1", "2", "3", "4"]
    assert events[3].data == {"n": 3}
    assert [event.content for event in await broker.events(count=2)] == ["3", "4"]
    after = await broker.events(after=events[1].id, count=2)
    assert [event.content for event in after] == ["2", "3"]
    assert await broker.events(after=events[4].id) == []


async def test_events_are_heard_as_they_happen(broker: AnyBroker) -> None:
    heard: list[Event] = []
    ready = asyncio.Event()

    async def listen() -> None:
        async for event in broker.live():
            heard.append(event)
            ready.set()

    listener = asyncio.create_task(listen())

    async def first() -> bool:
        await broker.emit(Event(EventType.EXECUTOR_STARTED, "demo", ts=AT))
        return ready.is_set()

    await wait_for_async(first)
    await broker.enqueue(command("c1"))
    await wait_for_async(lambda: heard[-1].type is EventType.COMMAND_QUEUED)
    assert heard[-1] == (await broker.events())[-1]
    listener.cancel()


async def test_a_new_command_wakes_its_agent(broker: AnyBroker) -> None:
    woken: list[str] = []

    async def listen() -> None:
        async for name in broker.wakes():
            woken.append(name)

    listener = asyncio.create_task(listen())
    numbers = iter(range(10_000))

    async def first() -> bool:
        await broker.enqueue(command(f"c{next(numbers)}", "fe"))
        return bool(woken)

    await wait_for_async(first)
    assert set(woken) == {"fe"}
    await broker.enqueue(command("x1"))
    await wait_for_async(lambda: "be" in woken)
    await typed(broker)
    woken.clear()
    await broker.cancel("x1")
    await wait_for_async(lambda: "be" in woken)
    listener.cancel()


async def test_listeners_hear_that_the_connection_ended(broker: AnyBroker) -> None:
    async def listen() -> None:
        async for _ in broker.wakes():
            pass

    listener = asyncio.create_task(listen())
    await asyncio.sleep(0)

    async def ended() -> bool:
        await broker.close()
        return listener.done()

    await wait_for_async(ended)
    with pytest.raises(BrokerError):
        await listener


# ownership


async def test_one_delivers(broker: AnyBroker) -> None:
    assert await broker.heartbeat_age_s() is None
    assert await broker.claim("a", 60_000)
    assert not await broker.claim("b", 60_000)
    assert await broker.claim("a", 60_000)
    assert await broker.renew("a", 60_000, int(time.time() * 1000))
    age_s = await broker.heartbeat_age_s()
    assert age_s is not None
    assert -1 < age_s < 60
    assert not await broker.renew("b", 60_000, 1)
    await broker.release("b")
    assert not await broker.claim("b", 60_000)
    assert await broker.owner() == "a"
    await broker.release("a")
    assert await broker.owner() == ""
    assert not await broker.renew("a", 60_000, 1)
    assert await broker.claim("b", 60_000)


async def test_a_claim_runs_out(broker: AnyBroker) -> None:
    assert await broker.claim("a", 1)
    await wait_for_async(lambda: broker.claim("b", 60_000))
    assert not await broker.renew("a", 1, 1)


# questions and services


async def test_a_question_is_opened_and_answered_once(broker: AnyBroker) -> None:
    asked = Ask("a1", "be", "Postgres or SQLite?", AT, choices=("Postgres", "SQLite"))
    assert await broker.open_ask(asked) == asked
    assert await broker.open_ask(replace(asked, opened_at=LATER)) == asked
    shown = Ask("a2", "fe", "Do you want to proceed?", LATER, "", "", "permission", ("1. Yes", "2. No"), "f00", 42)
    assert await broker.open_ask(shown) == shown
    assert [each.id for each in await broker.asks()] == ["a1", "a2"]
    answered = await broker.answer_ask("a1", "SQLite", LATER)
    assert (answered.answer, answered.answered_at, answered.question) == ("SQLite", LATER, "Postgres or SQLite?")
    assert [each.id for each in await broker.asks()] == ["a2"]
    assert [each.id for each in await broker.asks(open_only=False)] == ["a1", "a2"]
    with pytest.raises(ConflictError):
        await broker.answer_ask("a1", "Postgres", LATER)
    with pytest.raises(NotFoundError):
        await broker.answer_ask("a3", "yes", LATER)
    events = await broker.events()
    assert [str(event.type) for event in events] == ["ask.opened", "ask.opened", "ask.answered"]
    assert events[1].data == {"ask": "a2", "kind": "permission", "choices": ["1. Yes", "2. No"]}
    assert events[2].data == {"ask": "a1", "kind": "question", "question": "Postgres or SQLite?"}


async def test_services_tell_what_changed(broker: AnyBroker) -> None:
    api = Service("api", "http://localhost:8000", 8000, "unknown", "be")
    await broker.put_service(api)
    await broker.put_service(api)
    await broker.put_service(Service("api", "http://localhost:8000", 8000, "up", "be"))
    await broker.put_service(Service("api", "http://localhost:8001", 8001, "up", "be"))
    await broker.put_service(Service("a_web"))
    assert [service.name for service in await broker.services()] == ["a_web", "api"]
    assert (await broker.services())[1].port == 8001
    assert await types(broker) == ["service.registered", "service.health", "service.registered", "service.registered"]


async def test_the_health_of_a_service_is_that_of_its_place(broker: AnyBroker) -> None:
    api = Service("api", "http://localhost:8000", 8000, "unknown", "be", "tcp", claimed=True)
    await broker.put_service(api)
    assert await broker.set_health(api, "down", "nothing listens")
    assert await broker.set_health(api, "down", "it hung up")
    assert await broker.services() == [replace(api, health="down", reason="it hung up")]
    for other in (
        replace(api, url="http://x:1"),
        replace(api, port=1),
        replace(api, owner="fe"),
        replace(api, check=""),
    ):
        assert not await broker.set_health(other, "healthy", "")
    assert await broker.set_health(api, "unhealthy", "its port is gone", lost=True)
    assert await broker.services() == [Service("api", "", 0, "unhealthy", "be", "tcp", "its port is gone")]
    assert not await broker.set_health(api, "healthy", "")
    assert await types(broker) == ["service.registered", "service.health", "service.health"]
    told = (await broker.events())[1]
    assert (told.level, told.content) == ("warning", "api http://localhost:8000 down: nothing listens")


async def test_a_service_is_its_owners_until_it_is_removed(broker: AnyBroker) -> None:
    api = Service("api", "http://localhost:8000", 8000, "healthy", "be")
    await broker.put_service(api)
    with pytest.raises(ConflictError, match="is be's"):
        await broker.put_service(replace(api, owner="fe"))
    assert await broker.services() == [api]
    assert await broker.remove_service(api)
    assert not await broker.remove_service(api)
    await broker.put_service(replace(api, owner="fe"))
    assert [each.owner for each in await broker.services()] == ["fe"]
    assert await types(broker) == ["service.registered", "service.removed", "service.registered"]


async def test_a_port_is_one_holders(broker: AnyBroker) -> None:
    assert await broker.claim_port("demo/api", [(3000, None), (3001, None)]) == (3000, True)
    assert await broker.claim_port("two/api", [(3000, None), (3001, None)]) == (3001, True)
    assert await broker.claim_port("demo/web", [(3000, None), (3001, None)]) == (0, False)
    assert await broker.claim_port("demo/api", [(3002, None)], keep=True) == (3000, False)
    assert await broker.claim_port("demo/api", [(3002, None)], keep=True, refused=3000) == (3002, True)
    claims = await broker.claims()
    assert {port: (each.session, each.service) for port, each in claims.items()} == {
        3001: ("two", "api"),
        3002: ("demo", "api"),
    }
    assert await broker.claim_port("demo/web", [(3001, claims[3002])]) == (0, False)
    assert await broker.claim_port("demo/web", [(3001, claims[3001])]) == (3001, True)
    assert await broker.release_ports("demo/") == 2
    assert await broker.claims() == {}


async def test_forget_leaves_nothing(broker: AnyBroker) -> None:
    await broker.enqueue(command("c1"))
    await broker.put_session({"status": "running"})
    await broker.forget()
    assert await broker.agents() == []
    assert await broker.session_fields() == {}
    assert await broker.counters() == {}
    assert await broker.events() == []
    assert await broker.ledger("c1") is None


# what only a server can show


on_redis = pytest.mark.parametrize("url", KINDS, indirect=True)


@pytest.fixture
def real(broker: AnyBroker) -> Broker:
    """The broker over Redis."""
    assert isinstance(broker, Broker)
    return broker


@on_redis
async def test_streams_are_bounded(real: Broker) -> None:
    await real.put_session({"retention_count": "100"})
    for n in range(500):
        await real.enqueue(command(f"c{n}"))
        await real.finish(await head(real), DEAD if n % 2 else DELIVERED, AT)
    for stream in (real.keys.events, real.keys.completed, real.keys.dead):
        assert 100 <= await real._run("XLEN", stream) <= 250, stream
    assert await adds_up(real)


@on_redis
async def test_a_finished_command_is_forgotten_in_time(real: Broker) -> None:
    await real.put_session({"retention_s": "120.5"})
    await real.enqueue(command("c1"))
    assert await real._run("TTL", real.keys.command("c1")) == -1
    await real.finish(await head(real), DEAD, AT)
    assert 100 < await real._run("TTL", real.keys.command("c1")) <= 121
    await real.retry("c1")
    assert await real._run("TTL", real.keys.command("c1")) == -1


@on_redis
async def test_a_letter_outlives_its_ledger(real: Broker) -> None:
    for id_, outcome in [("c1", DEAD), ("c2", Outcome(CommandState.UNCONFIRMED)), ("c3", DEAD)]:
        await real.enqueue(command(id_, message=f"text of {id_}"))
        await real.finish(await head(real), outcome, AT)
        await real._run("DEL", real.keys.command(id_))
    await real.drop("c3")
    assert (await real.retry("c1")).message == "text of c1"
    assert (await real.retry("c2")).message == "text of c2"
    assert [await head_id(real), (await real.counts()).dead, (await real.counts()).unconfirmed] == ["c1", 0, 0]
    assert await adds_up(real)


@on_redis
async def test_scripts_are_sent_again_when_the_server_forgot_them(real: Broker) -> None:
    await real.enqueue(command("c1"))
    await real._run("SCRIPT", "FLUSH")
    assert await real.enqueue(command("c2"))


@on_redis
async def test_another_sessions_fields_are_read(real: Broker, url: str) -> None:
    other = await Broker.connect(url, "two")
    await other.put_session({"status": "stopped"})
    assert (await real.fields_of("two"), await real.fields_of("three")) == ({"status": "stopped"}, {})
    await other.close()


@on_redis
async def test_every_key_carries_the_tag_of_its_session(real: Broker, url: str) -> None:
    other = await Broker.connect(url, "demo2")
    await other.put_agent(Agent(3, "be"))
    await other.enqueue(command("c1"))
    for n, outcome in enumerate([DELIVERED, DEAD, Outcome(CommandState.UNCONFIRMED)]):
        await real.enqueue(command(f"c{n}", when=When.NOW))
        await real.finish(await typed(real), outcome, AT)
    await real.open_ask(Ask("a1", "be", "?", AT))
    await real.put_service(Service("api"))
    await real.claim("t", 60_000)
    found = await real._run("KEYS", "*")
    assert all(key.startswith(("taco:{demo}:", "taco:{demo2}:")) for key in found)
    await real.forget()
    assert await real._run("KEYS", "taco:{demo}:*") == []
    assert await head_id(other) == "c1"
    await other.close()


@on_redis
async def test_nothing_of_a_finished_command_is_left_in_its_queue(real: Broker) -> None:
    for n in range(3):
        await real.enqueue(command(f"c{n}", when=When.NOW))
        await real.finish(await typed(real), DELIVERED, AT)
    keys_ = real.keys
    gone = (keys_.now("be"), keys_.current("be"), keys_.senders("be"), keys_.waiting, keys_.processing)
    assert await real._run("EXISTS", *gone) == 0


@on_redis
async def test_a_mark_of_something_lost_stops_nothing(real: Broker) -> None:
    await real.enqueue(command("c1"))
    await real._run("SET", real.keys.current("be"), "x9 normal 1-1")
    assert await real.begin(await head(real), INTENT)
    assert await head_id(real) == "c1"


@on_redis
async def test_an_error_of_one_call_is_not_that_of_its_neighbours(real: Broker) -> None:
    calls = [real._run("PING"), real._run("NONSENSE"), real._run("ECHO", "x")]
    good, bad, also_good = await asyncio.gather(*calls, return_exceptions=True)
    assert (good, also_good) == ("PONG", "x")
    assert isinstance(bad, BrokerError)


@on_redis
async def test_a_caller_that_gave_up_does_not_disturb_the_others(real: Broker) -> None:
    tasks = [asyncio.create_task(real._run("ECHO", str(n))) for n in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    replies = await asyncio.gather(*tasks, return_exceptions=True)
    assert [reply for reply in replies if isinstance(reply, str)] == list("012456789")


@on_redis
@pytest.mark.parametrize("seed", range(6))
async def test_the_twin_goes_the_same_way(real: Broker, seed: int) -> None:
    """The same random walk through both: same answers, same errors, same queues, counters and events."""
    twin = await MemoryBroker.connect("", "demo")
    for agent in await real.agents():
        await twin.put_agent(agent)
    await real.put_session({"queue_limit": "6", "sender_limit": "4"})
    await twin.put_session({"queue_limit": "6", "sender_limit": "4"})
    dice = random.Random(seed)
    for _ in range(150):
        step = _step(dice)
        assert await _outcome(step, real) == await _outcome(step, twin)
        assert await _picture(real) == await _picture(twin)
    assert await adds_up(real)


Step = Callable[[AnyBroker], Awaitable[object]]


def _step(dice: random.Random) -> Step:
    """One thing that can happen, drawn by `dice`."""
    id_, agent = f"c{dice.randrange(25)}", dice.choice(["be", "fe", "nobody"])
    fresh = Command(
        id_,
        dice.choice(["person", "mother"]),
        agent,
        dice.choice(["x", "y"]),
        dice.choice(list(Priority)),
        dice.choice(list(When)),
        AT,
    )
    outcome = Outcome(dice.choice(FINAL), dice.choice([Evidence.HOOK, Evidence.SCREEN]), "because")
    reason = dice.choice(["busy", "a draft", ""])
    enters, at_now = dice.randrange(1, 4), dice.random() < 0.3

    async def on_head(broker: AnyBroker, work: Callable[[Waiting], Awaitable[object]]) -> object:
        heads = await broker.heads(agent)
        waiting = heads.now if at_now else heads.head
        return await work(waiting) if waiting else None

    async def remove(broker: AnyBroker) -> None:
        await broker.remove_agent(4)
        await broker.put_agent(Agent(4, "fe", status=AgentStatus.RUNNING))

    steps: list[Step] = [
        *[lambda broker: broker.enqueue(fresh)] * 6,
        *[lambda broker: on_head(broker, lambda waiting: broker.begin(waiting, INTENT))] * 3,
        *[lambda broker: on_head(broker, lambda waiting: broker.typed(waiting, AT))] * 3,
        *[lambda broker: on_head(broker, lambda waiting: broker.entered(waiting, LATER, enters, 7))] * 3,
        *[lambda broker: on_head(broker, lambda waiting: broker.finish(waiting, outcome, LATER))] * 3,
        lambda broker: on_head(broker, broker.undo),
        lambda broker: on_head(broker, broker.refused),
        lambda broker: on_head(broker, lambda waiting: broker.requeue(waiting, "gone")),
        lambda broker: on_head(broker, lambda waiting: broker.failed(waiting, "tmux")),
        lambda broker: on_head(broker, lambda waiting: broker.held(agent, waiting.command.id, reason)),
        lambda broker: broker.cancel(id_),
        lambda broker: broker.drop(id_),
        lambda broker: broker.retry(id_),
        remove,
    ]
    return dice.choice(steps)


async def _outcome(step: Step, broker: AnyBroker) -> object:
    try:
        result = await step(broker)
    except TacoError as error:
        return type(error), error.message
    return replace(result, timestamp="") if isinstance(result, Command) else result


async def _picture(broker: AnyBroker) -> object:
    """All that can be seen from outside, without what the clock or the server chose."""
    heads = [await broker.heads(agent) for agent in ("be", "fe")]
    queues = await broker.queues()
    ledgers = [await broker.ledger(f"c{n}") for n in range(25)]
    events = await broker.events(count=4)
    return (
        [_seen(waiting) for pair in heads for waiting in (pair.head, pair.now)],
        [ledger and replace(ledger, queued_at="") for ledger in ledgers],
        await broker.waiting_agents(),
        {name: replace(queue, oldest_wait_s=None) for name, queue in queues.items()},
        await broker.counts(),
        {name: value for name, value in (await broker.counters()).items() if value},
        [letter["id"] for letter in await broker.dead_letters()],
        [letter["id"] for letter in await broker.unconfirmed()],
        [replace(event, id="", ts="", data=dict(event.data)) for event in events],
    )


def _seen(waiting: Waiting | None) -> object:
    if waiting is None:
        return None
    return replace(waiting.command, timestamp=""), replace(waiting.ledger, queued_at=""), waiting.cancel


async def test_the_version_is_told(broker: AnyBroker) -> None:
    assert int((await broker.ping()).split(".")[0]) >= 6
