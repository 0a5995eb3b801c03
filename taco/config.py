"""The settings of TACO: their defaults, limits, and how layers of them are merged. Pure.

Order, later wins: defaults < user file < project file < environment `TACO_*` < flags.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from taco import rules
from taco.errors import ConfigError
from taco.models import PORT_RANGE, port_range

Positive = Annotated[float, Field(gt=0)]
Hours = Annotated[str, Field(pattern=r"^(?:([01]?\d|2[0-3]):[0-5]\d-([01]?\d|2[0-3]):[0-5]\d)?$")]
_BETWEEN = re.compile(r",(?![^(]*\))")  # commas that do not stand within a rule


def _words(value: object) -> object:
    """A list that an environment variable gives as one text: `Bash(npm test:*), Read`."""
    return [word.strip() for word in _BETWEEN.split(value) if word.strip()] if isinstance(value, str) else value


def _rules(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(rules.check(each) for each in value)


def _command(value: str) -> str:
    shlex.split(value)  # raises ValueError for a quote that is not closed
    return value.strip()


Words = Annotated[str, AfterValidator(_command)]
Rules = Annotated[tuple[str, ...], BeforeValidator(_words), AfterValidator(_rules)]
Notices = Annotated[tuple[Literal["bell", "desktop"], ...], BeforeValidator(_words)]


class Allowed(BaseModel):
    """What is set for one provider or one agent alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    auto_approve: Rules = ()


class Config(BaseModel):
    """Every setting with its default; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: str = Field("claude", description="agent CLI of Mother and of agents whose spec names none")
    model: str = Field("", description="model given to the provider; empty: the provider's own default")
    max_agents: int = Field(30, ge=1, le=500, description="largest team a spec may ask for")
    start_concurrency: int = Field(4, ge=1, le=64, description="agents that start at the same time")
    spec_timeout_s: Positive = Field(600.0, description="Mother's time before the person is told")
    spec_tries: int = Field(3, ge=1, le=10, description="how often an invalid spec goes back to Mother")
    busy_hold_max_s: Positive = Field(300.0, description="longest hold for a busy agent whose CLI queues input")
    evidence_timeout_s: Positive = Field(10.0, description="how long a sign of submission is waited for")
    enter_limit: int = Field(8, ge=1, le=20, description="how often Enter is pressed for one message")
    attempts: int = Field(3, ge=1, le=10, description="how often an error is tried before a message is dead")
    queue_limit: int = Field(10_000, ge=1, description="waiting messages one agent's queue takes")
    sender_limit: int = Field(5_000, ge=1, description="waiting messages one sender may have in one queue")
    token_budget: int = Field(0, ge=0, description="tokens one agent may use before it gets no messages; 0: no limit")
    loop_limit: int = Field(20, ge=2, description="answers a minute between two agents before they are slowed")
    retention_s: Positive = Field(86_400.0, description="how long a finished message is remembered")
    retention_count: int = Field(10_000, ge=100, description="finished messages and events that are kept")
    grace_s: Positive = Field(5.0, description="time an agent gets to end by itself when it is stopped")
    ready_timeout_s: Positive = Field(60.0, description="how long an agent may start before that is shown")
    ask_block_s: Positive = Field(100.0, description="how long `taco ask` waits for the answer (agents: 100 at most)")
    auto_approve: Rules = Field((), description="tools that need no permission of yours, such as Bash(npm test:*)")
    providers: Mapping[str, Allowed] = Field({}, description="by provider: [providers.claude] auto_approve = […]")
    agents: Mapping[str, Allowed] = Field({}, description="by agent: [agents.tester] auto_approve = […]")
    limit_retry_s: Positive = Field(900.0, description="how long an account rests whose limit names no time")
    stall_after_s: Positive = Field(600.0, description="how long a busy agent may show no progress before you are told")
    stall_nudge: str = Field("", description="what such an agent is sent, once; empty: nothing")
    notify: Notices = Field(("bell",), description="how you are told that something waits for you: bell, desktop")
    notify_command: Words = Field("", description="program that is run then, with the text as its last argument")
    notify_webhook: str = Field("", description="URL that gets it as JSON")
    notify_again_s: Positive = Field(1800.0, description="how often you are reminded of what still waits")
    quiet_hours: Hours = Field("", description="when you are not told, for example 22:00-07:30")
    redis_url: str = Field("", description="a Redis of your own; empty: a private server")
    tmux_socket: str = Field("", description="name of another tmux server (tmux -L)")
    port_range: str = Field(PORT_RANGE, description="where taco service register --port auto takes ports from")

    @field_validator("port_range")
    @classmethod
    def _is_a_range(cls, text: str) -> str:
        port_range(text)
        return text

    def rules_for(self, agent: str, provider: str) -> tuple[str, ...]:
        """The rules of `auto_approve` that hold for this agent: its own, its provider's, everybody's."""
        apart = (self.agents.get(agent), self.providers.get(provider))
        return (*(rule for each in apart if each for rule in each.auto_approve), *self.auto_approve)


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings: where it came from and what it says."""

    source: str
    values: Mapping[str, Any]


def merge(layers: Sequence[Layer]) -> tuple[Config, dict[str, str]]:
    """The settings and, for each key, the source it came from; raises ConfigError naming source and key."""
    values: dict[str, Any] = {}
    sources = dict.fromkeys(Config.model_fields, "default")
    for layer in layers:
        for key, value in layer.values.items():
            if key not in Config.model_fields:
                raise ConfigError(f"{layer.source}: unknown setting {key!r}", hint="see: taco config")
            values[key] = value
            sources[key] = layer.source
    try:
        return Config(**values), sources
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        variable = next((name for name, each in VARIABLES.items() if each == key), "")
        place = ".".join(map(str, first["loc"]))
        where = variable if sources[key] == ENVIRONMENT else f"{sources[key]}: {place}"
        message = f"{where}: {first['msg'].removeprefix('Value error, ')} (is {first['input']!r})"
        raise ConfigError(message, hint="what each setting may be: taco config") from None


ENVIRONMENT = "environment"
_TABLES = ("providers", "agents")  # too much for a variable
VARIABLES = {f"TACO_{key.upper()}": key for key in Config.model_fields if key not in _TABLES}


def from_environment(environ: Mapping[str, str]) -> Layer:
    """The settings among the variables: `TACO_MAX_AGENTS=5` sets `max_agents`."""
    return Layer(ENVIRONMENT, {key: environ[name] for name, key in VARIABLES.items() if environ.get(name)})
