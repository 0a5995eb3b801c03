"""Ports of a real machine, handed out by a real Redis: whoever asks at the same moment gets another one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from taco import redis_server, services, session
from taco.broker import Broker
from taco.errors import ConflictError
from taco.models import Agent, AgentStatus, Service
from taco.paths import SessionRecord
from taco.services import ports
from tests.support.redis import KINDS, redis_program

COUNT, IN_USE = 50, 10


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, taco_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TACO_REDIS_SERVER", str(redis_program(request.param)))
    yield redis_server.ensure(taco_home).url
    redis_server.stop(taco_home)


@pytest.fixture
async def shop(url: str) -> AsyncIterator[Broker]:
    broker = await Broker.connect(url, "shop")
    yield broker
    await broker.close()


async def runs(name: str, fields: Mapping[str, str]) -> bool:
    return True


@contextlib.contextmanager
def a_range(count: int, in_use: int) -> Iterator[range]:
    """So many ports in a row that are free, and then some more that programs use.

    They lie between those of other tests and those that the system gives to connections, each worker's apart: who
    looks at a port binds it, and whoever looks at the same moment finds it in use.
    """
    start = 30_000 + 600 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 4)
    for first in range(start, start + 600, count + in_use):
        with contextlib.ExitStack() as stack:
            found = range(first, first + count + in_use)
            if any(ports.is_used(port) for port in found):
                continue
            for number, port in enumerate(found[:: count // in_use][:in_use]):
                listener = stack.enter_context(socket.socket())
                listener.bind(("127.0.0.1" if number % 2 else "0.0.0.0", port))
                listener.listen()
            yield found
            return
    raise AssertionError("no such range is free")


def test_fifty_at_once_of_two_sessions_get_fifty_ports(url: str) -> None:
    got: dict[str, int] = {}
    at = services.Workplace(Path(), {})
    failed: list[BaseException] = []
    gate = threading.Barrier(COUNT)

    async def one(number: int) -> None:
        broker = await Broker.connect(url, ("left", "right")[number % 2])
        try:
            wanted = services.service_from(f"s{number}", owner=f"a{number}")
            gate.wait()
            placed = await services.register(broker, wanted, runs, at)
            got[f"{broker.session}/{placed.name}"] = placed.port
        finally:
            await broker.close()

    def work(number: int) -> None:
        try:
            asyncio.run(one(number))
        except BaseException as error:
            failed.append(error)

    with a_range(COUNT, IN_USE) as allowed:
        asyncio.run(_allow(url, allowed))
        threads = [threading.Thread(target=work, args=(number,)) for number in range(COUNT)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert len(set(got.values())) == COUNT
        assert set(got.values()) <= set(allowed)
        assert not [port for port in got.values() if ports.is_used(port)]
    assert asyncio.run(_claims(url)) == {port: holder for holder, port in got.items()}


async def _allow(url: str, allowed: range) -> None:
    for name in ("left", "right"):
        broker = await Broker.connect(url, name)
        await broker.put_session({"port_range": f"{allowed[0]}-{allowed[-1]}", "status": "running"})
        await broker.close()


async def _claims(url: str) -> dict[int, str]:
    broker = await Broker.connect(url, "left")
    found = await broker.claims()
    await broker.close()
    return {port: each.holder for port, each in found.items()}


async def test_one_port_that_many_name_is_given_to_one(shop: Broker, url: str) -> None:
    others = [await Broker.connect(url, f"s{number}") for number in range(20)]
    for each in others:
        await each.put_session({"status": "running"})
    outcomes = await asyncio.gather(*(ports.take(each, "api", 3_000, runs) for each in others), return_exceptions=True)
    assert sum(each is None for each in outcomes) == 1
    assert sum(isinstance(each, ConflictError) for each in outcomes) == 19
    winner = others[outcomes.index(None)]
    assert (await shop.claims())[3_000].session == winner.session
    for each in others:
        await each.close()


async def test_one_name_that_two_agents_want_is_given_to_one(shop: Broker, url: str, tmp_path: Path) -> None:
    at = services.Workplace(tmp_path, {})
    wanted = [services.service_from("api", owner=f"a{number}") for number in range(10)]
    outcomes = await asyncio.gather(
        *(services.register(shop, each, runs, at) for each in wanted), return_exceptions=True
    )
    (won,) = [each for each in outcomes if isinstance(each, Service)]
    assert sum(isinstance(each, ConflictError) for each in outcomes) == 9
    assert await shop.services() == [won]
    assert await _claims(url) == {won.port: "shop/api"}


async def test_claims_are_given_back(shop: Broker, url: str) -> None:
    other = await Broker.connect(url, "shop2")
    for broker, name, port in ((shop, "a", 1_001), (shop, "ab", 1_002), (other, "a", 1_003)):
        assert await broker.claim_port(f"{broker.session}/{name}", [(port, None)]) == (port, True)
    assert await shop.claim_port("shop/a", [(1_002, None), (1_004, None)], keep=True) == (1_001, False)
    assert await shop.claim_port("shop/a", [(1_002, None), (1_004, None)], keep=True, refused=1_001) == (1_004, True)
    assert await shop.claim_port("shop/a", [(1_003, None)]) == (0, False)
    assert await _claims(url) == {1_002: "shop/ab", 1_003: "shop2/a", 1_004: "shop/a"}
    assert await shop.release_ports("shop/a ") == 1
    await shop.forget()
    assert await _claims(url) == {1_003: "shop2/a"}
    await other.close()


async def test_a_stopped_session_keeps_its_ports_until_another_wants_them(
    shop: Broker, url: str, taco_home: Path
) -> None:
    record = SessionRecord("shop", taco_home, "stopping", redis_url=url)
    other = await Broker.connect(url, "other")
    with a_range(2, 1) as allowed:
        free = [port for port in allowed if not ports.is_used(port)]
        for broker in (shop, other):
            await broker.put_session({"port_range": f"{free[0]}-{free[-1]}", "status": "running"})
        await shop.put_agent(Agent(3, "be", status=AgentStatus.RUNNING))
        api, web = [
            await services.register(shop, services.service_from(name, owner="be"), runs, services.Workplace(Path(), {}))
            for name in ("api", "web")
        ]
        await session._put_stopped(record)
        assert {each.reason for each in await shop.services()} == {"its session is stopped"}
        await session._prepare(record)
        again = [(each.name, each.port, each.health) for each in await shop.services()]
        assert again == [("api", api.port, "unknown"), ("web", web.port, "unknown")]
        await session._put_stopped(record)
        await ports.take(other, "mine", web.port, runs)
        await session._prepare(record)
        kept, lost = await shop.services()
        assert (kept.port, lost.port) == (api.port, 0)
        assert lost.reason == f"port {web.port} is claimed for service 'mine' of session other now; register it again"
    await other.close()
