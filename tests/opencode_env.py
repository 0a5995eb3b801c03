"""Finds the real OpenCode CLI and gives it an environment that can only reach the stub."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from tests.chat_stub import ChatStub
from tests.support import needs

_CACHE = Path(__file__).parent.parent / ".cache" / "opencode" / "node_modules" / ".bin" / "opencode"


def opencode_binary() -> Path:
    """The CLI: TACO_TEST_OPENCODE, PATH, or the checkout's cache. Skips at home and fails in CI when missing."""
    candidates = (os.environ.get("TACO_TEST_OPENCODE"), shutil.which("opencode"), _CACHE)
    found = next((path for path in candidates if path and os.access(path, os.X_OK)), None)
    if found is None:
        needs.unavailable(f"OpenCode is not installed: {needs.INSTALL['opencode']}, or set TACO_TEST_OPENCODE")
    return Path(found).absolute()


def configuration(url: str, **more: Any) -> dict[str, Any]:
    """What a person's opencode.json holds whose only model is the stub's (1.18.33)."""
    model = {"name": "Stub Model", "limit": {"context": 200_000, "output": 8_000}}
    return {
        "autoupdate": False,
        "share": "disabled",
        "snapshot": False,
        "model": "stub/stub-model",
        "small_model": "stub/stub-model",
        "enabled_providers": ["stub"],
        "provider": {
            "stub": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Stub",
                "options": {"baseURL": url, "apiKey": "not-a-key"},
                "models": {"stub-model": model},
            }
        },
        **more,
    }


def opencode_environment(tmp_path: Path, stub: ChatStub, **more: Any) -> dict[str, str]:
    """The whole environment of a CLI that talks to `stub` only; `more` is configuration."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    config = tmp_path / "opencode.json"
    config.write_text(json.dumps(configuration(stub.url, **more)))
    node = str(Path(shutil.which("node") or "/usr/bin/node").parent)
    places = [str(opencode_binary().parent), node, "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "PATH": os.pathsep.join(dict.fromkeys(places)),
        "HOME": str(home),
        "TERM": "tmux-256color",
        "LANG": "C.UTF-8",
        "SHELL": "/bin/bash",
        "OPENCODE_CONFIG": str(config),
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_EMBEDDED_WEB_UI": "1",
    }
