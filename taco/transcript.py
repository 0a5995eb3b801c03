"""Reads lines of a CLI's transcript: did our message arrive, what was answered last. Pure.

Told in the words of Claude Code's; the records of Codex and Gemini are put into them first (taco.rollout, taco.chats),
and what Aider writes is made lines of such (taco.chatlog).

A message that was typed leaves a `user` record. One that was queued while the agent streamed leaves
`queue-operation enqueue` at Enter and a `user` record when its turn comes; one queued during a tool
leaves only the former and, after the tool, an `attachment` of type `queued_command`. When a person
takes queued messages back into the composer each leaves a `popAll` (2.1.197).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from taco import chatlog, chats, rollout

_ENDS_A_TURN = frozenset({"turn_duration", "stop_hook_summary"})
_PAID = ("input_tokens", "cache_creation_input_tokens", "output_tokens")
_BLOCKED, _PROMPT = " operation blocked by hook:", "Original prompt: "
_NO_TURN = ("<command-", "<local-command", "[Request interrupted by user")  # of the CLI's own, or the person's will


def transcript_path(config_dir: Path, cwd: Path, session_id: str) -> Path:
    """Where the CLI keeps the transcript of a conversation held in the directory `cwd`."""
    return config_dir / "projects" / slug(cwd) / f"{session_id}.jsonl"


def slug(cwd: Path) -> str:
    """The name of a directory's folder of transcripts: what is no ASCII letter or digit becomes `-`."""
    return re.sub(r"[^A-Za-z0-9]", "-", str(cwd))


def as_lines(path: Path, data: bytes) -> bytes:
    """What a transcript at `path` holds, or a part of it, as the lines of JSON that this room reads."""
    return chatlog.as_lines(data) if path.suffix == chatlog.SUFFIX else data


def contains(lines: bytes, text: str) -> bool:
    """Whether the lines hold a message with this content that was not taken back.

    Contents are equal when they differ in white space or Unicode normalisation only; half a line at
    either end and lines that are no JSON are passed over.
    """
    wanted = _normal(text)
    submitted = queued = 0
    for record in _records(lines):
        if record.get("type") == "queue-operation":
            if _normal(_text(record.get("content"))) == wanted:
                queued += {"enqueue": 1, "popAll": -1}.get(str(record.get("operation")), 0)
        elif _normal(_said(record)) == wanted:
            submitted += 1
    return bool(wanted) and (submitted > 0 or queued > 0)


def has_begun(lines: bytes) -> bool:
    """Whether anything was ever submitted in the conversation that these lines tell of."""
    return any(_said(record) for record in _records(lines))


def refusal(lines: bytes, text: str) -> str:
    """Why a hook of the person's own refused this message, as the CLI tells it; "" when none did.

    A `UserPromptSubmit` hook that exits with 2 leaves a `system/informational` record "… operation blocked by hook:",
    its words, "Original prompt: " and the message; no `user` record follows (2.1.197).
    """
    wanted = _normal(text)
    for record in _records(lines):
        content = _text(record.get("content")) if record.get("subtype") == "informational" else ""
        what, blocked, rest = content.partition(_BLOCKED)
        words, _, prompt = rest.rpartition(_PROMPT)
        if blocked and wanted and _normal(prompt) == wanted:
            return f"a hook refused it ({what.split()[0]}): {' '.join(words.split()) or 'it gave no reason'}"
    return ""


def last_assistant_text(lines: bytes) -> str:
    """The text of the last assistant message, its blocks joined by line breaks; "" without one."""
    last = ""
    for text in _said_by_assistant(_records(lines)):
        last = text
    return last


def answers(text: bytes) -> list[str]:
    """What an assistant said, oldest first, in a transcript or in what Stop hooks were given; [] in any other text.

    Of the hooks' JSON, one object on a line each or a single one over many lines, it is `last_assistant_message`.
    """
    if b'"last_assistant_message"' in text:
        for lines in (text, text.replace(b"\n", b" ")):
            said = [_text(record.get("last_assistant_message")) for record in _records(lines)]
            if any(said):
                return [each for each in said if each]
    return list(_said_by_assistant(_records(text))) if b'"assistant"' in text or b'"gemini"' in text else []


