"""Keeps the model up to date: what pub/sub tells is shown at once, the rest is read once a second at most."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from taco.errors import BrokerError
from taco.models import Event, iso
from taco.monitor.lists import shows_dialog
from taco.monitor.model import Model
from taco.monitor.source import Source

LOOK_S = 1.0  # between two looks at least, whatever pub/sub says
QUIET_LOOK_S = 2.0  # the same when the last look showed nothing new, and nothing is heard
BURST_S = 0.25  # what is heard in this time is shown together
SHARE = 0.02  # of one core that showing it may take; busier means rarer, down to LOOK_S
LONGEST_RETRY_S = 5.0
LINGER = 3  # rounds of supervision that find nothing before a trouble is no longer shown
LETTERS, INBOX = "letters", "inbox"  # pages that need more than a look
CROWD = 20  # events between two looks from which it is cheaper not to listen


def pause(cpu_s: float) -> float:
    """How long to merge events before they are shown, when the last time took `cpu_s` of the processor."""
    return min(LOOK_S, max(BURST_S, cpu_s / SHARE))


def retry_delay(failures: int) -> float:
    """Seconds before the next attempt after so many failures in a row."""
    return min(LONGEST_RETRY_S, 0.25 * 2.0 ** min(failures, 10))


class Feed:
    """Reads a source into a model and calls `changed` whenever the model may look different."""

    def __init__(self, source: Source, model: Model, changed: Callable[[], None], log: Callable[[str], None]) -> None:
        """`log` gets errors that are the monitor's own."""
        self._source, self._model, self._changed, self._log = source, model, changed, log
        self._wake = asyncio.Event()
        self._hears = asyncio.Event()
        self._drops = 0  # of the connection, since the last event
        self._looked = asyncio.Event()
        self._heard: list[Event] = []  # since the last look
        self._is_quiet = False
        self.page = ""  # the page in front, when it needs more than a look
        self.looks = 0

    async def run(self) -> None:
        """Run until cancelled; no error of the source ends it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_forever())
            group.create_task(self._listen_forever())
            group.create_task(self._show_forever())
            group.create_task(self._supervise_forever())

    def wake(self) -> None:
        """Look again soon."""
        self._wake.set()

    async def _look_forever(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            failures = 0 if await self._look() else failures + 1
            if failures:
                await asyncio.sleep(retry_delay(failures))
                continue
            await asyncio.sleep(LOOK_S)
            rest_s = QUIET_LOOK_S - LOOK_S if self._is_quiet else 0.0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await self._wake.wait()

    async def _look(self) -> bool:
        model, shown = self._model, self._model.snapshot
        self._looked.set()
        try:
            model.snapshot = await self._source.snapshot()
            heard, self._heard = self._heard, []
            self._is_quiet = not heard and shown is not None and model.snapshot.events == shown.events
            model.events.add((*heard, *model.snapshot.events))
            if not self._is_quiet or self.page == INBOX:
                await self._read()
            model.trouble = replace(model.trouble, redis="", monitor="", seen_at=iso(model.now()))
            self._changed()
        except BrokerError as error:
            self._report(redis=error.message)
        except Exception as error:  # whatever it is, the person must see it and the monitor must stay
            self._log(f"look: {error!r}")
            model.snapshot = shown
            self._report(monitor=f"{type(error).__name__}: {error}")
        else:
            self.looks += 1
            return True
        return False

    async def read_page(self) -> None:
        """Read at once what the page in front needs, and show it."""
        try:
            await self._read(fresh=True)
            self._changed()
        except BrokerError as error:
            self._report(redis=error.message)
        except Exception as error:
            self._log(f"page: {error!r}")
            self._report(monitor=f"{type(error).__name__}: {error}")

    async def _read(self, *, fresh: bool = False) -> None:
        """What the page in front shows and no look brings; the inbox's messages only when there may be new ones."""
        model = self._model
        if self.page == LETTERS:
            model.letters = await self._source.letters()
        elif self.page == INBOX:
            if fresh or not self._is_quiet:
                model.notes = await self._source.notes()
            agents = model.snapshot.agents if model.snapshot else ()
            model.screens = await self._source.screens([agent for agent in agents if shows_dialog(agent)])

    async def _show_forever(self) -> None:
        """Show what is heard at once, without reading anything."""
        cost_s = 0.0
        while True:
            await self._hears.wait()
            await asyncio.sleep(pause(cost_s))
            self._hears.clear()
            if not 0 < len(self._heard) < CROWD:
                continue  # a look has shown it, or will soon: in a crowd once for all of it
            begun = time.process_time()
            self._model.events.add(self._heard)
            self._show()
            cost_s = time.process_time() - begun

    async def _listen_forever(self) -> None:
        while True:
            try:
                await self._listen()
                await self._looked.wait()
                continue
            except BrokerError:
                self._wake.set()
            except Exception as error:
                self._log(f"live: {error!r}")
            self._drops += 1
            await asyncio.sleep(retry_delay(self._drops))

    async def _listen(self) -> None:
        """Wakes on every event; returns in a crowd of them: the next look reads them all at once, for less."""
        live = self._source.live()
        try:
            async for event in live:
                self._drops = 0
                self._heard.append(event)
                self._hears.set()
                self._wake.set()
                if len(self._heard) >= CROWD:
                    break
        finally:
            if isinstance(live, AsyncGenerator):
                await live.aclose()
        self._looked.clear()

    async def _supervise_forever(self) -> None:
        well = 0
        while True:
            try:
                text = await self._source.supervise()
            except Exception as error:
                self._log(f"supervise: {error!r}")
                text = f"the executor cannot be looked after: {error}"
            well = 0 if text else well + 1
            if text != self._model.trouble.executor and (text or well > LINGER):
                self._report(executor=text)
            await asyncio.sleep(LOOK_S)

    def _report(self, **changes: str) -> None:
        self._model.trouble = replace(self._model.trouble, **changes)
        self._show()

    def _show(self) -> None:
        try:
            self._changed()
        except Exception as error:
            self._log(f"draw: {error!r}")
