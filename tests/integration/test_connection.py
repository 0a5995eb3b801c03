"""The connection to Redis where the other end does what a server seldom does: played, byte for byte, by these tests."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from taco.broker import Broker, connection
from taco.broker.connection import Link
from taco.errors import BrokerError
from taco.models import Agent, Event, EventType
from tests.support.waiting import wait_for_async

PONG = b"+PONG\r\n"
MANY = 20_000  # messages that no socket holds


class Peer:
    """The server's end of one connection."""

    def __init__(self, end: socket.socket) -> None:
        """`end` was accepted."""
        self._end = end
        self._loop = asyncio.get_running_loop()

    async def hears(self) -> bytes:
        """What was sent; nothing when the other end has closed."""
        try:
            return await self._loop.sock_recv(self._end, 65_536)
        except ConnectionResetError:
            return b""

    async def says(self, *pieces: bytes) -> None:
        """Each piece on its own."""
        for piece in pieces:
            await self._loop.sock_sendall(self._end, piece)
            await asyncio.sleep(0)

    def goes(self) -> None:
        """Closes the connection; the other end's loop has not seen it yet."""
        self._end.close()


class Server:
    """A socket that listens, and nobody behind it but the test."""

    def __init__(self, path: Path) -> None:
        """Listens at once."""
        self.url = f"unix://{path}"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.socket.setblocking(False)

    async def meets(self) -> Peer:
        """The next one that connects."""
        end, _ = await asyncio.get_running_loop().sock_accept(self.socket)
        return Peer(end)

    async def joined(self) -> tuple[Broker, Peer]:
        """A broker that has connected, and the server's end of its connection."""
        opening = asyncio.create_task(Broker.connect(self.url, "demo"))
        peer = await self.meets()
        await peer.hears()
        await peer.says(PONG)
        return await opening, peer

    def is_asked(self) -> bool:
        """Whether somebody else connects."""
        try:
            self.socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def server(short_tmp: Path) -> Iterator[Server]:
    server = Server(short_tmp / "s")
    yield server
    server.socket.close()


def asked(broker: Broker, *words: str) -> asyncio.Task[object]:
    """A call that is under way."""
    return asyncio.create_task(broker._run(*words))


async def error_of(call: Awaitable[object]) -> str:
    """Why a call failed; it must, and soon."""
    with pytest.raises(BrokerError) as raised:
        await asyncio.wait_for(call, 60)
    return raised.value.message


async def listened(broker: Broker, take: Callable[[str], Awaitable[None]]) -> None:
    async for text in broker._listen("news"):
        await take(text)


async def ignored(_: str) -> None:
    """Somebody who does not care for what is published."""


# what comes back


async def test_a_reply_may_come_in_pieces(server: Server) -> None:
    broker, peer = await server.joined()
    text = "ü🌮\r\n" * 20_000
    reply = b"$%d\r\n%s\r\n" % (len(text.encode()), text.encode())
    call = asked(broker, "GET", "x")
    await peer.hears()
    await peer.says(*(reply[n : n + 1] for n in range(12)), reply[12:100_001], reply[100_001:])
    assert await call == text


@pytest.mark.parametrize("word", ["LOADING Redis is loading", "BUSY a script", "MISCONF no disk", "OOM no memory"])
async def test_a_server_that_refuses_is_asked_again_on_the_same_connection(server: Server, word: str) -> None:
    broker, peer = await server.joined()
    refused, good = asked(broker, "GET", "x"), asked(broker, "PING")
    await peer.hears()
    await peer.says(f"-{word}\r\n".encode() + PONG)
    assert await error_of(refused) == f"Redis: {word}"
    assert await good == "PONG"
    put = asyncio.create_task(broker.put_session({"status": "running"}))
    await peer.hears()
    await peer.says(f"-{word}\r\n".encode())
    assert await error_of(put) == f"Redis: {word}"
    assert not server.is_asked()


async def test_half_a_reply_is_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    broker, peer = await server.joined()
    peer.goes()  # on the next connection nobody is waited for yet
    with monkeypatch.context() as patience:
        patience.setattr(connection, "TIMEOUT_S", 0.3)
        half = asked(broker, "GET", "x")
        peer = await server.meets()
        await peer.hears()
        await peer.says(b"$100\r\nhalf")
        assert "no answer" in await error_of(half)
    assert await peer.hears() == b""
    again = asked(broker, "GET", "y")
    other = await server.meets()
    assert b"y" in await other.hears()
    await other.says(b"+whole\r\n")
    assert await again == "whole"


@pytest.mark.parametrize("login", ["", ":password@"])
async def test_what_is_no_redis_is_told(server: Server, login: str) -> None:
    opening = asyncio.create_task(Broker.connect(server.url.replace("//", f"//{login}"), "demo"))
    peer = await server.meets()
    await peer.says(b"SSH-2.0-OpenSSH_9.2\r\n")
    assert "Protocol error" in await error_of(opening)
    assert not server.is_asked()


