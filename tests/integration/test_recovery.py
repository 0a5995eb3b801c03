"""An executor may be killed anywhere: the next one on the same Redis and panes neither loses nor doubles anything."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from taco.errors import BrokerError, TmuxError
from taco.models import CommandState, Evidence
from tests.hostile import hostile_argv, hostile_provider, raw_argv, raw_provider, read_log
from tests.support.delivery import Canvas, Failure, Rig, Stop, StoppingGuard, StoppingQueue
from tests.support.waiting import wait_for, wait_for_async

# Where the executor is killed: (door, method, before or after it, at which call)
STAGES: dict[str, tuple[str, str, str, int]] = {
    "before the intent": ("queue", "begin", "before", 1),
    "after the intent": ("queue", "begin", "after", 1),
    "before the text": ("guard", "type_text", "before", 1),
    "after the text": ("guard", "type_text", "after", 1),
    "before the ledger says typed": ("queue", "typed", "before", 1),
    "after the ledger says typed": ("queue", "typed", "after", 1),
    "before Enter is announced": ("queue", "entered", "before", 1),
    "after Enter is announced": ("queue", "entered", "after", 1),
    "before Enter": ("guard", "press_enter", "before", 1),
    "after Enter": ("guard", "press_enter", "after", 1),
    "before the end": ("queue", "finish", "before", 1),
    "after the end": ("queue", "finish", "after", 1),
}
SECOND = {
    "before the second Enter is announced": ("queue", "entered", "before", 2),
    "after the second Enter is announced": ("queue", "entered", "after", 2),
    "before the second Enter": ("guard", "press_enter", "before", 2),
    "after the second Enter": ("guard", "press_enter", "after", 2),
}
TEXTS = {"line": "hello", "lines": "one\ntwo\nthree\nfour"}


async def kill_at(rig: Rig, stage: tuple[str, str, str, int], sent: dict[str, str]) -> str:
    """Send a command to `be` and kill the executor when it is there; the command's id."""
    door, name, when, call = stage
    await rig.kill()
    stop: Stop
    if door == "queue":
        queue = StoppingQueue(rig.broker, name, when, call=call)
        stop = queue.stop
        rig.build(queue=queue)
    else:
        rig.build(guard=partial(StoppingGuard, name=name, when=when, call=call))  # type: ignore[arg-type]
        assert isinstance(rig.guard, StoppingGuard)
        stop = rig.guard.stop
    command_id = await rig.send("be", **sent)
    await stop.wait()
    await rig.kill()
    return command_id


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
async def test_a_composer_gets_it_once(rig: Rig, stage: Any, text: str) -> None:
    log = rig.directory / "log"
    await rig.start("be", hostile_argv(log, collapse=True), hostile_provider())
    sent = await kill_at(rig, stage, {"message": text})
    after = await rig.send("be", "after", wake=False)
    rig.build()
    ledger, next_one = await rig.ended(sent, after)
    assert read_log(log).texts() == [f"[mother → be]: {text}", "[mother → be]: after"]
    assert ledger.state is next_one.state is CommandState.DELIVERED, ledger
    assert ledger.attempts == 1
    assert read_log(log).counts["blank"] == 0  # an Enter too many would be one


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
async def test_a_raw_program_gets_it_once(rig: Rig, stage: Any) -> None:
    text = "hello\nhello"
    log = rig.directory / "log"
    await rig.start("be", raw_argv(log), raw_provider("raw", log))
    sent = await kill_at(rig, stage, {"message": text})
    rig.build()
    (ledger,) = await rig.ended(sent)
    assert Canvas(rig.tmux, log, rig.agents["be"].pane).settled() == text.encode() + b"\r"
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.NONE)


@pytest.mark.parametrize("stage", SECOND.values(), ids=SECOND)
async def test_enters_are_counted_by_the_pane(rig: Rig, stage: Any) -> None:
    log = rig.directory / "log"
    await rig.start("be", hostile_argv(log, swallow=1.0, swallow_most=2), hostile_provider())
    sent = await kill_at(rig, stage, {"message": "hello"})
    rig.build()
    (ledger,) = await rig.ended(sent)
    assert read_log(log).texts() == ["[mother → be]: hello"]
    assert (ledger.state, ledger.enters) == (CommandState.DELIVERED, 3)
    assert read_log(log).counts["swallowed"] == 2


@pytest.mark.parametrize("name", ["after the intent", "after the text", "before Enter"])
async def test_killed_twice_is_like_killed_once(rig: Rig, name: str) -> None:
    log = rig.directory / "log"
    await rig.start("be", hostile_argv(log), hostile_provider())
    sent = await kill_at(rig, STAGES[name], {"message": "hello"})
    rig.build(guard=partial(StoppingGuard, name="press_enter", when="after"))  # type: ignore[arg-type]
    assert isinstance(rig.guard, StoppingGuard)
    await rig.guard.stop.wait()
    await rig.kill()
    rig.build()
    assert (await rig.ended(sent))[0].state is CommandState.DELIVERED
    assert read_log(log).texts() == ["[mother → be]: hello"]


# Errors instead of a kill: the same executor goes on


