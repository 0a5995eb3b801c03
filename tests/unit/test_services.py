"""What is decided about services and ports without a server: whose a port is, who is gone, what a look says."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from taco import records, services
from taco.config import Layer, merge
from taco.errors import ConfigError, ConflictError, NotFoundError, UsageError
from taco.models import Agent, AgentState, AgentStatus, Claim, Level, Service, port_range
from taco.orchestrator.health import FIRST_S, MOST_S, Round
from taco.services import checks, ports
from taco.testing import MemoryBroker
from tests.support.processes import runs as is_running
from tests.support.waiting import wait_for
from tests.support.web import Web, a_web

AT = services.Workplace(Path("/"), dict(os.environ))
OLD = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker("shop")


@pytest.fixture
def web() -> Iterator[Web]:
    with a_web() as web:
        yield web


@pytest.fixture
def used() -> Iterator[int]:
    """A port that a program listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


async def always(name: str, fields: Mapping[str, str]) -> bool:
    return True


async def never(name: str, fields: Mapping[str, str]) -> bool:
    return False


# ports


@pytest.mark.parametrize("text", ["", "20000", "3-2", "0-5", "1-65536", "a-b", "20000-"])
def test_what_is_no_range_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml: port_range: .*two numbers"):
        merge([Layer("config.toml", {"port_range": text})])


def test_a_range_is_from_the_first_to_the_last() -> None:
    assert list(port_range("20000 - 20002")) == [20_000, 20_001, 20_002]
    assert merge([Layer("config.toml", {"port_range": "1-65535"})])[0].port_range == "1-65535"


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")]
)
def test_a_port_is_used_wherever_something_listens(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} here")
        listener.listen()
        port = listener.getsockname()[1]
        assert ports.is_used(port)
        assert ports.is_used(port, lingering=False)
    assert not ports.is_used(port)


def test_every_holder_begins_at_a_place_of_its_own_and_comes_to_every_port() -> None:
    allowed = range(20_000, 20_100)
    ranked = [ports.order(allowed, f"shop/{name}") for name in ("api", "web", "api")]
    assert ranked[0] == ranked[2] != ranked[1]
    assert [sorted(each) for each in ranked] == [list(allowed)] * 3


async def test_a_used_port_is_passed_over(broker: MemoryBroker, used: int) -> None:
    await broker.put_session({"port_range": f"{used}-{min(used + 20, 65_535)}"})
    assert (chosen := await ports.choose(broker, "api", always)) != used
    assert list(await broker.claims()) == [chosen]


async def test_a_service_keeps_its_port(broker: MemoryBroker) -> None:
    first = await ports.choose(broker, "api", always)
    other = await ports.choose(broker, "web", always)
    assert (await ports.choose(broker, "api", always), other != first) == (first, True)
    await ports.take(broker, "api", 3_000, always)
    assert await ports.choose(broker, "api", always) == 3_000
    assert {port: each.holder for port, each in (await broker.claims()).items()} == {
        3_000: "shop/api",
        other: "shop/web",
    }


async def test_none_is_left(broker: MemoryBroker, used: int) -> None:
    await broker.put_session({"port_range": f"{used}-{used}"})
    with pytest.raises(ConflictError, match=f"no port from {used} to {used} is free"):
        await ports.choose(broker, "api", always)
    assert await broker.claims() == {}


class Shared(MemoryBroker):
    """A twin that knows of other sessions; `stopped` has those that say so."""

    stopped: frozenset[str] = frozenset()

    async def fields_of(self, session: str) -> dict[str, str]:
        return {"status": "stopped" if session in self.stopped else "running"}


async def test_what_a_session_left_behind_is_taken_last(free: int) -> None:
    broker = Shared("shop")
    await broker.put_session({"port_range": f"{free}-{free + 1}"})
    await broker.claim_port("gone/api", [(free, None)])
    assert await ports.choose(broker, "one", never) == free + 1
    with pytest.raises(ConflictError):
        await ports.choose(broker, "two", always)
    assert await ports.choose(broker, "two", never) == free
    assert {each.holder for each in (await broker.claims()).values()} == {"shop/one", "shop/two"}


@pytest.fixture
def free() -> int:
    """A port that is free, and so is the next."""
    for port in range(41_000, 42_000):
        if not ports.is_used(port) and not ports.is_used(port + 1):
            return port
    raise AssertionError


async def test_whose_a_port_is_is_said(broker: MemoryBroker) -> None:
    await broker.claim_port("two/db", [(5_432, None)])
    await broker.claim_port("shop/web", [(3_000, None)])
    other = Shared("shop")
    other._claims = broker._claims
    with pytest.raises(ConflictError, match="port 5432 is claimed for service 'db' of session two") as caught:
        await ports.take(other, "api", 5_432, always)
    assert caught.value.hint
    with pytest.raises(ConflictError, match=r"port 3000 is claimed for service 'web'$"):
        await ports.take(other, "api", 3_000, never)
    other.stopped = frozenset({"two"})
    await ports.take(other, "api", 5_432, always)
    assert (await other.claims())[5_432].holder == "shop/api"


