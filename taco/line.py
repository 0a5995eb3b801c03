"""The connection of the fast way to Redis: a socket and hiredis, synchronous, plain words.

`taco send` uses it as it is: importing it takes none of redis, asyncio, pydantic, orjson, nor the models.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import hiredis

from taco import calls, redis_url
from taco.errors import BrokerError
from taco.keys import Keys
from taco.lua import source

_CHUNK = 65_536
_Result = TypeVar("_Result")
_pack: Any = hiredis.pack_command  # its stub allows one word only


class ForbiddenError(BrokerError):
    """This process may not connect to Redis (a sandbox forbids it)."""

    code = "forbidden"


class _Closed(ConnectionError):
    """The server closed the connection."""


class Line:
    """One session's way to Redis; connects at the first call, every failure is a BrokerError."""

    def __init__(self, url: str, session: str, timeout_s: float = 5.0) -> None:
        """`timeout_s` bounds connecting and each reply."""
        self.keys = Keys(session)
        self.timeout_s = timeout_s
        self._url = url
        self._address = redis_url.parse(url)
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Closes the connection; the next call opens another."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, *words: str | bytes | int) -> Any:
        """The reply to one command; a connection that was cut is opened again and the command repeated."""
        return self._guarded(lambda: self._twice(words))

    def script(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """What the Lua script `name` returns.

        By EVAL: for the one call of a process the text (4 kB) costs less than importing hashlib (3 ms).
        """
        return self.call("EVAL", source(name), len(keys), *keys, *args)

    def agents(self) -> dict[str, int]:
        """The window of each agent by name."""
        found = calls.pairs(self.call("HGETALL", self.keys.index))
        return {name: int(window) for name, window in found.items()}

    def enqueue(self, letter: calls.Letter) -> bool:
        """Stores a command; False when it is known already (so it may be repeated with the same id).

        Raises ConflictError, NotFoundError, QueueFullError, UsageError (over 1 MB), BrokerError.
        """
        told = calls.enqueue_args(self.keys.session, letter, calls.iso(time.time()))
        keys = self.keys.command_keys(letter.id, letter.target, letter.priority)
        return calls.enqueue_answer(letter, self.script("enqueue", keys, (self.keys.live, self.keys.wake, *told)))

    def heartbeat_age_s(self) -> float | None:
        """How long ago the executor gave a sign of life, by the server's clock; None: never."""
        beat = self.call("GET", self.keys.heartbeat)
        if beat is None:
            return None
        seconds, micros = self.call("TIME")
        return int(seconds) + int(micros) / 1e6 - int(beat) / 1000

    def _heard(self, word: str, deadline: float) -> bool:
        """Waits until `word` is published on the subscribed channel; False at the deadline."""
        assert self._socket is not None
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                message = self._reply()
            except TimeoutError:
                return False
            if message[2] == word:
                return True
        return False

    def _guarded(self, call: Callable[[], _Result]) -> _Result:
        try:
            return call()
        except PermissionError as error:
            self.close()
            raise ForbiddenError(f"connecting to Redis is forbidden here: {error}") from None
        except TimeoutError:
            self.close()
            raise BrokerError(f"Redis did not answer within {self.timeout_s:g} s") from None
        except (OSError, hiredis.HiredisError) as error:
            self.close()
            reason = getattr(error, "strerror", None) or error
            raise BrokerError(
                f"Redis at {self._address.place} cannot be reached: {reason}", hint="see: taco doctor"
            ) from None

    def _twice(self, words: Sequence[str | bytes | int]) -> Any:
        try:
            return self._exchange(words)
        except ConnectionError:
            self.close()
            return self._exchange(words)

    def _exchange(self, words: Sequence[str | bytes | int]) -> Any:
        if self._socket is None:
            self._connect()
        assert self._socket is not None
        self._socket.settimeout(self.timeout_s)
        self._socket.sendall(_pack(tuple(words)))
        reply = self._reply()
        if isinstance(reply, hiredis.ReplyError):
            raise BrokerError(f"Redis: {reply}")
        return reply

    def _connect(self) -> None:
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace")
        address = self._address
        if address.path:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(self.timeout_s)
            self._socket.connect(address.path)
        else:
            self._socket = socket.create_connection((address.host, address.port), self.timeout_s)
        for words in address.login():
            self._exchange(words)

    def _reply(self) -> Any:
        assert self._socket is not None
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(_CHUNK)
            if not data:
                raise _Closed("the server closed the connection")
            self._reader.feed(data)
        return reply
