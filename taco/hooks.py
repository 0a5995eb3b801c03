"""Hooks of agent CLIs: what makes each drop a file, and what such a file says. Pure.

The command of a hook is plain sh: it moves its input into the spool under a name that sorts by time,
tells nothing to the CLI and always exits 0, so that it works, and loses nothing, while TACO is down.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taco.models import MOTHER

EVENTS = (
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PermissionRequest",
    "Notification",
    "Stop",
    "StopFailure",
    "SessionEnd",
)
CODEX_EVENTS = ("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PermissionRequest", "Stop")
OPENCODE_CONFIG = "OPENCODE_CONFIG_CONTENT"  # configuration of one launch of OpenCode, over that of its files
_OPENCODE_PLUGIN = Path(__file__).parent / "providers" / "opencode.js"
_CODEX_TIMEOUT_S = 30
_CODEX_SOURCE = "/<session-flags>/config.toml"  # what Codex calls a configuration that came as arguments
_WITH_MATCHER = frozenset({"PreToolUse", "PostToolUse", "PermissionRequest"})

# What an agent may call without a prompt; everything else of `taco` is the person's.
AGENT_VERBS = (
    "send",
    "broadcast",
    "done",
    "fail",
    "ask",
    "inbox",
    "status",
    "service register",
    "service url",
    "service wait",
)

MOTHER_VERBS = ("spec submit", "spec check", "spec show", "spec schema")  # what Mother may call besides
MCP_SERVER = "taco"  # what `taco mcp` is called in the CLIs
TOOLS = tuple(verb.replace(" ", "_") for verb in AGENT_VERBS)  # as `taco mcp` names the verbs

_NAME = re.compile(r"(?P<at>\d{1,20})-(?P<pid>\d{1,10})-(?P<event>[A-Za-z]+)\.json")


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One call of a hook: when (epoch seconds), by which CLI process, and what it said."""

    event: str
    pid: int  # of the CLI, not of the hook's shell
    at: float
    session_id: str = ""
    transcript: str = ""  # path of the conversation's transcript
    prompt: str = ""  # UserPromptSubmit
    turn: str = ""  # Codex' id of the turn it belongs to
    last_message: str = ""  # Stop: the whole of the agent's last answer
    error: str = ""  # StopFailure: rate_limit, server_error, …
    tool: str = ""  # PreToolUse, PostToolUse, PermissionRequest
    given: Mapping[str, Any] = field(default_factory=dict)  # what the tool is called with
    message: str = ""  # Notification
    kind: str = ""  # Notification: its type; SessionStart: its source; SessionEnd: the reason


def verbs_of(agent: str) -> tuple[str, ...]:
    """What the agent of this name may call without a prompt."""
    return (*AGENT_VERBS, *MOTHER_VERBS) if agent == MOTHER else AGENT_VERBS


def settings_json(spool: str, allow: Sequence[str] = AGENT_VERBS, tools: Sequence[str] = ()) -> dict[str, Any]:
    """The contents of a launch's `--settings` file: hooks that write into `spool`, and the verbs and tools of
    `taco` that need no permission.

    A person's vim mode is off, its NORMAL state shows no sign and takes text as commands; so are
    suggested prompts, which look like drafts and cost a request each (both seen with 2.1.197).
    """
    return {
        "hooks": {event: [_hook(event, spool)] for event in EVENTS},
        "permissions": {
            "allow": [
                *(f"Bash(taco {verb}:*)" for verb in allow),
                *(f"mcp__{MCP_SERVER}__{tool}" for tool in tools),
            ]
        },
        "editorMode": "normal",
        "promptSuggestionEnabled": False,
    }


def _hook(event: str, spool: str) -> dict[str, Any]:
    group: dict[str, Any] = {"hooks": [{"type": "command", "command": command(event, spool)}]}
    return {"matcher": "*", **group} if event in _WITH_MATCHER else group


def policy_toml(allow: Sequence[str] = AGENT_VERBS, tools: Sequence[str] = ()) -> str:
    """A policy file of Gemini's, for one launch: the verbs and tools of `taco` that need no permission.

    It takes a command apart: what else stands in one with an allowed verb, a redirection too, is asked about (0.61.0).
    """
    allowed = 'decision = "allow"\npriority = 900\n'
    prefixes = json.dumps([f"taco {verb}" for verb in allow])
    rule = f'[[rule]]\ntoolName = "run_shell_command"\ncommandPrefix = {prefixes}\n{allowed}'
    of_tools = f'[[rule]]\nmcpName = "{MCP_SERVER}"\ntoolName = {json.dumps(list(tools))}\n{allowed}'
    return rule + of_tools if tools else rule


