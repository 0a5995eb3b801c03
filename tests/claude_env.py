"""Finds the real Claude Code CLI and gives it an environment that can only reach the stub."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.claude_stub import ClaudeStub
from tests.support import needs

API_KEY = "sk-ant-test-0123456789abcdefghijklmnopqrstuvwxyz"
_CACHE = Path(__file__).parent.parent / ".cache" / "claude" / "node_modules" / ".bin" / "claude"


def claude_binary() -> Path:
    """The CLI: TACO_TEST_CLAUDE, PATH, or the checkout's cache. Skips at home and fails in CI when missing."""
    candidates = (os.environ.get("TACO_TEST_CLAUDE"), shutil.which("claude"), _CACHE)
    found = next((path for path in candidates if path and os.access(path, os.X_OK)), None)
    if found is None:
        how = needs.INSTALL["claude"]
        needs.unavailable(f"Claude Code is not installed: {how}, or set TACO_TEST_CLAUDE")
    return Path(found).absolute()


def seed_config(config_dir: Path, trusted: Sequence[Path] = (), *, approve_key: bool = True) -> None:
    """A configuration directory in which no dialog of the first start is left (2.1.197).

    The CLI rewrites the file while it runs: seed before launch.
    """
    config_dir.mkdir(parents=True, exist_ok=True)
    projects = {str(path): {"hasTrustDialogAccepted": True} for path in trusted}
    approved = [API_KEY[-20:]] if approve_key else []
    seed = {
        "hasCompletedOnboarding": True,
        "customApiKeyResponses": {"approved": approved, "rejected": []},
        "projects": projects,
    }
    (config_dir / ".claude.json").write_text(json.dumps(seed))


def claude_environment(tmp_path: Path, stub: ClaudeStub, project: Path) -> dict[str, str]:
    """The whole environment of a CLI that talks to `stub` only and trusts `project`."""
    config_dir = tmp_path / "claude-config"
    seed_config(config_dir, [project])
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    path = os.pathsep.join([str(claude_binary().parent), "/usr/local/bin", "/usr/bin", "/bin"])
    return {
        "PATH": path,
        "HOME": str(home),
        "TERM": "tmux-256color",
        "LANG": "C.UTF-8",
        "SHELL": "/bin/bash",
        "CLAUDE_CONFIG_DIR": str(config_dir),
        "ANTHROPIC_BASE_URL": stub.url,
        "ANTHROPIC_API_KEY": API_KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "IS_SANDBOX": "1",  # lets root use --dangerously-skip-permissions
    }
