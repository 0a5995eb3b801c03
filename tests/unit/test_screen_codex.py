"""Screens of the real Codex at three sizes, read by its provider's rules."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from taco.choices import choose, no, yes
from taco.dialog import open_dialog
from taco.screen import plain, read_screen
from tests.codex_screens import OUT, PROVIDER, RULES, matches
from tests.support.paths import ROOT

EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((OUT / "expected.toml").read_text())


def capture(name: str) -> str:
    return (OUT / f"{name}.ansi").read_text()


def test_every_screen_is_in_the_manifest() -> None:
    assert {path.stem for path in OUT.glob("*.ansi")} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_codex(name: str) -> None:
    assert matches(capture(name), EXPECTED[name]), read_screen(RULES, capture(name))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_no_screen_names_a_machine(name: str) -> None:
    text = "\n".join(plain(capture(name)))
    assert "/home/" not in text
    assert str(Path.home()) not in text or Path.home() == Path("/")
    assert str(ROOT) not in text


@pytest.mark.parametrize("name", sorted(name for name, each in EXPECTED.items() if each.get("composer")))
def test_the_composer_is_the_lowest_row_with_a_prompt(name: str) -> None:
    found = read_screen(RULES, capture(name))
    assert found.composer_row is not None
    assert found.end_row is not None
    assert found.lines[found.composer_row][0] in "›!"
    assert not [row for row in found.lines[found.composer_row + 1 :] if row.startswith("›")]
    assert not found.lines[found.end_row]


def test_ready_is_an_empty_composer_without_a_dialog() -> None:
    assert read_screen(RULES, capture("idle_fresh-80x24")).ready
    for name in ("draft_line", "draft_first_row_empty", "permission", "question", "update", "exited"):
        assert not read_screen(RULES, capture(f"{name}-80x24")).ready, name


@pytest.mark.parametrize("size", ["80x24", "120x40", "200x50"])
def test_a_permission_is_given_and_refused_by_its_digits(size: str) -> None:
    found = open_dialog(read_screen(RULES, capture(f"permission-{size}")))
    assert found is not None
    assert (yes(found.options), no(found.options)) == (found.options[0], found.options[-1])
    assert (found.options[0].label, found.options[0].key) == ("Yes, proceed (y)", "1")
    assert found.text.startswith("Would you like to run the following command?")
    assert "touch /tmp/demo/project/made" in found.text
    assert "rm -rf build" not in found.text  # the dialog that an answer above it quotes


@pytest.mark.parametrize("size", ["80x24", "120x40", "200x50"])
def test_a_question_is_answered_by_its_words(size: str) -> None:
    found = open_dialog(read_screen(RULES, capture(f"question-{size}")))
    assert found is not None
    blue = choose(found.options, "2")
    assert blue is not None
    assert blue.label.startswith("Blue")
    assert "Which colour?" in found.text


def test_the_title_tells_what_the_screen_does_not() -> None:
    assert PROVIDER.busy_title is not None
    assert re.search(PROVIDER.busy_title, "⠋ project")
    assert not re.search(PROVIDER.busy_title, "project")
