"""Services that agents offer each other: registered with a place, found by name, waited for until they answer.

`ports` says whose a port of this machine is, `checks` whether something answers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from taco.errors import ConflictError, NotFoundError, UsageError
from taco.models import GONE_LEVELS, PERSON, Agent, AgentStatus, Service, from_iso
from taco.services import ports
from taco.services.checks import (
    DOWN,
    HEALTHY,
    TCP,
    UNHEALTHY,
    UNKNOWN,
    Seen,
    Workplace,
    address,
    check_rule,
    is_command,
    is_local,
    look,
)
from taco.services.ports import Runs

__all__ = [
    "DOWN",
    "HEALTHY",
    "NAME",
    "TCP",
    "UNHEALTHY",
    "UNKNOWN",
    "Registry",
    "Runs",
    "Seen",
    "Workplace",
    "address",
    "check_rule",
    "find",
    "gone",
    "guess",
    "is_command",
    "is_local",
    "judge",
    "keep",
    "look",
    "place",
    "register",
    "restore",
    "service_from",
    "unregister",
    "wait",
]

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
POLL_S = 0.25
FORGOTTEN_S = 60.0  # a claim without a service is older than any registration takes


class Registry(ports.Registry, Protocol):
    """What this room asks of the broker."""

    async def put_service(self, service: Service) -> None:
        """Write a service's record; raises ConflictError when it is another's."""

    async def set_health(self, service: Service, health: str, reason: str, *, lost: bool = False) -> bool:
        """Note how a service is, or that its place is lost."""

    async def remove_service(self, service: Service) -> bool:
        """Forget a service."""

    async def services(self) -> list[Service]:
        """Every service."""

    async def agents(self) -> list[Agent]:
        """Every agent."""


def service_from(name: str, *, url: str = "", port: int = 0, owner: str, check: str = "") -> Service:
    """A service at a url, at a port of this machine, or (with neither) at one that is yet to be chosen.

    A port that an agent names is its own from now on; what a person has at a url may be shared by many sessions, such
    as a database. Raises UsageError.
    """
    if not url:
        place = _local(port) if port else ""
        return Service(name, place, port, UNKNOWN, owner, check, claimed=True)
    found = address(url)[1]
    if port and port != found:
        raise UsageError(f"--port {port} and {url} differ", hint="give one of them")
    return Service(name, url, found, UNKNOWN, owner, check, claimed=owner != PERSON and is_local(url))


def _local(port: int) -> str:
    return f"http://localhost:{port}"


def guess(session: str, name: str, allowed: range) -> int:
    """The port that a service will probably get: all that can be said where Redis cannot be reached."""
    holder = f"{session}/{name}"
    return next((port for port in ports.order(allowed, holder) if not ports.is_used(port)), allowed[0])


async def register(registry: Registry, service: Service, runs: Runs, at: Workplace) -> Service:
    """Claim a service's port (choose one, when it names none) and store it with its health of now.

    Raises ConflictError when another has its name or place, UsageError for a rule that cannot work.
    """
    placed = await place(registry, service, runs)
    seen = await look(placed.url, placed.check, at)
    placed = replace(placed, health=seen.health, reason=seen.reason)
    await registry.put_service(placed)
    return placed


async def place(registry: Registry, service: Service, runs: Runs, guessed: int = 0) -> Service:
    """A service at the port that is its own now; nothing is stored of it. Raises ConflictError.

    `guessed`: the port that it would like best, where one is chosen for it.
    """
    for each in await registry.services():
        if each.name == service.name and each.owner not in ("", service.owner):
            hint = f"choose another name; the person may free it: taco service unregister {each.name}"
            raise ConflictError(f"service {each.name!r} is {each.owner}'s", hint=hint)
        if each.name != service.name and service.url and each.url == service.url:
            raise ConflictError(f"{each.url} is registered as {each.name!r} already", hint="choose another port")
    if not service.claimed:
        return await _unclaimed(registry, service)
    if not service.port:
        port = await ports.choose(registry, service.name, runs, guessed)
        return replace(service, port=port, url=_local(port))
    claim = (await registry.claims()).get(service.port)
    others = claim is not None and claim.session == registry.session and claim.service != service.name
    if others and service.url != _local(service.port):  # two urls of one server, such as /api and /admin
        return await _unclaimed(registry, service)
    await ports.take(registry, service.name, service.port, runs)
    return service


async def _unclaimed(registry: Registry, service: Service) -> Service:
    """A service whose port is not its own; the one that it had before is given back."""
    await registry.release_ports(f"{ports.holder_of(registry, service.name)} ")
    return replace(service, claimed=False)


async def unregister(registry: Registry, name: str) -> Service:
    """Forget a service and give its port back; raises NotFoundError."""
    service = await _named(registry, name)
    await registry.remove_service(service)
    await registry.release_ports(f"{ports.holder_of(registry, name)} ")
    return service


async def find(registry: Registry, name: str) -> Service:
    """A service by name; raises NotFoundError that lists the others, or says why it has no place any more."""
    found = await _named(registry, name)
    if not found.url:
        raise NotFoundError(f"service {name!r} has no place: {found.reason}", hint=f"its owner is {found.owner}")
    return found


async def _named(registry: Registry, name: str) -> Service:
    known = await registry.services()
    for each in known:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in known) or "none yet"
    raise NotFoundError(f"no service {name!r}", hint=f"services: {names}; taco service wait {name} waits for it")


async def wait(
    registry: Registry, name: str, timeout_s: float, rule: str = "", at: Workplace | None = None
) -> Service | None:
    """The service as it is when it is healthy, or after `timeout_s`; None when it is not registered.

    `rule` counts for this call in place of the service's own, whose outcome is stored. Without a workplace commands
    are the executor's to run, and what it has noted counts.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        found = next((each for each in await registry.services() if each.name == name), None)
        if found:
            found = await _seen(registry, found, rule, at)
            if found.health == HEALTHY:
                return found
        if asyncio.get_running_loop().time() >= deadline:
            return found
        await asyncio.sleep(POLL_S)


