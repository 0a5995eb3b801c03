"""What the rooms of a running session share: its record, its doors, its runners, and its clock."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from taco import files, paths
from taco.agents import Agents, Ground
from taco.answering import Hand
from taco.broker import Broker
from taco.config import Config
from taco.errors import ConflictError, QueueFullError, TacoError
from taco.executor import Executor
from taco.models import MOTHER, Agent, Command, Event, EventType, Priority, When, iso
from taco.observe import Observer
from taco.paths import SessionRecord
from taco.provider import Provider
from taco.records import agent_fields
from taco.tmux.commands import CommandPipe

_PASSING = frozenset({"state", "state_detail", "since", "source", "hold", "waiting_for"})  # not worth a write to disk
TACO = "taco"  # who sends what no agent and no person wrote


@dataclass(slots=True)
class Desk:
    """The running session."""

    record: SessionRecord
    config: Config
    broker: Broker
    pipe: CommandPipe
    observer: Observer
    executor: Executor
    agents: Agents
    ground: Ground
    providers: Mapping[str, Provider]
    hand: Hand
    settings: Callable[[], Config]  # as the files say now
    parked: dict[str, str] = field(default_factory=dict)  # provider -> why none of its agents begins any work now
    team: list[Agent] = field(default_factory=list)  # as Redis had it at the beginning of this round
    _kept_team: list[Agent] = field(default_factory=list)
    _kept: tuple[dict[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The session's name."""
        return self.record.name

    @property
    def mother(self) -> Agent | None:
        """Mother, when the session has one."""
        return next((agent for agent in self.team if agent.name == MOTHER), None)

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()

    def provider_of(self, agent: Agent) -> Provider:
        """The provider of an agent; raises NotFoundError or ConfigError when it is gone or broken."""
        found = self.providers.get(agent.provider)
        if found is not None:
            return found
        return files.provider(agent.provider, paths.config_home(), self.record.home, self.record.project_dir)

    def hands_tools(self, agent: Agent) -> bool:
        """Whether an agent that is launched now has TACO's verbs as MCP tools."""
        try:
            provider = self.provider_of(agent)
        except TacoError:
            return False  # it cannot be launched, and the launch says why
        return self.agents.has_tools(provider) and self.settings().mcp_for(agent.name, provider.name)

    def runnable_providers(self) -> list[str]:
        """The providers whose program is installed; in a scripted session every one will do, as none is used."""
        if self.record.more.get("scripted"):
            return list(self.providers)
        path = self.ground.environ.get("PATH")
        return [
            name
            for name, each in self.providers.items()
            if each.command[0] == "taco" or shutil.which(each.command[0], path=path)
        ]

    def spool_root(self) -> Path:
        """Where all hooks of the session drop their files."""
        return self.record.directory / "spool"

    def keep_team(self) -> None:
        """Write the team to disk when it has changed: what `status` and `resume` know without Redis."""
        if self.team == self._kept_team:
            return
        self._kept_team = self.team
        fields = tuple(agent_fields(agent) for agent in self.team)
        lasting = tuple({key: value for key, value in each.items() if key not in _PASSING} for each in fields)
        if lasting == self._kept:
            return
        self._kept = lasting
        self.record.changed(agents=fields).save_agents()

    async def tell(
        self,
        kind: EventType,
        content: str,
        *,
        agent: str = "",
        level: str = "info",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell an event to the log, the monitor and everybody who listens."""
        await self.broker.emit(
            Event(kind, self.name, ts=iso(self.now()), agent=agent, level=level, content=content, data=data or {})
        )

    async def message(
        self,
        target: str,
        text: str,
        *,
        sender: str = TACO,
        key: str,
        priority: Priority = Priority.NORMAL,
        when: When = When.IDLE,
    ) -> None:
        """Queue a message of TACO's own, once: the same `key` is the same message, in the words it had first.

        When the queue is full, TACO's words go ahead of it; those of an agent raise QueueFullError.
        """
        command_id = f"t{hashlib.sha256(f'{self.name}/{target}/{key}'.encode()).hexdigest()[:15]}"
        command = Command(command_id, sender, target, text, priority, when, iso(self.now()))
        with contextlib.suppress(ConflictError):  # it was sent already, and what it tells of has changed since
            try:
                await self.broker.enqueue(command)
            except QueueFullError:
                if sender != TACO:
                    raise
                await self.broker.enqueue(replace(command, priority=Priority.HIGH))
