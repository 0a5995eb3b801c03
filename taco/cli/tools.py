"""The verbs of agents as tools: what each takes, does and answers. What serves them to a program is `mcp_server`.

Every tool calls what its verb calls; only the words come in, and the answer goes out, as values. There is no option
for a file: a tool may run outside of its caller's sandbox, and must read nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from taco.cli import ask, place, reporting, service, status
from taco.cli.body import checked
from taco.cli.caller import EVERYONE, Caller, check_allowed
from taco.cli.sending import Sending, dispatch
from taco.cli.waiting import Waiting
from taco.errors import Exit, NotFoundError, UsageError

STATES = {Exit.STILL_WAITING: "waiting", Exit.UNCONFIRMED: "unconfirmed", Exit.NOT_DELIVERED: "not_delivered"}
Answer = dict[str, Any]
Name = Annotated[str, Field(description="Its name: a-z, 0-9, _ . and -, up to 64 characters.")]
Health = Annotated[str, Field(description="What shows that it is healthy: tcp, or a url on this machine.")]


class _Given(BaseModel):
    """What a tool is called with."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class _Addressed(_Given):
    target: str = Field(description="An agent's name or window number, mother, person, or all.")


class Broadcast(_Given):
    """What `broadcast` takes."""

    text: str = Field(description="The message; several lines are fine.")
    priority: Literal["high", "normal", "low"] = Field("normal", description="high overtakes normal overtakes low.")
    when: Literal["idle", "now"] = Field("idle", description="now: also while the other works.")
    wait_s: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Wait so long for the delivery; an agent 100 s at most."
    )
    id: str | None = Field(None, description="Your own id: sent twice under it is sent once.")


class Send(Broadcast, _Addressed):
    """What `send` takes: the target first."""


class Question(_Given):
    """What `ask` takes."""

    question: str = Field(description="What the person is asked.")
    choices: list[str] = Field([], description="The answers there are, when they are few.")
    wait_s: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="How long to wait for the answer; 0: not at all."
    )


class Inbox(_Given):
    """What `inbox` takes."""

    count: int = Field(20, ge=1, le=500, description="How many messages.")


class Done(_Given):
    """What `done` takes."""

    summary: str = Field(description="What there is, where, how to use and test it, what is missing.")


class Fail(_Given):
    """What `fail` takes."""

    reason: str = Field(description="Why you cannot go on, and what you tried.")


class Nothing(_Given):
    """What `status` takes."""


class Offered(_Given):
    """What `service_register` takes."""

    name: Name
    port: int | None = Field(None, ge=1, le=65_535, description="Its port; leave it out for one that nobody else has.")
    url: str = Field("", description="Where it is, when that is not http://localhost:PORT.")
    health: Health = ""


class Wanted(_Given):
    """What `service_url` takes."""

    name: Name


class Awaited(Wanted):
    """What `service_wait` takes."""

    timeout_s: float = Field(60.0, ge=0, allow_inf_nan=False, description="How long to wait; an agent 100 s at most.")
    health: Health = ""


class Call(NamedTuple):
    """Who calls a tool, and for which session (None: the caller's own)."""

    who: Caller
    session: str | None = None
    is_read: Callable[[], bool] = lambda: True  # whether somebody still waits for the answer

    @property
    def place(self) -> place.Place:
        """The session that is meant."""
        return place.find(self.session, self.who)


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: the words of its verb, what it is for, what it takes, and what it does."""

    verb: str
    help: str
    takes: type[_Given]
    run: Callable[[Call, Any], Answer]
    reads: bool = False  # it changes nothing
    agents_only: bool = False

    @property
    def name(self) -> str:
        """What it is called: `service_register`."""
        return self.verb.replace(" ", "_")

    def schema(self) -> dict[str, Any]:
        """What it takes, as JSON Schema."""
        found = self.takes.model_json_schema()
        found.pop("description", None)
        return _untitled(found)


def call(tool: Tool, call_: Call, given: Mapping[str, Any]) -> Answer:
    """What the tool answers: `state` and what belongs to it; raises TacoError as its verb does."""
    check_allowed(call_.who, *tool.verb.split())
    try:
        values = tool.takes.model_validate(dict(given))
    except ValidationError as error:
        known = ", ".join(tool.takes.model_fields) or "nothing"
        raise UsageError(f"{tool.name}: {_problem(error)}", hint=f"it takes: {known}") from None
    return tool.run(call_, values)


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    what = {"missing": "is missing", "extra_forbidden": "is unknown"}.get(first["type"], "")
    return f"{where} {what}" if what else f"{where}: {first['msg'].lower()} (is {str(first['input'])[:80]!r})"


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without pydantic's titles and null, which cost tokens; what may be left out is not required."""
    kept = {key: value for key, value in schema.items() if key != "title" and value is not None}
    for one in kept.pop("anyOf", ()):
        kept |= one if one.get("type") != "null" else {}
    if isinstance(fields := kept.get("properties"), dict):
        kept["properties"] = {name: _untitled(value) for name, value in fields.items()}
    return kept


def _send(call_: Call, given: Send) -> Answer:
    return _dispatch(call_, given, given.target)


def _broadcast(call_: Call, given: Broadcast) -> Answer:
    return _dispatch(call_, given, EVERYONE)


