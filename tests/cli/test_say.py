"""What commands print: cut to the terminal, whatever it is made of and however long it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taco.cli import say
from taco.cli.say import cut, table, width

WORDS = st.text(st.sampled_from("ab 漢字é🌮\u0301"), max_size=30)


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcdef", 3, "ab…"),
        ("ab cdef", 4, "ab…"),
        ("漢字", 4, "漢字"),
        ("漢字", 3, "漢…"),
        ("漢字", 1, "…"),
        ("ae\u0301bcd", 3, "ae\u0301…"),
    ],
)
def test_what_is_left_out_shows(text: str, columns: int, shown: str) -> None:
    assert cut(text, columns) == shown


@given(WORDS, st.integers(1, 20))
def test_it_fits(text: str, columns: int) -> None:
    assert width(cut(text, columns)) <= columns


def test_a_prompt_of_a_megabyte_is_cut_as_well() -> None:
    assert cut("漢" * 1_000_000, 7) == "漢漢漢…"


def test_what_is_never_shown_is_never_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    table(["SESSION", "PROMPT"], [["shop", "a" + "\n" * 30_000 + "late"]])
    assert capsys.readouterr().out.splitlines()[1] == "shop     a"


@pytest.mark.parametrize("columns", [70, 80, 200])
def test_a_table_is_no_wider_than_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(say, "columns", lambda: columns)
    row = ["an_agent_with_a_name", 5, "waiting(permission)", "12m 30s", 3, "a reason " * 9, "a role " * 20]
    say.table(["AGENT", "WIN", "STATE", "SINCE", "QUEUE", "NOTE", "ROLE"], [row], right="WIN QUEUE")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(say.width, lines)) <= columns
    assert lines[1].split()[0].startswith("an_agent_")
    assert ("waiting(permission)" in lines[1]) == (columns == 200)
