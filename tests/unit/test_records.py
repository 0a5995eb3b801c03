"""Values come back from Redis' hashes as they went in."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taco import calls, records, redis_url
from taco.errors import ConflictError, NotFoundError, QueueFullError, UsageError
from taco.models import (
    Agent,
    AgentState,
    AgentStatus,
    Ask,
    Command,
    CommandState,
    Event,
    EventType,
    Evidence,
    Incarnation,
    Ledger,
    Level,
    Outcome,
    Priority,
    Service,
    When,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20)
times = st.integers(0, 4_000_000_000_000).map(lambda ms: ms / 1000)
agents = st.builds(
    Agent,
    window=st.integers(0, 500),
    name=names,
    role=texts,
    status=st.sampled_from(AgentStatus),
    depends_on=st.lists(names).map(tuple),
    wait_for=st.lists(names).map(tuple),
    notifies=st.lists(names).map(tuple),
    pid=st.integers(0, 2**22),
    restarts=st.integers(0, 99),
    paused=st.booleans(),
    yolo=st.booleans(),
    done=texts,
    state=st.builds(AgentState, level=st.sampled_from(Level), detail=texts, since=times, source=names),
)
LEDGER = Ledger("c1", "person", "be", Priority.NORMAL, When.IDLE, CommandState.QUEUED)


@given(agents)
def test_an_agent_survives(agent: Agent) -> None:
    record = records.agent_fields(agent)
    assert all(isinstance(value, str) for value in record.values())
    assert records.agent_from(record) == agent


def test_every_field_of_an_agent_is_kept() -> None:
    kept = records.agent_fields(Agent(3, "be"))
    assert {field.name for field in fields(Agent)} <= kept.keys()
    assert kept["window"] == "3"
    assert kept["since"] == ""


def test_an_agent_of_another_version_is_read() -> None:
    assert records.agent_from({"window": "3", "name": "be", "mood": "good"}) == Agent(3, "be")


@given(st.builds(Command, id=names, sender=names, target=names, message=texts, priority=st.sampled_from(Priority)))
def test_a_command_survives(command: Command) -> None:
    entry = {field.name: str(getattr(command, field.name)) for field in fields(Command)}
    assert records.command_from(entry) == command


def test_a_ledger_is_read_with_all_it_has() -> None:
    found = {
        "id": "c1",
        "sender": "person",
        "target": "be",
        "priority": "high",
        "when": "now",
        "state": "entered",
        "attempts": "2",
        "enters": "1",
        "hold": "busy",
        "queued_at": "2026-01-01T00:00:00.000Z",
        "intent": "1:2:%3:4",
        "transcript_mark": "17",
        "preview": "do it",
        "digest": "not shown",
    }
    ledger = records.ledger_from(found)
    assert ledger.intent == Incarnation(1, 2, "%3", 4)
    assert (ledger.state, ledger.priority, ledger.when) == (CommandState.ENTERED, Priority.HIGH, When.NOW)
    assert (ledger.attempts, ledger.enters, ledger.transcript_mark) == (2, 1, 17)
    assert ledger.evidence is None


def test_a_fresh_ledger_has_no_evidence_and_no_mark() -> None:
    found = {"id": "c1", "sender": "person", "target": "be", "priority": "normal", "when": "idle", "state": "queued"}
    assert records.ledger_from(found) == LEDGER


@given(texts, texts)
def test_an_event_survives_and_begins_with_its_id(content: str, value: str) -> None:
    event = Event(EventType.AGENT_DONE, "s", ts="t", agent="be", content=content, data={"x": value, "n": 1})
    text = records.event_json(event)
    assert text.startswith('{"id":""')
    assert records.event_from(text) == event
    assert records.event_from(text, "1-0").id == "1-0"


def test_what_is_told_of_an_end() -> None:
    dead = records.finished_event("s", LEDGER, Outcome(CommandState.DEAD, reason="gone"), "t")
    assert (dead.type, dead.level, dead.content) == (EventType.COMMAND_DEAD, "error", "gone")
    good = records.finished_event("s", LEDGER, Outcome(CommandState.DELIVERED, Evidence.HOOK), "t")
    assert (good.type, good.level) == (EventType.COMMAND_DELIVERED, "info")
    assert good.data["evidence"] == "hook"
    assert (good.data["sender"], records.told(good)) == ("person", "person → be (seen by hook)")
    assert json.loads(records.event_json(good))["agent"] == "be"


def test_questions_and_services() -> None:
    record = {"id": "a1", "agent": "be", "question": "which?", "opened_at": "t"}
    assert records.ask_from(record) == Ask("a1", "be", "which?", "t")
    service = {"name": "api", "url": "http://x", "port": "80", "health": "ok", "owner": "be"}
    assert records.service_from(service) == Service("api", "http://x", 80, "ok", "be")


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ("conflict", ConflictError, "c1"),
        ("gone", NotFoundError, "be"),
        ("queue_full 7", QueueFullError, "be is full (7"),
        ("sender_full 7", QueueFullError, "person has 7"),
    ],
)
def test_refusals_name_what_they_are_about(answer: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says.replace("(", r"\(")):
        calls.enqueue_answer(Command("c1", "person", "be", "x"), answer)


def test_a_body_has_a_limit_in_bytes() -> None:
    calls.check_body("x" * calls.MAX_BODY)
    with pytest.raises(UsageError):
        calls.check_body("x" * (calls.MAX_BODY + 1))
    with pytest.raises(UsageError):
        calls.check_body("€" * (calls.MAX_BODY // 3 + 1))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("unix:///tmp/a/redis.sock?db=0", redis_url.Address(path="/tmp/a/redis.sock")),
        ("unix:///tmp/a%20b.sock?db=3", redis_url.Address(path="/tmp/a b.sock", db=3)),
        ("redis://localhost", redis_url.Address(host="localhost")),
        ("redis://me:p%40ss@h.example:7000/2", redis_url.Address("", "h.example", 7000, 2, "me", "p@ss")),
        ("redis://:secret@h", redis_url.Address(host="h", password="secret")),
        ("redis://[::1]:6380/0", redis_url.Address(host="::1", port=6380)),
    ],
)
def test_addresses(url: str, address: redis_url.Address) -> None:
    assert redis_url.parse(url) == address


@pytest.mark.parametrize(
    "url",
    ["", "localhost", "http://x", "rediss://x", "redis://h:port/0", "redis://h/x", "redis://h:99999", "redis://h:-1"],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError):
        redis_url.parse(url)


def test_login() -> None:
    address = redis_url.parse("redis://me:pw@h/4")
    assert address.login() == [("AUTH", "me", "pw"), ("SELECT", "4")]
    assert redis_url.parse("redis://h").login() == []
