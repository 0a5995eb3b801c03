"""What agents left in their outbox because their sandbox forbids to connect: taken over like calls of their own.

An outbox lies where its agent may write anything, and the executor has no sandbox: nothing in it is followed or
believed, and no file can hold up the round or another agent.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from taco import calls, log, services, supervision
from taco.errors import ConflictError, QueueFullError, TacoError, TemporaryError
from taco.models import EVERYONE, PERSON, Agent, Ask, Command, Event, EventType, Priority, Service, When, from_iso, iso
from taco.orchestrator.desk import Desk
from taco.spool import TRIES, Box, is_filled

MOST_BYTES = 2_000_000  # of one file: a message of 1 MB, written as JSON
AT_ONCE = 100  # files of one agent in one round
_ASK_ID = re.compile(r"[a-z0-9]{6}")  # as `taco ask` makes it


class Outboxes:
    """Takes over every whole file of every agent's outbox, once: ids are the callers'."""

    def __init__(self, desk: Desk) -> None:
        """Nothing is read by this."""
        self._desk = desk
        self._tries: Counter[tuple[str, str]] = Counter()
        self._paths: dict[tuple[str, str], Path] = {}
        self._refused: set[str] = set()  # who was told already that its outbox is none

    async def step(self) -> None:
        """One round; raises BrokerError when Redis is away, and nothing else."""
        for agent in self._desk.team:
            if agent.pid and is_filled(self._path(agent)):
                await self._import_of(agent)

    def _path(self, agent: Agent) -> Path:
        """The outbox as the agent was told it; resolving it costs more than looking into it."""
        key = agent.name, agent.workspace
        if key not in self._paths:
            self._paths[key] = self._desk.ground.outbox(agent)
        return self._paths[key]

    async def _import_of(self, agent: Agent) -> None:
        ground = self._desk.ground
        project, workspace = ground.project.resolve(), ground.workspace(agent)
        try:
            way = (*workspace.resolve().relative_to(project).parts, *ground.outbox(agent).relative_to(workspace).parts)
            with Box.open(project, *way) as box:
                names = [name for name in box.names() if self._tries[agent.name, name] < TRIES]
                full = False
                for name in names[:AT_ONCE]:
                    full |= await self._import_file(agent, box, name, full=full)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            if agent.name not in self._refused:
                self._refused.add(agent.name)
                log.warning("outbox.refused", agent=agent.name, error=str(error))

    async def _import_file(self, agent: Agent, box: Box, name: str, *, full: bool) -> bool:
        """Take over one file; True when a queue is full: what the agent sends after it stays in order and waits too."""
        try:
            body = box.read(name, MOST_BYTES)
        except (OSError, ValueError) as error:
            self._failed(agent, box, name, error)
            return False
        try:
            call = _parsed(body)
            if full and call.verb in ("send", "broadcast"):
                return True
            await _import(self._desk, agent, call)
        except QueueFullError:
            return True
        except TemporaryError as error:
            await self._desk.broker.ping()  # raises when it is not the file's fault
            self._failed(agent, box, name, error)
            return False
        except (TacoError, ValueError, KeyError, TypeError, RecursionError) as error:
            await self._refuse(agent, name, error)
        except Exception as error:
            # A bug here must not end the round of everybody, nor be met again for ever.
            log.exception("outbox.failed", agent=agent.name, file=name)
            self._failed(agent, box, name, error)
            return False
        self._done(agent, box, name)
        return False

    async def _refuse(self, agent: Agent, name: str, error: Exception) -> None:
        what = f"no {error} in it" if isinstance(error, KeyError) else str(error)
        log.warning("outbox.refused", agent=agent.name, file=name, error=what)
        text = f"outbox: {what[:200]}".encode(errors="replace").decode()
        await self._desk.tell(EventType.COMMAND_REJECTED, text, agent=agent.name, level="warning")

    def _done(self, agent: Agent, box: Box, name: str) -> None:
        try:
            box.remove(name)
        except OSError as error:  # a directory
            self._tries[agent.name, name] = TRIES
            self._failed(agent, box, name, error)

    def _failed(self, agent: Agent, box: Box, name: str, error: Exception) -> None:
        """Try it again in the next round, three times in all; it is set aside then."""
        key = agent.name, name
        self._tries[key] += 1
        if self._tries[key] < TRIES:
            return
        log.warning("outbox.set_aside", agent=agent.name, file=name, error=str(error))
        try:
            box.set_aside(name)
        except OSError:
            return  # it is not looked at again
        del self._tries[key]


class Call:
    """One call as its file says it: every field is checked when it is asked for, by KeyError or ValueError."""

    def __init__(self, fields: dict[str, Any]) -> None:
        """`fields` may hold anything."""
        self._fields = fields

    @property
    def verb(self) -> str:
        """What is called."""
        return self.text("verb")

    def text(self, *names: str) -> str:
        """The first of these fields that is a text, as UTF-8 can write it; "" for none."""
        found = next((self._fields[name] for name in names if isinstance(self._fields.get(name), str)), "")
        return str(found).encode(errors="replace").decode()

    def matching(self, name: str, pattern: re.Pattern[str]) -> str:
        """A field that is wholly of this pattern."""
        found = self._fields[name]
        if not isinstance(found, str) or not pattern.fullmatch(found):
            raise ValueError(f"{str(found)[:80]!r} cannot be a {name}")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """A field that is a list of texts; nothing when it is not there."""
        found = self._fields.get(name) or []
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise ValueError(f"{name} is no list of texts")
        return tuple(each.encode(errors="replace").decode() for each in found)

    def inner(self, name: str) -> Call:
        """A field that is an object."""
        found = self._fields[name]
        if not isinstance(found, dict):
            raise ValueError(f"{name} is no object")
        return Call(found)

    def port(self) -> int:
        """The field `port`, 0 when it is not there."""
        found = self._fields.get("port") or 0
        if not isinstance(found, int) or not 0 <= found <= 65_535:
            raise ValueError(f"{str(found)[:80]!r} cannot be a port")
        return found

    def is_set(self, name: str) -> bool:
        """Whether a field is true."""
        return self._fields.get(name) is True

    def at(self, now: float) -> str:
        """When it was made, as far as that can be: it is not in the future."""
        try:
            return iso(min(now, from_iso(self.text("timestamp"))))
        except (ValueError, OverflowError, OSError):
            return iso(now)


def _parsed(body: bytes) -> Call:
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return Call(found)


async def _import(desk: Desk, agent: Agent, call: Call) -> None:
    """One call; the sender is whose outbox it lay in, whatever the file says."""
    at = call.at(desk.now())
    if call.verb in ("send", "broadcast"):
        await _send(desk, agent, call, at)
    elif call.verb in ("done", "fail"):
        text = call.text("text", "summary", "reason")
        calls.check_body(text)
        await desk.broker.report(agent.name, failed=call.verb == "fail", text=text, at=at)
    elif call.verb == "ask":
        question = call.text("question", "text")
        calls.check_body(question)
        asked = Ask(call.matching("id", _ASK_ID), agent.name, question, at, choices=call.texts("choices"))
        await desk.broker.open_ask(asked)
    elif call.verb == "service":
        await _offer(desk, agent, call.inner("service"), call.text("id"))
    else:
        raise ValueError(f"unknown verb {call.verb[:80]!r}")


async def _send(desk: Desk, agent: Agent, call: Call, at: str) -> None:
    text, command_id = call.text("message", "text"), call.matching("id", calls.COMMAND_ID)
    priority, when = Priority(call.text("priority") or "normal"), When(call.text("when") or "idle")
    calls.check_body(text)
    target = EVERYONE if call.verb == "broadcast" else call.text("target")
    if target == PERSON:
        await desk.broker.emit(_to_person(desk, agent, command_id, text, str(priority), at))
        return
    names = [each.name for each in desk.team if target in (each.name, str(each.window))]
    if target == EVERYONE:
        names = [each.name for each in desk.team if each.name != agent.name]
    if not names:
        raise ValueError(f"no agent {target[:80]!r}")
    for name in names:
        own_id = command_id if target != EVERYONE else f"{command_id}-{name}"
        await desk.broker.enqueue(Command(own_id, agent.name, name, text, priority, when, at))


def _to_person(desk: Desk, agent: Agent, command_id: str, text: str, priority: str, at: str) -> Event:
    """What `taco send person` tells."""
    return Event(
        EventType.PERSON_MESSAGE,
        desk.name,
        ts=at,
        agent=agent.name,
        command=command_id,
        content=" ".join(calls.preview(text).split()),
        data={"sender": agent.name, "message": text, "priority": priority},
    )


async def _offer(desk: Desk, agent: Agent, call: Call, call_id: str) -> None:
    """A service at the port that it asks for, or at another one, of which the agent is told.

    A sandboxed agent makes this process ask nothing of anybody: its service is looked at by a connection alone.
    """
    name, url, port = call.matching("name", services.NAME), call.text("url"), call.port()
    wanted = services.service_from(name, url=url[:2_000], port=port, owner=agent.name, check=services.TCP)
    if wanted.url and not services.is_local(wanted.url):
        raise ValueError(f"{wanted.url[:80]!r} is not on this machine")
    try:
        placed = await _place(desk, wanted, auto=call.is_set("auto"))
        await desk.broker.put_service(placed)
    except ConflictError as error:
        text = f"Your service {name} is not registered: {error.message}; {error.hint}."
        await desk.message(agent.name, text, key=f"offer/{agent.name}/{call_id}")
        raise
    if placed.port != wanted.port:
        instead = f" (not {wanted.port})" if wanted.port else ""
        text = f"Use port {placed.port} for your service {name}{instead}: {placed.url}"
        await desk.message(agent.name, text, key=f"offer/{agent.name}/{call_id}")


async def _place(desk: Desk, wanted: Service, *, auto: bool) -> Service:
    """A service at a port of its own: with `auto` at the one it has, the one it guessed, or any other."""
    runs = partial(supervision.runs, desk.record.home)
    if not auto:
        return await services.place(desk.broker, wanted, runs)
    return await services.place(desk.broker, replace(wanted, url="", port=0), runs, wanted.port)
