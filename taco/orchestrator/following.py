"""The journal follows the stream of events: each event once, in the stream's order, also after a lost connection."""

from __future__ import annotations

from collections.abc import Callable

from taco import log
from taco.broker.events import Events
from taco.models import Event
from taco.orchestrator.journal import BEGINNING, Journal, position

PAGE = 200  # entries that are read at a time


class Follower:
    """Writes every event of a session to its journal; a subscription alone would miss what happens without it."""

    def __init__(self, broker: Events, journal: Journal, noted: Callable[[Event], None]) -> None:
        """Goes on after the last event that `journal` holds on disk; `noted` gets each event once it is written."""
        self._broker = broker
        self._journal = journal
        self._noted = noted
        self._last = journal.last_id()

    async def follow(self) -> None:
        """Write what was missed, then what happens; raises BrokerError when the connection drops.

        Called again, it goes on where it was.
        """
        async for event in self._broker.live(self.catch_up):
            self._take(event)

    async def catch_up(self) -> None:
        """Write what the stream holds after the last event that was written; raises BrokerError."""
        await self._note_replaced()
        while True:
            events, last = await self._broker.events_after(self._last, count=PAGE)
            if not last:
                return
            for event in events:
                self._take(event)
            self._last = max(last, self._last, key=_order)  # also past what is no event

    async def _note_replaced(self) -> None:
        """A stream that ends before our last event has lost its end, or is another one: go on from where it ends.

        What it holds up to there is in the journal as a rule (a backup, a write that was not synced), so it is not
        written again; waiting for ids beyond ours instead could take for ever (a server whose clock is behind).
        """
        newest = await self._broker.newest_event_id() or BEGINNING
        if _order(newest) < _order(self._last):
            log.warning("events.replaced", last=self._last, newest=newest)
            self._last = newest

    def _take(self, event: Event) -> None:
        """Write an event unless it was written: what happens during `catch_up` is read and heard."""
        if _order(event.id) <= _order(self._last):
            return
        self._journal.event(event)
        self._last = event.id
        self._noted(event)


def _order(event_id: str) -> tuple[int, int]:
    return position(event_id) or (0, 0)
