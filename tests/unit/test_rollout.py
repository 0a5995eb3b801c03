"""A rollout recorded from Codex 0.169.0: what it says in the words of the other transcripts."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from taco.rollout import as_transcript, silent, turn
from taco.transcript import LeftOver, Tokens, contains, last_assistant_text, left_over, said_at
from tests.support.paths import ROOT

KILLED = (ROOT / "fixtures" / "transcripts" / "codex.jsonl").read_bytes()  # its process was, in its last turn
RECORDS = [json.loads(line) for line in KILLED.splitlines()]
REFUSED = (ROOT / "fixtures" / "transcripts" / "codex_refused.jsonl").read_bytes()  # the first of two prompts was


def until(kind: str) -> bytes:
    """The lines up to the last event of this kind."""
    last = max(at for at, record in enumerate(RECORDS) if record["payload"].get("type") == kind)
    return b"\n".join(KILLED.splitlines()[: last + 1])


@pytest.mark.parametrize(
    "text",
    [
        "[mother → backend]: build the API",
        '[frontend → backend]: Ünïcode 日本語\nsecond line — "quoted" \\ back',
        "[tests → backend]: in a tool",
        "<<wait 30>> cut off",
    ],
)
def test_finds_what_was_submitted(text: str) -> None:
    assert contains(KILLED, text)


@pytest.mark.parametrize("text", ["", "build the API", "ack 1", "slept", "<turn_aborted>", "Running it."])
def test_does_not_find_what_no_person_said(text: str) -> None:
    assert not contains(KILLED, text)


def test_what_the_cli_says_in_the_persons_name_is_not_theirs() -> None:
    said = [record for record in map(as_transcript, RECORDS) if record.get("type") == "user"]
    assert [str(each["message"]["content"])[:21] for each in said if each["isMeta"]] == [
        "<environment_context>",
        "<turn_aborted>\nThe us",
    ]


def test_the_last_answer_and_when_it_was_given() -> None:
    assert last_assistant_text(until("task_complete")).startswith("The tool said: Chunk ID")
    answered = next(each for each in RECORDS if each["payload"].get("role") == "assistant")
    assert said_at(KILLED, "ack 1") == datetime.fromisoformat(answered["timestamp"]).timestamp()


def test_tokens_read_from_the_cache_do_not_count() -> None:
    tokens = Tokens()
    for start in range(0, len(KILLED), 1000):
        tokens.read(KILLED[start : start + 1000])
    answers = sum(record["type"] == "token_usage_record" for record in RECORDS)
    assert (answers, tokens.used) == (4, 4 * (1200 - 200 + 42))


def test_what_a_process_left_undone() -> None:
    assert left_over(KILLED) == LeftOver(cut_off=True)
    assert left_over(until("turn_aborted")) == LeftOver()
    assert left_over(until("task_complete")) == LeftOver()


def test_whether_a_turn_runs() -> None:
    assert [found[0] for kind in ("task_started", "turn_aborted", "task_complete") if (found := turn(until(kind)))] == [
        True,
        False,
        False,
    ]
    started = max(each["timestamp"] for each in RECORDS if each["payload"].get("type") == "task_started")
    assert turn(KILLED) == (True, datetime.fromisoformat(started).timestamp())
    assert turn(KILLED + b'{"type":"event_msg","payload":{"type":"task_comp') == turn(KILLED)
    assert turn(b"") is None


def test_a_turn_in_which_nothing_was_said_is_that_of_a_refused_prompt() -> None:
    first, second = [
        (record["payload"]["turn_id"], datetime.fromisoformat(record["timestamp"]).timestamp())
        for record in map(json.loads, REFUSED.splitlines())
        if record["payload"].get("type") == "task_complete"
    ]
    assert silent(REFUSED, first[0]) == first[1]
    assert silent(REFUSED, second[0]) is None
    assert silent(REFUSED, "another") is None
    lines = REFUSED.split(b"\n")
    ends = next(at for at, line in enumerate(lines) if b'"task_complete"' in line)
    assert silent(b"\n".join(lines[:ends]), first[0]) is None  # it runs
    assert silent(b"\n".join(lines[1:]), first[0]) is None  # it began before
    aborted = lines[ends].replace(b"task_complete", b"turn_aborted")
    assert silent(b"\n".join([*lines[:ends], aborted]), first[0]) is None  # the person interrupted it


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"type": "message"}, {"type": "message", "role": "user"}])
def test_a_record_of_another_shape_says_nothing(payload: object) -> None:
    for kind in ("response_item", "event_msg", "token_usage_record", None):
        line = json.dumps({"type": kind, "payload": payload}).encode()
        assert not contains(line, "x")
        assert turn(line) is None
        assert silent(line, "x") is None
