"""A session without a command line: an executor of this process, a private Redis and tmux.

Its panes hold raw readers (no rules for their screen, so no look and no evidence) or demo agents (both).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from taco import files, redis_server
from taco.broker import Broker
from taco.config import Config
from taco.executor import Doors, Executor
from taco.models import Agent, AgentState, AgentStatus, Command, Incarnation, Level, Pane, iso
from taco.observe import Observer
from taco.provider import Provider
from taco.tmux import windows
from taco.tmux.commands import CommandPipe
from taco.tmux.guard import Guard

READER = Path(__file__).parents[1] / "raw_reader.py"
SESSION = "bench"
RAW = Provider(name="raw", command=("raw",), evidence=(), first_prompt="none")


class Rig:
    """Panes, their agents and an executor; `agents` are named `a0`, `a1`, …"""

    def __init__(self, directory: Path, socket: str, broker: Broker, pipe: CommandPipe, *, demo: bool) -> None:
        self.directory = directory
        self.socket = socket
        self.broker = broker
        self.pipe = pipe
        self.agents: list[Agent] = []
        self._sent = 0
        self._listener: asyncio.Task[None] | None = None
        self._demo = demo
        self.provider = files.provider("demo", directory, directory, directory) if demo else RAW
        self.observer = Observer(pipe, time.time, ready_timeout_s=5.0)
        self.executor = Executor(self._doors())

    def _doors(self) -> Doors:
        server: list[Incarnation] = []

        async def incarnation(pane: Pane) -> Incarnation:
            if not server:
                server.append(await self.pipe.incarnation(pane))
            return Incarnation(server[0].server_pid, server[0].server_started, pane.id, pane.pid)

        config = Config(queue_limit=1_000_000, sender_limit=1_000_000)
        guard = Guard(self.pipe, self.directory)
        return Doors(SESSION, self.broker, self.observer, guard, incarnation, config, self.directory, time.time)

    def log(self, agent: Agent) -> Path:
        """Where the reader of an agent writes what it gets."""
        return self.directory / f"{agent.name}.log"

    async def add(self, count: int) -> None:
        """Open `count` panes with a program each, and wait until they read."""
        for number in range(count):
            await self._open(number)
        deadline = time.monotonic() + 60
        while not await self._are_ready():
            if time.monotonic() > deadline:
                raise TimeoutError("the readers did not start")
            await asyncio.sleep(0.05)

    async def _are_ready(self) -> bool:
        if not self._demo:
            return all(self.log(agent).exists() and self.log(agent).stat().st_size for agent in self.agents)
        screens = await asyncio.gather(*(self.pipe.run(f"capture-pane -p -t {agent.pane}") for agent in self.agents))
        return all(any(line.startswith("> ") or line == ">" for line in screen) for screen in screens)

    def _argv(self, name: str) -> list[str]:
        log = str(self.directory / f"{name}.log")
        if self._demo:
            taco = [sys.executable, "-I", "-m", "taco"]
            return [*taco, "demo-agent", "--name", name, "--idle", "--speed", "0", "--log", log]
        return [sys.executable, "-S", "-E", str(READER), log]

    async def _open(self, number: int) -> None:
        name = f"a{number}"
        pane = await windows.open_window(self.pipe, SESSION, number + 3, name, cwd="/")
        pid = await windows.run_in(self.pipe, pane, self._argv(name), cwd="/", owner=f"{SESSION}/{name}")
        state = AgentState(Level.IDLE, since=time.time(), source="bench")
        agent = Agent(
            number + 3, name, status=AgentStatus.RUNNING, provider=self.provider.name, pane=pane, pid=pid, state=state
        )
        await self.broker.put_agent(agent)
        self.agents.append(agent)

    def serve(self) -> None:
        """Start the couriers."""
        for agent in self.agents:
            self.observer.watch(
                agent, self.provider, spool=self.directory / "spool", cwd="/", environ={}, started_at=time.time()
            )
            self.executor.serve(agent, self.provider)

    def listen(self) -> None:
        """Wake couriers as a session does, by what Redis publishes."""
        self._listener = asyncio.create_task(self._wake())

    async def _wake(self) -> None:
        async for name in self.broker.wakes():
            self.executor.wake(name)

    async def close(self) -> None:
        """Stop couriers and listener."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait([self._listener])
        await self.executor.close()

    async def enqueue(self, per_agent: int, body: str = "message {}") -> None:
        """Queue messages for every agent, numbered in their order."""
        for number in range(per_agent):
            self._sent += 1
            await asyncio.gather(*(self._enqueue(agent.name, body.format(number)) for agent in self.agents))
            for agent in self.agents:
                self.executor.wake(agent.name)

    async def _enqueue(self, name: str, text: str) -> str:
        command_id = f"{name}x{self._sent}"
        await self.broker.enqueue(Command(command_id, "bench", name, text, timestamp=iso(time.time())))
        return command_id

    async def send(self, agent: Agent, text: str) -> str:
        """Queue one message and leave it to `listen` to wake its courier; its id."""
        self._sent += 1
        return await self._enqueue(agent.name, text)

    async def drained(self) -> None:
        """Wait until nothing is queued."""
        while await self.broker.waiting_agents():
            await asyncio.sleep(0.005)

    def submitted_at(self, agent: Agent) -> list[float]:
        """When the agent's program got each message's Enter: epoch seconds."""
        lines = [json.loads(line) for line in self.log(agent).read_text().splitlines()]
        if self._demo:
            return [line["t"] for line in lines if line["event"] == "submit"]
        return [line["t"] for line in lines if line["event"] == "read" and base64.b64decode(line["data"]) == b"\r"]

    async def quiet(self) -> None:
        """Wait until the programs have read all that tmux was given, some of it a moment later."""
        before, now = -1, 0
        while now != before:
            await asyncio.sleep(0.5)
            before, now = now, sum(len(self.received(agent)) for agent in self.agents)

    def received(self, agent: Agent) -> list[tuple[float, bytes]]:
        """What the agent's program read: monotonic seconds and bytes of each read."""
        lines = (json.loads(line) for line in self.log(agent).read_text().splitlines())
        return [(line["mono"], base64.b64decode(line["data"])) for line in lines if line["event"] == "read"]


