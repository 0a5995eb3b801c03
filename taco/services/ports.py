"""Which ports of this machine are free, and whose the others are: every session takes them from one table.

A port is claimed first and looked at then, so that two who look at the same moment do not see each other.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from taco.errors import ConflictError
from taco.models import PORT_RANGE, Claim, port_range

AT_ONCE = 32  # ports that are asked for in one call
_STOPPED = "stopped"
_PLACES = (
    (socket.AF_INET, "127.0.0.1"),
    (socket.AF_INET, "0.0.0.0"),
    (socket.AF_INET6, "::1"),
    (socket.AF_INET6, "::"),
)

Runs = Callable[[str, Mapping[str, str]], Awaitable[bool]]  # whether the session of that name and state runs still


class Registry(Protocol):
    """What this room asks of the broker."""

    session: str

    async def session_fields(self) -> dict[str, str]:
        """All of `session:state`."""

    async def fields_of(self, session: str) -> dict[str, str]:
        """The same of another session."""

    async def claims(self) -> dict[int, Claim]:
        """Whose each port is."""

    async def claim_port(
        self, holder: str, wanted: Sequence[tuple[int, Claim | None]], *, keep: bool = False, refused: int = 0
    ) -> tuple[int, bool]:
        """Gives `holder` the first of some ports that it can have, and whether it is new to it."""

    async def release_ports(self, text: str) -> int:
        """Gives back the ports whose claim begins with `text`."""


def is_used(port: int, *, lingering: bool = True) -> bool:
    """Whether a program of this machine uses a port; `lingering`: also when only connections of it are being closed."""
    return any(_is_used(family, host, port, lingering=lingering) for family, host in _PLACES)


def _is_used(family: socket.AddressFamily, host: str, port: int, *, lingering: bool) -> bool:
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0 if lingering else 1)
            if family is socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, port))
    except OSError as error:  # without IPv6, or in a sandbox, nothing can be said of it
        return error.errno in (errno.EADDRINUSE, errno.EACCES)
    return False


def order(allowed: range, holder: str) -> list[int]:
    """The ports of a range, beginning where this holder always begins: it comes back to the one it had."""
    start = zlib.crc32(holder.encode()) % len(allowed)
    return [*allowed[start:], *allowed[:start]]


def allowed(fields: Mapping[str, str]) -> range:
    """The range of a session, as its executor has noted it."""
    with contextlib.suppress(ValueError):
        return port_range(fields.get("port_range", ""))
    return port_range(PORT_RANGE)


def holder_of(registry: Registry, name: str) -> str:
    """What the claim of a service of this session begins with."""
    return f"{registry.session}/{name}"


async def choose(registry: Registry, name: str, runs: Runs, guessed: int = 0) -> int:
    """A port for a service: the one it has, else one that nobody has claimed and no program uses.

    `guessed` is tried first: what uses that may be the service itself. When all are claimed, those of sessions that do
    not run any more are next. Raises ConflictError when none is left.
    """
    holder, ports = holder_of(registry, name), allowed(await registry.session_fields())
    ranked, used = order(ports, holder), set[int]()
    if guessed in ports:
        ranked = [guessed, *(port for port in ranked if port != guessed)]
    refused = 0
    while True:
        claims = await registry.claims()
        left = [port for port in ranked if port not in used]
        wanted: list[tuple[int, Claim | None]] = [(port, None) for port in left if port not in claims]
        wanted = wanted or await _left_behind(registry, claims, left, runs)
        port, is_new = await registry.claim_port(holder, wanted[:AT_ONCE], keep=True, refused=refused)
        if port and (not is_new or port == guessed or not is_used(port)):
            return port
        if port:
            used.add(port)
            refused = port
        elif not wanted:
            await registry.release_ports(f"{holder} ")
            raise ConflictError(
                f"no port from {ports[0]} to {ports[-1]} is free",
                hint="widen port_range in config.toml, or free some with: taco service unregister NAME",
            )


async def take(registry: Registry, name: str, port: int, runs: Runs) -> None:
    """Claim this very port for a service; raises ConflictError that says whose it is."""
    holder = holder_of(registry, name)
    while True:
        claim = (await registry.claims()).get(port)
        if claim and claim.holder != holder and await is_in_use(registry, claim, runs):
            raise ConflictError(f"port {port} is {whose(registry, claim)}", hint="choose another, or --port auto")
        if (await registry.claim_port(holder, [(port, claim)]))[0]:
            return


async def is_in_use(registry: Registry, claim: Claim, runs: Runs) -> bool:
    """Whether a claim counts: it is of this session, or of one that runs."""
    return claim.session == registry.session or await _is_running(registry, claim.session, runs)


async def hold(registry: Registry, name: str, port: int) -> str:
    """Go on claiming the port of a service; "" when it is its own still, else whose it is by now."""
    if (await registry.claim_port(holder_of(registry, name), [(port, None)]))[0]:
        return ""
    claim = (await registry.claims()).get(port)
    return whose(registry, claim) if claim else "another's"


def whose(registry: Registry, claim: Claim) -> str:
    """A claim in words."""
    session = "" if claim.session == registry.session else f" of session {claim.session}"
    return f"claimed for service {claim.service!r}{session}"


async def _left_behind(
    registry: Registry, claims: Mapping[int, Claim], ports: Iterable[int], runs: Runs
) -> list[tuple[int, Claim | None]]:
    """The ports among these whose sessions do not run any more, each with its claim."""
    running = {registry.session: True}
    found: list[tuple[int, Claim | None]] = []
    for port in ports:
        claim = claims[port]
        if claim.session not in running:
            running[claim.session] = await _is_running(registry, claim.session, runs)
        if not running[claim.session]:
            found.append((port, claim))
    return found


async def _is_running(registry: Registry, session: str, runs: Runs) -> bool:
    fields = await registry.fields_of(session)
    return fields.get("status", _STOPPED) != _STOPPED and await runs(session, fields)
