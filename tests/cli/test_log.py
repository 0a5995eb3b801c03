from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from taco import redis_server
from taco.cli import reader
from taco.models import Event, EventType, iso
from tests.cli.conftest import Shop, taco
from tests.support.paths import ROOT
from tests.support.waiting import wait_for


def emit(shop: Shop, content: str, agent: str = "api", level: str = "info") -> None:
    event = Event(EventType.AGENT_STATE, "shop", ts=iso(1_700_000_000.0), agent=agent, level=level, content=content)
    shop.do(lambda broker: broker.emit(event))


def test_the_last_events_are_shown(shop: Shop) -> None:
    for number in range(5):
        emit(shop, f"number {number}")
    emit(shop, "quiet", level="debug")
    emit(shop, "from web", agent="web", level="error")
    lines = taco("log", "-n", "3").out.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["3", "4", "web"]
    assert "quiet" in taco("log", "--level", "debug").out
    assert taco("log", "web").out.count("\n") == 1
    assert taco("log", "--level", "error").out.count("\n") == 1


def test_json_is_one_event_per_line(shop: Shop) -> None:
    emit(shop, "hello")
    [line] = taco("log", "--json").out.splitlines()
    found = json.loads(line)
    assert list(found) == ["id", "ts", "session", "category", "type", "agent", "command", "level", "content", "data"]
    assert (found["type"], found["content"]) == ("agent.state", "hello")


def test_a_message_is_told_from_whom_to_whom_with_its_first_words(shop: Shop) -> None:
    sent = taco("send", "api", "use port 3001").out.strip()
    taco("queue", "cancel", sent)
    [queued, ended] = taco("log").out.splitlines()
    assert "person → api: use port 3001" in queued
    assert "person → api: use port 3001 (" in ended


@contextmanager
def following(shop: Shop) -> Iterator[tuple[subprocess.Popen[str], deque[str]]]:
    lines: deque[str] = deque()
    with subprocess.Popen(
        [sys.executable, "-m", "taco", "log", "-f", "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        reader = Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
        reader.start()
        try:
            yield process, lines
        finally:
            process.kill()
            reader.join()


def test_follow_misses_nothing_not_even_while_redis_is_away(shop: Shop) -> None:
    emit(shop, "first")
    with following(shop) as (process, lines):
        wait_for(lambda: lines)
        emit(shop, "second")
        wait_for(lambda: len(lines) == 2)
        redis_server.stop(shop.record.home)
        redis_server.ensure(shop.record.home)
        emit(shop, "third")
        wait_for(lambda: len(lines) == 3)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert [json.loads(line)["content"] for line in lines] == ["first", "second", "third"]


def test_without_redis_the_executors_log_is_shown(shop: Shop) -> None:
    event = Event(EventType.AGENT_DONE, "shop", ts=iso(1_700_000_000.0), agent="api", content="all of it")
    own = {"ts": "x", "level": "info", "type": "spool.read", "content": "", "data": {}}
    path = shop.record.directory / "log.jsonl"
    path.write_text(f"{json.dumps(event.as_dict())}\n{json.dumps(own)}\nnot json\n")
    redis_server.stop(shop.record.home)
    done = taco("log")
    assert (done.code, "Redis is down" in done.err, "all of it" in done.out) == (0, True, True)


async def test_what_has_no_stdout_at_all_is_done_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python starts below `>&-`."""
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    monkeypatch.setattr(sys, "stdout", None)
    await reader.while_read(work())
    assert done.is_set()
