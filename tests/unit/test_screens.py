"""Every captured screen of the real CLIs, read by its provider's rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from taco.screen import plain, read_screen
from tests.recording import screens_of
from tests.support.paths import ROOT

SCREENS = {
    path.parent.name: screens_of(path.parent.name) for path in sorted(ROOT.glob("fixtures/screens/*/expected.toml"))
}
EACH = [(provider, name) for provider, screens in SCREENS.items() for name in sorted(screens.expected())]


def test_claude_and_codex_are_among_them() -> None:
    assert {"claude", "codex"} <= set(SCREENS)


@pytest.mark.parametrize("provider", SCREENS)
def test_every_screen_is_in_the_manifest(provider: str) -> None:
    assert SCREENS[provider].names() == set(SCREENS[provider].expected())


@pytest.mark.parametrize(("provider", "name"), EACH)
def test_each_is_read_as_its_manifest_says(provider: str, name: str) -> None:
    screens = SCREENS[provider]
    capture = screens.capture(name)
    assert screens.matches(capture, screens.expected()[name]), read_screen(screens.rules, capture)


@pytest.mark.parametrize(("provider", "name"), EACH)
def test_none_names_a_machine(provider: str, name: str) -> None:
    text = "\n".join(plain(SCREENS[provider].capture(name)))
    assert "/home/" not in text
    assert str(Path.home()) not in text or Path.home() == Path("/")
    assert str(ROOT) not in text
