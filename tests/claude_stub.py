"""A stub of the Messages API on 127.0.0.1 that the real Claude Code CLI can be pointed at.

It logs what each conversation sent, in the order of arrival, and answers as the newest user text asks:

    <<say TEXT>>          answers TEXT            <<slow SECONDS>>      streams an answer that long
    <<bash COMMAND>>      asks for the Bash tool  <<tool NAME {JSON}>>  asks for any tool
    <<error CODE N>>      HTTP error, the first N times (always without N)
    <<wait SECONDS>>      acknowledges after a silence

anything else is acknowledged. A callback `answer` is asked first and may return a `Reply`.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Headers = tuple[tuple[str, str], ...]
SESSION_HEADER = "X-Claude-Code-Session-Id"
_DIRECTIVE = re.compile(r"<<(say|slow|wait|bash|tool|error) (.*)>>", re.DOTALL)
_ERRORS = {
    429: ("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}
_USAGE = {"input_tokens": 1200, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


@dataclass(frozen=True)
class Received:
    """One turn that arrived: the user's texts since the last answer, and the results of tools."""

    number: int
    at: float  # epoch seconds
    session: str
    texts: tuple[str, ...]
    results: tuple[str, ...]
    tools: tuple[str, ...]
    history: tuple[str, ...] = ()  # the user's texts of the whole conversation, these included
    notes: tuple[str, ...] = ()  # what the CLI itself told the model in it, such as what was typed during a tool

    @property
    def aside(self) -> bool:
        """Whether the CLI asks for itself: a title, or what the person may type next."""
        return not self.tools or self.text.startswith("[SUGGESTION MODE")

    @property
    def text(self) -> str:
        """The newest user text, or ""."""
        return self.texts[-1] if self.texts else ""


@dataclass(frozen=True)
class Reply:
    """What the stub answers: text, a tool call, both, or an HTTP error."""

    text: str = ""
    tool: tuple[str, dict[str, Any]] | None = None
    seconds: float = 0.0  # how long the text takes to stream
    silence: float = 0.0  # seconds before the first byte
    error: int = 0
    headers: Headers = ()  # of an error


class ClaudeStub:
    """The server; a context manager. `requests` grows while it runs."""

    def __init__(self, answer: Callable[[Received], Reply | None] | None = None) -> None:
        self.answer = answer
        self.requests: list[Received] = []
        self.arrived = threading.Condition()
        self.closing = threading.Event()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """What ANTHROPIC_BASE_URL is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def texts(self, session: str | None = None) -> list[str]:
        """Every user text in the order of arrival, of one conversation or of all."""
        with self.arrived:
            return [
                text for received in self.requests if session in (None, received.session) for text in received.texts
            ]

    def by_session(self) -> dict[str, list[str]]:
        """User texts by conversation, each in the order of arrival."""
        with self.arrived:
            sessions = dict.fromkeys(received.session for received in self.requests if not received.aside)
        return {session: self.texts(session) for session in sessions}

    def wait_for(self, found: Callable[[list[Received]], bool], timeout_s: float = 20.0) -> bool:
        """Waits until `found` holds for the requests so far; False at the timeout."""
        with self.arrived:
            return self.arrived.wait_for(lambda: found(self.requests), timeout_s)

    def receive(self, body: dict[str, Any], session: str) -> Received:
        """Logs one request."""
        messages = body.get("messages", [])
        texts, results = _trailing_user(messages)
        tools = tuple(tool.get("name", "") for tool in body.get("tools", []))
        with self.arrived:
            received = Received(
                len(self.requests) + 1,
                time.time(),
                session,
                texts,
                results,
                tools,
                _said(messages, "user"),
                _said(messages, "system"),
            )
            self.requests.append(received)
            self.arrived.notify_all()
        return received

    def reply(self, received: Received) -> Reply:
        """The callback's answer, else what the newest directive asks for."""
        made = self.answer(received) if self.answer else None
        if made is not None:
            return made
        if received.aside:
            return Reply("run the tests" if received.tools else json.dumps({"title": "a conversation"}))
        if found := _DIRECTIVE.search(received.text):
            return self._directed(found[1], found[2].strip(), received)
        if received.results:
            return Reply(f"The tool said: {received.results[-1][:200]}")
        return Reply(f"ack {received.number}")

    def _directed(self, verb: str, rest: str, received: Received) -> Reply:
        if verb == "slow":
            return Reply("A slow answer " + "word " * 60 + "end.", seconds=float(rest))
        if verb == "wait":
            return Reply(f"ack {received.number}", silence=float(rest))
        if verb == "bash":
            return Reply("Running it.", ("Bash", {"command": rest, "description": "asked for"}))
        if verb == "tool":
            name, _, body = rest.partition(" ")
            return Reply(tool=(name, json.loads(body)))
        if verb == "error":
            code, _, times = rest.partition(" ")
            with self.arrived:
                self._failures[received.session, received.text] += 1
                failed = self._failures[received.session, received.text]
            recovered = times and failed > int(times)
            return Reply(f"recovered after {times} errors") if recovered else Reply(error=int(code))
        return Reply(rest)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away (an interrupt, an exit) is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())


def _trailing_user(messages: list[dict[str, Any]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    texts: list[str] = []
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] == "assistant":
            break
        for block in reversed(_blocks(message["content"])):
            if block.get("type") == "tool_result":
                results.append("".join(part.get("text", "") for part in _blocks(block.get("content"))))
            elif block.get("type") == "text" and message["role"] == "user":
                texts.append(block["text"])
    return _without_reminders(reversed(texts)), tuple(reversed(results))


def _said(messages: list[dict[str, Any]], role: str) -> tuple[str, ...]:
    """Every text of one role, oldest first."""
    blocks = (block for message in messages if message["role"] == role for block in _blocks(message["content"]))
    return _without_reminders(block["text"] for block in blocks if block.get("type") == "text")


def _without_reminders(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for text in texts if not text.lstrip().startswith("<system-reminder>"))


def _stream(reply: Reply, number: int, model: str, closing: threading.Event) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    message = {
        "id": f"msg_{number:06d}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**_USAGE, "output_tokens": 1},
    }
    yield event("message_start", message=message)
    index = 0
    if reply.text:
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        size = max(1, len(reply.text) // 40) if reply.seconds else len(reply.text)
        for start in range(0, len(reply.text), size):
            delta = {"type": "text_delta", "text": reply.text[start : start + size]}
            yield event("content_block_delta", index=0, delta=delta)
            if reply.seconds and closing.wait(reply.seconds * size / len(reply.text)):
                return
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


def _handler(stub: ClaudeStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 0

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            path = self.path.partition("?")[0]
            if path == "/v1/messages/count_tokens":
                self._json(200, {"input_tokens": 100})
            elif path == "/v1/messages":
                self._message(body)
            else:
                self._error(404, "not_found_error", "no such path")

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD

        def _message(self, body: dict[str, Any]) -> None:
            received = stub.receive(body, self.headers.get(SESSION_HEADER, ""))
            reply = stub.reply(received)
            if reply.error:
                kind, message = _ERRORS.get(reply.error, ("api_error", "stub error"))
                self._error(reply.error, kind, reply.text or message, reply.headers)
                return
            if reply.silence and stub.closing.wait(reply.silence):
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            for chunk in _stream(reply, received.number, body.get("model", ""), stub.closing):
                self.wfile.write(chunk)

        def _error(self, code: int, kind: str, message: str, headers: Headers = ()) -> None:
            self._json(code, {"type": "error", "error": {"type": kind, "message": message}}, headers)

        def _json(self, code: int, value: dict[str, Any], headers: Headers = ()) -> None:
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
