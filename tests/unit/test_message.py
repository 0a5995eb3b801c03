"""What is typed for a message, and how it is recognised again."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taco.message import (
    COLLAPSED_FROM,
    PREVIEW,
    Match,
    compose,
    literal,
    match,
    pointer,
    preview,
    same,
    sanitise,
    settle_ms,
    squash,
)
from taco.models import Command

texts = st.text(max_size=200) | st.text(
    st.sampled_from("ab \n\r\t\\\x1b\x07\x00e\u0301\u2028\u200d👨👩👧🌮❤\ufe0f→漢"), max_size=60
)


def command(message: str) -> Command:
    return Command("c1", "backend", "frontend", message)


# Sanitising


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a\r\nb\rc\u2028d\u2029e", "a\nb\nc\nd\ne"),
        ("a\tb", "a    b"),
        ("red \x1b[31mtext\x1b[0m", "red [31mtext[0m"),
        ("\x1b[200~paste\x1b[201~", "[200~paste[201~"),
        ("bell\x07 null\x00 delete\x7f c1\x9b nel\x85", "bell null delete c1 nel"),
        ("e\u0301", "é"),
        ("half \ud83c a pair", "half  a pair"),
        ("kept: \u00a0 \u200b 👨\u200d👩\u200d👧", "kept: \u00a0 \u200b 👨\u200d👩\u200d👧"),
    ],
)
def test_what_no_composer_may_get_goes(text: str, wanted: str) -> None:
    assert sanitise(text) == wanted


@given(texts)
def test_a_sanitised_text_is_clean_and_stays_it(text: str) -> None:
    clean = sanitise(text)
    assert sanitise(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert clean.encode().decode() == clean
    assert not any(unicodedata.category(each) in ("Cc", "Cs") for each in clean.replace("\n", ""))


@given(texts)
def test_with_a_header_the_text_begins_and_ends_harmlessly(text: str) -> None:
    typed = compose(command(text), header=True)
    assert typed.startswith("[backend → frontend]:")
    assert not typed.endswith(("\\", "\n", " "))


@given(texts)
def test_without_a_header_the_text_is_the_message(text: str) -> None:
    assert compose(command(text), header=False) == sanitise(text)


def test_a_pointer_is_one_short_line() -> None:
    line = pointer(command("x" * 20_000), "/tmp/bodies/c1.txt", 20_022)
    assert line == "[backend → frontend]: The message is long (20,022 bytes): read it from /tmp/bodies/c1.txt"


@given(texts)
def test_a_preview_is_one_line(text: str) -> None:
    line = preview(text)
    assert "\n" not in line
    assert len(line) <= PREVIEW


# Recognising


@given(texts, st.integers(3, 30))
def test_a_text_is_the_same_however_it_is_wrapped(text: str, width: int) -> None:
    clean = sanitise(text)
    wrapped = "\n  ".join(clean[at : at + width] for at in range(0, len(clean), width)) if clean else ""
    assert same(clean, unicodedata.normalize("NFD", wrapped))


def test_what_is_squashed_has_no_white_space() -> None:
    assert squash(" a\u00a0b\u3000c\n\td ") == "abcd"


@pytest.mark.parametrize(
    ("draft", "found"),
    [
        ("", Match.EMPTY),
        ("  \n ", Match.EMPTY),
        ("[a → b]: deploy now", Match.EXACT),
        ("[a → b]: deploy\n  now", Match.EXACT),
        ("[a → b]: deploy now\n", Match.EXACT),  # a fast Enter became a line break
        ("[a → b]: dep", Match.PARTIAL),
        ("[a → b]: deploy now NOT YET", Match.FOREIGN),
        ("no [a → b]: deploy now", Match.FOREIGN),
        ("my draft", Match.FOREIGN),
        ("[a → b]: deploy now now", Match.FOREIGN),
        ("deploy now", Match.FOREIGN),
    ],
)
def test_how_a_draft_relates_to_ours(draft: str, found: Match) -> None:
    assert match(draft, "[a → b]: deploy now") is found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("short", Match.FOREIGN),
        ("two\nlines", Match.PLACEHOLDER),
        ("x" * COLLAPSED_FROM, Match.PLACEHOLDER),
        ("x" * (COLLAPSED_FROM - 1), Match.FOREIGN),
    ],
)
def test_a_placeholder_is_ours_only_if_ours_collapses(text: str, found: Match) -> None:
    assert match("[Pasted text #1 +3 lines]", text, placeholder=True) is found


FAMILY = "👨\u200d👩\u200d👧\u200d👦"


@pytest.mark.parametrize(
    ("draft", "found"),
    [
        (f"go {FAMILY} go", Match.EXACT),
        (f"go {FAMILY[:-1]} go", Match.EXACT),  # what tmux 3.3a shows of it
        ("go  go", Match.EXACT),
        (f"go {FAMILY} go on", Match.FOREIGN),
        (f"go {FAMILY} go 🌮", Match.FOREIGN),  # nothing may be added
        (f"go {FAMILY[:-1]} stop", Match.FOREIGN),
    ],
)
def test_emoji_may_be_cut_but_nothing_added(draft: str, found: Match) -> None:
    assert match(draft, f"go {FAMILY} go") is found


def test_a_text_of_emoji_alone_is_compared_as_it_is() -> None:
    assert match("🌮🌮", "🌮🌮") is Match.EXACT
    assert match("🌮", "🌮🌮") is Match.PARTIAL
    assert match("🍕", "🌮🌮") is Match.FOREIGN


@given(texts, texts)
def test_nothing_is_exact_to_which_a_person_added_letters(text: str, more: str) -> None:
    ours = compose(command(text), header=True)
    added = squash("".join(each for each in sanitise(more) if each.isalnum()))
    found = match(ours + added, ours)
    assert found is (Match.FOREIGN if added else Match.EXACT)


# Patterns


@given(texts.map(sanitise).map(lambda text: text.replace("\n", " ")))
def test_a_literal_matches_its_line_and_holds_nothing_that_runs(line: str) -> None:
    pattern = literal(line)
    assert re.search(f"^{pattern}$", line)
    assert not set(pattern) & set("#{}(),*+?[]|\\^$:;'\"`%&!~=<")


def test_a_literal_is_another_for_another_text() -> None:
    assert not re.search(f"^{literal('> deploy now')}$", "> deploy now NOT YET")
    assert not re.search(f"^{literal('> deploy now')}", "> delete now")


# Time


def test_the_wait_grows_with_the_text_up_to_a_limit() -> None:
    waits = [settle_ms(200, size) for size in (0, 1_023, 1_024, 3_400, 20_000, 130_000, 1_000_000)]
    assert waits == [200, 200, 225, 275, 675, 3_200, 3_200]
    assert settle_ms(500, 0) == 500
