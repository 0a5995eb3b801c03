"""Finds the real OpenCode CLI and gives it an environment that can only reach the stub."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests import real
from tests.chat_stub import ChatStub


def opencode_binary() -> Path:
    """The CLI; skips at home and fails in CI when it is missing."""
    return real.binary("opencode", "OpenCode")


def configuration(url: str, **more: Any) -> dict[str, Any]:
    """What a person's opencode.json holds whose only model is the stub's; `more` stands in it too (1.18.33)."""
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Stub",
        "options": {"baseURL": url, "apiKey": "not-a-key"},
        "models": {"stub-model": {"name": "Stub Model", "limit": {"context": 200_000, "output": 8_000}}},
    }
    configured: dict[str, Any] = {
        "autoupdate": False,
        "share": "disabled",
        "snapshot": False,
        "model": "stub/stub-model",
        "small_model": "stub/stub-model",
        "enabled_providers": ["stub"],
        "provider": {"stub": provider},
        **more,
    }
    return {name: value for name, value in configured.items() if value is not None}


def opencode_environment(stub: ChatStub, root: Path, project: Path, **config: Any) -> dict[str, str]:
    """The whole environment of a CLI that talks to `stub` only; `config` is the person's configuration besides.

    It has been started once: of two that begin at once without a database one hangs on a busy machine (1.18.33).
    """
    path = root / "opencode.json"
    environment = real.environment(root / "home", opencode_binary())
    path.write_text(json.dumps(configuration(stub.url, **config)))
    offline = ("MODELS_FETCH", "AUTOUPDATE", "LSP_DOWNLOAD", "EMBEDDED_WEB_UI")
    environment |= {"OPENCODE_CONFIG": str(path), **{f"OPENCODE_DISABLE_{each}": "1" for each in offline}}
    subprocess.run(
        [opencode_binary(), "session", "list"], env=environment, cwd=root, capture_output=True, timeout=120, check=True
    )
    return environment
