"""A chat recorded from Gemini CLI 0.61.0: what it says in the words of the other transcripts."""

from __future__ import annotations

import json

import pytest

from taco.chats import as_transcript, is_chat
from taco.transcript import LeftOver, Tokens, answers, contains, has_begun, last_assistant_text, left_over
from tests.support.paths import ROOT

KILLED = (ROOT / "fixtures" / "transcripts" / "gemini.jsonl").read_bytes()  # its process was, in its last turn
LINES = KILLED.splitlines(keepends=True)


def until(text: str) -> bytes:
    """The lines up to the last that holds this, but for those that tell all of it again."""
    last = max(at for at, line in enumerate(LINES) if text.encode() in line and b'"$set":{"messages"' not in line)
    return b"".join(LINES[: last + 1])


def test_every_record_is_known() -> None:
    records = [json.loads(line) for line in LINES]
    assert [each["sessionId"] for each in records if not is_chat(each)] == ["3b241101-e2bb-4255-8caf-4136c566a962"]


@pytest.mark.parametrize(
    "text",
    [
        "You are backend.",
        '[frontend → backend]: Ünïcode 日本語\nsecond line — "quoted" \\ back',
        "[mother → backend]: see @notes.txt",  # the CLI sends what is in the file as well
        "[tests → backend]: second in a tool",
        "<<wait 60>> cut off",
    ],
)
def test_finds_what_was_submitted(text: str) -> None:
    assert contains(KILLED, text)


@pytest.mark.parametrize("text", ["", "ack 1", "slept", "Running it.", "Request cancelled.", "one two"])
def test_does_not_find_what_no_person_said(text: str) -> None:
    assert not contains(KILLED, text)


def test_what_is_told_again_is_not_new() -> None:
    again = LINES.index(next(line for line in LINES[3:] if line.startswith(b'{"$set":{"messages"')))
    assert b"You are backend." in LINES[again]
    assert not contains(LINES[again], "You are backend.")


def test_a_conversation_begins_with_its_first_message() -> None:
    assert not has_begun(b"".join(LINES[:2]))
    assert has_begun(b"".join(LINES[:3]))


def test_the_last_answer() -> None:
    assert last_assistant_text(KILLED) == "ack 10"
    assert answers(KILLED)[:4] == ["ack 1", "ack 2", "ack 3", "Running it."]


def test_each_answer_is_paid_for_once() -> None:
    tokens = Tokens()
    for line in LINES:
        tokens.read(line)
    told = {json.loads(line)["id"] for line in LINES if line.startswith(b'{"id"') and b'"tokens"' in line}
    assert tokens.used == 1_042 * len(told)


@pytest.mark.parametrize(
    ("last", "cut_off"),
    [("ack 3", False), ('"status":"success"', True), ("API Error", False), ("Request cancelled.", False), ("}", True)],
)
def test_a_turn_that_was_cut_off_is_known(last: str, cut_off: bool) -> None:
    assert left_over(until(last)) == LeftOver(cut_off)


def test_a_tool_that_was_cancelled_ends_its_turn() -> None:
    record = {"type": "gemini", "id": "1", "content": "", "toolCalls": [{"status": "cancelled"}]}
    assert as_transcript(record)["message"]["stop_reason"] == "end_turn"


def test_a_conversation_whose_first_message_will_be_dropped_is_known() -> None:
    def told_again(*parts: str) -> bytes:
        first = {"type": "user", "content": [{"text": part} for part in parts]}
        return json.dumps({"$set": {"messages": [first, {"type": "gemini", "content": "ack"}]}}).encode() + b"\n"

    context, brief = "<session_context>\nThis is the Gemini CLI.", "You are backend."
    assert left_over(told_again(context, brief)) == LeftOver(forgets=True)
    assert left_over(told_again(context, brief) + b'{"$set":{"lastUpdated":"now"}}\n').forgets
    assert not left_over(told_again(context, brief) + told_again(context)).forgets
    assert not left_over(told_again(brief, "and more")).forgets
    assert not left_over(b'{"$set":{"messages":[]}}\n{"$set":{"messages":[3]}}\n{"$set":7}\n').forgets
