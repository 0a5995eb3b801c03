"""What Aider's screens ask for, beyond what every screen's manifest says."""

from __future__ import annotations

import pytest

from taco.choices import no, options_from, strokes, yes
from taco.dialog import open_dialog
from taco.screen import read_screen
from tests.recording import screens_of

SCREENS = screens_of("aider")
EXPECTED = SCREENS.expected()
SIZES = ["80x24", "120x40", "200x50"]


@pytest.mark.parametrize("name", sorted(name for name, each in EXPECTED.items() if each.get("composer")))
def test_below_the_composer_stands_nothing_but_a_menu(name: str) -> None:
    found = read_screen(SCREENS.rules, SCREENS.capture(name))
    assert found.composer_row is not None
    assert found.end_row is not None
    assert all(not row or row.startswith(" ") for row in found.lines[found.end_row :])


@pytest.mark.parametrize("size", SIZES)
def test_with_its_cursor_elsewhere_a_composer_is_none_and_the_agent_busy(size: str) -> None:
    capture = SCREENS.capture(f"draft_line-{size}")
    seen = read_screen(SCREENS.rules, capture)
    assert seen.composer_row is not None
    assert read_screen(SCREENS.rules, capture, seen.composer_row) == seen
    submitted = read_screen(SCREENS.rules, capture, seen.composer_row + 2)
    assert (submitted.composer_row, submitted.draft, submitted.busy) == (None, "", True)


@pytest.mark.parametrize("size", SIZES)
def test_a_command_is_allowed_and_refused_by_a_letter_and_enter(size: str) -> None:
    found = open_dialog(read_screen(SCREENS.rules, SCREENS.capture(f"permission-{size}")))
    assert found is not None
    offered = options_from([str(each) for each in found.options])
    assert offered == found.options
    assert [str(each) for each in offered] == ["y. Yes", "n. No", "d. Don't ask again"]
    assert (yes(offered), no(offered)) == (offered[0], offered[1])
    assert strokes(offered[0].key) == ("y", "Enter")
    assert "Run shell command?" in found.text
    assert "read x" in found.text


@pytest.mark.parametrize("size", SIZES)
def test_of_several_commands_each_is_asked_for(size: str) -> None:
    found = open_dialog(read_screen(SCREENS.rules, SCREENS.capture(f"permission_one_of_several-{size}")))
    assert found is not None
    assert [each.label for each in found.options] == ["Yes", "No", "Skip all", "Don't ask again"]


def test_a_question_that_has_its_answer_is_none() -> None:
    capture = SCREENS.capture("permission-80x24").replace("[Yes]: ", "[Yes]: y")
    capture = capture.replace("[Yes]:\n", "[Yes]: y\n")
    found = read_screen(SCREENS.rules, capture)
    assert (found.waiting, found.busy) == ("", True)
    assert open_dialog(found) is None


def test_what_is_not_live_is_above_what_is() -> None:
    for name in ("idle_quotes_dialog", "idle_quotes_composer", "idle_quotes_spinner", "idle_after_limit"):
        assert read_screen(SCREENS.rules, SCREENS.capture(f"{name}-80x24")).ready, name
    for name in ("draft_line", "permission", "multiline", "git", "busy_tool", "busy_silent"):
        assert not read_screen(SCREENS.rules, SCREENS.capture(f"{name}-80x24")).ready, name
