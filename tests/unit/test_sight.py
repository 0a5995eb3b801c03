"""From a reading to what a guard must find unchanged."""

from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taco.provider import Provider, parse_provider
from taco.screen import read_screen
from taco.tmux.guard import Seen, first_match
from taco.tmux.sight import dialog_pattern, fragments, seen_empty, seen_text
from tests.hostile import hostile_provider
from tests.support.paths import PACKAGE

PROVIDER = parse_provider(tomllib.loads(hostile_provider()), "hostile.toml")
RULE = "─" * 40


def see(*rows: str, cursor: tuple[int, int] = (50, 20), empty: bool = False, provider: Provider = PROVIDER) -> Seen:
    reading = read_screen(provider.screen, "\n".join(rows) + "\n")
    return (seen_empty if empty else seen_text)(provider, reading, cursor)


def holds(seen: Seen, *rows: str) -> list[str]:
    """The clauses that still hold on another screen."""
    return [name for name, (pattern, number) in seen.lines.items() if first_match(rows, pattern) == number]


# Fragments of dialogs


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"^  Do you want to proceed\?$", ["Do you want to proceed"]),
        (r"Select login method:|Not logged in · Run /login", ["Select login method", "Not logged in"]),
        (r"Quick safety check: Is this a project[\s\S]*\Z", ["Quick safety check"]),
        (r"^Enter to select · [\s\S]*\Z", ["Enter to select"]),
        (r"(?:^ *❯ \d+\. |\b[Ee]sc to cancel)[\s\S]*\Z", []),
        (r"abc|def", []),
        (r"\d+ files changed", ["files changed"]),
        (r"(?:long enough text)+ here it is", ["here it is"]),
        (r"[|] not cut here", ["not cut here"]),
        (r"a (b|c) plain enough", ["plain enough"]),
        (r"nothing plain\w* ends", ["nothing plain"]),
        (r"(?:perhaps this (?:or that) too)? surely this", ["surely this"]),
        (r"perhaps? not that{2} surely", ["surely"]),
        (r"", []),
    ],
)
def test_a_dialog_is_sought_by_its_longest_plain_words(pattern: str, found: list[str]) -> None:
    assert fragments(pattern) == found


@pytest.mark.parametrize("name", ["claude", "demo", "gemini"])
def test_the_fragments_of_what_is_shipped_need_no_quoting(name: str) -> None:
    provider = shipped(name)
    pattern = dialog_pattern(provider)
    assert pattern
    assert re.fullmatch(r"[A-Za-z0-9 |]+", pattern)
    assert len(pattern) < 2_000


def shipped(name: str) -> Provider:
    path = PACKAGE / "providers" / f"{name}.toml"
    return parse_provider(tomllib.loads(path.read_text("utf-8")), path.name)


def test_a_provider_without_dialogs_has_no_such_clause() -> None:
    plain = parse_provider({"name": "x", "command": ["x"], "screen": {"composer": "^> (?P<draft>.*)$"}}, "x")
    assert dialog_pattern(plain) == ""
    assert "dialog" not in see("> ", empty=True, provider=plain).lines


# Clauses


def test_an_empty_composer_is_held_by_its_row_and_the_cursor_in_it() -> None:
    seen = see("● done", RULE, ">", RULE, cursor=(2, 2), empty=True)
    assert seen.lines["composer"] == ("^>$", 3)
    assert seen.cursor == (2, 2)


def test_a_cursor_that_is_parked_elsewhere_says_nothing() -> None:
    assert see("> ", RULE, cursor=(0, 9), empty=True).cursor is None


def test_a_ghost_belongs_to_the_row() -> None:
    seen = see("> \x1b[2mTry this\x1b[0m", RULE, empty=True)
    assert holds(seen, "> Try this", RULE) == ["composer", "dialog"]
    assert holds(seen, "> t", RULE) == ["dialog"]


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        (["> deploy now", RULE], {"head", "tail", "dialog"}),
        (["> deploy now NOT YET", RULE], {"head", "dialog"}),
        (["> do not deploy now", RULE], {"dialog"}),
        (["", "> deploy now", RULE], {"dialog"}),
        ([">", RULE], {"dialog"}),
        (["> deploy now", RULE, "  Do you want to proceed?"], {"head", "tail"}),
    ],
)
def test_what_a_person_does_to_our_line_shows(rows: list[str], left: set[str]) -> None:
    assert set(holds(see("> deploy now", RULE), *rows)) == left


def test_the_tail_is_the_last_row_with_text() -> None:
    seen = see("> first", "  second", "", RULE)
    assert seen.lines["head"][0] == "^> first"
    assert seen.lines["tail"][0] == "  second$"
    assert set(holds(seen, "> first", "  second and more", "", RULE)) == {"head", "dialog"}
    assert set(holds(seen, "> no first", "  second", "", RULE)) == {"tail", "dialog"}


def test_without_a_composer_only_dialogs_are_held() -> None:
    assert set(see("● working").lines) == {"dialog"}
    assert set(see("● working", empty=True).lines) == {"dialog"}


lines = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40)


@given(st.lists(lines, max_size=4), lines, st.lists(lines, max_size=3), st.booleans())
def test_a_screen_holds_against_itself(above: list[str], draft: str, more: list[str], empty: bool) -> None:
    rows = [*above, f"> {draft}", *(f"  {row}" for row in more), RULE]
    shown = [row.rstrip(" ") for row in rows]
    seen = see(*rows, empty=empty)
    assert set(holds(seen, *shown)) == set(seen.lines)
