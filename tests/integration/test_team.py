"""The team where its executor is killed or refused: nobody twice, nothing untold, nothing asked for lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taco import paths
from taco.agents import Agents, Ground
from taco.answering import Hand
from taco.config import Config
from taco.errors import BrokerError, TmuxError
from taco.models import (
    Agent,
    AgentState,
    AgentStatus,
    Ask,
    Command,
    CommandState,
    EventType,
    Incarnation,
    Level,
    Outcome,
    Pane,
    Priority,
)
from taco.orchestrator.desk import Desk
from taco.orchestrator.planning import Planning, brief_for
from taco.orchestrator.team import Team
from taco.provider import parse_provider
from taco.tmux.guard import Guard
from tests.support.delivery import SESSION, Rig
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for_async

SLEEPER = parse_provider(tomllib.loads('name = "sleeper"\ncommand = ["sleep", "9999"]\nfirst_prompt = "paste"'), "s")
GONE = parse_provider(tomllib.loads('name = "gone"\ncommand = ["true", "x"]\nfirst_prompt = "none"'), "g")

AT = "2026-01-01T00:00:00.000Z"


class Broken:
    """A door whose method `name` fails `times` times, before or after it did its work."""

    def __init__(self, door: Any, name: str, error: Exception, *, times: int = 1, after: bool = False) -> None:
        self._door, self._name, self._error, self._left, self._after = door, name, error, times, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._door, name)
        if name != self._name:
            return method

        async def fails(*args: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                return await method(*args, **options)
            if self._after:
                await method(*args, **options)
            raise self._error

        return fails


class Stage:
    """A session with real windows and a real Redis, whose rounds the test makes."""

    def __init__(self, rig: Rig, tmp: Path) -> None:
        self.rig = rig
        self.ground = Ground(SESSION, rig.directory / "s", tmp, {"PATH": "/usr/bin:/bin"}, rig.directory, "unix:///r")
        self.ground.directory.mkdir()
        self.record = paths.SessionRecord(SESSION, rig.directory, project_dir=tmp, provider="sleeper")

    def desk(self, *, broker: Any = None, pipe: Any = None, more: dict[str, Any] | None = None) -> Desk:
        """The desk of another executor: nothing is remembered."""
        rig = self.rig
        return Desk(
            record=replace(self.record, more=more or {}),
            config=Config(grace_s=0.5),
            broker=broker or rig.broker,
            pipe=rig.pipe,
            observer=rig.observer,
            executor=rig.executor,
            agents=Agents(self.ground, pipe or rig.pipe, lambda: 1_700_000_000.0),
            ground=self.ground,
            providers={"sleeper": SLEEPER, "gone": GONE},
            hand=Hand(SESSION, rig.pipe, Guard(rig.pipe, rig.directory)),
            settings=Config,
        )

    async def add(self, *agents: Agent) -> None:
        for agent in agents:
            await self.rig.broker.put_agent(agent)

    async def agent(self, name: str) -> Agent:
        return next(each for each in await self.rig.broker.agents() if each.name == name)

    async def windows(self, name: str) -> list[Pane]:
        return [pane for pane in await self.rig.pipe.panes() if pane.window_name == name]

    async def told(self, kind: EventType) -> list[str]:
        return [each.content for each in await self.rig.broker.events(count=1000) if each.type is kind]

    async def queued(self, name: str) -> list[str]:
        """The messages that wait for somebody."""
        found = []
        for priority in ("high", "normal", "low"):
            entries = await self.rig.broker._run("XRANGE", self.rig.broker.keys.queue(name, priority), "-", "+")
            found += [dict(zip(entry[::2], entry[1::2], strict=True))["message"] for _, entry in entries]
        return found


@pytest.fixture
async def stage(rig: Rig, tmux: Tmux, tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage whose tmux session is that of the test's server."""
    tmux.run("new-session", "-d", "-s", SESSION, "cat", ";", "set-option", "-t", SESSION, "destroy-unattached", "off")
    yield Stage(rig, tmp_path)
    await rig.pipe.close()


def planned(name: str = "api", window: int = 3, **fields: Any) -> Agent:
    return Agent(window, name, "works", AgentStatus.PLANNED, "sleeper", workspace=name, **fields)


MOTHER = Agent(0, "mother", status=AgentStatus.RUNNING, provider="sleeper", pid=1, launched_at="2026-01-01T00:00:00Z")