async def test_a_claim_that_was_renewed_meanwhile_is_not_taken(broker: MemoryBroker) -> None:
    await broker.claim_port("two/db", [(5_432, None)])
    stale = Claim("two/db", OLD)
    assert await broker.claim_port("shop/api", [(5_432, stale)]) == (0, False)


# what is registered


async def test_an_address_of_the_persons_is_shared(broker: MemoryBroker) -> None:
    shared = services.service_from("db", url="postgres://localhost", owner="person")
    own = services.service_from("api", url="http://localhost:3000/api", owner="be")
    assert (shared.port, shared.claimed, own.claimed) == (5_432, False, True)
    await services.place(broker, shared, always)
    await services.place(broker, own, always)
    assert list(await broker.claims()) == [3_000]
    second = services.service_from("admin", url="http://localhost:3000/admin", owner="be")
    assert not (await services.place(broker, second, always)).claimed
    with pytest.raises(ConflictError, match="claimed for service 'api'"):
        await services.place(broker, services.service_from("web", port=3_000, owner="fe"), always)


async def test_a_service_that_is_unregistered_gives_its_port_back(broker: MemoryBroker) -> None:
    placed = await services.register(broker, services.service_from("api", owner="person"), always, AT)
    assert list(await broker.claims()) == [placed.port]
    assert await services.unregister(broker, "api") == placed
    assert (await broker.claims(), await broker.services()) == ({}, [])
    with pytest.raises(NotFoundError):
        await services.unregister(broker, "api")


async def test_a_resumed_session_has_the_ports_that_are_free_still(broker: MemoryBroker, used: int, free: int) -> None:
    for name, port in (("lost", used), ("kept", free), ("taken", 3_000)):
        await ports.take(broker, name, port, always)
        await broker.put_service(Service(name, f"http://localhost:{port}", port, "healthy", "be", claimed=True))
    await broker.put_service(Service("db", f"http://localhost:{used}", used, "healthy", "person"))
    broker._claims[3_000] = Claim("two/api", OLD)
    await services.restore(broker)
    db, kept, lost, taken = await broker.services()
    assert (db.port, db.health, kept.port, kept.health) == (used, "unknown", free, "unknown")
    assert (lost.url, lost.port, lost.health) == ("", 0, "unhealthy")
    assert lost.reason == f"port {used} is used by another program now; register it again"
    assert taken.reason == "port 3000 is claimed for service 'api' of session two now; register it again"
    assert {port: each.holder for port, each in (await broker.claims()).items()} == {
        free: "shop/kept",
        3_000: "two/api",
    }
    with pytest.raises(NotFoundError, match="has no place: port 3000 is claimed"):
        await services.find(broker, "taken")
    again = await services.register(broker, services.service_from("taken", owner="be"), always, AT)
    assert (again.port not in (0, 3_000), (await services.find(broker, "taken")).url) == (True, again.url)


async def test_ports_are_kept_and_forgotten_ones_given_back(broker: MemoryBroker) -> None:
    await broker.put_service(Service("api", "http://localhost:3000", 3_000, "healthy", "be", claimed=True))
    await broker.put_service(Service("web", "http://localhost:4000", 4_000, "healthy", "be", claimed=True))
    broker._claims = {4_000: Claim("two/x", OLD), 5_000: Claim("shop/nothing", OLD), 6_000: Claim("two/y", OLD)}
    await broker.claim_port("shop/fresh", [(7_000, None)])
    await services.keep(broker, time.time())
    assert {port: each.holder for port, each in (await broker.claims()).items()} == {
        3_000: "shop/api",
        4_000: "two/x",
        6_000: "two/y",
        7_000: "shop/fresh",
    }
    _, web = await broker.services()
    assert (web.url, web.health) == ("", "unhealthy")


def test_older_records_are_read() -> None:
    record = {"name": "api", "url": "http://x", "port": "80", "health": "ok", "owner": "be"}
    assert records.service_from(record) == Service("api", "http://x", 80, "ok", "be", "", "", claimed=False)


# who is gone

BE = Agent(3, "be", status=AgentStatus.RUNNING, state=AgentState(Level.IDLE))


@pytest.mark.parametrize(
    ("status", "level", "why"),
    [
        (AgentStatus.RUNNING, Level.BUSY, ""),
        (AgentStatus.STARTING, Level.UNKNOWN, ""),
        (AgentStatus.DONE, Level.IDLE, ""),
        (AgentStatus.PAUSED, Level.IDLE, ""),
        (AgentStatus.RUNNING, Level.EXITED, "its agent be has ended: exited(1)"),
        (AgentStatus.DONE, Level.LOST, "its agent be has ended: lost(1)"),
        (AgentStatus.FAILED, Level.IDLE, "its agent be has failed"),
        (AgentStatus.STOPPED, Level.IDLE, "its agent be was stopped"),
    ],
)
def test_a_service_needs_its_agent(status: AgentStatus, level: Level, why: str) -> None:
    team = [Agent(3, "be", status=status, state=AgentState(level, "1" if level in (Level.EXITED, Level.LOST) else ""))]
    assert services.gone(Service("api", "http://x", 1, owner="be"), team) == why


