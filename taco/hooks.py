"""Claude Code's hooks: the settings that make each drop a file, and what such a file says. Pure.

The command of a hook is plain sh: it moves its input into the spool under a name that sorts by time,
tells nothing to the CLI and always exits 0, so that it works, and loses nothing, while TACO is down.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    last_message: str = ""  # Stop: the whole of the agent's last answer
    error: str = ""  # StopFailure: rate_limit, server_error, …
    tool: str = ""  # PreToolUse, PostToolUse, PermissionRequest
    given: Mapping[str, Any] = field(default_factory=dict)  # what the tool is called with
    message: str = ""  # Notification
    kind: str = ""  # Notification: its type; SessionStart: its source; SessionEnd: the reason


def settings_json(spool: str, allow: Sequence[str] = AGENT_VERBS) -> dict[str, Any]:
    """The contents of a launch's `--settings` file: hooks that write into `spool`, and the verbs of
    `taco` that need no permission.

    A person's vim mode is off, its NORMAL state shows no sign and takes text as commands; so are
    suggested prompts, which look like drafts and cost a request each (both seen with 2.1.197).
    """
    return {
        "hooks": {event: [_hook(event, spool)] for event in EVENTS},
        "permissions": {"allow": [f"Bash(taco {verb}:*)" for verb in allow]},
        "editorMode": "normal",
        "promptSuggestionEnabled": False,
    }


def _hook(event: str, spool: str) -> dict[str, Any]:
    group: dict[str, Any] = {"hooks": [{"type": "command", "command": command(event, spool)}]}
    return {"matcher": "*", **group} if event in _WITH_MATCHER else group


def command(event: str, spool: str) -> str:
    """The sh command of one hook. PPID of its shell is the CLI (measured with 2.1.197).

    BSD date knows no nanoseconds and prints the letter: seconds then, and the shell's pid instead.
    """
    return (
        f"exec 2>/dev/null; cd {shlex.quote(spool)} || {{ cat >/dev/null; exit 0; }}; t=$(date +%s%N); "
        'case $t in *N) t=$(printf "%s%09d" "${t%N}" "$$");; esac; '
        f'f=$t-$PPID-{event}; cat >"$f.tmp" && mv "$f.tmp" "$f.json"; exit 0'
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
