"""What a dialog on a screen says, which answers it takes, and how it is known again."""

from __future__ import annotations

import pytest

from taco.choices import Option, choose, no, options_from, yes
from taco.dialog import open_dialog
from taco.provider import Screen, Waiting
from taco.screen import read_screen
from tests.recording import screens_of

CLAUDE = screens_of("claude")
SIZES = ("80x24", "120x40", "200x50")
SIMPLE = Screen(waiting=(Waiting(name="sure", match=r"Are you sure\?$"),))
OPTIONS = (Option("1", "Yes"), Option("2", "Yes, and don't ask again"), Option("3", "No"))


@pytest.mark.parametrize(
    ("screen", "name", "keys", "approves", "denies", "says"),
    [
        ("permission", "permission", "123", "1", "3", "Bash command\n\ntouch /tmp/demo/project/made; echo $HOME\n"),
        ("permission_fetch", "permission", "123", "1", "3", 'Fetch\n\nurl: "https://example.com/a"'),
        (
            "permission_write",
            "permission",
            "123",
            "1",
            "3",
            "Create file\nnew.txt\n1 hello\nDo you want to create new.txt?",
        ),
        ("plan", "plan", "12", "1", "2", "Exit plan mode?\n\nClaude wants to exit plan mode"),
        ("question", "question", "1234", "", "", "☐ Colour\n\nWhich colour?"),
        ("questions", "question", "", "", "", "←  ☐ Size  ☐ Colour  ✔ Submit  →\n\nWhich size?"),
        ("trust", "trust", "12", "1", "2", "Accessing workspace:\n\n/tmp/demo/project\n"),
        ("api_key", "api_key", "12", "1", "2", "Detected a custom API key"),
        ("bypass", "bypass", "12", "2", "1", "WARNING: Claude Code running in Bypass Permissions mode"),
        ("limited_menu", "limit", "12", "", "", "What do you want to do?"),
        ("onboarding", "onboarding", "1234567", "", "", "Choose the text style"),
        ("onboarding_notes", "onboarding", "", "", "", "Security notes:\n\n1. Claude can make mistakes."),
    ],
)
def test_dialogs_of_claude(screen: str, name: str, keys: str, approves: str, denies: str, says: str) -> None:
    fingerprints = set()
    for size in SIZES:
        found = open_dialog(read_screen(CLAUDE.rules, CLAUDE.capture(f"{screen}-{size}")))
        assert found is not None
        assert (found.name, "".join(each.key for each in found.options)) == (name, keys)
        assert getattr(yes(found.options), "key", "") == approves
        assert getattr(no(found.options), "key", "") == denies
        assert found.text.startswith(says), found.text
        fingerprints.add(found.fingerprint)
    assert len(fingerprints) == 1  # of any width


@pytest.mark.parametrize("screen", ["idle_fresh", "idle_quotes_dialog", "draft_quotes_dialog", "busy_tool", "exited"])
def test_no_dialog(screen: str) -> None:
    assert open_dialog(read_screen(CLAUDE.rules, CLAUDE.capture(f"{screen}-80x24"))) is None


def screen(*rows: str) -> str:
    return "\n".join(rows) + "\n"


def test_another_mark_is_the_same_dialog_another_command_is_not() -> None:
    rows = ["─" * 30, " rm build", " Are you sure?", " ❯ 1. Yes", "   2. No"]
    first = open_dialog(read_screen(SIMPLE, screen(*rows)))
    moved = open_dialog(read_screen(SIMPLE, screen("scrolled", *rows[:3], "   1. Yes", " ❯ 2. No")))
    other = open_dialog(read_screen(SIMPLE, screen(rows[0], " rm builds", *rows[2:])))
    assert first is not None
    assert moved is not None
    assert other is not None
    assert first.fingerprint == moved.fingerprint
    assert first.fingerprint != other.fingerprint
    assert (first.text, first.first_row, moved.first_row) == ("rm build\nAre you sure?", 1, 2)


def test_without_a_rule_it_is_the_block_it_stands_in() -> None:
    found = open_dialog(
        read_screen(SIMPLE, screen("history", "", "rm build", "Are you sure?", "> 1. Yes", "  2. No", ""))
    )
    assert found is not None
    assert (found.first_row, found.text) == (2, "rm build\nAre you sure?")


@pytest.mark.parametrize(
    ("words", "key"),
    [("1", "1"), ("yes", "1"), (" Yes ", "1"), ("2. Yes, and don't ask again", "2"), ("Yes, and", "2"), ("n", "3")],
)
def test_an_option_is_chosen_by_its_key_or_its_words(words: str, key: str) -> None:
    assert getattr(choose(OPTIONS, words), "key", "") == key


@pytest.mark.parametrize("words", ["", "4", "y", "maybe", "don't ask again"])
def test_what_names_no_option_or_two_chooses_none(words: str) -> None:
    assert choose(OPTIONS, words) is None


def test_choices_have_keys_or_get_numbers() -> None:
    assert options_from(["1. Yes", "3. No"]) == (Option("1", "Yes"), Option("3", "No"))
    assert options_from(["Postgres", "SQLite"]) == (Option("1", "Postgres"), Option("2", "SQLite"))
    assert options_from([]) == ()
