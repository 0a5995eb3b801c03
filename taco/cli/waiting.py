"""What `send --wait` does once the messages are stored: wait for their end, and say what it was."""

from __future__ import annotations

import time
from collections.abc import Sequence

from taco.cli import say
from taco.cli.caller import AGENT_WAIT_S, Caller
from taco.cli.place import Place, with_wire
from taco.errors import Exit
from taco.models import FINAL_STATES, CommandState, Ledger


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
        ledgers, codes = [], [int(Exit.OK)]
        for command_id in command_ids:
            ledgers.append(self._end(command_id))
            if many:
                codes.append(self._tell(ledgers[-1], f"{ledgers[-1].target}: "))
        if as_json:
            found = [each.public() for each in ledgers]
            say.data(found if many else found[0])
        if not many:
            codes.append(self._tell(ledgers[0]))
        return max(codes)

    def _end(self, command_id: str) -> Ledger:
        """The ledger at its end, or as it is when the time is over."""

        def left_s() -> float:
            return max(0.0, self._limit_s - (time.monotonic() - self._began))

        return with_wire(self._place, lambda wire: wire.wait(command_id, left_s()))

    def _tell(self, ledger: Ledger, whose: str = "") -> int:
        more = f"taco queue show {ledger.id}"
        if ledger.state is CommandState.DELIVERED:
            to = "" if whose else f" to {ledger.target}"
            say.note(f"{whose}delivered{to} ({ledger.evidence}) after {time.monotonic() - self._began:.1f} s")
            return int(Exit.OK)
        if ledger.state is CommandState.UNCONFIRMED:
            say.note(f"{whose}unconfirmed: {say.clean(ledger.reason) or 'nobody saw it arrive'} — {more}")
            return int(Exit.UNCONFIRMED)
        if ledger.state in FINAL_STATES:
            say.note(f"{whose}{ledger.state}: {say.clean(ledger.reason) or 'no reason given'} — {more}")
            return int(Exit.NOT_DELIVERED)
        state = f"{ledger.state}: {say.clean(ledger.hold)}" if ledger.hold else str(ledger.state)
        late = f"{whose}not delivered in {self._limit_s:g} s ({state})"
        if self._gives_up:
            say.note(f"{late}; go on with your work: the answer will come as a message")
            return int(Exit.STILL_WAITING)
        say.note(f"{late}; it stays queued — {more}")
        return int(Exit.NOT_DELIVERED)
