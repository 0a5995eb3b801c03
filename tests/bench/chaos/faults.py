"""What is done to a session while it delivers; each fault ends with all repaired."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from taco import redis_server
from taco.broker import Broker
from taco.errors import TacoError
from taco.models import Event
from taco.wire import Wire
from tests.bench.chaos.arena import NAME, Arena, kill
from tests.bench.chaos.stages import Stage, attributed, gone, interrupted, tmux_clients

AIM_S = 3.0  # a moment that does not come is not waited for longer
DOWN_S = 60.0


@dataclass
class Tally:
    """What was done, and what it struck."""

    faults: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)  # kills of an executor, by the stage they count for
    struck: Counter[str] = field(default_factory=Counter)  # all commands under way at these kills
    back_s: list[float] = field(default_factory=list)  # from a kill until something was submitted again
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def kills(self) -> int:
        """How often an executor was killed."""
        return sum(self.stages.values())


class Feed:
    """The live events of the session, as long as Redis lives and again when it does."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wanted: list[tuple[Callable[[Event], bool], asyncio.Future[Event]]] = []

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            with contextlib.suppress(TacoError):
                broker = await Broker.connect(self._url, NAME)
                try:
                    async for event in broker.live():
                        self._tell(event)
                finally:
                    await broker.close()
            await asyncio.sleep(0.1)

    def _tell(self, event: Event) -> None:
        for wanted, future in self._wanted:
            if not future.done() and wanted(event):
                future.set_result(event)
        self._wanted = [each for each in self._wanted if not each[1].done()]

    async def next(self, wanted: Callable[[Event], bool]) -> Event | None:
        """The next such event; None when none comes."""
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._wanted.append((wanted, future))
        try:
            async with asyncio.timeout(AIM_S):
                return await future
        except TimeoutError:
            return None


