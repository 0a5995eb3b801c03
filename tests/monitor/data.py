"""A session to look at: fixed data, and a source that hands it out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from taco.errors import TacoError
from taco.inbox import Note
from taco.models import (
    Agent,
    AgentQueue,
    AgentState,
    AgentStatus,
    Ask,
    Event,
    EventType,
    Level,
    QueueCounts,
    Service,
    from_iso,
    iso,
)
from taco.monitor.source import Letters, Snapshot

NOW = from_iso("2026-03-14T12:35:00.000Z")


def stamp(seconds_ago: float) -> str:
    """ISO time so long before NOW."""
    return iso(NOW - seconds_ago)


def state(level: Level, since_s: float, source: str, detail: str = "") -> AgentState:
    """A state that began so long before NOW."""
    return AgentState(level, detail, NOW - since_s, source)


def agent(window: int, name: str, role: str, seen: AgentState, **more: object) -> Agent:
    """A running agent with a pane."""
    fields = {
        "status": AgentStatus.RUNNING,
        "provider": "claude",
        "pane": f"%{window + 20}",
        "pid": 4000 + window,
        "workspace": f"/srv/todo/{name}",
        "launched_at": stamp(9000),
        "state": seen,
    }
    return Agent(window, name, role, **(fields | more))


AGENTS = (
    agent(0, "mother", "plans the team", state(Level.IDLE, 1900, "hook")),
    agent(
        3,
        "architect",
        "designs the API and the data model",
        state(Level.IDLE, 3600, "hook"),
        status=AgentStatus.DONE,
        done="API in docs/api.md, 14 endpoints",
        notifies=("backend_dev", "frontend_dev"),
    ),
    agent(
        4,
        "backend_dev",
        "builds the REST API",
        state(Level.WAITING, 65, "hook", "permission"),
        depends_on=("architect",),
        hold="waiting: permission",
    ),
    agent(
        5,
        "frontend_dev",
        "builds the web interface with a component library of its own",
        state(Level.BUSY, 240, "hook"),
        model="opus",
    ),
    agent(6, "database_dev", "schema and migrations", state(Level.BUSY, 31, "transcript")),
    agent(7, "researcher", "reads what users want", state(Level.LIMITED, 700, "screen", "15:00")),
    agent(
        8,
        "devops",
        "containers and CI",
        state(Level.EXITED, 130, "process", "1"),
        restarts=2,
    ),
    Agent(
        9,
        "validator",
        "tests everything end to end",
        provider="claude",
        wait_for=("backend_dev", "frontend_dev"),
        waiting_for="backend_dev, frontend_dev",
    ),
)


def command(at_s: float, kind: EventType, command_id: str, sender: str, target: str, text: str) -> Event:
    """One event of a message, as the broker tells it."""
    queued = kind is EventType.COMMAND_QUEUED
    return Event(
        kind,
        "todo-app",
        id=f"{NOW - at_s:.0f}-{command_id}",
        ts=stamp(at_s),
        agent=target,
        command=command_id,
        content=f"{sender} → {target}: {text}" if queued else text,
        data={"sender": sender} if queued else {},
    )


def happened(at_s: float, kind: EventType, name: str, text: str, level: str = "info") -> Event:
    """One event that is no message's."""
    return Event(kind, "todo-app", ts=stamp(at_s), agent=name, content=text, level=level)


