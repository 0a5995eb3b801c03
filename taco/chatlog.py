"""Reads Aider's chat history, which is Markdown, as the lines of JSON of Claude Code's transcripts. Pure.

What the person said stands behind `#### `, each line of it; what the CLI itself says and asks behind `> `, the first
line of it; both end in two spaces. What follows an empty line is the model's. A message is written at Enter, before the
model is asked (0.86.2).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

SUFFIX = ".md"
_TOKENS = re.compile(r"> Tokens: (?P<sent>\S+) sent,.* (?P<received>\S+) received\.")
_BEGUN = "# aider chat started at "
_INTERRUPTED = "\n> ^C "
_SAID, _OWN, _RAN, _END = "#### ", "> ", "> Running ", "  "


def as_lines(markdown: bytes) -> bytes:
    """The same as lines of JSON; half a line at the end is passed over."""
    text = markdown.decode(errors="replace")
    return "".join(f"{json.dumps(record)}\n" for record in _records(text.split("\n")[:-1])).encode()


def used(line: bytes) -> int:
    """The tokens that one line tells of; 0 for any other line. They are rounded: `2.5k`, and those of each request."""
    found = _TOKENS.match(line.decode(errors="replace"))
    return _number(found["sent"]) + _number(found["received"]) if found else 0


def asked_command(markdown: bytes) -> str:
    """The shell command that it asks for now, or whose output it wants to add; "" for none and for several lines.

    The last line, if both it and the one before begin as the CLI's own do: of several only the first has a `> `.
    """
    before, last = ["", "", *markdown.decode(errors="replace").split("\n")[:-1]][-2:]
    if not (_is_own(before) and _is_own(last)):
        return ""
    begins = _RAN if before.startswith("> Run shell command") else _OWN
    return last.removesuffix(_END).removeprefix(begins) if last.startswith(begins) else ""


def _is_own(line: str) -> bool:
    return line.startswith(_OWN) and line.endswith(_END)


def _records(lines: list[str]) -> Iterator[dict[str, Any]]:
    for number, (kind, block) in enumerate(groupby(_told(lines), key=lambda told: told[0])):
        text = "\n".join(line for _, line in block)
        if kind == _SAID:
            # a command to the CLI is no turn
            yield {"type": "user", "isMeta": text.startswith(("/", "!")), "message": {"content": text}}
        elif kind == "" and text.strip():
            message = {"id": f"block {number}", "content": text.strip(), "stop_reason": "end_turn"}
            yield {"type": "assistant", "message": message}
        elif kind == _OWN and _INTERRUPTED in f"\n{text}":
            yield {"subtype": "turn_duration"}


def _told(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Who says each line (`_SAID`, `_OWN`, or "" for the model), and what."""
    who = ""
    for line in lines:
        if line.startswith(_SAID) and line.endswith(_END):
            who = _SAID
        elif _is_own(line) or line.startswith(_BEGUN) or (who == _OWN and line):
            who = _OWN
        else:
            who = ""
        yield who, line.removeprefix(_SAID).removesuffix(_END) if who == _SAID else line


def _number(text: str) -> int:
    """What `980`, `2.5k` or `1.2M` means."""
    factor = {"k": 1_000, "M": 1_000_000}.get(text[-1], 1)
    try:
        return round(float(text.rstrip("kM").replace(",", "")) * factor)
    except ValueError:
        return 0
