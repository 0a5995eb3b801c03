"""How the values of `models` stand in Redis: conversions between hashes and dataclasses. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from taco import calls
from taco.models import (
    FINISHED_EVENT,
    Agent,
    AgentState,
    AgentStatus,
    Ask,
    Claim,
    Command,
    CommandState,
    Event,
    EventType,
    Evidence,
    Incarnation,
    Ledger,
    Level,
    Limit,
    Outcome,
    Priority,
    Service,
    When,
    from_iso,
    iso,
)
from taco.redact import redact, redacted

pairs = calls.pairs

_LIMIT = tuple(field.name for field in fields(Limit))
_AGENT = tuple(field.name for field in fields(Agent))
_TUPLES = ("depends_on", "wait_for", "notifies")
_NUMBERS = ("window", "pid", "restarts")
_FLAGS = ("paused", "yolo")
_HEAD = 80  # characters of a message that its events tell
_LEVELS = {
    EventType.COMMAND_DEAD: "error",
    EventType.COMMAND_UNCONFIRMED: "warning",
    EventType.COMMAND_REJECTED: "warning",
    EventType.COMMAND_RETRIED: "warning",
    EventType.COMMAND_HELD: "debug",
    EventType.COMMAND_TYPED: "debug",
    EventType.COMMAND_ENTERED: "debug",
    EventType.AGENT_REQUESTED: "debug",
    EventType.AGENT_FAILED: "error",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command in its queue; `cancel`: somebody asked to cancel it after its typing had begun."""

    command: Command
    ledger: Ledger
    entry_id: str
    cancel: bool = False


@dataclass(frozen=True, slots=True)
class Heads:
    """What a courier looks at: the command that is next (or under way), and the next with `when=now`."""

    head: Waiting | None = None
    now: Waiting | None = None


def mapping(reply: Any) -> dict[str, str]:
    """Fields by name, of a reply to HGETALL in either form that clients give it."""
    return dict(reply) if isinstance(reply, Mapping) else pairs(reply)


def command_from(entry: Mapping[str, str]) -> Command:
    """A command from its entry in a stream: a queue's, or that of dead letters."""
    return Command(
        id=entry["id"],
        sender=entry["sender"],
        target=entry["target"],
        message=entry.get("message", ""),
        priority=Priority(entry["priority"]),
        when=When(entry["when"]),
        timestamp=entry.get("timestamp") or entry.get("queued_at", ""),
        retry_count=int(entry.get("retry_count", 0)),
        type=entry["type"],
    )


def ledger_from(found: Mapping[str, str]) -> Ledger:
    """A ledger from the hash `command:<id>`."""
    evidence, intent = found.get("evidence"), found.get("intent")
    return Ledger(
        id=found["id"],
        sender=found["sender"],
        target=found["target"],
        priority=Priority(found["priority"]),
        when=When(found["when"]),
        state=CommandState(found["state"]),
        evidence=Evidence(evidence) if evidence else None,
        attempts=int(found.get("attempts", 0)),
        enters=int(found.get("enters", 0)),
        hold=found.get("hold", ""),
        reason=found.get("reason", ""),
        queued_at=found.get("queued_at", ""),
        typed_at=found.get("typed_at", ""),
        entered_at=found.get("entered_at", ""),
        delivered_at=found.get("delivered_at", ""),
        intent=Incarnation.parse(intent) if intent else None,
        transcript_mark=int(found.get("transcript_mark", -1)),
        preview=found.get("preview", ""),
    )


def waiting_from(entry_id: str, entry: Mapping[str, str], ledger: Mapping[str, str]) -> Waiting:
    """A waiting command from its entry in the queue and its ledger."""
    fresh = {**entry, "retry_count": ledger.get("retry_count", "0")}
    return Waiting(command_from(fresh), ledger_from(ledger), entry_id, ledger.get("cancel") == "1")


def state_fields(state: AgentState) -> dict[str, str]:
    """The fields of an agent's record that hold its state."""
    return {
        "state": str(state.level),
        "state_detail": state.detail,
        "since": iso(state.since) if state.since else "",
        "source": state.source,
    }


