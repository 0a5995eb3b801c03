"""What tests need of the hostile agent and the raw reader: how they are started, and what they have logged."""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOSTILE = Path(__file__).with_name("hostile_agent.py")
RAW_READER = Path(__file__).with_name("raw_reader.py")

_SCREEN = r"""
[screen]
composer = '^> ?(?P<draft>.*)$'
composer_end = '^─{4,}$'
ghost = "dim"
busy = '^  hostile · working… esc to interrupt'
waiting = [{ name = "permission", match = '^  Do you want to proceed\?$' }]
placeholder = '\[Pasted text #\d+ \+\d+ lines\]'
exited = '^hostile agent ended\.$'
"""


def hostile_argv(log: Path | str = "", **options: object) -> list[str]:
    """The command of a hostile agent: `hostile_argv(log, swallow=0.3, deaf_s=1, slow="16:5", collapse=True)`."""
    words = [sys.executable, str(HOSTILE)]
    if log:
        words += ["--log", str(log)]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value is not False:
            words += [flag, str(value)]
    return words


def hostile_provider(
    name: str = "hostile",
    log: Path | str = "",
    *,
    first_prompt: str = "none",
    settle_ms: int = 200,
    input: str = "auto",
    header: bool = True,
    evidence: Sequence[str] = ("screen",),
    queues_when_busy: bool = True,
    screen: bool = True,
    **options: object,
) -> str:
    """The TOML of a provider that starts a hostile agent; `{agent}` in `log` becomes the agent's name."""
    command = [*hostile_argv(log, **options), "--name", "{agent}"]
    head = f"""\
name = {json.dumps(name)}
command = {json.dumps(command)}
first_prompt = {json.dumps(first_prompt)}
settle_ms = {settle_ms}
input = {json.dumps(input)}
header = {json.dumps(header)}
evidence = {json.dumps(list(evidence))}
queues_when_busy = {json.dumps(queues_when_busy)}
"""
    return head + (_SCREEN if screen else "")


def raw_argv(log: Path | str, *, mode: str = "raw", bracketed: bool = False, size: int = 65_536) -> list[str]:
    """The command of a raw reader."""
    words = [sys.executable, str(RAW_READER), str(log), "--mode", mode, "--size", str(size)]
    return [*words, "--bracketed"] if bracketed else words


def raw_provider(name: str, log: Path | str, *, header: bool = False, **options: Any) -> str:
    """The TOML of a provider without screen rules that starts a raw reader."""
    return f"""\
name = {json.dumps(name)}
command = {json.dumps(raw_argv(log, **options))}
first_prompt = "none"
header = {json.dumps(header)}
evidence = []
"""


@dataclass(frozen=True, slots=True)
class Log:
    """What a hostile or demo agent has logged, in order."""

    lines: tuple[dict[str, Any], ...]

    def events(self, *names: str) -> list[dict[str, Any]]:
        """The lines of these kinds of events."""
        return [line for line in self.lines if line["event"] in names]

    def texts(self, event: str = "submit") -> list[str]:
        """The texts of one kind of event, as `bytes.decode('utf-8', 'surrogateescape')` gives them."""
        return [text_of(line) for line in self.events(event)]

    @property
    def counts(self) -> Counter[str]:
        """How often each kind of event happened."""
        return Counter(line["event"] for line in self.lines)

    @property
    def submitted(self) -> Counter[str]:
        """How often each text was submitted: every count is 1 when nothing was doubled."""
        return Counter(self.texts())


def text_of(line: dict[str, Any]) -> str:
    """The exact text of a logged line."""
    if "base64" in line:
        return base64.b64decode(line["base64"]).decode("utf-8", "surrogateescape")
    return str(line["text"])


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; none when there is no file yet."""
    if not path.exists():
        return []
    whole = path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in whole]


def read_log(path: Path) -> Log:
    """The log of a hostile or a demo agent."""
    return Log(tuple(read_lines(path)))


@dataclass(frozen=True, slots=True)
class Received:
    """What a raw reader got: all bytes, the reads with their times, and where pastes began and ended."""

    data: bytes
    reads: tuple[tuple[float, bytes], ...]  # (monotonic seconds, bytes)
    brackets: tuple[tuple[str, int], ...]  # ("begin" | "end", offset of its ESC sequence)
    ready: bool

    @property
    def pastes(self) -> list[bytes]:
        """The contents of the bracketed pastes."""
        starts = [offset + 6 for kind, offset in self.brackets if kind == "begin"]
        ends = [offset for kind, offset in self.brackets if kind == "end"]
        return [self.data[start:end] for start, end in zip(starts, ends, strict=False)]


def read_raw(path: Path) -> Received:
    """The log of a raw reader."""
    lines = read_lines(path)
    reads = [(line["mono"], base64.b64decode(line["data"])) for line in lines if line["event"] == "read"]
    return Received(
        data=b"".join(data for _, data in reads),
        reads=tuple(reads),
        brackets=tuple((kind, at) for line in lines for kind, at in line.get("brackets", ())),
        ready=any(line["event"] == "ready" for line in lines),
    )
