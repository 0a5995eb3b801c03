"""The fast way to Redis for short-lived commands, with the values of `models`; synchronous.

Importing it takes none of redis, asyncio, pydantic or orjson.
"""

from __future__ import annotations

import time
from dataclasses import replace

from taco import records
from taco.errors import NotFoundError
from taco.line import ForbiddenError, Line
from taco.models import FINAL_STATES, CommandState, Ledger

__all__ = ["ForbiddenError", "Line", "Wire"]


class Wire(Line):
    """One session's way to Redis; connects at the first call, every failure is a BrokerError."""

    def ledger(self, command_id: str) -> Ledger | None:
        """What is known of a command; None when it is unknown or forgotten.

        One that waits behind others has the hold of its agent's queue for its own.
        """
        found = records.mapping(self.call("HGETALL", self.keys.command(command_id)))
        if not found:
            return None
        ledger = records.ledger_from(found)
        if ledger.state is CommandState.QUEUED and not ledger.hold:
            hold = self._hold(ledger.target)
            return replace(ledger, hold=f"behind others: {hold}") if hold else ledger
        return ledger

    def _hold(self, agent: str) -> str:
        """Why the queue of an agent stands still; "" when it does not."""
        window = self.call("HGET", self.keys.index, agent)
        return str(self.call("HGET", self.keys.agent(int(window)), "hold") or "") if window else ""

    def wait(self, command_id: str, timeout_s: float) -> Ledger:
        """The ledger at the command's final state, or as it is after `timeout_s`; raises NotFoundError."""
        deadline = time.monotonic() + timeout_s
        return self._guarded(lambda: self._wait(command_id, deadline))

    def _wait(self, command_id: str, deadline: float) -> Ledger:
        with Wire(self._url, self.keys.session, self.timeout_s) as listener:
            listener._exchange(("SUBSCRIBE", self.keys.completed))
            while True:
                ledger = self.ledger(command_id)
                if ledger is None:
                    raise NotFoundError(f"there is no command {command_id!r}")
                if ledger.state in FINAL_STATES or not listener._heard(command_id, deadline):
                    return ledger
