"""A small HTTP server of this process, which can go away and come back at the same port."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

ANSWERS: Mapping[str, int] = {"/": 404, "/ok": 200, "/broken": 500, "/on": 302, "/away": 302, "/round": 302}
ONWARD = {"/on": "/ok", "/away": "http://localhost:1/ok", "/round": "/round"}


class Handler(BaseHTTPRequestHandler):
    """Answers as ANSWERS says, everything else with 404."""

    def do_GET(self) -> None:
        self.send_response(ANSWERS.get(self.path.partition("?")[0], 404))
        if self.path in ONWARD:
            self.send_header("Location", ONWARD[self.path])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


class Web:
    """The server; `port` stays the same."""

    def __init__(self) -> None:
        """It listens at a free port."""
        self.port = 0
        self._server: HTTPServer | None = None
        self.up()

    def up(self) -> None:
        """Listen (again)."""
        self._server = HTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def down(self) -> None:
        """Go away; nothing listens there then."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def url(self, path: str = "") -> str:
        """Where it is."""
        return f"http://localhost:{self.port}{path}"


@contextmanager
def a_web() -> Iterator[Web]:
    """A server until the end of the block."""
    web = Web()
    try:
        yield web
    finally:
        web.down()
