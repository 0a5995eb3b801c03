"""Questions of agents, the person's answers, and what lies in whose inbox."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from taco.errors import ConflictError, NotFoundError
from taco.message import preview
from taco.models import PERSON, Agent, Ask, Command, Event, EventType, Ledger, Level, SpecStatus

POLL_S = 0.25
EVENTS_READ = 2_000
RESULTS_READ = 500
_LIKE_AN_ID = re.compile(r"(?=.*\d)[a-z0-9]{6}")  # as `taco ask` makes them, nearly always with a digit


class Desk(Protocol):
    """What this room asks of the broker."""

    async def answer_ask(self, ask_id: str, answer: str, at: str) -> Ask:
        """Answer a question."""

    async def asks(self, open_only: bool = True) -> list[Ask]:
        """Questions, oldest first."""

    async def enqueue(self, command: Command) -> bool:
        """Store a command."""

    async def agents(self) -> list[Agent]:
        """Every agent."""

    async def events(self, *, count: int = 100, after: str = "") -> list[Event]:
        """The last events."""

    async def completed(self, count: int = 100) -> list[dict[str, str]]:
        """Commands that arrived, newest first."""

    async def spec_fields(self) -> dict[str, str]:
        """What is known of the spec."""

    async def ledger(self, command_id: str) -> Ledger | None:
        """What is known of a command."""


@dataclass(frozen=True, slots=True)
class Note:
    """A message as an inbox shows it."""

    id: str
    sender: str
    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A dialog on an agent's screen; `ask` is None where a key cannot answer it, or nobody has read it yet."""

    agent: Agent
    ask: Ask | None


@dataclass(frozen=True, slots=True)
class Inbox:
    """What waits for the person: questions, dialogs, a plan to approve, messages."""

    asks: Sequence[Ask]
    dialogs: Sequence[Shown]
    messages: Sequence[Note]
    plan: str = ""  # when the plan was proposed; "" when none waits


def answer_id(ask_id: str) -> str:
    """The id of the message that carries an answer: answering twice is one message."""
    return f"answer-{ask_id}"