def _dispatch(call_: Call, given: Broadcast, target: str) -> Answer:
    sending = Sending(
        target,
        priority=given.priority,
        when=given.when,
        wait_s=given.wait_s,
        command_id=given.id,
        session=call_.session,
        body=given.text,
    )
    sent = dispatch(sending, call_.who)
    notes = [*sent.notes, *_trouble(sent.place, sent.stored.heartbeat_age_s)]
    state = "queued"
    if given.wait_s is not None and not sent.stored.left:
        ended = list(Waiting(sent.place, call_.who, given.wait_s).ends(sent.ids, many=sent.many))
        state = STATES.get(max(each.code for each in ended), "delivered")
        notes += [each.said for each in ended]
        ledgers = [each.ledger for each in ended]
    else:
        ledgers = sent.ledgers()
        if all(each.state == "delivered" for each in ledgers):
            state = "delivered"
        elif sent.stored.left and given.wait_s is not None:
            state = "waiting"
    messages = [{key: value for key, value in each.public().items() if value is not None} for each in ledgers]
    return _answer(state, notes, messages=messages)


def _ask(call_: Call, given: Question) -> Answer:
    ask.check_asks(call_.who)
    question = checked(given.question, what="question", instead="say it shorter")
    asked = ask.prepare(call_.who, question, given.choices)
    here = call_.place
    if how := ask.leave(here, asked):
        return _answer("waiting", [ask.later(how)], id=asked.id)
    wait_s = ask.block_s() if given.wait_s is None else given.wait_s
    answered = ask.put(here, asked, call_.who.wait_s(wait_s), call_.is_read)
    if answered is None:
        return _answer("waiting", [ask.later(ask.ASKED)], id=asked.id)
    return _answer("answered", [], id=asked.id, answer=answered.answer)


def _inbox(call_: Call, given: Inbox) -> Answer:
    return ask.inbox_json(call_.place, call_.who, given.count)


def _done(call_: Call, given: Done) -> Answer:
    return _report(call_, given.summary, failed=False)


def _fail(call_: Call, given: Fail) -> Answer:
    return _report(call_, given.reason, failed=True)


def _report(call_: Call, text: str, *, failed: bool) -> Answer:
    found = reporting.record(call_.who, failed=failed, session=call_.session, body=text)
    notes = [found.said(), *([reporting.OUTBOX] if found.left else [])]
    notes += _trouble(found.place, found.heartbeat_age_s)
    return _answer("failed" if failed else "done", notes, agent=found.agent, reported_at=found.at)


def _status(call_: Call, given: Nothing) -> Answer:
    here = call_.place
    found, seen = status.read(here)
    trouble = status.look_after(here, found, seen)
    return found | ({"notes": [trouble]} if trouble else {})


def _register(call_: Call, given: Offered) -> Answer:
    port = given.port if given.port or given.url else 0
    found, notes = service.offer(call_.who, call_.place, given.name, port=port, url=given.url, health=given.health)
    return _answer("registered", notes, **asdict(found))


def _url(call_: Call, given: Wanted) -> Answer:
    return _answer("registered", [], **asdict(service.locate(call_.place, given.name)))


def _wait(call_: Call, given: Awaited) -> Answer:
    here = call_.place
    found, late = service.await_health(call_.who, here, given.name, timeout_s=given.timeout_s, health=given.health)
    if late:
        return _answer("waiting", [late], **service.gone_json(given.name, found))
    assert found is not None
    return _answer("healthy", [], **asdict(found))


def _trouble(here: place.Place, heartbeat_age_s: float | None) -> list[str]:
    found = place.trouble(here, heartbeat_age_s)
    return [found] if found else []


def _answer(state: str, notes: Sequence[str], **values: Any) -> Answer:
    return {"state": state, **values, **({"notes": list(notes)} if notes else {})}


TOOLS = (
    Tool(
        "send",
        "Send a message to one agent, to mother, to the person, or to all. It is delivered when the other can take"
        " it: send it once and go on working; an answer comes as a message of its own.",
        Send,
        _send,
    ),
    Tool(
        "broadcast", "Send a message to every agent but yourself: only what everybody must know.", Broadcast, _broadcast
    ),
    Tool(
        "ask",
        "Ask the person a question. state answered: here is the answer; waiting: it will come as a message, go on"
        " with what does not need it.",
        Question,
        _ask,
        agents_only=True,
    ),
    Tool("inbox", "Your messages once more, oldest first.", Inbox, _inbox, reads=True),
    Tool(
        "done",
        "Report your work as done, once it is there and its tests pass. The summary goes to those who build on it.",
        Done,
        _done,
        agents_only=True,
    ),
    Tool("fail", "Report that you cannot go on and nobody can help, with the reason.", Fail, _fail, agents_only=True),
    Tool("status", "The session: who works, waits or is done, queues and services.", Nothing, _status, reads=True),
    Tool(
        "service register",
        "Tell the team where a server of yours runs, before you start it. The answer has its url, whose port nobody"
        " else has.",
        Offered,
        _register,
    ),
    Tool("service url", "Where the service of somebody else is.", Wanted, _url, reads=True),
    Tool(
        "service wait",
        "Wait until a service is registered and healthy. waiting: not in time.",
        Awaited,
        _wait,
        reads=True,
    ),
)


def offered_to(who: Caller) -> tuple[Tool, ...]:
    """The tools of this caller: questions and reports are agents'."""
    return tuple(tool for tool in TOOLS if who.is_agent or not tool.agents_only)


def named(name: str, who: Caller) -> Tool:
    """The tool of that name; raises NotFoundError that lists those there are."""
    known = {tool.name: tool for tool in offered_to(who)}
    if name not in known:
        raise NotFoundError(f"no tool {name!r}", hint=f"tools: {', '.join(known)}")
    return known[name]
