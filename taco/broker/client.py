"""What a broker is made of: one session's keys, its connection to Redis, and the scripts that run there."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import cache
from typing import Any, Self

from taco import redis_url
from taco.broker.connection import FAILURES, Connection, Link, Word, connect
from taco.errors import BrokerError, UsageError
from taco.keys import Keys
from taco.lua import source
from taco.models import Agent


@cache
def _digest(name: str) -> str:
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


def _translated(error: BaseException) -> BrokerError:
    if isinstance(error, BrokerError):
        return error
    return BrokerError(f"Redis: {error}" if str(error) else f"Redis: {type(error).__name__}")


class Client:
    """One session's way to Redis; every failure is a BrokerError."""

    def __init__(self, address: redis_url.Address, session: str) -> None:
        """Use `connect`."""
        self.session = session
        self.keys = Keys(session)
        self.good_until = math.inf  # monotonic seconds; who delivers sets it to the end of its lease
        self._address = address
        self._connection = Connection(address)
        self._subscriptions: set[Link] = set()
        self._closed = False
        self._agents: dict[tuple[str, ...], Agent] = {}  # as they were read last, by their records

    @classmethod
    async def connect(cls, url: str, session: str) -> Self:
        """A broker that has reached the server at `url`; raises BrokerError."""
        try:
            broker = cls(redis_url.parse(url), session)
        except UsageError as error:
            raise BrokerError(error.message, hint=error.hint) from None
        try:
            await broker._run("PING")
        except BaseException:  # also who stops waiting leaves nothing open
            await broker.close()
            raise
        return broker

    async def close(self) -> None:
        """Waits for calls under way, and ends the connection and every subscription."""
        self._closed = True
        try:
            await self._connection.close()
        finally:
            for link in list(self._subscriptions):
                link.close(ConnectionAbortedError("the connection was closed"))

    async def ping(self) -> str:
        """The server's version."""
        info = str(await self._run("INFO", "server"))
        return next((line[14:] for line in info.splitlines() if line.startswith("redis_version:")), "")

    async def _run(self, *words: Word) -> Any:
        """The reply to one command."""
        reply = await self._connection.send(words)
        if isinstance(reply, Exception):
            raise _translated(reply)
        return reply

    async def _script(self, name: str, keys: Sequence[str], args: Sequence[Word] = ()) -> Any:
        """What the Lua script `name` returns; BrokerError after `good_until`, except from what gets the lease back.

        A process that was frozen for longer than its lease would undo what its replacement does.
        """
        refused = self._run_out if name != "own" else None
        reply = await self._connection.send(("EVALSHA", _digest(name), len(keys), *keys, *args), refused)
        if isinstance(reply, Exception) and str(reply).startswith("NOSCRIPT"):
            reply = await self._connection.send(("EVAL", source(name), len(keys), *keys, *args), refused)
        if isinstance(reply, Exception):
            raise _translated(reply)
        return reply

    def _run_out(self) -> BrokerError | None:
        """Why nothing may be changed any more: asked when it is written, for a call may wait until Redis is back."""
        if time.monotonic() <= self.good_until:
            return None
        return BrokerError("the lease ran out while this process stood still or Redis was away")

    async def _listen(
        self, channel: str, subscribed: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncIterator[str]:
        """The messages of a channel; raises BrokerError when the connection drops.

        `subscribed` is awaited once the server listens for us, before the first message: from there on none is missed.
        """
        try:
            link = await connect(self._address, lambda: None)
        except FAILURES as error:
            raise _translated(error) from None
        self._subscriptions.add(link)
        try:
            if self._closed:  # meanwhile
                raise ConnectionAbortedError("the connection was closed")
            await link.call("SUBSCRIBE", channel)
            if subscribed is not None:
                await subscribed()
            while True:
                kind, _, text = await link.published()
                if kind == "message":
                    yield text
        except FAILURES as error:
            raise _translated(error) from None
        finally:
            self._subscriptions.discard(link)
            link.close(ConnectionAbortedError("the subscription ended"))
