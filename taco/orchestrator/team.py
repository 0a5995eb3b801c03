"""The team at work: who starts when, who is done, what is told to whom, and what the person asked to change."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from taco import brief, doctor, files, log, schedule
from taco.errors import BrokerError, MissingProgramError, QueueFullError, TacoError, TemporaryError, TmuxGoneError
from taco.models import (
    GONE_LEVELS,
    MOTHER,
    PERSON,
    WAS_BUSY,
    Agent,
    AgentState,
    AgentStatus,
    CommandState,
    EventType,
    Level,
    Pane,
    Priority,
    from_iso,
    iso,
)
from taco.orchestrator.desk import Desk
from taco.orchestrator.planning import brief_for
from taco.provider import Provider, not_applied
from taco.records import state_fields

_LIVE = frozenset({AgentStatus.STARTING, AgentStatus.RUNNING, AgentStatus.DONE, AgentStatus.FAILED, AgentStatus.PAUSED})
_GIVEN = "Your brief is among the files you were given to read. Begin now."
_REMEMBERED, _TOLD_AGAIN = 500, 20  # messages that are looked through, and told to an agent that has lost its memory


class Team:
    """Keeps the agents of one session in step with what Redis says they should be."""

    def __init__(self, desk: Desk) -> None:
        """Nobody is started by this."""
        self._desk = desk
        self._blocked: dict[str, str] = {}
        self._warned: set[str] = set()
        self._watched: dict[str, Agent] = {}  # as they were when they were last told to observer and executor
        self._launching: set[str] = set()
        self._given_up: set[str] = set()  # cannot be started; a restart tries again
        self._ended: set[int] = set()  # processes of agents that were restarted: on their way out
        self._changing: dict[str, asyncio.Task[None]] = {}  # agents that are being ended, beside the rounds
        self._told_person: set[str] = set()
        self._releases: dict[str, asyncio.Task[None]] = {}  # provider -> the look at its program's version

    async def step(self) -> None:
        """One round: adopt and start agents, take over requests, tell what is done."""
        self._changing = {name: task for name, task in self._changing.items() if not task.done()}
        await self._requests()
        self._desk.team = await self._desk.broker.agents()
        await self._adopt()
        await self._start_mother()
        await self._start_planned()
        await self._announce()

    async def note_states(self, seen: Mapping[str, tuple[AgentState, Pane | None]]) -> None:
        """Write down the states that changed since the last sweep, and wake whom they free."""
        for agent in self._desk.team:
            if agent.name not in seen or agent.name in self._changing:
                continue
            state, _ = seen[agent.name]
            if (state.level, state.detail, state.source) != (agent.state.level, agent.state.detail, agent.state.source):
                await self._note_state(agent, state)
            elif agent.status is AgentStatus.STARTING and state.level in GONE_LEVELS:
                await self._note_end(agent, state)
            elif session_id := self._other_conversation(agent):  # begun by /clear, say
                await self._desk.broker.set_agent(agent.window, {"session_id": session_id})

    def _other_conversation(self, agent: Agent) -> str:
        """The CLI's own id of the agent's conversation, when it is another one than was noted; "" when it is not."""
        found = self._desk.observer.session_id(agent.name)
        return found if found != agent.session_id else ""

    async def _note_state(self, agent: Agent, state: AgentState) -> None:
        """Tell first, write last: what is written is not told again, by nobody."""
        desk = self._desk
        ended = state.level in GONE_LEVELS and agent.state.level not in GONE_LEVELS
        if ended:
            await self._note_end(agent, state)
        fields = dict(state_fields(state))
        ready = state.level in (Level.IDLE, Level.BUSY, Level.WAITING, Level.UNKNOWN)
        if agent.status is AgentStatus.STARTING and ready and await self._status(agent) is AgentStatus.STARTING:
            fields["status"] = str(AgentStatus.PAUSED if agent.paused else AgentStatus.RUNNING)
        if session_id := self._other_conversation(agent):
            fields["session_id"] = session_id
        await desk.broker.set_agent(agent.window, fields)
        if not ended and (state.level, state.detail) != (agent.state.level, agent.state.detail):
            level = "warning" if state.level is Level.WAITING else "debug"
            await desk.tell(EventType.AGENT_STATE, str(state), agent=agent.name, level=level)
        desk.executor.wake(agent.name)

    async def _status(self, agent: Agent) -> AgentStatus | None:
        """The agent's status now: it may have reported since the round began. None: it was removed."""
        found = (each.status for each in await self._desk.broker.agents() if each.name == agent.name)
        return next(found, None)

    async def _note_end(self, agent: Agent, state: AgentState) -> None:
        """An agent's process is gone: who waits for it, Mother and the person are told."""
        desk = self._desk
        status = await self._status(agent)
        if agent.name == MOTHER:
            content = f"Mother has ended ({state}); bring her back with: taco agent restart mother"
            await desk.tell(EventType.PERSON_MESSAGE, content, agent=MOTHER, level="warning")
        elif status is AgentStatus.STARTING:
            said = last_line(desk.observer.screen(agent.name))
            reason = f"ended while it started, {state}" + (f": {said}" if said else "")
            await desk.broker.report(agent.name, failed=True, text=reason, at=iso(desk.now()))
        elif status in (AgentStatus.RUNNING, AgentStatus.PAUSED) and desk.mother is not None:
            text = f"{agent.name} has ended without a report: {state}. Its queue waits for it."
            await desk.message(MOTHER, text, key=f"ended/{agent.name}/{agent.launched_at}")
        await desk.tell(EventType.AGENT_EXITED, str(state), agent=agent.name, level="warning")

    # Starting

    async def _adopt(self) -> None:
        """Watch and serve every agent that runs; start again the processes of a session that was resumed."""
        desk = self._desk
        live = [each for each in desk.team if each.status in _LIVE and each.name not in self._changing]
        for agent in live:
            if agent.pid and self._watched.get(agent.name) is not agent:
                self._watch(agent)
        room = max(0, desk.config.start_concurrency - self._starting())
        lost = [agent for agent in live if not agent.pid and agent.name not in self._given_up][:room]
        await _all(self._launch(agent, resume=True) for agent in lost)

    def _starting(self) -> int:
        return sum(agent.status is AgentStatus.STARTING and bool(agent.pid) for agent in self._desk.team)

    def _watch(self, agent: Agent) -> None:
        desk = self._desk
        try:
            provider = desk.provider_of(agent)
        except TacoError as error:
            self._warn_once(agent.name, error.message)
            return
        started_at = from_iso(agent.launched_at) if agent.launched_at else desk.now()
        desk.observer.watch(
            agent,
            provider,
            spool=desk.ground.spool(agent.name),
            cwd=str(desk.ground.workspace(agent)),
            environ=dict(desk.ground.environ),
            started_at=started_at,
        )
        desk.executor.serve(agent, provider)
        self._watched[agent.name] = agent

    def _warn_once(self, name: str, text: str) -> bool:
        new = f"{name}: {text}" not in self._warned
        self._warned.add(f"{name}: {text}")
        return new

    async def _start_mother(self) -> None:
        mother = self._desk.mother
        if mother is not None and mother.status is AgentStatus.PLANNED:
            await self._launch(mother)

    async def _start_planned(self) -> None:
        desk = self._desk
        plan = schedule.ready(desk.team, concurrency=desk.config.start_concurrency)
        starts = [agent for agent in plan.start if agent.provider not in desk.parked]
        await _all(self._launch(agent) for agent in starts if agent.name not in self._changing)
        parked = {agent.name: desk.parked[agent.provider] for agent in plan.start if agent.provider in desk.parked}
        for agent in desk.team:
            blocked = agent.name in plan.blocked or agent.name in parked
            reason = plan.blocked.get(agent.name, parked.get(agent.name, "")).removeprefix("waits for ")
            if agent.status is AgentStatus.PLANNED and reason != agent.waiting_for and blocked:
                await desk.broker.set_agent(agent.window, {"waiting_for": reason})
            if agent.name in plan.stuck and self._blocked.get(agent.name) != reason:
                await self._tell_stuck(agent, reason)
                self._blocked[agent.name] = reason

    async def _tell_stuck(self, agent: Agent, reason: str) -> None:
        """Somebody it waits for will not be done: Mother and the person decide."""
        desk = self._desk
        await desk.tell(EventType.AGENT_BLOCKED, reason, agent=agent.name, level="warning")
        content = f"{agent.name} cannot start: it waits for {reason}"
        await desk.tell(EventType.PERSON_MESSAGE, content, agent=agent.name, level="warning")
        if desk.mother is not None and desk.mother.pid:
            text = f"{content}. Decide what to do, or ask the person."
            await desk.message(MOTHER, text, key=f"stuck/{agent.name}/{reason}")

    async def _launch(self, agent: Agent, *, resume: bool = False) -> None:
        """Start one agent's process; what cannot pass fails this agent and nobody else, what may is tried again."""
        if agent.name in self._launching:
            return
        self._launching.add(agent.name)
        try:
            await self._start(agent, resume=resume)
        except (BrokerError, TmuxGoneError):
            raise
        except (TemporaryError, MissingProgramError, OSError) as error:
            if self._warn_once(agent.name, f"launch: {error}"):
                log.warning("launch.failed", agent=agent.name, error=str(error))
        except TacoError as error:
            await self._fail(agent, error)
        finally:
            self._launching.discard(agent.name)

    async def _start(self, agent: Agent, *, resume: bool) -> None:
        """Start an agent, or take over its process when it was started and not noted. The note is written last."""
        desk = self._desk
        provider = desk.provider_of(agent)
        for warning in not_applied(provider, {"model": agent.model or None}):
            if self._warn_once(agent.name, warning):
                await desk.tell(EventType.AGENT_STATE, warning, agent=agent.name, level="warning")
        text = await brief_for(desk, agent) if provider.first_prompt != "none" else ""
        goes_on = resume and bool(provider.resume) and desk.agents.can_resume(agent, provider)
        launched, runs = await desk.agents.find(agent, ended=self._ended)
        if not runs:
            if resume:
                await self._pick_up(agent, provider, text)
            if resume and text and not goes_on:
                text += await self._lost(agent)
            tools = desk.hands_tools(agent)
            launched = await desk.agents.launch(launched, provider, text, resume=resume, tools=tools)
            if provider.versions and provider.name not in self._releases:
                look = asyncio.create_task(self._look_at_release(provider), name=f"release {provider.name}")
                self._releases[provider.name] = look
        if provider.first_prompt == "paste" and not goes_on:
            text = _GIVEN if provider.understands("brief_file") else text
            await desk.message(agent.name, text, key=f"brief/{launched.launched_at}", priority=Priority.HIGH)
        now = next((each for each in await desk.broker.agents() if each.name == agent.name), agent)
        launched = replace(
            launched,
            restarts=agent.restarts + (1 if resume else 0),
            status=_after_resume(now, launched),
            done=now.done,
            failed=now.failed,
            reported_at=now.reported_at,
        )
        await desk.broker.put_agent(launched)
        kind = EventType.AGENT_RESTARTED if resume else EventType.AGENT_CREATED
        where = f"{provider.title or provider.name} in window {launched.window}"
        await desk.tell(kind, where, agent=agent.name, data={"window": launched.window, "pid": launched.pid})
        desk.team = [launched if each.name == agent.name else each for each in desk.team]
        self._watch(launched)

    async def _look_at_release(self, provider: Provider) -> None:
        """Say so where a CLI is of a release that its rules were not tested with; beside the rounds."""
        path = shutil.which(provider.command[0], path=self._desk.ground.environ.get("PATH"))
        if path is None:
            return  # told where it is started
        _, version = await asyncio.to_thread(doctor.version_of, path)
        if version and not doctor.tested(version, provider.versions):
            what = f"{provider.title or provider.name} {version} is not a release that TACO was tested with"
            text = f"{what} ({provider.versions}): where its screen differs, messages wait; see: taco provider check"
            await self._desk.tell(EventType.PROVIDER_UNTESTED, text, level="warning", data={"provider": provider.name})

    async def _pick_up(self, agent: Agent, provider: Provider, text: str) -> None:
        """What it was in the middle of does not go on by itself: it is told to, and what it had not seen.

        Its brief, `text`, comes first when its CLI forgets that.
        """
        left = self._desk.agents.left_over(agent, provider)
        was_busy = agent.state.source == WAS_BUSY and not provider.tells_cut_off
        parts = [text, files.prompt("reminded", {})] if left.forgets and text else []
        if left.unsent or ((left.cut_off or was_busy) and not agent.reported_at):
            parts.append(files.prompt("resumed", brief.resumed_values(left.unsent)))
        if parts:
            key = f"resumed/{agent.launched_at}"
            await self._desk.message(agent.name, "\n".join(parts), key=key, priority=Priority.HIGH)

    async def _lost(self, agent: Agent) -> str:
        """What follows the brief of an agent whose conversation cannot be continued: what the ledger knows of it."""
        lines: list[str] = []
        for each in await self._desk.broker.completed(_REMEMBERED):
            ours = agent.name in (each["target"], each["sender"]) and each["state"] == CommandState.DELIVERED
            if ours and len(lines) < _TOLD_AGAIN:
                ledger = await self._desk.broker.ledger(each["id"])
                said = " ".join(ledger.preview.split()) if ledger else ""
                lines.append(f"{each.get('at', '')[11:16]} {each['sender']} → {each['target']}: {said}")
        return "\n" + files.prompt("lost", brief.lost_values(agent, lines[::-1]))

    async def _fail(self, agent: Agent, error: TacoError) -> None:
        """An agent cannot be started; one that has reported stays what it was."""
        desk = self._desk
        self._given_up.add(agent.name)
        reason = f"cannot be started: {error.message}"
        if agent.name == MOTHER or await self._status(agent) in (AgentStatus.DONE, AgentStatus.FAILED):
            await desk.tell(EventType.AGENT_FAILED, reason, agent=agent.name, level="error")
        else:
            await desk.broker.report(agent.name, failed=True, text=reason, at=iso(desk.now()))
        if agent.name == MOTHER:
            await desk.broker.set_agent(agent.window, {"status": str(AgentStatus.FAILED), "failed": reason})
        desk.team = await desk.broker.agents()

    # Reports

    async def _announce(self) -> None:
        """Queue the messages about who is done or has failed, each once, and note that they are queued."""
        desk = self._desk
        due = schedule.announcements(desk.team)
        members = {agent.name for agent in desk.team}  # who is only planned reads it when it starts
        late = set()
        for each in due:
            key = f"report/{each.about.name}/{each.about.reported_at}"
            if each.recipient == PERSON:
                if key not in self._told_person:
                    await desk.tell(EventType.PERSON_MESSAGE, each.text, agent=each.about.name)
                    self._told_person.add(key)
            elif each.recipient in members and not await self._report_to(each, key):
                late.add(each.about.name)
        for about in {each.about.name: each.about for each in due if each.about.name not in late}.values():
            await desk.broker.set_agent(about.window, {"announced": about.reported_at})
        if due:
            desk.team = await desk.broker.agents()

    async def _report_to(self, each: schedule.Announcement, key: str) -> bool:
        """Queue what an agent reports for somebody; False when the queue is full: the next round tries again."""
        try:
            await self._desk.message(each.recipient, each.text, sender=each.about.name, key=key)
        except QueueFullError as error:
            if self._warn_once(each.recipient, key):
                log.warning("report.waits", agent=each.about.name, error=error.message)
            return False
        return True

    # What the person asked for

    async def _requests(self) -> None:
        """Obey what was asked for; each stays written down until it is done, those of one agent in their order."""
        held = set(self._changing)
        for text, request in (await self._desk.broker.requests()).items():
            name = str(request.get("agent", ""))
            if name in held:
                continue
            if request.get("verb") in ("restart", "remove"):
                held.add(name)
                self._changing[name] = asyncio.create_task(self._take_over(text, request), name=f"change-{name}")
            else:
                await self._take_over(text, request)

    async def _take_over(self, text: str, request: Mapping[str, Any]) -> None:
        verb, name = str(request.get("verb", "")), str(request.get("agent", ""))
        try:
            try:
                await self._obey(verb, name, request)
            except TemporaryError:
                raise
            except TacoError as error:
                await self._desk.tell(EventType.AGENT_STATE, f"{verb}: {error.message}", agent=name, level="error")
            await self._desk.broker.drop_request(text)
        except TemporaryError as error:
            log.warning("request.waits", verb=verb, agent=name, error=error.message)
        except Exception:
            # A bug must not come up again every second, nor keep what was asked for after it from being done.
            log.exception("request.failed", verb=verb, agent=name)
            await self._desk.broker.drop_request(text)

    async def _obey(self, verb: str, name: str, request: Mapping[str, Any]) -> None:
        desk = self._desk
        if verb == "add":
            await self._add(request)
            return
        agent = await self._now(name)
        if agent is None:
            return
        if verb in ("pause", "resume"):
            await self._pause(agent, paused=verb == "pause")
        elif verb == "restart" and agent.launched_at <= str(request.get("at") or "9"):  # else it was done already
            await self._restart(agent)
        elif verb == "remove":
            await self._remove(agent)
        desk.executor.wake(name)

    async def _now(self, name: str) -> Agent | None:
        return next((each for each in await self._desk.broker.agents() if each.name == name), None)

    async def _pause(self, agent: Agent, *, paused: bool) -> None:
        desk = self._desk
        desk.executor.update(replace(agent, paused=paused))  # who sees it written may count on it
        fields = {"paused": "1" if paused else "0"}
        before, after = (AgentStatus.RUNNING, AgentStatus.PAUSED)[:: 1 if paused else -1]
        if agent.status is before:
            fields["status"] = str(after)
        await desk.broker.set_agent(agent.window, fields)
        kind = EventType.AGENT_PAUSED if paused else EventType.AGENT_RESUMED
        await desk.tell(kind, "gets no messages" if paused else "gets messages again", agent=agent.name)

    async def _restart(self, agent: Agent) -> None:
        desk = self._desk
        await desk.agents.end(agent, grace_s=desk.config.grace_s)
        self._ended.add(agent.pid)
        self._given_up.discard(agent.name)
        now = await self._now(agent.name)
        if now is None:
            return
        again = (AgentStatus.PLANNED, AgentStatus.STOPPED, AgentStatus.FAILED)
        status = AgentStatus.RUNNING if now.status in again else now.status
        fresh = replace(now, pid=0, status=status, failed="", state=AgentState())
        alive = any(pane.id == now.pane for pane in await desk.pipe.panes())
        await desk.broker.put_agent(fresh if alive else replace(fresh, pane=""))

    async def _remove(self, agent: Agent) -> None:
        desk = self._desk
        await desk.executor.leave(agent.name)
        desk.observer.forget(agent.name)
        await desk.agents.remove(agent, grace_s=desk.config.grace_s)
        for ask in await desk.broker.asks(open_only=True):
            if ask.agent == agent.name:
                await desk.broker.answer_ask(ask.id, f"{agent.name} was removed", iso(desk.now()))
        await desk.broker.remove_agent(agent.window)
        self._watched.pop(agent.name, None)
        self._given_up.discard(agent.name)
        await desk.tell(EventType.AGENT_REMOVED, "was removed", agent=agent.name)

    async def _add(self, request: Mapping[str, Any]) -> None:
        """A new member of the team, planned like those of the spec."""
        desk = self._desk
        team = await desk.broker.agents()
        window = max([2, *(agent.window for agent in team)]) + 1
        spec = request.get("spec") or request
        scripted = desk.record.more.get("scripted")
        name = str(spec.get("name") or request.get("agent"))
        if any(agent.name == name for agent in team):
            await desk.tell(EventType.AGENT_STATE, "is in the team already", agent=name, level="warning")
            return
        await desk.broker.put_agent(
            Agent(
                window=window,
                name=name,
                role=str(spec.get("role", "")),
                provider=str((not scripted and spec.get("provider")) or desk.record.provider),
                model=str(spec.get("model") or desk.record.model),
                workspace=str(spec.get("workspace") or name),
                depends_on=_names(spec.get("depends_on")),
                wait_for=_names(spec.get("wait_for")),
                notifies=_names(spec.get("notifies")),
                yolo=desk.record.yolo,
            )
        )
        await desk.tell(EventType.AGENT_PLANNED, str(spec.get("role", "")), agent=name)


async def _all(launches: Iterable[Awaitable[None]]) -> None:
    """Let all of them come to their end, and raise the first of what went wrong then."""
    for outcome in await asyncio.gather(*launches, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = json.loads(value) if value.startswith("[") else value.split(",")
    return tuple(str(name).strip() for name in value or () if str(name).strip())


def last_line(screen: str) -> str:
    """The last thing a program said on its screen; "" for nothing."""
    said = [line.strip() for line in screen.split("\n") if line.strip() and not line.startswith("Pane is dead")]
    return said[-1][:200] if said else ""


def _after_resume(before: Agent, launched: Agent) -> AgentStatus:
    """Who was done or had failed before a resume still is."""
    return before.status if before.status in (AgentStatus.DONE, AgentStatus.FAILED) else launched.status
