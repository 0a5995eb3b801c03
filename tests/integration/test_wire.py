"""The fast sender: light to import, the same answers as the broker, and nothing doubled by a cut connection."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from taco import redis_server, redis_url
from taco.broker import Broker
from taco.errors import BrokerError, ConflictError, NotFoundError, QueueFullError, UsageError
from taco.models import Agent, Command, CommandState, Evidence, Outcome, Priority, When, iso
from taco.wire import ForbiddenError, Wire
from tests.support.waiting import wait_for

HEAVY = ("redis", "asyncio", "pydantic", "orjson", "textual", "platformdirs", "importlib.resources", "hashlib", "ssl")
AT = "2026-01-01T00:00:00.000Z"


def command(id_: str, message: str = "hello", target: str = "be") -> Command:
    return Command(id_, "person", target, message, timestamp=AT)


def with_broker(url: str, work: Callable[[Broker], object]) -> None:
    """Lets `work` (a coroutine function) act on the same session."""

    async def run() -> None:
        broker = await Broker.connect(url, "demo")
        await work(broker)  # type: ignore[misc]
        await broker.close()

    asyncio.run(run())


@pytest.fixture
def url(redis_binary: Path, taco_home: Path) -> Iterator[str]:
    """A Redis with the session `demo` and its agent `be`."""
    url = redis_server.ensure(taco_home).url
    with_broker(url, lambda broker: broker.put_agent(Agent(3, "be")))
    yield url
    redis_server.stop(taco_home)


@pytest.fixture
def wire(url: str) -> Iterator[Wire]:
    """A wire to the session."""
    with Wire(url, "demo") as wire:
        yield wire


def test_importing_it_is_light() -> None:
    code = f"import sys, taco.wire; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_command_is_stored_once(wire: Wire) -> None:
    assert wire.agents() == {"be": 3}
    assert wire.enqueue(command("c1", "grüße 🚀\nzwei"))
    assert not wire.enqueue(command("c1", "grüße 🚀\nzwei"))
    ledger = wire.ledger("c1")
    assert ledger is not None
    assert (ledger.state, ledger.preview, ledger.queued_at) == (CommandState.QUEUED, "grüße 🚀\nzwei", AT)
    assert wire.ledger("c2") is None


def test_a_broker_reads_what_it_stored(wire: Wire, url: str) -> None:
    wire.enqueue(Command("c1", "fe", "be", "x" * 1_000_000, Priority.HIGH, When.NOW))

    async def check(broker: Broker) -> None:
        found = (await broker.heads("be")).head
        assert found is not None
        assert (found.command.message, found.command.sender) == ("x" * 1_000_000, "fe")
        assert (found.command.priority, found.command.when) == (Priority.HIGH, When.NOW)
        assert found.command.timestamp

    with_broker(url, check)


def test_the_errors_are_those_of_the_broker(wire: Wire, url: str) -> None:
    wire.enqueue(command("c1"))
    with pytest.raises(ConflictError):
        wire.enqueue(command("c1", "other"))
    with pytest.raises(NotFoundError):
        wire.enqueue(command("c2", target="nobody"))
    with pytest.raises(UsageError):
        wire.enqueue(command("c2", "x" * 1_048_577))
    with_broker(url, lambda broker: broker.put_session({"queue_limit": "1"}))
    with pytest.raises(QueueFullError):
        wire.enqueue(command("c2"))
    with pytest.raises(BrokerError, match="unknown command"):
        wire.call("NONSENSE")
    assert wire.call("ECHO", "still here") == "still here"


def test_a_connection_that_was_closed_is_opened_again(wire: Wire, url: str) -> None:
    assert wire.enqueue(command("c1"))
    with Wire(url, "demo") as other:
        other.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert wire.enqueue(command("c2"))


def test_a_reply_that_is_lost_doubles_nothing(url: str, short_tmp: Path) -> None:
    """The first connection is cut after the server stored the command and before its reply arrives."""
    with (
        cutting_proxy(short_tmp / "p.sock", redis_url.parse(url).path),
        Wire(f"unix://{short_tmp}/p.sock", "demo") as w,
    ):
        assert not w.enqueue(command("c1")), "it was stored by the first try"
        assert w.call("HGET", w.keys.waiting, "be") == "1"
        assert w.call("XLEN", w.keys.queue("be", "normal")) == 1


@contextmanager
def cutting_proxy(path: Path, server: str) -> Iterator[None]:
    """Forwards to `server`; the first connection is closed instead of carrying its reply."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        for number in range(2):
            client, _ = listener.accept()
            with client, socket.socket(socket.AF_UNIX) as behind:
                behind.connect(server)
                while data := client.recv(1_000_000):
                    behind.sendall(data)
                    reply = behind.recv(1_000_000)
                    if number == 0:
                        break
                    client.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        yield
    thread.join(5)


