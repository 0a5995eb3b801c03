"""The monitor as lines."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from taco.errors import BrokerError
from taco.models import Ask, Event, EventType
from taco.monitor.plain import event_text, follow, summary
from tests.monitor.data import DEMO, EVENTS, NOW, REVIEW, RUNNING, FakeSource, command, happened, stamp
from tests.support.waiting import wait_for_async


def test_the_session_in_sentences() -> None:
    lines = list(summary(RUNNING, NOW))
    assert lines[0] == "Session todo-app: running, provider claude, since 10:01, 2h34m, in /srv/todo."
    assert 'Waits for you: frontend_dev asks: Dark mode first, or light? Answer with: taco answer a7k2 "…"' in lines
    assert "Waits for you: backend_dev: permission, in window 4" in lines
    assert "Agents: 2 active, 2 waiting for you, 1 failed, 1 planned, 1 done." in lines
    assert (
        "4 backend_dev: waits for you, permission (by hook) for 1m; hold: waiting: permission; 3 in its queue" in lines
    )
    assert (
        "6 database_dev: busy (by transcript) for 30s; person: please add an index on due_date; 1 in its queue" in lines
    )
    assert "Queue: 3 pending, 1 processing, 1,247 completed, 2 failed, 1 dead, 1 unconfirmed." in lines
    assert "Service backend: down, at http://localhost:3001, of backend_dev." in lines
    assert not any("\x1b" in line for line in lines)


def test_demo_yolo_and_a_plan_are_said() -> None:
    lines = list(summary(DEMO, NOW))
    assert "DEMO: the agents are scripted." in lines
    assert any(line.startswith("Waits for you: the plan of the team") for line in summary(REVIEW, NOW))


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (EVENTS[2], "11:35:10 architect to backend_dev: queued: API spec shared: docs/api.md"),
        (
            replace(EVENTS[3], data={"sender": "architect", "preview": "API spec"}),
            "11:35:12 architect to backend_dev: delivered: API spec, seen by hook",
        ),
        (happened(1, EventType.AGENT_DONE, "be", "all of it"), "12:34:59 be: done: all of it"),
        (happened(1, EventType.AGENT_EXITED, "be", "exited\x1b[31m"), "12:34:59 be: exited"),
        (EVENTS[14], "12:34:10 architect to person: The API is ready for you to look at"),
    ],
)
def test_an_event_is_one_line(event: Event, text: str) -> None:
    assert event_text(event) == text


async def test_what_happens_is_told_once_and_what_waits_when_it_begins_and_ends() -> None:
    source = FakeSource(replace(RUNNING, events=tuple(replace(each, id=str(at)) for at, each in enumerate(EVENTS))))
    lines: list[str] = []
    warned: list[str] = []
    task = asyncio.create_task(follow(source, lines.append, warned.append, lambda: NOW))
    try:
        await wait_for_async(lambda: lines and lines[-1].startswith("From here on"))
        begun = len(lines)
        news = replace(command(0, EventType.COMMAND_QUEUED, "c9", "be", "fe", "hello"), id="x1")
        debug = replace(command(0, EventType.COMMAND_TYPED, "c9", "be", "fe", ""), id="x2", level="debug")
        asks = (Ask("b2", "devops", "Which registry?", stamp(0)),)
        source.current = replace(source.current, events=(*source.current.events[5:], news, debug), asks=asks)
        await wait_for_async(lambda: len(lines) >= begun + 3)
        source.error = BrokerError("gone fishing")
        await wait_for_async(lambda: warned)
        source.error = None
        await wait_for_async(lambda: len(warned) == 2)
    finally:
        task.cancel()
    assert lines[begun:] == [
        "12:35:00 be to fe: queued: hello",
        'Waits for you: devops asks: Which registry? Answer with: taco answer b2 "…"',
        'Waits no more: frontend_dev asks: Dark mode first, or light? Answer with: taco answer a7k2 "…"',
    ]
    assert warned == ["Redis is gone; trying again. gone fishing", "Redis answers again."]
