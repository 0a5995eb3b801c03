"""The plan that waits for the person, as lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from taco.errors import SpecError
from taco.monitor.lines import Line, Span, said, spans
from taco.spec import draw, parse_spec

_BRANCH = re.compile(r"([│├└─┄ →]*)(\S*)(.*)")
MOST_AGENTS = 500  # the limit was checked when the plan was taken


def plan_title() -> Line:
    """The bar above the plan: that it waits, and the two commands."""
    return Line(
        spans(" ! ", ("PLAN", "strong"), " waits for you"),
        spans(("taco spec approve", "strong"), "  or  ", ('taco spec reject "why" ', "strong")),
        "bar-wait",
    )


def plan_lines(spec: Mapping[str, str], width: int) -> list[Line]:
    """The plan under review as a tree of `width` cells; nothing when none waits."""
    if spec.get("status") != "review":
        return []
    tree, _, legend = plan_text(spec.get("json") or spec.get("text", ""), width - 3).partition("\n\n")
    made = [Line((Span("  "), *_branch(row))) for row in tree.splitlines()]
    quiet = [Line((Span("  "), said(row, "quiet"))) for row in legend.splitlines()]
    return [*made, Line(), *quiet] if quiet else made


@lru_cache(8)
def plan_text(text: str, width: int) -> str:
    """The tree of a spec, or the text itself when it is none."""
    try:
        return draw(parse_spec(text, max_agents=MOST_AGENTS), width=max(20, width))
    except SpecError:
        return text


def _branch(row: str) -> tuple[Span, ...]:
    found = _BRANCH.match(row)
    lead, name, rest = found.groups() if found else ("", "", row)
    return (Span(lead, "quiet"), said(name, "name"), said(rest))