async def test_who_was_started_and_not_noted_is_taken_over(stage: Stage) -> None:
    await stage.add(planned())
    broken = Broken(stage.rig.broker, "put_agent", BrokerError("down"))
    with pytest.raises(BrokerError):
        await Team(stage.desk(broker=broken)).step()
    (pane,) = await stage.windows("api")
    brief = await stage.queued("api")
    await Team(stage.desk()).step()
    agent = await stage.agent("api")
    assert (agent.pane, agent.pid, agent.status) == (pane.id, pane.pid, AgentStatus.STARTING)
    assert [each.pid for each in await stage.windows("api")] == [pane.pid]
    assert await stage.queued("api") == brief
    assert len(brief) == 1


async def test_who_reported_before_it_was_noted_stays_done(stage: Stage) -> None:
    await stage.add(planned())
    with pytest.raises(BrokerError):
        await Team(stage.desk(broker=Broken(stage.rig.broker, "put_agent", BrokerError("down")))).step()
    await stage.rig.broker.report("api", failed=False, text="built", at="2026-01-01T00:00:00.000Z")
    await Team(stage.desk()).step()
    agent = await stage.agent("api")
    assert (agent.status, agent.done, bool(agent.pid)) == (AgentStatus.DONE, "built", True)


async def test_a_window_that_was_only_opened_is_used(stage: Stage) -> None:
    await stage.add(planned())
    refusing = Broken(stage.rig.pipe, "run", TmuxError("respawn failed"), times=0)
    desk = stage.desk(pipe=refusing)
    await stage.rig.pipe.run(f"new-window -d -t '={SESSION}:3' -n api -- sleep 2147483")
    (placeholder,) = await stage.windows("api")
    await Team(desk).step()
    (pane,) = await stage.windows("api")
    assert (pane.id, (await stage.agent("api")).pane) == (placeholder.id, placeholder.id)
    assert pane.pid != placeholder.pid


async def test_what_passes_fails_nobody(stage: Stage) -> None:
    await stage.add(planned(), planned("web", 4))
    team = Team(stage.desk(pipe=Broken(stage.rig.pipe, "panes", TmuxError("not now"))))
    await team.step()
    assert {(await stage.agent(name)).status for name in ("api", "web")} == {AgentStatus.PLANNED, AgentStatus.STARTING}
    await team.step()
    assert {(await stage.agent(name)).status for name in ("api", "web")} == {AgentStatus.STARTING}


async def test_who_cannot_be_started_fails_once_and_who_is_done_stays_done(stage: Stage) -> None:
    await stage.add(replace(planned(), workspace="../out"))
    await stage.add(replace(planned("web", 4), workspace="../out", status=AgentStatus.DONE, done="x", reported_at="1"))
    team = Team(stage.desk())
    await team.step()
    await team.step()
    assert ((await stage.agent("api")).status, (await stage.agent("web")).status) == ("failed", "done")
    assert len(await stage.told(EventType.AGENT_FAILED)) == 2


@pytest.mark.parametrize("status", [AgentStatus.STARTING, AgentStatus.RUNNING])
@pytest.mark.parametrize("door", ["set_agent", "report", "enqueue"])
async def test_an_end_is_told_whenever_the_executor_is_killed(stage: Stage, door: str, status: AgentStatus) -> None:
    agent = replace(planned(), status=status, pid=4, pane="%99", launched_at="2026-01-01T00:00:00.000Z")
    await stage.add(MOTHER, agent)
    seen = {"api": (AgentState(Level.EXITED, "1", 5.0, "pane"), None)}
    for broken in (Broken(stage.rig.broker, door, BrokerError("down")), stage.rig.broker):
        desk = stage.desk(broker=broken)
        desk.team = await stage.rig.broker.agents()
        stage.rig.observer.watch(agent, SLEEPER, spool=Path("x"), cwd="/", environ={}, started_at=0.0)
        try:
            await Team(desk).note_states(seen)
        except BrokerError:
            continue
    found = await stage.agent("api")
    assert found.state.level is Level.EXITED
    if status is AgentStatus.STARTING:
        assert found.failed.startswith("ended while it started")
    else:
        assert len([each for each in await stage.queued("mother") if "without a report" in each]) == 1


