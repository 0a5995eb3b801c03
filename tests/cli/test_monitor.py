"""`taco monitor --plain` as a program: in a pipe, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from threading import Thread

import pytest

from taco.models import Ask, Event, EventType, iso
from tests.cli.conftest import Shop, taco
from tests.support.paths import ROOT
from tests.support.waiting import wait_for


def test_plain_is_lines_until_ctrl_c(shop: Shop) -> None:
    shop.do(lambda broker: broker.open_ask(Ask("q1", "api", "prices in \x1b[31meuros?", iso(1_700_000_000.0))))
    lines: deque[str] = deque()
    with subprocess.Popen(
        [sys.executable, "-m", "taco", "monitor", "--plain", "--session", "shop"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as program:
        reader = Thread(target=lambda: lines.extend(iter(program.stdout.readline, "")))  # type: ignore[union-attr]
        reader.start()
        try:
            wait_for(lambda: any(line.startswith("From here on") for line in lines), what=lambda: "".join(lines))
            event = Event(EventType.AGENT_DONE, "shop", ts=iso(1_700_000_000.0), agent="api", content="all of it")
            shop.do(lambda broker: broker.emit(event))
            wait_for(lambda: "api: done: all of it" in lines[-1], what=lambda: "".join(lines))
            taco("answer", "yes", "--session", "shop")
            wait_for(lambda: any("Waits no more: api asks" in line for line in lines), what=lambda: "".join(lines))
        finally:
            program.send_signal(signal.SIGINT)
            reader.join(30)
    assert program.returncode == 130
    text = "".join(lines)
    assert text.startswith("Session shop: running")
    assert 'Waits for you: api asks: prices in euros? Answer with: taco answer q1 "…"' in text
    assert "\x1b" not in text


@pytest.mark.parametrize("words", [("monitor", "--plain"), ("log", "-f")], ids=" ".join)
def test_a_closed_pipe_ends_it_though_nothing_more_happens(shop: Shop, words: tuple[str, ...]) -> None:
    event = Event(EventType.AGENT_DONE, "shop", ts=iso(1_700_000_000.0), agent="api", content="all of it")
    shop.do(lambda broker: broker.emit(event))
    last = {"monitor": "From here on", "log": "all of it"}[words[0]]
    with subprocess.Popen(
        [sys.executable, "-m", "taco", *words, "--session", "shop"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None and program.stderr is not None
        try:
            assert any(last in line for line in iter(program.stdout.readline, ""))
            program.stdout.close()
            assert program.wait(60) == 1
            assert program.stderr.read() == ""
        finally:
            program.kill()


def test_no_session_is_one_line(shop: Shop) -> None:
    done = taco("monitor", "--plain", "--session", "nobody")
    assert (done.code, done.err.count("\n")) == (5, 1)
