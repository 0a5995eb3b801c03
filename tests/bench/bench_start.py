"""From `taco start` to every window ready, Redis included, against tmux alone opening the same windows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.crew import stand
from tests.bench.result import Result, median
from tests.support.processes import end, tree
from tests.support.sessions import a_house
from tests.support.tmux import Tmux, new_socket

TITLE = "`taco start --spec` of 10 demo agents to all of them at their prompts, Redis included"
AGENTS = 10
AT_MOST_S = 2.0
SEED_S = 5.0  # what the product was asked to take at most
DEADLINE_S = 60.0


def run(quick: bool) -> list[Result]:
    """A new state directory, Redis and tmux server each time; the floor's programs are the same demo agents."""
    ours, bare = [], []
    for _ in range(2 if quick else 7):
        ours.append(_start())
        bare.append(_bare())
    taco_s, tmux_s = median(ours), median(bare)
    what = f"{AGENTS} agents and Mother at their prompts"
    return [
        Result(what, taco_s, "s", at_most=AT_MOST_S, note=f"asked for: {SEED_S:.0f} s"),
        Result(f"{what}, over tmux alone", taco_s, "s", tmux_s, "the same programs in bare tmux windows"),
    ]


def _start() -> float:
    with a_house(TACO_DEMO_IDLE="1", TACO_DEMO_LOG="") as house:
        return stand(house, AGENTS, timeout_s=DEADLINE_S).stood_s


def _bare() -> float:
    with _tmux() as tmux:
        begun = time.monotonic()
        tmux.start()
        for number in range(AGENTS + 1):
            words = [sys.executable, "-I", "-m", "taco", "demo-agent", "--idle", "--name", f"a{number}"]
            tmux.pane(*words)
        while _at_prompts(tmux) <= AGENTS:
            if time.monotonic() - begun > DEADLINE_S:
                raise TimeoutError("the demo agents did not start")
            time.sleep(0.01)
        return time.monotonic() - begun


def _at_prompts(tmux: Tmux) -> int:
    """In how many panes the composer stands."""
    ids = tmux.run("list-panes", "-a", "-F", "#{pane_id}").splitlines()
    captures = [word for pane in ids for word in ("capture-pane", "-p", "-t", pane, ";")][:-1]
    return sum(line.startswith(">") for line in tmux.run(*captures).splitlines())


@contextmanager
def _tmux() -> Iterator[Tmux]:
    tmux = Tmux(new_socket())
    try:
        yield tmux
    finally:
        left = tree(tmux.pids())
        subprocess.run(["tmux", "-L", tmux.socket, "kill-server"], check=False, capture_output=True)
        end(left)
