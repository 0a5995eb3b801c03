"""Finds the real Gemini CLI and gives it an environment that can only reach the stub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests import real
from tests.gemini_stub import GeminiStub


def gemini_binary() -> Path:
    """The CLI; skips at home and fails in CI when it is missing."""
    return real.binary("gemini", "Gemini CLI")


def seed_config(home: Path, trusted: Sequence[Path] = ()) -> None:
    """A HOME in which no dialog of the first start is left, and one model with no other to fall back on (0.61.0)."""
    directory = home / ".gemini"
    directory.mkdir(parents=True, exist_ok=True)
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        "privacy": {"usageStatisticsEnabled": False},
        "model": {"name": "gemini-2.5-flash", "disableLoopDetection": True},
    }
    (directory / "settings.json").write_text(json.dumps(settings, indent=1))
    rules = {str(path): "TRUST_FOLDER" for path in trusted}
    (directory / "trustedFolders.json").write_text(json.dumps(rules))


def gemini_environment(stub: GeminiStub, root: Path, project: Path) -> dict[str, str]:
    """The whole environment of a CLI that talks to `stub` only and trusts `project`."""
    home = root / "home"
    seed_config(home, [project])
    return {
        **real.environment(home, gemini_binary()),
        "GEMINI_API_KEY": "not-a-key",
        "GOOGLE_GEMINI_BASE_URL": stub.url,
    }
