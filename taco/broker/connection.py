"""One connection to Redis that all coroutines of a process share: asyncio carries, hiredis packs and reads.

The calls of all who wait ride together, one batch at a time: one write and, with `appendfsync always`, one fsync for
all of them. redis-py is not used: importing it takes 9 MB of each process, and a call by it nearly twice as long.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis

from taco.redis_url import Address

Word = str | bytes | int | float

TIMEOUT_S = 10.0
FAILURES = (OSError, hiredis.HiredisError)  # among the first are TimeoutError and ConnectionError
_MANY, _FEW = 10_000, 1_000  # published and not taken: from many on the server waits until there are few
_Refusal = Callable[[], Exception | None]
_Call = tuple[bytes, asyncio.Future[Any], _Refusal | None]
_pack: Any = hiredis.pack_command  # its stub allows one word only


class Connection:
    """Opens itself at the first call, and again after it was lost."""

    def __init__(self, address: Address) -> None:
        """Nothing is opened yet."""
        self._address = address
        self._link: Link | None = None
        self._opening: asyncio.Task[None] | None = None
        self._pending: list[_Call] = []

    def send(self, words: Sequence[Word], refused: _Refusal | None = None) -> asyncio.Future[Any]:
        """The reply to one command, to be awaited; an error, also of the connection, is a reply.

        `refused` is asked in the moment of writing: a reason it has is the reply then, and the command is not sent.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        try:
            self._pending.append((_pack(tuple(words)), future, refused))
        except UnicodeError as error:  # half a character: of a name that is no UTF-8
            future.set_result(error)
            return future
        if len(self._pending) == 1:
            loop.call_soon(self._send_pending)
        return future

    async def close(self) -> None:
        """Waits for calls under way and closes the connection; what is called meanwhile is refused."""
        under_way = [future for _, future, _ in self._pending]
        under_way += self._link.waiting if self._link else ()
        try:
            if under_way:
                await asyncio.wait(under_way)
        finally:
            await self._end(ConnectionAbortedError("the connection was closed"))

    async def _end(self, reason: Exception) -> None:
        self._refuse(reason)
        if self._link:
            self._link.close(reason)
        if self._opening:  # for calls that were all given up
            self._opening.cancel()
            await asyncio.wait([self._opening])

    def _refuse(self, reason: Exception) -> None:
        for _, future, _ in self._pending:
            _answer(future, reason)
        self._pending = []

    def _send_pending(self, *, just_opened: bool = False) -> None:
        if self._opening or (self._link and self._link.waiting):
            return
        self._pending = [call for call in self._pending if _is_wanted(call)]
        if not self._pending:
            return
        # One that was just opened is used in any case: a server that closes each at once would be called for ever.
        if self._link is None or (not just_opened and self._link.is_stale()):
            self._opening = asyncio.get_running_loop().create_task(self._open())
            return
        calls, self._pending = self._pending, []
        self._link.send([packed for packed, _, _ in calls], [future for _, future, _ in calls])

    async def _open(self) -> None:
        if self._link:
            self._link.close(ConnectionResetError("the server closed the connection"))
        try:
            self._link = await connect(self._address, self._send_pending)
        except FAILURES as error:
            self._refuse(error)
        except BaseException:
            self._refuse(ConnectionAbortedError("the connection was closed"))
            raise
        finally:
            self._opening = None
        self._send_pending(just_opened=True)