async def test_who_starts_and_is_known_to_be_gone_gives_its_place_back(stage: Stage) -> None:
    state = AgentState(Level.EXITED, "1", 5.0, "pane")
    agent = replace(planned(), status=AgentStatus.STARTING, pid=4, pane="%99", state=state)
    await stage.add(agent)
    desk = stage.desk()
    desk.team = await stage.rig.broker.agents()
    stage.rig.observer.watch(agent, SLEEPER, spool=Path("x"), cwd="/", environ={}, started_at=0.0)
    await Team(desk).note_states({"api": (state, None)})
    assert (await stage.agent("api")).status is AgentStatus.FAILED


async def test_what_was_asked_for_stays_until_it_is_done(stage: Stage) -> None:
    await stage.add(replace(planned(), status=AgentStatus.RUNNING, pid=4, pane="%99"))
    for verb in ("pause", "pause"):
        await stage.rig.broker.push_request({"verb": verb, "agent": "api", "at": "2026"})
    await stage.rig.broker.push_request({"verb": "pause", "agent": "api", "at": "2027"})
    await Team(stage.desk(broker=Broken(stage.rig.broker, "set_agent", BrokerError("down")))).step()
    await Team(stage.desk())._requests()
    found = await stage.agent("api")
    assert (found.paused, found.status) == (True, AgentStatus.PAUSED)
    await Team(stage.desk())._requests()
    assert await stage.rig.broker.requests() == {}
    await stage.rig.broker.push_request({"verb": "resume", "agent": "api"})
    await Team(stage.desk())._requests()
    found = await stage.agent("api")
    assert (found.paused, found.status) == (False, AgentStatus.RUNNING)


async def until(team: Team, met: Callable[[], Awaitable[bool]]) -> None:
    async def there() -> bool:
        await team.step()
        return await met()

    await wait_for_async(there, 20)


async def test_stubborn_agents_end_beside_the_rounds(stage: Stage) -> None:
    ignores = (
        "import signal, sys, time; [signal.signal(each, signal.SIG_IGN) for each in (1, 15)];"
        "open(sys.argv[1], 'w').close(); time.sleep(99)"
    )
    stubborn = (sys.executable, "-c", ignores, f"{stage.rig.directory}/{{agent}}.ignores")
    provider = SLEEPER.model_copy(update={"name": "stubborn", "command": stubborn, "first_prompt": "none"})
    names = [f"agent{number}" for number in range(3, 7)]
    for number, name in enumerate(names, 3):
        await stage.add(replace(planned(name, number), provider="stubborn"))
    desk = stage.desk()
    desk.providers = {**desk.providers, "stubborn": provider}
    desk.config = Config(grace_s=60, start_concurrency=9)
    team = Team(desk)
    await team.step()
    files = [stage.rig.directory / f"{name}.ignores" for name in names]
    await wait_for_async(lambda: all(each.exists() for each in files), what="stubborn agents")
    for name in names:
        await stage.rig.broker.push_request({"verb": "remove", "agent": name, "at": "2030"})
    await stage.rig.broker.push_request({"verb": "add", "agent": "new", "spec": {"name": "new", "role": "x"}})
    await team.step()
    team_now = await stage.rig.broker.agents()
    assert {each.name for each in team_now} == {*names, "new"}
    for each in team_now:
        if each.name in names:
            os.kill(each.pid, signal.SIGKILL)  # the test need not wait for the grace to be over
    await asyncio.gather(*team._changing.values())
    assert [each.name for each in await stage.rig.broker.agents()] == ["new"]
    assert await stage.rig.broker.requests() == {}


async def say(stage: Stage, number: int, sender: str, target: str, state: CommandState) -> None:
    """A message that was carried to its end."""
    text = f"text {number}\nof two lines"
    await stage.rig.broker.enqueue(Command(f"c{number}", sender, target, text, Priority.HIGH, timestamp=AT))
    broker = stage.rig.broker
    head = (await broker.heads(target)).head
    assert head is not None
    if state is CommandState.DELIVERED:
        assert await broker.begin(head, Incarnation(1, 1, "%1", 1))
        await broker.typed(head, AT)
        assert await broker.entered(head, AT, 1, 0)
        head = (await broker.heads(target)).head
        assert head is not None
    await broker.finish(head, Outcome(state), AT)


