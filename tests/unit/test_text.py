"""What is typed for a message that is too long to be seen whole, and where its body goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from taco.executor.text import text_for, typed_text
from taco.files import load_provider
from taco.models import Command, Pane, Priority
from taco.paths import messages_file
from taco.provider import Provider
from taco.tmux.commands import parse_pane
from tests.support.paths import PACKAGE

PANE = parse_pane("␞".join(["%5", "42", "s", "@3", "3", *[""] * 5, "200", "50", *[""] * 9]))
AIDER = load_provider(PACKAGE / "providers" / "aider.toml")
OTHER = AIDER.model_copy(update={"command": ("other",), "resume": ()})


def rows(count: int) -> Command:
    return Command("c1", "web", "api", "\n".join(f"row {number}" for number in range(count)), Priority.NORMAL)


def typed(command: Command, provider: Provider, tmp_path: Path, pane: Pane = PANE) -> str:
    bodies = tmp_path / "bodies"
    bodies.mkdir(exist_ok=True)
    (tmp_path / "messages").mkdir(exist_ok=True)
    text = text_for(command, provider, pane, bodies)
    assert typed_text(command, provider, bodies) == text
    return text


def test_a_body_goes_to_the_file_that_the_cli_has_in_its_conversation(tmp_path: Path) -> None:
    path = messages_file(tmp_path, "api")
    for _ in range(2):  # typed again
        assert typed(rows(60), AIDER, tmp_path).endswith(f"read it from {path}")
    typed(replace(rows(70), id="c2"), AIDER, tmp_path)
    said = path.read_text(encoding="utf-8")
    assert said.count("# [web → api]: message c") == 2
    assert said.endswith(f"# [web → api]: message c2\n\n{rows(70).message}\n\n")


def test_for_any_other_each_has_a_file_of_its_own(tmp_path: Path) -> None:
    assert typed(rows(60), OTHER, tmp_path).endswith(f"read it from {tmp_path / 'bodies' / 'c1.txt'}")
    assert not messages_file(tmp_path, "api").exists()


@pytest.mark.parametrize(
    ("count", "free", "whole"), [(16, None, True), (17, None, False), (41, 9, True), (42, 9, False)]
)
def test_a_provider_may_give_a_draft_more_than_a_third_of_the_screen(
    tmp_path: Path, count: int, free: int | None, whole: bool
) -> None:
    screen = OTHER.screen.model_copy(update={"rows_free": free})
    text = typed(rows(count), OTHER.model_copy(update={"screen": screen}), tmp_path)
    assert ("The message is long" not in text) is whole
