"""Processes that tests start: which are left, and how they end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil

from tests.support.waiting import wait_for

GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)


def tree(pids: Iterable[int]) -> list[psutil.Process]:
    """The processes with these ids and all their descendants, without this very process."""
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for each in [process, *process.children(recursive=True)]:
                found[each.pid] = each
    found.pop(os.getpid(), None)
    return list(found.values())


def of_home(homes: Iterable[Path]) -> list[psutil.Process]:
    """Live processes that belong to one of these TACO_HOMEs, by environment, argument or directory."""
    wanted = {str(home) for home in homes}
    return [] if not wanted else [each for each in psutil.process_iter() if _belongs(each, wanted)]


def _belongs(process: psutil.Process, homes: set[str]) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.environ().get("TACO_HOME") in homes:
            return True
        places = [process.cwd(), *process.cmdline()]
    except GONE:
        return False
    except OSError:
        return False
    return any(_is_in(place, home) for place in places for home in homes)


def _is_in(place: str, home: str) -> bool:
    return f"{home}/" in place or place.endswith(home)


def runs(process: psutil.Process) -> bool:
    """Whether a process still does something: a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except GONE:
        return False


def end(processes: Iterable[psutil.Process], grace_s: float = 5) -> None:
    """Ends these processes: SIGTERM, then SIGKILL for what is left after `grace_s`."""
    left = list(processes)
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = [each for each in left if runs(each)]
        for each in left:
            with contextlib.suppress(*GONE):
                each.send_signal(number)
        with contextlib.suppress(AssertionError):
            wait_for(lambda left=left: not any(map(runs, left)), grace_s)  # type: ignore[misc]


def describe(processes: Iterable[psutil.Process]) -> str:
    """One line for each process that still runs: its id and command."""
    lines = []
    for each in processes:
        with contextlib.suppress(*GONE):
            lines.append(f"{each.pid} {' '.join(each.cmdline()) or each.name()}")
    return "\n".join(lines)
