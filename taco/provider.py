"""A provider: how one agent CLI is started, read and typed into. Data from TOML, checked here. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from taco.errors import ConfigError
from taco.models import Evidence, Spec

PLACEHOLDERS = frozenset(
    {
        "workspace",
        "workspace_quoted",
        "project",
        "session",
        "agent",
        "model",
        "temperature",
        "tools",
        "brief_file",
        "system_prompt_file",
        "session_id",
        "settings",
        "permission_mode",
        "transcript",
        "messages_file",
    }
)
# What hands TACO's tools to a CLI may name besides: the program `taco` of the session, the same quoted, and the file
# that holds `mcp_settings`. What is quoted is a JSON or TOML string.
MCP_PLACEHOLDERS = PLACEHOLDERS | {"taco", "taco_quoted", "mcp_config"}
NAMED_KEYS = ("Enter", "Escape")  # that answer a dialog, beside digits
# What a model's side may refuse a turn with. The second kind is of the account: no agent on it can work.
OF_THE_TURN = frozenset({"overloaded", "server_error", "context_full", "model_not_found", "other"})
OF_THE_ACCOUNT = frozenset({"rate_limit", "authentication", "billing"})
ERRORS = OF_THE_TURN | OF_THE_ACCOUNT
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _pattern(text: str) -> str:
    try:
        re.compile(text, re.MULTILINE)
    except re.error as error:
        raise ValueError(f"bad pattern {text!r}: {error}") from None
    return text


def _check_placeholders(text: str, known: frozenset[str]) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name not in known:
            raise ValueError(f"unknown placeholder {{{name}}} in {text!r}")


def _filled(value: Any, change: Callable[[str], str]) -> Any:
    """A copy of what JSON can hold, with every text in it changed; keys stay as they are."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _filled(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(each, change) for each in value]
    return value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Waiting(_Model):
    """A dialog that stops an agent: its name, and the pattern that shows it is up."""

    name: str
    match: str
    answers: Mapping[str, str] = {}  # by the key that gives each, Enter or Escape, where no digits do

    _check = field_validator("match")(_pattern)

    @field_validator("answers")
    @classmethod
    def _keys(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for key in value:
            if key not in NAMED_KEYS:
                raise ValueError(f"{key!r} is no key that answers: {' or '.join(NAMED_KEYS)}")
        return value


class Dialog(Waiting):
    """A dialog of the first start: what it is about and what the person should do."""

    hint: str = ""


class Screen(_Model):
    """Patterns that read a CLI's screen; all optional, multi-line, the last match counts."""

    composer: str | None = None  # the live input line; group `draft` is what stands in it
    composer_end: str | None = None  # the line below the composer's last
    continuation: str | None = None  # what stands before each further row of a draft; else only spaces do
    cursor_inside: bool = False  # the cursor stands in a live composer: what looks like one elsewhere is none
    rows_free: int | None = Field(
        default=None, ge=1
    )  # rows that a draft leaves of a whole screen; else a third takes one
    ghost: str = "dim"  # "dim": dim text in the composer is no draft; else a pattern of such text
    busy: str | None = None
    waiting: tuple[Waiting, ...] = ()
    queued: str | None = None  # what the CLI shows of input that it holds until its turn ends
    limited: str | None = None
    errors: tuple[Waiting, ...] = ()  # what the model's side refused the last turn with; names as in ERRORS
    refused: str | None = None  # why a hook refused the last prompt; group `text`
    later: str | None = None  # what begins an answer or a message: an error above one is history
    retrying: str | None = None  # the CLI tries again by itself
    placeholder: str | None = None  # what a long paste collapses to
    placeholder_over: int = Field(default=0, ge=0)  # characters of the longest paste that stands there as it is
    exited: str | None = None  # what stands on the screen after the CLI has ended

    @field_validator(
        "composer",
        "composer_end",
        "continuation",
        "busy",
        "queued",
        "limited",
        "refused",
        "later",
        "retrying",
        "placeholder",
        "exited",
    )
    @classmethod
    def _check(cls, value: str | None) -> str | None:
        return None if value is None else _pattern(value)

    @field_validator("composer")
    @classmethod
    def _has_draft(cls, value: str | None) -> str | None:
        if value is not None and "draft" not in re.compile(value).groupindex:
            raise ValueError("needs a group (?P<draft>…)")
        return value

    @field_validator("errors")
    @classmethod
    def _known_errors(cls, value: tuple[Waiting, ...]) -> tuple[Waiting, ...]:
        for each in value:
            if each.name not in ERRORS:
                raise ValueError(f"unknown error {each.name!r}: {', '.join(sorted(ERRORS))}")
        return value

    @field_validator("ghost")
    @classmethod
    def _ghost(cls, value: str) -> str:
        return value if value == "dim" else _pattern(value)


class Provider(_Model):
    """One agent CLI, as `providers/<name>.toml` describes it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    title: str = ""  # what people call it
    command: tuple[str, ...] = Field(min_length=1)
    yolo: tuple[str, ...] = ()  # arguments that turn permission prompts off
    yolo_answers: tuple[str, ...] = ()  # dialogs that TACO says yes to instead, where the CLI has no such argument
    yolo_root_env: Mapping[str, str] = {}  # what these arguments need in the environment when root calls
    model_args: tuple[str, ...] = ()  # arguments that are added when a model is asked for
    resume: tuple[str, ...] = ()  # the command that continues a conversation
    install: str = ""  # what a person types to install it
    versions: str = ""  # releases this file was tested with
    first_prompt: Literal["argument", "paste", "none"] = "paste"
    prompt_args: tuple[str, ...] = ()  # what stands before the first prompt where that is an argument
    settle_ms: int = Field(200, ge=200, le=10_000)
    input: Literal["auto", "keys", "paste"] = "auto"
    enter_again_ms: int = Field(500, ge=500, le=60_000)  # a text that still stands after it is given Enter once more
    header: bool = True
    evidence: tuple[Evidence, ...] = (Evidence.SCREEN,)
    queues_when_busy: bool = False
    clear: tuple[str, ...] = ("C-u",)  # keys that empty the composer, pressed until it is
    interrupt: tuple[str, ...] = ("Escape",)
    limit_over: str = "Escape"  # the key that answers the menu of a usage limit (`limit`) once that is over
    hooks: Literal["", "claude", "codex", "opencode"] = ""
    allow: Literal["", "gemini"] = ""  # whose rules {settings} is, where no hooks come with them: what agents may call
    ready_ms: int = Field(0, ge=0, le=10_000)  # how long its first composer takes nothing yet that is pasted
    hooks_from_start: bool = True  # the first comes when it is ready for input; else with its first turn
    trust: Literal["", "claude"] = ""  # whose record of trusted directories it keeps (taco.trust)
    trust_args: tuple[str, ...] = ()  # arguments that say for one launch that its workspace is trusted
    session_file: str = ""  # path with {pid}; the CLI's own file of its state
    # path with {session_id} (or its beginning, {short_id}), {slug} (the directory, non-alphanumerics as -),
    # {session_dir} (where TACO keeps what its own hooks write), and perhaps *
    transcript: str = ""
    retry_log: str = ""  # variable that names a file where its CLI writes what it tries again, and hardly more
    forgets_refused: bool = False  # its conversation keeps no message that the model's side has refused
    tells_cut_off: bool = True  # its transcript says of a turn whether that came to its end
    empty_transcripts: bool = False  # it leaves some without a message, beside the real one too, and resumes none
    config_dir: str = ""  # environment variable of its configuration directory, "=" and the default
    mcp_args: tuple[str, ...] = ()  # arguments that hand it TACO's tools
    mcp_env: Mapping[str, str] = {}  # variables that do so
    mcp_settings: Mapping[str, Any] = {}  # what does so in JSON: in {mcp_config}, else in the settings of the launch
    mcp_unless: tuple[str, ...] = ()  # variables and files of the person's that `mcp_env` would hide: none of it then
    mcp_own: str = (
        ""  # the person's settings (JSON, with {config_dir}), in which they may have named the server themselves
    )
    mcp_of_root: bool = False  # it reads {mcp_config} only where nobody but root can write there (taco.paths.is_roots)
    scripted: bool = False  # a demo, not a model: the monitor says so
    idle_title: str | None = None
    busy_title: str | None = None
    screen: Screen = Screen()
    dialogs: tuple[Dialog, ...] = ()
    env: Mapping[str, str] = {}

    @field_validator("command", "resume", "yolo", "model_args", "trust_args")
    @classmethod
    def _known_placeholders(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for word in value:
            _check_placeholders(word, PLACEHOLDERS)
        return value

    @field_validator("mcp_args", "mcp_env", "mcp_settings")
    @classmethod
    def _known_mcp_placeholders(cls, value: Any) -> Any:
        def checked(text: str) -> str:
            _check_placeholders(text, MCP_PLACEHOLDERS)
            return text

        _filled(value, checked)
        return value

    @model_validator(mode="after")
    def _settings_are_read(self) -> Self:
        if self.has_mcp_file and not self.mcp_settings:
            raise ValueError("mcp_args: {mcp_config} is empty without mcp_settings")
        if self.mcp_settings and not self.has_mcp_file and self.hooks in ("", "codex"):
            raise ValueError("mcp_settings: nothing reads them, name {mcp_config} in mcp_args or mcp_env")
        return self

    @property
    def takes_tools(self) -> bool:
        """Whether TACO's tools (`taco mcp`) can be handed to it."""
        return bool(self.mcp_args or self.mcp_env or self.mcp_settings)

    @property
    def has_mcp_file(self) -> bool:
        """Whether `mcp_settings` stand in a file of their own."""
        return any("{mcp_config}" in word for word in (*self.mcp_args, *self.mcp_env.values()))

    def mcp_variables(self, values: Mapping[str, str]) -> dict[str, str]:
        """`mcp_env` with the placeholders filled in."""
        return {name: _fill(text, values) for name, text in self.mcp_env.items()}

    def mcp_json(self, values: Mapping[str, str]) -> dict[str, Any]:
        """`mcp_settings` with the placeholders filled in."""
        found: dict[str, Any] = _filled(self.mcp_settings, lambda text: _fill(text, values))
        return found

    @property
    def reads_screen(self) -> bool:
        """Whether there are rules for the composer, and so a guard against drafts."""
        return self.screen.composer is not None

    @property
    def names_conversations(self) -> bool:
        """Whether the CLI makes the ids of its conversations itself: it can go on with one, and is given none."""
        resumes = any("{session_id}" in word for word in self.resume)
        return resumes and not self.understands("session_id")

    def understands(self, placeholder: str) -> bool:
        """Whether a value for `placeholder` can reach the CLI at all."""
        return any(f"{{{placeholder}}}" in word for word in (*self.command, *self.model_args))

    def argv(
        self,
        values: Mapping[str, str],
        *,
        yolo: bool = False,
        trusted: bool = False,
        resume: bool = False,
        tools: bool = False,
    ) -> list[str]:
        """The command with its placeholders filled in; `values` has a text for each name used."""
        words = list(self.resume if resume and self.resume else self.command)
        if values.get("model"):
            words += self.model_args
        if yolo:
            words += self.yolo
        if trusted:
            words += self.trust_args
        if tools:
            words += self.mcp_args
        return [_fill(word, values) for word in words]

    def located(
        self,
        template: str,
        environ: Mapping[str, str],
        *,
        cwd: str,
        session_id: str = "",
        pid: int = 0,
        session_dir: str = "",
    ) -> str:
        """The path that `session_file` or `transcript` means for one process; "" where there is no such file."""
        if not template or (re.search(r"\{(?:session|short)_id\}", template) and not session_id):
            return ""
        variable, _, default = self.config_dir.partition("=")
        config_dir = environ.get(variable) or default.replace("~", environ.get("HOME", "~"), 1)
        values = {
            "config_dir": config_dir,
            "pid": str(pid),
            "session_id": session_id,
            "short_id": session_id[:8],
            "session_dir": session_dir,
            "slug": re.sub(r"[^A-Za-z0-9]", "-", cwd),
        }
        return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], ""), text)


def parse_provider(data: Mapping[str, Any], source: str) -> Provider:
    """A provider from the contents of a TOML file; raises ConfigError naming file and key."""
    try:
        return Provider.model_validate(data)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, each['loc'])) or 'file'}: {_reason(each)}" for each in error.errors()]
        raise ConfigError(f"{source}: {'; '.join(lines)}", hint="see the README, section Providers") from None


def _reason(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    return str(error["msg"]).removeprefix("Value error, ")


def not_applied(provider: Provider, wanted: Mapping[str, str | None]) -> Sequence[str]:
    """Warnings for values (`model`, …) that the provider has no placeholder for."""
    return [
        f"{name} {value!r} is not applied: provider {provider.name} has no {{{name}}}"
        for name, value in wanted.items()
        if value and not provider.understands(name)
    ]


def replaced(spec: Spec, *, by: str) -> str:
    """One warning on the agents whose provider a scripted session runs as its own, `by`; "" when there are none."""
    others = [f"{agent.name} ({agent.provider})" for agent in spec.agents if agent.provider not in (None, by)]
    return f"provider is not applied in a demo session: {by} runs {', '.join(others)}" if others else ""
