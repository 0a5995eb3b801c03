"""The second half of one delivery: from text that stands in a composer to proof that it was submitted."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import Enum

from taco import message
from taco.executor.doors import Doors, Look
from taco.executor.text import is_unread, mark_of
from taco.executor.words import because
from taco.message import Match
from taco.models import Agent, CommandState, Evidence, Ledger, Level, Outcome, Pane, from_iso, iso
from taco.provider import Provider
from taco.records import Heads, Waiting
from taco.screen import Reading
from taco.tmux.guard import NOTHING_SEEN, Seen, Target
from taco.tmux.sight import seen_text

VANISHED_AFTER_S = 2.0  # an empty composer is believed after this long
HIDDEN_S = 2.0  # a composer that is out of sight is told of after this long
CLEAR_LIMIT = 60  # presses of the keys that empty a composer


class End(Enum):
    """How a submission left its command."""

    FINISHED = "finished"
    QUEUED = "queued again"


class Submission:
    """One command whose text was typed into `pane`; `note_hold` says why it stands still."""

    def __init__(
        self,
        doors: Doors,
        agent: Agent,
        provider: Provider,
        waiting: Waiting,
        text: str,
        *,
        typed_here: bool,
        repeats: bool,
        due: float,
        before: Reading | None,
        note_hold: Callable[[str, str], Awaitable[None]],
        rest: Callable[[float], Awaitable[None]],
    ) -> None:
        """`typed_here`: this very process typed it; `repeats`: the agent got an equal text lately, whose evidence may
        come only now; `due`: when Enter may be pressed (monotonic seconds); `before`: the screen it was typed on, as
        far as this process has seen it.
        """
        self._doors = doors
        self._agent = agent
        self._provider = provider
        self._waiting = waiting
        self._mark = mark_of(waiting)
        self._text = text
        self._typed_here = typed_here
        self._repeats = repeats
        self._due = due
        self._before = before
        self.next: Heads | None = None  # what waits for the agent, as it stood when this command was finished
        self._note_hold = note_hold
        self._refused: tuple[str, ...] = ()  # the clauses that refused last
        self._rest = rest

    @property
    def _ledger(self) -> Ledger:
        return self._waiting.ledger

    async def run(self, look: Look | None = None) -> End:
        """Carry the command to its end, or back into its queue; `look`: the last one, when it is a moment old."""
        if self._ledger.state is not CommandState.ENTERED:
            end = await self._enter(look or await self._doors.eyes.glance(self._agent.name))
            if end is not None:
                return end
        return await self._confirm()

    async def other_incarnation(self) -> End:
        """The process the text went to is gone: it was never submitted, or the transcript must tell."""
        evidence = self._evidence(self._ledger.entered_at or self._ledger.typed_at)
        if evidence is not None:
            return await self._delivered(evidence)
        if self._ledger.state is CommandState.QUEUED:
            return await self._queue_again("the agent ended when it was typed")
        if self._ledger.state is CommandState.TYPED and (self._typed_here or self._files_deny()):
            return await self._queue_again("the agent ended between text and Enter")
        return await self._unconfirmed("the agent ended before it was seen to be submitted")

    # Step 3: Enter, as soon as our text stands in the composer, whole and alone

    async def _enter(self, look: Look) -> End | None:
        """Press the first Enter; None when it is pressed."""
        begun = there_at = time.monotonic()
        appeared = self._before is None  # who went on from another executor cannot know
        while True:
            if look.pane is None or look.pane.dead or look.pane.pid != self._agent.pid:
                return await self.other_incarnation()
            reason, seen = self._before_enter(look)
            unread = self._is_unread(look)
            if unread and (not reason or self._is_empty(look)):
                reason = "typed, not submitted: the agent has not read it yet"
            if not reason:
                if await self._press(look.pane, seen, 1):
                    return None
                reason = f"typed, not submitted: {because(self._refused)}"
            if await self._is_cancelled() and await self._erase(look):
                return End.FINISHED
            if unread or not self._is_gone(look):
                there_at = time.monotonic()
                appeared = appeared or self._shows(look)
            limit_s = VANISHED_AFTER_S if appeared else self._doors.config.evidence_timeout_s
            if time.monotonic() - there_at > limit_s:
                end = await self._vanished(look, look.pane, appeared)
                if end is not None:
                    return end
                reason = f"its text is gone, its record is not: {because(self._refused)}"
            waited_s = time.monotonic() - begun
            if waited_s > 1.0:
                await self._note_hold(self._waiting.command.id, reason)
            await self._rest(0.04 if waited_s < 1.0 else 0.25)
            look = await self._look()

    def _before_enter(self, look: Look) -> tuple[str, Seen]:
        """Why Enter must not be pressed now ("" when it may), and what that relies on."""
        if look.state.level is Level.WAITING:
            return f"typed, not submitted: {look.state.detail or 'a dialog is open'}", NOTHING_SEEN
        reading = look.reading
        if reading is None:
            return "", NOTHING_SEEN
        if reading.composer_row is None:
            return "typed, not submitted: no composer on the screen", NOTHING_SEEN
        found = self._match(reading)
        if found in (Match.EXACT, Match.PLACEHOLDER):
            return "", seen_text(self._provider, reading, look.cursor)
        if found is Match.FOREIGN:
            return "typed, not submitted: a person's text stands with it", NOTHING_SEEN
        return "typed, not submitted: not all of its text stands there", NOTHING_SEEN

    def _match(self, reading: Reading) -> Match:
        """How the draft relates to our text; without a rule for its last row, that is sought in what follows too."""
        found = message.match(reading.draft, self._text, placeholder=reading.placeholder)
        if found is Match.PARTIAL and self._provider.screen.composer_end is None:
            shown = message.squash("\n".join((reading.draft, *reading.lines[reading.end_row :])))
            return Match.EXACT if shown.startswith(message.squash(self._text)) else found
        return found

    def _is_empty(self, look: Look) -> bool:
        """Whether the composer is there and holds nothing."""
        reading = look.reading
        if reading is None or reading.composer_row is None or look.state.level is Level.WAITING:
            return False
        return not reading.draft.strip()

    def _is_gone(self, look: Look) -> bool:
        """Whether our text is not in the composer: that is empty, or holds one row of a person's (more may scroll)."""
        reading = look.reading
        if self._is_empty(look) or reading is None or look.state.level is Level.WAITING:
            return self._is_empty(look)
        is_one_row = reading.rows == 1 and self._provider.screen.composer_end is not None
        return is_one_row and not self._shows(look)

    def _shows(self, look: Look) -> bool:
        """Whether anything of our text stands in the composer."""
        reading = look.reading
        return reading is not None and (reading.placeholder or message.has_trace(reading.draft, self._text))

    def _is_unread(self, look: Look) -> bool:
        """Whether keys wait that the program has not read: what its screen shows is not all that stands there."""
        return look.reading is not None and look.pane is not None and is_unread(look.pane.tty)

    async def _press(self, pane: Pane, seen: Seen, count: int) -> bool:
        """Enter number `count`. The ledger is written first, so that a kill in between is never a second Enter."""
        if count == 1:
            mark = self._doors.eyes.transcript_size(self._agent.name)
            in_s = max(0.0, self._due - time.monotonic())
            self._note(entered_at=iso(self._doors.now() + in_s), transcript_mark=mark)
        at, mark = self._ledger.entered_at, self._ledger.transcript_mark
        self._refused = ()
        if not await self._doors.queue.entered(self._waiting, at, count, mark):
            return False
        await asyncio.sleep(self._due - time.monotonic())
        target = self._target(pane)
        if pane.in_mode:
            await self._doors.guard.leave_mode(target)
        verdict = await self._doors.guard.press_enter(target, self._mark, count, seen)
        if verdict.done or "entered" in verdict.refused:  # refused so: pressed before an executor was killed
            self._note(state=CommandState.ENTERED, enters=count)
            return True
        self._refused = verdict.refused
        if count == 1:
            await self._doors.queue.refused(self._waiting)
        return False

    async def _vanished(self, look: Look, pane: Pane, appeared: bool) -> End | None:
        """Our text is not in the composer, and the Enter was not ours; None while the pane keeps its record.

        A line break in it may have submitted it, or a person: it is typed again only where files deny that, or where
        it never showed and the screen is as it was.
        """
        evidence = self._evidence(self._ledger.typed_at)
        if evidence is not None:
            return await self._delivered(evidence)
        if (appeared or self._has_changed(look)) and not self._files_deny():
            return await self._unconfirmed("its text left the composer, and nothing tells whether it was submitted")
        target = self._target(pane)
        if pane.in_mode:
            await self._doors.guard.leave_mode(target)
        verdict = await self._doors.guard.forget(target, self._mark)
        if not verdict.done:  # queued again with its record it could never be typed
            self._refused = verdict.refused
            return None
        return await self._queue_again("its text left the composer" if appeared else "its text never showed")

    def _has_changed(self, look: Look) -> bool:
        """Whether the screen shows something else than before the text was typed, or nobody can say."""
        return self._before is None or look.reading is None or look.reading.lines != self._before.lines

    # Evidence

    async def _confirm(self) -> End:
        """Wait for a sign that our text was submitted; press Enter again while it still stands there."""
        if not self._can_show():
            return await self._delivered(Evidence.NONE)
        begun = entered = pressed = time.monotonic()
        again_s, pause_s = self._provider.enter_again_ms / 1_000, 0.012  # the first wait, then 1.6 times longer each
        while True:
            evidence = self._evidence(self._ledger.entered_at)
            if refusal := self._refusal():
                return await self._finish(Outcome(CommandState.REJECTED, reason=refusal))
            proof = evidence if self._is_decided(evidence, entered) else None
            if proof is not None and not self._repeats:
                end = await self._delivered(proof)
                await self._see_it_leave()
                return end
            look = await self._look()
            standing = self._standing(look)
            if proof is not None and standing is Match.EMPTY:
                return await self._delivered(proof)
            waited_s = time.monotonic() - pressed
            if standing is Match.EMPTY and (self._screen_counts() or self._is_queued(look, waited_s)):
                return await self._delivered(Evidence.SCREEN)
            if look.pane is None or look.pane.dead or look.pane.pid != self._agent.pid:
                return await self.other_incarnation()
            if standing is Match.EXACT or self._is_hidden(look):
                begun = time.monotonic()
            if standing is Match.EXACT and evidence is not None:
                if self._repeats and begun - pressed > VANISHED_AFTER_S:
                    await self._take_out(look)
                    return await self._unconfirmed("its text stayed in the composer, an equal one was seen")
            elif standing is Match.EXACT and self._is_unread(look):  # one Enter more would go to what comes next
                pressed = begun
                if begun - entered > HIDDEN_S:
                    await self._note_hold(self._waiting.command.id, "not submitted: the agent has not read Enter yet")
            elif standing is Match.EXACT:
                if begun - pressed > again_s:
                    if self._ledger.enters >= self._doors.config.enter_limit:
                        return await self._unconfirmed(f"its text still stands after {self._ledger.enters} Enters")
                    if not await self._press_again(look):
                        await self._note_hold(self._waiting.command.id, f"not submitted: {because(self._refused)}")
                    pressed, again_s = time.monotonic(), min(max(5.0, again_s), again_s * 1.6)
            elif self._is_hidden(look) and time.monotonic() - pressed > HIDDEN_S:
                detail = look.state.detail or str(look.state.level)
                await self._note_hold(self._waiting.command.id, f"not seen to be submitted: {detail}")
            elif time.monotonic() - begun > self._doors.config.evidence_timeout_s:
                return await self._unconfirmed("nothing showed that it was submitted")
            await self._rest(pause_s)
            pause_s = min(0.25, pause_s * 1.5)

    async def _see_it_leave(self) -> None:
        """Watch a submitted text leave the composer, and take it out when it stays: it would be submitted once more.

        Claude Code 2.1.197 may leave it there when Enter comes in the moment a turn ends.
        """
        begun = time.monotonic()
        look = await self._look()
        while self._standing(look) is Match.EXACT:
            self.next = None  # by now something else may come first
            if time.monotonic() - begun > VANISHED_AFTER_S:
                await self._take_out(look)
                return
            await asyncio.sleep(0.04)
            look = await self._look()

    async def _press_again(self, look: Look) -> bool:
        """One Enter more; False when the guard refused it."""
        reason, seen = self._before_enter(look)
        if reason or look.pane is None:
            return True  # it cannot be told now: the next look tells
        return await self._press(look.pane, seen, self._ledger.enters + 1)

    def _standing(self, look: Look) -> Match:
        """Whether our text still stands in the composer (EXACT), has left it (EMPTY), or cannot be told (PARTIAL)."""
        reading = look.reading
        if reading is None or reading.composer_row is None or reading.waiting:
            return Match.PARTIAL
        found = self._match(reading)
        if found in (Match.EXACT, Match.PLACEHOLDER):
            return Match.EXACT
        if found is Match.FOREIGN and message.squash(self._text) not in message.squash(reading.draft):
            return Match.EMPTY
        return Match.EMPTY if found is Match.EMPTY else Match.PARTIAL

    def _is_hidden(self, look: Look) -> bool:
        """Whether the composer is out of sight for a while: behind a dialog, or because the agent works."""
        no_composer = look.reading is not None and look.reading.composer_row is None
        return look.state.level is Level.WAITING or (look.state.level is Level.BUSY and no_composer)

    def _can_show(self) -> bool:
        """Whether there is anything by which this provider could show a submission."""
        blind = set() if self._provider.reads_screen else {Evidence.SCREEN}
        return bool({*self._provider.evidence} - blind - {Evidence.NONE})

    def _screen_counts(self) -> bool:
        """The screen is evidence only where nothing better speaks."""
        return Evidence.SCREEN in self._provider.evidence and not self._doors.eyes.tells_by_files(self._agent.name)

    def _is_queued(self, look: Look, waited_s: float) -> bool:
        """Whether the screen shows that the CLI holds input: its files may not tell before its turn ends."""
        is_queued = look.reading is not None and look.reading.queued
        return is_queued and waited_s > VANISHED_AFTER_S and Evidence.SCREEN in self._provider.evidence

    def _files_deny(self) -> bool:
        """Whether hooks or transcript speak, and know nothing of our text.

        Of a text that another executor typed the transcript's size before is not known: then any mention counts.
        """
        eyes, name = self._doors.eyes, self._agent.name
        if not eyes.tells_by_files(name):
            return False
        return self._ledger.transcript_mark >= 0 or eyes.evidence(name, self._text, since=math.inf, mark=0) is None

    def _refusal(self) -> str:
        """Why the CLI refused our text; "" when it did not."""
        return self._doors.eyes.refusal(self._agent.name, self._text, mark=self._ledger.transcript_mark)

    def _is_decided(self, evidence: Evidence | None, entered: float) -> bool:
        """Whether the CLI has decided on the text: its hook is told of it before a person's own hook may refuse it."""
        if evidence is not Evidence.HOOK or time.monotonic() - entered > self._doors.config.evidence_timeout_s:
            return True
        return self._doors.eyes.is_taken(self._agent.name, self._text, mark=self._ledger.transcript_mark)

    def _evidence(self, since: str) -> Evidence | None:
        at = from_iso(since) - 0.001 if since else self._doors.now()  # iso() cuts to milliseconds
        mark = self._ledger.transcript_mark
        return self._doors.eyes.evidence(self._agent.name, self._text, since=at, mark=mark)

    # Ends

    async def _delivered(self, evidence: Evidence) -> End:
        return await self._finish(Outcome(CommandState.DELIVERED, evidence))

    async def _unconfirmed(self, reason: str) -> End:
        return await self._finish(Outcome(CommandState.UNCONFIRMED, reason=reason))

    async def _finish(self, outcome: Outcome) -> End:
        queue = self._doors.queue
        finish = queue.finish(self._waiting, outcome, iso(self._doors.now()))
        _, self.next = await asyncio.gather(finish, queue.heads(self._agent.name))  # one trip, in this order
        return End.FINISHED

    async def _queue_again(self, reason: str) -> End:
        """Back into the queue, or dead when it is out of attempts."""
        if self._ledger.attempts >= self._doors.config.attempts:
            return await self._finish(Outcome(CommandState.DEAD, reason=f"{reason}, {self._ledger.attempts} times"))
        await self._doors.queue.requeue(self._waiting, reason)
        return End.QUEUED

    # Cancelling

    async def _is_cancelled(self) -> bool:
        head = (await self._doors.queue.heads(self._agent.name)).head
        return head is not None and head.command.id == self._waiting.command.id and head.cancel

    async def _erase(self, look: Look) -> bool:
        """Take the text of a cancelled command out of the composer; False when that cannot be."""
        if not await self._take_out(look):
            return False
        await self._finish(Outcome(CommandState.CANCELLED, reason="cancelled after it was typed"))
        return True

    async def _take_out(self, look: Look) -> bool:
        """Empty the composer, as long as nothing but our text stands in it; whether it is empty then."""
        for pressed in range(CLEAR_LIMIT):
            reading = look.reading
            if look.pane is None or (reading is not None and reading.composer_row is None):
                return False
            if pressed and (reading is None or not reading.draft.strip()):
                return True
            seen = NOTHING_SEEN
            if reading is not None:
                found = self._match(reading)
                if found in (Match.FOREIGN, Match.EMPTY):
                    return False
                seen = seen_text(self._provider, reading, look.cursor)
            cleared = await self._clear(look.pane, seen)
            if cleared:
                await asyncio.sleep(0.05)
            look = await self._look()
            if not cleared:  # the screen changed meanwhile, perhaps by what was pressed before
                return pressed > 0 and self._is_empty(look)
        return False

    async def _clear(self, pane: Pane, seen: Seen) -> bool:
        """Press the keys that empty a composer, once."""
        target = self._target(pane)
        if pane.in_mode:
            await self._doors.guard.leave_mode(target)
        return (await self._doors.guard.erase(target, self._mark, self._provider.clear, seen)).done

    async def _look(self) -> Look:
        return await self._doors.eyes.look(self._agent.name)

    def _target(self, pane: Pane) -> Target:
        return Target(pane.id, self._agent.pid, f"{self._doors.session}/{self._agent.name}")

    def _note(self, **changes: object) -> None:
        """What this process knows of the ledger before it is read again."""
        self._waiting = replace(self._waiting, ledger=replace(self._ledger, **changes))  # type: ignore[arg-type]