def agent_fields(agent: Agent) -> dict[str, str]:
    """The hash `agents:<window>` of an agent."""
    record = state_fields(agent.state)
    for name in _AGENT:
        value = getattr(agent, name)
        if name in _TUPLES:
            record[name] = json.dumps(value)
        elif name in _FLAGS:
            record[name] = "1" if value else "0"
        elif name != "state":
            record[name] = str(value)
    return record


def agent_from(record: Mapping[str, str]) -> Agent:
    """An agent from the hash `agents:<window>`; unknown fields are ignored."""
    values: dict[str, Any] = {name: record[name] for name in _AGENT if name in record}
    for name in _TUPLES:
        values[name] = tuple(json.loads(record.get(name) or "[]"))
    for name in _NUMBERS:
        values[name] = int(record.get(name) or 0)
    for name in _FLAGS:
        values[name] = record.get(name) == "1"
    values["status"] = AgentStatus(record.get("status") or AgentStatus.PLANNED)
    since = record.get("since")
    values["state"] = AgentState(
        Level(record.get("state") or Level.UNKNOWN),
        record.get("state_detail", ""),
        from_iso(since) if since else 0.0,
        record.get("source", ""),
    )
    return Agent(**values)


def limit_from(text: str) -> Limit:
    """A limit from its JSON in the hash `limits`; unknown fields are ignored."""
    found = json.loads(text)
    return Limit(**{name: found[name] for name in _LIMIT if name in found})


def ask_from(record: Mapping[str, str]) -> Ask:
    """A question from the hash `asks:<id>`."""
    return Ask(
        record["id"],
        record["agent"],
        record["question"],
        record["opened_at"],
        record.get("answer", ""),
        record.get("answered_at", ""),
        record.get("kind", "question"),
        tuple(json.loads(record.get("choices") or "[]")),
        record.get("dialog", ""),
        int(record.get("pid") or 0),
        record.get("told_at", ""),
    )


def ask_fields(ask: Ask) -> dict[str, str]:
    """The hash of a question that is opened."""
    return {
        "id": ask.id,
        "agent": ask.agent,
        "question": ask.question,
        "opened_at": ask.opened_at,
        "kind": ask.kind,
        "choices": json.dumps(ask.choices, ensure_ascii=False),
        "dialog": ask.dialog,
        "pid": str(ask.pid),
    }


def service_from(record: Mapping[str, str]) -> Service:
    """A service from the hash `services:<name>`."""
    return Service(
        record["name"],
        record["url"],
        int(record["port"]),
        record["health"],
        record.get("owner", ""),
        record.get("check", ""),
        record.get("reason", ""),
        record.get("claimed") == "1",
    )


def claim_from(text: str) -> Claim:
    """A claim from the hash `ports`."""
    holder, _, since = text.partition(" ")
    return Claim(holder, since)


def event_json(event: Event) -> str:
    """An event as JSON; it begins with its id, which the scripts fill in (see `lua/library.lua`)."""
    told = event.as_dict()
    return calls.encode(told | {"content": redact(event.content), "data": redacted(told["data"])})


def event_from(text: str | bytes, entry_id: str = "") -> Event:
    """An event from its JSON; `entry_id` for one that lay in the stream. Raises ValueError."""
    found = json.loads(text)
    return Event(
        type=EventType(found["type"]),
        session=found["session"],
        id=entry_id or found["id"],
        ts=found["ts"],
        agent=found["agent"],
        command=found["command"],
        level=found["level"],
        content=found["content"],
        data=found["data"],
    )


def queued_event(session: str, command: Command) -> Event:
    """What is told when a command was stored."""
    return Event(
        EventType.COMMAND_QUEUED,
        session,
        ts=command.timestamp,
        agent=command.target,
        command=command.id,
        content=f"{command.sender} → {command.target}: {calls.preview(command.message)[:_HEAD]}",
        data={"sender": command.sender, "priority": str(command.priority), "when": str(command.when)},
    )


