"""What happened: the bounded stream of events, and who listens now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

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

    async def events_after(self, after: str, *, count: int) -> tuple[list[Event], str]:
        """The first `count` entries after the id `after`, those left out that are no events, and the last one's id.

        The id is "" when there is no entry after `after`.
        """
        found = await self._run("XRANGE", self.keys.events, f"({after}", "+", "COUNT", count)
        read = [_event(records.mapping(fields).get("event", ""), entry_id) for entry_id, fields in found]
        return [event for event in read if event], found[-1][0] if found else ""

    async def newest_event_id(self) -> str:
        """The id of the newest entry of the stream; "" when it holds none."""
        found = await self._run("XREVRANGE", self.keys.events, "+", "-", "COUNT", 1)
        return found[0][0] if found else ""

    async def live(self, subscribed: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[Event]:
        """Events as they happen, those left out that are none; raises BrokerError when the connection drops.

        `subscribed` is awaited before the first one, when none can be missed any more.
        """
        async for text in self._listen(self.keys.live, subscribed):
            if event := _event(text):
                yield event

    async def wakes(self) -> AsyncIterator[str]:
        """Names of agents that have something new in their queue; raises BrokerError likewise."""
        async for name in self._listen(self.keys.wake):
            yield name


def _event(text: str, entry_id: str = "") -> Event | None:
    """An event from its JSON; None for what is none: of another release, or of somebody who plays."""
    try:
        return records.event_from(text, entry_id)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
