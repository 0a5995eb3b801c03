"""Everything is killed again and again while messages flow: nothing may be lost, doubled, reordered or garbled."""

from __future__ import annotations

import os
import sys

from tests.bench.chaos.run import Plan
from tests.bench.chaos.run import run as run_plan
from tests.bench.result import Result

KEEP = os.environ.get("TACO_TEST_KEEP", "")  # a directory for the logs of a red run
TITLE = "lost, doubled, reordered, garbled messages under kill -9 of everything, a full disk, a full Redis"
SHORT = Plan(
    messages=2_000,
    raw=16,
    hostile=8,
    keep=KEEP,
    faults={
        "executor": 15,
        "both": 4,
        "redis": 3,
        "stop executor": 1,
        "stop redis": 1,
        "stop tmux": 1,
        "maxmemory": 1,
        "disk full": 1,
        "kill-server": 1,
    },
)
LONG = Plan(
    messages=100_000,
    raw=60,
    hostile=20,
    keep=KEEP,
    faults={
        "executor": 75,
        "both": 25,
        "redis": 15,
        "stop executor": 6,
        "stop redis": 6,
        "stop tmux": 4,
        "freeze redis": 2,
        "takeover": 5,
        "maxmemory": 5,
        "disk full": 4,
        "kill-server": 6,
    },
)


def run(quick: bool) -> list[Result]:
    """The whole run takes half an hour; the quick one is what CI does."""
    report = run_plan(SHORT if quick else LONG)
    print(report.text(), file=sys.stderr)
    return report.results()