API = "API spec shared: docs/api.md"
EVENTS = (
    happened(9100, EventType.SPEC_APPROVED, "", "team of 7 agents approved"),
    happened(3600, EventType.AGENT_DONE, "architect", "API in docs/api.md, 14 endpoints"),
    command(3590, EventType.COMMAND_QUEUED, "c1", "architect", "backend_dev", API),
    command(3588, EventType.COMMAND_DELIVERED, "c1", "architect", "backend_dev", "seen by hook"),
    command(3590, EventType.COMMAND_QUEUED, "c2", "architect", "frontend_dev", API),
    command(3580, EventType.COMMAND_DELIVERED, "c2", "architect", "frontend_dev", "seen by hook"),
    happened(700, EventType.AGENT_STATE, "researcher", "limited(15:00)", "debug"),
    command(190, EventType.COMMAND_QUEUED, "c3", "database_dev", "backend_dev", "Schema ready: 6 tables, 数据库 ✅"),
    command(185, EventType.COMMAND_DELIVERED, "c3", "database_dev", "backend_dev", "seen by hook"),
    happened(130, EventType.AGENT_EXITED, "devops", "exited with code 1", "error"),
    command(90, EventType.COMMAND_QUEUED, "c4", "frontend_dev", "mother", "Tests passing (42/42) [bold red]x[/]"),
    command(88, EventType.COMMAND_UNCONFIRMED, "c4", "frontend_dev", "mother", "nobody saw it arrive"),
    command(60, EventType.COMMAND_QUEUED, "c5", "frontend_dev", "backend_dev", "Which port do you listen on?"),
    command(55, EventType.COMMAND_HELD, "c5", "frontend_dev", "backend_dev", "waiting: permission"),
    Event(
        EventType.PERSON_MESSAGE,
        "todo-app",
        ts=stamp(50),
        agent="architect",
        command="p1",
        content="The API is ready for you to look at",
        data={"sender": "architect"},
    ),
    happened(40, EventType.ASK_OPENED, "frontend_dev", "Dark mode first, or light?"),
    command(4, EventType.COMMAND_QUEUED, "c6", "person", "database_dev", "please add an index on due_date"),
    command(3, EventType.COMMAND_TYPED, "c6", "person", "database_dev", ""),
)

