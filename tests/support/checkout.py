"""Copies of the checkout to set up from nothing, on a machine that has only what a test gives it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.needs import unavailable
from tests.support.paths import ROOT

# What every Unix has, and a set-up may use.
BASICS = (
    *("sh", "env", "cat", "cksum", "cmp", "cp", "date", "dirname", "id", "ls", "mkdir", "mv", "readlink", "rm", "sed"),
    *("tail", "touch", "true", "uname", "git"),
)


def copy_checkout(target: Path) -> Path:
    """Copies what is in the repository (changes included, ignored files not) to `target`."""
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "-c", "-o", "--exclude-standard"], capture_output=True, check=True
    )
    for name in filter(None, os.fsdecode(listing.stdout).split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


def base_python() -> str:
    """The Python below this virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def bare_path(directory: Path, more: Iterable[str] = (), scripts: Mapping[str, str] | None = None) -> str:
    """A PATH with the basics, a Python, `more` programs of this machine, and `scripts` (name -> sh text)."""
    directory.mkdir(parents=True)
    for name in [*BASICS, *more]:
        if found := shutil.which(name):
            (directory / name).symlink_to(os.path.realpath(found) if name != "sh" else found)
    python = directory / f"python3.{sys.version_info.minor}"
    python.write_text(f'#!/bin/sh\nexec "{base_python()}" "$@"\n')  # a link would lose its library
    python.chmod(0o755)
    for name, text in (scripts or {}).items():
        path = directory / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    return str(directory)


def needs_registry(stderr: str) -> None:
    """Ends the test when the set-up failed because no package registry answered."""
    if "could not be installed" in stderr:
        unavailable(f"a Python package registry cannot be reached: {stderr}")
