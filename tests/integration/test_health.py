"""The executor looks after services: what answers, what goes away and comes back, and who offers it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taco.models import AgentState, Event, EventType, Level, Service
from taco.orchestrator import health
from taco.orchestrator.health import Health
from taco.records import state_fields
from taco.services import checks
from tests.support.office import Office, an_office
from tests.support.waiting import wait_for_async
from tests.support.web import Web, a_web


@pytest.fixture
async def office(taco_home: Path, short_tmp: Path) -> AsyncIterator[Office]:
    async with an_office(taco_home, short_tmp) as office:
        yield office


@pytest.fixture
def web() -> Iterator[Web]:
    with a_web() as web:
        yield web


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules in less time."""
    for name in ("FIRST_S", "MOST_S", "ROUND_S"):
        monkeypatch.setattr(health, name, 0.05)


@contextlib.asynccontextmanager
async def looking(office: Office) -> AsyncIterator[Health]:
    """The loop, as the orchestrator runs it; it hears of events."""
    room = Health(office.desk)
    task = asyncio.create_task(room.run())
    try:
        yield room
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def becomes(office: Office, name: str, wanted: str, reason: str = "") -> Service:
    async def there() -> Service | None:
        found = next((each for each in await office.desk.broker.services() if each.name == name), None)
        return found if found and found.health == wanted and reason in found.reason else None

    found = await wait_for_async(there, what=f"{name} {wanted} {reason}")
    assert found is not None
    return found


async def test_a_server_that_goes_down_and_comes_back_is_seen(office: Office, web: Web) -> None:
    await office.desk.broker.put_service(Service("front", web.url(), web.port, owner="api"))
    async with looking(office):
        await becomes(office, "front", "healthy")
        web.down()
        await becomes(office, "front", "down", f"nothing listens at localhost:{web.port}")
        web.up()
        assert (await becomes(office, "front", "healthy")).reason == ""
    told = await office.told(EventType.SERVICE_HEALTH)
    assert [each.split()[2].rstrip(":") for each in told] == ["healthy", "down", "healthy"]


async def test_the_rule_it_was_registered_with_counts(office: Office, web: Web) -> None:
    await office.desk.broker.put_service(
        Service("front", web.url("/ok"), web.port, owner="api", check=web.url("/broken"))
    )
    async with looking(office):
        await becomes(office, "front", "unhealthy", "answers 500")


async def test_a_service_whose_agent_has_ended_is_unhealthy(office: Office, web: Web) -> None:
    broker = office.desk.broker
    await broker.put_service(Service("front", web.url(), web.port, owner="api"))
    await broker.put_service(Service("data", web.url("/ok"), web.port, owner="bb"))
    async with looking(office):
        await becomes(office, "front", "healthy")
        await becomes(office, "data", "healthy")
        await broker.set_agent(3, dict(state_fields(AgentState(Level.EXITED, "1"))))
        await becomes(office, "front", "unhealthy", "its agent api has ended: exited(1)")
        await broker.remove_agent(4)
        await becomes(office, "data", "unhealthy", "its agent bb was removed")
        await broker.set_agent(3, dict(state_fields(AgentState(Level.IDLE))))
        await becomes(office, "front", "healthy")


async def test_the_end_of_its_agent_is_seen_though_it_was_looked_at_just_now(
    office: Office, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_S", "MOST_S"):
        monkeypatch.setattr(health, name, 600.0)
    broker = office.desk.broker
    await broker.put_service(Service("front", web.url(), web.port, owner="api"))
    async with looking(office) as room:
        await becomes(office, "front", "healthy")
        await broker.set_agent(3, dict(state_fields(AgentState(Level.LOST))))
        await becomes(office, "front", "unhealthy", "its agent api has ended: lost")
        monkeypatch.setattr(health, "ROUND_S", 600.0)
        await broker.set_agent(3, dict(state_fields(AgentState(Level.IDLE))))
        room.note(Event(EventType.AGENT_RESTARTED, "shop"))
        await becomes(office, "front", "healthy")


async def test_a_command_is_run_for_the_person_alone(office: Office, web: Web) -> None:
    broker, project = office.desk.broker, office.desk.ground.project
    mine = Service("mine", web.url(), web.port, owner="person", check="test -f ready")
    await broker.put_service(mine)
    await broker.put_service(replace(mine, name="theirs", owner="bb", check="touch ran"))
    async with looking(office):
        await becomes(office, "mine", "unhealthy", "test ends with 1")
        (project / "ready").touch()
        await becomes(office, "mine", "healthy")
        await becomes(office, "theirs", "unhealthy", "not the person's")
    assert not (project / "ran").exists()


async def test_one_that_never_answers_keeps_no_other_waiting(
    office: Office, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "COMMAND_S", 600.0)
    await office.desk.broker.put_service(
        Service("slow", web.url(), web.port, owner="person", check="sh -c 'echo $$ > pid; sleep 600'")
    )
    await office.desk.broker.put_service(Service("front", web.url(), web.port, owner="api"))
    async with looking(office):
        await becomes(office, "front", "healthy")
        web.down()
        await becomes(office, "front", "down")
        pid = office.desk.ground.project / "pid"
        await wait_for_async(lambda: pid.exists() and pid.read_text().strip(), what="the command")
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


async def test_many_are_looked_at_a_few_at_a_time(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    now = most = 0
    let_go = asyncio.Event()

    async def look(*_: object) -> checks.Seen:
        nonlocal now, most
        now += 1
        most = max(now, most)
        await let_go.wait()
        now -= 1
        return checks.Seen("healthy")

    monkeypatch.setattr("taco.services.look", look)
    for number in range(30):
        await office.desk.broker.put_service(Service(f"s{number}", f"http://localhost:{number + 1}", number + 1))
    async with looking(office):
        await wait_for_async(lambda: now == health.AT_ONCE, what="a full house")
        let_go.set()
        for number in range(30):
            await becomes(office, f"s{number}", "healthy")
    assert most == health.AT_ONCE


async def test_without_services_one_question_is_all_it_asks(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("services", "agents", "claims"):
        real = getattr(office.desk.broker, name)

        async def note(name: str = name, real: object = real) -> object:
            asked.append(name)
            return await real()  # type: ignore[operator]

        monkeypatch.setattr(office.desk.broker, name, note)
    room = Health(office.desk)
    assert await room.step() == health.QUIET_S
    assert asked == ["services"]


async def test_a_lost_port_is_told_to_its_agent_once(office: Office) -> None:
    broker = office.desk.broker
    await broker.claim_port("other/web", [(3_000, None)])
    await broker.put_service(Service("front", "http://localhost:3000", 3_000, "healthy", "api", claimed=True))
    async with looking(office):
        lost = await becomes(office, "front", "unhealthy", "claimed for service 'web' of session other now")
        await wait_for_async(lambda: broker.waiting_agents(), what="the message")
        await broker.put_service(Service("back", "http://localhost:1", 1, owner="person"))
        await becomes(office, "back", "down")
    assert (lost.url, lost.port) == ("", 0)
    ((sender, text),) = await office.messages("api")
    assert (sender, "has lost its place" in text, "taco service register front" in text) == ("taco", True, True)
