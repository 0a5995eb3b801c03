"""Every captured screen is classified as the manifest says it is, and a rule is named for it."""

from __future__ import annotations

import pytest

from taco.classify import classify, line_of
from tests.recording import screens_of

CLAUDE = screens_of("claude")
EXPECTED = CLAUDE.expected()
STATES = {
    "api_key": "waiting",
    "bypass": "waiting",
    "busy": "busy",
    "draft": "idle",
    "error": "idle",
    "exited": "exited",
    "idle": "idle",
    "limited": "limited",
    "login": "waiting",
    "menu": "waiting",
    "offline": "waiting",
    "onboarding": "waiting",
    "permission": "waiting",
    "placeholder": "idle",
    "plan": "waiting",
    "put": "idle",
    "question": "waiting",
    "questions": "waiting",
    "settings": "waiting",
    "shell": "idle",
    "trust": "waiting",
    "vim": "idle",
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_screen_of_claude(name: str) -> None:
    capture = CLAUDE.capture(name)
    found = classify(CLAUDE.provider, capture)
    first = name.rpartition("-")[0]
    wanted = next(state for key, state in STATES.items() if first == key or first.startswith(f"{key}_"))
    assert found.state == wanted, found
    assert found.rule
    assert line_of(found.pattern, "\n".join(found.reading.lines)) or found.rule == "screen.composer"


def test_a_title_decides_where_the_screen_does_not() -> None:
    capture = CLAUDE.capture("idle_fresh-80x24")
    busy = classify(CLAUDE.provider, capture, "⠂ working")
    assert (busy.state, busy.rule) == ("busy", "busy_title")


def test_what_no_rule_knows_is_unknown() -> None:
    found = classify(CLAUDE.provider, "$ ls\nfile\n$ \n")
    assert (found.state, found.rule, found.pattern) == ("unknown", "", "")
