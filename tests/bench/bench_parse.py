"""Finding, parsing and validating a spec, against `json.loads` of the same text."""

from __future__ import annotations

import json

from taco.spec import find_spec, parse_spec
from tests.bench.result import Result, in_turns

TITLE = "a spec from Mother's answer to a valid team, against json.loads of its JSON"
TARGETS_MS = {10: 5.0, 200: 50.0}
SEED_MS = 100.0  # what the product was asked to take at most


def run(quick: bool) -> list[Result]:
    """Each text is found in a fenced answer, as Mother gives it, then parsed and validated."""
    return [row for size in TARGETS_MS for row in _rows(size, rounds=10 if quick else 60)]


def _rows(size: int, rounds: int) -> list[Result]:
    spec = json.dumps({"agents": [_agent(number) for number in range(size)]}, indent=1)
    answer = f"Here is my team.\nAGENT_SPEC_JSON_START\n```json\n{spec}\n```\nAGENT_SPEC_JSON_END\n"

    def ours() -> None:
        found = find_spec(answer)
        assert found is not None
        assert len(parse_spec(found, max_agents=size).agents) == size

    taco_ms, json_ms = in_turns(rounds, ours, lambda: json.loads(spec))
    what, kilobytes = f"{size} agents", f"{len(spec) / 1_000:.0f} kB"
    return [
        Result(what, taco_ms, at_most=TARGETS_MS[size], note=f"{kilobytes}; asked for: {SEED_MS:.0f} ms"),
        Result(f"{what}, over json.loads", taco_ms, peer=json_ms, peer_name="json.loads"),
    ]


def _agent(number: int) -> dict[str, object]:
    """One that waits for and tells others, with a role as long as Mother writes them."""
    earlier = [f"part_{number - 1}"] if number % 5 else []
    return {
        "window": number + 3,
        "name": f"part_{number}",
        "role": f"Builds part {number}: its module, its tests, a page that says how to use it. " * 4,
        "workspace": f"part_{number}",
        "depends_on": earlier,
        "wait_for": earlier,
        "notifies": [f"part_{number + 1}"] if number % 5 < 4 else [],
    }
