"""The same messages into the same panes by others: cli-agent-orchestrator and plain libtmux, by their own functions."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.bare import WAIT_S
from tests.bench.result import Result, median
from tests.bench.rig import SESSION, Rig, rig, waits_ms
from tests.support.paths import ROOT

TITLE = "the same messages by cli-agent-orchestrator and by plain libtmux, into the same panes"
VENV = ROOT / ".cache" / "peers"
PACKAGES = ("cli-agent-orchestrator", "libtmux")
DRIVER = Path(__file__).parent / "peer_driver.py"
PANES = 20


@dataclass(frozen=True, slots=True)
class Sent:
    """What a way of sending did: how long it took, how many Enters came with their text, the wait between the two."""

    took_s: float
    whole: int
    wait_ms: float


def run(quick: bool) -> list[Result]:
    """All ways take turns: one message to one pane, then the same number to each of many panes."""
    python = _installed()
    return asyncio.run(_rows(python, singles=3 if quick else 15, each=3 if quick else 10))


def _installed() -> str:
    """A Python of its own with both peers, from the registry; it is kept in the checkout's cache."""
    python = VENV / "bin" / "python"
    if not (VENV / "ready").exists():
        print(f"installing {' and '.join(PACKAGES)} into {VENV}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        install = [str(python), "-m", "pip", "install", "-q", "--no-input", *PACKAGES]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the peers could not be installed: {done.stderr[-2_000:]}")
        (VENV / "ready").touch()
    return str(python)


async def _rows(python: str, singles: int, each: int) -> list[Result]:
    ways = [(peer, wait_s) for peer in PACKAGES for wait_s in (None, WAIT_S)]
    ways.remove(("libtmux", None))  # it has no wait of its own
    found: list[Result] = []
    async with rig(PANES) as made:
        await _ours(made, 1, PANES)  # warm
        for panes, messages, rounds in ((1, 1, singles), (PANES, each, 1 if singles < 10 else 3)):
            sent: dict[Any, list[Sent]] = {"taco": [], **{way: [] for way in ways}}
            for _ in range(rounds):
                sent["taco"].append(await _ours(made, messages, panes))
                for way in ways:
                    sent[way].append(await _theirs(made, python, way, messages, panes))
            found += [_row(way, sent["taco"], sent[way], messages, panes) for way in ways]
    return found


async def _ours(made: Rig, messages: int, panes: int) -> Sent:
    before = _counts(made)
    agents = made.agents[:panes]
    begun = time.monotonic()
    for number in range(messages):
        await asyncio.gather(*(made.send(agent, f"note {number}") for agent in agents))
        for agent in agents:
            made.executor.wake(agent.name)
    await made.drained()
    return _seen(made, before, time.monotonic() - begun)


async def _theirs(made: Rig, python: str, way: tuple[str, float | None], messages: int, panes: int) -> Sent:
    peer, wait_s = way
    before = _counts(made)
    asked = {
        "peer": peer,
        "session": SESSION,
        "windows": [agent.name for agent in made.agents[:panes]],
        "texts": [f"note {number}" for number in range(messages)],
        "wait_s": wait_s,
    }
    took_s = (await asyncio.to_thread(_drive, made, python, asked))["took_s"]
    return _seen(made, before, took_s)


def _drive(made: Rig, python: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Run the driver with this tmux server as its own, and a home of its own."""
    path = subprocess.run(
        ["tmux", "-L", made.socket, "display-message", "-p", "#{socket_path},#{pid},0"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="taco-bench-") as home:
        environ = {**os.environ, "HOME": home, "TMUX": path}
        done = subprocess.run(
            [python, str(DRIVER)], input=json.dumps(asked), env=environ, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"{asked['peer']} failed: {done.stderr[-2_000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _counts(made: Rig) -> list[int]:
    return [len(made.received(agent)) for agent in made.agents]


def _seen(made: Rig, before: Sequence[int], took_s: float) -> Sent:
    reads = [made.received(agent)[count:] for agent, count in zip(made.agents, before, strict=True)]
    waits = [wait for each in reads for wait in waits_ms(each) if wait > 0]
    return Sent(took_s, len(waits), median(waits) if waits else 0.0)


def _row(way: tuple[str, float | None], ours: list[Sent], theirs: list[Sent], messages: int, panes: int) -> Result:
    peer, wait_s = way
    name = f"{peer}, {'as it comes' if wait_s is None else f'wait {wait_s:g} s'}"
    total = panes * messages
    assert all(sent.whole == total for sent in ours), f"{[sent.whole for sent in ours]} of {total} messages arrived"
    arrived = sum(sent.whole for sent in theirs)
    note = f"its wait {median([sent.wait_ms for sent in theirs]):.0f} ms, {arrived} of {total * len(theirs)} arrived"
    took, peer_took = (median([sent.took_s for sent in each]) for each in (ours, theirs))
    if panes == 1:
        return Result("one message", took * 1_000, "ms", peer_took * 1_000, name, note=note)
    rate = total * 60
    return Result(f"{panes} panes", rate / took, "a minute", rate / peer_took, name, note=note)
