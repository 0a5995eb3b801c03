"""Reads lines of a Gemini CLI transcript, a "chat", in the words of Claude Code's. Pure.

What was submitted is a `user` record, written when its turn begins; its `displayContent` is what was typed where the
CLI put the files that it names into `content`. The results of tools are `user` records too. An answer is a `gemini`
record, written a second time when its tools are through. What ends a turn otherwise leaves an `info` or an `error`.
A record with `$set` tells the whole conversation again, after a cancelled turn and when it is resumed (0.61.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OF_THE_CLI = ("<session_context>", "<hook_context>")


def is_chat(record: Mapping[str, Any]) -> bool:
    """Whether this is a record of such a transcript."""
    return "$set" in record or ("content" in record and "message" not in record and record.get("type") in _READERS)


def as_transcript(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record as one of Claude Code's; an empty one for what has no counterpart there."""
    reader = _READERS.get(str(record.get("type")))
    return reader(record) if reader and "$set" not in record else {}


def _user(record: Mapping[str, Any]) -> Mapping[str, Any]:
    said = _text(record.get("displayContent") or record.get("content"))
    if not said:
        return {}
    is_meta = said.lstrip().startswith(_OF_THE_CLI)
    return {"type": "user", "timestamp": record.get("timestamp"), "isMeta": is_meta, "message": {"content": said}}


def _gemini(record: Mapping[str, Any]) -> Mapping[str, Any]:
    calls = [each for each in record.get("toolCalls") or () if isinstance(each, dict)]
    goes_on = calls and all(each.get("status") != "cancelled" for each in calls)
    message = {
        "id": record.get("id"),
        "content": "" if calls else _text(record.get("content")),  # with its tools it was told before
        "stop_reason": "tool_use" if goes_on else "end_turn",
        "usage": _usage(record.get("tokens")),
    }
    return {"type": "assistant", "timestamp": record.get("timestamp"), "message": message}


def _end(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """An error, a cancelled request: no answer comes. Other notes say nothing of a turn."""
    ends = record.get("type") == "error" or record.get("content") == "Request cancelled."
    return {"subtype": "turn_duration"} if ends else {}


def _usage(tokens: object) -> Mapping[str, int]:
    """What was paid for: a token read again from the cache is among the input, and does not count."""
    counts = tokens if isinstance(tokens, dict) else {}
    found = {name: value for name, value in counts.items() if isinstance(value, int)}
    fresh = found.get("input", 0) - found.get("cached", 0)
    return {"input_tokens": max(fresh, 0), "output_tokens": found.get("output", 0) + found.get("thoughts", 0)}


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)


_READERS = {"user": _user, "gemini": _gemini, "info": _end, "error": _end, "warning": _end}
