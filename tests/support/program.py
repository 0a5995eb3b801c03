"""The program itself, as a person calls it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

TACO = ROOT / "bin" / "taco"


def run_taco(
    *args: str,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    cwd: Path | str | None = None,
    timeout_s: float = 120,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """What `bin/taco ARGS` did; `env` is added to the environment. `check`: AssertionError unless it ended with 0."""
    done = subprocess.run(
        [str(TACO), *args],
        env={**os.environ, **(env or {})},
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if check:
        assert done.returncode == 0, f"taco {' '.join(args)} ended with {done.returncode}: {done.stderr}"
    return done


def taco_json(*args: str, **options: Any) -> Any:
    """What `bin/taco ARGS --json` printed; AssertionError when it failed."""
    return json.loads(run_taco(*args, "--json", check=True, **options).stdout)
