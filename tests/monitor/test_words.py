"""Text for the monitor: whatever agents write, a line stays a line of its width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from taco.monitor.lines import Column, Line, Row, Span, crop, fit_row, widths
from taco.monitor.words import age, age_of, clean, clock, cut, short_age, wrap

anything = st.text(max_size=60)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("  kept  blanks ", "  kept  blanks "),
        ("two\n\n  lines\tand tab", "two lines and tab"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07x", "red x"),
        ("bell\x07 back\x08 zero\x00", "bell back zero"),
        ("right\u202eto\u2066left", "righttoleft"),
        ("👨‍👩‍👧 ⚠️ 👍🏽", "👨👩👧 ⚠ 👍"),
        ("🇩🇪", "DE"),
        ("e\u0301", "é"),
        ("[bold]x[/]", "[bold]x[/]"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(anything)
def test_a_clean_text_is_one_line_and_stays_clean(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert len(once.splitlines()) <= 1
    assert "\x1b" not in once


@given(anything, st.integers(0, 40))
def test_cut_keeps_the_width(text: str, width: int) -> None:
    assert cell_len(cut(clean(text), width)) <= width


def test_cut_ends_in_an_ellipsis() -> None:
    assert cut("backend_dev", 8) == "backend…"
    assert cut("数据库数据库", 6) == "数据…"


@given(anything, st.integers(4, 30), st.integers(1, 4))
def test_wrap_keeps_rows_and_width(text: str, width: int, rows: int) -> None:
    lines = wrap(clean(text), width, rows)
    assert len(lines) <= rows
    assert all(cell_len(line) <= width for line in lines)


def test_wrap_breaks_at_spaces() -> None:
    assert wrap("one two three four", 9, 3) == ["one two", "three", "four"]
    assert wrap("one two three four", 9, 2) == ["one two", "three fo…"]


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (-5, "now", "now"),
        (9.9, "now", "now"),
        (19, "10s", "10s"),
        (61, "1m", "1m"),
        (9240, "2h34m", "2h"),
        (3600 * 23, "23h00m", "23h"),
        (86400 * 3 + 3600 * 4, "3d4h", "3d"),
    ],
)
def test_age(seconds: float, long: str, short: str) -> None:
    assert (age(seconds), short_age(seconds)) == (long, short)


def test_times_that_are_none() -> None:
    assert clock("soon") == clock("") == age_of("never", 0.0) == ""
    assert clock("2026-03-14T12:35:00.000Z") == "12:35:00"


styled = st.lists(st.builds(Span, anything.map(clean), st.sampled_from(["", "good"])), max_size=5).map(tuple)


@given(styled, styled, st.integers(0, 100))
def test_a_line_fills_its_width_exactly(spans: tuple[Span, ...], right: tuple[Span, ...], width: int) -> None:
    assert sum(cell_len(span.text) for span in Line(spans, right).fit(width)) == width


@given(st.lists(st.tuples(styled, styled, styled), max_size=5), st.integers(40, 120))
def test_a_row_fills_its_columns_exactly(contents: list[tuple[tuple[Span, ...], ...]], total: int) -> None:
    columns = [Column("name", 4, 12), Column("n", 3, right=True), Column("text", 8, share=1)]
    rows = [Row(content) for content in contents]
    sizes = widths(columns, rows, total)
    assert sum(sizes) + 4 == total
    for row in rows:
        assert sum(cell_len(span.text) for span in fit_row(row, columns, sizes)) == total


def test_what_is_cut_shows_it() -> None:
    assert crop((Span("abc"), Span("def")), 3) == [Span("ab…")]
    assert crop((Span("abc"), Span("")), 3) == [Span("abc"), Span("")]
