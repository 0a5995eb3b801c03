"""What happened: the bounded stream of events, and who listens now."""

from __future__ import annotations

from collections.abc import AsyncIterator

from taco import records
from taco.broker.client import Client
from taco.models import Event


class Events(Client):
    """Events, told and read."""

    async def emit(self, event: Event) -> None:
        """Tells an event."""
        keys = (self.keys.state, self.keys.events)
        await self._script("emit", keys, (self.keys.live, records.event_json(event)))

    async def events(self, *, count: int = 100, after: str = "") -> list[Event]:
        """The last `count` events, or the first `count` after the id `after`; oldest first."""
        if after:
            found = await self._run("XRANGE", self.keys.events, f"({after}", "+", "COUNT", count)
        else:
            found = await self._run("XREVRANGE", self.keys.events, "+", "-", "COUNT", count)
            found = found[::-1]
        return [records.event_from(records.mapping(fields)["event"], entry_id) for entry_id, fields in found]

    async def live(self) -> AsyncIterator[Event]:
        """Events as they happen, those left out that are none; raises BrokerError when the connection drops."""
        async for text in self._listen(self.keys.live):
            try:
                event = records.event_from(text)
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # of another release, or of somebody who plays
            yield event

    async def wakes(self) -> AsyncIterator[str]:
        """Names of agents that have something new in their queue; raises BrokerError likewise."""
        async for name in self._listen(self.keys.wake):
            yield name
