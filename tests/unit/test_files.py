from __future__ import annotations

import os
from pathlib import Path

import pytest

from taco import files, projects
from taco.errors import ConfigError, NotFoundError, TacoError
from taco.orchestrator.settings import LiveSettings

MINE = 'name = "mine"\ncommand = ["mine", "{workspace}"]\n'


@pytest.fixture
def config_home(tmp_path: Path) -> Path:
    (tmp_path / "config" / "providers").mkdir(parents=True)
    return tmp_path / "config"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / ".taco" / "providers").mkdir(parents=True)
    return tmp_path / "project"


def test_settings_come_in_layers(config_home: Path, home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config_home / "config.toml").write_text('provider = "demo"\nmax_agents = 5\nattempts = 2\nmodel = "m"\n')
    (project / ".taco" / "config.toml").write_text("max_agents = 6\nattempts = 4\n")
    projects.trust(home, project)
    monkeypatch.setenv("TACO_ATTEMPTS", "5")
    found = files.settings(config_home, home, project, {"model": "flagged", "provider": None})
    config = found.config
    assert (config.provider, config.max_agents, config.attempts, config.model) == ("demo", 6, 5, "flagged")
    assert found.sources["provider"] == str(config_home / "config.toml")
    assert found.sources["max_agents"] == str(project / ".taco" / "config.toml")
    assert (found.sources["attempts"], found.sources["model"]) == ("environment", "flag")
    assert found.sources["grace_s"] == "default"


def test_an_untrusted_project_configures_nothing_and_that_is_said(config_home: Path, home: Path, project: Path) -> None:
    (project / ".taco" / "config.toml").write_text('provider = "evil"\n')
    found = files.settings(config_home, home, project)
    assert found.config.provider == "claude"
    assert "not trusted" in found.notes[0]


@pytest.mark.parametrize("text", ["provider =", "x = 1", "max_agents = 'many'", "\xff"])
def test_a_broken_file_is_named(config_home: Path, home: Path, text: str) -> None:
    path = config_home / "config.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.toml"):
        files.settings(config_home, home)


def test_a_users_provider_is_found_and_replaces_a_built_in_one(config_home: Path, home: Path) -> None:
    (config_home / "providers" / "mine.toml").write_text(MINE)
    (config_home / "providers" / "shell.toml").write_text('name = "shell"\ncommand = ["fish"]\n')
    assert files.provider("mine", config_home, home).command == ("mine", "{workspace}")
    assert files.provider("shell", config_home, home).command == ("fish",)
    assert {"claude", "demo", "shell", "mine"} <= files.providers(config_home, home).keys()


def test_a_broken_provider_says_so_and_spoils_no_other(config_home: Path, home: Path) -> None:
    (config_home / "providers" / "shell.toml").write_text('name = "shell"\ncommand = ["sh"]\ncolour = "red"\n')
    with pytest.raises(ConfigError, match=r"shell\.toml: colour: unknown key"):
        files.provider("shell", config_home, home)
    assert "shell" not in files.providers(config_home, home)
    assert files.provider("demo", config_home, home)


def test_a_providers_name_is_its_files(config_home: Path, home: Path) -> None:
    (config_home / "providers" / "yours.toml").write_text(MINE)
    with pytest.raises(ConfigError, match="name: is 'mine'"):
        files.provider("yours", config_home, home)


def test_a_projects_provider_counts_once_it_is_trusted(config_home: Path, home: Path, project: Path) -> None:
    (project / ".taco" / "providers" / "mine.toml").write_text(MINE)
    with pytest.raises(NotFoundError, match="not trusted"):
        files.provider("mine", config_home, home, project)
    projects.trust(home, project)
    assert files.provider("mine", config_home, home, project)
    projects.trust(home, project, trusted=False)
    assert "mine" not in files.providers(config_home, home, project)


def test_an_unknown_provider_lists_the_others(config_home: Path, home: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        files.provider("hal", config_home, home)
    assert "aider, claude, codex, demo, gemini, opencode, shell" in caught.value.hint


def test_a_comment_at_the_head_of_a_prompt_is_not_sent() -> None:
    assert files.without_comment("<!--\nfor us $x\n-->\n\nHello <!-- kept -->\n") == "Hello <!-- kept -->\n"
    assert files.without_comment("Hello\n") == "Hello\n"


def test_a_gap_in_a_prompt_is_an_error() -> None:
    with pytest.raises(TacoError, match="prompt spec_invalid: no value for"):
        files.prompt("spec_invalid", {"errors": "x"})


def test_a_prompt_takes_its_values_as_they_are() -> None:
    text = files.prompt("spec_invalid", {"errors": "a $HOME ${x} b", "tries_left": "2"})
    assert "a $HOME ${x} b" in text
    assert "<!--" not in text


def test_the_budget_of_a_running_session_is_what_the_file_says_now(tmp_path: Path) -> None:
    path = tmp_path / "c" / "config.toml"
    path.parent.mkdir()
    live = LiveSettings(path.parent, tmp_path, tmp_path / "p")
    assert live.token_budget() == 0
    for number, (text, budget) in enumerate(
        [("token_budget = 7", 7), ("token_budget = ", 7), ("token_budget = 9", 9)], 1
    ):
        path.write_text(text)
        os.utime(path, ns=(number, number))  # a clock may be coarse
        assert live.token_budget() == budget
    path.unlink()
    assert live.token_budget() == 0
    assert live.config.token_budget == 0
