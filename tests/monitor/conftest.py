"""Fixtures of the monitor's tests: fixed time, fixed colours, and a look at the screen as text."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from textual.pilot import Pilot

from taco.monitor.app import MonitorApp
from taco.monitor.source import Snapshot
from tests.monitor.data import NOW, FakeSource
from tests.monitor.screens import rows_of
from tests.support.waiting import wait_for_async

Prepare = Callable[[Pilot[None], FakeSource], Awaitable[None]]
Look = Callable[..., str]


@pytest.fixture(autouse=True)
def fixed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are shown in UTC, colours are allowed."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def look(snap_compare: Callable[..., bool]) -> Look:
    """Compares the screen of a snapshot with the accepted picture; returns its text, row by row."""

    def compare(
        snapshot: Snapshot,
        size: tuple[int, int] = (80, 24),
        press: tuple[str, ...] = (),
        prepare: Prepare | None = None,
        in_session: bool = True,
    ) -> str:
        source = FakeSource(snapshot)
        app = MonitorApp(source, now=lambda: NOW, in_session=in_session)
        seen: list[str] = []

        async def run_before(pilot: Pilot[None]) -> None:
            await wait_for_async(lambda: app.feed.looks, what="first look")
            await pilot.press(*press)
            if prepare:
                await prepare(pilot, source)
            await pilot.pause()
            seen.extend(rows_of(app.export_screenshot()))

        assert snap_compare(app, terminal_size=size, run_before=run_before)
        assert len(seen) == size[1]
        return "\n".join(seen)

    return compare
