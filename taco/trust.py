"""A CLI's own record of which directories its user trusts: read, and written only when the person said so.

Claude Code 2.1.197 asks once for each directory whether it is trusted and keeps the answer in `.claude.json`, below
`projects.<directory or a parent>.hasTrustDialogAccepted`. Nothing else in that file is touched.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from taco.errors import TacoError
from taco.provider import Provider

_ACCEPTED = "hasTrustDialogAccepted"


def is_asked_for(provider: Provider, project: Path, environ: Mapping[str, str]) -> bool:
    """Whether this provider will stop at its trust dialog in `project`."""
    if provider.trust != "claude":
        return False
    projects = _read(_file(environ)).get("projects")
    known = projects if isinstance(projects, dict) else {}
    places = [str(place) for place in (project, *project.parents)]
    return not any(isinstance(known.get(place), dict) and known[place].get(_ACCEPTED) for place in places)


def record(project: Path, environ: Mapping[str, str]) -> Path:
    """Note in Claude Code's configuration that `project` is trusted; the file. Raises TacoError, nothing changed."""
    path = _file(environ)
    content = _read(path)
    projects = content.setdefault("projects", {})
    entry = projects.setdefault(str(project), {}) if isinstance(projects, dict) else None
    if not isinstance(entry, dict):
        raise TacoError(f"{path}: projects is not as expected", hint="answer the trust dialog in the agent's window")
    entry[_ACCEPTED] = True
    _write(path, content)
    return path


def forget(project: Path, environ: Mapping[str, str]) -> None:
    """Take `record` back, and the places it had to make; raises TacoError, nothing changed."""
    path = _file(environ)
    content = _read(path)
    projects = content.get("projects")
    entry = projects.get(str(project)) if isinstance(projects, dict) else None
    if not isinstance(projects, dict) or not isinstance(entry, dict) or entry.pop(_ACCEPTED, None) is None:
        return
    if not entry:
        del projects[str(project)]
    if not projects:
        del content["projects"]
    _write(path, content)


@contextlib.contextmanager
def noted(project: Path, environ: Mapping[str, str], say: Callable[[str], None]) -> Iterator[None]:
    """`record`, taken back when what is done under it fails; `say` hears of both. Raises TacoError."""
    say(f"trust noted in {record(project, environ)}")
    try:
        yield
    except BaseException:
        try:
            forget(project, environ)
        except TacoError as error:
            say(f"the note of trust stays: {error.message}")
        else:
            say("the note of trust is taken back")
        raise


def _write(path: Path, content: Mapping[str, Any]) -> None:
    target = path.resolve()  # where it is a link, that stays
    draft = target.with_name(f"{target.name}.taco-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        draft.touch(mode=mode)
        draft.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise TacoError(f"{path} cannot be written: {error.strerror}") from None


def _file(environ: Mapping[str, str]) -> Path:
    directory = environ.get("CLAUDE_CONFIG_DIR") or environ.get("HOME") or str(Path.home())
    return Path(directory) / ".claude.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TacoError(f"{path} cannot be read: {error}", hint="mend it, or start without --trust") from None
    if not isinstance(content, dict):
        raise TacoError(f"{path} is not a JSON object", hint="mend it, or start without --trust")
    return content
