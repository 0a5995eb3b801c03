"""The commands of the twin of the broker."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from taco import calls, keys, records
from taco.errors import ConflictError, NotFoundError
from taco.models import (
    FINAL_STATES,
    AgentQueue,
    Command,
    CommandState,
    EventType,
    Incarnation,
    Ledger,
    Outcome,
    Priority,
    QueueCounts,
    When,
    from_iso,
)
from taco.records import Heads, Waiting
from taco.testing.memory import KEPT, TOTALS, Memory, Record


class Queue(Memory):
    """What can be done with commands."""

    async def enqueue(self, command: Command) -> bool:
        """Stores a command; False when it is known already. Raises as the real one does."""
        calls.check_body(command.message)
        known = self._commands.get(command.id)
        if known is not None:
            old = known.command
            same = (old.target, old.sender, old.message) == (command.target, command.sender, command.message)
            return calls.enqueue_answer(command, "known" if same else "conflict")
        if self._window(command.target) is None:
            return calls.enqueue_answer(command, "gone")
        if command.priority is not Priority.HIGH:
            self._check_limits(command)
        if not command.timestamp:
            command = replace(command, timestamp=self._now())
        self._counters[keys.ENQUEUED] += 1
        self._add(command)
        return True

    async def heads(self, agent: str) -> Heads:
        """The command that is under way or next for an agent, and its next one with `when=now`."""
        queue = self._queue(agent)
        current = self._commands.get(self._current.get(agent, ""))
        head = current or next(iter(queue), None)
        now = next((record for record in queue if record.command.when is When.NOW), None)
        return Heads(head.waiting() if head else None, now.waiting() if now else None)

    async def waiting_agents(self) -> dict[str, int]:
        """How many commands wait or are under way, of the agents that have any."""
        return dict(Counter(record.command.target for record in self._unfinished()))

    async def begin(self, waiting: Waiting, intent: Incarnation) -> bool:
        """Records the intent to type; False when it no longer waits, or was cancelled."""
        record = self._same(waiting)
        if record is None or record.ledger.state is not CommandState.QUEUED or record.cancel:
            return False
        if self._current.setdefault(record.command.target, record.command.id) != record.command.id:
            return False
        record.ledger = replace(record.ledger, intent=intent, attempts=record.ledger.attempts + 1)
        return True

    async def undo(self, waiting: Waiting) -> None:
        """Takes `begin` back when nothing was typed: no attempt, no intent, the order is open again."""
        known = self._same(waiting)
        begun = known is not None and known.ledger.intent is not None
        record = self._back(waiting)
        if record is not None and begun:
            record.ledger = replace(record.ledger, attempts=record.ledger.attempts - 1)

    async def typed(self, waiting: Waiting, at: str) -> None:
        """The text stands in the composer."""
        record = self._same(waiting)
        if record is not None and record.ledger.state is CommandState.QUEUED:
            record.ledger = replace(record.ledger, state=CommandState.TYPED, typed_at=at, hold="")
            self._set_hold(record.command.target, "")
            self._moved(EventType.COMMAND_TYPED, record, at)

    async def entered(self, waiting: Waiting, at: str, enters: int, mark: int) -> bool:
        """Enter is pressed for the `enters`-th time; False when that must not be."""
        record = self._same(waiting)
        if record is None or record.ledger.state in FINAL_STATES:
            return False
        if record.ledger.state is not CommandState.ENTERED:
            if record.cancel:
                return False
            record.ledger = replace(record.ledger, state=CommandState.ENTERED, entered_at=at, transcript_mark=mark)
        record.ledger = replace(record.ledger, enters=enters)
        self._moved(EventType.COMMAND_ENTERED, record, at, enters=enters)
        return True

    async def refused(self, waiting: Waiting) -> None:
        """Takes the first `entered` back when Enter was not pressed: the command is typed again."""
        record = self._same(waiting)
        if record is not None and record.ledger.state is CommandState.ENTERED:
            record.ledger = replace(
                record.ledger, state=CommandState.TYPED, entered_at="", enters=0, transcript_mark=-1
            )

    async def requeue(self, waiting: Waiting, reason: str) -> None:
        """A command that was typed but never entered waits again, in its place; a failed attempt."""
        record = self._back(waiting)
        if record is not None:
            self._fail(record, reason)

    async def failed(self, waiting: Waiting, reason: str) -> None:
        """An attempt ended in an error and will be repeated."""
        record = self._same(waiting)
        if record is not None and record.ledger.state not in FINAL_STATES:
            self._fail(record, reason)

    async def held(self, agent: str, command_id: str, reason: str) -> None:
        """Why the head of an agent's queue (or, without id, the agent) is held; "" clears."""
        news = self._set_hold(agent, reason)
        record = self._commands.get(command_id)
        if record and record.ledger.state not in FINAL_STATES and record.ledger.hold != reason:
            record.ledger = replace(record.ledger, hold=reason)
            news = True
        if news and reason:
            self._tell(records.held_event(self.session, agent, command_id, reason, self._now()))

    async def finish(self, waiting: Waiting, outcome: Outcome, at: str) -> bool:
        """Ends a command with everything that goes with it; False when it is finished already."""
        record = self._same(waiting)
        if record is None or record.ledger.state in FINAL_STATES:
            return False
        self._end(record, outcome, at)
        return True

    async def ledger(self, command_id: str) -> Ledger | None:
        """What is known of a command; None when it is unknown."""
        record = self._commands.get(command_id)
        return record.ledger if record else None

    async def queues(self) -> dict[str, AgentQueue]:
        """The waiting commands of every agent."""
        return {record["name"]: self._depth(record) for record in self._agents.values()}

    async def counts(self) -> QueueCounts:
        """The queue in six numbers; dead and unconfirmed are what is still kept of them."""
        states = Counter(record.ledger.state for record in self._unfinished())
        return QueueCounts(
            pending=states[CommandState.QUEUED],
            processing=states[CommandState.TYPED] + states[CommandState.ENTERED],
            completed=self._counters[keys.EXECUTED],
            failed=self._counters[keys.FAILED],
            dead=len(self._finished["dead"]),
            unconfirmed=len(self._finished["unconfirmed"]),
        )

    async def dead_letters(self, count: int = 100) -> list[dict[str, str]]:
        """Commands that were given up, newest first."""
        return self._finished["dead"][::-1][:count]

    async def unconfirmed(self, count: int = 100) -> list[dict[str, str]]:
        """Commands nobody saw arrive, newest first."""
        return self._finished["unconfirmed"][::-1][:count]

    async def completed(self, count: int = 100) -> list[dict[str, str]]:
        """Commands that were delivered, cancelled or rejected, newest first."""
        return self._finished["completed"][::-1][:count]

    async def retry(self, command_id: str) -> Command:
        """Queues a dead or unconfirmed command again; raises NotFoundError or ConflictError."""
        kept, fields = self._locate(command_id)
        if self._window(fields["target"]) is None:
            raise NotFoundError(f"there is no agent {fields['target']!r} any more")
        kept.remove(fields)
        self._counters[TOTALS[CommandState(fields["state"])]] -= 1
        command = records.command_from({**fields, "timestamp": self._now(), "retry_count": "0"})
        self._add(command)
        return command

    async def drop(self, command_id: str) -> None:
        """Forgets a dead or unconfirmed command, or cancels one that waits."""
        record = self._commands.get(command_id)
        if record is not None and record.ledger.state not in FINAL_STATES:
            await self.cancel(command_id)
            return
        kept, fields = self._locate(command_id)
        kept.remove(fields)
        self._tell(records.dropped_event(self.session, fields["target"], command_id, self._now()))

    async def cancel(self, command_id: str, reason: str = "cancelled") -> CommandState:
        """Cancels a command that waits; TYPED when its typing has begun and the runner takes it out."""
        record = self._commands.get(command_id)
        if record is None:
            raise NotFoundError(f"there is no command {command_id!r}")
        state, agent = record.ledger.state, record.command.target
        if state in FINAL_STATES or state is CommandState.ENTERED:
            raise ConflictError(f"command {command_id} is {state}")
        if state is CommandState.TYPED or self._current.get(agent) == command_id:
            record.cancel = True
            self._publish("wake", agent)
            return CommandState.TYPED
        self._end(record, Outcome(CommandState.CANCELLED, reason=reason), self._now())
        return CommandState.CANCELLED

    def _same(self, waiting: Waiting) -> Record | None:
        record = self._commands.get(waiting.command.id)
        return record if record and record.entry_id == waiting.entry_id else None

    def _check_limits(self, command: Command) -> None:
        queue = self._queue(command.target)
        limit = int(self._state.get("queue_limit", 10_000))
        if len(queue) >= limit:
            calls.enqueue_answer(command, f"queue_full {limit}")
        limit = int(self._state.get("sender_limit", 5_000))
        if sum(record.command.sender == command.sender for record in queue) >= limit:
            calls.enqueue_answer(command, f"sender_full {limit}")

    def _add(self, command: Command) -> None:
        ledger = Ledger(
            command.id,
            command.sender,
            command.target,
            command.priority,
            command.when,
            CommandState.QUEUED,
            queued_at=command.timestamp,
            preview=calls.preview(command.message),
        )
        self._commands[command.id] = Record(command, ledger, next(self._order))
        self._tell(records.queued_event(self.session, command))
        self._publish("wake", command.target)

    def _back(self, waiting: Waiting) -> Record | None:
        """The record, waiting again; None when it was not under way, or is cancelled by now."""
        record = self._same(waiting)
        if record is None:
            return None
        begun = record.ledger.state is CommandState.QUEUED and record.ledger.intent is not None
        if record.ledger.state is not CommandState.TYPED and not begun:
            return None
        if record.cancel:
            self._end(record, Outcome(CommandState.CANCELLED, reason="cancelled"), self._now())
            return None
        if self._current.get(record.command.target) == record.command.id:
            del self._current[record.command.target]
        record.ledger = replace(
            record.ledger,
            state=CommandState.QUEUED,
            intent=None,
            typed_at="",
            entered_at="",
            enters=0,
            transcript_mark=-1,
        )
        return record

    def _fail(self, record: Record, reason: str) -> None:
        self._counters[keys.FAILED] += 1
        record.command = replace(record.command, retry_count=record.command.retry_count + 1)
        self._moved(EventType.COMMAND_RETRIED, record, self._now(), reason, reason=reason)

    def _locate(self, command_id: str) -> tuple[list[dict[str, str]], dict[str, str]]:
        for kind in KEPT:
            for fields in self._finished[kind]:
                if fields["id"] == command_id:
                    return self._finished[kind], fields
        record = self._commands.get(command_id)
        if record is None:
            raise NotFoundError(f"there is no command {command_id!r}")
        if record.ledger.state in KEPT:
            raise NotFoundError(f"the text of command {command_id} is not kept any more")
        raise ConflictError(f"command {command_id} is {record.ledger.state}")

    def _depth(self, agent: Mapping[str, str]) -> AgentQueue:
        queue = self._queue(agent["name"])
        depth = Counter(record.command.priority for record in queue)
        oldest = min((from_iso(record.ledger.queued_at) for record in queue), default=None)
        return AgentQueue(
            depth[Priority.HIGH],
            depth[Priority.NORMAL],
            depth[Priority.LOW],
            None if oldest is None else max(0.0, time.time() - oldest),
            agent.get("hold", ""),
        )

    def _moved(self, type_: EventType, record: Record, at: str, content: str = "", **data: object) -> None:
        self._tell(records.command_event(type_, self.session, record.ledger, at, content, **data))