def _said_by_assistant(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The text of each assistant message, its blocks joined by line breaks."""
    parts: list[str] = []
    message_id = None
    for record in records:
        if record.get("type") != "assistant" or record.get("isSidechain"):
            continue
        message = _mapping(record.get("message"))
        text = _text(message.get("content"))
        if not text:
            continue
        if parts and message.get("id") != message_id:  # each block of one message is a line of its own
            yield "\n".join(parts)
            parts = []
        message_id = message.get("id")
        parts.append(text)
    if parts:
        yield "\n".join(parts)


def said_at(lines: bytes, beginning: str) -> float | None:
    """When the assistant last said something that begins like this, epoch seconds; None when it never did."""
    wanted, found = _normal(beginning), None
    for record in _records(lines):
        if record.get("type") != "assistant" or not wanted:
            continue
        if _normal(_text(_mapping(record.get("message")).get("content"))).startswith(wanted):
            found = _time(record.get("timestamp")) or found
    return found


class Tokens:
    """Counts what a conversation has cost, from the lines of its transcript as they are written.

    A token counts that was sent for the first time or answered; one read again from the cache costs a tenth, and does
    not. Several lines tell of one message: the last counts (2.1.197).
    """

    def __init__(self) -> None:
        """Nothing was used yet."""
        self.size = 0  # bytes that were read
        self._before = 0  # of all messages but the last
        self._last = ("", 0)
        self._half = b""

    @property
    def used(self) -> int:
        """All tokens so far."""
        return self._before + self._last[1]

    def read(self, more: bytes) -> None:
        """The bytes that follow those of the last call; a line may come in pieces."""
        self.size += len(more)
        *lines, self._half = (self._half + more).split(b"\n")
        self._before += sum(chatlog.used(line) for line in lines if line.startswith(b"> "))
        for record in _records(b"\n".join(line for line in lines if b'"usage"' in line or b'"tokens"' in line)):
            message = _mapping(record.get("message"))
            usage = _mapping(message.get("usage"))
            used = sum(value for name in _PAID if isinstance(value := usage.get(name), int))
            if message.get("id") != self._last[0]:
                self._before += self._last[1]
            self._last = (str(message.get("id")), used)


@dataclass(frozen=True, slots=True)
class LeftOver:
    """What a CLI left undone when it was ended: a turn that was cut off, and messages queued in it but never sent.

    Neither comes back by itself when the conversation is resumed (2.1.197). `forgets`: nor does its first message
    (Gemini CLI 0.61.0, see `chats`).
    """

    cut_off: bool = False
    unsent: tuple[str, ...] = ()
    forgets: bool = False


def left_over(lines: bytes) -> LeftOver:
    """What the process that wrote these lines last left undone."""
    cut_off = forgets = False
    queued: list[str] = []
    for record in _records(lines):
        if record.get("type") == "queue-operation":
            _replay(queued, record)
        elif record.get("subtype") in (chats.FIRST_HIDDEN, chats.FIRST_SHOWN):
            forgets = record["subtype"] == chats.FIRST_HIDDEN
        elif record.get("subtype") in _ENDS_A_TURN:
            cut_off = False
        elif not record.get("isMeta") and not record.get("isSidechain"):
            cut_off = _is_open(record, cut_off)
    return LeftOver(cut_off, tuple(text for text in queued if not text.startswith("<")), forgets)


def _is_open(record: Mapping[str, Any], before: bool) -> bool:
    """Whether a turn is open after this record."""
    message = _mapping(record.get("message"))
    if record.get("type") == "assistant":
        return message.get("stop_reason") in (None, "tool_use")
    if record.get("type") != "user" or record.get("isCompactSummary"):
        return before
    return not _text(message.get("content")).startswith(_NO_TURN)


def _replay(queued: list[str], record: Mapping[str, Any]) -> None:
    """Do to `queued` what the CLI did to its own queue: only popAll names what it takes out."""
    content = _text(record.get("content"))
    match record.get("operation"):
        case "enqueue":
            queued.append(content)
        case "dequeue" | "remove" if queued:
            queued.pop(0)
        case "popAll" if content in queued:
            queued.remove(content)


def _time(timestamp: object) -> float | None:
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return None


def _records(lines: bytes) -> Iterator[Mapping[str, Any]]:
    return map(_in_our_words, rollout.objects(lines))


def _in_our_words(record: Mapping[str, Any]) -> Mapping[str, Any]:
    if "payload" in record:
        return rollout.as_transcript(record)
    return chats.as_transcript(record) if chats.is_chat(record) else record


def _said(record: Mapping[str, Any]) -> str:
    """What the person's side said in this record, or ""."""
    if record.get("type") == "user" and not record.get("isMeta") and not record.get("isSidechain"):
        return _text(_mapping(record.get("message")).get("content"))
    attachment = _mapping(record.get("attachment"))
    return _text(attachment.get("prompt")) if attachment.get("type") == "queued_command" else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(content: object) -> str:
    """A content's text: a string itself, or the text blocks of a list."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [_mapping(block).get("text") for block in blocks if _mapping(block).get("type") == "text"]
    return "\n".join(text for text in texts if isinstance(text, str))


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
