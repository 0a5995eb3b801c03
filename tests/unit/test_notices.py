"""What a notice says, and when nobody is to be disturbed."""

from __future__ import annotations

import json
from datetime import time

import pytest

from taco.models import Ask
from taco.orchestrator.notices import is_quiet, payload, words

ASKED = Ask("a1", "web", "Which\n colour?", "2026-01-01T00:00:00.000Z", choices=("red", "blue"))
SHOWN = Ask("b2", "api", "Bash command\n\nmake", "2026-01-01T00:00:00.000Z", kind="permission", dialog="f")


@pytest.mark.parametrize(
    ("hours", "now", "quiet"),
    [
        ("", time(3), False),
        ("22:00-07:30", time(23, 59), True),
        ("22:00-07:30", time(7, 29), True),
        ("22:00-07:30", time(7, 30), False),
        ("22:00-07:30", time(21, 59), False),
        ("9:00-17:00", time(9), True),
        ("9:00-17:00", time(17), False),
        ("9:00-17:00", time(8, 59), False),
    ],
)
def test_quiet_hours(hours: str, now: time, quiet: bool) -> None:
    assert is_quiet(hours, now) is quiet


def test_the_words_of_a_notice() -> None:
    title, text = words("shop", [ASKED, SHOWN], 3)
    assert title == "taco shop: 3 waiting for you"
    assert text == "web asks: Which colour?\napi waits at permission: Bash command make"


def test_what_a_webhook_gets() -> None:
    found = json.loads(payload("shop", "t", "x", [ASKED, SHOWN]))
    assert (found["session"], found["title"], found["text"]) == ("shop", "t", "x")
    assert found["waiting"][0] == {
        "id": "a1",
        "kind": "question",
        "agent": "web",
        "text": "Which\n colour?",
        "choices": ["red", "blue"],
    }
