"""The page of reasons says what the code does."""

from __future__ import annotations

import re

from taco import delivery
from tests.support.paths import ROOT

PAGE = (ROOT / "taco" / "DESIGN.md").read_text(encoding="utf-8")


def test_the_diagram_is_the_table() -> None:
    diagram = re.search(r"```mermaid\n(.*?)\n```", PAGE, re.DOTALL)
    assert diagram is not None
    assert diagram[1] == delivery.mermaid(), "write taco.delivery.mermaid() into taco/DESIGN.md"


def test_every_state_and_move_is_reached() -> None:
    ends = set(delivery.TRANSITIONS.values())
    assert ends == set(delivery.CommandState)
    assert {move for _, move in delivery.TRANSITIONS} == set(delivery.Move)
