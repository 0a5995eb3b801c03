"""The plain forms of `send`, `broadcast`, `done` and `fail`, parsed without click: it would cost a third of the call.

So are `monitor` and `executor` as windows 1 and 2 run them: they would carry it for as long as the session lasts.

What is not plain (an option that is unknown, misspelt or without its value, `--help`) goes to click, which knows the
same options and says what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from taco.cli.caller import caller, check_allowed
from taco.cli.outcome import conclude

# Option -> the field of `sending.Sending` (or argument of `reporting.report`) it sets.
COMMON = {"--file": "file", "--from": "sender", "--session": "session"}
SENDING = COMMON | {"--priority": "priority", "--when": "when", "--wait": "wait_s", "--id": "command_id"}
CHOICES = {"priority": ("high", "normal", "low"), "when": ("idle", "now")}
OPTIONS: Mapping[str, Mapping[str, str]] = {"send": SENDING, "broadcast": SENDING, "done": COMMON, "fail": COMMON}

RUNNERS = ("monitor", "executor")


def run(argv: Sequence[str]) -> int | None:
    """The exit code of a plain call, or None when click has to look at it."""
    if len(argv) == 3 and argv[0] in RUNNERS and argv[1] == "--session":
        return conclude(lambda: _run(argv[0], argv[2]), as_json=False)
    if not argv or argv[0] not in OPTIONS or (parsed := parse(argv[0], argv[1:])) is None:
        return None
    words, values = parsed
    return conclude(lambda: _call(argv[0], words, values), as_json=bool(values.get("as_json")))


def parse(verb: str, argv: Sequence[str]) -> tuple[list[str], dict[str, Any]] | None:
    """The positional words and the values of the options, or None for what is not plain."""
    options, words, values = OPTIONS[verb], list[str](), dict[str, Any]()
    rest = iter(argv)
    for word in rest:
        if word == "--":
            words += rest
        elif word == "--json":
            values["as_json"] = True
        elif not word.startswith("-") or word == "-":
            words.append(word)
        else:
            name, equals, value = word.partition("=")
            value = value if equals else next(rest, "-")
            if name not in options or (value.startswith("-") and not equals):
                return None
            values[options[name]] = value
    return (words, values) if _plain(verb, words, values) else None


def _plain(verb: str, words: Sequence[str], values: dict[str, Any]) -> bool:
    if verb == "send" and not words:
        return False
    if any(values.get(key, allowed[0]) not in allowed for key, allowed in CHOICES.items()):
        return False
    try:
        wait_s = float(values.get("wait_s", 0))
    except ValueError:
        return False
    if "wait_s" in values:
        values["wait_s"] = wait_s
    return 0 <= wait_s < math.inf


def _run(verb: str, session: str) -> int:
    from taco.cli import running

    check_allowed(caller(), verb)
    return running.watch(session) if verb == "monitor" else running.deliver(session)


def _call(verb: str, words: Sequence[str], values: Mapping[str, Any]) -> int:
    if verb in ("done", "fail"):
        from taco.cli.reporting import report

        return report(words, failed=verb == "fail", **values)
    from taco.cli.sending import Sending, send

    if verb == "broadcast":
        return send(Sending("all", words, **values))
    return send(Sending(words[0], words[1:], **values))
