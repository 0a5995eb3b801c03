"""What the monitor does: keys, redrawing, trouble and recovery."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from taco.errors import BrokerError, TmuxError
from taco.models import AgentState, Event, EventType, Level
from taco.monitor import team
from taco.monitor.app import MonitorApp
from taco.monitor.source import Snapshot
from taco.monitor.widgets.lines import Lines
from taco.monitor.widgets.table import AgentTable
from tests.monitor.data import AGENTS, NOW, REVIEW, RUNNING, FakeSource, stamp
from tests.monitor.screens import rows_of
from tests.support.waiting import wait_for_async


@asynccontextmanager
async def running(
    source: FakeSource,
    *,
    size: tuple[int, int] = (80, 24),
    in_session: bool = True,
    now: Callable[[], float] = lambda: NOW,
) -> AsyncIterator[tuple[MonitorApp, Pilot[None]]]:
    """The app over a source."""
    app = MonitorApp(source, now=now, in_session=in_session)
    async with app.run_test(size=size) as pilot:
        await wait_for_async(lambda: source.asked, what="first look")
        await pilot.pause()
        yield app, pilot


def text_of(app: MonitorApp) -> str:
    """The screen as text."""
    return "\n".join(rows_of(app.export_screenshot()))


async def next_look(app: MonitorApp, source: FakeSource, pilot: Pilot[None], looks: int = 1) -> None:
    """Waits until the monitor has looked again."""
    until = source.asked + looks + 1  # the one under way may have begun before
    app.feed.wake()
    await wait_for_async(lambda: source.asked >= until, what="a look")
    await pilot.pause()


async def shows(app: MonitorApp, *texts: str) -> None:
    """Waits until all of these are on the screen."""
    await wait_for_async(lambda: all(text in text_of(app) for text in texts), what=lambda: f"{texts}\n{text_of(app)}")


async def gone(app: MonitorApp, text: str) -> None:
    """Waits until this is not on the screen."""
    await wait_for_async(lambda: text not in text_of(app), what=lambda: f"no {text}\n{text_of(app)}")


def redrawn(app: MonitorApp) -> dict[str, int]:
    """How many lines each widget has redrawn so far."""
    return {str(widget.id): widget.redrawn for widget in app.screen.query(Lines)}


async def test_enter_jumps_to_the_selected_agent() -> None:
    source = FakeSource()
    async with running(source) as (_, pilot):
        await pilot.press("down", "down", "enter")
        await wait_for_async(lambda: source.jumps)
        await pilot.press("k", "enter")
        await wait_for_async(lambda: len(source.jumps) == 2)
    assert source.jumps == [4, 3]


async def test_double_click_jumps() -> None:
    source = FakeSource()
    async with running(source) as (_, pilot):
        await pilot.click("#agents", offset=(10, 3))
        assert not source.jumps
        await pilot.click("#agents", offset=(10, 3), times=2)
        await wait_for_async(lambda: source.jumps)
    assert source.jumps == [5]


async def test_a_planned_agent_has_no_window() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("end", "enter")
        await wait_for_async(lambda: "no window yet" in text_of(app))
    assert not source.jumps


@pytest.mark.parametrize("error", [TmuxError("window 3 is gone [red]"), RuntimeError("boom [/]")])
async def test_a_jump_that_fails_is_shown(error: Exception) -> None:
    source = FakeSource()
    source.jump_error = error
    async with running(source) as (app, pilot):
        await pilot.press("down", "enter")
        await wait_for_async(lambda: str(error) in text_of(app))


async def test_the_cursor_stays_on_its_agent() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("down", "down")
        table = app.screen.query_one(AgentTable)
        assert table.selected == "backend_dev"
        source.current = replace(RUNNING, agents=(AGENTS[0], *AGENTS[2:]))
        await next_look(app, source, pilot)
        assert (table.selected, table.cursor) == ("backend_dev", 1)
        source.current = replace(RUNNING, agents=AGENTS[:1])
        await next_look(app, source, pilot)
        assert (table.selected, table.cursor) == ("mother", 0)
        source.current = replace(RUNNING, agents=())
        await next_look(app, source, pilot)
        await pilot.press("down", "enter", "pagedown", "home")
    assert not source.jumps


async def test_nothing_is_redrawn_without_a_change() -> None:
    source = FakeSource()
    async with running(source, size=(200, 50)) as (app, pilot):
        before = redrawn(app)
        source.current = replace(RUNNING, agents=tuple(replace(agent) for agent in AGENTS))
        await next_look(app, source, pilot, looks=2)
        assert redrawn(app) == before


async def test_only_the_changed_row_is_redrawn() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        before = redrawn(app)
        busy = replace(AGENTS[1], state=AgentState(Level.BUSY, "", NOW - 3600, "hook"), done="API in docs/api.md")
        source.current = replace(RUNNING, agents=(AGENTS[0], busy, *AGENTS[2:]))
        await next_look(app, source, pilot)
        after = redrawn(app)
        assert {id: after[id] - before[id] for id in after if after[id] != before[id]} == {"agents": 1}


async def test_times_move_on_slowly() -> None:
    source, clock = FakeSource(), [NOW]
    async with running(source, now=lambda: clock[0]) as (app, pilot):
        before = redrawn(app)
        clock[0] += 4
        await next_look(app, source, pilot)
        assert redrawn(app)["agents"] == before["agents"]
        clock[0] += 60
        await next_look(app, source, pilot)
        assert "● busy transcript         1m" in text_of(app)


async def test_an_event_wakes_the_monitor_and_a_burst_is_one_look() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await wait_for_async(lambda: source.listening)
        asked = source.asked
        for at in range(500):
            event = Event(EventType.PERSON_MESSAGE, "todo-app", ts=stamp(-at), agent="devops", content=f"burst {at}")
            source.queue.put_nowait(event)
        await wait_for_async(lambda: any("burst" in event.content for event in app.model.events))
        await pilot.pause()
        assert source.asked - asked <= 2
        assert "burst" in text_of(app)


async def test_redis_goes_and_comes_back() -> None:
    source = FakeSource()
    async with running(source) as (app, _):
        source.error = BrokerError("Redis: gone fishing")
        source.queue.put_nowait(BrokerError("dropped"))
        await wait_for_async(lambda: "Redis is gone" in text_of(app))
        source.error, source.current = None, replace(RUNNING, session="back-again")
        await wait_for_async(lambda: "back-again" in text_of(app))
        assert "Redis is gone" not in text_of(app)
        await wait_for_async(lambda: source.listening == 2, what="a new subscription")


async def test_redis_is_gone_from_the_start() -> None:
    source = FakeSource()
    source.error = BrokerError("Redis: nobody there")
    async with running(source) as (app, _):
        await wait_for_async(lambda: "Redis is gone; trying again. Redis: nobody there" in text_of(app))
        assert "connecting …" in text_of(app)
        source.error = None
        await wait_for_async(lambda: "todo-app" in text_of(app))


@pytest.mark.parametrize("where", ["snapshot", "live", "supervise", "data"])
async def test_no_error_of_the_source_ends_the_monitor(where: str) -> None:
    source = FakeSource()
    async with running(source) as (app, _):
        boom = RuntimeError("boom")
        if where == "snapshot":
            source.error = boom
        elif where == "live":
            source.queue.put_nowait(boom)
            await wait_for_async(lambda: source.listening == 2)
        elif where == "supervise":
            source.supervise_error = boom
        else:
            source.current = replace(RUNNING, agents=(None,))  # type: ignore[arg-type]
        if where != "live":
            await wait_for_async(lambda: "✗" in text_of(app).splitlines()[3], what=lambda: text_of(app))
        source.error, source.supervise_error, source.current = None, None, replace(RUNNING, session="still-here")
        await wait_for_async(lambda: "still-here" in text_of(app))
        await wait_for_async(lambda: "boom" not in text_of(app))
        assert app.is_running


async def test_supervision_is_shown_and_goes_away() -> None:
    source = FakeSource()
    async with running(source) as (app, _):
        source.wrong = "the executor is down"
        await wait_for_async(lambda: "✗ the executor is down (window 2)" in text_of(app))
        source.wrong = ""
        await wait_for_async(lambda: "executor" not in text_of(app))


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
@pytest.mark.parametrize("in_session", [True, False])
async def test_leaving_is_asked_first(key: str, in_session: bool) -> None:
    async with running(FakeSource(), in_session=in_session) as (app, pilot):
        for no in ("n", "escape", "enter"):
            await pilot.press(key)
            await shows(app, "LEAVE the monitor?")
            assert ("C-a d" in text_of(app)) is in_session
            await pilot.press(no)
            await gone(app, "LEAVE the monitor?")
        assert app.is_running
        await pilot.press(key)
        await shows(app, "LEAVE the monitor?")
        await pilot.press("y")
        await wait_for_async(lambda: not app.is_running)


async def test_pages_open_scroll_and_close() -> None:
    source = FakeSource()
    pages = (
        ("o", "AGENT"),
        ("l", "LOG"),
        ("d", "DEAD LETTERS"),
        ("i", "INBOX"),
        ("v", "PLAN"),
        ("question_mark", "HELP"),
    )
    async with running(source) as (app, pilot):
        for key, title in pages:
            await pilot.press(key)
            await wait_for_async(lambda title=title: text_of(app).startswith(f" {title}"))
            await pilot.press("pagedown", "up", "escape")
            await wait_for_async(lambda: text_of(app).startswith(" TACO"))
        assert app.feed.page == ""


async def test_the_events_page_follows_the_end() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("l")
        for at in range(19):
            text = f"later {at}"
            source.queue.put_nowait(Event(EventType.AGENT_STATE, "todo-app", ts=stamp(-at), agent="a", content=text))
        await wait_for_async(lambda: "later 18" in text_of(app))
        await pilot.press("home")
        source.queue.put_nowait(Event(EventType.AGENT_STATE, "todo-app", ts=stamp(-99), agent="a", content="last"))
        await wait_for_async(lambda: "LOG  38 events" in text_of(app))
        assert "spec.approved" in text_of(app), "who scrolled up is not moved"


async def test_resizing_changes_the_layout() -> None:
    async with running(FakeSource()) as (app, pilot):
        await pilot.resize_terminal(200, 50)
        await wait_for_async(lambda: "LAST MESSAGE" in text_of(app) and "AGENT  mother" in text_of(app))
        await pilot.resize_terminal(30, 5)
        await pilot.resize_terminal(80, 24)
        await wait_for_async(lambda: "WAITS FOR · WORK" in text_of(app))


async def test_the_plan_scrolls_by_keys() -> None:
    agents = ", ".join(f'{{"name": "agent_{at}", "role": "does part {at}"}}' for at in range(30))
    plan: Snapshot = replace(
        RUNNING, spec={"status": "review", "json": f'{{"agents": [{agents}]}}'}, agents=AGENTS[:1], asks=()
    )
    async with running(FakeSource(plan)) as (app, pilot):
        assert "Tab scrolls" in text_of(app)
        assert "agent_29" not in text_of(app)
        await pilot.press("tab", "end")
        await wait_for_async(lambda: "agent_29" in text_of(app))


async def test_a_plan_that_is_none_is_shown_as_it_is() -> None:
    async with running(FakeSource(replace(RUNNING, spec={"status": "review", "text": "no [bold]plan[/]"}))) as (app, _):
        assert "no [bold]plan[/]" in text_of(app)


async def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running(FakeSource(replace(RUNNING, yolo=True))) as (app, _):
        segments = [segment for strip in app.screen._compositor.render_strips() for segment in strip]
        colors = {
            color for segment in segments if segment.style for color in (segment.style.color, segment.style.bgcolor)
        }
        assert {color.name for color in colors if color} <= {"default"}
        assert any(segment.style and segment.style.reverse and "YOLO" in segment.text for segment in segments)


async def test_a_prompt_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running(FakeSource()) as (app, pilot):
        await pilot.press("s", *"hello")
        await shows(app, "SEND to mother", "› hello", "RECENT ACTIVITY")
        segments = [segment for strip in app.screen._compositor.render_strips() for segment in strip]
        used = [segment.style for segment in segments if segment.style]
        assert {color.name for style in used for color in (style.color, style.bgcolor) if color} <= {"default"}
        assert any(style.reverse for style in used), "the cursor can be seen"


@pytest.mark.parametrize("snapshot", [RUNNING, replace(RUNNING, spec=REVIEW.spec)])
async def test_every_state_has_a_mark_and_a_word(snapshot: Snapshot) -> None:
    async with running(FakeSource(snapshot), size=(200, 50)) as (app, _):
        for each in snapshot.agents:
            stands = team.look(each)
            assert f"{stands.mark} {stands.word}" in text_of(app)


async def test_the_picture(tmp_path: Path) -> None:
    await MonitorApp(FakeSource(), now=lambda: NOW).export_svg(tmp_path / "monitor.svg", size=(100, 30))
    text = "\n".join(rows_of((tmp_path / "monitor.svg").read_text("utf-8")))
    assert "todo-app" in text
    assert "2 active" in text


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (127, 31), (200, 50), (300, 80)])
@pytest.mark.parametrize("key", ["", "i", "d", "v", "l", "o", "s"])
async def test_every_row_fills_its_width(size: tuple[int, int], key: str) -> None:
    async with running(FakeSource(), size=size) as (app, pilot):
        await pilot.press(*filter(None, [key]))
        await pilot.pause()
        assert len(text_of(app).splitlines()) == size[1]
        for widget in app.screen.query(Lines):
            for y in range(len(widget.lines)):
                strip = widget._strip(y, widget.room)
                assert sum(segment.cell_length for segment in strip) == widget.room, widget.id


def test_the_real_clock_is_the_default() -> None:
    assert abs(MonitorApp(FakeSource()).model.now() - time.time()) < 3600