RUNNING = Snapshot(
    session="todo-app",
    status="running",
    prompt="build me a todo app with accounts, a REST API and a web interface",
    project_dir="/srv/todo",
    provider="claude",
    started_at=stamp(9240),
    agents=AGENTS,
    queues={
        "backend_dev": AgentQueue(high=1, normal=2, oldest_wait_s=60.0, hold="waiting: permission"),
        "database_dev": AgentQueue(normal=1, oldest_wait_s=4.0),
    },
    counts=QueueCounts(pending=3, processing=1, completed=1247, failed=2, dead=1, unconfirmed=1),
    services=(
        Service("frontend", "http://localhost:3000", 3000, "ok", "frontend_dev"),
        Service("backend", "http://localhost:3001", 3001, "down", "backend_dev"),
        Service("database", "", 5432, "unknown", "database_dev"),
    ),
    asks=(Ask("a7k2", "frontend_dev", "Dark mode first, or light?", stamp(40)),),
    events=EVENTS,
    last_messages={
        "mother": "← frontend_dev: Tests passing (42/42) [bold red]x[/]",
        "architect": "→ frontend_dev: API spec shared: docs/api.md",
        "frontend_dev": "→ backend_dev: Which port do you listen on?",
        "backend_dev": "← frontend_dev: Which port do you listen on?",
        "database_dev": "← person: please add an index on due_date",
    },
    work={
        "frontend_dev": "architect: API spec shared: docs/api.md",
        "database_dev": "person: please add an index on due_date",
        "backend_dev": "database_dev: Schema ready: 6 tables, 数据库 ✅",
    },
    minutes={
        int(NOW // 60) - back: count for back, count in enumerate((3, 12, 8, 4, 0, 2, 9, 21, 14, 5, 1, 0, 0, 2, 6))
    },
    executor_age_s=0.4,
)

PLAN = {
    "agents": [
        {"name": "architect", "role": "designs the API and the data model", "notifies": ["mother"]},
        {"name": "backend_dev", "role": "builds the REST API", "wait_for": ["architect"]},
        {"name": "frontend_dev", "role": "builds the web interface", "wait_for": ["architect"]},
        {
            "name": "validator",
            "role": "tests everything end to end, in a browser and against the API, and says what is broken",
            "wait_for": ["backend_dev", "frontend_dev"],
        },
    ]
}

REVIEW = replace(
    RUNNING,
    status="review",
    started_at=stamp(95),
    agents=AGENTS[:1],
    queues={},
    counts=QueueCounts(completed=1),
    services=(),
    asks=(),
    events=(happened(20, EventType.SPEC_REVIEW, "mother", "a team of 4 agents waits for approval"),),
    last_messages={},
    spec={"status": "review", "json": json.dumps(PLAN), "mark": "m1"},
)

DEMO = replace(RUNNING, provider="demo", demo=True, yolo=True)

LETTERS = Letters(
    dead=(
        {
            "id": "c0dead",
            "sender": "devops",
            "target": "validator",
            "message": "image built",
            "reason": "the pane is gone (3 attempts)",
            "at": stamp(500),
        },
    ),
    unconfirmed=(
        {
            "id": "c4",
            "sender": "frontend_dev",
            "target": "mother",
            "message": "Tests passing (42/42) [bold red]x[/]",
            "reason": "not seen in the transcript",
            "at": stamp(88),
        },
    ),
)


NOTES = (
    Note("p0", "mother", stamp(3000), "The plan is approved, the team starts"),
    Note("p1", "architect", stamp(50), "The API is ready for you to look at: docs/api.md has all 14 endpoints"),
)

DIALOG = (
    "● Bash(npm install)",
    "",
    "Do you want to proceed?",
    "❯ 1. Yes",
    "  2. No, and tell Claude what to do differently",
    "",
)


class FakeSource:
    """Hands out a snapshot and writes down what is asked of it; a test sets `current`, `error`, `wrong`, `refusal`."""

    def __init__(self, snapshot: Snapshot = RUNNING) -> None:
        self.current = snapshot
        self.error: Exception | None = None
        self.wrong = ""
        self.supervise_error: Exception | None = None
        self.jump_error: Exception | None = None
        self.refusal: TacoError | None = None  # of whatever is to be done
        self.prefix_key = "C-a"
        self.jumps: list[int] = []
        self.done: list[tuple[object, ...]] = []
        self.asked = 0
        self.listening = 0
        self.queue: asyncio.Queue[Event | Exception] = asyncio.Queue()

    async def snapshot(self) -> Snapshot:
        self.asked += 1
        if self.error:
            raise self.error
        return self.current

    async def letters(self) -> Letters:
        return LETTERS

    async def notes(self) -> Sequence[Note]:
        return NOTES

    async def screens(self, agents: Sequence[Agent]) -> Mapping[str, Sequence[str]]:
        return {agent.name: DIALOG for agent in agents}

    async def live(self) -> AsyncIterator[Event]:
        self.listening += 1
        while True:
            item = await self.queue.get()
            if isinstance(item, Exception):
                raise item
            yield item

    async def jump(self, window: int) -> None:
        if self.jump_error:
            raise self.jump_error
        self.jumps.append(window)

    async def supervise(self) -> str:
        if self.supervise_error:
            raise self.supervise_error
        return self.wrong

    async def prefix(self) -> str:
        return self.prefix_key

    async def send(self, agents: Sequence[str], text: str) -> Sequence[str]:
        self._do("send", *agents, text)
        return ["m1"] if len(agents) == 1 else [f"m1-{agent}" for agent in agents]

    async def ask_for(self, verb: str, agent: str) -> None:
        self._do(verb, agent)

    async def answer(self, ask_id: str, text: str) -> str:
        self._do("answer", ask_id, text)
        return f"answer-{ask_id}"

    async def press(self, ask: Ask, key: str) -> bool:
        self._do("press", ask.id, key)
        return key != "3"  # which stands still

    async def retry(self, command_id: str) -> None:
        self._do("retry", command_id)

    async def drop(self, command_id: str) -> None:
        self._do("drop", command_id)

    async def decide(self, mark: str, *, approved: bool, reason: str = "") -> None:
        self._do("approve" if approved else "reject", mark, reason)

    def _do(self, *words: object) -> None:
        if self.refusal:
            raise self.refusal
        self.done.append(words)
