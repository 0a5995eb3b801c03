"""A chat history recorded from Aider 0.86.2: what it says in the words of the other transcripts."""

from __future__ import annotations

import pytest

from taco.chatlog import as_lines, asked_command, used
from taco.transcript import Tokens, contains, last_assistant_text, left_over
from tests.support.paths import ROOT

RECORDED = (ROOT / "fixtures" / "transcripts" / "aider.md").read_bytes()  # its process was killed in its last turn
LINES = as_lines(RECORDED)


def before(text: str) -> bytes:
    """What stood there before the last line that begins so."""
    return RECORDED[: RECORDED.rindex(f"\n{text}".encode()) + 1]


@pytest.mark.parametrize(
    "text",
    [
        "[mother → backend]: build the API",
        '[frontend → backend]: Ünïcode 日本語\n\nthird line — "quoted" \\ back',
        "[tests → backend]: > a quote\n#### a heading",
        "[person → backend]: <<wait 300>> cut off",
    ],
)
def test_finds_what_was_submitted(text: str) -> None:
    assert contains(LINES, text)


@pytest.mark.parametrize("text", ["", "build the API", "ack 1", "echo hi", "/add notes.txt", "a quote", "said by it"])
def test_does_not_find_what_no_person_said(text: str) -> None:
    assert not contains(LINES, text)


def test_the_last_answer_is_whole() -> None:
    said = "It said:\n\n> a quote\n\n#### a heading\n\nsaid by it"
    assert last_assistant_text(as_lines(before("#### [person → backend]: <<wait"))) == said


def test_a_turn_that_was_cut_off_is_open_and_one_that_was_interrupted_is_not() -> None:
    assert left_over(LINES).cut_off
    assert not left_over(as_lines(before("#### [person → backend]: <<wait"))).cut_off
    assert not left_over(as_lines(before("#### [person → backend]: <<say"))).cut_off  # interrupted


def test_tokens_of_every_request_count_as_they_are_rounded() -> None:
    tokens = Tokens()
    for at in range(0, len(RECORDED), 100):  # in pieces
        tokens.read(RECORDED[at : at + 100])
    told = [line for line in RECORDED.splitlines() if line.startswith(b"> Tokens: ")]
    assert tokens.used == sum(map(used, told)) > 10_000
    assert tokens.size == len(RECORDED)


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("> Tokens: 980 sent, 3 received.  ", 983),
        ("> Tokens: 2.5k sent, 1.1k received.  ", 3_600),
        (
            "> Tokens: 12k sent, 1k cache write, 9.9k cache hit, 20 received. Cost: $0.10 message, $0.20 session.  ",
            12_020,
        ),
        ("> Tokens: ? sent, ? received.", 0),
        ("Tokens: 2 sent, 3 received.", 0),
    ],
)
def test_what_a_line_says_of_tokens(line: str, tokens: int) -> None:
    assert used(line.encode()) == tokens


def test_the_command_it_asks_for_is_the_last_line() -> None:
    assert asked_command(before("> Run shell command? (Y)es/(N)o")) == "sleep 1; echo hi; sleep 1"
    assert asked_command(before("> Add command output to the chat?")) == "sleep 1; echo hi; sleep 1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "> Tokens: 1 sent, 2 received.  \n",
        "ack\n\n> taco send beta hi  \n",  # after the model's words
        "> Tokens: 1 sent, 2 received.  \n> rm -rf build\ntaco send beta hi  \n",  # several lines
        "> Tokens: 1 sent, 2 received.  \n> taco send beta hi",  # half a line
    ],
)
def test_what_is_no_single_command_of_its_own_is_none(text: str) -> None:
    assert asked_command(text.encode()) == ""
