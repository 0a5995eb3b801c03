"""What `send` and `broadcast` do once their words are parsed.

Agents call it all the time, so it goes without the models; they are loaded when the answer is JSON or waited for.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from taco import calls
from taco.cli import say
from taco.cli.body import read_body
from taco.cli.caller import EVERYONE, PERSON, Caller, caller
from taco.cli.place import Place, find, supervise, with_line, with_wire
from taco.errors import Exit, NotFoundError, RefusedError, UsageError
from taco.line import ForbiddenError, Line

if TYPE_CHECKING:
    from taco.models import Ledger

_SENDER = re.compile(r"[\w.@-]{1,40}")
_ADDRESS = re.compile(r"(?P<session>[^:]+):(?P<window>[^:.]+)(?:\.(?P<pane>\d+))?")


class Sending(NamedTuple):
    """A message that somebody wants sent, as the command line says it."""

    target: str
    words: Sequence[str] = ()
    file: str | None = None
    priority: str = "normal"
    when: str = "idle"
    wait_s: float | None = None
    sender: str | None = None  # --from
    command_id: str | None = None  # --id
    as_json: bool = False
    session: str | None = None


class Message(NamedTuple):
    """A message on its way: the fields of `models.Command`."""

    id: str
    sender: str
    target: str
    message: str
    priority: str
    when: str
    timestamp: str
    retry_count: int = 0
    type: str = "tmux_message"


class Stored(NamedTuple):
    """What became of a call: a message for each agent it was for."""

    messages: Sequence[Message]
    known: bool = False  # every one of them had been sent before
    heartbeat_age_s: float | None = 0.0


def send(sending: Sending) -> int:
    """Store the message, print its id, and wait for its delivery when asked to; returns the exit code."""
    who = caller()
    place, target, pane = locate(sending, who)
    waits = sending.wait_s is not None
    if waits and target == PERSON:
        raise UsageError("--wait waits for agents, not for 'person'", hint="leave it out: the person is told at once")
    _check_file(sending.file, who, place)
    message = Message(
        id=calls.new_id() if sending.command_id is None else _checked_id(sending.command_id),
        sender=_sender(sending.sender, who),
        target=target,
        message=read_body(sending.words, sending.file),
        priority=sending.priority,
        when=sending.when,
        timestamp=calls.iso(time.time()),
    )
    try:
        stored = with_line(place, lambda line: _store(line, message, place, pane))
    except ForbiddenError as error:
        _leave(message, error, as_json=sending.as_json)
        return int(Exit.STILL_WAITING if waits else Exit.OK)
    if not sending.as_json:
        _print(stored)
    elif not waits:
        _print_json(place, stored, many=target == EVERYONE)
    supervise(place, stored.heartbeat_age_s)
    if not waits:
        return int(Exit.OK)
    from taco.cli.waiting import Waiting

    waiting = Waiting(place, who, sending.wait_s or 0.0)
    return waiting.for_all([each.id for each in stored.messages], many=target == EVERYONE, as_json=sending.as_json)


def _check_file(file: str | None, who: Caller, place: Place) -> None:
    """An agent sends what lies in its workspace: TACO reads files where the agent's own sandbox may not."""
    if not who.is_agent or file in (None, "-"):
        return
    record = place.record
    workspace = next((each.get("workspace") for each in record.agents if each.get("name") == who.name), "")
    root = os.path.realpath(os.path.join(record.project_dir, workspace or ""))  # noqa: PTH118  pathlib costs 3 ms
    if os.path.commonpath([root, os.path.realpath(str(file))]) != root:
        raise RefusedError(f"{file} is not in the workspace of {who.name}", hint="send its path, or copy it there")


def locate(sending: Sending, who: Caller) -> tuple[Place, str, str]:
    """The session that is meant, the target in it (a name, a window number, `all` or `person`), and a pane or ""."""
    found = _ADDRESS.fullmatch(sending.target)
    if found is None:
        return find(sending.session, who), sending.target, ""
    if sending.session and sending.session != found["session"]:
        raise UsageError(f"{sending.target!r} is not in session {sending.session!r}", hint="leave --session out")
    return find(found["session"], who), found["window"], found["pane"] or ""


