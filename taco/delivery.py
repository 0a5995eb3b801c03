"""The life of one command: its transitions as a table, and what may be done next. Pure.

The diagram in the documentation is generated from `TRANSITIONS`.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass

from taco.errors import TacoError
from taco.models import Agent, AgentState, Command, CommandState, Level, Priority, When


class Move(enum.StrEnum):
    """What can happen to a command."""

    TYPE = "text typed"
    ENTER = "Enter pressed"
    REFUSE = "Enter not pressed"
    AGAIN = "Enter pressed again"
    CONFIRM = "evidence seen"
    REJECT = "the CLI refused it"
    VANISH = "text gone, nothing submitted"
    LOSE = "nothing to tell by"
    FAIL = "error, tried again"
    GIVE_UP = "error, out of attempts"
    CANCEL = "cancelled"
    RETRY = "a person retries it"


_S = CommandState
TRANSITIONS: dict[tuple[CommandState, Move], CommandState] = {
    (_S.QUEUED, Move.TYPE): _S.TYPED,
    (_S.QUEUED, Move.FAIL): _S.QUEUED,
    (_S.QUEUED, Move.GIVE_UP): _S.DEAD,
    (_S.QUEUED, Move.CANCEL): _S.CANCELLED,
    (_S.QUEUED, Move.LOSE): _S.UNCONFIRMED,
    (_S.TYPED, Move.ENTER): _S.ENTERED,
    (_S.TYPED, Move.VANISH): _S.QUEUED,
    (_S.TYPED, Move.CONFIRM): _S.DELIVERED,
    (_S.TYPED, Move.LOSE): _S.UNCONFIRMED,
    (_S.TYPED, Move.GIVE_UP): _S.DEAD,
    (_S.TYPED, Move.CANCEL): _S.CANCELLED,
    (_S.ENTERED, Move.REFUSE): _S.TYPED,
    (_S.ENTERED, Move.AGAIN): _S.ENTERED,
    (_S.ENTERED, Move.CONFIRM): _S.DELIVERED,
    (_S.ENTERED, Move.REJECT): _S.REJECTED,
    (_S.ENTERED, Move.LOSE): _S.UNCONFIRMED,
    (_S.DEAD, Move.RETRY): _S.QUEUED,
    (_S.UNCONFIRMED, Move.RETRY): _S.QUEUED,
}


class ImpossibleMove(TacoError):
    """A command cannot go that way from where it stands."""


def after(state: CommandState, move: Move) -> CommandState:
    """Where `move` takes a command; raises ImpossibleMove."""
    try:
        return TRANSITIONS[state, move]
    except KeyError:
        raise ImpossibleMove(f"a command that is {state} cannot be: {move}") from None


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> queued"]
    lines += [f"    {start} --> {end}: {move}" for (start, move), end in TRANSITIONS.items()]
    ends = [state for state in CommandState if not any(start is state for start, _ in TRANSITIONS)]
    return "\n".join(lines + [f"    {state} --> [*]" for state in ends])


@dataclass(frozen=True, slots=True)
class Terms:
    """What a provider and the settings say about holding a command."""

    queues_when_busy: bool
    busy_hold_max_s: float


def hold_reason(command: Command, agent: Agent, state: AgentState, terms: Terms, *, waited_s: float) -> str:
    """Why `command` must not be typed now, in words for people; "" when it may be.

    `waited_s` is how long the command has waited. A draft in the composer is not seen here: that takes the screen.
    """
    if agent.paused:
        return "paused"
    match state.level:
        case Level.STARTING:
            return "starting"
        case Level.WAITING:
            return f"waiting: {state.detail or 'a dialog is open'}"
        case Level.LIMITED:
            return f"limited: {state.detail}" if state.detail else "limited"
        case Level.EXITED:
            return f"exited ({state.detail})" if state.detail else "exited"
        case Level.LOST:
            return f"lost: {state.detail or 'its window was closed'}"
        case Level.BUSY if not _may_interrupt(command, terms, waited_s):
            return "busy"
        case _:
            return ""


def _may_interrupt(command: Command, terms: Terms, waited_s: float) -> bool:
    if command.when is When.NOW or command.priority is Priority.HIGH:
        return True
    return terms.queues_when_busy and waited_s > terms.busy_hold_max_s


def backoff_s(attempt: int, *, base_s: float = 0.5, most_s: float = 30.0) -> float:
    """Exponential backoff with full jitter after the `attempt`-th error (from 1), in seconds."""
    return random.uniform(0.5, 1.0) * min(most_s, base_s * 2.0 ** (attempt - 1))
