"""What `send --wait` does once the messages are stored: wait for their end, and say what it was."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from taco.cli import say
from taco.cli.caller import AGENT_WAIT_S, Caller
from taco.cli.place import Place, with_wire
from taco.errors import Exit
from taco.models import FINAL_STATES, CommandState, Ledger


class Ended(NamedTuple):
    """A message at its end, or when the time was over: what is known of it, the exit code, one line on it."""

    ledger: Ledger
    code: Exit
    said: str


class Waiting:
    """One caller's wait for messages of one session, `wanted_s` long; an agent gets at most AGENT_WAIT_S."""

    def __init__(self, place: Place, who: Caller, wanted_s: float) -> None:
        """The time runs from now on."""
        self._place = place
        self._gives_up = who.is_agent and wanted_s > AGENT_WAIT_S  # it hears of the rest by a message
        self._limit_s = who.wait_s(wanted_s)
        self._began = time.monotonic()

    def for_all(self, command_ids: Sequence[str], *, many: bool, as_json: bool) -> int:
        """Wait for the end of every message and tell each; the worst exit code.

        `many`: as lines that name their agent, and as a list in JSON, also when it is a single one.
        """
        ended = []
        for each in self.ends(command_ids, many=many):
            ended.append(each)
            if many:
                say.note(each.said)
        if as_json:
            found = [each.ledger.public() for each in ended]
            say.data(found if many else found[0])
        if not many:
            say.note(ended[0].said)
        return max(int(each.code) for each in ended)

    def ends(self, command_ids: Sequence[str], *, many: bool) -> Iterator[Ended]:
        """Each message at its end, or as it is when the time is over; `many`: what is said names the agent."""
        for command_id in command_ids:
            ledger = self._end(command_id)
            yield Ended(ledger, *self._told(ledger, f"{ledger.target}: " if many else ""))

    def _end(self, command_id: str) -> Ledger:
        """The ledger at its end, or as it is when the time is over."""

        def left_s() -> float:
            return max(0.0, self._limit_s - (time.monotonic() - self._began))

        return with_wire(self._place, lambda wire: wire.wait(command_id, left_s()))

    def _told(self, ledger: Ledger, whose: str) -> tuple[Exit, str]:
        more = f"taco queue show {ledger.id}"
        if ledger.state is CommandState.DELIVERED:
            to = "" if whose else f" to {ledger.target}"
            return Exit.OK, f"{whose}delivered{to} ({ledger.evidence}) after {time.monotonic() - self._began:.1f} s"
        if ledger.state is CommandState.UNCONFIRMED:
            why = say.clean(ledger.reason) or "nobody saw it arrive"
            return Exit.UNCONFIRMED, f"{whose}unconfirmed: {why} — {more}"
        if ledger.state in FINAL_STATES:
            return (
                Exit.NOT_DELIVERED,
                f"{whose}{ledger.state}: {say.clean(ledger.reason) or 'no reason given'} — {more}",
            )
        state = f"{ledger.state}: {say.clean(ledger.hold)}" if ledger.hold else str(ledger.state)
        late = f"{whose}not delivered in {self._limit_s:g} s ({state})"
        if self._gives_up:
            return Exit.STILL_WAITING, f"{late}; go on with your work: the answer will come as a message"
        return Exit.NOT_DELIVERED, f"{late}; it stays queued — {more}"
