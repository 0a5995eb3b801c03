"""What is read off a screen: Claude Code's composer, and the rules on made-up ones."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from taco.provider import Screen, Waiting
from taco.screen import plain, read_screen, resets_at
from tests.recording import screens_of

CLAUDE = screens_of("claude")
SIMPLE = Screen(
    composer=r"^> (?P<draft>.*)$",
    composer_end=r"^-{5,}$",
    busy="working",
    waiting=(Waiting(name="first", match="Really"), Waiting(name="second", match="Sure")),
    limited="at the limit",
    placeholder=r"\[Pasted text #\d+",
    exited="^bye$",
)
BAR = "-----\n"


@pytest.mark.parametrize("name", sorted(name for name, each in CLAUDE.expected().items() if each.get("composer")))
def test_composer_stands_between_its_rules(name: str) -> None:
    found = read_screen(CLAUDE.rules, CLAUDE.capture(name))
    assert found.composer_row is not None
    assert found.end_row is not None
    assert found.lines[found.composer_row][:2] in ("❯\u00a0", "!\u00a0")
    assert found.lines[found.composer_row - 1].startswith("─" * 20)
    assert found.lines[found.end_row].startswith("─" * 20)


def test_ready_is_an_empty_composer_without_a_dialog() -> None:
    assert read_screen(CLAUDE.rules, CLAUDE.capture("idle_fresh-80x24")).ready
    assert read_screen(CLAUDE.rules, CLAUDE.capture("idle_fresh_ghost-80x24")).ready
    for name in ("draft_line", "shell_mode_empty", "login", "permission", "exited", "draft_first_row_empty"):
        assert not read_screen(CLAUDE.rules, CLAUDE.capture(f"{name}-80x24")).ready, name


def test_plain_removes_every_sequence() -> None:
    text = "\x1b[1;38;5;174ma\x1b[0m\x1b]8;;http://x\x1b\\b\x1b]8;;\x1b\\\x0e\x0f\x1b(Bc  \n\u00a0\nend\n"
    assert plain(text) == ["abc", "\u00a0", "end"]


def test_a_dialog_above_the_composer_is_history() -> None:
    assert read_screen(SIMPLE, f"Really?\n> \n{BAR}").waiting == ""
    assert read_screen(SIMPLE, f"> \n{BAR}Really?\n").waiting == "first"


def test_the_lowest_dialog_counts() -> None:
    assert read_screen(SIMPLE, "Sure?\nReally?\n").waiting == "first"
    assert read_screen(SIMPLE, "Really?\nSure?\nReally\nSure\n").waiting == "second"


def test_a_composer_without_its_end_is_none() -> None:
    found = read_screen(SIMPLE, "> left behind\n$ \n")
    assert found.composer_row is None
    assert found.draft == ""


def test_after_the_end_nothing_is_live() -> None:
    found = read_screen(SIMPLE, f"working\nat the limit\n> draft\n{BAR}bye\n$ \n")
    assert found.exited
    assert (found.composer_row, found.draft, found.busy, found.limited) == (None, "", False, "")


def test_a_new_composer_below_an_old_end_is_live() -> None:
    assert read_screen(SIMPLE, f"bye\n> now\n{BAR}").draft == "now"


def test_the_lowest_composer_counts() -> None:
    assert read_screen(SIMPLE, f"> old\n{BAR}> new\n{BAR}").draft == "new"


def test_rows_are_joined_without_their_indentation() -> None:
    found = read_screen(SIMPLE, f"> \n  two\n\n    four\n{BAR}")
    assert found.draft == "\ntwo\n\n  four"
    assert (found.composer_row, found.end_row) == (0, 4)


@pytest.mark.parametrize(
    ("row", "draft", "ghost"),
    [
        ("> \x1b[2mask me\x1b[0m", "", True),
        ("> \x1b[7ma\x1b[0;2msk me\x1b[0m", "", True),  # the first character is under the cursor
        ("> \x1b[2;7ma\x1b[27msk me\x1b[0m", "", True),
        ("> \x1b[38;5;2mgreen\x1b[39m", "green", False),  # a 2 inside a colour is not dim
        ("> \x1b[38;2;2;2;2mrgb\x1b[39m", "rgb", False),
        ("> \x1b[7ma\x1b[0m", "a", False),
        ("> /he\x1b[7ml\x1b[0;2mp\x1b[0m", "/he", False),
        ("> \x1b[2mdim\x1b[22m bright", "    bright", False),
        ("> \x1b[7m \x1b[0m", "", False),
    ],
)
def test_dim_text_is_no_draft(row: str, draft: str, ghost: bool) -> None:
    found = read_screen(SIMPLE, f"{row}\n{BAR}")
    assert (found.draft.strip(), found.ghost) == (draft.strip(), ghost)


def test_attributes_run_over_the_end_of_a_row() -> None:
    assert read_screen(SIMPLE, f"text \x1b[2m\n> ghost\n\x1b[0m{BAR}").ghost
    assert read_screen(SIMPLE, f"\x1b[2mtext\x1b[0m\n> draft\n{BAR}").draft == "draft"


def test_a_ghost_may_be_a_pattern() -> None:
    rules = SIMPLE.model_copy(update={"ghost": "^Type your message$"})
    assert read_screen(rules, f"> Type your message\n{BAR}").ghost
    assert read_screen(rules, f"> Type your message now\n{BAR}").draft == "Type your message now"


@pytest.mark.parametrize(
    ("draft", "is_placeholder"),
    [
        ("[Pasted text #1]", True),
        ("[Pasted text #12 +39 lines]", True),
        ("[Pasted text #1] and", False),
        ("see [Pasted text #1]", False),
        ("[Pasted text #1][Pasted text #2]", False),
        ("", False),
    ],
)
def test_placeholder(draft: str, is_placeholder: bool) -> None:
    found = read_screen(SIMPLE, f"> {draft}\n{BAR}")
    assert found.placeholder is is_placeholder
    assert found.draft == draft


def test_without_rules_only_lines() -> None:
    found = read_screen(Screen(), "a\x1b[1mb \n\n")
    assert found.lines == ("ab", "")
    assert found.composer_row is None


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("You've hit your limit · resets 1:51pm (UTC)", "2026-11-20T13:51:00+00:00"),
        ("resets 3am (Europe/Berlin)", "2026-11-21T02:00:00+00:00"),
        ("resets Nov 23, 2pm (UTC)", "2026-11-23T14:00:00+00:00"),
        ("resets Jan 3, 2027, 2:30am (America/New_York)", "2027-01-03T07:30:00+00:00"),
        ("resets Feb 31, 2pm (UTC)", None),
        ("resets 99pm", None),
        ("usage limit reached", None),
    ],
)
def test_when_a_limit_ends(text: str, at: str | None) -> None:
    now = datetime(2026, 11, 20, 10, 51, tzinfo=UTC).timestamp()
    found = resets_at(text, now)
    assert (found and datetime.fromtimestamp(found, UTC).isoformat()) == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("or try\nagain at 10:26 PM.", "2026-11-20 22:26"),
        ("or try again at 9:05 AM.", "2026-11-21 09:05"),
        ("try again at Nov 23rd, 2026 2:05 PM.", "2026-11-23 14:05"),
        ("or try again later.", None),
    ],
)
def test_when_a_limit_of_codex_ends_by_the_machines_own_clock(text: str, at: str | None) -> None:
    found = resets_at(text, datetime(2026, 11, 20, 10, 51).astimezone().timestamp())
    assert (found and f"{datetime.fromtimestamp(found):%Y-%m-%d %H:%M}") == at
