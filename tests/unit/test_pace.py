"""Loops between two agents are noticed; talk and floods are not."""

from __future__ import annotations

from taco.pace import Pace


def ping_pong(pace: Pace, count: int, *, start: float = 0.0, every_s: float = 1.0) -> float:
    now = start
    for number in range(count):
        sender, target = ("a", "b") if number % 2 == 0 else ("b", "a")
        pace.note(sender, target, now)
        now += every_s
    return now


def test_two_that_answer_each_other_for_ever_are_slowed() -> None:
    pace = Pace(limit=5)
    now = ping_pong(pace, 10)
    assert pace.reason("a", "b", now) == "slowed: a and b answered each other 5 times in a minute"
    assert pace.reason("b", "a", now) != ""
    assert pace.reason("a", "c", now) == ""


def test_a_slowed_message_goes_after_a_while() -> None:
    pace = Pace(limit=5, slow_s=10)
    now = ping_pong(pace, 10)
    assert pace.reason("a", "b", now + 8.9) != ""
    assert pace.reason("a", "b", now + 9.0) == ""


def test_a_clock_that_is_set_back_slows_nobody_until_it_has_caught_up() -> None:
    pace = Pace(limit=5, slow_s=10)
    now = ping_pong(pace, 10)
    assert pace.reason("a", "b", now) != ""
    assert pace.reason("a", "b", now - 3_600) == ""


def test_talk_at_a_human_pace_is_no_loop() -> None:
    pace = Pace(limit=5)
    now = ping_pong(pace, 40, every_s=10.0)
    assert pace.reason("a", "b", now) == ""


def test_a_flood_in_one_direction_is_no_loop() -> None:
    pace = Pace(limit=5)
    for number in range(1_000):
        pace.note("a", "b", number / 100)
    pace.note("b", "a", 10.0)
    assert pace.reason("a", "b", 10.0) == ""


def test_what_is_remembered_is_bounded_and_forgotten() -> None:
    pace = Pace(limit=5)
    for number in range(100_000):
        pace.note("a", "b", float(number))
    assert len(pace._times["a", "b"]) <= 20
    assert pace.exchanges("a", "b", 1e9) == 0
    assert not pace._times
