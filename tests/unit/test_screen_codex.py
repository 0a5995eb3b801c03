"""Codex' composer, dialogs and title."""

from __future__ import annotations

import re

import pytest

from taco.choices import choose, no, yes
from taco.dialog import open_dialog
from taco.screen import read_screen
from tests.recording import screens_of

CODEX = screens_of("codex")


@pytest.mark.parametrize("name", sorted(name for name, each in CODEX.expected().items() if each.get("composer")))
def test_the_composer_is_the_lowest_row_with_a_prompt(name: str) -> None:
    found = read_screen(CODEX.rules, CODEX.capture(name))
    assert found.composer_row is not None
    assert found.end_row is not None
    assert found.lines[found.composer_row][0] in "›!"
    assert not [row for row in found.lines[found.composer_row + 1 :] if row.startswith("›")]
    assert not found.lines[found.end_row]


def test_ready_is_an_empty_composer_without_a_dialog() -> None:
    assert read_screen(CODEX.rules, CODEX.capture("idle_fresh-80x24")).ready
    assert read_screen(CODEX.rules, CODEX.capture("vim_insert_empty-80x24")).ready
    for name in ("draft_line", "draft_first_row_empty", "permission", "question", "update", "exited"):
        assert not read_screen(CODEX.rules, CODEX.capture(f"{name}-80x24")).ready, name


@pytest.mark.parametrize("size", ["80x24", "120x40", "200x50"])
@pytest.mark.parametrize("name", ["shell_mode", "shell_mode_draft", "vim_normal", "vim_normal_draft", "vim_replace"])
def test_what_is_no_composer_for_a_message_holds_a_draft(name: str, size: str) -> None:
    found = read_screen(CODEX.rules, CODEX.capture(f"{name}-{size}"))
    assert (found.ready, found.draft[:1] in ("!", "›"), found.waiting) == (False, True, "")


@pytest.mark.parametrize("size", ["80x24", "120x40", "200x50"])
def test_a_permission_is_given_and_refused_by_its_digits(size: str) -> None:
    found = open_dialog(read_screen(CODEX.rules, CODEX.capture(f"permission-{size}")))
    assert found is not None
    assert (yes(found.options), no(found.options)) == (found.options[0], found.options[-1])
    assert (found.options[0].label, found.options[0].key) == ("Yes, proceed (y)", "1")
    assert found.text.startswith("Would you like to run the following command?")
    assert "touch /tmp/demo/project/made" in found.text
    assert "rm -rf build" not in found.text  # the dialog that an answer above it quotes


@pytest.mark.parametrize("size", ["80x24", "120x40", "200x50"])
def test_a_question_is_answered_by_its_words(size: str) -> None:
    found = open_dialog(read_screen(CODEX.rules, CODEX.capture(f"question-{size}")))
    assert found is not None
    blue = choose(found.options, "2")
    assert blue is not None
    assert blue.label.startswith("Blue")
    assert "Which colour?" in found.text


def test_the_title_tells_what_the_screen_does_not() -> None:
    assert CODEX.provider.busy_title is not None
    assert re.search(CODEX.provider.busy_title, "⠋ project")
    assert not re.search(CODEX.provider.busy_title, "project")
