"""The shape of a spec: the pydantic models, the published JSON Schema, and type errors in plain words. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from taco.models import FIRST_AGENT_WINDOW

ROLE_LIMIT = 4000
_LISTS = ("depends_on", "wait_for", "notifies")
_OTHER_WORDS = {
    "dependencies": "depends_on",
    "depends": "depends_on",
    "waits_for": "wait_for",
    "notify": "notifies",
    "workdir": "workspace",
}
_LIKE_ROLE = ("description", "task", "prompt", "instructions", "responsibilities", "goal")


class Agent(BaseModel):
    """One agent of the team; only `name` and `role` are required, null counts as absent."""

    model_config = ConfigDict(strict=True, extra="ignore", title="Agent")

    window: int | None = Field(None, description=f"tmux window, from {FIRST_AGENT_WINDOW}; repaired when taken")
    name: str = Field(description="lower case, a-z 0-9 _ -, at most 32 characters; repaired to that")
    role: str = Field(description="what this agent builds and when it is done", max_length=ROLE_LIMIT)
    depends_on: list[str] = Field([], description="agents whose results it needs; it starts at once")
    wait_for: list[str] = Field([], description="agents that must be done before it starts")
    notifies: list[str] = Field([], description="agents, or mother or person, told when it is done")
    provider: str | None = Field(None, description="agent CLI; the session's when absent")
    model: str | None = Field(None, description="model of that CLI")
    workspace: str | None = Field(None, description="directory inside the project; the name when absent")
    template: str | None = Field(None, description="name of a template for the agent")


class Team(BaseModel):
    """A team of agents as Mother proposes it."""

    model_config = ConfigDict(title="TACO agent spec")

    agents: list[Agent] = Field(min_length=1)


_FIELDS = tuple(Agent.model_fields)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a spec."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Team.model_json_schema()}


@lru_cache(maxsize=256)
def known_key(key: str) -> str | None:
    """The field that a key means: `dependsOn` and `depends-on` mean `depends_on`; None for unknown ones."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key.strip()).replace("-", "_").replace(" ", "_").lower()
    plain = _OTHER_WORDS.get(plain, plain)
    return plain if plain in _FIELDS else None


def without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of one agent with nulls taken for absent, and numbers in lists of names taken for text."""
    present = {key: value for key, value in row.items() if value is not None}
    for key in _LISTS:
        if isinstance(present.get(key), list):
            present[key] = [_name(item) for item in present[key] if item is not None]
    return present


def _name(item: Any) -> Any:
    return str(item) if isinstance(item, int) and not isinstance(item, bool) else item


def type_errors(row: dict[str, Any], path: str) -> list[str]:
    """What is missing or of the wrong type in one agent, each sentence beginning with its path."""
    try:
        Agent.model_validate(row)
    except ValidationError as error:
        return [_sentence(dict(each), row, path) for each in error.errors(include_url=False)]
    return []


def _sentence(error: dict[str, Any], row: dict[str, Any], path: str) -> str:
    where = path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    match error["type"]:
        case "missing":
            like = next((key for key in _LIKE_ROLE if key in row), None) if error["loc"] == ("role",) else None
            return f"{where}: is missing" + (f" (there is {like!r}: is that the role?)" if like else "")
        case "string_type":
            return f"{where}: must be text, is {kind(error['input'])}"
        case "list_type":
            return f"{where}: must be a list of names, is {kind(error['input'])}"
        case "int_type":
            return f"{where}: must be a number, is {kind(error['input'])}"
        case "string_too_long":
            return f"{where}: is {len(error['input'])} characters, at most {ROLE_LIMIT}"
    return f"{where}: {error['msg']}"


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}" if abs(value) < 10**9 else "a large number"
        case str():
            return f"the text {value[:40]!r}"
        case list():
            return "a list"
    return "an object"