async def test_a_restarted_agent_runs_once_and_anew(stage: Stage) -> None:
    await stage.add(planned(), Agent(4, "web", status=AgentStatus.PLANNED, wait_for=("api",)))
    await say(stage, 0, "web", "api", CommandState.DELIVERED)
    await say(stage, 1, "api", "web", CommandState.DELIVERED)
    await say(stage, 2, "person", "web", CommandState.DELIVERED)
    await say(stage, 3, "person", "api", CommandState.CANCELLED)
    team = Team(stage.desk())
    await team.step()
    before = await stage.agent("api")
    await stage.rig.broker.push_request({"verb": "restart", "agent": "api", "at": "2100-01-01"})

    async def again() -> bool:
        return (await stage.agent("api")).pid not in (0, before.pid)

    await until(team, again)
    assert len(await stage.windows("api")) == 1
    first, brief = await stage.queued("api")  # it has no memory: its brief comes again
    assert "You were here before" not in first
    assert brief.startswith(first.rstrip())
    told = brief.partition("## You were here before")[2]
    assert "- 00:00 web → api: text 0 of two lines\n- 00:00 api → web: text 1 of two lines\n" in told
    assert "text 2" not in told
    assert "text 3" not in told
    assert "You had not reported yet" in told


async def test_a_new_agent_of_an_old_name_gets_a_brief(stage: Stage) -> None:
    await stage.add(planned())
    team = Team(stage.desk())
    await team.step()
    await stage.rig.broker.open_ask(Ask("q1", "api", "why?", "2026-01-01T00:00:00.000Z"))
    await stage.rig.broker.push_request({"verb": "remove", "agent": "api", "at": "2030"})
    await stage.rig.broker.push_request({"verb": "add", "agent": "api", "spec": {"name": "api", "role": "other"}})

    async def new() -> bool:
        return any(each.role == "other" and each.pid for each in await stage.rig.broker.agents())

    await until(team, new)
    (brief,) = await stage.queued("api")
    assert "other" in brief
    assert await stage.rig.broker.asks(open_only=True) == []


async def test_who_joins_a_demo_is_scripted_too(stage: Stage) -> None:
    spec = {"name": "new", "role": "x", "provider": "claude"}
    await stage.rig.broker.push_request({"verb": "add", "agent": "new", "spec": spec})
    desk = stage.desk(more={"scripted": True})
    await Team(desk)._requests()
    assert (await stage.agent("new")).provider == desk.record.provider != "claude"


async def test_a_full_queue_of_mother_stops_nothing(stage: Stage) -> None:
    await stage.add(MOTHER, replace(planned(), status=AgentStatus.RUNNING, pid=4, pane="%99"))
    await stage.rig.broker.report("api", failed=False, text="built", at="2026-01-01T00:00:00.000Z")
    await stage.rig.broker.put_session({"queue_limit": "0"})
    desk = stage.desk()
    desk.team = await stage.rig.broker.agents()
    team = Team(desk)
    await team._announce()
    assert (await stage.agent("api")).announced == ""
    await stage.rig.broker.put_session({"queue_limit": "9"})
    await team._announce()
    assert (await stage.agent("api")).announced
    assert await stage.queued("mother") == ["done: built"]


TEAM = '{"agents": [{"name": "api", "role": "builds"}]}'
OTHER = '{"agents": [{"name": "web", "role": "draws"}]}'


@pytest.mark.parametrize("door", ["enqueue", "put_spec", "put_agent"])
async def test_mother_hears_of_her_team_whenever_the_executor_is_killed(stage: Stage, door: str) -> None:
    await stage.add(MOTHER)
    await stage.rig.broker.put_spec({"status": "approved", "json": TEAM, "mark": "x", "text": TEAM})
    with pytest.raises(BrokerError):
        await Planning(stage.desk(broker=Broken(stage.rig.broker, door, BrokerError("down")))).step()
    assert await Planning(stage.desk()).step()
    assert (await stage.rig.broker.spec_fields())["status"] == "running"
    assert (await stage.agent("api")).status is AgentStatus.PLANNED
    (message,) = await stage.queued("mother")
    assert "api" in message


@pytest.mark.parametrize("door", ["enqueue", "put_spec"])
async def test_mother_hears_of_errors_whenever_the_executor_is_killed(stage: Stage, door: str) -> None:
    await stage.add(MOTHER)
    await stage.rig.broker.put_spec({"status": "submitted", "text": '{"agents": [{"role": "nameless"}]}'})
    with pytest.raises(BrokerError):
        await Planning(stage.desk(broker=Broken(stage.rig.broker, door, BrokerError("down")))).step()
    await Planning(stage.desk()).step()
    fields = await stage.rig.broker.spec_fields()
    assert (fields["status"], fields["tries"]) == ("invalid", "1")
    (message,) = await stage.queued("mother")
    assert "agents[0].name" in message


