"""JSON as models write it: undoes a screen's traces, repairs what is unambiguous, names what is not. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_DECODER_SPACE = " \t\n\r"
_BULLETS = re.compile(r"^(?:[●⏺•❯›▌│┃⎿>]\s*)+")
_TOKENS = re.compile(
    r'(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+"?)'
    r"|(?P<comma>,(?=\s*[}\]]))"
    r"|(?P<space>[\u00a0\u2000-\u200b\u2028\u2029\u202f\u2060\u3000]+)"
    r"|(?P<word>\b(?:None|True|False)\b)",
    re.DOTALL,
)
_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_DEEPEST = 200  # levels; a team has four
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_COMMENT = re.compile(r"[\s,]*(?P<comment>(?://|/\*|#)[^\n]*)")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_WORDS = {"None": "null", "True": "true", "False": "false"}
_MANY = "there are {} JSON values: put everything into one object"
_SMART = str.maketrans(dict.fromkeys("“”„‟″＂", '"'))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A block as text without the screen's traces, and its data, or in `error` why it has none."""

    text: str
    data: Any = None
    warnings: tuple[str, ...] = ()
    error: str = ""


class _Broken(Exception):
    def __init__(self, reason: str, text: str, position: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text
        self.position = position


def load(block: str) -> Loaded:
    """The JSON value in `block`: around it fences, bullets and prompts may stand, inside it wrapped lines."""
    variants = list(_variants(block))
    if not variants:
        return Loaded(block.strip(), error="spec: there is no JSON here: neither { nor [")
    failures: list[_Broken] = []
    for repair in (_as_it_is, _tidied, _straightened):
        for variant in variants:
            repaired, warnings = repair(variant)
            try:
                data, more = _decode(repaired)
            except _Broken as broken:
                failures.append(broken)
            else:
                whole = _without_surrogates(data) if "\\ud" in variant.lower() else data
                return Loaded(variant, whole, (*warnings, *more))
    return Loaded(variants[0], error=_explain(max(failures, key=lambda each: each.position)))


def _variants(block: str) -> Iterator[str]:
    """The block from its first to its last bracket: as it stands, lines joined, bullets removed."""
    cut = _cut(block)
    if cut is None:
        return
    lines = [line.strip() for line in cut.splitlines()]
    bare = [_BULLETS.sub("", line).rstrip("│┃").rstrip() for line in lines]
    joined = (" ".join(filter(None, each)).replace("\t", " ") for each in (lines, bare))
    yield from dict.fromkeys((cut, *joined))


def _cut(block: str) -> str | None:
    first = re.search(r"[{\[]", block)
    last = max(block.rfind("}"), block.rfind("]"))
    if first is None:
        return None
    return block[first.start() : last + 1] if last > first.start() else block[first.start() :].rstrip()


def _as_it_is(text: str) -> tuple[str, list[str]]:
    return text, []


def _tidied(text: str) -> tuple[str, list[str]]:
    """Without trailing commas, odd spaces, Python's words and escapes that JSON does not know."""
    seen: dict[str, None] = {}

    def replace(match: re.Match[str]) -> str:
        if match["string"]:
            fixed = _ESCAPE.sub(_known_escape, match["string"])
            if fixed != match["string"]:
                seen["spec: backslashes that JSON does not know were doubled"] = None
            return fixed
        if match["comma"]:
            seen["spec: trailing commas were removed"] = None
            return ""
        if match["word"]:
            seen[f"spec: {match['word']} was read as {_WORDS[match['word']]}"] = None
            return _WORDS[match["word"]]
        return " "

    return _TOKENS.sub(replace, text), list(seen)


def _known_escape(match: re.Match[str]) -> str:
    known = len(match[1]) > 1 or match[1] in '"\\/bfnrt'
    return match[0] if known else "\\" + match[0]


def _straightened(text: str) -> tuple[str, list[str]]:
    straight = text.translate(_SMART)
    tidy, warnings = _tidied(straight)
    return tidy, ["spec: typographic quotes were read as straight ones", *warnings]


def _decode(text: str) -> tuple[Any, list[str]]:
    """One JSON value and warnings; agents that follow each other without a list count as a list."""
    repeated: dict[str, None] = {}
    decode = json.JSONDecoder(object_pairs_hook=_pairs(repeated)).raw_decode
    values: list[Any] = []
    position = 0
    if _is_deep(text):
        raise _Broken("nested too deeply", text, position)
    while position < len(text):
        try:
            value, end = decode(text, position)
        except json.JSONDecodeError as error:
            if values and not _opens(text[position:]):
                return values[0], [*repeated, "spec: text after the JSON was ignored"]
            raise _Broken(error.msg, text, error.pos) from None
        except ValueError:
            raise _Broken("a number is too large", text, position) from None
        values.append(value)
        position = _skip(text, end)
    if len(values) == 1:
        return values[0], list(repeated)
    if all(isinstance(value, dict) and "agents" not in value and "name" in value for value in values):
        return values, [*repeated, "spec: agents stand one after the other: read as a list"]
    raise _Broken(_MANY.format(len(values)), text, len(text))


def _is_deep(text: str) -> bool:
    """Whether it is nested beyond what every Python can decode: how deep that is differs by release."""
    if sum(map(text.count, "[{")) <= _DEEPEST:
        return False
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += (found[0] in "[{") - (found[0] in "]}")
        if depth > _DEEPEST:
            return True
    return False


def _without_surrogates(data: Any) -> Any:
    """Half characters (`\\ud800` alone) are valid JSON but no text that could be stored."""
    match data:
        case str():
            return _SURROGATE.sub("", data)
        case list():
            return [_without_surrogates(item) for item in data]
        case dict():
            return {_SURROGATE.sub("", key): _without_surrogates(item) for key, item in data.items()}
    return data


def _opens(text: str) -> bool:
    return "{" in text


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _DECODER_SPACE + ",":
        position += 1
    return position


def _pairs(repeated: dict[str, None]) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if len(built) != len(pairs):
            names = [name for name, _ in pairs]
            for name in dict.fromkeys(name for name in names if names.count(name) > 1):
                repeated[f"spec: the key {name!r} stands twice in one object: the last one counts"] = None
        return built

    return build


def _explain(broken: _Broken) -> str:
    """One sentence on what is wrong and where."""
    if comment := _COMMENT.match(broken.text, broken.position):
        return f"spec: JSON has no comments: remove {comment['comment'][:60]!r}"
    if broken.position == len(broken.text) and broken.reason.startswith(_MANY[:9]):
        return f"spec: {broken.reason}"
    line = broken.text.count("\n", 0, broken.position) + 1
    place = f" in line {line}" if "\n" in broken.text else ""
    near = " ".join(broken.text[max(0, broken.position - 30) : broken.position + 30].split())
    return f"spec: not JSON: {broken.reason}{place}, near {near!r}"
