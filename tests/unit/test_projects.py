"""A project counts once the person trusts it, as it was then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taco import files, projects
from taco.errors import ConfigError
from taco.projects import Trust, trust_of


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    own = tmp_path / "project" / ".taco"
    (own / "providers").mkdir(parents=True)
    (own / "config.toml").write_text("max_agents = 3\n")
    return tmp_path / "project"


def test_trust_is_of_one_directory(home: Path, project: Path) -> None:
    inner = project / "a"
    inner.mkdir()
    assert trust_of(home, project) is Trust.NEVER
    projects.trust(home, project)
    assert trust_of(home, project) is Trust.TRUSTED
    assert {trust_of(home, each) for each in (inner, project.parent)} == {Trust.NEVER}
    assert projects.trusted_projects(home) == [project.resolve()]
    projects.trust(home, project, trusted=False)
    assert trust_of(home, project) is Trust.NEVER
    assert (home / "trusted.json").stat().st_mode & 0o077 == 0 or home.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda own: (own / "config.toml").write_text("max_agents = 30\n"),
        lambda own: (own / "config.toml").unlink(),
        lambda own: (own / "providers" / "evil.toml").write_text("x"),
        lambda own: (own / "config.toml").rename(own / "providers" / "config.toml"),
    ],
    ids=["other words", "gone", "one more", "moved"],
)
def test_a_change_asks_again(home: Path, project: Path, change: object) -> None:
    projects.trust(home, project)
    change(project / ".taco")  # type: ignore[operator]
    assert trust_of(home, project) is Trust.CHANGED
    found = files.settings(project.parent / "none", home, project)
    assert found.config.max_agents == 30
    if (project / ".taco" / "config.toml").exists():
        assert "changed since you trusted it" in found.notes[0]
    projects.trust(home, project)
    assert trust_of(home, project) is Trust.TRUSTED


def test_other_files_may_change(home: Path, project: Path) -> None:
    projects.trust(home, project)
    (project / ".taco" / "outbox").mkdir()
    (project / ".taco" / "outbox" / "a.json").write_text("{}")
    (project / "code.py").write_text("")
    assert trust_of(home, project) is Trust.TRUSTED


def test_trust_looks_through_links(home: Path, project: Path, tmp_path: Path) -> None:
    projects.trust(home, project)
    (tmp_path / "link").symlink_to(project)
    (project / "out").symlink_to(tmp_path)
    assert trust_of(home, tmp_path / "link") is Trust.TRUSTED
    assert trust_of(home, project / "out") is Trust.NEVER


def test_what_an_earlier_release_trusted_is_asked_for_again(home: Path, project: Path) -> None:
    home.mkdir()
    (home / "trusted.json").write_text(json.dumps([str(project.resolve())]))
    assert trust_of(home, project) is Trust.CHANGED


@pytest.mark.parametrize("content", ["[", '"x"', "7"])
def test_a_broken_list_is_named(home: Path, project: Path, content: str) -> None:
    home.mkdir()
    (home / "trusted.json").write_text(content)
    with pytest.raises(ConfigError, match=r"trusted\.json cannot be read"):
        trust_of(home, project)
