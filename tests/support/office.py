"""A desk as the orchestrator's rooms have it: a real Redis, a project on disk, and agents that do not run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taco import redis_server
from taco.agents import Agents, Ground
from taco.broker import Broker
from taco.config import Config
from taco.executor import Executor
from taco.models import Agent, AgentStatus, EventType
from taco.observe import Observer
from taco.orchestrator.desk import Desk
from taco.orchestrator.outbox import Outboxes
from taco.paths import SessionRecord
from taco.spool import TRIES
from taco.tmux.commands import CommandPipe

SESSION = "shop"


@dataclass
class Office:
    """A desk with `mother` and `api` in the project itself and `bb` in `w`, none of which runs."""

    desk: Desk
    outboxes: Outboxes

    def box(self, name: str) -> Path:
        """The outbox of an agent, made when it is not there."""
        agent = next(each for each in self.desk.team if each.name == name)
        path = self.desk.ground.outbox(agent)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def drop(self, name: str, verb: str, file: str = "", **fields: Any) -> Path:
        """Leave a call in the outbox of an agent."""
        path = self.box(name) / (file or f"{time.time_ns()}-x.json")
        path.write_text(json.dumps({"verb": verb, **fields}))
        return path

    async def rounds(self, count: int = TRIES) -> None:
        """So many rounds."""
        for _ in range(count):
            await self.outboxes.step()

    async def told(self, kind: EventType) -> list[str]:
        """What was told of this kind, oldest first."""
        return [each.content for each in await self.desk.broker.events() if each.type is kind]

    async def messages(self, name: str) -> list[tuple[str, str]]:
        """Sender and text of what waits for an agent, in order."""
        found = []
        while (head := (await self.desk.broker.heads(name)).head) is not None:
            found.append((head.command.sender, head.command.message))
            await self.desk.broker.cancel(head.command.id)
        return found


@asynccontextmanager
async def an_office(home: Path, root: Path) -> AsyncIterator[Office]:
    """An office whose project is `root/p`; its Redis ends with the block."""
    url = redis_server.ensure(home).url
    project = root / "p"
    (project / "w").mkdir(parents=True)
    try:
        broker = await Broker.connect(url, SESSION)
        record = SessionRecord(SESSION, home, project_dir=project)
        ground = Ground(SESSION, record.directory, project, {}, home, url)
        pipe = CommandPipe("none")
        observer = Observer(pipe, time.time, ready_timeout_s=1)
        doors: Any = None
        agents = Agents(ground, pipe, time.time)
        desk = Desk(record, Config(), broker, pipe, observer, Executor(doors), agents, ground, {}, doors, Config)
        for window, name, workspace in ((0, "mother", ""), (3, "api", "."), (4, "bb", "w")):
            await broker.put_agent(
                Agent(window, name, status=AgentStatus.RUNNING, workspace=workspace, pid=os.getpid())
            )
        desk.team = await broker.agents()
        yield Office(desk, Outboxes(desk))
        await broker.close()
    finally:
        redis_server.stop(home)
