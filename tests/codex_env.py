"""Finds the real Codex CLI and gives it an environment that can only reach the stub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests import real
from tests.codex_stub import CodexStub


def codex_binary() -> Path:
    """The CLI; skips at home and fails in CI when it is missing."""
    return real.binary("codex", "Codex")


def seed_config(config_dir: Path, url: str, trusted: Sequence[Path] = ()) -> None:
    """A CODEX_HOME whose only model is the stub's and in which no dialog of the first start is left (0.169.0)."""
    config_dir.mkdir(parents=True, exist_ok=True)
    lines = [
        'model = "stub-model"',
        'model_provider = "stub"',
        "check_for_update_on_startup = false",
        "[sandbox_workspace_write]",
        "exclude_slash_tmp = true",  # else its sandbox mounts over /tmp/.git, and leaves that when it is killed
        "[analytics]",
        "enabled = false",
        "[model_providers.stub]",
        'name = "stub"',
        f"base_url = {json.dumps(url)}",
        'wire_api = "responses"',
        'env_key = "STUB_KEY"',
        "request_max_retries = 0",
        "stream_max_retries = 1",
    ]
    for path in trusted:
        lines += [f"[projects.{json.dumps(str(path))}]", 'trust_level = "trusted"']
    (config_dir / "config.toml").write_text("\n".join(lines) + "\n")


def codex_environment(stub: CodexStub, root: Path, project: Path) -> dict[str, str]:
    """The whole environment of a CLI that talks to `stub` only and trusts `project`."""
    config_dir = root / "codex-home"
    seed_config(config_dir, stub.url, [project])
    return {
        **real.environment(root / "home", codex_binary()),
        "CODEX_HOME": str(config_dir),
        "STUB_KEY": "not-a-key",
    }
