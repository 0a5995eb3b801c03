"""Whether a service answers: a TCP connection, an HTTP answer, or a command of the person's.

Every check has its time, and none of it is spent in this process' own threads: who is asked may never answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import shlex
import shutil
import socket
import ssl
from collections.abc import Container, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from taco import processes
from taco.errors import UsageError

HEALTHY, UNHEALTHY, DOWN, UNKNOWN = "healthy", "unhealthy", "down", "unknown"
TCP = "tcp"
CHECK_S, COMMAND_S = 3.0, 10.0
_PORTS = {"http": 80, "https": 443, "redis": 6379, "postgres": 5432, "postgresql": 5432, "mysql": 3306}
_HTTP = ("http://", "https://")
_REDIRECTS, _MOST_HEADERS = 5, 100
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_names = ThreadPoolExecutor(2, "resolve")  # a resolver may hang for half a minute: none of it in the shared threads


class Seen(NamedTuple):
    """How a service was found: its health, and why it is not healthy."""

    health: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where the person's commands run."""

    directory: Path
    environ: Mapping[str, str]


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


def is_local(url: str) -> bool:
    """Whether a url is on this machine; raises UsageError."""
    host = address(url)[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_command(rule: str) -> bool:
    """Whether a rule for health is a command, and neither "tcp" nor a url."""
    return rule not in ("", TCP) and not rule.startswith(_HTTP)


def check_rule(rule: str, at: Workplace) -> None:
    """Raises UsageError for a rule that cannot work: a url without a host, a command whose program is not there."""
    if is_command(rule):
        program = _words(rule)[0]
        if not shutil.which(program, path=at.environ.get("PATH")) and not (at.directory / program).is_file():
            hint = "--health takes tcp, a url such as http://localhost:8000/health, or a command"
            raise UsageError(f"there is no program {program!r} to run for --health", hint=hint)
    elif rule not in ("", TCP):
        address(rule)


def _words(command: str) -> list[str]:
    """A command as its program and arguments: no shell sees it."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--health {command!r} cannot be read: {error}", hint="quote it as for a shell") from None
    if not words:
        raise UsageError("--health is empty", hint="tcp, a url, or a command")
    return words


async def look(url: str, rule: str, at: Workplace) -> Seen:
    """How the service at `url` is, in a few seconds; raises UsageError for what is no address.

    `rule`: "tcp"; a url that must answer with 2xx; a command that must end with 0; "": the service's own url, where
    an HTTP answer below 500 will do, or else a connection.
    """
    if is_command(rule):
        return await _run(_words(rule), at)
    asked = "" if rule == TCP else rule or url
    host, port = address(asked or url)
    try:
        async with asyncio.timeout(CHECK_S):
            if asked.startswith(_HTTP):
                return await _ask(asked, range(200, 300) if rule else range(500))
            _, writer = await _connect(host, port)
            writer.close()
            return Seen(HEALTHY)
    except TimeoutError:
        return Seen(DOWN, f"{host}:{port} does not answer within {CHECK_S:g} s")
    except ConnectionRefusedError:
        return Seen(DOWN, f"nothing listens at {host}:{port}")
    except (OSError, EOFError) as error:
        return Seen(DOWN, f"{host}:{port}: {getattr(error, 'strerror', '') or str(error) or 'it hung up'}")
    except ValueError as error:
        return Seen(UNHEALTHY, f"{host}:{port} does not speak HTTP: {error}")


async def _connect(host: str, port: int, tls: ssl.SSLContext | None = None) -> _Connection:
    """A connection to the first of the host's addresses that takes one; raises OSError."""
    failure: OSError | None = None
    for each in await _addresses(host, port):
        try:
            return await asyncio.open_connection(each, port, ssl=tls, server_hostname=host if tls else None)
        except OSError as error:
            failure = failure or error
    raise failure or OSError(0, "no such host")


async def _addresses(host: str, port: int) -> list[str]:
    if host == "localhost":
        return ["127.0.0.1", "::1"]
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_names, ask)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


async def _ask(url: str, good: Container[int]) -> Seen:
    """What an HTTP GET says; it goes where it is sent on to on the same server, and nowhere else."""
    status = 0
    for _ in range(_REDIRECTS):
        status, onward = await _get(url)
        following = urljoin(url, onward)
        if status in good or not onward or urlsplit(following)[:2] != urlsplit(url)[:2]:
            break
        url = following
    return Seen(HEALTHY) if status in good else Seen(UNHEALTHY, f"{url} answers {status}")


async def _get(url: str) -> tuple[int, str]:
    """The status of an HTTP answer, and where it sends the caller on to ("" for nowhere).

    Raises OSError, EOFError, and ValueError for what is no HTTP.
    """
    host, port = address(url)
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (parts.query and f"?{_quoted(parts.query)}")
    reader, writer = await _connect(host, port, _tls() if parts.scheme == "https" else None)
    name = f"[{host}]" if ":" in host else host
    lines = (f"GET {path} HTTP/1.1", f"Host: {name}:{port}", "User-Agent: taco", "Accept: */*", "Connection: close")
    try:
        writer.write("\r\n".join((*lines, "", "")).encode("ascii", "replace"))
        status = await _status(reader)
        return status, await _location(reader) if 300 <= status < 400 else ""
    finally:
        writer.close()


def _quoted(query: str) -> str:
    return quote(query, safe="/%:@!$&'()*+,;=~?")


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _status(reader: asyncio.StreamReader) -> int:
    line = await reader.readline()
    if not line:
        raise EOFError
    version, _, rest = line.decode("latin-1").partition(" ")
    if not version.startswith("HTTP/") or not rest[:3].isdecimal():
        raise ValueError("its answer has no status")
    return int(rest[:3])


async def _location(reader: asyncio.StreamReader) -> str:
    for _ in range(_MOST_HEADERS):
        name, colon, value = (await reader.readline()).decode("latin-1").partition(":")
        if not colon:
            break
        if name.lower() == "location":
            return value.strip()
    return ""


async def _run(words: list[str], at: Workplace) -> Seen:
    """How a command ends; what it started ends with it when its time is over."""
    try:
        code, said = await processes.run_briefly(words, cwd=at.directory, environ=at.environ, most_s=COMMAND_S)
    except (OSError, ValueError) as error:
        return Seen(UNHEALTHY, f"{words[0]}: {getattr(error, 'strerror', '') or error}")
    if code == 0:
        return Seen(HEALTHY)
    how = f"did not end within {COMMAND_S:g} s" if code is None else f"ends with {code}"
    last = "".join(char for char in said.rpartition("\n")[2] if char.isprintable()).strip()[:120]
    return Seen(UNHEALTHY, f"{words[0]} {how}{f': {last}' if last else ''}")
