"""Reads lines of a Gemini CLI transcript, a "chat", in the words of Claude Code's. Pure.

What was submitted is a `user` record, written when its turn begins; its `displayContent` is what was typed where the
CLI put the files that it names into `content`. The results of tools are `user` records too. An answer is a `gemini`
record, written a second time when its tools are through. What ends a turn otherwise leaves an `info` or an `error`.
A record with `$set` tells the whole conversation again, after a cancelled or failed turn and when it is resumed
(0.61.0). Then the CLI's own first message, the context, and the first of the user may be one; when that conversation is
resumed the CLI drops its old context, and with it that message: an agent's brief.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIRST_HIDDEN, FIRST_SHOWN = "first_message_hidden", "first_message_shown"  # is it part of the CLI's own?
_OF_THE_CLI = ("<session_context>", "<hook_context>")


def is_chat(record: Mapping[str, Any]) -> bool:
    """Whether this is a record of such a transcript."""
    return "$set" in record or ("content" in record and "message" not in record and record.get("type") in _READERS)


def as_transcript(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record as one of Claude Code's; an empty one for what has no counterpart there."""
    if "$set" in record:
        return _told_again(record["$set"])
    reader = _READERS.get(str(record.get("type")))
    return reader(record) if reader else {}


def _told_again(changed: object) -> Mapping[str, Any]:
    """What a conversation that is told again says of its first message."""
    messages = changed.get("messages") if isinstance(changed, dict) else None
    first = messages[0] if isinstance(messages, list) and messages else None
    parts = first.get("content") if isinstance(first, dict) else None
    if not isinstance(parts, list) or not _text(parts).lstrip().startswith(_OF_THE_CLI):
        return {}
    return {"subtype": FIRST_HIDDEN if len(parts) > 1 else FIRST_SHOWN}


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