def waits_ms(reads: Sequence[tuple[float, bytes]]) -> list[float]:
    """For each message the time between its text and its Enter, as the program saw them; joined reads count as 0."""
    found = []
    text_at = None
    for at, data in reads:
        if data.endswith(b"\r"):
            found.append(0.0 if data != b"\r" or text_at is None else (at - text_at) * 1_000)
            text_at = None
        else:
            text_at = at if text_at is None else text_at
    return found


@contextlib.asynccontextmanager
async def rig(panes: int, *, demo: bool = False) -> AsyncIterator[Rig]:
    """A rig with its own tmux server and Redis; both end with it."""
    directory = Path(tempfile.mkdtemp(prefix="taco-bench-"))
    socket = f"taco-bench-{secrets.token_hex(4)}"
    tmux = ["tmux", "-u", "-L", socket, "-f", "/dev/null"]
    subprocess.run(
        [*tmux, "new-session", "-d", "-s", SESSION, "-x", "120", "-y", "40", *windows.PLACEHOLDER], check=True
    )
    server = redis_server.ensure(directory)
    broker = await Broker.connect(server.url, SESSION)
    made = Rig(directory, socket, broker, CommandPipe(socket), demo=demo)
    try:
        await broker.put_session({"queue_limit": "1000000", "sender_limit": "1000000"})
        await made.add(panes)
        made.serve()
        yield made
    finally:
        await made.close()
        await broker.close()
        subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)
        redis_server.stop(directory)
        shutil.rmtree(directory, ignore_errors=True)
