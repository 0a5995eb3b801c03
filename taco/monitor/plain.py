"""The monitor as lines: what there is, then what happens, for screen readers and pipes. Nothing is ever redrawn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator

from taco.errors import BrokerError
from taco.models import Agent, AgentQueue, Ask, Event, EventType
from taco.monitor.activity import words
from taco.monitor.feed import LOOK_S, retry_delay
from taco.monitor.lists import shows_dialog
from taco.monitor.plan import waits
from taco.monitor.source import Snapshot, Source
from taco.monitor.team import count, look, note, work
from taco.monitor.views import address
from taco.monitor.words import age, age_of, clean, clock, number

Write = Callable[[str], None]


async def follow(source: Source, write: Write, warn: Write, now: Callable[[], float] = time.time) -> None:
    """Write the session, then a line for every event and for everything that comes to wait, until cancelled.

    `warn` hears that Redis or the executor is gone. Raises BrokerError when there is no Redis to begin with.
    """
    try:
        snapshot = await source.snapshot()
    except BrokerError:
        await source.supervise()  # which starts a Redis that is the session's own
        snapshot = await source.snapshot()
    for text in summary(snapshot, now()):
        write(text)
    await _Follower(source, write, warn, snapshot).run()


class _Follower:
    def __init__(self, source: Source, write: Write, warn: Write, snapshot: Snapshot) -> None:
        self._source, self._write, self._warn = source, write, warn
        self._seen = {event.id for event in snapshot.events}
        self._waiting = dict(waiting(snapshot))
        self._trouble = ""

    async def run(self) -> None:
        failures = 0
        while True:
            await asyncio.sleep(LOOK_S)
            self._note(await self._source.supervise())
            try:
                snapshot = await self._source.snapshot()
            except BrokerError as error:
                failures += 1
                if failures == 1:
                    self._warn(f"Redis is gone; trying again. {error.message}")
                await asyncio.sleep(retry_delay(failures))
                continue
            if failures:
                self._warn("Redis answers again.")
            failures = 0
            self._tell(snapshot)

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self._warn(" ".join(clean(line).strip() for line in trouble.splitlines()))
        self._trouble = trouble

    def _tell(self, snapshot: Snapshot) -> None:
        new = [event for event in snapshot.events if event.id not in self._seen]
        if new and len(new) == len(snapshot.events) and self._seen:
            self._write("Some lines are left out, too much happened at once; all of it: taco log")
        self._seen = {event.id for event in snapshot.events}
        for event in new:
            if event.level != "debug":
                self._write(event_text(event))
        before, self._waiting = self._waiting, dict(waiting(snapshot))
        for key, text in self._waiting.items():
            if key not in before:
                self._write(f"Waits for you: {text}")
        for key, text in before.items():
            if key not in self._waiting:
                self._write(f"Waits no more: {text}")


def summary(snapshot: Snapshot, now: float) -> Iterator[str]:
    """The session in sentences: what waits for the person first, then agents, queue, services and plan."""
    yield _session(snapshot, now)
    if snapshot.demo:
        yield "DEMO: the agents are scripted."
    if loose := [agent.name for agent in snapshot.agents if agent.yolo]:
        yield f"YOLO: {'all agents' if snapshot.yolo else ', '.join(loose)} act without asking."
    for _, text in waiting(snapshot):
        yield f"Waits for you: {text}"
    team, counts = count(snapshot), snapshot.counts
    told = (
        f"{team.active} active",
        f"{team.waiting} waiting for you",
        f"{team.failed} failed",
        *(f"{many} {word}" for many, word in _rest(snapshot) if many),
    )
    yield f"Agents: {', '.join(told)}."
    for agent in snapshot.agents:
        yield _agent(agent, snapshot, now)
    yield (
        f"Queue: {number(counts.pending)} pending, {number(counts.processing)} processing, "
        f"{number(counts.completed)} completed, {number(counts.failed)} failed, {number(counts.dead)} dead, "
        f"{number(counts.unconfirmed)} unconfirmed."
    )
    for service in snapshot.services:
        owner = f", of {service.owner}" if service.owner else ""
        yield clean(f"Service {service.name}: {service.health}, at {address(service)}{owner}.")
    yield "From here on one line for each event; Ctrl-C ends this."


def _session(snapshot: Snapshot, now: float) -> str:
    lasted, since = age_of(snapshot.started_at, now), clock(snapshot.started_at, "%H:%M")
    parts = (
        f"Session {snapshot.session}: {snapshot.status or 'unknown'}",
        f"provider {snapshot.provider}" if snapshot.provider else "",
        f"since {since}, {lasted}" if since else "",
        f"in {snapshot.project_dir}" if snapshot.project_dir else "",
    )
    return clean(", ".join(filter(None, parts)) + ".")


def _rest(snapshot: Snapshot) -> Iterable[tuple[int, str]]:
    team = count(snapshot)
    return (team.planned, "planned"), (team.done, "done"), (team.stopped, "stopped")


def _agent(agent: Agent, snapshot: Snapshot, now: float) -> str:
    queue = snapshot.queues.get(agent.name, AgentQueue())
    asked = next((ask.question for ask in snapshot.asks if ask.agent == agent.name), "")
    why = note(agent, queue, asked).text or work(agent, snapshot.work.get(agent.name, "")).text
    source = f" (by {agent.state.source})" if agent.state.source and agent.pid else ""
    lasted = f" for {age(now - agent.state.since)}" if agent.state.since and agent.pid else ""
    depth = f"{number(queue.depth)} in its queue" if queue.depth else ""
    return clean("; ".join(filter(None, (f"{agent.window} {agent.name}: {_state(agent)}{source}{lasted}", why, depth))))


def _state(agent: Agent) -> str:
    return f"waits for you, {agent.state.detail or 'a dialog'}" if shows_dialog(agent) else look(agent).word


def waiting(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """What waits for the person: what tells it from others, and what it is with what to do."""
    for ask in snapshot.asks:
        yield f"ask {ask.id}", _question(ask)
    for agent in snapshot.agents:
        if shows_dialog(agent):
            detail = agent.state.detail or "a dialog"
            yield f"dialog {agent.name} {detail}", clean(f"{agent.name}: {detail}, in window {agent.window}")
    for each in snapshot.limits:
        until = clock(str(each["until"]), "%H:%M")
        text = f"{each['title']} rests until {until}: {each['text']}; sooner: taco resume --now"
        yield f"limit {each['account']} {each['until']}", clean(text)
    if waits(snapshot.spec):
        yield "plan", "the plan of the team; taco spec show, then taco spec approve or taco spec reject"


def _question(ask: Ask) -> str:
    return clean(f'{ask.agent} asks: {ask.question} Answer with: taco answer {ask.id} "…"')


def event_text(event: Event) -> str:
    """One event as a line: when, who, what; its type where its words do not say it."""
    sender = str(event.data.get("sender") or "")
    text = words(event)
    if event.type is EventType.PERSON_MESSAGE:
        who, text = f"{sender or event.agent} to person", str(event.data.get("message") or text)
    elif event.category == "command":
        who = f"{sender} to {event.agent}" if sender else event.agent
        what = str(event.type).partition(".")[2]
        preview = str(event.data.get("preview") or "")
        text = ": ".join(filter(None, (what, ", ".join(filter(None, (preview, text))))))
    else:
        who = event.agent or event.category
    return clean(f"{clock(event.ts)} {who}: {text or event.type}")
