"""`taco doctor --report`: one block for a bug report, without secrets, names and what anybody wrote."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from taco import __version__, files, paths
from taco.config import Config
from taco.doctor import Check
from taco.errors import TacoError
from taco.paths import SessionRecord
from taco.redact import redact

LINES = 40  # of the newest session's log
_KINDS = ("command.", "person.", "ask.", "spec.", "agent.done", "agent.failed")  # they hold what somebody wrote


def report(checks: Sequence[Check], config_home: Path, home: Path) -> str:
    """The block: versions, checks, settings, sessions as numbers, and the last warnings of the newest session."""
    lines = [
        f"TACO {__version__}",
        f"Python {platform.python_version()} ({sys.implementation.name}), {platform.platform()}",
        f"TERM={os.environ.get('TERM', '')} LANG={os.environ.get('LANG', '')} tmux={bool(os.environ.get('TMUX'))}",
        "",
        *(f"{each.verdict:<4} {each.name}: {each.found}" for each in checks if not each.name.startswith("session ")),
        "",
        *_settings(config_home, home),
        "",
    ]
    records = paths.sessions(home)
    for number, record in enumerate(records, 1):
        lines.append(_session(number, record))
    if records:
        lines += ["", f"last warnings of session {len(records)}:", *_warnings(records[-1])]
    names = [record.name for record in records] + [str(record.project_dir) for record in records]
    return "```\n" + anonymous("\n".join(lines), names).rstrip() + "\n```"


def anonymous(text: str, names: Sequence[str] = ()) -> str:
    """The text without secrets, the home directory, user, host, and these names."""
    text = redact(text)
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "<name>", text)
    text = text.replace(str(Path.home()), "~") if Path.home() != Path("/") else text
    for name, instead in ((_user(), "<user>"), (platform.node(), "<host>")):
        if len(name) > 2 and name != "root":
            text = re.sub(rf"\b{re.escape(name)}\b", instead, text)
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _settings(config_home: Path, home: Path) -> Iterator[str]:
    """The names of what was set; of numbers and switches the value too."""
    try:
        found = files.settings(config_home, home, Path.cwd())
    except TacoError as error:
        yield f"settings: {error.message}"
        return
    for name in Config.model_fields:
        if found.sources[name] != "default":
            value: Any = getattr(found.config, name)
            yield f"setting {name} = {value if isinstance(value, int | float) else '<set>'}"


def _session(number: int, record: SessionRecord) -> str:
    kinds = Counter(f"{each.get('provider', '?')} {each.get('status', '?')}" for each in record.agents)
    team = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "no agents"
    redis = "private Redis" if record.redis_private else "own Redis"
    return f"session {number}: {record.status}, {team}, {redis}{', yolo' if record.yolo else ''}"


def _warnings(record: SessionRecord) -> list[str]:
    """Warnings and errors of its log, oldest first; of what somebody wrote only the kind."""
    found = []
    try:
        lines = (record.directory / "log.jsonl").read_bytes().splitlines()
    except OSError as error:
        return [f"(no log: {error.strerror})"]
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("warning", "error"):
            kind = str(entry.get("type", ""))
            said = "" if kind.startswith(_KINDS) else str(entry.get("content", ""))[:500]
            found.append(f"{str(entry.get('ts', ''))[:19]} {kind} {said}".rstrip())
    return found[-LINES:] or ["(none)"]
