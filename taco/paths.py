"""Where TACO keeps its state, and the record of each session on disk: the truth for `ls` and `resume` without Redis.

Light on purpose: every `taco send` from outside a pane looks its session up here.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from taco.errors import NotFoundError, TacoError, UsageError

SESSION_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
LEAST_FREE_BYTES = 1_000_000
TEAM = "team.json"  # beside session.json: who is in the team
STARTING, RUNNING, STOPPING, STOPPED, RESUMING = "starting", "running", "stopping", "stopped", "resuming"


def home() -> Path:
    """The directory of all state: $TACO_HOME, else $XDG_STATE_HOME/taco, else ~/.local/state/taco; always absolute."""
    if own := os.environ.get("TACO_HOME"):
        return Path(own).expanduser().absolute()
    return _xdg("XDG_STATE_HOME", ".local/state") / "taco"


def config_home() -> Path:
    """The directory of the person's configuration: $XDG_CONFIG_HOME/taco, else ~/.config/taco."""
    return _xdg("XDG_CONFIG_HOME", ".config") / "taco"


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / default  # XDG: relative values count as unset


def is_roots(path: Path) -> bool:
    """Whether nobody but root can write `path`, as far as it exists, or any directory above, by whatever links."""
    if path != path.resolve():
        return False
    there = [each.stat() for each in (path, *path.parents) if each.exists()]
    return all(each.st_uid == 0 and not each.st_mode & 0o022 for each in there)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session as `sessions/<name>/session.json` holds it; keys that this release does not know stay in `more`."""

    name: str
    home: Path  # the state directory it was read from; not in the file
    status: str = STARTING
    project_dir: Path = Path()
    prompt: str = ""
    provider: str = ""
    model: str = ""
    started_at: str = ""
    stopped_at: str = ""
    tmux_socket: str = ""  # as `tmux -L` or `-S` takes it; "" the default server
    redis_url: str = ""
    redis_private: bool = True  # TACO's own server, to be started when it is down
    yolo: bool = False
    max_agents: int = 30
    agents: tuple[Mapping[str, Any], ...] = ()  # window, name, role, session_id, …; the newest is in TEAM
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """The session's own directory."""
        return self.home / "sessions" / self.name

    @property
    def stopped(self) -> bool:
        """Whether the person has stopped it."""
        return self.status == STOPPED

    @property
    def unfinished(self) -> bool:
        """Whether somebody is starting or stopping it, or was ended while doing so."""
        return self.status in (STARTING, STOPPING, RESUMING)

    def save(self) -> None:
        """Write it for good (atomically, 0600), also through a crash of the machine."""
        values = asdict(self) | {"session": self.name, "project_dir": str(self.project_dir)}
        values |= values.pop("more")
        del values["name"], values["home"]
        make_private(self.directory)
        write_private(self.directory / "session.json", json.dumps(values, ensure_ascii=False, indent=2) + "\n")

    def save_agents(self) -> None:
        """Write `agents` alone: the executor does that, while others may write the rest."""
        make_private(self.directory)
        write_private(self.directory / TEAM, json.dumps(self.agents, ensure_ascii=False, indent=2) + "\n")

    def changed(self, **values: Any) -> SessionRecord:
        """A copy with other values."""
        return replace(self, **values)


_STORED = {each.name for each in fields(SessionRecord)} - {"name", "home", "more"}


def make_private(directory: Path) -> None:
    """Make a directory that only its owner may enter, and those above it that are missing likewise."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def down(record: SessionRecord) -> str:
    """What to say of a session that runs and whose tmux session is gone: how that came, as far as it was noted."""
    ended = record.more.get("ended") or {}
    how = f"{ended['how']} at {ended['at']}" if {"how", "at"} <= ended.keys() else "its tmux session is gone"
    return f"session {record.name} is down: {how}; to go on: taco resume {record.name}"


def no_room(home: Path) -> str:
    """That the disk of `home` is full, in words for people; "" while it has room. A private Redis stops without it."""
    try:
        free = shutil.disk_usage(home).free
    except OSError:
        return ""
    return "" if free > LEAST_FREE_BYTES else f"the disk of {home} is full: make room; nothing that was queued is lost"


def write_private(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step; the file is readable by its owner only, and on the disk on return."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def session(state: Path, name: str) -> SessionRecord:
    """The record of a session; raises NotFoundError, whose hint lists the others, or TacoError for a broken file."""
    if not SESSION_NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a session name", hint="names are a-z, 0-9, - and _, up to 64 characters")
    path = state / "sessions" / name / "session.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _record(state, name, values | _team(path.with_name(TEAM)))
    except FileNotFoundError:
        known = ", ".join(each.name for each in sessions(state))
        hint = f"sessions: {known}" if known else 'start one: taco start "what you want built"'
        raise NotFoundError(f"no session {name!r}", hint=hint) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise TacoError(f"{path} cannot be read: {error}", hint="repair or remove that file") from None


def _team(path: Path) -> dict[str, Any]:
    """The team as TEAM has it; nothing for a session whose executor has not written it yet."""
    try:
        return {"agents": json.loads(path.read_text(encoding="utf-8"))}
    except FileNotFoundError:
        return {}


def sessions(state: Path) -> list[SessionRecord]:
    """Every readable record, oldest first."""
    found = []
    for path in (state / "sessions").glob("*/session.json"):
        try:
            found.append(session(state, path.parent.name))
        except TacoError:
            continue  # `taco doctor` names broken ones
    return sorted(found, key=lambda each: (each.started_at, each.name))


def _record(state: Path, name: str, values: Mapping[str, Any]) -> SessionRecord:
    known = {key: value for key, value in values.items() if key in _STORED}
    known["project_dir"] = Path(known.get("project_dir", ""))
    known["agents"] = tuple(known.get("agents", ()))
    more = {key: value for key, value in values.items() if key not in _STORED and key != "session"}
    return SessionRecord(name=name, home=state, more=more, **known)


def newest(path: str) -> Path:
    """The file that a path means: where it holds `*`, the one that fits and was written last, else the path itself."""
    return max(_fitting(path), key=lambda each: each.stat().st_mtime, default=Path(path))


def largest(path: str) -> Path:
    """The same, but of those that fit the one with the most in it."""
    return max(_fitting(path), key=lambda each: each.stat().st_size, default=Path(path))


def _fitting(path: str) -> list[Path]:
    if "*" not in path:
        return []
    found = glob.glob(glob.escape(path).replace("[*]", "*"))  # noqa: PTH207  the pattern is absolute
    return [Path(each) for each in found]


def messages_file(session: Path, agent: str) -> Path:
    """The file, in a session's directory, of the long messages to an agent whose CLI has files in its conversation."""
    return session / "messages" / f"{agent}.md"