async def wait_for_answer(desk: Desk, ask_id: str, timeout_s: float) -> Ask | None:
    """The question once it has its answer, or None after `timeout_s`."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while any(each.id == ask_id for each in await desk.asks(open_only=True)):
        if asyncio.get_running_loop().time() >= deadline:
            return None
        await asyncio.sleep(POLL_S)
    return next((each for each in await desk.asks(open_only=False) if each.id == ask_id and each.answer), None)


async def pick(desk: Desk, words: Sequence[str]) -> tuple[Ask, list[str]]:
    """What `ID TEXT` or, with one open question, `TEXT` answers; raises NotFoundError, ConflictError.

    A dialog is meant without its id only where no question is open.
    """
    known = await desk.asks(open_only=False)
    asked = next((each for each in known if words and each.id == words[0]), None)
    if asked and asked.answer:
        raise ConflictError(f"question {asked.id} is answered already: {preview(asked.answer, 60)}")
    if asked:
        return asked, list(words[1:])
    ids = [each.id for each in known]
    if words and (_LIKE_AN_ID.fullmatch(words[0]) or difflib.get_close_matches(words[0], ids, cutoff=0.8)):
        hint = "open ones: taco inbox. If that is your answer, put the question's id before it"
        raise NotFoundError(f"there is no question {words[0]!r}", hint=hint)
    waiting = await desk.asks(open_only=True)
    questions = [each for each in waiting if not each.is_dialog]
    if len(questions or waiting) == 1:
        return (questions or waiting)[0], list(words)
    if not waiting:
        raise NotFoundError("no question waits for an answer", hint="see: taco inbox")
    listed = ", ".join(f"{each.id} ({each.agent})" for each in waiting)
    raise NotFoundError(f"{len(waiting)} questions wait: say which one", hint=f"taco answer ID TEXT; ids: {listed}")


async def pick_one(desk: Desk, word: str) -> Ask:
    """What the id or the agent `word` means, or for "" the only dialog that is open; raises NotFoundError.

    A question needs its name: a yes that was meant for a dialog is no answer to it. Raises ConflictError for what is
    answered already.
    """
    waiting = await desk.asks(open_only=True)
    found = [each for each in waiting if each.id == word] or [each for each in waiting if each.agent == word]
    if not word:
        found = [each for each in waiting if each.is_dialog]
    if len(found) == 1:
        return found[0]
    answered = next((each for each in await desk.asks(open_only=False) if each.id == word and each.answer), None)
    if answered:
        raise ConflictError(f"{answered.id} is answered already: {preview(answered.answer, 60)}")
    if not found:
        what = f"nothing of {word!r} waits" if word else "no dialog waits for you"
        questions = ", ".join(f"{each.id} ({each.agent})" for each in waiting)
        raise NotFoundError(what, hint=f"questions need their id: {questions}" if questions else "see: taco inbox")
    listed = ", ".join(f"{each.id} ({each.agent})" for each in found)
    raise NotFoundError(f"{len(found)} wait: say which one", hint=f"by its id: {listed}")


async def pick_first(desk: Desk, words: Sequence[str]) -> tuple[Ask, list[str]]:
    """What the first word means, and the others; all of them are left over where that is neither id nor agent."""
    waiting = await desk.asks(open_only=True)
    first = words[0] if words else ""
    named = not first or _LIKE_AN_ID.fullmatch(first) or any(first in (each.id, each.agent) for each in waiting)
    return await pick_one(desk, first if named else ""), list(words[1:] if named else words)


async def answer(desk: Desk, ask: Ask, text: str, at: str) -> str:
    """Store an answer and send it to the agent; the message's id. It goes first: a crash in between loses neither.

    After such a crash an answer in other words is another message.
    """
    body = f"Answer to your question “{preview(ask.question, 80)}”: {text}"
    command = Command(answer_id(ask.id), PERSON, ask.agent, body, timestamp=at)
    try:
        await desk.enqueue(command)
    except ConflictError:
        other = hashlib.sha256(text.encode()).hexdigest()[:6]
        command = replace(command, id=f"{command.id}-{other}")
        await desk.enqueue(command)
    await desk.answer_ask(ask.id, text, at)
    return command.id


async def note_pressed(desk: Desk, ask: Ask, what: str, at: str) -> None:
    """Write down how a dialog was answered, unless it was noted already that it is gone."""
    with contextlib.suppress(ConflictError, NotFoundError):
        await desk.answer_ask(ask.id, what, at)


async def of_person(desk: Desk, count: int = 20) -> Inbox:
    """The person's inbox with the last `count` messages, oldest first."""
    events = await desk.events(count=EVENTS_READ)
    messages = [_note(each) for each in events if each.type is EventType.PERSON_MESSAGE]
    asks, spec = await desk.asks(open_only=True), await desk.spec_fields()
    shown = {(each.agent, each.pid): each for each in asks if each.is_dialog}
    dialogs = [
        Shown(each, shown.get((each.name, each.pid)))
        for each in await desk.agents()
        if each.state.level is Level.WAITING
    ]
    plan = spec.get("at", "") or "?" if spec.get("status") == SpecStatus.REVIEW else ""
    return Inbox([each for each in asks if not each.is_dialog], dialogs, messages[-count:], plan)


def approval(session: str, mark: str, at: str) -> tuple[dict[str, str], Event]:
    """The spec's fields once the person approved what has this mark, and the event that tells of it."""
    event = Event(EventType.SPEC_APPROVED, session, ts=at, content="the person approved the spec")
    return {"status": SpecStatus.APPROVED, "reviewed": mark}, event


def rejection(session: str, reason: str, at: str) -> tuple[dict[str, str], Event]:
    """The same for a spec that goes back to Mother."""
    event = Event(EventType.SPEC_REJECTED, session, ts=at, content=reason or "the person rejected the spec")
    return {"status": SpecStatus.REJECTED, "reason": reason, "told": "", "reviewed": "", "at": at}, event


async def of_agent(desk: Desk, name: str, count: int = 20) -> list[Note]:
    """The last `count` messages an agent got, oldest first; of long ones the beginning."""
    results = [each for each in await desk.completed(RESULTS_READ) if each["target"] == name][:count]
    found = []
    for each in reversed(results):
        ledger = await desk.ledger(each["id"])
        found.append(Note(each["id"], each["sender"], each.get("at", ""), ledger.preview if ledger else ""))
    return found


def _note(event: Event) -> Note:
    return Note(event.command, event.agent, event.ts, str(event.data.get("message") or event.content))
