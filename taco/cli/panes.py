"""The panes of a session as tmux has them: asked only for an address that names another pane than the first."""

from __future__ import annotations

import subprocess

from taco.cli.place import Place
from taco.errors import NotFoundError
from taco.tmux.commands import socket_words

ANSWER_S = 5.0


def check_pane(place: Place, agent: str, index: str) -> None:
    """Raises NotFoundError unless the pane `index` of the agent's window is the agent's."""
    panes = _panes(place)
    own = [(window, pane) for window, pane, owner in panes if owner == f"{place.name}/{agent}"]
    if any(pane == index for _, pane in own):
        return
    windows = {window for window, _ in own}
    there = ", ".join(
        f"{pane} ({owner.rpartition('/')[2] or 'no agent'})" for at, pane, owner in panes if at in windows
    )
    hint = f"panes there: {there}" if there else f"send to the agent itself: {place.name}:{agent}"
    raise NotFoundError(f"pane {index} in the window of {agent} is not its own", hint=hint)


def _panes(place: Place) -> list[list[str]]:
    """The window, the index and the owner of every pane of the session's tmux server; nothing when that is down."""
    format_ = "#{window_id} #{pane_index} #{@taco_agent}"
    words = ["tmux", "-u", *socket_words(place.record.tmux_socket), "list-panes", "-a"]
    try:
        done = subprocess.run([*words, "-F", format_], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.split(" ", 2) for line in done.stdout.splitlines()]
