"""How TACO's tools are handed to a CLI: the keys of its provider, the person's switch, the files of a launch."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from taco.agents import Agents, Ground
from taco.brief import agent_values, coordinate_values
from taco.cli import place
from taco.config import Layer, from_environment, merge
from taco.errors import ConfigError
from taco.files import load_provider
from taco.hooks import MCP_SERVER, TOOLS, opencode_config, settings_json
from taco.models import Agent
from taco.provider import Provider, parse_provider
from taco.tmux.commands import CommandPipe
from tests.support.paths import PACKAGE

CLAUDE, CODEX, GEMINI = (
    load_provider(PACKAGE / "providers" / f"{name}.toml") for name in ("claude", "codex", "gemini")
)
NEEDED = {"TACO_HOME", "TACO_SESSION", "TACO_AGENT", "TACO_REDIS", "TACO_OUTBOX"}
HEAD: dict[str, Any] = {"name": "p", "command": ["p"]}


def crew(root: Path, **environ: str) -> Agents:
    """The agents of a session below `root`."""
    given = {"PATH": "/usr/bin:/bin", **environ}
    ground = Ground("s", root / "s", root, given, root, "redis://:secret@localhost/0")
    ground.directory.mkdir(parents=True, exist_ok=True)
    return Agents(ground, CommandPipe("none"), lambda: 0.0)


def argv(root: Path, provider: Provider, **options: bool) -> list[str]:
    """What an agent is started with in a session below `root`."""
    agent = Agent(3, "api", session_id="7-8")
    return crew(root)._argv(agent, provider, "brief", **{"resume": False, **options})


# Providers


def test_claude_gets_a_file_that_only_its_user_can_read(tmp_path: Path) -> None:
    words = argv(tmp_path, CLAUDE, tools=True)
    (word,) = (each for each in words if each.startswith("--mcp-config"))
    path = Path(word.removeprefix("--mcp-config="))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server = json.loads(path.read_text())["mcpServers"][MCP_SERVER]
    assert (server["command"], server["args"]) == (str(tmp_path / "s" / "bin" / "taco"), ["mcp"])
    assert words[-1] == "brief"
    settings = json.loads((tmp_path / "s" / "settings" / "api.json").read_text())
    assert {f"mcp__{MCP_SERVER}__{name}" for name in TOOLS} <= set(settings["permissions"]["allow"])


def test_codex_gets_arguments_that_are_toml_and_hold_no_secret(tmp_path: Path) -> None:
    root = tmp_path / 'it\'s "quoted" \\ ünïcode'
    words = argv(root, CODEX, tools=True)
    made = tomllib.loads("\n".join(word for word in words if word.startswith("mcp_servers.")))
    server = made["mcp_servers"][MCP_SERVER]
    assert (server["command"], server["args"]) == (str(root / "s" / "bin" / "taco"), ["mcp"])
    assert set(server["env_vars"]) > NEEDED
    assert server["tool_timeout_sec"] > 100  # what a tool waits at most
    assert not any("secret" in word for word in words)


@pytest.mark.parametrize("provider", [CLAUDE, CODEX], ids=lambda each: each.name)
def test_without_tools_nothing_names_them(tmp_path: Path, provider: Provider) -> None:
    assert not any("mcp" in word for word in argv(tmp_path, provider))
    assert not (tmp_path / "s" / "mcp").exists()
    assert "mcp__" not in "".join(path.read_text() for path in tmp_path.rglob("settings/*.json"))


@pytest.mark.parametrize("provider", [CLAUDE, CODEX], ids=lambda each: each.name)
def test_a_conversation_goes_on_with_them(tmp_path: Path, provider: Provider) -> None:
    words = argv(tmp_path, provider, tools=True, resume=True)
    assert any("mcp" in word for word in words)
    assert words[0] == provider.command[0]


def test_settings_without_a_file_of_their_own_stand_in_those_of_the_launch(tmp_path: Path) -> None:
    table = {"servers": [{"run": ["{taco}", "mcp"], "wait": 130, "quiet": True}]}
    other = CLAUDE.model_copy(update={"mcp_args": (), "mcp_settings": table})
    argv(tmp_path, other, tools=True)
    settings = json.loads((tmp_path / "s" / "settings" / "api.json").read_text())
    assert settings["servers"] == [{"run": [str(tmp_path / "s" / "bin" / "taco"), "mcp"], "wait": 130, "quiet": True}]
    assert settings["hooks"]


def test_opencode_gets_them_beside_the_servers_of_its_person() -> None:
    made = json.loads(
        opencode_config('{"mcp": {"theirs": {}}, "theme": "x"}', {}, {"mcp": {"taco": {"type": "local"}}})
    )
    assert (made["mcp"], made["theme"]) == ({"theirs": {}, "taco": {"type": "local"}}, "x")
    with pytest.raises(ValueError, match="has a `mcp` that is no object"):
        opencode_config('{"mcp": []}', {}, {"mcp": {}})


def test_gemini_gets_a_file_below_the_settings_of_its_person(tmp_path: Path) -> None:
    agents = crew(tmp_path)
    agent = Agent(3, "api")
    (name, path), *others = agents._mcp_environment(agent, GEMINI).items()
    assert (name, others) == ("GEMINI_CLI_SYSTEM_DEFAULTS_PATH", [])
    server = json.loads(Path(path).read_text())["mcpServers"][MCP_SERVER]
    assert (server["command"], server["args"]) == (str(tmp_path / "s" / "bin" / "taco"), ["mcp"])
    assert server["timeout"] > 100_000  # what a tool waits at most
    agents._argv(agent, GEMINI, "", resume=False, tools=True)
    rules = tomllib.loads((tmp_path / "s" / "settings" / "api.toml").read_text())["rule"]
    assert [(each["mcpName"], each["toolName"]) for each in rules[1:]] == [(MCP_SERVER, list(TOOLS))]


def test_gemini_gets_it_only_where_it_reads_it_and_hides_nothing_by_it(tmp_path: Path) -> None:
    theirs = tmp_path / "system-defaults.json"
    anywhere = GEMINI.model_copy(update={"mcp_of_root": False, "mcp_unless": ("DEFAULTS", str(theirs))})
    assert not crew(tmp_path).can_hand_tools(GEMINI)  # others may write where the tests are
    assert crew(tmp_path).can_hand_tools(anywhere)
    assert not crew(tmp_path, DEFAULTS="").can_hand_tools(anywhere)
    theirs.touch()
    assert not crew(tmp_path).can_hand_tools(anywhere)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ('{"mcpServers": {"taco": {"command": "/opt/bin/taco", "args": ["mcp"]}}}', True),
        ('{"mcpServers": {"taco": {"command": "taco", "args": ["mcp", "--session", "shop"]}}}', False),
        ('{"mcpServers": {"taco": {"command": "sh", "args": ["mcp"]}}}', False),
        ('{"mcpServers": {"taco": {"httpUrl": "http://localhost"}}}', False),
        ('{"mcpServers": {"other": {"command": "taco", "args": ["mcp"]}}}', False),
        ('{"mcpServers": []}', False),
        ("[]", False),
        ("// not JSON", False),
        ("", False),
    ],
)
def test_a_server_that_the_person_has_named_counts(tmp_path: Path, settings: str, named: bool) -> None:
    (tmp_path / ".gemini").mkdir()
    (tmp_path / ".gemini" / "settings.json").write_text(settings)
    agents = crew(tmp_path, GEMINI_CLI_HOME=str(tmp_path))
    assert agents.has_tools(GEMINI) is named
    agents._argv(Agent(3, "api"), GEMINI, "", resume=False, tools=False)
    rules = tomllib.loads((tmp_path / "s" / "settings" / "api.toml").read_text())["rule"]
    assert [each["mcpName"] for each in rules[1:]] == [MCP_SERVER] * named


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"mcp_args": ["--mcp={taco_comand}"]}, "p.toml: mcp_args: unknown placeholder {taco_comand} in "),
        ({"mcp_settings": {"a": [{"b": "{nope}"}]}}, "p.toml: mcp_settings: unknown placeholder {nope} in "),
        ({"mcp_env": {"MCP": "{nope}"}}, "p.toml: mcp_env: unknown placeholder {nope} in "),
        ({"mcp_args": "--mcp"}, "p.toml: mcp_args: "),
        ({"mcp_args": ["--mcp={mcp_config}"]}, "mcp_args: {mcp_config} is empty without mcp_settings"),
        ({"mcp_settings": {"a": "{taco}"}}, "mcp_settings: nothing reads them, name {mcp_config} in mcp_args"),
        ({"command": ["p", "{mcp_config}"]}, "p.toml: command: unknown placeholder {mcp_config} in "),
    ],
)
def test_a_mistake_is_named_with_its_key(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_provider(HEAD | keys, "p.toml")
    assert said in caught.value.message


def test_a_provider_without_the_keys_takes_no_tools() -> None:
    assert not parse_provider(HEAD, "p.toml").takes_tools
    assert parse_provider(HEAD | {"mcp_args": ["--mcp", "{taco}"]}, "p.toml").takes_tools
    assert parse_provider(HEAD | {"mcp_env": {"MCP": "{taco}"}}, "p.toml").takes_tools


# The person's switch


def test_the_nearest_switch_counts() -> None:
    tables = {"mcp": False, "providers": {"codex": {"mcp": True}}, "agents": {"api": {"mcp": False}}}
    config, _ = merge([Layer("config.toml", tables)])
    assert not config.mcp_for("web", "claude")
    assert config.mcp_for("web", "codex")
    assert not config.mcp_for("api", "codex")
    assert merge([])[0].mcp_for("web", "claude")
    assert not merge([from_environment({"TACO_MCP": "false"})])[0].mcp_for("web", "claude")


def test_what_is_no_switch_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        merge([Layer("config.toml", {"providers": {"codex": {"mcp": "perhaps"}}})])
    assert caught.value.message.startswith("config.toml: providers.codex.mcp: ")


# What the agent is told


def test_the_brief_names_the_tools_where_there_are_some() -> None:
    api = Agent(3, "api")
    for tools in (TOOLS, ()):
        values = agent_values(api, [api], {}, project_dir="/p", prompt="p", tools=tools)
        assert all((f"`{name}`" in values["tools"]) == bool(tools) for name in TOOLS)
        assert coordinate_values([api], project_dir="/p", prompt="p", tools=tools)["tools"] == values["tools"]
        assert "\n" not in values["tools"]


def test_only_the_verbs_of_agents_need_no_permission() -> None:
    allowed = settings_json("/tmp/s", ["send"], ["send", "service_url"])["permissions"]["allow"]
    assert allowed == ["Bash(taco send:*)", "mcp__taco__send", "mcp__taco__service_url"]
    assert f"mcp__{MCP_SERVER}" not in allowed


def test_a_session_that_is_well_has_no_trouble() -> None:
    assert place.trouble(place.Place("s"), 0.0) == ""
