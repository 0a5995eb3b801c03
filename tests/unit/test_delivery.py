"""The life of one command: where it can go, when it is held, and how long errors rest."""

from __future__ import annotations

import itertools

import pytest

from taco.delivery import TRANSITIONS, ImpossibleMove, Move, Terms, after, backoff_s, hold_reason, mermaid
from taco.models import FINAL_STATES, Agent, AgentState, Command, CommandState, Level, Priority, When

S = CommandState
AGENT = Agent(3, "be")
TERMS = Terms(queues_when_busy=True, busy_hold_max_s=300)


def command(priority: Priority = Priority.NORMAL, when: When = When.IDLE) -> Command:
    return Command("c1", "mother", "be", "hello", priority, when)


def reason(level: Level, detail: str = "", *, waited_s: float = 0, terms: Terms = TERMS, **options: object) -> str:
    return hold_reason(command(**options), AGENT, AgentState(level, detail), terms, waited_s=waited_s)  # type: ignore[arg-type]


# The table


def test_the_way_of_a_message() -> None:
    state = S.QUEUED
    for move in (Move.TYPE, Move.ENTER, Move.AGAIN, Move.CONFIRM):
        state = after(state, move)
    assert state is S.DELIVERED


def test_delivered_is_only_what_was_typed() -> None:
    """No way leads from the queue to `delivered` past `typed`, and none to `delivered` without a sign."""
    into = {(start, move) for (start, move), end in TRANSITIONS.items() if end is S.DELIVERED}
    assert into == {(S.TYPED, Move.CONFIRM), (S.ENTERED, Move.CONFIRM)}
    assert {start for (start, _), end in TRANSITIONS.items() if end is S.ENTERED} == {S.TYPED, S.ENTERED}


def test_what_was_entered_is_neither_typed_again_nor_cancelled() -> None:
    assert (S.ENTERED, Move.CANCEL) not in TRANSITIONS
    assert (S.ENTERED, Move.VANISH) not in TRANSITIONS
    assert (S.ENTERED, Move.FAIL) not in TRANSITIONS


def test_what_has_ended_moves_only_by_a_persons_wish() -> None:
    moves = {(start, move) for start, move in TRANSITIONS if start in FINAL_STATES}
    assert moves == {(S.DEAD, Move.RETRY), (S.UNCONFIRMED, Move.RETRY)}


def test_every_state_is_reached_and_every_other_leads_on() -> None:
    assert {*TRANSITIONS.values()} == {*CommandState}
    assert {start for start, _ in TRANSITIONS} >= {*CommandState} - FINAL_STATES


@pytest.mark.parametrize(
    ("state", "move"), [each for each in itertools.product(CommandState, Move) if each not in TRANSITIONS]
)
def test_every_other_move_is_refused(state: CommandState, move: Move) -> None:
    with pytest.raises(ImpossibleMove, match=str(state)):
        after(state, move)


def test_the_diagram_is_drawn_from_the_table() -> None:
    lines = mermaid().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> queued"]
    assert len(lines) == 2 + len(TRANSITIONS) + 3
    assert "    typed --> entered: Enter pressed" in lines
    assert "    delivered --> [*]" in lines


# Holding


@pytest.mark.parametrize(
    ("level", "detail", "wanted"),
    [
        (Level.STARTING, "", "starting"),
        (Level.IDLE, "", ""),
        (Level.BUSY, "", "busy"),
        (Level.WAITING, "permission", "waiting: permission"),
        (Level.WAITING, "", "waiting: a dialog is open"),
        (Level.LIMITED, "until 14:00", "limited: until 14:00"),
        (Level.LIMITED, "", "limited"),
        (Level.EXITED, "3", "exited (3)"),
        (Level.EXITED, "", "exited"),
        (Level.LOST, "", "lost: its window was closed"),
        (Level.UNKNOWN, "", ""),
    ],
)
def test_why_a_command_waits(level: Level, detail: str, wanted: str) -> None:
    assert reason(level, detail) == wanted


@pytest.mark.parametrize("level", Level)
def test_a_pause_comes_first(level: Level) -> None:
    paused = Agent(3, "be", paused=True)
    for priority, when in itertools.product(Priority, When):
        given = command(priority, when)
        assert hold_reason(given, paused, AgentState(level), TERMS, waited_s=1e9) == "paused"


@pytest.mark.parametrize("level", [Level.STARTING, Level.WAITING, Level.LIMITED, Level.EXITED, Level.LOST])
def test_nothing_is_so_urgent_that_it_goes_anywhere(level: Level) -> None:
    assert reason(level, priority=Priority.HIGH, when=When.NOW, waited_s=1e9)


@pytest.mark.parametrize(
    ("options", "waits"),
    [
        ({}, True),
        ({"priority": Priority.LOW}, True),
        ({"priority": Priority.HIGH}, False),
        ({"when": When.NOW}, False),
        ({"waited_s": 300}, True),
        ({"waited_s": 300.1}, False),
        ({"waited_s": 1e9, "terms": Terms(queues_when_busy=False, busy_hold_max_s=300)}, True),
    ],
)
def test_who_may_interrupt(options: dict[str, object], waits: bool) -> None:
    assert reason(Level.BUSY, **options) == ("busy" if waits else "")  # type: ignore[arg-type]


# Rests


def test_rests_double_with_some_chance_in_them_up_to_a_limit() -> None:
    for attempt, most in [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (20, 30.0)]:
        rests = [backoff_s(attempt) for _ in range(200)]
        assert min(rests) >= most / 2
        assert max(rests) <= most
        assert len(set(rests)) > 100
    assert backoff_s(50, most_s=10.0) <= 10.0