@pytest.mark.parametrize("agent", ["composer", "raw"])
@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
async def test_an_error_anywhere_neither_loses_nor_doubles(rig: Rig, stage: Any, agent: str) -> None:
    door, name, when, call = stage
    log = rig.directory / "log"
    if agent == "raw":
        await rig.start("be", raw_argv(log), raw_provider("raw", log))
    else:
        await rig.start("be", hostile_argv(log), hostile_provider())
    await rig.kill()
    failure = Failure(BrokerError("Redis: away") if door == "queue" else TmuxError("tmux said nothing"))
    if door == "queue":
        rig.build(queue=StoppingQueue(rig.broker, name, when, call=call, stop=failure))
    else:
        rig.build(guard=partial(StoppingGuard, name=name, when=when, call=call, stop=failure))  # type: ignore[arg-type]
    ids = [await rig.send("be", text) for text in ("hello", "after")]
    ledgers = await rig.ended(*ids)
    assert failure.reached.is_set()
    assert [ledger.state for ledger in ledgers] == [CommandState.DELIVERED] * 2
    if agent == "raw":
        assert Canvas(rig.tmux, log, rig.agents["be"].pane).settled() == b"hello\rafter\r"
    else:
        assert read_log(log).texts() == ["[mother → be]: hello", "[mother → be]: after"]


# Another process in the pane, or another server

NEVER_SENT = [
    "before the intent",
    "after the intent",
    "before the text",
    "after the text",
    "before the ledger says typed",
]
ANNOUNCED = ["after Enter is announced", "before Enter", "after Enter", "before the end"]
GONE = "the agent ended before it was seen to be submitted"


@pytest.mark.parametrize("name", [*STAGES][:-1])
async def test_for_another_process_it_is_typed_again_only_if_it_was_never_sent(rig: Rig, name: str) -> None:
    log = rig.directory / "log"
    await rig.start("be", hostile_argv(log), hostile_provider())
    sent = await kill_at(rig, STAGES[name], {"message": "hello"})
    arrived = name in ("after Enter", "before the end")
    await wait_for_async(lambda: len(read_log(log).texts()) == arrived, what="what the program took")
    before = read_log(log).texts()
    other = rig.directory / "other"
    await rig.run(rig.agents["be"], hostile_argv(other))
    await rig.kill()
    rig.build()
    (ledger,) = await rig.ended(sent)
    after = read_log(other).texts()
    if name in NEVER_SENT:
        assert ledger.state is CommandState.DELIVERED
        assert (before, after) == ([], ["[mother → be]: hello"])
    else:
        assert (ledger.state, ledger.reason) == (CommandState.UNCONFIRMED, GONE)
        assert after == []
        assert len(before) == arrived


@pytest.mark.parametrize("name", ["after the text", "after Enter"])
async def test_for_another_server_too(rig: Rig, name: str) -> None:
    log = rig.directory / "log"
    await rig.start("be", hostile_argv(log), hostile_provider())
    sent = await kill_at(rig, STAGES[name], {"message": "hello"})
    rig.tmux.run("kill-server")
    wait_for(lambda: not rig.tmux.pids(), what="end of the server")
    rig.tmux.start()
    rig.agents.clear()
    other = rig.directory / "other"
    rig.build()
    agent = await rig.start("be", hostile_argv(other), hostile_provider())
    assert agent.pane == "%1"  # the same id as before
    (ledger,) = await rig.ended(sent)
    if name == "after Enter":
        assert (ledger.state, ledger.reason) == (CommandState.UNCONFIRMED, GONE)
        assert read_log(other).texts() == []
    else:
        assert ledger.state is CommandState.DELIVERED
        assert read_log(other).texts() == ["[mother → be]: hello"]


@pytest.mark.parametrize("when", ["text", "enter"])
async def test_an_agent_that_dies_while_it_is_written_to_gets_it_again_or_not(rig: Rig, when: str) -> None:
    log = rig.directory / "log"
    agent = await rig.start("be", hostile_argv(log, die_at=1, die_when=when), hostile_provider())
    sent = await rig.send("be", "hello")
    await wait_for_async(lambda: rig.tmux.show(agent.pane, "#{pane_dead}") == "1", what="death")
    if when == "enter":  # nobody knows whether it was submitted
        (ledger,) = await rig.ended(sent)
        assert (ledger.state, ledger.reason) == (CommandState.UNCONFIRMED, GONE)
        return
    await rig.held("be", "exited")
    await rig.run(agent, hostile_argv(log))
    (ledger,) = await rig.ended(sent)
    assert ledger.state is CommandState.DELIVERED
    assert read_log(log).texts() == ["[mother → be]: hello"]


async def test_who_dies_three_times_over_a_message_does_not_get_it_a_fourth_time(rig: Rig) -> None:
    log = rig.directory / "log"
    agent = await rig.start("be", hostile_argv(log, die_at=1, die_when="text"), hostile_provider())
    sent = await rig.send("be", "hello")
    for attempt in (1, 2):
        await rig.held("be", "exited")
        assert (await rig.ledger(sent)).attempts == attempt
        agent = await rig.run(agent, hostile_argv(log, die_at=1, die_when="text"))
        await rig.held("be", "starting")
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.attempts) == (CommandState.DEAD, 3)
    assert ledger.reason == "the agent ended between text and Enter, 3 times"


# Two executors


async def test_a_second_executor_by_mistake_doubles_nothing(rig: Rig) -> None:
    log = rig.directory / "log"
    await rig.start("be", hostile_argv(log, swallow=0.3, seed=2), hostile_provider())
    first = rig.executor
    rig.build()  # the first one goes on
    ids = [await rig.send("be", f"n{number}") for number in range(8)]
    for each in ids:
        first.wake("be")
        await rig.ended(each)
    await first.close()
    assert read_log(log).texts() == [f"[mother → be]: n{number}" for number in range(8)]
    assert {(await rig.ledger(each)).state for each in ids} == {CommandState.DELIVERED}