def command_event(type_: EventType, session: str, ledger: Ledger, at: str, content: str = "", **data: Any) -> Event:
    """What is told when a command moved on; the level follows from the type."""
    return Event(
        type_,
        session,
        ts=at,
        agent=ledger.target,
        command=ledger.id,
        level=_LEVELS.get(type_, "info"),
        content=content,
        data={"sender": ledger.sender, **({"preview": ledger.preview[:_HEAD]} if ledger.preview else {}), **data},
    )


def told(event: Event) -> str:
    """What an event says in a log: of a command always from whom it goes to whom, and its first words where known."""
    sender, words = event.data.get("sender"), event.data.get("preview")
    if event.category != "command" or event.type is EventType.COMMAND_QUEUED or not sender:
        return event.content
    route = f"{sender} → {event.agent}"
    line = f"{route}: {words}" if words else route
    return f"{line} ({event.content})" if event.content else line


def held_event(session: str, agent: str, command_id: str, reason: str, at: str) -> Event:
    """What is told when an agent's queue stands still."""
    type_ = EventType.COMMAND_HELD
    return Event(type_, session, ts=at, agent=agent, command=command_id, level=_LEVELS[type_], content=reason)


def dropped_event(session: str, agent: str, command_id: str, at: str) -> Event:
    """What is told when a dead letter was dropped."""
    return Event(EventType.COMMAND_DROPPED, session, ts=at, agent=agent, command=command_id)


def asked_event(session: str, ask: Ask) -> Event:
    """What is told when a question was opened."""
    return Event(
        EventType.ASK_OPENED,
        session,
        ts=ask.opened_at,
        agent=ask.agent,
        content=ask.question,
        data={"ask": ask.id, "kind": ask.kind, "choices": list(ask.choices)},
    )


def answered_event(session: str, ask: Ask) -> Event:
    """What is told when a question was answered."""
    return Event(
        EventType.ASK_ANSWERED,
        session,
        ts=ask.answered_at,
        agent=ask.agent,
        content=ask.answer,
        data={"ask": ask.id, "kind": ask.kind, "question": ask.question},
    )


def finished_event(session: str, ledger: Ledger, outcome: Outcome, at: str) -> Event:
    """What is told when a command ended."""
    content = outcome.reason or (f"seen by {outcome.evidence}" if outcome.evidence else "")
    return command_event(
        FINISHED_EVENT[outcome.state],
        session,
        ledger,
        at,
        content,
        evidence=str(outcome.evidence) if outcome.evidence else None,
        reason=outcome.reason,
    )


def service_events(session: str, service: Service, at: str) -> tuple[Event, Event]:
    """What is told of a service with a new place, and of one with a new health."""
    placed = service_event(EventType.SERVICE_REGISTERED, session, service, at)
    return placed, service_event(EventType.SERVICE_HEALTH, session, service, at)


def service_event(type_: EventType, session: str, service: Service, at: str) -> Event:
    """What is told of a service."""
    what = service.health + (f": {service.reason}" if service.reason else "")
    data = {
        "service": service.name,
        "url": service.url,
        "port": service.port,
        "health": service.health,
        "reason": service.reason,
    }
    ails = type_ is EventType.SERVICE_HEALTH and service.health in ("unhealthy", "down")
    return Event(
        type_,
        session,
        ts=at,
        agent=service.owner,
        level="warning" if ails else "info",
        content=f"{service.name} {service.url or service.port or ''}".rstrip()
        + ("" if type_ is EventType.SERVICE_REMOVED else f" {what}"),
        data=data,
    )


def with_health(service: Service, health: str, reason: str, *, lost: bool = False) -> Service:
    """A service as it is after somebody looked at it; `lost`: without the place that is not its own any more."""
    seen = replace(service, health=health, reason=reason)
    return replace(seen, url="", port=0, claimed=False) if lost else seen


def report_event(session: str, name: str, *, failed: bool, text: str, at: str) -> Event:
    """What is told when an agent reports that it is done, or that it failed."""
    type_ = EventType.AGENT_FAILED if failed else EventType.AGENT_DONE
    return Event(type_, session, ts=at, agent=name, level=_LEVELS.get(type_, "info"), content=text)
