"""The senders: each sends one message after the other, and repeats it with the same id until it is acknowledged."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from taco.errors import TacoError
from taco.models import Command, Priority, When
from taco.wire import Wire
from tests.bench.chaos.book import Book, Sent

AGAIN_S = 0.05
WORDS = (
    "merge",
    "the branch",
    "état",
    "日本語",
    "tests pass;",
    "#{x}",
    "$HOME",
    "100 %",
    "a 'quoted' word",
    "done 🎉",
    "\\n",
)


class Target:
    """An agent that gets messages: whether its provider types a header, how many may wait for it."""

    def __init__(self, name: str, *, header: bool) -> None:
        self.name = name
        self.header = header

    def text(self, sender: str, body: str) -> str:
        """What its program must get for a message."""
        return f"[{sender} → {self.name}]: {body}" if self.header else body


class Sender(threading.Thread):
    """Sends to every target in turn while it `has_room`, `most` messages in all."""

    def __init__(
        self,
        name: str,
        url: Callable[[], str],
        session: str,
        targets: Sequence[Target],
        book: Book,
        *,
        most: int,
        seed: str,
        has_room: Callable[[str], bool],
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.stop = threading.Event()
        self._url = url
        self._session = session
        self._targets = targets
        self._book = book
        self._most = most
        self._random = random.Random(seed)
        self._has_room = has_room

    def run(self) -> None:
        """Send until all is sent or `stop` is set."""
        turns = itertools.cycle(self._targets)
        with Wire(self._url(), self._session, timeout_s=3.0) as wire:
            for number in range(self._most):
                target = self._next(turns)
                if target is None:
                    return
                self._send(wire, self._message(number, target))

    def _next(self, turns: Iterable[Target]) -> Target | None:
        """The next target that takes more."""
        for at, target in enumerate(turns):
            if self.stop.is_set():
                return None
            if self._has_room(target.name):
                return target
            if at % len(self._targets) == len(self._targets) - 1:
                self.stop.wait(0.02)
        return None

    def _message(self, number: int, target: Target) -> tuple[Command, Sent]:
        some = self._random
        priority = some.choices(list(Priority), (0.1, 0.8, 0.1))[0]
        when = When.NOW if some.random() < 0.03 else When.IDLE
        command_id = f"{self.name}x{number:06d}"
        body = f"{command_id} {self._words()} end"
        command = Command(command_id, self.name, target.name, body, priority, when)
        return command, Sent(command_id, self.name, target.name, priority, when, target.text(self.name, body))

    def _words(self) -> str:
        """Mostly one short line; some have several lines, some take the way of a paste."""
        kind = self._random.random()
        count = 60 if kind < 0.02 else 200 if kind < 0.03 else self._random.randint(1, 6)
        between = "\n" if 0.03 < kind < 0.08 else " "
        return between.join(self._random.choices(WORDS, k=count))

    def _send(self, wire: Wire, message: tuple[Command, Sent]) -> None:
        """As `taco send` does it: the same id until somebody has said that it is stored."""
        command, sent = message
        while not self.stop.is_set():
            try:
                wire.enqueue(command)
            except TacoError as error:
                self._book.complain(type(error).__name__ + ": " + error.message[:60])
                time.sleep(AGAIN_S)
            else:
                self._book.note(sent)
                return
