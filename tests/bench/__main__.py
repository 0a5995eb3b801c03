"""Runs the benchmarks: `python -m tests.bench [--quick] [--save] [--list] [NAME…]`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import psutil
from rich.console import Console
from rich.table import Table

from taco import redis_server
from tests.bench.result import Result

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def names() -> list[str]:
    """The benchmarks that are there: `bench_send.py` is `send`."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def module(name: str) -> ModuleType:
    """The module of one benchmark."""
    return importlib.import_module(f"tests.bench.bench_{name}")


def measure(name: str, *, quick: bool) -> list[Result]:
    """What one benchmark found."""
    found = module(name).run(quick)
    return list(asyncio.run(found)) if inspect.iscoroutine(found) else list(found)


def table(results: Sequence[Result]) -> Table:
    """The results as people read them: a miss of the target is marked."""
    shown = Table("what", "measured", "against", "ratio", "target", "")
    for each in results:
        mark = "" if each.met is None else "ok" if each.met else "MISSED"
        shown.add_row(each.what, each.value_text, each.peer_text, each.ratio_text, each.target, mark)
    return shown


def machine() -> dict[str, str]:
    """Where it was measured."""
    tmux = subprocess.run(["tmux", "-V"], capture_output=True, text=True, check=False).stdout.strip()
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    found = {"python": platform.python_version(), "system": platform.platform(), "cores": str(os.cpu_count())}
    found |= {"memory": memory, "load": " ".join(f"{each:.1f}" for each in os.getloadavg()), "tmux": tmux}
    return found | {"redis": redis_server.find_binary()[1]}


def save(found: Mapping[str, Sequence[Result]], *, quick: bool) -> Path:
    """Writes the results, by benchmark, beside the benchmarks; the file's path."""
    RESULTS.mkdir(exist_ok=True)
    at = datetime.now(UTC)
    document = {
        "at": at.isoformat(timespec="seconds"),
        "quick": quick,
        "machine": machine(),
        "results": {name: [_as_dict(each) for each in results] for name, results in found.items()},
    }
    path = RESULTS / f"{at:%Y-%m-%d_%H%M%S}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def _as_dict(result: Result) -> dict[str, object]:
    return asdict(result) | {"ratio": result.ratio, "met": result.met}


def main(words: Sequence[str]) -> int:
    """Runs what `words` ask for; 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="bin/bench", description="The benchmarks of TACO.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(names()) or 'none yet'}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a first look")
    parser.add_argument("--save", action="store_true", help="write the results as JSON to tests/bench/results")
    parser.add_argument("--list", action="store_true", help="say what there is to run")
    asked = parser.parse_args(words)
    if unknown := set(asked.names) - set(names()):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if asked.list:
        print("\n".join(f"{name:<16} {module(name).TITLE}" for name in names()))
        return 0
    console = Console(width=None if sys.stdout.isatty() else 140)
    found: dict[str, list[Result]] = {}
    for name in asked.names or names():
        print(f"{name}: {module(name).TITLE}", file=sys.stderr, flush=True)
        found[name] = measure(name, quick=asked.quick)
        console.print(table(found[name]))
    if asked.save:
        print(f"saved to {save(found, quick=asked.quick)}", file=sys.stderr)
    return int(any(each.met is False for results in found.values() for each in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
