"""Sends by another program's own functions; runs in a Python that has it (`bench_peers`), and imports none of TACO.

Reads JSON on stdin: {"peer", "session", "windows", "texts", "wait_s" (null: the peer's own)}. Each window has a thread
of its own, as both peers are used. Prints JSON: {"took_s", "versions"}.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Send = Callable[[str, str], object]


def orchestrator(session: str, wait_s: float | None) -> Send:
    """cli-agent-orchestrator as its terminal service sends: a forced paste, its delay, one Enter."""
    from cli_agent_orchestrator.clients.tmux import tmux_client

    delay = inspect.signature(tmux_client.send_keys).parameters["submit_delay"].default if wait_s is None else wait_s

    def send(window: str, text: str) -> object:
        return tmux_client.send_keys(
            session, window, text, enter_count=1, force_bracketed_paste=True, submit_delay=delay
        )

    return send


def three_steps(session: str, wait_s: float | None) -> Send:
    """Plain libtmux: the text, the wait of the protocol, Enter."""
    import libtmux

    panes = {window.window_name: window.active_pane for window in libtmux.Server().windows}

    def send(window: str, text: str) -> None:
        pane: Any = panes[window]
        pane.send_keys(text, enter=False, literal=True)
        time.sleep(0.2 if wait_s is None else wait_s)
        pane.send_keys("Enter", enter=False)

    return send


PEERS = {"cli-agent-orchestrator": orchestrator, "libtmux": three_steps}


def main() -> int:
    """Do what stdin says."""
    asked = json.load(sys.stdin)
    send = PEERS[asked["peer"]](asked["session"], asked["wait_s"])

    def deliver(window: str) -> None:
        for text in asked["texts"]:
            send(window, text)

    begun = time.monotonic()
    with ThreadPoolExecutor(len(asked["windows"])) as pool:
        list(pool.map(deliver, asked["windows"]))
    versions = {name: importlib.metadata.version(name) for name in {asked["peer"], "libtmux"}}
    print(json.dumps({"took_s": time.monotonic() - begun, "versions": versions}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
