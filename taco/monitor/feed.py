"""Keeps the model up to date: pub/sub wakes it, a look once a second makes sure."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from taco.errors import BrokerError
from taco.models import Event, iso
from taco.monitor.model import Model
from taco.monitor.source import Source

LOOK_S = 1.0  # at least one look in this time, whatever pub/sub says
QUIET_LOOK_S = 2.0  # the same when the last look showed nothing new
BURST_S = 0.25  # and no two looks closer than this
SHARE = 0.02  # of one core that looks may take; busier means fewer looks, down to LOOK_S
LONGEST_RETRY_S = 5.0
LINGER = 3  # rounds of supervision that find nothing before a trouble is no longer shown
CROWD = 20  # events between two looks from which it is cheaper not to listen


def pause(cpu_s: float) -> float:
    """How long to merge events before the next look, when the last round took `cpu_s` of the processor."""
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
        self._drops = 0  # of the connection, since the last event
        self._looked = asyncio.Event()
        self._heard: list[Event] = []  # since the last look
        self._is_quiet = False
        self.letters_wanted = False  # while somebody looks at the letters
        self.looks = 0

    async def run(self) -> None:
        """Run until cancelled; no error of the source ends it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_forever())
            group.create_task(self._listen_forever())
            group.create_task(self._supervise_forever())

    def wake(self) -> None:
        """Look again soon."""
        self._wake.set()

    async def _look_forever(self) -> None:
        failures, spent = 0, time.process_time()
        while True:
            self._wake.clear()
            failures = 0 if await self._look() else failures + 1
            if failures:
                await asyncio.sleep(retry_delay(failures))
                continue
            before, spent = spent, time.process_time()
            await asyncio.sleep(merged := pause(spent - before))
            rest_s = QUIET_LOOK_S if self._is_quiet else LOOK_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, rest_s - merged)):
                    await self._wake.wait()

    async def _look(self) -> bool:
        model, shown = self._model, self._model.snapshot
        self._looked.set()
        try:
            model.snapshot = await self._source.snapshot()
            if self.letters_wanted:
                model.letters = await self._source.letters()
            heard, self._heard = self._heard, []
            self._is_quiet = not heard and shown is not None and model.snapshot.events == shown.events
            model.events.add((*heard, *model.snapshot.events))
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
        try:
            self._changed()
        except Exception as error:
            self._log(f"draw: {error!r}")
