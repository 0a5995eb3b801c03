"""Looks after the services of a session: whether they answer, whether who offers them is there, whose their ports are.

Often while a service is new or has just changed, more and more rarely while nothing changes. What is seen is written
down with the service, and a change is told as an event.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from taco import log, services
from taco.errors import TacoError
from taco.models import PERSON, Agent, Event, EventType, Service
from taco.orchestrator.desk import Desk

FIRST_S, MOST_S = 1.0, 30.0  # between two looks at a service
AT_ONCE = 8  # services that are looked at in one moment
ROUND_S = 5.0  # between two looks at who offers them, where no event tells that it has changed
QUIET_S = 30.0  # the same while there is no service
KEEP_S = 30.0  # between two looks at the table of ports
_ENDS = frozenset({EventType.AGENT_EXITED, EventType.AGENT_FAILED, EventType.AGENT_REMOVED, EventType.AGENT_RESTARTED})


@dataclass(slots=True)
class Round:
    """When a service is looked at next: it is the one at this place, by this rule."""

    place: tuple[str, str, str]
    due: float  # as the loop's clock says
    rest_s: float = 0.0

    def seen(self, now: float, *, changed: bool) -> None:
        """It was looked at: soon again when it has changed, else after twice the time."""
        self.rest_s = FIRST_S if changed else min(max(2 * self.rest_s, FIRST_S), MOST_S)
        self.due = now + self.rest_s


class Health:
    """The health of every service of one session."""

    def __init__(self, desk: Desk) -> None:
        """Nothing is looked at by this."""
        self._desk = desk
        self._rounds: dict[str, Round] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._woken = asyncio.Event()
        self._keep_at = 0.0

    def note(self, event: Event) -> None:
        """Hear of an event: a new service, or the end of who offers one, is a reason to look at once."""
        if event.type is EventType.SERVICE_REGISTERED or (self._rounds and event.type in _ENDS):
            self._woken.set()

    async def run(self) -> None:
        """Look after them for ever; raises BrokerError when Redis is away."""
        try:
            while True:
                self._woken.clear()
                rest_s = await self.step()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(rest_s):
                        await self._woken.wait()
        finally:
            looks = list(self._looks.values())
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)

    async def step(self) -> float:
        """Begin to look at what is due; how long nothing will be, in seconds."""
        broker = self._desk.broker
        known = await broker.services()
        self._rounds = {each.name: self._round(each) for each in known}
        if not known:
            return QUIET_S
        await self._keep_ports()
        team = await broker.agents()
        next_at = _now() + ROUND_S
        for each in known:
            round_ = self._rounds[each.name]
            if why := services.gone(each, team):
                round_.due = _now()  # it is looked at at once when that has changed
                await self._note_gone(each, why, team)
            elif each.name in self._looks:
                continue
            elif round_.due <= _now():
                self._looks[each.name] = asyncio.create_task(self._look(each, team, round_), name=f"health-{each.name}")
            else:
                next_at = min(next_at, round_.due)
        return max(0.0, next_at - _now())

    def _round(self, service: Service) -> Round:
        """The round of a service; a new one when it was placed anew."""
        place = (service.url, service.owner, service.check)
        found = self._rounds.get(service.name)
        return found if found and found.place == place else Round(place, _now())

    async def _keep_ports(self) -> None:
        if _now() >= self._keep_at:
            self._keep_at = _now() + KEEP_S
            await services.keep(self._desk.broker, self._desk.now())

    async def _note_gone(self, service: Service, why: str, team: Iterable[Agent]) -> None:
        """There is nothing to look at; who can mend it is told."""
        if (service.health, service.reason) != (services.UNHEALTHY, why):
            await self._desk.broker.set_health(service, services.UNHEALTHY, why)
        owner = next((agent for agent in team if agent.name == service.owner and agent.pid), None)
        if owner is not None and not service.url:
            text = f"Your service {service.name} has lost its place: {why}: taco service register {service.name}"
            await self._desk.message(owner.name, text, key=f"place/{service.name}/{why}/{owner.launched_at}")

    async def _look(self, service: Service, team: Iterable[Agent], round_: Round) -> None:
        """Look at one service, and write down what was seen."""
        changed = False
        try:
            async with self._slots:
                seen = await self._judge(service, team)
            changed = seen.health != service.health
            if seen != (service.health, service.reason):
                await self._desk.broker.set_health(service, *seen)
        except TacoError as error:
            log.warning("health.failed", service=service.name, error=error.message)
        except Exception:
            # A bug with one service must not end the looks at the others; it is looked at again.
            log.exception("health.failed", service=service.name)
        finally:
            del self._looks[service.name]
            round_.seen(_now(), changed=changed)
            self._woken.set()

    async def _judge(self, service: Service, team: Iterable[Agent]) -> services.Seen:
        if services.is_command(service.check) and service.owner != PERSON:
            return services.Seen(services.UNHEALTHY, "its command is not the person's, so it is not run")
        ground = self._desk.ground
        return await services.judge(service, team, services.Workplace(ground.project, ground.environ))


def _now() -> float:
    return asyncio.get_running_loop().time()
