"""The files that Claude Code's hooks leave: written by real sh, read back; names and bodies that are none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from taco.hooks import (
    AGENT_VERBS,
    CODEX_EVENTS,
    EVENTS,
    codex_arguments,
    command,
    parse_hook,
    policy_toml,
    settings_json,
)

NAME = "1795171128352988538-14483-UserPromptSubmit.json"
PROMPT = {
    "session_id": "a4397923-94a5-46dd-8d83-39f724945b40",
    "transcript_path": "/tmp/demo/config/projects/-tmp-demo-project/a4397923.jsonl",
    "cwd": "/tmp/demo/project",
    "permission_mode": "default",
    "hook_event_name": "UserPromptSubmit",
    "prompt": "[mother → backend]: build it",
}


def run(
    event: str, spool: Path, body: bytes, path: str = "/usr/local/bin:/usr/bin:/bin"
) -> subprocess.CompletedProcess[bytes]:
    argv = ["/bin/sh", "-c", command(event, str(spool))]
    return subprocess.run(argv, input=body, capture_output=True, check=False, env={"PATH": path})


@pytest.mark.parametrize("name", ["plain", "with space", 'it\'s "quoted"', "$HOME `id` \\ ; &", "ünïcode\nline"])
def test_a_hook_drops_its_input(tmp_path: Path, name: str) -> None:
    spool = tmp_path / name
    spool.mkdir()
    body = json.dumps(PROMPT).encode()
    done = run("UserPromptSubmit", spool, body)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (path,) = spool.iterdir()
    assert path.read_bytes() == body
    found = parse_hook(path.name, body)
    assert (found.event, found.pid, found.prompt) == ("UserPromptSubmit", os.getpid(), PROMPT["prompt"])
    assert found.session_id == PROMPT["session_id"]


def test_a_hook_never_fails_the_agent(tmp_path: Path) -> None:
    done = run("Stop", tmp_path / "missing", b"{}")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_date_without_nanoseconds_gives_a_name_all_the_same(tmp_path: Path) -> None:
    programs, spool = tmp_path / "bin", tmp_path / "spool"
    programs.mkdir()
    spool.mkdir()
    date = programs / "date"
    date.write_text("#!/bin/sh\necho 1795171128N\n")
    date.chmod(0o755)
    done = run("Stop", spool, b"{}", path=f"{programs}:/usr/bin:/bin")
    assert done.returncode == 0
    (path,) = spool.iterdir()
    assert int(parse_hook(path.name, b"{}").at) == 1795171128


def test_names_sort_by_time(tmp_path: Path) -> None:
    for event in EVENTS:
        run(event, tmp_path, b"{}")
    assert [parse_hook(path.name, b"{}").event for path in sorted(tmp_path.iterdir())] == list(EVENTS)


def test_a_launcher_between_the_pane_and_the_cli_is_stepped_over(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", command("Stop", str(tmp_path), pid="${TACO_PID:-$PPID}")]
    for environ in ({"TACO_PID": "7"}, {}):
        subprocess.run(argv, input=b"{}", check=True, env={"PATH": "/usr/bin:/bin", **environ})
    assert sorted(parse_hook(path.name, b"{}").pid for path in tmp_path.iterdir()) == sorted([7, os.getpid()])


def test_gemini_gets_a_policy_that_allows_the_verbs_of_agents() -> None:
    (rule,) = tomllib.loads(policy_toml())["rule"]
    assert rule["commandPrefix"] == [f"taco {verb}" for verb in AGENT_VERBS]
    assert (rule["toolName"], rule["decision"]) == ("run_shell_command", "allow")


def test_codex_gets_its_hooks_as_arguments_that_are_toml() -> None:
    words = codex_arguments('/tmp/it\'s "quoted" ünïcode')
    assert words[::2] == ["-c"] * (len(CODEX_EVENTS) + 1)
    made = tomllib.loads("\n".join(words[1::2]))["hooks"]
    state = made.pop("state")
    assert list(made) == list(CODEX_EVENTS)
    assert [key.split(":")[1] for key in state][:2] == ["session_start", "user_prompt_submit"]
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each["trusted_hash"]) for each in state.values())
    again = tomllib.loads("\n".join(codex_arguments("/tmp/other")[1::2]))["hooks"]["state"]
    assert {each["trusted_hash"] for each in again.values()}.isdisjoint(each["trusted_hash"] for each in state.values())


def test_settings() -> None:
    made = json.loads(json.dumps(settings_json("/tmp/s")))
    assert list(made["hooks"]) == list(EVENTS)
    assert made["permissions"]["allow"] == [f"Bash(taco {verb}:*)" for verb in AGENT_VERBS]
    assert settings_json("/tmp/s", ["send"])["permissions"]["allow"] == ["Bash(taco send:*)"]


@pytest.mark.parametrize("verb", ["start", "stop", "agent", "answer", "config", "service", "queue"])
def test_what_is_the_persons_is_not_allowed(verb: str) -> None:
    assert f"Bash(taco {verb}:*)" not in settings_json("/tmp/s")["permissions"]["allow"]


@pytest.mark.parametrize(
    ("event", "body", "field", "value"),
    [
        ("Stop", {"last_assistant_message": "done\nnow"}, "last_message", "done\nnow"),
        ("StopFailure", {"error": "rate_limit"}, "error", "rate_limit"),
        ("PermissionRequest", {"tool_name": "Bash", "tool_input": {"command": "x"}}, "tool", "Bash"),
        ("Notification", {"message": "m", "notification_type": "permission_prompt"}, "kind", "permission_prompt"),
        ("SessionStart", {"source": "resume"}, "kind", "resume"),
        ("SessionEnd", {"reason": "prompt_input_exit"}, "kind", "prompt_input_exit"),
        ("UserPromptSubmit", {"prompt": ["no", "text"]}, "prompt", ""),
    ],
)
def test_what_an_event_says(event: str, body: dict[str, object], field: str, value: str) -> None:
    assert getattr(parse_hook(f"17-1-{event}.json", json.dumps(body).encode()), field) == value


def test_time_and_process() -> None:
    found = parse_hook(NAME, json.dumps(PROMPT).encode())
    assert (found.pid, found.at) == (14483, 1795171128.352988538)
    assert found.transcript == PROMPT["transcript_path"]


@pytest.mark.parametrize(
    "name", ["", "x.json", NAME + ".tmp", NAME.removesuffix(".json"), "-1-2-Stop.json", "a/1-2-Stop.json"]
)
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        parse_hook(name, b"{}")


@pytest.mark.parametrize("body", [b"", b'{"prompt": "ha', b"[]", b"null", b"\xff\xfe{}", b"{} {}"])
def test_a_body_that_is_none(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_hook(NAME, body)


def test_a_hook_that_no_encoding_or_parser_can_take_harms_nobody() -> None:
    name = "1-7-Stop.json"
    assert parse_hook(name, b'{"last_assistant_message": "a\\ud800b"}').last_message == "a?b"
    with pytest.raises(ValueError, match="deep"):
        parse_hook(name, b"[" * 1_000_000)
