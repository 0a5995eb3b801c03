"""The judge of the chaos benchmark: it must see every kind of harm, or its zeros mean nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from taco.models import Priority, When
from tests.bench.chaos.book import Sent
from tests.bench.chaos.comparison import Verdict, judge
from tests.bench.chaos.faults import Tally
from tests.bench.chaos.report import Report
from tests.bench.chaos.stages import Stage

IDS = ("s0x000000", "s0x000001", "s0x000002")
TEXTS = [f"{each} hello end" for each in IDS]


def judged(
    submitted: Sequence[str],
    *,
    states: Mapping[str, str] | None = None,
    priorities: Mapping[str, Priority] | None = None,
    agent: str = "be",
) -> Verdict:
    """The verdict on three messages of one sender to `be`, all delivered unless `states` says otherwise."""
    book = {
        each: Sent(each, "s0", "be", (priorities or {}).get(each, Priority.NORMAL), When.IDLE, text)
        for each, text in zip(IDS, TEXTS, strict=True)
    }
    ledgers = {
        each: {
            "state": (states or {}).get(each, "delivered"),
            "evidence": "none",
            "entry": f"{at}-0",
            "reason": "",
        }
        for at, each in enumerate(IDS)
    }
    return judge(book, {agent: submitted}, ledgers)


def test_all_is_well() -> None:
    verdict = judged(TEXTS)
    assert not any(verdict.zeros.values())
    assert verdict.adds_up
    assert verdict.states == {"delivered": 3}


@pytest.mark.parametrize(
    ("submitted", "harm"),
    [
        (TEXTS[:2], "lost"),
        ([*TEXTS, TEXTS[0]], "doubled"),
        ([TEXTS[0] + TEXTS[0], *TEXTS[1:]], "doubled"),
        ([TEXTS[0], TEXTS[2], TEXTS[1]], "reordered"),
        ([TEXTS[0], TEXTS[1] + TEXTS[2]], "garbled"),
        ([*TEXTS[:2], TEXTS[2][:-1]], "garbled"),
        ([*TEXTS, ""], "garbled"),
        (["x" + TEXTS[0], *TEXTS[1:]], "garbled"),
    ],
)
def test_harm_is_seen(submitted: Sequence[str], harm: str) -> None:
    assert judged(submitted).zeros[harm]


def test_a_message_in_another_pane_is_garbled() -> None:
    assert judged(TEXTS, agent="fe").zeros["garbled"] == 3


def test_what_nobody_knows_of_is_lost_and_does_not_add_up() -> None:
    verdict = judged(TEXTS, states={IDS[1]: ""})
    assert verdict.zeros["lost"] == 1
    assert not verdict.adds_up


def test_a_dead_letter_that_arrived_is_seen() -> None:
    assert judged(TEXTS, states={IDS[1]: "dead"}).zeros["dead but arrived"] == 1


def test_a_queued_message_that_arrived_will_be_doubled() -> None:
    assert judged(TEXTS, states={IDS[1]: "queued"}).zeros["doubled"] == 1


@pytest.mark.parametrize("submitted", [TEXTS, TEXTS[:2]])
def test_unconfirmed_may_have_arrived_or_not(submitted: Sequence[str]) -> None:
    verdict = judged(submitted, states={IDS[2]: "unconfirmed"})
    assert not any(verdict.zeros.values())
    assert verdict.unconfirmed_arrived == len(submitted) - 2


def test_priorities_may_overtake_each_other() -> None:
    urgent = [TEXTS[2], *TEXTS[:2]]
    assert not any(judged(urgent, priorities={IDS[2]: Priority.HIGH}).zeros.values())
    assert judged(urgent).zeros["reordered"]


def report(verdict: Verdict, **stages: int) -> Report:
    tally = Tally(stages=Counter({str(Stage[name]): count for name, count in stages.items()}))
    return Report(seed=1, agents=1, took_s=1.0, verdict=verdict, tally=tally, refused={}, abandoned=0)


def test_a_run_that_hit_a_stage_too_rarely_is_red() -> None:
    even = {"BEFORE_TYPED": 10, "TYPED": 10, "ENTERED": 10, "BEFORE_FINISH": 10}
    assert not report(judged(TEXTS), **even).failures
    assert report(judged(TEXTS), **even | {"ENTERED": 1}).failures == ["too few kills entered"]
    assert "1 lost" in report(judged(TEXTS[:2]), **even).failures
    assert all(row.met is not False for row in report(judged(TEXTS), **even).results())
    assert any(row.met is False for row in report(judged(TEXTS[:2]), **even).results())
