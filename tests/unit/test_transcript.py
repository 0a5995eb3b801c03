"""Transcripts recorded from Claude Code 2.1.197: what counts as our message having arrived."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taco.transcript import (
    LeftOver,
    Tokens,
    answers,
    contains,
    last_assistant_text,
    left_over,
    refusal,
    transcript_path,
)
from tests.support.paths import ROOT


def lines(name: str) -> bytes:
    return (ROOT / "fixtures" / "transcripts" / f"{name}.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("typed", "[mother → backend]: build the API"),
        ("typed", '[frontend → backend]: Ünïcode 日本語\nsecond line — "quoted" \\ back'),
        ("queued_streaming", "[frontend → backend]: queued while streaming"),
        ("queued_streaming", "[tests → backend]: also queued\nwith two lines"),
        ("queued_tool", "[frontend → backend]: queued in a tool"),
        ("interrupted", "[mother → backend]: <<wait 20>>"),
        ("error", "[mother → backend]: <<error 400>>"),
        ("pasted", "[mother → backend]: " + "long words " * 200 + "\n" + "\n".join(f"row {i}" for i in range(30))),
    ],
)
def test_finds_what_was_submitted(name: str, text: str) -> None:
    assert contains(lines(name), text)


@pytest.mark.parametrize("text", ["[frontend → backend]: taken back", "[tests → backend]: taken back too"])
def test_what_a_person_took_back_is_not_there(text: str) -> None:
    held = lines("taken_back")
    assert not contains(held, text)
    queued = b"\n".join(line for line in held.split(b"\n") if b"popAll" not in line)
    assert contains(queued, text)


@pytest.mark.parametrize(
    "text",
    ["", "[mother → backend]: build the AP", "build the API", "ack 1", "[frontend → backend]: queued in a tool"],
)
def test_does_not_find_what_was_not_said(text: str) -> None:
    assert not contains(lines("typed"), text)


def test_the_record_of_the_queue_alone_is_enough() -> None:
    first = next(line for line in lines("queued_tool").split(b"\n") if b"enqueue" in line)
    assert contains(first, "[frontend → backend]: queued in a tool")
    assert not contains(first.replace(b"enqueue", b"remove"), "[frontend → backend]: queued in a tool")


def test_white_space_and_normalisation_do_not_count() -> None:
    decomposed = '[frontend → backend]:  U\u0308ni\u0308code 日本語 second line — "quoted" \\ back\n'
    assert contains(lines("typed"), decomposed)


def test_half_lines_and_rubbish_are_passed_over() -> None:
    whole = lines("typed")
    text = '[frontend → backend]: Ünïcode 日本語\nsecond line — "quoted" \\ back'
    assert contains(whole[100:], text)
    assert contains(b"\xff\xfe{\n[1]\nnull\n" + whole, text)
    assert not contains(whole[: whole.index("Ünïcode".encode())], text)


def test_last_answer() -> None:
    assert last_assistant_text(lines("typed")) == "ack 2"
    assert last_assistant_text(lines("error")) == "API Error: 400 stub error"
    assert last_assistant_text(b"") == ""


def test_blocks_of_one_answer_are_joined() -> None:
    def line(number: str, text: str) -> bytes:
        message = {"id": number, "content": [{"type": "text", "text": text}]}
        return json.dumps({"type": "assistant", "message": message}).encode()

    said = b"\n".join([line("a", "old"), line("b", "one"), line("b", "two")])
    assert last_assistant_text(said) == "one\ntwo"


def test_every_answer_of_a_transcript_or_of_hooks() -> None:
    assert answers(lines("typed"))[-1] == last_assistant_text(lines("typed"))
    stop = {"hook_event_name": "Stop", "last_assistant_message": "one\ntwo"}
    assert answers(json.dumps(stop).encode()) == ["one\ntwo"]
    assert answers(json.dumps(stop, indent=2).encode()) == ["one\ntwo"]
    again = json.dumps({**stop, "last_assistant_message": "three"})
    assert answers(f"{json.dumps(stop)}\n{again}\n".encode()) == ["one\ntwo", "three"]


@pytest.mark.parametrize(
    "text", ['{"agents": [{"name": "assistant"}]}', 'the "assistant" said', '"assistant"' + "[" * 99_999]
)
def test_a_text_that_is_no_conversation_has_no_answers(text: str) -> None:
    assert answers(text.encode()) == []


def test_path() -> None:
    found = transcript_path(Path("/c"), Path("/tmp/demo/my.proj_1"), "id")
    assert found == Path("/c/projects/-tmp-demo-my-proj-1/id.jsonl")


@pytest.mark.parametrize("name", ["typed", "queued_streaming", "queued_tool", "error", "pasted"])
def test_a_turn_that_ended_leaves_nothing_over(name: str) -> None:
    assert left_over(lines(name)) == LeftOver()


def test_a_turn_that_was_cut_off_is_open() -> None:
    asked, called, tool, queued, removed, result, attachment, *_ = filter(None, lines("queued_tool").split(b"\n"))
    text = "[frontend → backend]: queued in a tool"
    so_far: list[bytes] = []
    for line, left in (
        (asked, LeftOver(True)),
        (called, LeftOver(True)),
        (tool, LeftOver(True)),
        (queued, LeftOver(True, (text,))),
        (removed, LeftOver(True)),
        (result, LeftOver(True)),
        (attachment, LeftOver(True)),
    ):
        so_far.append(line)
        assert left_over(b"\n".join(so_far)) == left
    assert left_over(lines("taken_back")) == LeftOver(True)


def test_what_was_queued_and_never_sent_is_left_over_in_order() -> None:
    ours = "[frontend → backend]: queued while streaming", "[tests → backend]: also queued\nwith two lines"
    held = lines("queued_streaming").split(b"\n")
    unsent = b"\n".join(line for line in held[:5] if b"dequeue" not in line)
    assert left_over(unsent).unsent == ours
    first_gone = b"\n".join([unsent, next(line for line in held if b"dequeue" in line)])
    assert left_over(first_gone).unsent == ours[1:]


@pytest.mark.parametrize(
    ("text", "more", "is_open"),
    [
        ("go on", {}, True),
        ("<command-name>/model</command-name>", {}, False),
        ("[Request interrupted by user]", {}, False),
        ("[Request interrupted by user for tool use]", {}, False),
        ("a reminder", {"isMeta": True}, False),
        ("the work of a helper", {"isSidechain": True}, False),
        ("the story so far", {"isCompactSummary": True}, False),
    ],
)
def test_what_opens_a_turn(text: str, more: dict[str, bool], is_open: bool) -> None:
    record = {"type": "user", "message": {"content": text}, **more}
    assert left_over(lines("typed") + json.dumps(record).encode()).cut_off is is_open


def test_what_the_cli_queues_for_itself_is_not_told() -> None:
    record = {
        "type": "queue-operation",
        "operation": "enqueue",
        "content": "<task-notification>done</task-notification>",
    }
    assert left_over(json.dumps(record).encode()) == LeftOver()


def used(identity: str, **usage: int) -> bytes:
    """A line of an answer that tells what it cost."""
    return json.dumps({"type": "assistant", "message": {"id": identity, "usage": usage}}).encode() + b"\n"


def test_tokens_are_counted_once_for_each_message() -> None:
    tokens = Tokens()
    tokens.read(used("a", input_tokens=10, output_tokens=1) + b'{"type": "user"}\nrubbish "usage"\n')
    tokens.read(used("a", input_tokens=10, output_tokens=5))  # another block of the same answer
    assert tokens.used == 15
    line = used("b", input_tokens=1, cache_creation_input_tokens=200, cache_read_input_tokens=9_000, output_tokens=3)
    size = tokens.size
    for at in range(len(line)):  # read while it is being written
        tokens.read(line[at : at + 1])
    assert (tokens.used, tokens.size) == (15 + 204, size + len(line))


def test_a_captured_conversation_has_its_cost() -> None:
    tokens = Tokens()
    tokens.read(lines("typed"))
    assert tokens.used == 2 * (1_200 + 42)


@pytest.mark.parametrize("reason", ["not on a Friday", "two\nlines\n\nOriginal prompt: of it"])
def test_a_refusal_names_its_hook_and_its_reason(reason: str) -> None:
    content = f"UserPromptSubmit operation blocked by hook:\n{reason}\n\n\nOriginal prompt: [a → b]: hello\n there"
    line = json.dumps({"type": "system", "subtype": "informational", "content": content}).encode()
    assert refusal(line, "[a → b]: hello there") == f"a hook refused it (UserPromptSubmit): {' '.join(reason.split())}"
    assert refusal(line, "[a → b]: hello") == ""
    assert refusal(line.replace(b"informational", b"other"), "[a → b]: hello there") == ""
    assert refusal(b"", "[a → b]: hello there") == refusal(line, "") == ""
