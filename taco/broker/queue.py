"""Commands: stored once, looked at by one courier per agent, moved on, and ended in one call each."""

from __future__ import annotations

import time
from typing import Any

from taco import calls, records
from taco.broker.client import Client
from taco.broker.connection import Word
from taco.errors import ConflictError, NotFoundError
from taco.models import (
    FINAL_STATES,
    AgentQueue,
    Command,
    CommandState,
    Event,
    EventType,
    Incarnation,
    Ledger,
    Outcome,
    Priority,
    QueueCounts,
    iso,
)
from taco.records import Heads, Waiting

_SCAN = 10_000  # entries of a stream of dead letters that are searched for one whose ledger expired


def _now() -> str:
    return iso(time.time())


class Queue(Client):
    """What can be done with commands."""

    async def enqueue(self, command: Command) -> bool:
        """Stores a command; False when it is known already.

        Raises ConflictError (same id, other body), NotFoundError (no such agent), QueueFullError,
        UsageError (over 1 MB).
        """
        told = calls.enqueue_args(self.session, command, _now())
        keys = self.keys.command_keys(command.id, command.target, command.priority)
        answer = await self._script("enqueue", keys, (self.keys.live, self.keys.wake, *told))
        return calls.enqueue_answer(command, answer)

    async def heads(self, agent: str) -> Heads:
        """The command that is under way or next for an agent, and its next one with `when=now`."""
        keys = (self.keys.current(agent), *self._queues(agent), self.keys.now(agent))
        head, now = await self._script("heads", keys, (self.keys.command(""),))
        first = _waiting(head)
        return Heads(first, first if now == 1 else _waiting(now))

    async def waiting_agents(self) -> dict[str, int]:
        """How many commands wait or are under way, of the agents that have any."""
        flat = await self._run("HGETALL", self.keys.waiting)
        return {agent: int(depth) for agent, depth in records.mapping(flat).items()}

    async def begin(self, waiting: Waiting, intent: Incarnation) -> bool:
        """Records the intent to type; False when it no longer waits, or was cancelled."""
        ledger = waiting.ledger
        args = (ledger.id, waiting.entry_id, str(ledger.priority), str(intent))
        return bool(await self._script("begin", self._keys(ledger), args))

    async def undo(self, waiting: Waiting) -> None:
        """Takes `begin` back when nothing was typed: no attempt, no intent, the order is open again."""
        await self._back(waiting, "undone", "")

    async def typed(self, waiting: Waiting, at: str) -> None:
        """The text stands in the composer."""
        ledger = waiting.ledger
        event = records.command_event(EventType.COMMAND_TYPED, self.session, ledger, at)
        await self._step("typed", ledger, event, ledger.id, waiting.entry_id, at)

    async def entered(self, waiting: Waiting, at: str, enters: int, mark: int) -> bool:
        """Enter is about to be pressed for the `enters`-th time; False when it is to be cancelled instead.

        `mark` is the transcript's size before it, bytes.
        """
        ledger = waiting.ledger
        event = records.command_event(EventType.COMMAND_ENTERED, self.session, ledger, at, enters=enters)
        return await self._step("entered", ledger, event, ledger.id, waiting.entry_id, at, enters, mark)

    async def refused(self, waiting: Waiting) -> None:
        """Enter was announced by `entered`, but the guard did not let it through."""
        await self._script("refused", self._keys(waiting.ledger), (waiting.entry_id,))

    async def requeue(self, waiting: Waiting, reason: str) -> None:
        """A command that was typed but never entered waits again, in its place; a failed attempt.

        One that somebody wanted cancelled is cancelled.
        """
        event = records.command_event(
            EventType.COMMAND_RETRIED, self.session, waiting.ledger, _now(), reason, reason=reason
        )
        await self._back(waiting, "failed", records.event_json(event))

    async def failed(self, waiting: Waiting, reason: str) -> None:
        """An attempt ended in an error and will be repeated."""
        ledger = waiting.ledger
        event = records.command_event(EventType.COMMAND_RETRIED, self.session, ledger, _now(), reason, reason=reason)
        await self._step("failed", ledger, event, waiting.entry_id)

    async def held(self, agent: str, command_id: str, reason: str) -> None:
        """Why the head of an agent's queue (or, without id, the agent) is held; "" clears."""
        event = records.held_event(self.session, agent, command_id, reason, _now())
        keys = (
            self.keys.command(command_id) if command_id else "",
            self.keys.index,
            self.keys.state,
            self.keys.events,
        )
        await self._script("held", keys, (self.keys.live, records.event_json(event), agent, reason))

    async def finish(self, waiting: Waiting, outcome: Outcome, at: str) -> bool:
        """Ends a command with everything that goes with it; False when it is finished already."""
        answer = await self._finish(waiting.ledger, waiting.entry_id, "runner", outcome, at)
        return answer == "done"

    async def ledger(self, command_id: str) -> Ledger | None:
        """What is known of a command; None when it is unknown or forgotten."""
        found = records.mapping(await self._run("HGETALL", self.keys.command(command_id)))
        return records.ledger_from(found) if found else None

    async def queues(self) -> dict[str, AgentQueue]:
        """The waiting commands of every agent."""
        prefix = self.keys.queue("", "").removesuffix(":")
        now_ms, *rows = await self._script("queues", (self.keys.index,), (prefix,))
        return {
            name: AgentQueue(high, normal, low, max(0, now_ms - oldest) / 1000 if oldest else None, hold)
            for name, high, normal, low, oldest, hold in rows
        }

    async def counts(self) -> QueueCounts:
        """The queue in six numbers; dead and unconfirmed are what is still kept of them."""
        keys = (
            self.keys.counters,
            self.keys.waiting,
            self.keys.processing,
            self.keys.dead,
            self.keys.unconfirmed,
        )
        waiting, processing, *rest = await self._script("counts", keys)
        return QueueCounts(waiting - processing, processing, *rest)

    async def dead_letters(self, count: int = 100) -> list[dict[str, str]]:
        """Commands that were given up, newest first."""
        return [fields for _, fields in await self._latest(self.keys.dead, count)]

    async def unconfirmed(self, count: int = 100) -> list[dict[str, str]]:
        """Commands nobody saw arrive, newest first."""
        return [fields for _, fields in await self._latest(self.keys.unconfirmed, count)]

    async def completed(self, count: int = 100) -> list[dict[str, str]]:
        """Commands that were delivered, cancelled or rejected, newest first."""
        return [fields for _, fields in await self._latest(self.keys.completed, count)]

    async def retry(self, command_id: str) -> Command:
        """Queues a dead or unconfirmed command again; raises NotFoundError or ConflictError."""
        kind, entry_id, fields = await self._locate(command_id)
        at = _now()
        command = records.command_from({**fields, "timestamp": at, "retry_count": "0"})
        answer = await self._script(
            "retry",
            self.keys.command_keys(command.id, command.target, command.priority),
            (
                self.keys.live,
                self.keys.wake,
                records.event_json(records.queued_event(self.session, command)),
                command.id,
                kind,
                entry_id,
                at,
                calls.preview(command.message),
            ),
        )
        if answer == "gone":
            raise NotFoundError(f"there is no agent {command.target!r} any more")
        if answer == "missing":
            raise _not_kept(command_id)
        if answer != "queued":
            raise ConflictError(f"command {command_id} is {answer}")
        return command

    async def drop(self, command_id: str) -> None:
        """Forgets a dead or unconfirmed command, or cancels one that waits."""
        ledger = await self.ledger(command_id)
        if ledger is not None and ledger.state not in FINAL_STATES:
            await self.cancel(command_id)
            return
        kind, entry_id, fields = await self._locate(command_id)
        event = records.dropped_event(self.session, fields["target"], command_id, _now())
        keys = (self.keys.dead if kind == "dead" else self.keys.unconfirmed, self.keys.state, self.keys.events)
        if not await self._script("drop", keys, (self.keys.live, records.event_json(event), entry_id)):
            raise _not_kept(command_id)

    async def cancel(self, command_id: str, reason: str = "cancelled") -> CommandState:
        """Cancels a command that waits, for this reason; TYPED when its typing has begun and the runner takes it out.

        Raises NotFoundError, or ConflictError when it was entered or is finished.
        """
        ledger = await self.ledger(command_id)
        if ledger is None:
            raise NotFoundError(f"there is no command {command_id!r}")
        outcome = Outcome(CommandState.CANCELLED, reason=reason)
        answer = await self._finish(ledger, "", "person", outcome, _now())
        if answer == "done":
            return CommandState.CANCELLED
        if answer == "marked":
            return CommandState.TYPED
        raise ConflictError(f"command {command_id} is {answer}")

    async def _finish(self, ledger: Ledger, entry_id: str, who: str, outcome: Outcome, at: str) -> str:
        event = records.finished_event(self.session, ledger, outcome, at)
        args = (
            self.keys.live,
            self.keys.wake,
            records.event_json(event),
            ledger.id,
            entry_id,
            who,
            str(outcome.state),
            str(outcome.evidence or ""),
            outcome.reason,
            at,
        )
        return str(await self._script("finish", self._keys(ledger), args))

    async def _back(self, waiting: Waiting, how: str, event: str) -> None:
        ledger = waiting.ledger
        args = (self.keys.live, event, ledger.id, waiting.entry_id, how)
        if await self._script("back", self._keys(ledger), args) == "cancel":
            await self.finish(waiting, Outcome(CommandState.CANCELLED, reason="cancelled"), _now())

    async def _step(self, script: str, ledger: Ledger, event: Event, *args: Word) -> bool:
        told = (self.keys.live, records.event_json(event), *args)
        return bool(await self._script(script, self._keys(ledger), told))

    async def _latest(self, stream: str, count: int) -> list[tuple[str, dict[str, str]]]:
        entries = await self._run("XREVRANGE", stream, "+", "-", "COUNT", count)
        return [(entry_id, records.mapping(flat)) for entry_id, flat in entries]

    async def _locate(self, command_id: str) -> tuple[str, str, dict[str, str]]:
        """Kind ("dead", "unconfirmed"), entry id and fields of what is kept of a command that failed."""
        found = records.mapping(await self._run("HGETALL", self.keys.command(command_id)))
        for kind, stream in (("dead", self.keys.dead), ("unconfirmed", self.keys.unconfirmed)):
            if not found:
                entries = await self._latest(stream, _SCAN)
            elif found["state"] == kind:
                at = found["final"]
                entries = [(id_, records.mapping(flat)) for id_, flat in await self._run("XRANGE", stream, at, at)]
            else:
                continue
            for entry_id, fields in entries:
                if fields["id"] == command_id:
                    return kind, entry_id, fields
        if found and found["state"] not in (CommandState.DEAD, CommandState.UNCONFIRMED):
            raise ConflictError(f"command {command_id} is {found['state']}")
        raise _not_kept(command_id) if found else NotFoundError(f"there is no command {command_id!r}")

    def _keys(self, ledger: Ledger) -> tuple[str, ...]:
        return self.keys.command_keys(ledger.id, ledger.target, ledger.priority)

    def _queues(self, agent: str) -> tuple[str, str, str]:
        high, normal, low = (self.keys.queue(agent, priority) for priority in Priority)
        return high, normal, low


def _not_kept(command_id: str) -> NotFoundError:
    return NotFoundError(f"the text of command {command_id} is not kept any more")


def _waiting(reply: Any) -> Waiting | None:
    if not reply:
        return None
    entry_id, entry, ledger = reply
    return records.waiting_from(entry_id, records.pairs(entry), records.pairs(ledger))
