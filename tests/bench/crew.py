"""A real session with demo agents that have drawn and gone quiet: bin/taco, its executor, its monitor."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from taco import redis_server
from taco.broker import Broker
from taco.models import Agent, Level
from tests.support.sessions import House, Session, a_house

SESSION = "bench"


@dataclass(frozen=True)
class Crew:
    """A session whose `size` agents (`a0`, `a1`, …) sit at their prompts, Mother too."""

    session: Session
    size: int
    stood_s: float  # from `taco start` to everybody at the prompt

    @property
    def names(self) -> list[str]:
        """The agents without Mother."""
        return [f"a{number}" for number in range(self.size)]

    @property
    def url(self) -> str:
        """Where the session's Redis answers."""
        return redis_url(self.session.house)

    def pids(self) -> dict[str, int]:
        """The processes that are there for the whole session."""
        server = redis_server.running(self.session.house.home)
        found = {
            "executor": int(self.session.pane(2, "#{pane_pid}")),
            "monitor": int(self.session.pane(1, "#{pane_pid}")),
        }
        found["tmux"] = int(self.session.pane(0, "#{pid}"))
        return found | ({"redis": server.pid} if server else {})

    def agent_pid(self, number: int) -> int:
        """The demo agent in the window of agent `number`."""
        return int(self.session.pane(number + 3, "#{pane_pid}"))


def redis_url(house: House) -> str:
    """The private Redis of a house that runs one."""
    server = redis_server.running(house.home)
    assert server is not None, "the session's Redis does not run"
    return server.url


@contextlib.contextmanager
def crew(size: int, *, at_once: int = 8, timeout_s: float = 240) -> Iterator[Crew]:
    """Start a session with that many agents, and end it with the block."""
    with a_house(TACO_DEMO_IDLE="1", TACO_START_CONCURRENCY=str(at_once), TACO_DEMO_LOG="") as house:
        yield stand(house, size, timeout_s=timeout_s)


def stand(house: House, size: int, *, timeout_s: float = 240) -> Crew:
    """Start a session of `size` agents in a house, and wait until all sit at their prompts."""
    spec = house.spec(SESSION, *(f"a{number}" for number in range(size)))
    begun = time.monotonic()
    most = str(max(size, 1))
    session = house.start(SESSION, "--provider", "demo", "--spec", str(spec), "--max-agents", most)
    asyncio.run(_all_idle(house, size + 1, timeout_s))
    return Crew(session, size, time.monotonic() - begun)


async def _all_idle(house: House, count: int, timeout_s: float) -> None:
    broker = await Broker.connect(redis_url(house), SESSION)
    deadline = time.monotonic() + timeout_s
    try:
        while not _are_idle(team := await broker.agents(), count):
            if time.monotonic() > deadline:
                shown = ", ".join(f"{agent.name} {agent.state}" for agent in team)
                raise TimeoutError(f"not everybody is at the prompt after {timeout_s:g} s: {shown}")
            await asyncio.sleep(0.01)
    finally:
        await broker.close()


def _are_idle(team: list[Agent], count: int) -> bool:
    return len(team) == count and all(agent.state.level is Level.IDLE for agent in team)
