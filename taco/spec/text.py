"""Finds a spec in what a Mother wrote: transcript, file or captured screen. Pure: text in, parsed JSON out.

Measured with Claude Code 2.1.197: a captured screen is wrapped hard and indented by 2, its first line starts
with a bullet; stripping each line and joining with one space restores a fenced block at every width.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from taco.spec import older
from taco.spec.loading import load

START = "AGENT_SPEC_JSON_START"
END = "AGENT_SPEC_JSON_END"
EXAMPLE_MARK = "(example)"  # ends every role of the example in the prompt
TEXT_LIMIT = 2_000_000  # characters; longer texts are read from their end

# Models escape the underscores as markdown now and then; AGENT_SPEC_START belongs to the older text form.
_START = re.compile(r"AGENT\\?_SPEC\\?_(?:JSON\\?_)?START")
_END = re.compile(r"AGENT\\?_SPEC\\?_(?:JSON\\?_)?END")
_FENCE = re.compile(r"\s*(?:[●⏺•❯>│]\s*)?(?:```|~~~)\s*(?P<language>\w*)\s*")
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_TALK = re.compile(r"[^\S\n]*[`*_#:.,]*[^\S\n]*(?:\n|$)")  # what may follow a marker that ends its line
_OPENS = re.compile(r"[\W_]*?(?:json\w*\s*)?[{\[]", re.IGNORECASE)
_SPEC_WORDS = re.compile(r"\b(?:agents?|name)\b", re.IGNORECASE)
_STARTS_TRIED = 50  # from the last
_ENDS_TRIED = 4  # a role may hold the end marker itself


@dataclass(frozen=True, slots=True)
class Found:
    """The last spec of a text: as text with the screen's traces removed, and as data (or why there is none)."""

    text: str
    data: Any
    warnings: tuple[str, ...] = ()
    error: str = ""


def find_spec(text: str, *, example: str = "", marked_only: bool = False) -> str | None:
    """The text of the last spec in `text` (JSON, or the older AGENT: lines), None when there is none.

    Never one that also stands in `example` (the prompt's template). Without markers a fenced block or a text
    that is nothing but JSON counts too, unless `marked_only`. Broken JSON is returned as it stands.
    """
    found = locate(text, example=example, marked_only=marked_only)
    return found.text if found else None


def locate(text: str, *, example: str = "", marked_only: bool = False) -> Found | None:
    """Like `find_spec`, with the data and the repairs that were needed."""
    text = _plain(text)
    examples = [found.data for found in _candidates(_plain(example), False)] if example else []
    second: Found | None = None
    for found in _candidates(text, marked_only):
        if is_example(found.data) or (found.data is not None and found.data in examples):
            continue
        if is_team(found.data):
            return found
        second = second or found
    return second


def why_nothing(text: str) -> str:
    """One sentence on a text in which `locate` finds nothing."""
    text = _plain(text)
    if any(True for _ in _candidates(text, True)):
        return f"spec: only the prompt's example stands between {START} and {END}"
    if _START.search(text):
        return f"spec: there is {START}, but no {END} after a spec"
    return f"spec: there is nothing between {START} and {END}"


def is_team(data: Any) -> bool:
    """Whether parsed JSON has the shape of a spec: an object with `agents`, a list of agents, or one agent."""
    if isinstance(data, dict):
        return isinstance(data.get("agents"), list) or {"name", "role"} <= data.keys()
    return isinstance(data, list) and any(isinstance(item, dict) and "name" in item for item in data)


def is_example(data: Any) -> bool:
    """Whether this is the prompt's own example: every role in it still carries the mark."""
    agents = data.get("agents") if isinstance(data, dict) else data
    if not isinstance(agents, list) or not agents:
        return False
    roles = [agent.get("role") for agent in agents if isinstance(agent, dict)]
    return bool(roles) and all(isinstance(role, str) and EXAMPLE_MARK in role for role in roles)


def _plain(text: str) -> str:
    text = text[-TEXT_LIMIT:].replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode()  # half characters, from files read with surrogateescape
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def _candidates(text: str, marked_only: bool) -> Iterator[Found]:
    """Everything that may be a spec, the last first; what stands between markers before all else."""
    found_marked = False
    for found in _marked(text):
        found_marked = True
        yield found
    if not (found_marked or marked_only):
        yield from _unmarked(text)


def _marked(text: str) -> Iterator[Found]:
    ends = [(match.start(), match.end()) for match in _END.finditer(text)]
    for start in list(_START.finditer(text))[: -_STARTS_TRIED - 1 : -1]:
        after = [end for end, _ in ends if end >= start.end()][:_ENDS_TRIED]
        broken: Found | None = None
        for end in after:
            block = text[start.end() : end]
            found = _read(block)
            if found.data is not None:
                yield found
                break
            broken = broken or (found if _is_attempt(block) else None)
        else:
            if broken:
                yield broken


def _is_attempt(block: str) -> bool:
    """Whether somebody tried to write a spec here, in contrast to a sentence that names both markers."""
    says_something = bool(_SPEC_WORDS.search(block)) and ("{" in block or bool(_TALK.match(block)))
    return says_something or bool(_OPENS.match(block))


def _unmarked(text: str) -> Iterator[Found]:
    broken: Found | None = None
    for block in reversed(list(_fenced(text))):
        found = _read(block)
        if is_team(found.data):
            yield found
        elif found.data is None and '"agents"' in block:
            broken = broken or found
    if broken:
        yield broken
        return
    if text.lstrip().startswith(("{", "[", "“", "//", "/*")) or older.matches(text):
        yield _read(text)


def _fenced(text: str) -> Iterator[str]:
    """What stands in fenced blocks of JSON or of no language."""
    inside: list[str] | None = None
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line)
        if fence is None:
            if inside is not None:
                inside.append(line)
        elif fence["language"] or inside is None:
            inside = [] if fence["language"].lower() in ("", "json", "json5", "jsonc") else None
        else:
            yield "\n".join(inside)
            inside = None


def _read(block: str) -> Found:
    agent = older.matches(block)
    brace = re.search(r"[{\[]", block)
    if agent and not (brace and brace.start() < agent.start()):
        data, warnings = older.read(block)
        return Found(block.strip(), data, warnings)
    loaded = load(block)
    return Found(loaded.text, loaded.data, loaded.warnings, loaded.error)
