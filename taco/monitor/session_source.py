"""The monitor's source for a real session: Redis through a broker; tmux through what is injected."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence

from taco import inbox, paths, processes
from taco.broker import Broker
from taco.errors import BrokerError, TacoError, TmuxError
from taco.inbox import Note
from taco.keys import FRESH_S
from taco.models import Agent, Ask, Event, EventType, from_iso
from taco.monitor import deeds
from taco.monitor.rate import KEPT_M, minute
from taco.monitor.source import Letters, Snapshot
from taco.paths import SessionRecord

SHOWN = 200  # events in a snapshot
AT_ONCE = 1_000  # events read in one call
BEFORE = 5_000  # events of the time before the monitor that are counted
DEMO = "demo"  # the scripted provider
_WORKED_ON = (EventType.COMMAND_ENTERED, EventType.COMMAND_DELIVERED)


async def _no_screen(_agent: Agent) -> Sequence[str]:
    return ()


async def _no_prefix() -> str:
    return ""


async def _no_press(ask: Ask, key: str) -> bool:
    raise TacoError("no key can be pressed from here", hint=f"taco answer {ask.id} {key}")


class SessionSource:
    """Reads one session; connects when it is first needed, and again by itself."""

    def __init__(
        self,
        record: SessionRecord,
        connect: Callable[[], Awaitable[Broker]],
        *,
        jump: Callable[[int], Awaitable[None]],
        supervise: Callable[[], Awaitable[str]],
        screen: Callable[[Agent], Awaitable[Sequence[str]]] = _no_screen,
        prefix: Callable[[], Awaitable[str]] = _no_prefix,
        press: Callable[[Ask, str], Awaitable[bool]] = _no_press,
    ) -> None:
        """`connect` raises BrokerError; `jump` selects a window; `supervise` says what is wrong with the executor.

        `screen` is what an agent's pane shows, `prefix` the person's prefix key; they and `jump` raise TmuxError.
        `press` presses a key at a dialog and says whether that went; it raises TacoError.
        """
        self._record, self._connect, self._jump, self._supervise = record, connect, jump, supervise
        self._screen, self._prefix, self._press = screen, prefix, press
        self._store: Broker | None = None
        self._opening = asyncio.Lock()
        self._events: deque[Event] = deque(maxlen=SHOWN)
        self._last_messages: dict[str, str] = {}
        self._work: dict[str, str] = {}
        self._minutes: Counter[int] = Counter()
        self._executor_pid = 0  # 0: unknown, or without a fresh sign of life

    async def snapshot(self) -> Snapshot:
        """The session now, in as few round trips as the broker needs; raises BrokerError, which names a full disk."""
        try:
            return await self._read()
        except BrokerError as error:
            raise BrokerError(paths.no_room(self._record.home) or error.message) from None

    async def _read(self) -> Snapshot:
        self._executor_pid = 0
        store = await self._broker()
        (fields, spec, agents, queues, counts), (services, asks, age, _) = await asyncio.gather(
            asyncio.gather(store.session_fields(), store.spec_fields(), store.agents(), store.queues(), store.counts()),
            asyncio.gather(store.services(), store.asks(), store.heartbeat_age_s(), self._read_events(store)),
        )
        if age is not None and age <= FRESH_S:
            self._executor_pid = int(fields.get("executor_pid") or 0)
        record = self._record
        provider = fields.get("provider") or record.provider
        return Snapshot(
            session=record.name,
            status=fields.get("status") or record.status,
            prompt=fields.get("prompt") or record.prompt,
            project_dir=fields.get("project_dir") or str(record.project_dir),
            provider=provider,
            started_at=fields.get("started_at") or record.started_at,
            demo=provider == DEMO or any(agent.provider == DEMO for agent in agents),
            yolo=record.yolo or fields.get("yolo") == "1",
            agents=tuple(agents),
            queues=queues,
            counts=counts,
            services=tuple(services),
            asks=tuple(ask for ask in asks if not ask.is_dialog),
            dialogs={ask.agent: ask for ask in asks if ask.is_dialog},
            events=tuple(self._events),
            spec=spec,
            last_messages=dict(self._last_messages),
            work=dict(self._work),
            minutes=dict(self._minutes),
            limits=tuple(json.loads(fields.get("limits") or "[]")),
            executor_age_s=age,
        )

    async def letters(self) -> Letters:
        """Dead letters and unconfirmed messages; raises BrokerError."""
        store = await self._broker()
        dead, unconfirmed = await asyncio.gather(store.dead_letters(), store.unconfirmed())
        return Letters(tuple(dead), tuple(unconfirmed))

    async def notes(self) -> Sequence[Note]:
        """The last messages to the person; raises BrokerError."""
        return (await inbox.of_person(await self._broker())).messages

    async def screens(self, agents: Sequence[Agent]) -> Mapping[str, Sequence[str]]:
        """What these agents' panes show; one that cannot be read is left out."""
        found = await asyncio.gather(*(self._screen(agent) for agent in agents), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException) and not isinstance(each, TmuxError):
                raise each
        pairs = zip(agents, found, strict=True)
        return {agent.name: rows for agent, rows in pairs if not isinstance(rows, BaseException)}

    async def live(self) -> AsyncIterator[Event]:
        """Events as they happen; raises BrokerError when the connection drops."""
        live = (await self._broker()).live()
        try:
            async for event in live:
                yield event
        finally:
            if isinstance(live, AsyncGenerator):
                await live.aclose()

    async def jump(self, window: int) -> None:
        """Select a window."""
        await self._jump(window)

    async def supervise(self) -> str:
        """Look after the executor, unless its heartbeat was just seen and its process runs."""
        return "" if processes.is_alive(self._executor_pid) else await self._supervise()

    async def prefix(self) -> str:
        """The person's prefix key; empty when tmux cannot be asked."""
        try:
            return await self._prefix()
        except TmuxError:
            return ""

    async def send(self, agents: Sequence[str], text: str) -> Sequence[str]:
        """Queue a message of the person; raises TacoError."""
        return await deeds.send(await self._broker(), agents, text)

    async def ask_for(self, verb: str, agent: str) -> None:
        """Leave a wish for the orchestrator; raises BrokerError."""
        await deeds.ask_for(await self._broker(), verb, agent)

    async def answer(self, ask_id: str, text: str) -> str:
        """Answer a question; raises TacoError."""
        return await deeds.answer(await self._broker(), ask_id, text)

    async def press(self, ask: Ask, key: str) -> bool:
        """Press a key at the dialog of `ask`; whether that went. Raises TacoError."""
        return await self._press(ask, key)

    async def retry(self, command_id: str) -> None:
        """Send a message again; raises TacoError."""
        await (await self._broker()).retry(command_id)

    async def drop(self, command_id: str) -> None:
        """Forget a message; raises TacoError."""
        await (await self._broker()).drop(command_id)

    async def decide(self, mark: str, *, approved: bool, reason: str = "") -> None:
        """Approve or reject the plan; raises TacoError."""
        await deeds.decide(await self._broker(), mark, approved=approved, reason=reason)

    async def close(self) -> None:
        """Close the connection."""
        if self._store is not None:
            await self._store.close()
            self._store = None

    async def _broker(self) -> Broker:
        async with self._opening:
            if self._store is None:
                self._store = await self._connect()
            return self._store

    async def _read_events(self, store: Broker) -> None:
        after = self._events[-1].id if self._events else ""
        count = AT_ONCE if after else BEFORE
        while events := await store.events(count=count, after=after):
            for event in events:
                self._take(event)
            after = events[-1].id
            if len(events) < count:
                break
            count = AT_ONCE
        oldest = max(self._minutes, default=0) - KEPT_M
        for old in [each for each in self._minutes if each < oldest]:
            del self._minutes[old]

    def _take(self, event: Event) -> None:
        self._events.append(event)
        sender = str(event.data.get("sender") or "")
        if event.type is EventType.COMMAND_QUEUED:
            text = event.content.removeprefix(f"{sender} → {event.agent}: ")
            self._last_messages[event.agent] = f"← {sender}: {text}"
            self._last_messages[sender] = f"→ {event.agent}: {text}"
            self._count(event)
        elif event.type is EventType.PERSON_MESSAGE:
            self._last_messages[sender or event.agent] = f"→ person: {event.content}"
            self._count(event)
        elif event.type in _WORKED_ON and (text := str(event.data.get("preview") or "")):
            self._work[event.agent] = f"{sender}: {text}"

    def _count(self, event: Event) -> None:
        with contextlib.suppress(ValueError):  # a time of another release, or none: not worth a bar
            self._minutes[minute(from_iso(event.ts))] += 1