async def _seen(registry: Registry, service: Service, rule: str, at: Workplace | None) -> Service:
    """A service as it is now."""
    if at is None and is_command(rule or service.check):
        return service
    seen = await judge(service, await registry.agents(), at or Workplace(Path(), {}), rule)
    if not rule and seen != (service.health, service.reason):
        await registry.set_health(service, *seen)
    return replace(service, health=seen.health, reason=seen.reason)


async def judge(service: Service, team: Iterable[Agent], at: Workplace, rule: str = "") -> Seen:
    """How a service is: who offers it must be there, and it must answer. `rule` counts in place of its own."""
    if why := gone(service, team):
        return Seen(UNHEALTHY, why)
    try:
        return await look(service.url, rule or service.check, at)
    except UsageError as error:
        if rule:
            raise
        return Seen(UNHEALTHY, error.message)


def gone(service: Service, team: Iterable[Agent]) -> str:
    """Why there is no use to look at a service: its place is lost, or who offers it has ended; "" when there is."""
    if not service.url:
        return service.reason or "it has no place"
    if service.owner in ("", PERSON):
        return ""
    agent = next((each for each in team if each.name == service.owner), None)
    if agent is None:
        return f"its agent {service.owner} was removed"
    if agent.state.level in GONE_LEVELS:
        return f"its agent {agent.name} has ended: {agent.state}"
    ends = {AgentStatus.FAILED: "has failed", AgentStatus.STOPPED: "was stopped"}
    return f"its agent {agent.name} {ends[agent.status]}" if agent.status in ends else ""


async def keep(registry: Registry, now: float) -> None:
    """Hold the port of every service; one that is another's by now is lost, and claims without a service end.

    `now`: epoch seconds.
    """
    claims, services = await registry.claims(), await registry.services()
    for each in services:
        claim = claims.get(each.port) if each.claimed else None
        if each.claimed and (claim is None or claim.holder != ports.holder_of(registry, each.name)):
            taken = await ports.hold(registry, each.name, each.port)
            if taken:
                await _lose(registry, each, taken)
    names = {each.name for each in services}
    for claim in claims.values():
        if claim.session == registry.session and claim.service not in names and _age_s(claim.since, now) > FORGOTTEN_S:
            await registry.release_ports(str(claim))


async def restore(registry: Registry) -> None:
    """Bring the services of a session back that did not run, before any of its agents does.

    Each has the port that it had, unless another session or a program of this machine has taken it meanwhile.
    """
    for each in await registry.services():
        taken = await ports.hold(registry, each.name, each.port) if each.claimed else ""
        if each.claimed and not taken and each.owner != PERSON and ports.is_used(each.port, lingering=False):
            await registry.release_ports(f"{ports.holder_of(registry, each.name)} ")
            taken = "used by another program"
        if taken:
            await _lose(registry, each, taken)
        elif each.url:
            await registry.set_health(each, UNKNOWN, "")


async def _lose(registry: Registry, service: Service, taken: str) -> None:
    reason = f"port {service.port} is {taken} now; register it again"
    await registry.set_health(service, UNHEALTHY, reason, lost=True)


def _age_s(since: str, now: float) -> float:
    try:
        return now - from_iso(since)
    except ValueError:
        return now
