"""Redis' scripts make the moves of the table in `delivery.py`, and nothing leaves a final state but by a person."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from taco import redis_server
from taco.broker import Broker
from taco.delivery import TRANSITIONS, Move
from taco.errors import ConflictError, NotFoundError
from taco.models import FINAL_STATES, Agent, AgentStatus, Command, CommandState, Evidence, Incarnation, Outcome
from taco.records import Waiting

AT = "2026-01-01T00:00:00.000Z"
INTENT = Incarnation(1, 1_700_000_000, "%5", 99)
Step = Callable[[Broker, Waiting], Awaitable[object]]


async def type_text(broker: Broker, waiting: Waiting) -> None:
    assert await broker.begin(waiting, INTENT)
    await broker.typed(waiting, AT)


async def cancel(broker: Broker, waiting: Waiting) -> None:
    if await broker.cancel(waiting.command.id) is CommandState.TYPED:  # marked: the courier has taken the text out
        await broker.finish(waiting, Outcome(CommandState.CANCELLED), AT)


def end(state: CommandState, evidence: Evidence | None = None) -> Step:
    return lambda broker, waiting: broker.finish(waiting, Outcome(state, evidence, "because"), AT)


STEPS: dict[Move, Step] = {
    Move.TYPE: type_text,
    Move.ENTER: lambda broker, waiting: broker.entered(waiting, AT, 1, 0),
    Move.REFUSE: lambda broker, waiting: broker.refused(waiting),
    Move.AGAIN: lambda broker, waiting: broker.entered(waiting, AT, 2, 0),
    Move.CONFIRM: end(CommandState.DELIVERED, Evidence.HOOK),
    Move.REJECT: end(CommandState.REJECTED),
    Move.VANISH: lambda broker, waiting: broker.requeue(waiting, "gone"),
    Move.LOSE: end(CommandState.UNCONFIRMED),
    Move.FAIL: lambda broker, waiting: broker.failed(waiting, "error"),
    Move.GIVE_UP: end(CommandState.DEAD),
    Move.CANCEL: cancel,
    Move.RETRY: lambda broker, waiting: broker.retry(waiting.command.id),
}
PATHS: dict[CommandState, tuple[Move, ...]] = {
    CommandState.QUEUED: (),
    CommandState.TYPED: (Move.TYPE,),
    CommandState.ENTERED: (Move.TYPE, Move.ENTER),
    CommandState.DELIVERED: (Move.TYPE, Move.ENTER, Move.CONFIRM),
    CommandState.UNCONFIRMED: (Move.TYPE, Move.ENTER, Move.LOSE),
    CommandState.DEAD: (Move.GIVE_UP,),
    CommandState.CANCELLED: (Move.CANCEL,),
    CommandState.REJECTED: (Move.TYPE, Move.ENTER, Move.REJECT),
}


@pytest.fixture
async def broker(taco_home: Path) -> AsyncIterator[Broker]:
    made = await Broker.connect(redis_server.ensure(taco_home).url, "demo")
    await made.put_agent(Agent(3, "be", status=AgentStatus.RUNNING))
    yield made
    await made.close()
    redis_server.stop(taco_home)


async def brought_to(broker: Broker, state: CommandState, id_: str) -> Waiting:
    await broker.enqueue(Command(id_, "person", "be", "hello", timestamp=AT))
    waiting = (await broker.heads("be")).head
    assert waiting is not None
    for move in PATHS[state]:
        await STEPS[move](broker, waiting)
        waiting = (await broker.heads("be")).head or waiting
    return waiting


async def state_of(broker: Broker, id_: str) -> CommandState:
    ledger = await broker.ledger(id_)
    assert ledger is not None
    return ledger.state


@pytest.mark.parametrize(("state", "move"), TRANSITIONS, ids=str)
async def test_every_move_of_the_table_leads_where_it_says(broker: Broker, state: CommandState, move: Move) -> None:
    waiting = await brought_to(broker, state, "c1")
    assert await state_of(broker, "c1") is state
    await STEPS[move](broker, waiting)
    assert await state_of(broker, "c1") is TRANSITIONS[state, move]


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
@pytest.mark.parametrize("move", [move for move in Move if move is not Move.RETRY])
async def test_nothing_moves_what_has_ended(broker: Broker, state: CommandState, move: Move) -> None:
    waiting = await brought_to(broker, state, "c1")
    before = await broker.counters()
    with contextlib.suppress(ConflictError, NotFoundError, AssertionError):
        await STEPS[move](broker, waiting)
    assert await state_of(broker, "c1") is state
    assert await broker.counters() == before