async def test_only_the_team_that_was_reviewed_is_built(stage: Stage) -> None:
    await stage.add(MOTHER)
    broker = stage.rig.broker
    planning = Planning(stage.desk(more={"review": True}))
    await broker.put_spec({"status": "submitted", "text": TEAM})
    await planning.step()
    fields = await broker.spec_fields()
    assert fields["status"] == "review"
    assert not await broker.put_spec({"status": "approved"}, seen={"status": "review", "mark": "another"})
    await broker.put_spec({"status": "submitted", "text": OTHER, "reviewed": fields["mark"]})
    await planning.step()
    assert (await broker.spec_fields())["status"] == "review"
    await broker.put_spec({"status": "approved"})
    await planning.step()
    assert (await broker.spec_fields())["status"] == "review"
    mark = (await broker.spec_fields())["mark"]
    assert await broker.put_spec({"status": "approved", "reviewed": mark}, seen={"status": "review", "mark": mark})
    assert await planning.step()
    assert [each.name for each in await broker.agents()] == ["mother", "web"]


async def asked(stage: Stage, **more: Any) -> str:
    """What Mother is launched with."""
    desk = stage.desk(more={"review": True, **more})
    await Planning(desk).step()
    desk.team = await stage.rig.broker.agents()
    return await brief_for(desk, MOTHER)


async def test_who_gets_the_tools_is_told_so(stage: Stage) -> None:
    desk = stage.desk()
    desk.providers = {"sleeper": SLEEPER.model_copy(update={"mcp_args": ("--tools", "{taco}")})}
    desk.team = [MOTHER, planned()]
    for agent in desk.team:
        assert "the MCP server `taco`" in await brief_for(desk, agent)
    desk.settings = lambda: Config(mcp=False)
    for agent in desk.team:
        assert "MCP" not in await brief_for(desk, agent)


@pytest.mark.parametrize("source", ["--spec", "person"])
async def test_mother_is_not_asked_to_plan_what_the_person_has_planned(stage: Stage, source: str) -> None:
    await stage.add(MOTHER)
    broker = stage.rig.broker
    await broker.put_spec({"status": "submitted", "text": TEAM, "source": source})
    text = await asked(stage)
    assert (await broker.spec_fields())["status"] == "review"
    assert text.startswith("The person has given the plan.")
    assert "- api (window 3): builds" in text
    assert "plan the team" not in text
    await broker.put_spec({"status": "approved", "reviewed": (await broker.spec_fields())["mark"]})
    assert (await asked(stage)).startswith("Your spec is accepted.")


async def test_mother_is_asked_to_plan_while_her_own_plan_waits(stage: Stage) -> None:
    await stage.add(MOTHER)
    await stage.rig.broker.put_spec({"status": "submitted", "text": TEAM, "source": "mother"})
    assert "Your task now is to plan the team" in await asked(stage)


async def test_mother_learns_how_to_plan_when_the_given_plan_is_rejected(stage: Stage) -> None:
    await stage.add(MOTHER)
    broker = stage.rig.broker
    await broker.put_spec({"status": "submitted", "text": TEAM, "source": "--spec"})
    await asked(stage)
    await broker.put_spec({"status": "rejected", "reason": "too small", "told": ""})
    text = await asked(stage)
    (message,) = await stage.queued("mother")
    assert message.startswith("The person rejects this plan: too small")
    assert "Your task now is to plan the team" in message
    assert "Your task now is to plan the team" in text  # and after a restart


async def test_a_provider_that_the_demo_replaces_is_told(stage: Stage) -> None:
    await stage.add(MOTHER)
    team = '{"agents": [{"name": "api", "role": "builds", "provider": "gone"}, {"name": "web", "role": "draws"}]}'
    await stage.rig.broker.put_spec({"status": "submitted", "text": team, "source": "mother"})
    await Planning(stage.desk(more={"scripted": True})).step()
    fields = await stage.rig.broker.spec_fields()
    (warning,) = json.loads(fields["warnings"])
    assert warning == "provider is not applied in a demo session: sleeper runs api (gone)"
    assert (await stage.agent("api")).provider == "sleeper"
    (told,) = await stage.told(EventType.AGENT_STATE)
    assert told == "provider 'gone' is not applied: this demo session runs sleeper"
