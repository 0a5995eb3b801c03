"""A stub of the Responses API on 127.0.0.1 that the real Codex CLI can be pointed at.

It logs what each conversation sent, in the order of arrival, and answers as the newest user text asks:

    <<say TEXT>>          answers TEXT                  <<slow SECONDS>>      streams an answer that long
    <<bash COMMAND>>      asks for its shell, sandboxed <<ask COMMAND>>       asks for it outside of its sandbox
    <<tool NAME {JSON}>>  asks for any tool             <<patch TEXT>>        asks for its editor
    <<wait SECONDS>>      acknowledges after a silence  <<error CODE>>        HTTP error

anything else is acknowledged. A callback `answer` is asked first and may return a `Reply`.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.claude_stub import Received, Reply

_DIRECTIVE = re.compile(r"<<(say|slow|wait|bash|ask|tool|patch|error) (.*)>>", re.DOTALL)
_OF_THE_CLI = ("<environment_context>", "<user_instructions>", "# AGENTS.md", "<permissions", "<turn_aborted>")
_USAGE = {
    "input_tokens": 1200,
    "input_tokens_details": {"cached_tokens": 200},
    "output_tokens": 42,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 1242,
}
_ERRORS = {
    429: {"type": "usage_limit_reached", "message": "limit reached", "plan_type": "plus", "resets_at": 1795300000},
}
PATCH = "apply_patch"  # the one tool whose input is a text


class CodexStub:
    """The server; a context manager. `requests` grows while it runs."""

    def __init__(self, answer: Callable[[Received], Reply | None] | None = None) -> None:
        self.answer = answer
        self.requests: list[Received] = []
        self.bodies: list[dict[str, Any]] = []
        self.arrived = threading.Condition()
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """The `base_url` of a model provider."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def receive(self, body: dict[str, Any], session: str) -> Received:
        """Logs one request."""
        items = body.get("input", [])
        texts, results = _trailing(items)
        tools = tuple(name for tool in body.get("tools", []) for name in _names(tool))
        with self.arrived:
            number = len(self.requests) + 1
            received = Received(number, time.time(), session, texts, results, tools, _said(items))
            self.requests.append(received)
            self.bodies.append(body)
            self.arrived.notify_all()
        return received

    def reply(self, received: Received) -> Reply:
        """The callback's answer, else what the newest directive asks for."""
        made = self.answer(received) if self.answer else None
        if made is not None:
            return made
        if found := _DIRECTIVE.search(received.text):
            return _directed(found[1], found[2].strip(), received)
        if received.results:
            return Reply(f"The tool said: {received.results[-1][:200]}")
        return Reply(f"ack {received.number}")


def _directed(verb: str, rest: str, received: Received) -> Reply:
    if verb == "slow":
        return Reply("A slow answer " + "word " * 60 + "end.", seconds=float(rest))
    if verb == "wait":
        return Reply(f"ack {received.number}", silence=float(rest))
    if verb == "bash":
        return Reply("Running it.", ("exec_command", {"cmd": rest}))
    if verb == "ask":
        more = {"sandbox_permissions": "require_escalated", "justification": "May it run?"}
        return Reply("Running it.", ("exec_command", {"cmd": rest, **more}))
    if verb == "tool":
        name, _, body = rest.partition(" ")
        return Reply(tool=(name, json.loads(body)))
    if verb == "patch":
        return Reply("Editing.", (PATCH, {"input": rest}))
    if verb == "error":
        return Reply(error=int(rest))
    return Reply(rest)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away (an interrupt, an exit) is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


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


def _trailing(items: list[dict[str, Any]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The user's texts since the model spoke last, and what its tools said since."""
    texts: list[str] = []
    results: list[str] = []
    for item in reversed(items):
        if item.get("role") == "assistant" or str(item.get("type", "")).endswith("_call"):
            break
        if str(item.get("type", "")).endswith("_call_output"):
            output = item.get("output")
            results.append(output if isinstance(output, str) else json.dumps(output))
        elif _is_said(item):
            texts.append(_text(item))
    return tuple(reversed(texts)), tuple(reversed(results))


def _stream(reply: Reply, number: int, closing: threading.Event) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    response = {"id": f"resp_{number:06d}"}
    yield event("response.created", response=response)
    index = 0
    if reply.text:
        item = {"type": "message", "role": "assistant", "id": f"msg_{number:06d}"}
        yield event("response.output_item.added", output_index=0, item={**item, "content": []})
        size = max(1, len(reply.text) // 40) if reply.seconds else len(reply.text)
        for start in range(0, len(reply.text), size):
            where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
            yield event("response.output_text.delta", **where, delta=reply.text[start : start + size])
            if reply.seconds and closing.wait(reply.seconds * size / len(reply.text)):
                return
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


def _handler(stub: CodexStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 0

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            if self.path.partition("?")[0] != "/v1/responses":
                self._json(404, {"error": {"message": "no such path"}})
                return
            received = stub.receive(body, self.headers.get("session_id", ""))
            reply = stub.reply(received)
            if reply.error:
                self._json(reply.error, {"error": _ERRORS.get(reply.error, {"message": "stub error"})}, reply.headers)
                return
            if reply.silence and stub.closing.wait(reply.silence):
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            for chunk in _stream(reply, received.number, stub.closing):
                self.wfile.write(chunk)

        def do_GET(self) -> None:
            self._json(404, {"error": {"message": "no such path"}})

        def _json(self, code: int, value: dict[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> None:
            body = json.dumps(value).encode()
            self.send_response(code)
            for name, text in headers:
                self.send_header(name, text)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The log is `stub.requests`."""

    return Handler
