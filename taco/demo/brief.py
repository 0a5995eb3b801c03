"""What the demo agent understands of the texts it is given: briefs, requests, messages. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MESSAGE = re.compile(r"\[(?P<sender>[^\[\]→]+?) → (?P<recipient>[^\[\]→]+?)\]: ?(?P<body>.*)\Z", re.DOTALL)
_DIRECTIVE = re.compile(r"^!(?P<name>[a-z]+)(?: +(?P<rest>.*))?$", re.MULTILINE)
_CHECKER = re.compile(r"valid|test|review|check|verif|(?:^|_)qa(?:_|$)", re.IGNORECASE)
_CHECKING = re.compile(r"(?:\w+ ){0,1}(?:valid|test|review|check|verif)", re.IGNORECASE)
_IN_A_FILE = re.compile(r"Read your brief in (?P<path>/.+) first\.")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Message(NamedTuple):
    """A submission: who sent it (empty: a person at the keyboard) and what it says."""

    sender: str
    body: str


class Directive(NamedTuple):
    """An order for tests in a message: `!busy 3` is ("busy", "3")."""

    name: str
    rest: str


class Brief(NamedTuple):
    """An agent's task as far as a script can read it."""

    name: str
    role: str
    waiting: tuple[str, ...]  # teammates that wait for this agent
    checks: bool  # its work is to look at the work of others


def read_message(text: str) -> Message:
    """The header of a delivered message and its body; without a header all is body."""
    found = MESSAGE.match(text)
    return Message(found["sender"].strip(), found["body"]) if found else Message("", text)


def directives(body: str) -> list[Directive]:
    """The lines of a message that are orders."""
    return [Directive(found["name"], (found["rest"] or "").strip()) for found in _DIRECTIVE.finditer(body)]


def _field(text: str, name: str) -> str:
    found = re.search(rf"(?im)^[ >*#-]*(?:your )?{name}\W*?[:=]\W*(?P<value>\S.*?)\s*$", text)
    return found["value"].strip("`\"'* ") if found else ""


def is_brief(text: str) -> bool:
    """Whether a text typed into the composer is a task from TACO, and not a person's remark."""
    agent = "taco done" in text and "Waiting for you:" in text
    return agent or ("AGENT_SPEC_JSON_START" in text and "<request>" in text)


def brief_file(text: str) -> str:
    """Where the brief lies when the first prompt only says that (it is longer than an argument may be); else ""."""
    found = _IN_A_FILE.fullmatch(text.strip())
    return found["path"] if found else ""


def read_brief(text: str, name: str) -> Brief:
    """The brief in `text` of the agent `name`; what is not found is empty."""
    role = _field(text, "role")
    waiting = _NAME.findall(_field(text, "waiting for you").lower())
    return Brief(
        name=name,
        role=role,
        waiting=tuple(each for each in dict.fromkeys(waiting) if each not in {name, "nobody", "none"}),
        checks=bool(_CHECKER.search(name)) or bool(_CHECKING.match(role)),
    )


_REQUEST = re.compile(r"<request>\n?(?P<text>.*)</request>", re.DOTALL)


def request_of(text: str) -> str:
    """What the person asked for, out of the prompt that TACO gives to Mother; any other text is the request."""
    found = _REQUEST.search(text)
    return (found["text"] if found else text).strip()


def shorten(text: str, lines: int = 4, columns: int = 400) -> str:
    """A long text cut to a few lines, with a note of how much is missing."""
    rows = text.split("\n")
    short = "\n".join(rows[:lines])
    if len(short) > columns:
        return f"{short[:columns]}… (+{len(text) - columns} characters)"
    return f"{short}\n… (+{len(rows) - lines} lines)" if len(rows) > lines else short


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