def resolve(target: str, agents: Mapping[str, int], sender: str, session: str) -> list[str]:
    """The names of the agents that `target` stands for, in the order of their windows; raises NotFoundError."""
    by_window = sorted(agents, key=lambda name: agents[name])
    if target == EVERYONE:
        found = [name for name in by_window if name != sender]
    else:
        found = [name for name in by_window if target in (name, str(agents[name]))]
    if not found:
        who = "nobody to send to" if target == EVERYONE else f"no agent {target!r}"
        raise NotFoundError(f"{who} in session {session}", hint=f"agents: {', '.join(by_window) or 'none yet'}")
    return found


def _store(line: Line, message: Message, place: Place, pane: str) -> Stored:
    """Queue the message for everybody it is for, or tell the person; doing it twice is the same as once."""
    if message.target == PERSON:
        _tell_person(line, message)
        return Stored([message])
    names = resolve(message.target, line.agents(), message.sender, line.keys.session)
    if pane not in ("", "0"):  # an agent's window has one pane, unless the person opens more or counts from 1
        from taco.cli.panes import check_pane

        check_pane(place, names[0], pane)
    messages = [message._replace(target=name) for name in names]
    if message.target == EVERYONE:
        messages = [each._replace(id=f"{each.id}-{each.target}") for each in messages]
    fresh = [line.enqueue(each) for each in messages]
    return Stored(messages, not any(fresh), line.heartbeat_age_s())


def _tell_person(line: Line, message: Message) -> None:
    """A message to the person is an event, which monitor, inbox and log show: nobody has to type it."""
    keys = line.keys
    told = calls.event(
        "person.message",
        keys.session,
        message.timestamp,
        " ".join(calls.preview(message.message).split()),
        agent=message.sender,
        command=message.id,
        data={"sender": message.sender, "message": message.message, "priority": message.priority},
    )
    line.script("emit", [keys.state, keys.events], [keys.live, told])


def _leave(message: Message, error: ForbiddenError, *, as_json: bool) -> None:
    from taco.cli import outbox

    outbox.drop("send", message._asdict(), error)
    if as_json:
        found = _queued(message).public()
        say.data([found] if message.target == EVERYONE else found)
    else:
        say.out(message.id)
    say.note("queued through the outbox: this sandbox does not allow connections")


def _print(stored: Stored) -> None:
    for each in stored.messages:
        say.out(f"{each.id}  {each.target}" if len(stored.messages) > 1 else each.id)
    if stored.known:
        say.note("it was sent before under this id; nothing is sent twice")


def _print_json(place: Place, stored: Stored, *, many: bool) -> None:
    known = with_wire(place, lambda wire: [wire.ledger(each.id) for each in stored.messages])
    found = [(ledger or _queued(each)).public() for each, ledger in zip(stored.messages, known, strict=True)]
    say.data(found if many else found[0])


def _queued(message: Message) -> Ledger:
    """The ledger of a message that Redis keeps none of: the person's are there at once, others wait in an outbox."""
    from taco.models import CommandState, Evidence, Ledger, Priority, When

    told = message.target == PERSON
    return Ledger(
        id=message.id,
        sender=message.sender,
        target=message.target,
        priority=Priority(message.priority),
        when=When(message.when),
        state=CommandState.DELIVERED if told else CommandState.QUEUED,
        evidence=Evidence.NONE if told else None,
        queued_at=message.timestamp,
        delivered_at=message.timestamp if told else "",
    )


def _checked_id(text: str) -> str:
    if not calls.COMMAND_ID.fullmatch(text):
        raise UsageError(f"--id {text!r} is no id", hint="letters, digits, - and _, up to 64 characters")
    return text


def _sender(given: str | None, who: Caller) -> str:
    if given is None:
        return who.name
    if who.is_agent:
        raise RefusedError(f"agent {who.name} sends under its own name", hint="leave --from out")
    if not _SENDER.fullmatch(given):
        raise UsageError(f"--from {given!r} is no name", hint="letters, digits, . _ @ and -, up to 40 characters")
    return given
