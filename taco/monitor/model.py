"""What the screens draw from: the newest snapshot, the events seen, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable

from taco.monitor.activity import EventLog
from taco.monitor.alerts import Trouble
from taco.monitor.source import Letters, Snapshot


class Model:
    """The state of the monitor; `Feed` writes it, screens read it."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` gives epoch seconds."""
        self.now = now
        self.snapshot: Snapshot | None = None
        self.letters: Letters | None = None  # None: not read yet
        self.trouble = Trouble()
        self.events = EventLog()
        self.stays = False  # runs as a window of its session and is not to be quit
        self.notice = ""  # one line for the person, instead of the keys for a moment
        self.selected = ""  # name of the agent under the cursor
