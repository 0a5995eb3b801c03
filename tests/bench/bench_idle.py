"""The processor time of a session in which nothing happens, and of its monitor while messages flow."""

from __future__ import annotations

import itertools
import time

from taco.models import Command, iso
from taco.wire import Wire
from tests.bench.crew import Crew, crew
from tests.bench.result import Result
from tests.bench.usage import Shares

TITLE = "processor time with agents that have drawn and gone quiet, and of the monitor at 20 messages a second"
IDLE_AT_MOST = 1.0  # percent of a core: executor (with the tmux clients it runs) and monitor together
MONITOR_AT_MOST = 3.0
MESSAGES_A_SECOND = 20
QUIET_S = 4.0  # after this the start is over: screens have settled


def run(quick: bool) -> list[Result]:
    """`bin/taco`, real panes, the executor's and the monitor's own processes."""
    size, window_s = (10, 8.0) if quick else (50, 40.0)
    with crew(size) as team:
        time.sleep(QUIET_S)
        return [*idle(team, window_s), *_busy(team, window_s)]


def idle(team: Crew, window_s: float) -> list[Result]:
    """What each process takes while nothing happens."""
    shares = Shares(team.pids())
    time.sleep(window_s)
    found = shares.percent()
    note = ", ".join(f"{name} {percent:.2f} %" for name, percent in found.items())
    what = f"{team.size} quiet agents: executor and monitor"
    return [_row(what, found["executor"] + found["monitor"], IDLE_AT_MOST, note)]


def _busy(team: Crew, window_s: float) -> list[Result]:
    shares = Shares(team.pids())
    sent = _send(team, window_s)
    found = shares.percent()
    note = f"{sent / window_s:.1f} a second; executor {found['executor']:.1f} %, redis {found['redis']:.1f} %"
    return [_row(f"monitor at {MESSAGES_A_SECOND} messages a second", found["monitor"], MONITOR_AT_MOST, note)]


def _send(team: Crew, window_s: float) -> int:
    """Messages to all agents in turn; how many."""
    names = itertools.cycle(team.names)
    begun, sent = time.monotonic(), 0
    with Wire(team.url, team.session.name) as wire:
        while (left_s := begun + sent / MESSAGES_A_SECOND - time.monotonic()) < window_s:
            time.sleep(max(0.0, left_s))
            if time.monotonic() - begun >= window_s:
                break
            name = next(names)
            wire.enqueue(Command(f"idle{sent}", "person", name, f"note {sent}", timestamp=iso(time.time())))
            sent += 1
    return sent


def _row(what: str, percent: float, at_most: float, note: str) -> Result:
    return Result(what, percent, unit="% of a core", at_most=at_most, note=note)
