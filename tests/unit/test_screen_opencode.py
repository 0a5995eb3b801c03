"""OpenCode's composer, dialogs, and what they are answered with."""

from __future__ import annotations

import pytest

from taco.choices import choose, no, options_from, yes
from taco.dialog import open_dialog
from taco.errors import ConfigError
from taco.provider import parse_provider
from taco.rules import Request, is_shown
from taco.screen import read_screen
from tests.recording import screens_of

OPENCODE = screens_of("opencode")
SIZES = ("80x24", "120x40", "200x50")


@pytest.mark.parametrize("name", sorted(name for name, each in OPENCODE.expected().items() if each.get("composer")))
def test_the_composer_is_the_box_that_is_closed_below(name: str) -> None:
    found = read_screen(OPENCODE.rules, OPENCODE.capture(name))
    assert found.composer_row is not None
    assert found.end_row is not None
    assert all("┃" in row for row in found.lines[found.composer_row - 1 : found.end_row + 2])
    assert found.lines[found.composer_row - 1].strip().startswith("┃")
    assert found.lines[found.end_row + 2].strip().startswith("╹▀▀")


def test_ready_is_an_empty_composer_without_a_dialog() -> None:
    for name in ("idle_fresh", "idle_replied", "busy_streaming", "idle_after_limit"):
        assert read_screen(OPENCODE.rules, OPENCODE.capture(f"{name}-80x24")).ready, name
    for name in ("draft_line", "draft_first_row_empty", "permission", "question", "menu", "shell", "exited"):
        assert not read_screen(OPENCODE.rules, OPENCODE.capture(f"{name}-80x24")).ready, name


def test_what_stands_beside_the_composer_is_no_draft() -> None:
    capture = OPENCODE.capture("draft_line-200x50")
    reading = read_screen(OPENCODE.rules, capture)
    assert reading.composer_row is not None
    rows = capture.split("\n")
    rows[reading.composer_row] += "   - [ ] a task"
    assert read_screen(OPENCODE.rules, "\n".join(rows)).draft == "please wait with the"


@pytest.mark.parametrize("size", SIZES)
def test_a_permission_is_given_and_refused_by_its_keys(size: str) -> None:
    found = open_dialog(read_screen(OPENCODE.rules, OPENCODE.capture(f"permission-{size}")))
    assert found is not None
    given, refused = yes(found.options), no(found.options)
    assert given is not None and (given.key, given.label) == ("Enter", "Allow once")
    assert refused is not None and (refused.key, refused.label) == ("Escape", "Reject")
    assert options_from([str(each) for each in found.options]) == found.options
    assert found.text.startswith("△ Permission required\n# Shell command\n$ touch /tmp/demo/project/made; echo $HOME")
    assert "rm -rf build" not in found.text  # the dialog that an answer above it quotes


@pytest.mark.parametrize("size", SIZES)
def test_a_rule_answers_for_the_command_that_is_shown_and_for_no_other(size: str) -> None:
    found = open_dialog(read_screen(OPENCODE.rules, OPENCODE.capture(f"permission-{size}")))
    assert found is not None
    for command, shown in (
        ("touch /tmp/demo/project/made; echo $HOME", True),
        ("touch /tmp/demo/project/made", False),
        ("touch /tmp/demo/project/made; echo $HOME; ls", False),
    ):
        assert is_shown(Request("Bash", {"command": command}), found.text) is shown, command


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["permission_write", "permission_outside", "permission_web"])
def test_other_permissions_take_the_same_keys(name: str, size: str) -> None:
    found = open_dialog(read_screen(OPENCODE.rules, OPENCODE.capture(f"{name}-{size}")))
    assert found is not None
    assert [each.key for each in found.options] == ["Enter", "Escape"]


@pytest.mark.parametrize("size", SIZES)
def test_a_lasting_permission_is_given_in_its_window_only(size: str) -> None:
    found = open_dialog(read_screen(OPENCODE.rules, OPENCODE.capture(f"permission_always-{size}")))
    assert found is not None
    assert found.options == ()


@pytest.mark.parametrize("size", SIZES)
def test_a_question_is_answered_by_its_words(size: str) -> None:
    found = open_dialog(read_screen(OPENCODE.rules, OPENCODE.capture(f"question-{size}")))
    assert found is not None
    blue = choose(found.options, "Blue")
    assert blue is not None
    assert blue.key == "2"
    assert found.text == "Which colour?"


def test_only_keys_that_answer_a_dialog_may_be_named_so() -> None:
    screen = {"waiting": [{"name": "permission", "match": "x", "answers": {"C-c": "Stop"}}]}
    with pytest.raises(ConfigError, match="'C-c' is no key that answers: Enter or Escape"):
        parse_provider({"name": "x", "command": ["x"], "screen": screen}, "x.toml")
