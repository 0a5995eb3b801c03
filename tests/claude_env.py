"""Finds the real Claude Code CLI and gives it an environment that can only reach the stub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests import real
from tests.claude_stub import ClaudeStub

API_KEY = "sk-ant-test-0123456789abcdefghijklmnopqrstuvwxyz"


def claude_binary() -> Path:
    """The CLI; skips at home and fails in CI when it is missing."""
    return real.binary("claude", "Claude Code")


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


def claude_environment(stub: ClaudeStub, root: Path, project: Path) -> dict[str, str]:
    """The whole environment of a CLI that talks to `stub` only and trusts `project`."""
    config_dir = root / "claude-config"
    seed_config(config_dir, [project])
    return {
        **real.environment(root / "home", claude_binary()),
        "CLAUDE_CONFIG_DIR": str(config_dir),
        "ANTHROPIC_BASE_URL": stub.url,
        "ANTHROPIC_API_KEY": API_KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "IS_SANDBOX": "1",  # lets root use --dangerously-skip-permissions
    }
