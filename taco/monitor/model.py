"""What the screens draw from: the newest snapshot, the events seen, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from taco.inbox import Note
from taco.models import Agent
from taco.monitor.activity import EventLog
from taco.monitor.alerts import Trouble
from taco.monitor.source import Letters, Snapshot
from taco.monitor.team import find, matching


class Model:
    """The state of the monitor; `Feed` writes it, screens read it."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` gives epoch seconds."""
        self.now = now
        self.snapshot: Snapshot | None = None
        self.letters: Letters | None = None  # None: not read yet
        self.notes: Sequence[Note] | None = None  # the person's messages; None: not read yet
        self.screens: Mapping[str, Sequence[str]] = {}  # agent -> what its pane shows, while the inbox is open
        self.trouble = Trouble()
        self.events = EventLog()
        self.stays = False  # runs as a window of its session
        self.notice = ""  # one line for the person, instead of the keys for a moment
        self.selected = ""  # name of the agent under the cursor
        self.wanted = ""  # what agents and activity are filtered for

    def shown(self) -> Snapshot | None:
        """The snapshot with the agents that the filter leaves."""
        return matching(self.snapshot, self.wanted) if self.snapshot else None

    def agent(self) -> Agent | None:
        """The agent under the cursor."""
        shown = self.shown()
        return find(shown.agents, self.selected) if shown else None
