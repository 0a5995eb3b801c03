"""The connection of a broker: the only place that talks to the library `redis`.

The calls of all coroutines that wait ride together, one batch at a time: one write and, with `appendfsync always`,
one fsync for all of them. They go past redis-py's pool, pipeline and packing, which cost twice as much as the server.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import cache
from typing import Any, Self

import hiredis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from taco.errors import BrokerError
from taco.keys import Keys
from taco.lua import source
from taco.models import Agent

Word = str | bytes | int | float
_Call = tuple[tuple[Word, ...], asyncio.Future[Any]]

TIMEOUT_S = 10.0
_FAILURES = (RedisError, OSError, TimeoutError, ValueError)
_pack: Any = hiredis.pack_command  # ten times faster than redis-py's own; its stub allows one word only


@cache
def _digest(name: str) -> str:
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


def _translated(error: BaseException) -> BrokerError:
    return BrokerError(f"Redis: {error}" if str(error) else f"Redis: {type(error).__name__}")


def _heed_cancel() -> None:
    """Raise a cancellation that was swallowed while redis-py connected, or who is cancelled then listens for ever.

    Before Python 3.12 `asyncio.wait_for` does that when what it waits for is there at the same moment.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _answer(call: _Call, reply: Any) -> None:
    _, future = call
    if not future.done():
        future.set_result(reply)


class Client:
    """One session's way to Redis; every failure is a BrokerError."""

    def __init__(self, redis: Redis, session: str) -> None:
        """Use `connect`."""
        self.session = session
        self.keys = Keys(session)
        self.good_until = math.inf  # monotonic seconds; who delivers sets it to the end of its lease
        self._redis = redis
        pool: Any = redis.connection_pool
        self._connection = pool.make_connection()
        self._pending: list[_Call] = []
        self._sender: asyncio.Task[None] | None = None
        self._agents: dict[tuple[str, ...], Agent] = {}  # as they were read last, by their records

    @classmethod
    async def connect(cls, url: str, session: str) -> Self:
        """A broker that has reached the server at `url`; raises BrokerError."""
        try:
            redis = Redis.from_url(
                url,
                protocol=2,
                decode_responses=True,
                encoding_errors="replace",
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise BrokerError(f"Redis address {url!r}: {error}") from None
        broker = cls(redis, session)
        try:
            await broker._run("PING")
        except BrokerError:
            await broker.close()
            raise
        return broker

    async def close(self) -> None:
        """Waits for calls under way and closes the connections."""
        if self._sender is not None:
            await asyncio.wait([self._sender])
        await self._connection.disconnect(nowait=True)
        await self._redis.aclose()

    async def ping(self) -> str:
        """The server's version."""
        info = str(await self._run("INFO", "server"))
        return next((line[14:] for line in info.splitlines() if line.startswith("redis_version:")), "")

    async def _run(self, *words: Word) -> Any:
        """The reply to one command."""
        reply = await self._send(words)
        if isinstance(reply, Exception):
            raise _translated(reply)
        return reply

    async def _script(self, name: str, keys: Sequence[str], args: Sequence[Word] = ()) -> Any:
        """What the Lua script `name` returns; BrokerError after `good_until`, except from what gets the lease back.

        A process that was frozen for longer than its lease would undo what its replacement does.
        """
        if time.monotonic() > self.good_until and name != "own":
            raise BrokerError("the lease ran out while this process stood still or Redis was away")
        reply = await self._send(("EVALSHA", _digest(name), len(keys), *keys, *args))
        if isinstance(reply, NoScriptError):
            return await self._run("EVAL", source(name), len(keys), *keys, *args)
        if isinstance(reply, Exception):
            raise _translated(reply)
        return reply

    async def _send(self, words: tuple[Word, ...]) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.append((words, future))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_pending())
        return await future

    async def _send_pending(self) -> None:
        calls: list[_Call] = []
        try:
            while self._pending:
                calls, self._pending = self._pending, []
                await self._exchange(calls)
        except BaseException:
            for _, future in calls + self._pending:
                future.cancel()
            self._pending = []
            raise
        finally:
            self._sender = None

    async def _exchange(self, calls: list[_Call]) -> None:
        """Answer `calls`, each as its reply comes; an error is the reply of each call it struck."""
        left = iter(calls)
        try:
            await self._connect()
            await self._connection.send_packed_command([_pack(words) for words, _ in calls], check_health=False)
            for _ in calls:
                reply = await self._reply()
                _answer(next(left), reply)
        except _FAILURES as error:
            await self._connection.disconnect(nowait=True)
            for call in left:
                _answer(call, error)
        except BaseException:
            await self._connection.disconnect(nowait=True)
            raise

    async def _connect(self) -> None:
        """Opens the connection, also when the server has closed it since the last call."""
        connection = self._connection
        await connection.connect()
        # Before redis-py 8 it has the other name.
        can_read = getattr(connection, "can_read", None) or connection.can_read_destructive
        try:
            stale = await can_read()
        except _FAILURES:
            stale = True
        if stale:
            await connection.disconnect(nowait=True)
            await connection.connect()

    async def _reply(self) -> Any:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error

    async def _listen(
        self, channel: str, subscribed: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncIterator[str]:
        """The messages of a channel; raises BrokerError when the connection drops.

        `subscribed` is awaited once the server listens for us, before the first message: from there on none is missed.
        """
        async with self._redis.pubsub() as pubsub:
            try:
                await pubsub.subscribe(channel)
                _heed_cancel()
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        yield message["data"]
                    elif message["type"] == "subscribe" and subscribed is not None:
                        await subscribed()
            except _FAILURES as error:
                raise _translated(error) from None
        raise BrokerError("Redis: the subscription ended")
