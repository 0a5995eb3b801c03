"""A first provider file, made from captured screens, reads those screens."""

from __future__ import annotations

import tomllib

import pytest

from taco.proposing import DRAFT, propose, state_of, verdicts
from tests.recording import screens_of

TUI = {
    "idle-80x24": "hello\n> \x1b[2mType something\x1b[0m\n--------------------\n",
    "draft-80x24": f"hello\n> {DRAFT}\n--------------------\n",
    "busy-80x24": "hello\nThinking (12s, esc to stop)\n> \n--------------------\n",
    "busy_tool-80x24": "hello\nThinking (3s, esc to stop)\n> \n--------------------\n",
    "waiting_permission-80x24": "Run it's command (rm)?\n1. Yes, it's fine\n",
    "limited-80x24": "You are at your limit until 14:00\n> \n--------------------\n",
    "exited-80x24": "Goodbye [5]\n$ \n",
}


def test_it_reads_the_screens_it_was_made_from() -> None:
    text = propose("mytui", ["mytui", "--fast"], TUI)
    assert {name: found for name, (wanted, found) in verdicts(text, TUI).items() if wanted != found} == {}
    found = tomllib.loads(text)
    assert (found["name"], found["command"]) == ("mytui", ["mytui", "--fast"])
    assert found["screen"] == {
        "composer": "^> (?P<draft>.*)$",
        "composer_end": "^-{10,}",
        "busy": r"Thinking \(\d+s, esc to stop\)",
        "limited": r"You are at your limit until \d+:\d+",
        "exited": r"Goodbye \[\d+\]",
        "waiting": [{"name": "permission", "match": r"\d+\. Yes, it's fine"}],
    }


def test_what_is_missing_is_named() -> None:
    text = propose("mytui", ["mytui"], {"idle-80x24": TUI["idle-80x24"]})
    assert f"# composer: type “{DRAFT}” in it, then capture the state draft" in text
    assert "# busy: capture mytui busy" in text
    assert "# waiting: capture mytui waiting_permission" in text
    bare = propose("mytui", ["mytui"], {"draft-80x24": f"{DRAFT}\n"})
    assert "nothing stands before the draft" in bare


def test_a_suggestion_that_is_not_dim_is_a_ghost() -> None:
    screens = {**TUI, "idle-80x24": "> Type something\n--------------------\n"}
    assert tomllib.loads(propose("mytui", ["mytui"], screens))["screen"]["ghost"] == "^Type something$"


@pytest.mark.parametrize(
    ("name", "state"), [("idle-80x24", "idle"), ("waiting_plan-1x1", "waiting"), ("what-80x24", ""), ("busy", "busy")]
)
def test_the_name_says_the_state(name: str, state: str) -> None:
    assert state_of(name) == state


def test_a_real_cli_is_read_by_what_was_proposed_from_its_screens() -> None:
    codex = screens_of("codex")
    taken = {"idle": "idle_fresh", "draft": "draft_line", "exited": "exited", "waiting_permission": "permission"}
    screens = {f"{name}-120x40": codex.capture(f"{each}-120x40") for name, each in taken.items()}
    screens["draft-120x40"] = screens["draft-120x40"].replace("please wait with the", DRAFT)
    found = verdicts(propose("mine", ["codex"], screens), screens)
    assert all(wanted == seen for wanted, seen in found.values()), found
