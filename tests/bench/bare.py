"""The protocol and nothing else: text, wait, Enter by a bare `tmux source-file -` loop; no guard, no Redis."""

from __future__ import annotations

import heapq
import itertools
import subprocess
import time
from collections.abc import Sequence

WAIT_S = 0.2


class BareLoop:
    """Types into panes; whatever is due rides in one `source-file`."""

    def __init__(self, socket: str) -> None:
        self._argv = ["tmux", "-u", "-L", socket, "source-file", "-"]
        self.trips = 0

    def deliver(self, panes: Sequence[str], texts: Sequence[str]) -> float:
        """Deliver every text to every pane, one after the other in each; how many seconds it took."""
        begun = time.monotonic()
        numbers = itertools.count()
        due: list[tuple[float, int, str, int, bool]] = [(0.0, next(numbers), pane, 0, False) for pane in panes]
        while due:
            time.sleep(max(0.0, due[0][0] - time.monotonic()))
            now, batch = time.monotonic(), []
            while due and due[0][0] <= now:
                batch.append(heapq.heappop(due))
            self._run([_line(pane, "" if typed else texts[at]) for _, _, pane, at, typed in batch])
            done = time.monotonic()
            for _, _, pane, at, typed in batch:
                if not typed:
                    heapq.heappush(due, (done + WAIT_S, next(numbers), pane, at, True))
                elif at + 1 < len(texts):
                    heapq.heappush(due, (done, next(numbers), pane, at + 1, False))
        return time.monotonic() - begun

    def _run(self, lines: Sequence[str]) -> None:
        self.trips += 1
        subprocess.run(self._argv, input="\n".join(lines).encode() + b"\n", check=True, capture_output=True)


def _line(pane: str, text: str) -> str:
    return f"send-keys -t {pane} -l -- '{text}'" if text else f"send-keys -t {pane} Enter"
