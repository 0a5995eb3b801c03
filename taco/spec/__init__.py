"""Text -> Spec: finds the team that Mother proposed, repairs what is unambiguous, names every error. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection

from taco.drawing import draw
from taco.errors import SpecError
from taco.models import Spec
from taco.spec import team, text
from taco.spec.shape import schema
from taco.spec.text import END, EXAMPLE_MARK, START, find_spec

__all__ = ["END", "EXAMPLE_MARK", "START", "draw", "find_spec", "mark", "parse_spec", "schema"]

_FORM = 'the form is {"agents": [{"name": "api", "role": "..."}]}'


def parse_spec(spec: str, *, max_agents: int = 30, example: str = "", providers: Collection[str] | None = None) -> Spec:
    """The team in a text: Mother's words with the markers, a screen, or a JSON file.

    `example` is the prompt's template, whose own block is never taken; `providers`, when given, are the only
    ones allowed. Raises SpecError with all errors at once; what was repaired is in `Spec.warnings`.
    """
    if len(spec) > text.TEXT_LIMIT:
        raise SpecError([f"spec: {len(spec)} characters, at most {text.TEXT_LIMIT}"])
    found = text.locate(spec, example=example)
    if found is None:
        raise SpecError([text.why_nothing(spec)], hint=_FORM)
    if found.error:
        raise SpecError([found.error], hint="correct the JSON and give the whole spec again")
    return team.build(found.data, max_agents=max_agents, providers=providers, warnings=found.warnings)


def mark(spec: Spec) -> str:
    """What tells one team from another, however it was written down."""
    return json.dumps(spec.as_dict(), sort_keys=True)