async def test_a_login_that_ends_in_nonsense_ends(server: Server) -> None:
    """What was sent over a connection that was lost within the login waited for ever."""
    opening = asyncio.create_task(Broker.connect(server.url.replace("//", "//:password@") + "?db=1", "demo"))
    peer = await server.meets()
    await peer.hears()
    await peer.says(b"+OK\r\nnonsense")
    assert "Protocol error" in await error_of(opening)


async def test_a_wrong_password_is_told(server: Server) -> None:
    opening = asyncio.create_task(Broker.connect(server.url.replace("//", "//:password@"), "demo"))
    peer = await server.meets()
    await peer.hears()
    await peer.says(b"-WRONGPASS invalid\r\n")
    assert await error_of(opening) == "Redis: WRONGPASS invalid"
    assert await peer.hears() == b""


# what cannot be reached, or goes


@pytest.mark.parametrize("host", ["a..b", "x" * 80])
async def test_a_host_that_none_can_be_called_cannot_be_reached(host: str) -> None:
    """Its callers were cancelled, who had not been told to end."""
    assert "cannot be reached" in await error_of(Broker.connect(f"redis://{host}", "demo"))


async def test_a_server_that_closes_each_connection_at_once_is_not_asked_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it had closed before the first call was written, as one with too many clients, the next was opened."""
    made = Link.connection_made
    closed: list[bool] = []

    def connection_made(link: Link, transport: asyncio.BaseTransport) -> None:
        made(link, transport)
        closed.append(server.is_asked())

    monkeypatch.setattr(Link, "connection_made", connection_made)
    await error_of(Broker.connect(server.url, "demo"))
    assert closed == [True]


async def test_a_connection_that_was_closed_meanwhile_is_not_written_to(server: Server) -> None:
    broker, peer = await server.joined()
    peer.goes()
    calls = [asked(broker, "ECHO", word) for word in "ab"]
    other = await server.meets()
    assert (await other.hears()).count(b"ECHO") == 2
    await other.says(b"+a\r\n+b\r\n")
    assert await asyncio.gather(*calls) == ["a", "b"]


async def test_what_was_written_when_the_server_went_is_not_written_again(server: Server) -> None:
    broker, peer = await server.joined()
    lost = asked(broker, "ECHO", "lost")
    await peer.hears()
    waits = asked(broker, "ECHO", "waits")
    await asyncio.sleep(0)
    peer.goes()
    other = await server.meets()
    heard = await other.hears()
    assert b"waits" in heard
    assert b"lost" not in heard
    await other.says(b"+waits\r\n")
    assert await waits == "waits"
    assert "closed" in await error_of(lost)


async def test_a_server_that_is_gone_for_a_while(short_tmp: Path) -> None:
    server = Server(short_tmp / "s")
    broker, peer = await server.joined()
    server.socket.close()
    peer.goes()
    for _ in range(3):
        assert "cannot be reached" in await error_of(broker._run("PING"))
    (short_tmp / "s").unlink()
    server = Server(short_tmp / "s")
    call = asked(broker, "PING")
    peer = await server.meets()
    await peer.hears()
    await peer.says(PONG)
    assert await call == "PONG"
    server.socket.close()


# who gives up


async def test_who_gave_up_leaves_its_reply_to_nobody(server: Server) -> None:
    broker, peer = await server.joined()
    first, second = asked(broker, "ECHO", "1"), asked(broker, "ECHO", "2")
    await peer.hears()
    first.cancel()
    await peer.says(b"+1\r\n", b"+2\r\n")
    assert await second == "2"


async def test_what_was_given_up_before_it_was_written_is_not_done(server: Server) -> None:
    broker, peer = await server.joined()
    first = asked(broker, "ECHO", "first")
    await peer.hears()
    given_up, wanted = asked(broker, "ECHO", "given up"), asked(broker, "ECHO", "wanted")
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.sleep(0)
    await peer.says(b"+first\r\n")
    heard = await peer.hears()
    assert b"wanted" in heard
    assert b"given up" not in heard
    await peer.says(b"+wanted\r\n")
    assert (await first, await wanted) == ("first", "wanted")


async def test_who_connects_no_more_leaves_nothing_open(server: Server) -> None:
    opening = asyncio.create_task(Broker.connect(server.url.replace("//", "//:password@"), "demo"))
    peer = await server.meets()
    assert b"AUTH" in await peer.hears()
    opening.cancel()
    assert await peer.hears() == b""
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("step", range(10))
def test_a_loop_that_ends_at_any_moment_ends(server: Server, step: int) -> None:
    async def ends_early() -> None:
        kept = asyncio.create_task(Broker.connect(server.url, "demo"))
        for _ in range(step):
            await asyncio.sleep(0)
        assert not kept.done()

    asyncio.run(asyncio.wait_for(ends_early(), 60))


async def test_closing_waits_for_what_is_under_way(server: Server) -> None:
    broker, peer = await server.joined()
    written = asked(broker, "ECHO", "1")
    await peer.hears()
    waits = asked(broker, "ECHO", "2")
    await asyncio.sleep(0)
    closing = asyncio.create_task(broker.close())
    await peer.says(b"+1\r\n")
    await peer.hears()
    late = asked(broker, "ECHO", "late")
    await asyncio.sleep(0)
    await peer.says(b"+2\r\n")
    await closing
    assert (await written, await waits) == ("1", "2")
    assert "closed" in await error_of(late)
    assert not server.is_asked()


# what must not be written


async def test_what_waited_until_the_lease_had_run_out_is_not_written(server: Server) -> None:
    broker, peer = await server.joined()
    first = asked(broker, "ECHO", "first")
    await peer.hears()
    late = asyncio.create_task(broker.put_agent(Agent(3, "be")))
    last = asked(broker, "ECHO", "last")
    await asyncio.sleep(0)
    broker.good_until = time.monotonic() - 1
    await peer.says(b"+first\r\n")
    heard = await peer.hears()
    assert b"last" in heard
    assert b"EVAL" not in heard
    assert "lease" in await error_of(late)
    broker.good_until = math.inf
    await peer.says(b"+last\r\n")
    assert (await first, await last) == ("first", "last")


async def test_half_a_character_is_refused_alone(server: Server) -> None:
    broker, peer = await server.joined()
    half = asyncio.create_task(broker.emit(Event(EventType.AGENT_STATE, "demo", agent="be\udcff")))
    whole = asked(broker, "ECHO", "ü")
    assert "surrogates" in await error_of(half)
    await peer.hears()
    await peer.says("+ü\r\n".encode())
    assert await whole == "ü"


# subscriptions

SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"


def message(text: str) -> bytes:
    return b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$%d\r\n%s\r\n" % (len(text), text.encode())


async def test_a_subscription_that_ends_tells_what_came_first(server: Server) -> None:
    broker, _ = await server.joined()
    heard: list[str] = []

    async def take(text: str) -> None:
        heard.append(text)

    listener = asyncio.create_task(listened(broker, take))
    peer = await server.meets()
    await peer.hears()
    await peer.says(SUBSCRIBED + message("one")[:20], message("one")[20:] + message("two"))
    peer.goes()
    assert "closed" in await error_of(listener)
    assert heard == ["one", "two"]


@pytest.mark.parametrize("said", [b"-ERR what\r\n", b"$-1\r\n", b"*1\r\n:1\r\n", b"+abcd\r\n", b"nonsense\r\n"])
async def test_what_is_no_message_ends_the_subscription(server: Server, said: bytes) -> None:
    broker, _ = await server.joined()
    listener = asyncio.create_task(listened(broker, ignored))
    peer = await server.meets()
    await peer.hears()
    await peer.says(SUBSCRIBED, said)
    await error_of(listener)
    assert await peer.hears() == b""


async def test_a_refused_subscription_is_told(server: Server) -> None:
    broker, _ = await server.joined()
    listener = asyncio.create_task(listened(broker, ignored))
    peer = await server.meets()
    await peer.hears()
    await peer.says(b"-NOPERM not you\r\n")
    assert await error_of(listener) == "Redis: NOPERM not you"
    assert await peer.hears() == b""


async def test_a_subscription_that_is_made_while_the_broker_closes_ends(server: Server) -> None:
    broker, _ = await server.joined()
    listener = asyncio.create_task(listened(broker, ignored))
    await asyncio.sleep(0)
    await broker.close()
    peer = await server.meets()
    assert "closed" in await error_of(listener)
    assert await peer.hears() in (b"", b"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n")


async def test_who_listens_slowly_makes_the_server_wait_and_misses_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_MANY", 100)
    monkeypatch.setattr(connection, "_FEW", 10)
    broker, _ = await server.joined()
    go_on = asyncio.Event()
    heard: list[str] = []

    async def take(text: str) -> None:
        heard.append(text)
        await go_on.wait()

    listener = asyncio.create_task(listened(broker, take))
    peer = await server.meets()
    await peer.hears()
    texts = [f"{n:0100}" for n in range(MANY)]
    telling = asyncio.create_task(peer.says(SUBSCRIBED, b"".join(map(message, texts))))
    (link,) = broker._subscriptions
    await wait_for_async(lambda: not link._transport.is_reading())
    assert not telling.done()
    go_on.set()
    await telling
    await wait_for_async(lambda: len(heard) == MANY)
    assert heard == texts
    peer.goes()
    assert "closed" in await error_of(listener)
