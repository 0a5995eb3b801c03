"""A stub of the chat-completions API on 127.0.0.1 that CLIs which speak it can be pointed at.

Beside the verbs of every stub: `<<bash COMMAND>>` asks for the CLI's shell; one that offers no tools is answered with a
fenced block of shell. `<<quota used up>>` says that the account is used up. An answer is streamed where the request
wants it so, and else comes whole.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from tests.stub import Received, Reply, Stub, since, sse

QUOTA = "You exceeded your current quota, please check your plan and billing details."
_SHELLS = frozenset({"bash", "shell", "run_shell_command"})
_USAGE = {"prompt_tokens": 1200, "completion_tokens": 42, "total_tokens": 1242}
_HEAD = {"created": 1_795_000_000}
_ERRORS = {
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
    529: ("server_error", None, "Overloaded"),
}


class ChatStub(Stub):
    """The server; its `url` is the base URL of the API."""

    paths = re.compile(r"/v1/chat/completions")
    prefix = "/v1"
    verbs = ("bash", "quota")

    def parse(self, path: str, body: dict[str, Any], number: int, headers: Any) -> Received:
        messages = body.get("messages", [])
        new = since(messages, lambda message: message["role"] == "assistant")
        tools = tuple(str(tool["function"]["name"]) for tool in body.get("tools") or ())
        session = headers.get("X-Session-Id", "")
        said, notes = _texts(messages, "user"), _texts(messages, "system")
        return Received(number, time.time(), session, _texts(new, "user"), _texts(new, "tool"), tools, said, notes)

    def directed(self, verb: str, rest: str, received: Received) -> Reply:
        if verb == "quota":
            return Reply(QUOTA, error=429)
        name = next((each for each in received.tools if each in _SHELLS), "")
        if not name:
            return Reply(f"Running it:\n\n```bash\n{rest}\n```\n")
        return Reply("Running it.", (name, {"command": rest, "description": "asked for"}))

    def error_body(self, reply: Reply) -> dict[str, Any]:
        kind, code, message = _ERRORS.get(reply.error, ("invalid_request_error", None, "stub error"))
        if reply.text == QUOTA:
            kind = code = "insufficient_quota"
        return {"error": {"message": reply.text or message, "type": kind, "param": None, "code": code}}

    def answer_beside(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        models = [{"id": "stub-model", "object": "model", "owned_by": "stub"}]
        return {"object": "list", "data": models} if path == "/v1/models" else None

    def stream(self, path: str, body: dict[str, Any], reply: Reply, number: int) -> Iterator[bytes]:
        head = {"id": f"chatcmpl-{number:06d}", "model": body.get("model", ""), **_HEAD}
        finish = "tool_calls" if reply.tool else "stop"
        calls = _calls(reply, number)
        if not body.get("stream"):
            text = "".join(self.pieces(reply))
            message = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
            choice = {"index": 0, "message": message, "finish_reason": finish}
            yield json.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
            return

        def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            return sse({**head, "object": "chat.completion.chunk", "choices": [choice], **more})

        yield chunk({"role": "assistant", "content": ""})
        for piece in self.pieces(reply):
            yield chunk({"content": piece})
        if calls:
            yield chunk({"tool_calls": [{"index": at, **call} for at, call in enumerate(calls)]})
        yield chunk({}, finish, usage=_USAGE)
        yield b"data: [DONE]\n\n"


def _calls(reply: Reply, number: int) -> list[dict[str, Any]]:
    """The tool calls of an answer."""
    if not reply.tool:
        return []
    name, arguments = reply.tool
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [{"id": f"call_{number:06d}", "type": "function", "function": function}]


def _texts(messages: list[dict[str, Any]], role: str) -> tuple[str, ...]:
    """What one role said, oldest first."""
    return tuple(_text(message.get("content")) for message in messages if message["role"] == role)


def _text(content: Any) -> str:
    """A content's text: a string itself, or the text parts of a list."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content or ())
