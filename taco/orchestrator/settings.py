"""The configuration of a running session: what the person changes in its files counts at once."""

from __future__ import annotations

from pathlib import Path

from taco import files, log
from taco.config import Config
from taco.errors import ConfigError


class LiveSettings:
    """The settings as the files said at the start, and those that may change while the session runs."""

    def __init__(self, config_home: Path, home: Path, project: Path) -> None:
        """Raises what `files.settings` raises."""
        self._places = (config_home, home, project)
        self._files = (config_home / "config.toml", project / ".taco" / "config.toml", home / "trusted.json")
        self._seen = tuple(map(_stamp, self._files))
        self._now = self.config = self._read()

    def token_budget(self) -> int:
        """The tokens that one agent may use, as of now."""
        return self.now().token_budget

    def now(self) -> Config:
        """As the files say now; as they said before, while one is broken."""
        seen = tuple(map(_stamp, self._files))
        if seen != self._seen:
            self._seen = seen
            try:
                self._now = self._read()
            except ConfigError as error:
                log.warning("config.broken", error=error.message, hint=error.hint)
        return self._now

    def _read(self) -> Config:
        found = files.settings(*self._places)
        for note in found.notes:
            log.warning("config.ignored", reason=note)
        return found.config


def _stamp(path: Path) -> int:
    """When a file was changed last; 0 when it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
