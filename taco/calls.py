"""What short-lived commands say to Redis, as plain words, and what the answers mean. Pure.

No model is imported here: making the dataclasses of `models` alone takes as long as the whole of `taco send` may.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any, Protocol

from taco.errors import ConflictError, NotFoundError, QueueFullError, UsageError
from taco.redact import redact, redacted

MAX_BODY = 1_048_576  # bytes of UTF-8 in one message
PREVIEW = 200  # characters
_READ = 4_000  # characters of a message that are looked at for its preview
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
COMMAND_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # nothing in it means anything to tmux
FULL_HINT = "wait until some are delivered, or send with --priority high"

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Letter(Protocol):
    """A command as its sender knows it: `models.Command`, or anything with these attributes."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def type(self) -> str:
        """`tmux_message`."""

    @property
    def sender(self) -> str:
        """Who sends it."""

    @property
    def target(self) -> str:
        """The agent it is for."""

    @property
    def message(self) -> str:
        """Its text."""

    @property
    def priority(self) -> str:
        """`high`, `normal` or `low`."""

    @property
    def when(self) -> str:
        """`idle` or `now`."""

    @property
    def timestamp(self) -> str:
        """When it was stored, ISO 8601 UTC; "" not yet."""

    @property
    def retry_count(self) -> int:
        """How often it was sent again."""


def new_id() -> str:
    """A fresh id of 12 characters `[a-z0-9]`."""
    return "".join(_ALPHABET[byte % 36] for byte in os.urandom(12))


def iso(at: float) -> str:
    """`models.iso` without datetime: ISO 8601 UTC with milliseconds of an epoch time in seconds."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at))}.{int(at % 1 * 1000):03d}Z"


def pairs(flat: Any) -> dict[str, str]:
    """A mapping of Redis' flat list of fields and values."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def preview(message: str) -> str:
    """The beginning of a message, as its ledger keeps it: without what looks like a secret."""
    return redact(message[:_READ])[:PREVIEW]


def event(
    kind: str,
    session: str,
    ts: str,
    content: str,
    *,
    agent: str = "",
    command: str = "",
    level: str = "info",
    data: Mapping[str, Any] | None = None,
) -> str:
    """An event as JSON, as `records.event_json` writes it; the scripts fill in its id."""
    told, known = redact(content), redacted(dict(data or {}))
    return _event_json(kind, session, ts, told, agent=agent, command=command, level=level, data=known)


def _event_json(
    kind: str,
    session: str,
    ts: str,
    content: str,
    *,
    agent: str,
    command: str,
    level: str,
    data: Mapping[str, Any],
) -> str:
    """The same of what holds no secret."""
    return encode(
        {
            "id": "",
            "ts": ts,
            "session": session,
            "category": kind.partition(".")[0],
            "type": kind,
            "agent": agent,
            "command": command,
            "level": level,
            "content": content,
            "data": data,
        }
    )


def enqueue_args(session: str, letter: Letter, now: str) -> tuple[str | int, ...]:
    """What the script `enqueue` is told of a command; `now` is the time of one that has none yet.

    Raises UsageError for a body over 1 MB.
    """
    check_body(letter.message)
    ts, priority, when = letter.timestamp or now, str(letter.priority), str(letter.when)
    data = {"sender": letter.sender, "priority": priority, "when": when}
    shown = preview(letter.message)
    content, about = f"{letter.sender} → {letter.target}: {shown[:80]}", {"agent": letter.target, "command": letter.id}
    return (
        _event_json("command.queued", session, ts, content, level="info", data=data, **about),
        letter.id,
        letter.type,
        letter.sender,
        letter.target,
        letter.message,
        priority,
        when,
        ts,
        letter.retry_count,
        shown,
    )


def check_body(message: str) -> None:
    """Raises UsageError for a message over 1 MB."""
    if len(message) * 4 > MAX_BODY and len(message.encode()) > MAX_BODY:
        raise UsageError("a message may have 1 MB at most", hint="put it into a file and send its name")


def enqueue_answer(letter: Letter, answer: str) -> bool:
    """What `enqueue` returned: True (stored), False (known); else raises the error that it means."""
    word, _, limit = answer.partition(" ")
    if word in ("queued", "known"):
        return word == "queued"
    if word == "conflict":
        raise ConflictError(f"command {letter.id} exists with another message", hint="use another --id")
    if word == "gone":
        raise NotFoundError(f"there is no agent {letter.target!r}", hint="see: taco status")
    if word == "queue_full":
        raise QueueFullError(f"the queue of {letter.target} is full ({limit} messages wait)", hint=FULL_HINT)
    raise QueueFullError(f"{letter.sender} has {limit} messages waiting for {letter.target} already", hint=FULL_HINT)


def report_args(session: str, name: str, *, failed: bool, text: str, at: str) -> tuple[str, ...]:
    """What the script `report` is told of an agent that is done, or that failed."""
    kind, level = ("agent.failed", "error") if failed else ("agent.done", "info")
    told = event(kind, session, at, text, agent=name, level=level)
    return (told, name, kind.partition(".")[2], "" if failed else text, text if failed else "", at)
