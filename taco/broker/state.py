"""What is there: the session, its spec, agents and questions, and who delivers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from taco import records
from taco.broker.client import Client
from taco.errors import ConflictError, NotFoundError
from taco.keys import PORTS
from taco.models import Agent, AgentStatus, Ask, Priority, iso


class State(Client):
    """Hashes and what is listed of them."""

    async def put_session(self, fields: Mapping[str, str]) -> None:
        """Sets fields of `session:state`."""
        await self._put(self.keys.state, fields)

    async def session_fields(self) -> dict[str, str]:
        """All of `session:state`."""
        return await self._get(self.keys.state)

    async def put_spec(self, fields: Mapping[str, str], *, seen: Mapping[str, str] | None = None) -> bool:
        """Sets fields of `spec`; False, and nothing set, when those that were `seen` have changed."""
        if not fields:
            return True
        looked, words = ([word for pair in each.items() for word in pair] for each in (seen or {}, fields))
        return bool(await self._script("put_spec", (self.keys.spec,), (len(looked) // 2, *looked, *words)))

    async def spec_fields(self) -> dict[str, str]:
        """All of `spec`."""
        return await self._get(self.keys.spec)

    async def put_agent(self, agent: Agent) -> None:
        """Writes an agent's whole record and its place in the index."""
        record = records.agent_fields(agent)
        words = [word for pair in record.items() for word in pair]
        keys = (self.keys.index, self.keys.agent(agent.window), self.keys.counters)
        await self._script("put_agent", keys, (agent.window, agent.name, str(agent.status), *words))

    async def set_agent(self, window: int, fields: Mapping[str, str]) -> None:
        """Changes fields of an agent; nothing happens when it was removed."""
        if not fields:
            return
        words = [word for pair in fields.items() for word in pair]
        keys = (self.keys.agent(window), self.keys.counters)
        await self._script("set_agent", keys, (window, fields.get("status", ""), *words))

    async def agents(self) -> list[Agent]:
        """All agents by window, Mother (0) included; one that has not changed is the same object as last time."""
        found = [tuple(flat) for flat in await self._script("agents", (self.keys.index,)) if flat]
        known = self._agents
        self._agents = {flat: known.get(flat) or records.agent_from(records.pairs(flat)) for flat in found}
        return sorted(self._agents.values(), key=lambda agent: agent.window)

    async def remove_agent(self, window: int) -> None:
        """Removes an agent; what waits for it becomes a dead letter (entered: unconfirmed)."""
        name = await self._run("HGET", self.keys.agent(window), "name")
        if not name:
            return
        queues = (self.keys.queue(name, priority) for priority in Priority)
        keys = (
            *self.keys.command_keys("", name, Priority.NORMAL),
            self.keys.agent(window),
            *queues,
        )
        reason = f"agent {name} was removed"
        args = (self.keys.live, self.session, window, name, iso(time.time()), reason)
        await self._script("remove_agent", keys, args)

    async def report(self, name: str, *, failed: bool, text: str, at: str) -> None:
        """An agent says it is done, or that it failed; raises NotFoundError."""
        event = records.report_event(self.session, name, failed=failed, text=text, at=at)
        status = AgentStatus.FAILED if failed else AgentStatus.DONE
        keys = (self.keys.index, self.keys.counters, self.keys.state, self.keys.events)
        done, reason = ("", text) if failed else (text, "")
        args = (self.keys.live, records.event_json(event), name, str(status), done, reason, at)
        if not await self._script("report", keys, args):
            raise NotFoundError(f"there is no agent {name!r}")

    async def claim(self, token: str, ttl_ms: int) -> bool:
        """Becomes the one who delivers; False when somebody else is."""
        return bool(await self._own("claim", token, ttl_ms, ""))

    async def renew(self, token: str, ttl_ms: int, now_ms: int) -> bool:
        """Stays the one who delivers and leaves a sign of life; False when that was lost."""
        return bool(await self._own("renew", token, ttl_ms, str(now_ms)))

    async def release(self, token: str) -> None:
        """Stops to be the one who delivers."""
        await self._own("release", token, 0, "")

    async def owner(self) -> str:
        """The token of the one who delivers; "" when nobody does."""
        return str(await self._run("GET", self.keys.owner) or "")

    async def heartbeat_age_s(self) -> float | None:
        """How long ago the executor gave a sign of life, by the server's clock; None: never."""
        beat, (seconds, micros) = await asyncio.gather(self._run("GET", self.keys.heartbeat), self._run("TIME"))
        return None if beat is None else int(seconds) + int(micros) / 1e6 - int(beat) / 1000

    async def open_ask(self, ask: Ask) -> Ask:
        """Opens a question to the person; the same id opens it once."""
        event = records.asked_event(self.session, ask)
        keys = (
            self.keys.ask(ask.id),
            self.keys.asks,
            self.keys.open_asks,
            self.keys.state,
            self.keys.events,
        )
        fields = (word for pair in records.ask_fields(ask).items() for word in pair)
        args = (self.keys.live, records.event_json(event), ask.id, ask.agent, *fields)
        await self._script("open_ask", keys, args)
        return await self._ask(ask.id)

    async def answer_ask(self, ask_id: str, answer: str, at: str) -> Ask:
        """Answers a question; raises NotFoundError, or ConflictError when it has an answer."""
        ask = await self._ask(ask_id)
        event = records.answered_event(self.session, replace(ask, answer=answer, answered_at=at))
        keys = (self.keys.ask(ask_id), self.keys.open_asks, self.keys.state, self.keys.events)
        args = (self.keys.live, records.event_json(event), ask_id, answer, at)
        outcome = await self._script("answer_ask", keys, args)
        if outcome == "late":
            raise ConflictError(f"question {ask_id} is answered already")
        return await self._ask(ask_id)

    async def asks(self, open_only: bool = True) -> list[Ask]:
        """Questions, oldest first."""
        prefix = self.keys.ask("")
        if open_only:
            found = await self._script("collect", (self.keys.open_asks,), (prefix,))
        else:
            found = await self._script("all_asks", (self.keys.asks,), (prefix,))
        listed = [records.ask_from(records.pairs(flat)) for flat in found if flat]
        return sorted(listed, key=lambda ask: (ask.opened_at, ask.id))

    async def note_told(self, ask_ids: Sequence[str], at: str) -> None:
        """Notes when the person was told of questions that wait."""
        for ask_id in ask_ids:
            await self._put(self.keys.ask(ask_id), {"told_at": at})

    async def counters(self) -> dict[str, int]:
        """All counters by name (see keys.py)."""
        return {name: int(value) for name, value in (await self._get(self.keys.counters)).items()}

    async def forget(self) -> None:
        """Deletes every key of the session, and gives its ports back."""
        await self._script("release_ports", (PORTS,), (f"{self.session}/",))
        cursor = "0"
        while True:
            cursor, found = await self._run("SCAN", cursor, "MATCH", f"{self.keys.prefix}*", "COUNT", 1000)
            if found:
                await self._run("UNLINK", *found)
            if str(cursor) == "0":
                return

    async def _put(self, key: str, fields: Mapping[str, str]) -> None:
        if fields:
            await self._run("HSET", key, *[word for pair in fields.items() for word in pair])

    async def _get(self, key: str) -> dict[str, str]:
        return records.mapping(await self._run("HGETALL", key))

    async def _own(self, what: str, token: str, ttl_ms: int, now_ms: str) -> int:
        keys = (self.keys.owner, self.keys.heartbeat)
        return int(await self._script("own", keys, (what, token, ttl_ms, now_ms)))

    async def _ask(self, ask_id: str) -> Ask:
        found = await self._get(self.keys.ask(ask_id))
        if not found:
            raise NotFoundError(f"there is no question {ask_id!r}")
        return records.ask_from(found)
