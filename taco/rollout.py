"""Reads lines of a Codex transcript, its "rollout", in the words of Claude Code's; and what they say is going on. Pure.

What a person or the model said is a `response_item` of type `message`, as it goes to the model; what the CLI itself
says in the person's name there begins with a tag. Each answer of the model is paid for in a `token_usage_record`. A
turn begins with an event `task_started` and ends with `task_complete` or, interrupted, `turn_aborted`. A prompt that a
hook refuses leaves a turn in which nobody says anything (0.169.0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

_TURNS = {"task_started": True, "task_complete": False, "turn_aborted": False}
_OF_THE_CLI = re.compile(r"\s*(?:<[a-z_]+>|# AGENTS\.md instructions)")


def as_transcript(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record of a rollout as one of Claude Code's; an empty one for what has no counterpart there."""
    payload = record["payload"] if isinstance(record["payload"], dict) else {}
    kind = payload.get("type")
    if record.get("type") == "response_item" and kind == "message":
        return _message(payload, record.get("timestamp"))
    if record.get("type") == "token_usage_record":
        return {"message": {"id": payload.get("response_id"), "usage": _usage(payload.get("usage"))}}
    if record.get("type") == "event_msg" and _TURNS.get(str(kind)) is False:
        return {"subtype": "turn_duration"}
    return {}


def silent(lines: bytes, turn_id: str) -> float | None:
    """When this turn came to its end with nothing said in it by anybody, epoch seconds; None when it did not."""
    runs = False
    for record in _records(lines):
        payload = record["payload"]
        if payload.get("turn_id") == turn_id and payload.get("type") == "task_started":
            runs = True
        elif payload.get("turn_id") == turn_id and payload.get("type") in _TURNS:
            return _time(record) if runs and payload["type"] == "task_complete" else None
        elif runs and (said := as_transcript(record)).get("type") and not said.get("isMeta"):
            return None
    return None


def objects(lines: bytes) -> Iterator[Mapping[str, Any]]:
    """Every line that is a JSON object; half a line is none."""
    for line in lines.split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def _records(lines: bytes) -> Iterator[Mapping[str, Any]]:
    return (record for record in objects(lines) if isinstance(record.get("payload"), dict))


def _time(record: Mapping[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(record["timestamp"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return None


def turn(lines: bytes) -> tuple[bool, float] | None:
    """Whether a turn runs after these lines, and since when (epoch seconds); None when they tell of none."""
    for line in reversed(lines.split(b"\n")):
        if b'"event_msg"' not in line:
            continue
        try:
            record = json.loads(line)
            runs = _TURNS.get(record["payload"]["type"])
            if record["type"] == "event_msg" and runs is not None:
                return runs, datetime.fromisoformat(record["timestamp"]).timestamp()
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # half a line, or another kind of record
    return None


def _message(payload: Mapping[str, Any], at: object) -> Mapping[str, Any]:
    role = payload.get("role")
    blocks = payload.get("content") if isinstance(payload.get("content"), list) else []
    texts = [str(block.get("text", "")) for block in blocks or () if isinstance(block, dict)]
    if role == "assistant":
        said = {"id": payload.get("id"), "content": "\n".join(texts)}
        return {"type": "assistant", "timestamp": at, "message": said}
    if role != "user":
        return {}
    is_meta = all(_OF_THE_CLI.match(text) for text in texts)
    return {"type": "user", "timestamp": at, "isMeta": is_meta, "message": {"content": "\n".join(texts)}}


def _usage(usage: object) -> Mapping[str, int]:
    """What was paid for: a token read again from the cache is among the input, and does not count."""
    counts = usage if isinstance(usage, dict) else {}
    found = {name: value for name, value in counts.items() if isinstance(value, int)}
    fresh = found.get("input_tokens", 0) - found.get("cached_input_tokens", 0)
    return {"input_tokens": max(fresh, 0), "output_tokens": found.get("output_tokens", 0)}
