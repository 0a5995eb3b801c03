"""The monitor's source for a real session: Redis through a broker; tmux through what is injected."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from taco import paths, processes
from taco.broker import Broker
from taco.errors import BrokerError
from taco.keys import FRESH_S
from taco.models import Event, EventType
from taco.monitor.source import Letters, Snapshot
from taco.paths import SessionRecord

SHOWN = 200  # events in a snapshot
AT_ONCE = 1_000  # events read in one call
DEMO = "demo"  # the scripted provider


class SessionSource:
    """Reads one session; connects when it is first needed, and again by itself."""

    def __init__(
        self,
        record: SessionRecord,
        connect: Callable[[], Awaitable[Broker]],
        *,
        jump: Callable[[int], Awaitable[None]],
        supervise: Callable[[], Awaitable[str]],
    ) -> None:
        """`connect` raises BrokerError; `jump` selects a window; `supervise` says what is wrong with the executor."""
        self._record, self._connect, self._jump, self._supervise = record, connect, jump, supervise
        self._store: Broker | None = None
        self._opening = asyncio.Lock()
        self._events: deque[Event] = deque(maxlen=SHOWN)
        self._last_messages: dict[str, str] = {}
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
            asks=tuple(asks),
            events=tuple(self._events),
            spec=spec,
            last_messages=dict(self._last_messages),
            executor_age_s=age,
        )

    async def letters(self) -> Letters:
        """Dead letters and unconfirmed messages; raises BrokerError."""
        store = await self._broker()
        dead, unconfirmed = await asyncio.gather(store.dead_letters(), store.unconfirmed())
        return Letters(tuple(dead), tuple(unconfirmed))

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
        while events := await store.events(count=AT_ONCE, after=after):
            for event in events:
                self._take(event)
            after = events[-1].id
            if len(events) < AT_ONCE:
                return

    def _take(self, event: Event) -> None:
        self._events.append(event)
        sender = str(event.data.get("sender") or "")
        if event.type is EventType.COMMAND_QUEUED:
            text = event.content.removeprefix(f"{sender} → {event.agent}: ")
            self._last_messages[event.agent] = f"← {sender}: {text}"
            self._last_messages[sender] = f"→ {event.agent}: {text}"
        elif event.type is EventType.PERSON_MESSAGE:
            self._last_messages[sender or event.agent] = f"→ person: {event.content}"
