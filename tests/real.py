"""Finds the real agent CLIs that the tests start, and what every one of their environments has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.support import needs

_CACHE = Path(__file__).parent.parent / ".cache"


def binary(name: str, title: str, *, cached: str = "node_modules/.bin") -> Path:
    """The CLI `name`: TACO_TEST_<NAME>, PATH, or the checkout's cache. Skips at home and fails in CI when missing."""
    variable = f"TACO_TEST_{name.upper()}"
    candidates = (os.environ.get(variable), shutil.which(name), _CACHE / name / cached / name)
    found = next((path for path in candidates if path and os.access(path, os.X_OK)), None)
    if found is None:
        needs.unavailable(f"{title} is not installed: {needs.INSTALL[name]}, or set {variable}")
    return Path(found).absolute()


def environment(home: Path, program: Path) -> dict[str, str]:
    """The variables of any CLI with a HOME of its own; nothing of the caller's own agent CLI is in it."""
    home.mkdir(parents=True, exist_ok=True)
    node = Path(shutil.which("node") or "/usr/bin/node").parent
    places = [str(program.parent), str(node), "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "PATH": os.pathsep.join(dict.fromkeys(places)),
        "HOME": str(home),
        "TERM": "tmux-256color",
        "LANG": "C.UTF-8",
        "SHELL": "/bin/bash",
    }