class Link(asyncio.Protocol):
    """An open connection: what is sent is answered in order, until it is lost."""

    def __init__(self, when_idle: Callable[[], None]) -> None:
        """`when_idle` is called when nothing waits any more. Use `connect`."""
        self.waiting: deque[asyncio.Future[Any]] = deque()
        self._when_idle = when_idle
        self._lost: Exception | None = None
        self._published: asyncio.Queue[Any] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace")
        self._poll = select.poll()
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._moved_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        self._moved_at = self._loop.time()
        was_waiting = bool(self.waiting)
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                if self.waiting:
                    _answer(self.waiting.popleft(), reply)
                else:
                    self._published.put_nowait(reply)
        except hiredis.ProtocolError as error:  # no Redis at the other end
            self.close(error)
            return
        if self._published.qsize() > _MANY:
            self._transport.pause_reading()
        if was_waiting and not self.waiting:
            self._when_idle()

    def connection_lost(self, error: Exception | None) -> None:
        """Of asyncio."""
        self.close(error or ConnectionResetError("the server closed the connection"))

    def send(self, commands: Sequence[bytes], futures: Sequence[asyncio.Future[Any]]) -> None:
        """One write for all; each future gets its reply, or why there is none."""
        if self._lost is not None:
            for future in futures:
                _answer(future, self._lost)
            return
        self.waiting.extend(futures)
        self._moved_at = self._loop.time()
        self._transport.write(b"".join(commands))
        if self._timer is None:
            self._timer = self._loop.call_later(TIMEOUT_S, self._look_at_clock)

    async def call(self, *words: Word) -> Any:
        """The reply to one command; raises what it was refused with, or the connection lost by."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.send([_pack(words)], [future])
        reply = await future
        if isinstance(reply, Exception):
            raise reply
        return reply

    def is_stale(self) -> bool:
        """Whether the server has closed it, though asyncio may not know yet; asked while nothing waits."""
        return self._lost is not None or bool(self._poll.poll(0))

    async def published(self) -> Any:
        """The next message: its kind, its channel, its text; raises why there will be no more."""
        if self._published.qsize() <= _FEW and self._lost is None:
            self._transport.resume_reading()
        reply = await self._published.get()
        if reply is None:
            raise self._lost or ConnectionResetError
        if not isinstance(reply, list) or len(reply) != 3:
            raise hiredis.ProtocolError(f"no message: {str(reply)[:100]!r}")
        return reply

    def close(self, reason: Exception) -> None:
        """Ends it; `reason` is the answer to all that waits."""
        if self._lost is not None:
            return
        self._lost = reason
        self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()
        while self.waiting:
            _answer(self.waiting.popleft(), reason)
        self._published.put_nowait(None)
        self._when_idle()

    def _look_at_clock(self) -> None:
        """Ends it when nothing came for too long: one timer for all calls, set anew when it is due."""
        self._timer = None
        if not self.waiting:
            return
        left_s = self._moved_at + TIMEOUT_S - self._loop.time()
        if left_s <= 0:
            self.close(TimeoutError(f"no answer within {TIMEOUT_S:g} s"))
        else:
            self._timer = self._loop.call_later(left_s, self._look_at_clock)


async def connect(address: Address, when_idle: Callable[[], None]) -> Link:
    """A link that is logged in; raises one of FAILURES."""
    loop = asyncio.get_running_loop()

    def link() -> Link:
        return Link(when_idle)

    try:
        async with asyncio.timeout(TIMEOUT_S):
            if address.path:
                _, opened = await loop.create_unix_connection(link, address.path)
            else:
                _, opened = await loop.create_connection(link, address.host, address.port)
    except (OSError, ValueError) as error:  # the second of a name that none can have
        reason = getattr(error, "strerror", "") or str(error) or f"no answer within {TIMEOUT_S:g} s"
        raise ConnectionError(f"{address.place} cannot be reached: {reason}") from None
    try:
        for words in address.login():
            await opened.call(*words)
    except BaseException:
        opened.close(ConnectionAbortedError("the login failed"))
        raise
    return opened


def _is_wanted(call: _Call) -> bool:
    """Whether its caller waits still, and it may be sent; one that may not is answered."""
    _, future, refused = call
    if refused is not None and (reason := refused()) is not None:
        _answer(future, reason)
    return not future.done()


def _answer(future: asyncio.Future[Any], reply: Any) -> None:
    if not future.done():  # whoever asked may have given up
        future.set_result(reply)
