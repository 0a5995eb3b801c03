"""Everything the rooms say reaches the one who listens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from taco import log


@pytest.fixture
def heard() -> Iterator[list[tuple[str, str, Mapping[str, Any]]]]:
    said: list[tuple[str, str, Mapping[str, Any]]] = []
    log.listen(lambda level, event, values: said.append((level, event, values)))
    yield said
    log.listen(log._print)


def test_events_with_their_values(heard: list[tuple[str, str, Mapping[str, Any]]]) -> None:
    log.info("redis.back", waited_s=2)
    log.warning("round.failed", error="no", hint="")
    log.error("tmux.failed")
    assert heard == [
        ("info", "redis.back", {"waited_s": 2}),
        ("warning", "round.failed", {"error": "no", "hint": ""}),
        ("error", "tmux.failed", {}),
    ]


def test_an_exception_with_its_traceback(heard: list[tuple[str, str, Mapping[str, Any]]]) -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("courier.failed", agent="api")
    ((level, event, values),) = heard
    assert (level, event, values["agent"]) == ("error", "courier.failed", "api")
    assert "ValueError: bad" in values["exception"]


def test_without_a_listener_it_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log.warning("tmux.failed", code=1)
    assert capsys.readouterr() == ("", "warning tmux.failed code=1\n")
