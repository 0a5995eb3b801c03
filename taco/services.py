"""Services that agents offer each other: registered with a place, found by name, waited for until they answer."""

from __future__ import annotations

import asyncio
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit

from taco.errors import ConflictError, NotFoundError, UsageError
from taco.models import Service

HEALTHY, UNHEALTHY, DOWN = "healthy", "unhealthy", "down"
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
CHECK_S = 3.0
POLL_S = 0.25
_PORTS = {"http": 80, "https": 443, "redis": 6379, "postgres": 5432, "postgresql": 5432, "mysql": 3306}


class Registry(Protocol):
    """What this room asks of the broker."""

    async def put_service(self, service: Service) -> None:
        """Write a service's record."""

    async def services(self) -> list[Service]:
        """Every service."""


def service_from(name: str, *, url: str, port: int, owner: str) -> Service:
    """A service at a url, at a port of this machine, or (with neither) at a free port; raises UsageError."""
    if url:
        found = address(url)[1]
        if port and port != found:
            raise UsageError(f"--port {port} and {url} differ", hint="give one of them")
        return Service(name, url, found, owner=owner)
    port = port or free_port()
    return Service(name, f"http://localhost:{port}", port, owner=owner)


def address(url: str) -> tuple[str, int]:
    """Host and port of a url; raises UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise UsageError(f"{url!r} is no url: {error}", hint="for example http://localhost:8000") from None
    if not parts.hostname or not port:
        raise UsageError(f"{url!r} has no host and port", hint="for example http://localhost:8000")
    return parts.hostname, port


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def register(registry: Registry, service: Service) -> Service:
    """Store a service with its health of now; raises ConflictError when another has its name or port."""
    for each in await registry.services():
        if each.name == service.name and each.owner not in ("", service.owner):
            raise ConflictError(f"service {each.name!r} is {each.owner}'s", hint="choose another name")
        if each.name != service.name and each.url == service.url:
            raise ConflictError(f"{each.url} is registered as {each.name!r} already", hint="choose another port")
    service = replace(service, health=await check(service))
    await registry.put_service(service)
    return service


async def find(registry: Registry, name: str) -> Service:
    """A service by name; raises NotFoundError that lists the others."""
    known = await registry.services()
    for each in known:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in known) or "none yet"
    raise NotFoundError(f"no service {name!r}", hint=f"services: {names}; taco service wait {name} waits for it")


async def wait(registry: Registry, name: str, timeout_s: float, health: str = "") -> Service | None:
    """The service once it is registered and healthy, or None after `timeout_s`; what was seen is stored."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        found = next((each for each in await registry.services() if each.name == name), None)
        if found:
            seen = replace(found, health=await check(found, health))
            if seen != found:
                await registry.put_service(seen)
            if seen.health == HEALTHY:
                return seen
        if asyncio.get_running_loop().time() >= deadline:
            return None
        await asyncio.sleep(POLL_S)


async def check(service: Service, health: str = "") -> str:
    """`healthy`, `unhealthy` (an HTTP server that answers with an error) or `down`.

    `health` is "tcp", a url that must answer with 2xx, or "": an HTTP answer below 500 for http urls, else tcp.
    """
    if health and health != "tcp":
        return await asyncio.to_thread(_http, health, range(200, 300))
    if not health and service.url.startswith(("http://", "https://")):
        return await asyncio.to_thread(_http, service.url, range(500))
    return await _tcp(*address(service.url))


async def _tcp(host: str, port: int) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return DOWN
    writer.close()
    return HEALTHY


def _http(url: str, good: Sequence[int]) -> str:
    """What an HTTP GET says; proxies are not asked for what runs on this machine."""
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no http url", hint="give tcp or a url such as http://localhost:8000/health")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=CHECK_S) as answer:
            return HEALTHY if answer.status in good else UNHEALTHY
    except urllib.error.HTTPError as error:
        return HEALTHY if error.code in good else UNHEALTHY
    except (OSError, ValueError):
        return DOWN