def test_the_person_is_always_there_and_one_who_was_removed_is_not() -> None:
    assert services.gone(Service("api", "http://x", 1, owner="person"), []) == ""
    assert services.gone(Service("api", "http://x", 1, owner=""), []) == ""
    assert services.gone(Service("api", "http://x", 1, owner="be"), []) == "its agent be was removed"
    assert services.gone(Service("api", reason="port 1 is lost", owner="be"), [BE]) == "port 1 is lost"


async def test_the_end_of_its_agent_counts_more_than_an_answer(web: Web) -> None:
    service = Service("api", web.url(), web.port, owner="be")
    assert await services.judge(service, [BE], AT) == ("healthy", "")
    assert (await services.judge(service, [], AT)).health == "unhealthy"


# looks


def test_looks_are_rarer_and_rarer_until_something_changes() -> None:
    round_ = Round(("", "", ""), 0.0)
    rests = []
    for _ in range(8):
        round_.seen(100.0, changed=False)
        rests.append(round_.rest_s)
    assert rests == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert (round_.due, MOST_S) == (130.0, 30.0)
    round_.seen(200.0, changed=True)
    assert (round_.rest_s, round_.due) == (FIRST_S, 201.0)


@pytest.mark.parametrize(
    ("path", "rule", "health"),
    [
        ("", "", "healthy"),
        ("/broken", "", "unhealthy"),
        ("", "tcp", "healthy"),
        ("", "/ok", "healthy"),
        ("", "/ok?x=1 y", "healthy"),
        ("", "/missing", "unhealthy"),
        ("", "/broken", "unhealthy"),
        ("", "/on", "healthy"),
        ("", "/away", "unhealthy"),
        ("", "/round", "unhealthy"),
    ],
)
async def test_what_a_look_says(web: Web, path: str, rule: str, health: str) -> None:
    seen = await services.look(web.url(path), web.url(rule) if rule.startswith("/") else rule, AT)
    assert (seen.health, bool(seen.reason)) == (health, health != "healthy")


async def test_nothing_listens(free: int) -> None:
    for rule in ("", "tcp"):
        seen = await services.look(f"http://localhost:{free}", rule, AT)
        assert seen == ("down", f"nothing listens at localhost:{free}")


@pytest.fixture
async def strange() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that is no HTTP server: it says nothing when it is asked for /silent, and what it heard is kept."""
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heard.append(head.splitlines(keepends=True)[0])
        if b"/silent" in heard[-1]:
            await reader.read()
        elif b"/nothing" not in heard[-1]:
            writer.write(b"SSH-2.0-x\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], heard
    server.close()


async def test_strange_answers_are_no_health(strange: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    port, heard = strange
    assert (await services.look(f"http://localhost:{port}", "", AT)).health == "unhealthy"
    assert (await services.look(f"http://localhost:{port}/nothing", "", AT)).health == "down"
    monkeypatch.setattr(checks, "CHECK_S", 0.05)
    seen = await services.look(f"http://localhost:{port}/silent", "", AT)
    assert (seen.health, "does not answer" in seen.reason) == ("down", True)
    await services.look(f"http://localhost:{port}/a\r\nSET x\r\n y%0d", "", AT)
    assert heard[-1] == b"GET /aSET%20x%20y%0d HTTP/1.1\r\n"


async def test_a_command_says_by_its_end_how_it_is(tmp_path: Path) -> None:
    at = services.Workplace(tmp_path, {**os.environ, "MARK": "from here"})
    (tmp_path / "here.txt").touch()
    assert await services.look("http://x", "test -f here.txt", at) == ("healthy", "")
    code = "import os, sys; print('x' * 300_000); print(os.environ['MARK'], '$HOME;', *sys.argv[1:]); sys.exit(3)"
    seen = await services.look("http://x", f'{sys.executable} -c "{code}" \'; true\' "*"', at)
    assert seen == ("unhealthy", f"{sys.executable} ends with 3: from here $HOME; ; true *")
    assert (await services.look("http://x", "./missing", at)).health == "unhealthy"


async def test_a_command_ends_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "COMMAND_S", 1.0)
    at = services.Workplace(tmp_path, dict(os.environ))
    seen = await services.look("http://x", "sh -c 'sleep 600 & echo $! > pid; wait'", at)
    assert seen == ("unhealthy", "sh did not end within 1 s")
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not _lives(pid), what="the end of what it started")


def _lives(pid: int) -> bool:
    try:
        return is_running(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("rule", ["tpc", "no-such-program --x", "'", " ", "http://", "ftp://localhost/"])
def test_a_rule_that_cannot_work_is_refused(rule: str) -> None:
    with pytest.raises(UsageError):
        services.check_rule(rule, AT)


@pytest.mark.parametrize("rule", ["", "tcp", "http://localhost:1/x", "true", "sh -c 'exit 1'"])
def test_a_rule_that_can(rule: str) -> None:
    services.check_rule(rule, AT)
