from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.cli.conftest import Shop, taco


class Handler(BaseHTTPRequestHandler):
    """Answers /ok with 200, /broken with 500, everything else with 404."""

    def do_GET(self) -> None:
        self.send_response({"/ok": 200, "/broken": 500}.get(self.path, 404))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_service_is_registered_and_found(shop: Shop, port: int) -> None:
    done = taco("service", "register", "front", "--port", str(port), env=shop.pane("web"))
    assert (done.code, done.out) == (0, f"http://localhost:{port}\n")
    assert taco("service", "url", "front", env=shop.pane("api")).out == done.out
    [found] = taco("service", "--json").json
    assert (found["name"], found["health"], found["owner"]) == ("front", "healthy", "web")
    assert "front" in taco("service", "list").out


def test_a_port_is_chosen_when_none_is_given(shop: Shop) -> None:
    done = taco("service", "register", "front", "--json", env=shop.pane("web"))
    assert done.json["url"] == f"http://localhost:{done.json['port']}"
    assert done.json["health"] == "down"
    assert "nothing answers" in done.err


def test_names_and_places_are_not_taken_twice(shop: Shop, port: int) -> None:
    taco("service", "register", "front", "--port", str(port), env=shop.pane("web"))
    assert taco("service", "register", "front", "--port", "1", env=shop.pane("api")).code == 1
    assert taco("service", "register", "other", "--port", str(port), env=shop.pane("api")).code == 1
    assert taco("service", "register", "front", "--port", str(port), env=shop.pane("web")).code == 0


@pytest.mark.parametrize(
    "args",
    [
        ["X Y"],
        ["front", "--url", "localhost"],
        ["front", "--url", "http://localhost:1", "--port", "2"],
        ["f", "--port", "0"],
    ],
)
def test_what_is_no_place_is_refused(shop: Shop, args: list[str]) -> None:
    assert taco("service", "register", *args, env=shop.pane("web")).code == 2


def test_an_unknown_service_lists_the_others(shop: Shop, port: int) -> None:
    taco("service", "register", "front", "--port", str(port))
    done = taco("service", "url", "back")
    assert (done.code, "services: front" in done.err) == (5, True)


def test_wait_ends_when_it_is_healthy(shop: Shop, port: int) -> None:
    taco("service", "register", "front", "--port", str(port), env=shop.pane("web"))
    for health in ("", "tcp", f"http://127.0.0.1:{port}/ok"):
        done = taco("service", "wait", "front", "--timeout", "20", "--health", health, env=shop.pane("api"))
        assert (done.code, done.out) == (0, f"http://localhost:{port}\n")


@pytest.mark.parametrize("path", ["/broken", "/missing"])
def test_an_answer_that_is_an_error_is_not_healthy(shop: Shop, port: int, path: str) -> None:
    taco("service", "register", "front", "--port", str(port))
    done = taco("service", "wait", "front", "--timeout", "0", "--health", f"http://127.0.0.1:{port}{path}")
    assert (done.code, done.out) == (75, "")
    assert taco("service", "--json").json[0]["health"] == "unhealthy"


def test_wait_ends_when_the_time_is_over(shop: Shop) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        taco("service", "register", "back", "--url", f"redis://127.0.0.1:{unused.getsockname()[1]}")
        done = taco("service", "wait", "back", "--timeout", "0", "--json", env=shop.pane("web"))
    assert (done.code, done.json["health"]) == (75, "down")
    assert taco("service", "wait", "nothing", "--timeout", "0").code == 75
    assert taco("service", "wait", "back", "--health", "file:///etc/passwd", "--timeout", "0").code == 2


def test_an_agent_names_no_other_machine(shop: Shop) -> None:
    for args in (("register", "db", "--url", "http://10.0.0.1:80"), ("wait", "db", "--health", "http://example.com/x")):
        done = taco("service", *args, env=shop.pane("web"))
        assert (done.code, "is not on this machine" in done.err) == (1, True)
