"""Delivers commands: one courier for each agent, each with the three steps text, wait, Enter.

The ledger is written before text and before Enter, the pane's own record together with them; whatever is killed in
between, the two tell what has happened. Delivered is only what was seen to arrive.
"""

from __future__ import annotations

import asyncio

from taco.executor.courier import Courier
from taco.executor.doors import Doors
from taco.models import Agent
from taco.provider import Provider

__all__ = ["Doors", "Executor"]


class Executor:
    """The couriers of one session."""

    def __init__(self, doors: Doors) -> None:
        """An executor that serves nobody yet."""
        self._doors = doors
        self._couriers: dict[str, Courier] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def serve(self, agent: Agent, provider: Provider) -> None:
        """Deliver to this agent from now on, or take over what has changed of it."""
        courier = self._couriers.get(agent.name)
        if courier is None:
            courier = self._couriers[agent.name] = Courier(self._doors, agent, provider)
            self._tasks[agent.name] = asyncio.create_task(courier.run(), name=f"courier {agent.name}")
        courier.agent = agent
        courier.provider = provider

    def update(self, agent: Agent) -> None:
        """Take over what has changed of an agent, if it is served."""
        if agent.name in self._couriers:
            self._couriers[agent.name].agent = agent

    async def leave(self, name: str) -> None:
        """Deliver to this agent no longer; its queue stays."""
        self._couriers.pop(name, None)
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def wake(self, name: str) -> None:
        """Something may have changed for this agent: a new command, another state."""
        if name in self._couriers:
            self._couriers[name].wake.set()

    async def close(self) -> None:
        """Stop every courier where it stands; another executor goes on from there."""
        for name in list(self._couriers):
            await self.leave(name)