def codex_arguments(spool: str) -> list[str]:
    """What makes this one run of Codex drop hooks into `spool`; nothing is written into its configuration.

    It runs no hook that its person has not trusted, by a digest of the hook: ours come with theirs, and those of the
    person's own configuration wait for the person as ever (0.169.0).
    """
    commands = {event: command(event, spool, pid="${TACO_PID:-$PPID}") for event in CODEX_EVENTS}
    words = []
    for event, line in commands.items():
        hook = f'type="command",command={json.dumps(line)},timeout={_CODEX_TIMEOUT_S}'
        words += ["-c", f"hooks.{event}=[{{hooks=[{{{hook}}}]}}]"]
    trusted = ",".join(
        f'"{_CODEX_SOURCE}:{_snake(event)}:0:0"={{trusted_hash="{_codex_digest(event, line)}"}}'
        for event, line in commands.items()
    )
    return [*words, "-c", f"hooks.state={{{trusted}}}"]


def opencode_config(given: str, options: Mapping[str, Any], handed: Mapping[str, Any] | None = None) -> str:
    """What OPENCODE_CONFIG must be for TACO's plugin to be loaded too, with these options; `given` is the person's own.

    `handed`: tables that are added to theirs. Raises ValueError when that is no JSON object.
    """
    try:
        config = json.loads(given or "{}")
        plugins = config.get("plugin", [])
    except (ValueError, AttributeError, RecursionError):
        raise ValueError("is no JSON object") from None
    if not isinstance(plugins, list):
        raise ValueError("has a `plugin` that is no list")
    for key, table in (handed or {}).items():
        theirs = config.get(key, {})
        if not isinstance(theirs, dict):
            raise ValueError(f"has a `{key}` that is no object")
        config[key] = theirs | table
    return json.dumps({**config, "plugin": [*plugins, [_OPENCODE_PLUGIN.as_uri(), {**options, "given": given}]]})


def _codex_digest(event: str, line: str) -> str:
    """The digest by which Codex knows a hook again: SHA-256 of its normalised form, keys in order."""
    hook = {"async": False, "command": line, "timeout": _CODEX_TIMEOUT_S, "type": "command"}
    text = json.dumps(
        {"event_name": _snake(event), "hooks": [hook]}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _snake(event: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", event).lower()


def command(event: str, spool: str, *, pid: str = "$PPID") -> str:
    """The sh command of one hook. PPID of its shell is the CLI (Claude Code 2.1.197), unless a launcher stands between.

    `pid`: what the shell expands to the process in the pane. BSD date knows no nanoseconds and prints the letter:
    seconds then, and the shell's pid instead.
    """
    return (
        f"exec 2>/dev/null; cd {shlex.quote(spool)} || {{ cat >/dev/null; exit 0; }}; t=$(date +%s%N); "
        'case $t in *N) t=$(printf "%s%09d" "${t%N}" "$$");; esac; '
        f'f=$t-{pid}-{event}; cat >"$f.tmp" && mv "$f.tmp" "$f.json"; exit 0'
    )


def parse_hook(filename: str, body: bytes) -> HookEvent:
    """What one file of the spool says; raises ValueError when name or body are not a hook's."""
    name = _NAME.fullmatch(filename)
    if name is None:
        raise ValueError(f"not the name of a hook's file: {filename!r}")
    try:
        data = json.loads(body)
    except RecursionError:
        raise ValueError(f"{filename}: nested too deep") from None
    if not isinstance(data, dict):
        raise ValueError(f"{filename}: not an object")
    return HookEvent(
        event=name["event"],
        pid=int(name["pid"]),
        at=int(name["at"]) / 1e9,
        session_id=_text(data, "session_id"),
        transcript=_text(data, "transcript_path"),
        prompt=_text(data, "prompt"),
        turn=_text(data, "turn_id"),
        last_message=_text(data, "last_assistant_message"),
        error=_text(data, "error"),
        tool=_text(data, "tool_name"),
        given=data["tool_input"] if isinstance(data.get("tool_input"), dict) else {},
        message=_text(data, "message"),
        kind=_text(data, "notification_type", "source", "reason"),
    )


def _text(data: dict[str, Any], *keys: str) -> str:
    """The first of the keys that holds a text, else ""; half a surrogate pair, which JSON may hold, becomes `?`."""
    found = next((data[key] for key in keys if isinstance(data.get(key), str)), "")
    return str(found).encode(errors="replace").decode()
