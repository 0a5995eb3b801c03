"""Writes the measured numbers into the README: `python -m tests.bench.publish`. A test compares the two."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.bench import draw
from tests.bench.result import Result
from tests.support.paths import ROOT

README = ROOT / "README.md"
BEGIN, END = "<!-- numbers: written by python -m tests.bench.publish -->", "<!-- end of the numbers -->"
ORDER = ("chaos", "delivery", "reaction", "throughput", "peers", "start", "enqueue", "cli", "idle", "memory", "parse")
FIELDS = ("what", "value", "unit", "peer", "peer_name", "at_most", "at_least", "note")


def latest() -> dict[str, Mapping[str, Any]]:
    """The last whole run of each benchmark: the saved document it is in, by name."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(draw.RESULTS.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        if not document["quick"]:
            found |= dict.fromkeys(document["results"], document)
    return found


def section(documents: Mapping[str, Mapping[str, Any]]) -> str:
    """The section as Markdown: what has a target, and the peers."""
    lines = ["| what | measured | against | ratio | target |", "|---|---|---|---|---|"]
    for name in ORDER:
        if name in documents:
            rows = documents[name]["results"][name]
            lines += [_row(name, each) for each in _shown(name, rows)]
    machines = {_machine(documents[name]) for name in ORDER if name in documents}
    return "\n".join([*lines, "", *(f"Measured on {machine}." for machine in sorted(machines))])


def _shown(name: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Result]:
    for row in rows:
        result = Result(**{field: row[field] for field in FIELDS})
        if result.met is not None or name == "peers":
            yield result


def _row(name: str, result: Result) -> str:
    cells = (
        f"{name}: {result.what.strip()}",
        result.value_text,
        result.peer_text,
        result.ratio_text,
        result.target + (" (missed)" if result.met is False else ""),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _machine(document: Mapping[str, Any]) -> str:
    machine = document["machine"]
    programs = f"{machine['tmux']}, Redis {machine['redis']}, Python {machine['python']}"
    return f"{document['at'][:10]}: {machine['cores']} cores, {machine['memory']}, {programs}"


def written(readme: str, text: str) -> str:
    """`readme` with `text` between its two marks; raises ValueError when it has none."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"no place for the numbers: {BEGIN} … {END}")
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}"


def main() -> int:
    """Write the numbers, and draw how cost grows."""
    README.write_text(written(README.read_text(encoding="utf-8"), section(latest())), encoding="utf-8")
    return draw.main([])


if __name__ == "__main__":
    sys.exit(main())