class Faults:
    """The faults by name: `await faults.strike("executor")`."""

    def __init__(self, arena: Arena, feed: Feed, *, seed: int) -> None:
        self.tally = Tally()
        self._arena = arena
        self._feed = feed
        self._random = random.Random(f"{seed}/faults")
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "executor": self._executor,
            "redis": self._redis,
            "both": self._both,
            "stop executor": self._stop_executor,
            "stop redis": self._stop_redis,
            "stop tmux": self._stop_tmux,
            "freeze redis": self._freeze_redis,
            "takeover": self._takeover,
            "maxmemory": self._maxmemory,
            "disk full": self._disk_full,
            "kill-server": self._kill_server,
        }

    async def strike(self, kind: str) -> None:
        """Do one of them, and wait until something is submitted again."""
        if kind == "disk full" and not self._arena.on_disk:
            self.tally.skipped[kind] = "a file system of its own may not be mounted here"
            return
        self.tally.faults[kind] += 1
        await self._kinds[kind]()
        await self._until(self._arena.redis_pid, "Redis")
        await self._going_again()

    async def _going_again(self) -> None:
        begun, before = time.monotonic(), self._arena.poll()
        while self._arena.poll() <= before:
            if time.monotonic() - begun > 2.0 and not self._arena.waiting():
                return  # it struck when all was done
            if time.monotonic() - begun > DOWN_S:
                raise TimeoutError(f"nothing was submitted for {DOWN_S:g} s after {dict(self.tally.faults)}")
            await asyncio.sleep(0.05)
        self.tally.back_s.append(time.monotonic() - begun)

    # Kills

    async def _executor(self) -> None:
        await self._kill_executor(redis=False)

    async def _both(self) -> None:
        await self._kill_executor(redis=True)

    async def _kill_executor(self, *, redis: bool) -> None:
        pid, redis_pid = self._arena.executor_pid(), self._arena.redis_pid() if redis else 0
        wanted = self._wanted()
        aimed = await self._aim(wanted)
        clients = tmux_clients(pid)
        kill(pid)
        if redis_pid:
            kill(redis_pid)
        await asyncio.to_thread(gone, [pid, redis_pid, *clients] if redis_pid else [pid, *clients])
        await asyncio.to_thread(redis_server.ensure, self._arena.home)
        found = await asyncio.to_thread(interrupted, self._arena)
        self.tally.stages[attributed(wanted, aimed, found)] += 1
        self.tally.struck.update(str(each.stage) for each in found)
        await self._start()

    async def _start(self) -> None:
        """Start the executor again, as often as that takes."""
        deadline = time.monotonic() + DOWN_S
        while not await asyncio.to_thread(self._arena.executor_pid):
            said = await asyncio.to_thread(self._arena.start_executor)
            if time.monotonic() > deadline:
                raise TimeoutError(f"the executor does not start: {said}")
            await asyncio.sleep(0.05)

    def _wanted(self) -> Stage | None:
        """The stage that was hit least; sometimes none, for a moment by chance."""
        if self._random.random() < 0.15:
            return None
        return min(Stage, key=lambda stage: (self.tally.stages[str(stage)], self._random.random()))

    async def _aim(self, wanted: Stage | None) -> str:
        """Wait for the moment in which a command stands there; its id."""
        match wanted:
            case None:
                await asyncio.sleep(self._random.uniform(0.0, 0.5))
                return ""
            case Stage.BEFORE_TYPED:  # its courier goes on to the next command at once
                await self._event("command.delivered")
                await asyncio.sleep(self._random.uniform(0.0, 0.006))
                return ""
            case Stage.TYPED:
                found = await self._event("command.typed")
                await asyncio.sleep(self._random.uniform(0.0, 0.15))
            case Stage.ENTERED:
                found = await self._event("command.entered")
            case Stage.BEFORE_FINISH:
                found = await self._event("command.entered", "hostile")
                await self._submitted(found)
        return found.command if found else ""

    async def _event(self, kind: str, agent: str = "") -> Event | None:
        return await self._feed.next(lambda event: str(event.type) == kind and event.agent.startswith(agent))

    async def _submitted(self, event: Event | None) -> None:
        """Wait until the program of the pane has written down that it got this command."""
        if event is None:
            return
        log, deadline = self._arena.logs[event.agent], time.monotonic() + 0.5
        while time.monotonic() < deadline:
            log.poll()
            if any(f"{event.command} " in text for text in log.submitted[-3:]):
                return
            await asyncio.sleep(0.002)

    async def _redis(self) -> None:
        pid = self._arena.redis_pid()
        await self._aim(self._random.choice([None, *Stage]))
        kill(pid)
        await asyncio.to_thread(gone, [pid])

    # Standing still

    async def _stop_executor(self) -> None:
        async with self._outside() as executor:
            await self._aim(self._random.choice([None, *Stage]))
            await self._stand_still(executor.pid)

    async def _stop_redis(self) -> None:
        await self._stand_still(self._arena.redis_pid())

    async def _stop_tmux(self) -> None:
        await self._stand_still(int(self._arena.tmux.run("display-message", "-p", "#{pid}")))

    async def _freeze_redis(self) -> None:
        """Longer than any call to it waits: it does later what nobody expects of it any more."""
        await self._stand_still(self._arena.redis_pid(), (11.0, 14.0))

    async def _takeover(self) -> None:
        """An executor sleeps until another has taken over, and then wakes up in the middle of what it did."""
        async with self._outside() as executor:
            await self._aim(self._random.choice([Stage.BEFORE_TYPED, Stage.ENTERED]))
            kill(executor.pid, signal.SIGSTOP)
            try:
                await self._start()
                await self._until(lambda: self._arena.delivers() not in (0, executor.pid), "a second executor")
                await asyncio.sleep(self._random.uniform(0.5, 2.0))
            finally:
                kill(executor.pid, signal.SIGCONT)
            await self._until(lambda: executor.poll() is not None, "the end of the one that was replaced")

    @contextlib.asynccontextmanager
    async def _outside(self) -> AsyncIterator[subprocess.Popen[bytes]]:
        """An executor that delivers outside of tmux, which continues at once what is stopped in its panes."""
        kill(self._arena.executor_pid(), signal.SIGTERM)
        await self._until(lambda: not self._arena.executor_pid(), "the end of the executor")
        executor = self._arena.second_executor()
        try:
            await self._until(lambda: self._arena.delivers() == executor.pid, "an executor outside of tmux")
            yield executor
        finally:
            executor.terminate()
            await asyncio.to_thread(executor.wait)
            await self._start()

    async def _until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DOWN_S
        while not await asyncio.to_thread(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{DOWN_S:g} s without {what}")
            await asyncio.sleep(0.05)

    async def _stand_still(self, pid: int, range_s: tuple[float, float] = (1.0, 4.0)) -> None:
        kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(self._random.uniform(*range_s))
        finally:
            kill(pid, signal.SIGCONT)

    # No room

    async def _maxmemory(self) -> None:
        with Wire(self._arena.url, NAME) as wire:
            wire.call("CONFIG", "SET", "maxmemory", "1")
            await asyncio.sleep(self._random.uniform(1.0, 3.0))
            wire.call("CONFIG", "SET", "maxmemory", "0")

    async def _disk_full(self) -> None:
        with self._arena.full_disk():
            await asyncio.sleep(self._random.uniform(2.0, 4.0))

    # The end of the tmux server

    async def _kill_server(self) -> None:
        await self._aim(self._random.choice([None, Stage.TYPED, Stage.ENTERED]))
        self._arena.tmux.run("kill-server", check=False)
        await asyncio.to_thread(self._arena.resume)
