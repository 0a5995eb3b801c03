"""The short run of the chaos benchmark: 2,000 messages while everything is killed; only what must be 0 is asserted."""

from __future__ import annotations

import pytest

from tests.bench.bench_chaos import SHORT
from tests.bench.chaos.run import run
from tests.support import needs


@pytest.mark.slow
def test_nothing_is_lost_doubled_reordered_or_garbled() -> None:
    needs.require("tmux")
    report = run(SHORT)
    assert not report.failures, report.text()
    assert report.tally.kills + report.tally.faults["redis"] >= 20
    assert report.verdict.acknowledged == SHORT.messages
