"""What is needed to understand a run that went wrong, copied before the arena is closed."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from taco.errors import TacoError
from taco.wire import Wire
from tests.bench.chaos.arena import NAME, Arena

PANES = "#{pane_id} #{@taco_agent} #{@taco_typed} #{@taco_entered}"


def keep(place: Path, arena: Arena) -> None:
    """Logs, screens, ledgers and events, as files in `place`, which is emptied first."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(arena.directory / "logs", place / "logs")
    shutil.copytree(arena.home / "redis", place / "redis", ignore=shutil.ignore_patterns("append*"))
    shutil.copytree(arena.home / "sessions", place / "sessions")
    (place / "panes.txt").write_text(arena.tmux.run("list-panes", "-a", "-F", PANES, check=False))
    for pane in arena.tmux.run("list-panes", "-a", "-F", "#{pane_id}", check=False).split():
        screen = arena.tmux.run("capture-pane", "-p", "-J", "-S", "-200", "-t", pane, check=False)
        (place / f"screen{pane}.txt").write_text(screen)
    with contextlib.suppress(TacoError), Wire(arena.url, NAME) as wire:
        events = wire.call("XRANGE", wire.keys.events, "-", "+")
        (place / "events.txt").write_text("\n".join(str(fields[1]) for _, fields in events))
