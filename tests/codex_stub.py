"""A stub of the Responses API on 127.0.0.1 that the real Codex CLI can be pointed at.

Beside the verbs of every stub: `<<bash COMMAND>>` asks for its shell, sandboxed, `<<ask COMMAND>>` for it outside of
its sandbox, `<<patch TEXT>>` for its editor, `<<failed CODE>>` fails in the stream.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from tests.stub import Received, Reply, Stub, since, sse

_OF_THE_CLI = ("<environment_context>", "<user_instructions>", "# AGENTS.md", "<permissions", "<turn_aborted>")
_USAGE = {
    "input_tokens": 1200,
    "input_tokens_details": {"cached_tokens": 200},
    "output_tokens": 42,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 1242,
}
_LIMIT = {"type": "usage_limit_reached", "message": "limit reached", "plan_type": "plus"}
_ENDS_IN_S = 7_200  # a limit
PATCH = "apply_patch"  # the one tool whose input is a text


class CodexStub(Stub):
    """The server; its `url` is the `base_url` of a model provider."""

    paths = re.compile(r"/v1/responses")
    prefix = "/v1"
    verbs = ("bash", "ask", "patch", "failed")

    def parse(self, path: str, body: dict[str, Any], number: int, headers: Any) -> Received:
        items = body.get("input", [])
        texts, results = _trailing(items)
        tools = tuple(name for tool in body.get("tools", []) for name in _names(tool))
        return Received(number, time.time(), headers.get("session_id", ""), texts, results, tools, _said(items))

    def directed(self, verb: str, rest: str, received: Received) -> Reply:
        if verb == "failed":
            return Reply(failed=rest)
        if verb == "patch":
            return Reply("Editing.", (PATCH, {"input": rest}))
        more = {"sandbox_permissions": "require_escalated", "justification": "May it run?"} if verb == "ask" else {}
        return Reply("Running it.", ("exec_command", {"cmd": rest, **more}))

    def error_body(self, reply: Reply) -> dict[str, Any]:
        if reply.error == 429 and not reply.text:
            return {"error": {**_LIMIT, "resets_at": int(time.time()) + _ENDS_IN_S}}
        return {"error": {"message": reply.text or "stub error"}}

    def stream(self, path: str, body: dict[str, Any], reply: Reply, number: int) -> Iterator[bytes]:
        def event(kind: str, **fields: Any) -> bytes:
            return sse({"type": kind, **fields}, kind)

        response = {"id": f"resp_{number:06d}"}
        yield event("response.created", response=response)
        if reply.failed:
            failure = {"code": reply.failed, "message": "stub failure"}
            yield event("response.failed", response={**response, "status": "failed", "error": failure})
            return
        index = 0
        if reply.text:
            item = {"type": "message", "role": "assistant", "id": f"msg_{number:06d}"}
            yield event("response.output_item.added", output_index=0, item={**item, "content": []})
            where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
            for piece in self.pieces(reply):
                yield event("response.output_text.delta", **where, delta=piece)
            content = [{"type": "output_text", "text": reply.text}]
            yield event("response.output_item.done", output_index=0, item={**item, "content": content})
            index = 1
        if reply.tool:
            name, arguments = reply.tool
            call = {"id": f"fc_{number:06d}", "call_id": f"call_{number:06d}", "name": name}
            if name == PATCH:
                call |= {"type": "custom_tool_call", "input": arguments["input"]}
            else:
                call |= {"type": "function_call", "arguments": json.dumps(arguments)}
            if name.startswith("mcp__"):  # a server's tools are a namespace of their own
                call["namespace"], _, call["name"] = name.rpartition("__")
            yield event("response.output_item.done", output_index=index, item=call)
        yield event("response.completed", response={**response, "usage": _USAGE})


def _text(item: dict[str, Any]) -> str:
    content = item.get("content") or ""
    return content if isinstance(content, str) else "\n".join(str(part.get("text", "")) for part in content)


def _is_said(item: dict[str, Any]) -> bool:
    """Whether a person said this, and not the CLI in their name."""
    return item.get("role") == "user" and not _text(item).lstrip().startswith(_OF_THE_CLI)


def _said(items: list[dict[str, Any]]) -> tuple[str, ...]:
    """Every text of the user, oldest first."""
    return tuple(_text(item) for item in items if _is_said(item))


def _names(tool: dict[str, Any]) -> list[str]:
    """What a tool is called; those of an MCP server stand in a namespace."""
    name = str(tool.get("name") or tool.get("type"))
    inner = [f"{name}__{each['name']}" for each in tool.get("tools", [])] if tool.get("type") == "namespace" else []
    return [name, *inner]


def _is_models(item: dict[str, Any]) -> bool:
    return item.get("role") == "assistant" or str(item.get("type", "")).endswith("_call")


def _trailing(items: list[dict[str, Any]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The user's texts since the model spoke last, and what its tools said since."""
    new = since(items, _is_models)
    outputs = [item.get("output") for item in new if str(item.get("type", "")).endswith("_call_output")]
    return _said(new), tuple(each if isinstance(each, str) else json.dumps(each) for each in outputs)
