"""The plain words say exactly what the models would."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taco import calls, models, records
from taco.models import Command, Event, EventType, Priority, When

TIMES = st.floats(min_value=0, max_value=4e9, allow_nan=False)


@given(TIMES)
def test_times_are_the_models(at: float) -> None:
    assert abs(models.from_iso(calls.iso(at)) - models.from_iso(models.iso(at))) < 0.0011
    assert len(calls.iso(at)) == len(models.iso(at))


@given(st.text(), st.sampled_from(Priority), st.sampled_from(When))
def test_a_queued_command_is_told_as_its_event(message: str, priority: Priority, when: When) -> None:
    command = Command("c1", "person", "api", message, priority, when, "2026-01-01T00:00:00.000Z")
    told = calls.enqueue_args("shop", command, "later")
    assert told[0] == records.event_json(records.queued_event("shop", command))
    assert told[1:] == (
        "c1",
        "tmux_message",
        "person",
        "api",
        message,
        str(priority),
        str(when),
        "2026-01-01T00:00:00.000Z",
        0,
        message[:200],
    )


def test_a_command_without_a_time_gets_the_present() -> None:
    told = calls.enqueue_args("shop", Command("c1", "person", "api", "x"), "now")
    assert (told[8], json.loads(str(told[0]))["ts"]) == ("now", "now")


@pytest.mark.parametrize("failed", [True, False])
def test_a_report_is_told_as_its_event(failed: bool) -> None:
    told = calls.report_args("shop", "api", failed=failed, text="all of it", at="now")
    assert told[0] == records.event_json(records.report_event("shop", "api", failed=failed, text="all of it", at="now"))
    status = models.AgentStatus.FAILED if failed else models.AgentStatus.DONE
    assert told[1:] == ("api", str(status), *(("", "all of it") if failed else ("all of it", "")), "now")


def test_an_event_is_the_models() -> None:
    event = Event(EventType.PERSON_MESSAGE, "shop", ts="now", agent="api", command="c1", content="hi", data={"a": 1})
    words = calls.event("person.message", "shop", "now", "hi", agent="api", command="c1", data={"a": 1})
    assert words == records.event_json(event)
