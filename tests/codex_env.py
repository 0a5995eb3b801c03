"""Finds the real Codex CLI and gives it an environment that can only reach the stub."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.codex_stub import CodexStub
from tests.support import needs

_CACHE = Path(__file__).parent.parent / ".cache" / "codex" / "node_modules" / ".bin" / "codex"


def codex_binary() -> Path:
    """The CLI: TACO_TEST_CODEX, PATH, or the checkout's cache. Skips at home and fails in CI when missing."""
    candidates = (os.environ.get("TACO_TEST_CODEX"), shutil.which("codex"), _CACHE)
    found = next((path for path in candidates if path and os.access(path, os.X_OK)), None)
    if found is None:
        needs.unavailable(f"Codex is not installed: {needs.INSTALL['codex']}, or set TACO_TEST_CODEX")
    return Path(found).absolute()


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


def codex_environment(tmp_path: Path, stub: CodexStub, project: Path) -> dict[str, str]:
    """The whole environment of a CLI that talks to `stub` only and trusts `project`."""
    config_dir = tmp_path / "codex-home"
    seed_config(config_dir, stub.url, [project])
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    node = str(Path(shutil.which("node") or "/usr/bin/node").parent)
    places = [str(codex_binary().parent), node, "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "PATH": os.pathsep.join(dict.fromkeys(places)),
        "HOME": str(home),
        "TERM": "tmux-256color",
        "LANG": "C.UTF-8",
        "SHELL": "/bin/bash",
        "CODEX_HOME": str(config_dir),
        "STUB_KEY": "not-a-key",
    }
