"""The fast way to Redis for short-lived commands, with the values of `models`; synchronous.

Importing it takes none of redis, asyncio, pydantic or orjson.
"""

from __future__ import annotations

import time

from taco import records
from taco.errors import NotFoundError
from taco.line import ForbiddenError, Line
from taco.models import FINAL_STATES, Ledger

__all__ = ["ForbiddenError", "Line", "Wire"]


class Wire(Line):
    """One session's way to Redis; connects at the first call, every failure is a BrokerError."""

    def ledger(self, command_id: str) -> Ledger | None:
        """What is known of a command; None when it is unknown or forgotten."""
        found = records.mapping(self.call("HGETALL", self.keys.command(command_id)))
        return records.ledger_from(found) if found else None

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
