"""Looking at all screens once: one shared call of tmux, against one process for each, and against libtmux."""

from __future__ import annotations

import asyncio
import subprocess
import time

import libtmux

from taco.tmux.commands import command
from tests.bench.result import Result, median
from tests.bench.rig import Rig, rig

TITLE = "capturing every pane once, and one round of the observer"


async def run(quick: bool) -> list[Result]:
    """Panes with a full screen of text; all ways take turns."""
    found = []
    for panes in (20,) if quick else (20, 100):
        async with rig(panes, demo=True) as made:
            found += await _rows(made, 4 if quick else 15)
    return found


async def _rows(made: Rig, rounds: int) -> list[Result]:
    ids = [agent.pane for agent in made.agents]
    ways = {
        "taco": lambda: _shared(made, ids),
        "sweep": lambda: _sweep(made),
        "quiet": made.observer.sweep,
        "processes": lambda: asyncio.to_thread(_processes, made.socket, ids),
        "libtmux": lambda: asyncio.to_thread(_libtmux, made.socket),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.perf_counter()
            await way()
            times[name].append((time.perf_counter() - begun) * 1_000)
    ms = {name: median(found) for name, found in times.items()}
    what = f"{len(ids)} panes"
    return [
        Result(f"{what}: captured", ms["taco"], peer=ms["processes"], peer_name="a process each"),
        Result(f"{what}: captured", ms["taco"], peer=ms["libtmux"], peer_name="libtmux"),
        Result(f"{what}: captured, read and judged", ms["sweep"], peer=ms["taco"], peer_name="captured"),
        Result(f"{what}: judged when nothing was drawn", ms["quiet"], peer=ms["taco"], peer_name="captured"),
    ]


async def _shared(made: Rig, ids: list[str]) -> None:
    await asyncio.gather(*(made.pipe.run(command("capture-pane", "-p", "-e", "-t", pane)) for pane in ids))


async def _sweep(made: Rig) -> None:
    """A round of the observer when every screen has changed."""
    for watch in made.observer._watched.values():
        watch.captured_activity = -1
    await made.observer.sweep()


def _processes(socket: str, ids: list[str]) -> None:
    for pane in ids:
        words = ["tmux", "-u", "-L", socket, "capture-pane", "-p", "-e", "-t", pane]
        subprocess.run(words, check=True, capture_output=True)


def _libtmux(socket: str) -> None:
    for pane in libtmux.Server(socket_name=socket).panes:
        pane.capture_pane()
