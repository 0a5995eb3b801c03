"""Draws how cost grows, from saved results of `growth`: `python -m tests.bench.draw [RESULTS.json [SVG]]`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from tests.support.paths import FIXTURES

RESULTS = Path(__file__).parent / "results"
PICTURE = FIXTURES / "pictures" / "growth.svg"
WIDTH, HEIGHT = 900, 560
COLUMNS = 2
PANEL_WIDTH, PANEL_HEIGHT = WIDTH / COLUMNS, 260
LEFT, TOP, RIGHT, BOTTOM = 62, 52, 22, 38  # margins of one panel
STYLE = """
text { font: 12px ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif; fill: #57606a }
.title { font-size: 15px; font-weight: 600; fill: #1f2328 }
.value { font-weight: 600; fill: #0969da }
.axis { stroke: #d0d7de; stroke-width: 1 }
.ours { fill: none; stroke: #0969da; stroke-width: 2.5; stroke-linejoin: round }
.dot { fill: #0969da }
.other { fill: none; stroke: #8c959f; stroke-width: 1.5; stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1 }
  .title { fill: #f0f6fc }
  .value { fill: #58a6ff }
  .axis { stroke: #3d444d }
  .ours { stroke: #58a6ff }
  .dot { fill: #58a6ff }
  .other { stroke: #7d8590 }
}
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One curve: what it is, and how its numbers are written."""

    curve: str
    title: str
    subtitle: str


PANELS = (
    Panel("latency", "One message", "ms from storing it to its Enter in the program, others idle"),
    Panel("throughput", "Messages a minute", "every agent's queue full, each message with its wait of 0.2 s"),
    Panel("processor", "Idle", "% of one core: executor and monitor, agents quiet"),
    Panel("memory", "Memory", "MB resident: executor and monitor"),
)


@dataclass(frozen=True, slots=True)
class Point:
    """A measured value at a number of agents, and what it is held against."""

    agents: int
    value: float
    other: float
    other_name: str


def points(rows: Sequence[Mapping[str, Any]], curve: str) -> list[Point]:
    """The points of a curve by the number of agents, of the rows of a saved result."""
    found = [
        Point(int(row["agents"]), float(row["value"]), float(row["peer"]), str(row["peer_name"]))
        for row in rows
        if row.get("curve") == curve
    ]
    return sorted(found, key=lambda point: point.agents)


def ticks(most: float, count: int = 4) -> list[float]:
    """Round numbers from 0 to at least `most`, about `count` steps."""
    step = 10 ** math.floor(math.log10(most / count)) if most > 0 else 1.0
    step = next(step * factor for factor in (1, 2, 2.5, 5, 10) if step * factor * count >= most)
    return [step * number for number in range(count + 1)]


def number(value: float) -> str:
    """A number as an axis shows it: 12000 as 12k, 0.25, 3."""
    if value >= 10_000:
        return f"{value / 1_000:,.0f}k"
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"


def draw(rows: Sequence[Mapping[str, Any]]) -> str:
    """The picture as SVG; raises ValueError when a curve is missing."""
    panels = []
    for at, panel in enumerate(PANELS):
        found = points(rows, panel.curve)
        if not found:
            raise ValueError(f"no curve {panel.curve!r}: run bin/bench growth --save")
        x, y = at % COLUMNS * PANEL_WIDTH, 10 + at // COLUMNS * (PANEL_HEIGHT + 10)
        panels.append(f'<g transform="translate({x:g} {y:g})">\n{_panel(panel, found)}\n</g>')
    body = "\n".join(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="How the cost of TACO grows with the number of agents">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
    )


def _panel(panel: Panel, found: Sequence[Point]) -> str:
    right, bottom = PANEL_WIDTH - RIGHT, PANEL_HEIGHT - BOTTOM
    marks = ticks(max(max(point.value, point.other) for point in found))
    most_agents = max(point.agents for point in found)

    def x(agents: float) -> float:
        return LEFT + agents / most_agents * (right - LEFT)

    def y(value: float) -> float:
        return bottom - value / marks[-1] * (bottom - TOP)

    parts = [_text(LEFT, 18, panel.title, "title"), _text(LEFT, 36, panel.subtitle)]
    for mark in marks:
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{right:g}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>')
        parts.append(_text(LEFT - 8, y(mark) + 4, number(mark), anchor="end"))
    parts += [_text(x(point.agents), bottom + 18, str(point.agents), anchor="middle") for point in found]
    parts.append(_text(right, bottom + 34, "agents", anchor="end"))
    parts.append(_line("other", [(x(point.agents), y(point.other)) for point in found]))
    parts.append(_line("ours", [(x(point.agents), y(point.value)) for point in found]))
    parts += [f'<circle class="dot" cx="{x(p.agents):.1f}" cy="{y(p.value):.1f}" r="3.5"/>' for p in found]
    last = found[-1]
    above = last.value >= last.other
    parts.append(_text(right, y(last.other) + (16 if above else -7), last.other_name, anchor="end"))
    parts.append(_text(right, y(last.value) + (-9 if above else 18), number(last.value), "value", anchor="end"))
    return "\n".join(parts)


def _line(kind: str, places: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline class="{kind}" points="{path}"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    css = f' class="{kind}"' if kind else ""
    return f'<text{css} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def newest() -> Path:
    """The last saved results that hold `growth`; raises ValueError when there are none."""
    for path in sorted(RESULTS.glob("*.json"), reverse=True):
        if json.loads(path.read_text(encoding="utf-8"))["results"].get("growth"):
            return path
    raise ValueError("nothing to draw: run bin/bench growth --save")


def main(words: Sequence[str]) -> int:
    """Draw `words`: the results, and where the picture goes."""
    source = Path(words[0]) if words else newest()
    target = Path(words[1]) if len(words) > 1 else PICTURE
    rows = json.loads(source.read_text(encoding="utf-8"))["results"]["growth"]
    target.write_text(draw(rows), encoding="utf-8")
    print(f"{source} -> {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
