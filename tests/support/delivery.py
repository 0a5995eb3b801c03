"""A small house for tests of delivery: real tmux, real Redis, and the rooms wired as the orchestrator does it."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from taco import redis_server
from taco.broker import Broker
from taco.config import Config
from taco.delivery import TRANSITIONS
from taco.errors import TemporaryError
from taco.executor import Doors, Executor
from taco.models import (
    FINAL_STATES,
    FINISHED_EVENT,
    Agent,
    AgentStatus,
    Command,
    CommandState,
    Event,
    EventType,
    Incarnation,
    Ledger,
    Pane,
    Priority,
    When,
    iso,
)
from taco.observe import Observer
from taco.provider import Provider, parse_provider
from taco.tmux import windows
from taco.tmux.commands import CommandPipe
from taco.tmux.guard import Guard
from tests.hostile import Received, read_raw
from tests.support.tmux import KEEPER, Tmux
from tests.support.waiting import wait_for, wait_for_async

SESSION = "rig"
TYPING = ("send-keys", "paste-buffer")
WAYS = {(start, end) for (start, _), end in TRANSITIONS.items()}
STATES = {
    EventType.COMMAND_QUEUED: CommandState.QUEUED,
    EventType.COMMAND_RETRIED: CommandState.QUEUED,
    EventType.COMMAND_TYPED: CommandState.TYPED,
    EventType.COMMAND_ENTERED: CommandState.ENTERED,
    **{event: state for state, event in FINISHED_EVENT.items()},
}
QUICK = {"evidence_timeout_s": 3.0, "ready_timeout_s": 20.0}  # settings that tests can wait for


@dataclass(frozen=True, slots=True)
class Given:
    """One command list as tmux was given it, and when (monotonic seconds)."""

    at: float
    line: str

    @property
    def types(self) -> bool:
        """Whether it types, pastes or presses a key."""
        return any(word in self.line for word in TYPING)


class RecordingPipe(CommandPipe):
    """A pipe that notes what it gives to tmux."""

    def __init__(self, socket: str = "") -> None:
        super().__init__(socket)
        self.given: list[Given] = []

    async def run(self, line: str) -> list[str]:
        self.given.append(Given(time.monotonic(), line))
        return await super().run(line)

    @property
    def typed(self) -> list[Given]:
        """What was typed, pasted or pressed, in order."""
        return [each for each in self.given if each.types]


class Stop:
    """A place where an executor is killed: who comes there stays for ever, and nothing after it happens."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def wait(self) -> None:
        """Until the executor is there."""
        async with asyncio.timeout(20):
            await self.reached.wait()

    async def here(self) -> None:
        self.reached.set()
        await asyncio.Future[None]()


class Failure(Stop):
    """A place where something fails once, instead."""

    def __init__(self, error: TemporaryError) -> None:
        super().__init__()
        self._error = error

    async def here(self) -> None:
        self.reached.set()
        raise self._error


