"""Which session a command is about, and how it reaches that session's Redis. Imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from taco.cli import say
from taco.cli.caller import Caller, caller
from taco.errors import BrokerError, NotFoundError, RefusedError, TacoError, UsageError
from taco.keys import FRESH_S
from taco.line import ForbiddenError, Line

if TYPE_CHECKING:
    from taco.broker import Broker
    from taco.paths import SessionRecord
    from taco.wire import Wire

Result = TypeVar("Result")
AnyLine = TypeVar("AnyLine", bound=Line)


class Place:
    """One session as commands see it: its name, the way to its Redis, and its record, which is read when needed."""

    def __init__(self, name: str, *, url: str = "", record: SessionRecord | None = None) -> None:
        """`url` is known inside a pane; elsewhere the record has it."""
        self.name = name
        self._url = url
        self._record = record

    @property
    def record(self) -> SessionRecord:
        """The session's record on disk; raises NotFoundError."""
        if self._record is None:
            from taco import paths

            self._record = paths.session(paths.home(), self.name)
        return self._record

    @property
    def url(self) -> str:
        """Where the session's Redis is."""
        return self._url or self.record.redis_url

    def revive(self, error: BrokerError) -> str:
        """Start the session's private Redis again and return its url; raises `error` for one that is not TACO's."""
        if not self.record.redis_private:
            raise error
        if self.record.stopped:
            hint = f"what it holds is kept; to go on: taco resume {self.name}"
            raise TacoError(f"session {self.name} is stopped, and so is its Redis", hint=hint)
        from taco import redis_server

        self._url = redis_server.ensure(self.record.home).url
        return self._url


def find(option: str | None = None, who: Caller | None = None) -> Place:
    """The session that is meant: `--session`, else the caller's, else the only running one; raises NotFoundError."""
    who = who or caller()
    if who.is_agent and option and who.session and option != who.session:
        raise RefusedError(f"agent {who.name} belongs to session {who.session}", hint="leave --session out")
    here = who.session
    name = option or here
    if name:
        known = os.environ.get("TACO_REDIS", "") if name == os.environ.get("TACO_SESSION") else ""
        place = Place(name, url=known)
        if not known:
            place.record  # noqa: B018  an unknown name is told at once
        return place
    return _around()


def _around() -> Place:
    """The session of the tmux session we are in, else the only one that runs."""
    from taco import paths

    records = paths.sessions(paths.home())
    inside = _tmux_session()
    if found := next((each for each in records if each.name == inside), None):
        return Place(found.name, record=found)
    running = [each for each in records if not each.stopped]
    if len(running) == 1:
        return Place(running[0].name, record=running[0])
    if running:
        names = ", ".join(each.name for each in running)
        raise UsageError(f"several sessions run: {names}", hint="say which one: --session NAME")
    if records:
        names = ", ".join(each.name for each in records)
        raise NotFoundError("no session runs", hint=f"stopped ones: {names}; to go on with one: taco resume NAME")
    raise NotFoundError("there is no session", hint='start one: taco start "what you want built"')


def _tmux_session() -> str:
    if not os.environ.get("TMUX") or not (pane := os.environ.get("TMUX_PANE")):
        return ""
    import subprocess

    words = ["tmux", "-u", "display-message", "-p", "-t", pane, "#{session_name}"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def with_line(place: Place, work: Callable[[Line], Result]) -> Result:
    """What `work` returns, over the fast connection; a private Redis that is down is started first.

    `work` may run twice, so it must be idempotent. Raises line.ForbiddenError inside a sandbox.
    """
    return _twice(place, Line, work)


def with_wire(place: Place, work: Callable[[Wire], Result]) -> Result:
    """The same over the fast connection that speaks in values of `models`."""
    from taco.wire import Wire

    return _twice(place, Wire, work)


def _twice(place: Place, kind: type[AnyLine], work: Callable[[AnyLine], Result]) -> Result:
    try:
        with kind(place.url, place.name) as line:
            return work(line)
    except ForbiddenError:
        raise
    except BrokerError as error:
        with kind(place.revive(error), place.name) as line:
            return work(line)


def with_broker(place: Place, work: Callable[[Broker], Awaitable[Result]]) -> Result:
    """What the coroutine function `work` returns, over the whole client; a private Redis that is down is started."""
    import asyncio

    from taco.broker import Broker

    async def run() -> Result:
        try:
            broker = await Broker.connect(place.url, place.name)
        except BrokerError as error:
            broker = await Broker.connect(place.revive(error), place.name)
        try:
            return await work(broker)
        finally:
            await broker.close()

    return asyncio.run(run())


def supervise(place: Place, heartbeat_age_s: float | None) -> bool:
    """Bring the executor back when its last sign of life is too old, and say what was found; whether all is well."""
    found = trouble(place, heartbeat_age_s)
    if found:
        say.warn(found)
    return not found


def trouble(place: Place, heartbeat_age_s: float | None) -> str:
    """What is wrong with the executor, which is brought back when its last sign of life is too old; "" for nothing."""
    if heartbeat_age_s is not None and heartbeat_age_s <= FRESH_S:
        return ""
    from taco import supervision

    try:
        return supervision.supervise(place.record)
    except TacoError as error:
        return error.message
