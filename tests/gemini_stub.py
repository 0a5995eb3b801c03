"""A stub of the Gemini API on 127.0.0.1 that the real Gemini CLI can be pointed at.

Beside the verbs of every stub: `<<bash COMMAND>>` asks for its shell.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from tests.stub import Received, Reply, Stub, since, sse

_OF_THE_CLI = ("<session_context>", "<hook_context>")
_USAGE = {
    "promptTokenCount": 1200,
    "cachedContentTokenCount": 200,
    "candidatesTokenCount": 42,
    "totalTokenCount": 1242,
}
_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}
_DAILY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}],
}
DELAY = "in two hours"  # text of a Reply with error 429: the limit names when it ends


class GeminiStub(Stub):
    """The server; its `url` is what GOOGLE_GEMINI_BASE_URL is set to."""

    paths = re.compile(r"/v1beta/models/[^/]+:(?:streamGenerateContent|generateContent)")
    verbs = ("bash",)

    def parse(self, path: str, body: dict[str, Any], number: int, headers: Any) -> Received:
        contents = body.get("contents", [])
        new = since(contents, lambda each: each.get("role") == "model")
        results = tuple(json.dumps(each["response"], ensure_ascii=False) for each in _parts(new, "functionResponse"))
        declared = [each for tool in body.get("tools", []) for each in tool.get("functionDeclarations", [])]
        tools = tuple(str(each.get("name")) for each in declared)
        return Received(number, time.time(), "", _said(new), results, tools, _said(contents))

    def directed(self, verb: str, rest: str, received: Received) -> Reply:
        return Reply("Running it.", ("run_shell_command", {"command": rest}))

    def aside(self, received: Received) -> Reply | None:
        return None if received.tools else Reply("{}")

    def answer_beside(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        return {"totalTokens": 10} if path.endswith(":countTokens") else None

    def error_body(self, reply: Reply) -> dict[str, Any]:
        said = {"code": reply.error, "message": reply.text or "stub error"}
        error: dict[str, Any] = {**said, "status": _STATUS.get(reply.error, "")}
        if reply.text == DELAY:
            retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7200s"}
            error["details"] = [{**_DAILY, "violations": [{"quotaId": "GenerateRequests"}]}, retry]
        elif reply.error == 429 and not reply.text:
            error["details"] = [_DAILY]
        return {"error": error}

    def stream(self, path: str, body: dict[str, Any], reply: Reply, number: int) -> Iterator[bytes]:
        if path.endswith(":generateContent"):
            yield json.dumps(_response([{"text": reply.text}], ends=True)).encode()
            return
        for piece in self.pieces(reply):
            yield sse(_response([{"text": piece}]))
        calls = [{"functionCall": {"name": reply.tool[0], "args": reply.tool[1]}}] if reply.tool else []
        yield sse(_response(calls, ends=True))


def _response(parts: list[dict[str, Any]], *, ends: bool = False) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if not ends:
        return {"candidates": [candidate]}
    return {"candidates": [{**candidate, "finishReason": "STOP"}], "usageMetadata": _USAGE}


def _parts(contents: list[dict[str, Any]], name: str) -> list[Any]:
    return [part[name] for each in contents if each.get("role") == "user" for part in each["parts"] if name in part]


def _said(contents: list[dict[str, Any]]) -> tuple[str, ...]:
    """Every text of the user, and not of the CLI in their name, oldest first."""
    return tuple(text for text in _parts(contents, "text") if not text.lstrip().startswith(_OF_THE_CLI))
