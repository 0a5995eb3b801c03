"""A stub of the Messages API on 127.0.0.1 that the real Claude Code CLI can be pointed at.

Beside the verbs of every stub: `<<bash COMMAND>>` asks for the Bash tool.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tests.stub import Received, Reply, Stub, since, sse

SESSION_HEADER = "X-Claude-Code-Session-Id"
_ERRORS = {
    401: ("authentication_error", "invalid x-api-key"),
    429: ("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}
_USAGE = {"input_tokens": 1200, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


class ClaudeStub(Stub):
    """The server; its `url` is what ANTHROPIC_BASE_URL is set to."""

    paths = re.compile(r"/v1/messages")
    verbs = ("bash",)

    def parse(self, path: str, body: dict[str, Any], number: int, headers: Any) -> Received:
        messages = body.get("messages", [])
        texts, results = _trailing_user(messages)
        tools = tuple(tool.get("name", "") for tool in body.get("tools", []))
        session = headers.get(SESSION_HEADER, "")
        said, noted = _said(messages, "user"), _said(messages, "system")
        return Received(number, time.time(), session, texts, results, tools, said, noted)

    def aside(self, received: Received) -> Reply | None:
        if not received.aside:
            return None
        return Reply("run the tests" if received.tools else json.dumps({"title": "a conversation"}))

    def directed(self, verb: str, rest: str, received: Received) -> Reply:
        return Reply("Running it.", ("Bash", {"command": rest, "description": "asked for"}))

    def error_body(self, reply: Reply) -> dict[str, Any]:
        kind, message = _ERRORS.get(reply.error, ("api_error", "stub error"))
        return {"type": "error", "error": {"type": kind, "message": reply.text or message}}

    def answer_beside(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        return {"input_tokens": 100} if path == "/v1/messages/count_tokens" else None

    def stream(self, path: str, body: dict[str, Any], reply: Reply, number: int) -> Iterator[bytes]:
        def event(kind: str, **fields: Any) -> bytes:
            return sse({"type": kind, **fields}, kind)

        message = {
            "id": f"msg_{number:06d}",
            "type": "message",
            "role": "assistant",
            "model": body.get("model", ""),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**_USAGE, "output_tokens": 1},
        }
        yield event("message_start", message=message)
        index = 0
        if reply.text:
            yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            for piece in self.pieces(reply):
                yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            yield event("content_block_stop", index=0)
            index = 1
        if reply.tool:
            name, arguments = reply.tool
            block = {"type": "tool_use", "id": f"toolu_{number:06d}", "name": name, "input": {}}
            yield event("content_block_start", index=index, content_block=block)
            delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
            yield event("content_block_delta", index=index, delta=delta)
            yield event("content_block_stop", index=index)
        stop = {"stop_reason": "tool_use" if reply.tool else "end_turn", "stop_sequence": None}
        yield event("message_delta", delta=stop, usage={"output_tokens": 42})
        yield event("message_stop")


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())


def _trailing_user(messages: list[dict[str, Any]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    new = since(messages, lambda message: message["role"] == "assistant")
    blocks = [block for message in new for block in _blocks(message["content"]) if block.get("type") == "tool_result"]
    results = ("".join(part.get("text", "") for part in _blocks(block.get("content"))) for block in blocks)
    return _said(new, "user"), tuple(results)


def _said(messages: list[dict[str, Any]], role: str) -> tuple[str, ...]:
    """Every text of one role, oldest first."""
    blocks = (block for message in messages if message["role"] == role for block in _blocks(message["content"]))
    return _without_reminders(block["text"] for block in blocks if block.get("type") == "text")


def _without_reminders(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for text in texts if not text.lstrip().startswith("<system-reminder>"))
