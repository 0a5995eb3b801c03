"""A courier carries the commands of one agent, one after the other: hold, text, wait, Enter, proof."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import replace

from taco import log, message
from taco.delivery import Terms, backoff_s, hold_reason
from taco.errors import TemporaryError, TmuxError
from taco.executor.doors import Doors, Look
from taco.executor.submission import End, Submission
from taco.executor.text import mark_of, text_for, typed_text, unfit
from taco.executor.words import because
from taco.models import Agent, CommandState, Level, Outcome, Pane, from_iso, iso
from taco.provider import Provider
from taco.records import Heads, Waiting
from taco.screen import Reading
from taco.tmux.guard import NOTHING_SEEN, Target, Verdict, record
from taco.tmux.sight import seen_empty

IDLE_S = 30.0  # an empty queue is looked at this often without a wake-up call
HELD_S = 0.5
GONE_S = 5.0
AHEAD_S = 0.04  # before Enter is due it is prepared: a look and a note in the ledger, 10 ms where nothing else runs
_MOVING = frozenset({"composer", "cursor", "mode", "dialog"})  # clauses that a redraw may break for a moment


class Courier:
    """Carries the commands of one agent; `wake` tells it to look again."""

    def __init__(self, doors: Doors, agent: Agent, provider: Provider) -> None:
        """A courier with nothing in hand."""
        self.agent = agent
        self.provider = provider
        self.wake = asyncio.Event()
        self._doors = doors
        self._typed_here = ""  # the id of the command whose text this very process typed
        self._held = ("", "")
        self._next: Heads | None = None  # as it stood when the last command was finished
        self._refusals = 0
        self._errors = 0
        self._recent: deque[str] = deque(maxlen=8)  # texts that were submitted: an interrupt may put one back

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            try:
                rest_s = await self._turn()
                if rest_s:
                    self._errors = 0  # not after a turn that only found out what an error left behind
            except TemporaryError as error:
                self._errors += 1
                rest_s = backoff_s(self._errors, most_s=10.0)
                log.warning("courier.trouble", agent=self.agent.name, error=error.message, retry_s=round(rest_s, 2))
                await self._note_trouble(error.message)
            except Exception as error:
                # One agent's trouble must not end the others' deliveries.
                log.exception("courier.failed", agent=self.agent.name)
                await self._note_trouble(f"{type(error).__name__}: {error}")
                rest_s = 5.0
            if rest_s > 0:
                await self._rest(rest_s)

    async def _note_trouble(self, what: str) -> None:
        """Show why nothing goes on; when Redis is the trouble, only the log can."""
        try:
            await self._hold("", f"in trouble: {what[:200]}")
        except TemporaryError:
            return

    async def _rest(self, most_s: float) -> None:
        """Wait for a wake-up call, `most_s` at the longest."""
        try:
            async with asyncio.timeout(most_s):
                await self.wake.wait()
        except TimeoutError:
            return
        finally:
            self.wake.clear()

    async def _turn(self) -> float:
        """Do what can be done now; seconds after which to look again (0: at once)."""
        heads, self._next = self._next or await self._doors.queue.heads(self.agent.name), None
        if heads.head is None:
            await self._hold("", "")
            return IDLE_S
        if heads.head.ledger.intent is not None:
            return await self._go_on(heads.head, await self._look())
        return await self._start(heads, await self._look(glance=self._refusals == 0))

    async def _start(self, heads: Heads, look: Look) -> float:
        """Type the first command that may be typed; hold when there is none."""
        held = ("", "")
        for waiting in (heads.head, heads.now):
            if waiting is None:
                continue
            reason = self._reason(waiting, look)
            if not reason:
                return await self._type(waiting, look)
            held = held if held[1] else (waiting.command.id, reason)
        await self._hold(*held)
        return GONE_S if look.state.level in (Level.EXITED, Level.LOST) else HELD_S

    def _reason(self, waiting: Waiting, look: Look) -> str:
        """Why this command must not be typed into what was seen; "" when it may."""
        now = self._doors.now()
        terms = Terms(self.provider.queues_when_busy, self._doors.config.busy_hold_max_s)
        waited_s = now - from_iso(waiting.ledger.queued_at) if waiting.ledger.queued_at else 0.0
        reason = hold_reason(waiting.command, self.agent, look.state, terms, waited_s=waited_s)
        if look.state.level is not Level.BUSY:  # what it works on already is not begun by this
            reason = reason or self._doors.parked(self.provider.name)
        reason = reason or self._over_budget()
        reason = reason or self._doors.pace.reason(waiting.command.sender, self.agent.name, now)
        if reason or look.reading is None:
            return reason
        if look.reading.composer_row is None:
            return "no composer on the screen"
        return self._whose_draft(look.reading) if look.reading.draft.strip() else ""

    def _over_budget(self) -> str:
        budget = self._doors.token_budget()
        used = self._doors.eyes.tokens(self.agent.name) if budget else 0
        return f"budget: {used:,} of {budget:,} tokens used (token_budget)" if budget and used >= budget else ""

    def _whose_draft(self, reading: Reading) -> str:
        if any(message.same(reading.draft, text) for text in self._recent):
            return "an earlier message stands in the composer again"
        return "a draft stands in the composer"

    async def _type(self, waiting: Waiting, look: Look) -> float:
        """Step 1 and step 2: the text, and the wait after it."""
        assert look.pane is not None
        text = text_for(waiting.command, self.provider, look.pane, self._doors.bodies)
        if reason := unfit(text, self.provider, look.pane):
            await self._doors.queue.finish(waiting, Outcome(CommandState.DEAD, reason=reason), self._at())
            return 0
        target = self._target(look.pane)
        if look.pane.in_mode:
            await self._doors.guard.leave_mode(target)
        self._doors.guard.warm()
        if not await self._doors.queue.begin(waiting, await self._doors.incarnation(look.pane)):
            return 0  # cancelled in between
        self._typed_here = ""
        before, mark = self._at(), self._doors.eyes.transcript_size(self.agent.name)
        verdict = await self._typing(waiting, target, text, look)
        if not verdict.done:
            return await self._refused(waiting, verdict)
        settle_s = message.settle_ms(self.provider.settle_ms, len(text.encode())) / 1_000
        due = time.monotonic() + settle_s
        self._typed_here = waiting.command.id
        self._refusals = self._errors = 0
        await self._doors.queue.typed(waiting, before)
        seen = await self._settle(due)
        self._held = ("", "")
        ledger = replace(
            waiting.ledger,
            state=CommandState.TYPED,
            attempts=waiting.ledger.attempts + 1,
            typed_at=before,
            transcript_mark=mark,
        )
        return await self._submit(replace(waiting, ledger=ledger), text, due=due, before=look.reading, seen=seen)

    async def _settle(self, due: float) -> Look | None:
        """Most of the wait between text and Enter; how the screen is then, where there is one.

        The rest is for the look and for the ledger, so that Enter can follow at `due`: the guard compares once more.
        """
        await asyncio.sleep(due - AHEAD_S - time.monotonic())
        seen = await self._look() if self.provider.reads_screen else None
        self._doors.guard.warm()
        return seen

    async def _typing(self, waiting: Waiting, target: Target, text: str, look: Look) -> Verdict:
        seen = seen_empty(self.provider, look.reading, look.cursor) if look.reading else NOTHING_SEEN
        how = self.provider.input
        try:
            return await self._doors.guard.type_text(target, mark_of(waiting), text, seen, how=how)
        except TmuxError as error:
            # Nobody knows how far it got: the next turn compares the ledger with the pane's record.
            await self._doors.queue.failed(waiting, error.message)
            raise

    async def _refused(self, waiting: Waiting, verdict: Verdict) -> float:
        """The guard did not let the text through: nothing was typed, look again."""
        if "record" in verdict.refused:  # typed already, by a list that was thought to have failed: go on from there
            await self._hold(waiting.command.id, because(verdict.refused))
            return HELD_S
        await self._doors.queue.undo(waiting)
        self._refusals += 1
        if _MOVING.issuperset(verdict.refused) and self._refusals <= 5:
            return 0.03
        await self._hold(waiting.command.id, because(verdict.refused))
        return HELD_S

    async def _go_on(self, waiting: Waiting, look: Look) -> float:
        """Carry on with a command that was begun, by this executor or by one before it."""
        pane = look.pane
        text = typed_text(waiting.command, self.provider, self._doors.bodies)
        if pane is None or pane.dead or waiting.ledger.intent != await self._doors.incarnation(pane):
            return self._ended(await self._submission(waiting, text).other_incarnation(), text)
        if pane.typed != record(mark_of(waiting), pane.pid):
            return await self._never_typed(waiting)
        if waiting.ledger.state is CommandState.QUEUED:  # typed, but the ledger did not come to say so
            await self._doors.queue.typed(waiting, self._at())
            since = waiting.ledger.queued_at  # it was typed at some time after
            waiting = replace(waiting, ledger=replace(waiting.ledger, state=CommandState.TYPED, typed_at=since))
        if waiting.ledger.state is CommandState.TYPED:
            await asyncio.sleep(message.settle_ms(self.provider.settle_ms, len(text.encode())) / 1_000)
        else:
            waiting = await self._as_entered(waiting, pane)
        return await self._submit(waiting, text)

    async def _as_entered(self, waiting: Waiting, pane: Pane) -> Waiting:
        """The ledger announced an Enter: the pane says how many were pressed."""
        note, _, count = pane.entered.partition(".")
        if note == pane.typed:
            return replace(waiting, ledger=replace(waiting.ledger, enters=int(count)))
        await self._doors.queue.refused(waiting)
        return replace(waiting, ledger=replace(waiting.ledger, state=CommandState.TYPED))

    async def _never_typed(self, waiting: Waiting) -> float:
        """The ledger had the intent, but the pane knows nothing of it: nothing was typed, or not by this record."""
        if waiting.ledger.state is CommandState.ENTERED:
            reason = "the pane's record of it is gone"
            await self._doors.queue.finish(waiting, Outcome(CommandState.UNCONFIRMED, reason=reason), self._at())
        elif waiting.command.retry_count >= self._doors.config.attempts:
            reason = f"tmux failed {waiting.command.retry_count} times"
            await self._doors.queue.finish(waiting, Outcome(CommandState.DEAD, reason=reason), self._at())
        else:
            await self._doors.queue.undo(waiting)
        return 0

    async def _submit(
        self,
        waiting: Waiting,
        text: str,
        *,
        due: float = 0.0,
        before: Reading | None = None,
        seen: Look | None = None,
    ) -> float:
        submission = self._submission(waiting, text, due=due, before=before)
        end = await submission.run(seen)
        if end is End.FINISHED:
            self._doors.pace.note(waiting.command.sender, self.agent.name, self._doors.now())
            self._next = submission.next
        return self._ended(end, text)

    def _submission(
        self, waiting: Waiting, text: str, *, due: float = 0.0, before: Reading | None = None
    ) -> Submission:
        return Submission(
            self._doors,
            self.agent,
            self.provider,
            waiting,
            text,
            typed_here=self._typed_here == waiting.command.id,
            repeats=text in self._recent,
            due=due,
            before=before,
            note_hold=self._hold,
            rest=self._rest,
        )

    def _ended(self, end: End, text: str) -> float:
        self._typed_here = ""
        self._held = ("", "")
        if end is End.FINISHED:
            self._recent.append(text)
            return 0
        return 0.2

    async def _hold(self, command_id: str, reason: str) -> None:
        if self._held != (command_id, reason):
            await self._doors.queue.held(self.agent.name, command_id, reason)
            self._held = (command_id, reason)

    async def _look(self, *, glance: bool = False) -> Look:
        eyes = self._doors.eyes
        try:
            return await (eyes.glance if glance else eyes.look)(self.agent.name)
        except KeyError:
            raise TmuxError(f"{self.agent.name} is not watched yet") from None

    def _target(self, pane: Pane) -> Target:
        return Target(pane.id, self.agent.pid, f"{self._doors.session}/{self.agent.name}")

    def _at(self) -> str:
        return iso(self._doors.now())
