"""Which projects the person trusts, and with what in them: their `.taco` directory says which programs run.

Trust is of what the person saw: the files as they were then. When one of them changes, by whoever, it is asked again.
"""

from __future__ import annotations

import hashlib
import json
import os
from enum import Enum
from pathlib import Path

from taco.errors import ConfigError
from taco.paths import make_private

_FILE = "trusted.json"


class Trust(Enum):
    """How the person stands to a project's `.taco` directory."""

    NEVER = "not trusted"
    CHANGED = "changed since you trusted it"
    TRUSTED = "trusted"


def trust_of(home: Path, project: Path) -> Trust:
    """Whether the files of this project's `.taco` may count; raises ConfigError for a broken list."""
    here = project.resolve()
    recorded = _read(home)
    if str(here) not in recorded:
        return Trust.NEVER
    return Trust.TRUSTED if recorded[str(here)] == digest(here) else Trust.CHANGED


def trusted_projects(home: Path) -> list[Path]:
    """The directories that the person trusted, changed since or not."""
    return [Path(each) for each in _read(home)]


def trust(home: Path, project: Path, *, trusted: bool = True) -> None:
    """Remember (or forget) that the person trusts a project as it is now."""
    here, recorded = project.resolve(), _read(home)
    recorded.pop(str(here), None)
    if trusted:
        recorded[str(here)] = digest(here)
    make_private(home)
    draft = home / f"{_FILE}.{os.getpid()}.tmp"
    draft.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(home / _FILE)


def files_of(project: Path) -> list[Path]:
    """The files of a project that count once it is trusted."""
    own = project / ".taco"
    return [path for path in (own / "config.toml", *sorted((own / "providers").glob("*.toml"))) if path.is_file()]


def digest(project: Path) -> str:
    """A hash of the names and the contents of these files."""
    found = hashlib.sha256()
    for path in files_of(project):
        try:
            content = path.read_bytes()
        except OSError as error:
            content = str(error.strerror).encode()
        found.update(f"{path.relative_to(project)} {len(content)}\n".encode() + content)
    return found.hexdigest()


def _read(home: Path) -> dict[str, str]:
    """Directory -> digest; what an earlier release trusted without one has changed, as far as anybody knows."""
    try:
        content = json.loads((home / _FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ConfigError(f"{home / _FILE} cannot be read: {error}", hint="repair or remove that file") from None
    if isinstance(content, list):
        content = dict.fromkeys(map(str, content), "")
    if not isinstance(content, dict):
        raise ConfigError(f"{home / _FILE} cannot be read: not an object", hint="repair or remove that file")
    return {str(key): str(value) for key, value in content.items()}
