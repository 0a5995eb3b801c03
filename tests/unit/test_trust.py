"""The one thing that is ever written into Claude Code's own configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from taco import trust
from taco.errors import TacoError
from taco.files import load_provider
from tests.support.paths import PACKAGE

CLAUDE = load_provider(PACKAGE / "providers" / "claude.toml")
SHELL = load_provider(PACKAGE / "providers" / "shell.toml")
HELD = {
    "numStartups": 7,
    "tipsHistory": {"ünïcode": [1, 2.5, None, True]},
    "projects": {"/other": {"hasTrustDialogAccepted": False, "allowedTools": ["Bash"]}},
    "oauthAccount": {"emailAddress": "me@example.org"},
}


def place(directory: Path, content: Any) -> Path:
    path = directory / ".claude.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_one_directory_is_noted_and_nothing_else_changes(tmp_path: Path) -> None:
    path = place(tmp_path, HELD)
    path.chmod(0o640)
    project = tmp_path / "my project"
    environ = {"CLAUDE_CONFIG_DIR": str(tmp_path), "HOME": "/nowhere"}
    assert trust.is_asked_for(CLAUDE, project, environ)
    assert trust.record(project, environ) == path
    noted = {**HELD["projects"], str(project): {"hasTrustDialogAccepted": True}}  # type: ignore[dict-item]
    after = json.loads(path.read_text())
    assert after == {**HELD, "projects": noted}
    assert list(after) == list(HELD)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert not trust.is_asked_for(CLAUDE, project, environ)
    assert not trust.is_asked_for(CLAUDE, project / "web", environ)  # a trusted parent covers it
    assert trust.is_asked_for(CLAUDE, Path("/other"), environ)


def test_what_is_known_of_the_directory_stays(tmp_path: Path) -> None:
    path = place(tmp_path, HELD)
    trust.record(Path("/other"), {"HOME": str(tmp_path)})
    entry = json.loads(path.read_text())["projects"]["/other"]
    assert entry == {"hasTrustDialogAccepted": True, "allowedTools": ["Bash"]}


@pytest.mark.parametrize("held", [HELD, {}, {"projects": {"/p": {"allowedTools": ["Bash"]}}}])
def test_what_was_noted_is_taken_back_alone(tmp_path: Path, held: dict[str, Any]) -> None:
    path = place(tmp_path, held)
    trust.record(Path("/p"), {"HOME": str(tmp_path)})
    trust.forget(Path("/p"), {"HOME": str(tmp_path)})
    assert json.loads(path.read_text()) == held
    trust.forget(Path("/p"), {"HOME": str(tmp_path)})  # nothing is there to be taken back
    assert json.loads(path.read_text()) == held


def test_a_link_stays_a_link_and_a_first_file_is_private(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = tmp_path / ".claude.json"
    path.symlink_to(place(tmp_path / "real", {}))
    trust.record(tmp_path, {"HOME": str(tmp_path)})
    assert path.is_symlink()
    assert json.loads(path.read_text())["projects"][str(tmp_path)]["hasTrustDialogAccepted"] is True
    first = trust.record(tmp_path, {"CLAUDE_CONFIG_DIR": str(tmp_path / "new")})
    assert first.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("held", ["{", "[]", '{"projects": []}', '{"projects": {"/p": 3}}'])
def test_a_file_that_is_not_understood_is_left_alone(tmp_path: Path, held: str) -> None:
    path = place(tmp_path, held)
    with pytest.raises(TacoError):
        trust.record(Path("/p"), {"HOME": str(tmp_path)})
    assert path.read_text() == held


def test_only_claude_is_asked_for(tmp_path: Path) -> None:
    assert not trust.is_asked_for(SHELL, tmp_path, {"HOME": str(tmp_path)})
    assert trust.is_asked_for(CLAUDE, tmp_path, {"HOME": str(tmp_path)})
