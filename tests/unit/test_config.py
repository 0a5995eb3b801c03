from __future__ import annotations

import pytest

from taco.config import Config, Layer, from_environment, merge
from taco.errors import ConfigError


def test_without_layers_everything_is_a_default() -> None:
    config, sources = merge([])
    assert config == Config()
    assert set(sources.values()) == {"default"}


def test_a_later_layer_wins_and_is_named() -> None:
    user = Layer("config.toml", {"max_agents": 5, "provider": "demo"})
    config, sources = merge([user, Layer("flag", {"max_agents": 7})])
    assert (config.max_agents, config.provider) == (7, "demo")
    assert (sources["max_agents"], sources["provider"], sources["model"]) == ("flag", "config.toml", "default")


def test_an_unknown_setting_names_its_source() -> None:
    with pytest.raises(ConfigError, match=r"config\.toml: unknown setting 'max_agnets'"):
        merge([Layer("config.toml", {"max_agnets": 5})])


@pytest.mark.parametrize(
    ("key", "value"), [("max_agents", 0), ("max_agents", "many"), ("grace_s", -1), ("attempts", 11), ("provider", [])]
)
def test_a_bad_value_names_source_key_and_value(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        merge([Layer("config.toml", {key: value})])
    assert caught.value.message.startswith(f"config.toml: {key}: ")
    assert repr(value) in caught.value.message


def test_rules_hold_for_an_agent_a_provider_or_everybody() -> None:
    tables = {
        "auto_approve": ["Read"],
        "providers": {"claude": {"auto_approve": ["Bash(make:*)"]}},
        "agents": {"api": {"auto_approve": ["Bash(npm test:*)"]}},
    }
    config, sources = merge([Layer("config.toml", tables)])
    assert config.rules_for("api", "claude") == ("Bash(npm test:*)", "Bash(make:*)", "Read")
    assert config.rules_for("web", "codex") == ("Read",)
    assert sources["agents"] == "config.toml"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"auto_approve": ["Bash"]}, "would allow every command"),
        ({"auto_approve": ["npm test"]}, "is no rule"),
        ({"agents": {"api": {"auto_aprove": []}}}, "config.toml: agents.api.auto_aprove: "),
        ({"providers": {"claude": {"auto_approve": ["Bash(*)"]}}}, "config.toml: providers.claude.auto_approve: "),
        ({"quiet_hours": "22-7"}, "config.toml: quiet_hours: "),
        ({"quiet_hours": "24:00-07:00"}, "config.toml: quiet_hours: "),
        ({"notify": ["pigeon"]}, "config.toml: notify.0: "),
    ],
)
def test_a_bad_rule_is_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        merge([Layer("config.toml", values)])
    assert said in caught.value.message


def test_lists_in_variables_stand_with_commas() -> None:
    layer = from_environment({"TACO_AUTO_APPROVE": "Bash(npm run a,b:*), Read", "TACO_NOTIFY": "bell,desktop"})
    config, _ = merge([layer])
    assert config.auto_approve == ("Bash(npm run a,b:*)", "Read")
    assert config.notify == ("bell", "desktop")


def test_tables_are_no_variables() -> None:
    assert from_environment({"TACO_AGENTS": "x", "TACO_PROVIDERS": "y"}).values == {}


def test_the_environment_is_a_layer() -> None:
    layer = from_environment({"TACO_MAX_AGENTS": "5", "TACO_MODEL": "", "TACO_HOME": "/x", "MAX_AGENTS": "6"})
    assert layer.values == {"max_agents": "5"}
    assert merge([layer])[0].max_agents == 5
