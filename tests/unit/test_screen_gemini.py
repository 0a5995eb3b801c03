"""Gemini's composer, dialogs and title."""

from __future__ import annotations

import re

import pytest

from taco.choices import choose, no, yes
from taco.dialog import open_dialog
from taco.screen import read_screen
from tests.recording import SIZES, screens_of

GEMINI = screens_of("gemini")
NAMES = [f"{width}x{height}" for width, height in SIZES]


@pytest.mark.parametrize("name", sorted(name for name, each in GEMINI.expected().items() if each.get("composer")))
def test_the_composer_is_the_lowest_row_with_a_prompt(name: str) -> None:
    found = read_screen(GEMINI.rules, GEMINI.capture(name))
    assert found.composer_row is not None
    assert found.end_row is not None
    assert found.lines[found.composer_row][1] in ">*!"
    assert not [row for row in found.lines[found.composer_row + 1 :] if row.startswith(" > ")]
    for row in found.lines[found.composer_row + 1 : found.end_row]:
        assert row.startswith("   ") or not row


def test_ready_is_an_empty_composer_without_a_dialog() -> None:
    for name in ("idle_fresh", "idle_yolo", "vim_insert_empty", "colour_idle_fresh"):
        assert read_screen(GEMINI.rules, GEMINI.capture(f"{name}-80x24")).ready, name
    for name in ("draft_line", "draft_first_row_empty", "shell_mode", "vim_normal", "permission", "trust", "exited"):
        assert not read_screen(GEMINI.rules, GEMINI.capture(f"{name}-80x24")).ready, name


@pytest.mark.parametrize("size", NAMES)
def test_a_permission_is_given_and_refused_by_its_digits(size: str) -> None:
    found = open_dialog(read_screen(GEMINI.rules, GEMINI.capture(f"permission-{size}")))
    assert found is not None
    assert (yes(found.options), no(found.options)) == (found.options[0], found.options[-1])
    assert [str(each) for each in found.options] == [
        "1. Allow once",
        "2. Allow for this session",
        "3. No, suggest changes (esc)",
    ]
    assert "touch /tmp/demo/project/made" in found.text
    assert "│" not in found.text
    assert "rm -rf build" not in found.text  # the dialog that an answer above it quotes


@pytest.mark.parametrize("size", NAMES)
def test_a_question_is_answered_by_its_words(size: str) -> None:
    found = open_dialog(read_screen(GEMINI.rules, GEMINI.capture(f"question-{size}")))
    assert found is not None
    blue = choose(found.options, "Blue")
    assert blue is not None
    assert blue.key == "2"
    assert "Which colour?" in found.text


def test_the_title_tells_whether_it_works() -> None:
    titles = {"◇  Ready (project)": (True, False), "✦  Working… (project)": (False, True)}
    titles |= {"⏲  Working… (project)": (False, True), "✋  Action Required (project)": (False, False)}
    provider = GEMINI.provider
    assert provider.idle_title
    assert provider.busy_title
    for title, expected in titles.items():
        found = bool(re.search(provider.idle_title, title)), bool(re.search(provider.busy_title, title))
        assert found == expected, title
