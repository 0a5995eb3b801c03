"""Who was promised what: every message that a sender had acknowledged, in the order of the acknowledgements."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from taco.models import Priority, When


@dataclass(frozen=True, slots=True)
class Sent:
    """One message, and the exact text that must be submitted for it."""

    id: str
    sender: str
    target: str
    priority: Priority
    when: When
    text: str


class Book:
    """What was acknowledged; senders in threads write, everybody reads."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, Sent] = {}
        self.refused = Counter[str]()  # errors that senders got and answered by trying again
        self._waiting = Counter[str]()
        self._lock = threading.Lock()

    def note(self, sent: Sent) -> None:
        """A sender was told that this message is stored."""
        with self._lock:
            self.acknowledged[sent.id] = sent
            self._waiting[sent.target] += 1

    def complain(self, error: str) -> None:
        """A sender was told that its message is not stored."""
        with self._lock:
            self.refused[error] += 1

    def count(self, target: str) -> int:
        """How many messages for one agent were acknowledged."""
        return self._waiting[target]