class StoppingQueue:
    """A broker whose method `name` is where the executor is killed, before or after it did its work."""

    def __init__(self, broker: Broker, name: str, when: str, *, call: int = 1, stop: Stop | None = None) -> None:
        self.stop = stop or Stop()
        self._broker = broker
        self._name = name
        self._when = when
        self._left = call

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._broker, name)
        if name != self._name:
            return method

        async def stopped(*args: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0 and self._when == "before":
                await self.stop.here()
            answer = await method(*args, **options)
            if self._left == 0:
                await self.stop.here()
            return answer

        return stopped


class StoppingGuard(Guard):
    """A guard whose `type_text` or `press_enter` is where the executor is killed, before or after tmux did it."""

    def __init__(
        self, pipe: CommandPipe, buffers: Path, name: str, when: str, *, call: int = 1, stop: Stop | None = None
    ) -> None:
        super().__init__(pipe, buffers)
        self.stop = stop or Stop()
        self._name = name
        self._when = when
        self._left = call

    async def type_text(self, *args: Any, **options: Any) -> Any:
        return await self._stopped("type_text", super().type_text(*args, **options))

    async def press_enter(self, *args: Any, **options: Any) -> Any:
        return await self._stopped("press_enter", super().press_enter(*args, **options))

    async def _stopped(self, name: str, work: Coroutine[Any, Any, Any]) -> Any:
        self._left -= name == self._name
        if name != self._name or self._left:
            return await work
        if self._when == "before":
            work.close()
            await self.stop.here()
        answer = await work
        await self.stop.here()
        return answer


class Rig:
    """One tmux server, one Redis and the couriers of one session; use `Rig.open`."""

    def __init__(self, tmux: Tmux, broker: Broker, directory: Path, config: Config) -> None:
        self.tmux = tmux
        self.broker = broker
        self.directory = directory
        self.config = config
        self.agents: dict[str, Agent] = {}
        self.providers: dict[str, Provider] = {}
        self.pipes: list[CommandPipe] = []
        self.token_budget = 0
        self.build()

    @classmethod
    @asynccontextmanager
    async def open(cls, tmux: Tmux, home: Path, **settings: Any) -> AsyncIterator[Self]:
        """A rig on a running tmux server, with a Redis under `home`; all ends with the block."""
        url = redis_server.ensure(home).url
        try:
            broker = await Broker.connect(url, SESSION)
            rig = cls(tmux, broker, home, Config(**{**QUICK, **settings}))
            wakes = asyncio.create_task(rig._wakes())
            try:
                yield rig
            finally:
                wakes.cancel()
                await asyncio.wait([wakes])
                await rig.executor.close()
                for pipe in rig.pipes:  # those of killed executors too
                    await pipe.close()
                moves = await rig.moves()
                await broker.close()
            assert not (wrong := [move for move in moves if not possible(*move)]), f"not in the table: {wrong}"
        finally:
            redis_server.stop(home)

    def build(
        self,
        *,
        queue: Any = None,
        guard: Callable[[CommandPipe, Path], Guard] = Guard,
        pipe: RecordingPipe | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """The rooms of one executor, from the pipe up, which serve all agents there are; `now` is its clock."""
        for name in ("spool", "bodies", "buffers"):
            (self.directory / name).mkdir(exist_ok=True)
        self.pipe = pipe or RecordingPipe(self.tmux.socket)
        self.pipes.append(self.pipe)
        self.observer = Observer(self.pipe, now, ready_timeout_s=self.config.ready_timeout_s)
        self.guard = guard(self.pipe, self.directory / "buffers")
        self.executor = Executor(
            Doors(
                session=SESSION,
                queue=queue or self.broker,
                eyes=self.observer,
                guard=self.guard,
                incarnation=self._incarnation,
                config=self.config,
                bodies=self.directory / "bodies",
                now=now,
                token_budget=lambda: self.token_budget,
            )
        )
        for agent in self.agents.values():
            self._serve(agent)

    async def _wakes(self) -> None:
        """Pass on who has something new, as the orchestrator does."""
        async for name in self.broker.wakes():
            self.executor.wake(name)

    async def kill(self) -> None:
        """End the executor where it stands; nothing of it goes on."""
        await self.executor.close()

    async def _incarnation(self, pane: Pane) -> Incarnation:
        return await self.pipe.incarnation(pane)

    # Agents

    async def start(self, name: str, argv: Sequence[str], provider: Provider | str) -> Agent:
        """Open a window that runs `argv`, and deliver to it."""
        if isinstance(provider, str):
            provider = parse_provider(tomllib.loads(provider), f"{name}.toml")
        window = 3 + len(self.agents)
        pane = await windows.open_window(self.pipe, KEEPER, window, name, cwd=str(self.directory))
        agent = Agent(window, name, status=AgentStatus.RUNNING, provider=provider.name, pane=pane)
        self.providers[name] = provider
        return await self.run(agent, argv)

    async def run(self, agent: Agent, argv: Sequence[str]) -> Agent:
        """Replace what runs in the agent's pane by `argv`, as a restart does."""
        owner = f"{SESSION}/{agent.name}"
        pid = await windows.run_in(self.pipe, agent.pane, argv, cwd=str(self.directory), owner=owner)
        agent = replace(agent, pid=pid, launched_at=iso(time.time()))
        await self.broker.put_agent(agent)
        self._serve(agent)
        self.executor.wake(agent.name)
        return agent

    def spool(self, name: str) -> Path:
        """Where the hooks of an agent drop their files."""
        return self.directory / "spool" / name

    def _serve(self, agent: Agent) -> None:
        self.agents[agent.name] = agent
        provider = self.providers[agent.name]
        self.observer.watch(
            agent,
            provider,
            spool=self.spool(agent.name),
            cwd=str(self.directory),
            environ={"HOME": str(self.directory)},
            started_at=time.time(),
        )
        self.executor.serve(agent, provider)

    async def set(self, name: str, **changes: Any) -> Agent:
        """Change what is known of an agent (paused, …), as the orchestrator does."""
        agent = replace(self.agents[name], **changes)
        await self.broker.put_agent(agent)
        self.observer.update(agent)
        self._serve(agent)
        self.executor.wake(name)
        return agent

    # Commands

    async def send(
        self,
        target: str,
        message: str,
        *,
        id: str = "",
        sender: str = "mother",
        priority: Priority = Priority.NORMAL,
        when: When = When.IDLE,
        wake: bool = True,
    ) -> str:
        """Store a command and wake its courier; its id."""
        id = id or f"m{secrets.token_hex(5)}"
        await self.broker.enqueue(Command(id, sender, target, message, priority, when, iso(time.time())))
        if wake:
            self.executor.wake(target)
        return id

    async def ledger(self, command_id: str) -> Ledger:
        ledger = await self.broker.ledger(command_id)
        assert ledger is not None, f"no command {command_id}"
        return ledger

    async def until(self, command_id: str, *states: CommandState, timeout_s: float = 20) -> Ledger:
        """The ledger of a command, once it stands in one of these states."""

        async def there() -> Ledger | None:
            ledger = await self.ledger(command_id)
            return ledger if ledger.state in states else None

        found = await wait_for_async(there, timeout_s, lambda: f"{command_id} in {states}\n{self.report(command_id)}")
        assert found is not None
        return found

    async def pressed(self, command_id: str) -> Ledger:
        """The ledger of a command, once its Enter was pressed: that is announced a moment before."""
        ledger = await self.until(command_id, CommandState.ENTERED)
        pane = self.agents[ledger.target].pane
        noted = f"{command_id}/"
        await wait_for_async(lambda: self.tmux.show(pane, "#{@taco_entered}").startswith(noted), what=self.report)
        return ledger

    async def ended(self, *command_ids: str, timeout_s: float = 20) -> list[Ledger]:
        """The ledgers of commands, once all have ended."""
        deadline = time.monotonic() + timeout_s
        return [
            await self.until(each, *FINAL_STATES, timeout_s=max(0.0, deadline - time.monotonic()))
            for each in command_ids
        ]

    async def held(self, agent: str, reason: str, *, timeout_s: float = 20) -> str:
        """Why the queue of an agent stands still, as `queues` shows it, once that contains `reason`."""

        async def there() -> str:
            hold = (await self.broker.queues())[agent].hold
            return hold if reason in hold else ""

        return await wait_for_async(there, timeout_s, lambda: f"hold {reason!r}\n{self.report()}")

    async def counted(self) -> dict[str, int]:
        """The counters, without their common prefix and suffix: enqueued, executed, failed, …"""
        counters = await self.broker.counters()
        return {name.removeprefix("commands:").removesuffix(":total"): value for name, value in counters.items()}

    async def events(self, command_id: str) -> list[Event]:
        """What happened to one command."""
        return [event for event in await self.broker.events(count=10_000) if event.command == command_id]

    async def moves(self) -> set[tuple[CommandState, CommandState]]:
        """Every change of state of every command that was told of."""
        found, stands = set(), {}
        for event in await self.broker.events(count=10_000):
            state = STATES.get(event.type)
            if state is not None:
                if event.command in stands and stands[event.command] is not state:
                    found.add((stands[event.command], state))
                stands[event.command] = state
        return found

    def report(self, *_: str) -> str:
        """Every pane's screen and what was typed, for a failure's text."""
        screens = "\n".join(f"--- {agent.name}\n{self.tmux.screen(agent.pane)}" for agent in self.agents.values())
        typed = "\n".join(f"{each.at:.3f} {each.line[:400]}" for each in self.pipe.typed[-12:])
        return f"{screens}\n--- typed\n{typed}"


def possible(before: CommandState, after: CommandState) -> bool:
    """Whether the table of `delivery` has a way from one state to another; an Enter that was refused is not told of."""
    starts = {before, CommandState.TYPED} if before is CommandState.ENTERED else {before}
    return any((start, after) in WAYS for start in starts)


class Canvas:
    """A raw reader in a pane, on whose screen the test draws: what a program shows and what it gets, apart."""

    def __init__(self, tmux: Tmux, log: Path, pane: str) -> None:
        self.tmux = tmux
        self.log = log
        self.pane = pane
        self.tty = tmux.show(pane, "#{pane_tty}")
        self._marks: list[bytes] = []
        wait_for(lambda: read_raw(log).ready, what="raw reader")

    @property
    def pid(self) -> int:
        """The process in the pane."""
        return int(self.tmux.show(self.pane, "#{pane_pid}"))

    def draw(self, *rows: str, cursor: tuple[int, int] | None = None) -> None:
        """Clear the screen and draw rows; the cursor at (column, row), else after the last row."""
        mark = f"drawn {secrets.token_hex(4)}"  # in the title: it changes when all before it is drawn
        place = "" if cursor is None else f"\x1b[{cursor[1] + 1};{cursor[0] + 1}H"
        text = "\x1b[H\x1b[2J" + "\r\n".join(rows) + place
        handle = os.open(self.tty, os.O_WRONLY | os.O_NOCTTY)
        try:
            os.write(handle, f"{text}\x1b]2;{mark}\x07".encode())
        finally:
            os.close(handle)
        wait_for(lambda: self.tmux.show(self.pane, "#{pane_title}") == mark, what="drawing")

    def received(self) -> Received:
        """What the program has got."""
        return read_raw(self.log)

    def settled(self) -> bytes:
        """All the program has got when a mark that is typed now has come too, without the marks."""
        mark = f"<{secrets.token_hex(4)}>"
        self._marks.append(mark.encode())
        self.tmux.run("send-keys", "-t", self.pane, "-l", "--", mark)
        data = wait_for(lambda: self.received().data if mark.encode() in self.received().data else b"", what="mark")
        for each in self._marks:
            data = data.replace(each, b"")
        return data
