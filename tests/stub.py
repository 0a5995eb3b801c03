"""What the stubs of the models' interfaces share: a server on 127.0.0.1 that logs, and answers as it is told.

The newest text of the user steers it; each stub adds verbs of its own:

    <<say TEXT>>          answers TEXT                  <<slow SECONDS>>  streams an answer that long
    <<tool NAME {JSON}>>  asks for any tool             <<wait SECONDS>>  acknowledges after a silence
    <<error CODE N>>      HTTP error, the first N times (always without N)

anything else is acknowledged. A callback `answer` is asked first and may return a `Reply`.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

Headers = tuple[tuple[str, str], ...]


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
    failed: str = ""  # the code of a failure that is told in the stream
    headers: Headers = ()  # of an error


class Stub:
    """The server; a context manager. `requests` grows while it runs.

    A stub of one interface says which paths it serves, what a body says (`parse`), how an answer is streamed
    (`stream`), what an error looks like (`error_body`), and which `verbs` it has more.
    """

    paths: ClassVar[re.Pattern[str]]
    prefix: ClassVar[str] = ""  # of the address that the CLI is given
    verbs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, answer: Callable[[Received], Reply | None] | None = None) -> None:
        self.answer = answer
        self.requests: list[Received] = []
        self.bodies: list[dict[str, Any]] = []
        self.arrived = threading.Condition()
        self.closing = threading.Event()
        self._failures: Counter[tuple[str, str]] = Counter()
        verbs = "|".join(("say", "slow", "wait", "tool", "error", *self.verbs))
        self._directive = re.compile(rf"<<({verbs}) (.*)>>", re.DOTALL)
        self._server = _Server(("127.0.0.1", 0), type("_OfThis", (StubHandler,), {"stub": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """The address that the CLI is given."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{self.prefix}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def parse(self, path: str, body: dict[str, Any], number: int, headers: Any) -> Received:
        """What one request's body says."""
        raise NotImplementedError

    def stream(self, path: str, body: dict[str, Any], reply: Reply, number: int) -> Iterator[bytes]:
        """The bytes of an answer, as they go out; `pieces` paces a text."""
        raise NotImplementedError

    def error_body(self, reply: Reply) -> dict[str, Any]:
        """The body of an HTTP error."""
        return {"error": {"message": reply.text or "stub error"}}

    def answer_beside(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The JSON for a path that is no turn of a conversation; None: no such path."""
        return None

    def directed(self, verb: str, rest: str, received: Received) -> Reply:
        """The answer to one of the stub's own verbs."""
        raise NotImplementedError(verb)

    def aside(self, received: Received) -> Reply | None:
        """The answer to what a CLI asks for itself; None: like any other."""
        return None

    def texts(self, session: str | None = None) -> list[str]:
        """Every user text in the order of arrival, of one conversation or of all."""
        with self.arrived:
            return [text for each in self.requests if session in (None, each.session) for text in each.texts]

    def by_session(self) -> dict[str, list[str]]:
        """User texts by conversation, each in the order of arrival."""
        with self.arrived:
            sessions = dict.fromkeys(received.session for received in self.requests if not received.aside)
        return {session: self.texts(session) for session in sessions}

    def wait_for(self, found: Callable[[list[Received]], bool], timeout_s: float = 20.0) -> bool:
        """Waits until `found` holds for the requests so far; False at the timeout."""
        with self.arrived:
            return self.arrived.wait_for(lambda: found(self.requests), timeout_s)

    def receive(self, path: str, body: dict[str, Any], headers: Any) -> Received:
        """Logs one request."""
        with self.arrived:
            received = self.parse(path, body, len(self.requests) + 1, headers)
            self.requests.append(received)
            self.bodies.append(body)
            self.arrived.notify_all()
        return received

    def reply(self, received: Received) -> Reply:
        """The callback's answer, else what the newest directive asks for."""
        made = (self.answer(received) if self.answer else None) or self.aside(received)
        if made is not None:
            return made
        if found := self._directive.search(received.text):
            return self._common(found[1], found[2].strip(), received)
        if received.results:
            return Reply(f"The tool said: {received.results[-1][:200]}")
        return Reply(f"ack {received.number}")

    def _common(self, verb: str, rest: str, received: Received) -> Reply:
        if verb == "say":
            return Reply(rest)
        if verb == "slow":
            return Reply("A slow answer " + "word " * 60 + "end.", seconds=float(rest))
        if verb == "wait":
            return Reply(f"ack {received.number}", silence=float(rest))
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
        return self.directed(verb, rest, received)

    def pieces(self, reply: Reply) -> Iterator[str]:
        """The text of an answer in the pieces that its pace asks for; it ends early when the stub closes."""
        size = max(1, len(reply.text) // 40) if reply.seconds else len(reply.text)
        for start in range(0, len(reply.text), size or 1):
            yield reply.text[start : start + size]
            if reply.seconds and self.closing.wait(reply.seconds * size / len(reply.text)):
                return


def sse(value: dict[str, Any], event: str = "") -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(value)}\n\n".encode()


def since(items: Sequence[Any], spoke: Callable[[Any], bool]) -> list[Any]:
    """The items after the last of which `spoke` holds, in order: what is new since the model spoke."""
    at = next((index for index in range(len(items) - 1, -1, -1) if spoke(items[index])), -1)
    return list(items[at + 1 :])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away (an interrupt, an exit) is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class StubHandler(BaseHTTPRequestHandler):
    """Serves one connection for `stub`."""

    stub: Stub
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        stub, path = self.stub, self.path.partition("?")[0]
        if not stub.paths.fullmatch(path):
            beside = stub.answer_beside(path, body)
            self._json(404 if beside is None else 200, beside or {"error": {"message": "no such path"}})
            return
        received = stub.receive(path, body, self.headers)
        reply = stub.reply(received)
        if reply.silence and stub.closing.wait(reply.silence):
            return
        if reply.error:
            self._json(reply.error, stub.error_body(reply), reply.headers)
            return
        chunks = stub.stream(path, body, reply, received.number)
        first = next(chunks)
        self.send_response(200)
        kind = "application/json" if first.startswith(b"{") else "text/event-stream; charset=utf-8"
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(first)
        for chunk in chunks:
            self.wfile.write(chunk)

    def do_GET(self) -> None:
        beside = self.stub.answer_beside(self.path.partition("?")[0], {})
        self._json(404 if beside is None else 200, beside or {"error": {"message": "no such path"}})

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

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
