"""What an agent's process is given, without starting one."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from taco.agents import Agents, Ground, _session_id, write_command
from taco.brief import agent_values
from taco.errors import UsageError
from taco.files import load_provider
from taco.models import Agent
from taco.provider import Provider
from taco.tmux.commands import CommandPipe
from tests.support.paths import PACKAGE, ROOT

PROVIDER = Provider(name="p", command=("p",), env={"COLOUR": "none"}, yolo_root_env={"SANDBOX": "1"})


def ground(tmp_path: Path, *, yolo: bool = False) -> Ground:
    directory = tmp_path / "sessions" / "s"
    directory.mkdir(parents=True, exist_ok=True)
    environ = {"PATH": "/usr/bin:/bin", "SECRET": "x", "TACO_AGENT": "somebody else"}
    return Ground("s", directory, tmp_path, environ, tmp_path, "unix:///r", yolo)


def test_an_agent_finds_taco_first_but_not_tacos_python(tmp_path: Path) -> None:
    found = ground(tmp_path)
    write_command(found.bin)
    environ = Agents(found, CommandPipe("none"), lambda: 0.0).environment(Agent(3, "api"), PROVIDER)
    assert environ["PATH"] == f"{found.bin}{os.pathsep}/usr/bin:/bin"
    assert [each.name for each in found.bin.iterdir()] == ["taco"]
    done = subprocess.run(["taco", "--version"], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("taco ")


def test_an_agents_environment_says_who_it_is(tmp_path: Path) -> None:
    environ = Agents(ground(tmp_path), CommandPipe("none"), lambda: 0.0).environment(
        Agent(3, "api", workspace="w"), PROVIDER
    )
    assert (environ["TACO_AGENT"], environ["TACO_SESSION"], environ["COLOUR"]) == ("api", "s", "none")
    assert environ["TACO_OUTBOX"] == str(tmp_path / "w" / ".taco" / "outbox" / "s" / "api")
    assert environ["SECRET"] == "x"
    assert "SANDBOX" not in environ


def test_what_root_needs_comes_with_yolo_only(tmp_path: Path) -> None:
    environ = Agents(ground(tmp_path, yolo=True), CommandPipe("none"), lambda: 0.0).environment(
        Agent(3, "api"), PROVIDER
    )
    assert ("SANDBOX" in environ) == (os.geteuid() == 0)


def test_a_launch_is_told_of_trust_where_the_person_gave_it(tmp_path: Path) -> None:
    codex, gemini = (load_provider(PACKAGE / "providers" / f"{name}.toml") for name in ("codex", "gemini"))
    agent = Agent(3, "api", session_id="7-8", workspace='it\'s a "web".app 🙂')
    asked = Agents(ground(tmp_path), CommandPipe("none"), lambda: 0.0)
    told = Agents(replace(ground(tmp_path), trusted=True), CommandPipe("none"), lambda: 0.0)
    for resume in (False, True):
        before, after = (each._argv(agent, codex, "brief", resume=resume) for each in (asked, told))
        (word,) = (each for each in after if each not in before)
        assert tomllib.loads(word) == {"projects": {str(tmp_path / agent.workspace): {"trust_level": "trusted"}}}
        assert "--skip-trust" not in asked._argv(agent, gemini, "brief", resume=resume)
        assert "--skip-trust" in told._argv(agent, gemini, "brief", resume=resume)


def test_a_brief_that_is_too_long_for_a_word_is_read_from_its_file(tmp_path: Path) -> None:
    agents = Agents(ground(tmp_path), CommandPipe("none"), lambda: 0.0)
    provider = PROVIDER.model_copy(update={"first_prompt": "argument"})
    assert agents._argv(Agent(3, "api"), provider, "short", resume=False)[-1] == "short"
    word = agents._argv(Agent(3, "api"), provider, "ü" * 100_000, resume=False)[-1]
    path = tmp_path / "sessions" / "s" / "briefs" / "api.md"
    assert word == f"Read your brief in {path} first."
    assert path.read_text() == "ü" * 100_000


def test_a_long_result_is_cut_in_the_brief() -> None:
    api, web = Agent(3, "api", done="x" * 9_000), Agent(4, "web", wait_for=("api",))
    values = agent_values(web, [api, web], {"api": api.done}, project_dir="/p", prompt="p")
    assert 4_000 < len(values["results"]) < 4_200
    assert "taco inbox" in values["results"]


def test_codex_makes_its_own_session_id_and_gets_hooks(tmp_path: Path) -> None:
    codex = load_provider(PACKAGE / "providers" / "codex.toml")
    agents = Agents(ground(tmp_path), CommandPipe("none"), lambda: 0.0)
    assert codex.names_conversations
    assert not load_provider(PACKAGE / "providers" / "claude.toml").names_conversations
    first = agents._argv(Agent(3, "api"), codex, "brief", resume=False)
    assert first[:2] == ["codex", "--no-daemon"]
    assert (first[-1], sum("hooks.UserPromptSubmit=" in word for word in first)) == ("brief", 1)
    again = agents._argv(Agent(3, "api", session_id="7-8"), codex, "brief", resume=True)
    assert again[:2] == ["codex", "resume"]
    assert ("7-8" in again, "brief" in again, again[-2]) == (True, False, "-c")


def test_gemini_gets_a_policy_and_a_new_id_unless_it_goes_on_with_a_conversation(tmp_path: Path) -> None:
    gemini = load_provider(PACKAGE / "providers" / "gemini.toml")
    where = replace(ground(tmp_path), environ={"GEMINI_CLI_HOME": str(tmp_path / "x")})
    agents = Agents(where, CommandPipe("none"), lambda: 0.0)
    agent = Agent(3, "api", session_id="3b241101-e2bb")
    policy = str(tmp_path / "sessions" / "s" / "settings" / "api.toml")
    first = agents._argv(agent, gemini, "brief", resume=False)
    assert first == ["gemini", "--admin-policy", policy, "--session-id", "3b241101-e2bb", "brief"]
    assert agents._argv(agent, gemini, "brief", resume=True)[3:] == ["--resume", "3b241101-e2bb"]
    assert "taco send" in Path(policy).read_text(encoding="utf-8")
    assert _session_id(agent, gemini, resume=True) == agent.session_id
    assert _session_id(agent, gemini, resume=False) not in ("", agent.session_id)


def test_gemini_writes_what_it_tries_again_into_an_empty_log_unless_the_person_keeps_one(tmp_path: Path) -> None:
    gemini = load_provider(PACKAGE / "providers" / "gemini.toml")
    log = tmp_path / "sessions" / "s" / "retries" / "api.log"
    agents = Agents(ground(tmp_path), CommandPipe("none"), lambda: 0.0)
    for _ in range(2):
        assert agents._retry_log(Agent(3, "api"), gemini) == {"GEMINI_DEBUG_LOG_FILE": str(log)}
        assert (log.read_text(), log.stat().st_mode & 0o777) == ("", 0o600)
        log.write_text("of the launch before")
    theirs = replace(ground(tmp_path), environ={"GEMINI_DEBUG_LOG_FILE": "/mine"})
    assert Agents(theirs, CommandPipe("none"), lambda: 0.0)._retry_log(Agent(3, "api"), gemini) == {}


def test_a_conversation_of_gemini_without_a_message_cannot_be_resumed(tmp_path: Path) -> None:
    gemini = load_provider(PACKAGE / "providers" / "gemini.toml")
    where = replace(ground(tmp_path), environ={"GEMINI_CLI_HOME": str(tmp_path / "x")})
    agents = Agents(where, CommandPipe("none"), lambda: 0.0)
    agent = Agent(3, "api", session_id="3b241101-e2bb")
    chats = tmp_path / "x" / ".gemini" / "tmp" / "api" / "chats"
    chats.mkdir(parents=True)
    whole = (ROOT / "fixtures" / "transcripts" / "gemini.jsonl").read_bytes()
    (chats / "session-2026-11-21T23-08-3b241101.jsonl").write_bytes(b"\n".join(whole.split(b"\n")[:2]))
    assert not agents.can_resume(agent, gemini)
    (chats / "session-2026-11-21T23-07-3b241101.jsonl").write_bytes(whole)
    assert agents.can_resume(agent, gemini)
    assert agents.left_over(agent, gemini).cut_off


def test_a_conversation_is_gone_on_with_when_its_rollout_is_there(tmp_path: Path) -> None:
    codex = load_provider(PACKAGE / "providers" / "codex.toml")
    where = ground(tmp_path)
    agents = Agents(replace(where, environ={"CODEX_HOME": str(tmp_path / "x")}), CommandPipe("none"), lambda: 0.0)
    agent = Agent(3, "api", session_id="7-8")
    assert not agents.can_resume(agent, codex)
    path = tmp_path / "x" / "sessions" / "2026" / "11" / "21" / "rollout-2026-11-21T20-14-43-7-8.jsonl"
    path.parent.mkdir(parents=True)
    path.touch()
    assert agents.can_resume(agent, codex)


def test_opencode_gets_its_brief_behind_a_flag_and_its_hooks_by_its_environment(tmp_path: Path) -> None:
    opencode = load_provider(PACKAGE / "providers" / "opencode.toml")
    agents = Agents(ground(tmp_path), CommandPipe("none"), lambda: 0.0)
    assert opencode.names_conversations
    first = agents._argv(Agent(3, "api"), opencode, "brief", resume=False)
    assert (first[0], first[-2:]) == ("opencode", ["--prompt", "brief"])
    again = agents._argv(Agent(3, "api", session_id="ses_1"), opencode, "brief", resume=True)
    assert again[-2:] == ["--session", "ses_1"]
    environ = agents._hook_environment(Agent(3, "api", session_id="ses_1"), opencode, resume=True, tools=False)
    ((_, options),) = json.loads(environ["OPENCODE_CONFIG_CONTENT"])["plugin"]
    assert (options["source"], options["session"]) == ("resume", "ses_1")
    assert Path(options["spool"]) == tmp_path / "sessions" / "s" / "spool" / "api"
    assert "taco send" in options["allow"]
    assert "taco spec submit" not in options["allow"]


def test_a_configuration_of_the_persons_that_hooks_cannot_be_added_to_is_named(tmp_path: Path) -> None:
    opencode = load_provider(PACKAGE / "providers" / "opencode.toml")
    where = replace(ground(tmp_path), environ={"OPENCODE_CONFIG_CONTENT": "{"})
    with pytest.raises(UsageError, match="OPENCODE_CONFIG_CONTENT of your environment is no JSON object"):
        Agents(where, CommandPipe("none"), lambda: 0.0)._hook_environment(
            Agent(3, "api"), opencode, resume=False, tools=False
        )


def test_an_opencode_conversation_is_gone_on_with_when_its_plugin_wrote_of_it(tmp_path: Path) -> None:
    opencode = load_provider(PACKAGE / "providers" / "opencode.toml")
    agents = Agents(ground(tmp_path), CommandPipe("none"), lambda: 0.0)
    agent = Agent(3, "api", session_id="ses_1")
    assert not agents.can_resume(agent, opencode)
    path = tmp_path / "sessions" / "s" / "transcripts" / "ses_1.jsonl"
    path.parent.mkdir(parents=True)
    path.touch()
    assert agents.can_resume(agent, opencode)