def test_no_server_is_a_broker_error(short_tmp: Path) -> None:
    for url in (f"unix://{short_tmp}/none.sock", "redis://127.0.0.1:1/0"):
        with pytest.raises(BrokerError, match="cannot be reached") as caught:
            Wire(url, "demo").agents()
        assert not isinstance(caught.value, ForbiddenError)


def test_a_server_that_never_answers_is_a_broker_error(short_tmp: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{short_tmp}/mute.sock")
        listener.listen()
        with pytest.raises(BrokerError, match="did not answer"):
            Wire(f"unix://{short_tmp}/mute.sock", "demo", timeout_s=0.1).agents()


def test_a_forbidden_connection_is_told_apart(url: str) -> None:
    """As another user, who may not enter the socket's directory."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setuid(65_534)
            Wire(url, "demo").agents()
        except ForbiddenError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_sign_of_life_has_an_age(wire: Wire, url: str) -> None:
    assert wire.heartbeat_age_s() is None

    async def beat(broker: Broker) -> None:
        await broker.claim("t", 60_000)
        await broker.renew("t", 60_000, int(time.time() * 1000) - 5_000)

    with_broker(url, beat)
    age_s = wire.heartbeat_age_s()
    assert age_s is not None
    assert 4.9 < age_s < 60


def test_wait_returns_at_the_end_of_the_command(wire: Wire, url: str) -> None:
    wire.enqueue(command("c1"))
    wire.enqueue(command("c2"))
    ends: list[CommandState] = []
    waiter = threading.Thread(target=lambda: ends.append(Wire(url, "demo").wait("c2", 30).state))
    waiter.start()
    wait_for(lambda: wire.call("PUBSUB", "NUMSUB", wire.keys.completed)[1] == 1)

    async def finish(broker: Broker) -> None:
        for _ in range(2):
            head = (await broker.heads("be")).head
            assert head is not None
            await broker.finish(head, Outcome(CommandState.DELIVERED, Evidence.HOOK), iso(time.time()))

    with_broker(url, finish)
    waiter.join(10)
    assert ends == [CommandState.DELIVERED]
    assert wire.wait("c1", 0).state is CommandState.DELIVERED, "finished before"


def test_wait_returns_when_its_time_is_up(wire: Wire) -> None:
    wire.enqueue(command("c1"))
    assert wire.wait("c1", 0.05).state is CommandState.QUEUED
    with pytest.raises(NotFoundError):
        wire.wait("c2", 0.05)


def test_wait_tells_when_the_server_goes_away(wire: Wire, taco_home: Path, url: str) -> None:
    wire.enqueue(command("c1"))
    errors: list[BrokerError] = []

    def wait() -> None:
        try:
            Wire(url, "demo").wait("c1", 30)
        except BrokerError as error:
            errors.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    wait_for(lambda: wire.call("PUBSUB", "NUMSUB", wire.keys.completed)[1] == 1)
    redis_server.stop(taco_home)
    waiter.join(10)
    assert len(errors) == 1
