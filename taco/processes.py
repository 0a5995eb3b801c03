"""The processes of a session on this machine: whose they are, whether they run, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
from psutil import Process as Process

from taco.models import Agent

_HAS_PROC = Path("/proc/self/stat").exists()
_ENDED = (b"Z", b"X")  # states of proc(5)
POLL_S = 0.02
_LAST_WORDS = 2_000  # bytes of what a program printed
MARK = "TACO_AGENT"  # of the environment: whose process it is


def of_agents(home: Path, session: str, agents: Sequence[Agent] | None) -> list[Process]:
    """The processes of a session's agents (None: of all of them): what carries their mark, and everything below it.

    A pid alone says nothing: after a restart of the machine it may be anybody's.
    """
    names = None if agents is None else {agent.name for agent in agents}
    marked = {
        process.pid: process
        for process, environ in _of_session(home, session)
        if MARK in environ and (names is None or environ[MARK] in names)
    }
    marked |= {process.pid: process for agent in agents or () for process in _about_to_be(home, session, agent)}
    return _with_descendants(marked)


def _about_to_be(home: Path, session: str, agent: Agent) -> Iterator[Process]:
    """`taco exec-agent` in an agent's pane, which has no mark before it becomes the agent."""
    launch = home / "sessions" / session / "launch" / f"{agent.name}.json"
    with contextlib.suppress(psutil.Error):
        process = Process(agent.pid) if agent.pid else None
        if process is not None and process.cmdline()[-2:] == ["exec-agent", str(launch)]:
            yield process


def _with_descendants(roots: Mapping[int, Process]) -> list[Process]:
    """These processes and all below them, which may have dropped the marks; never this very process."""
    children: dict[int, list[Process]] = {}
    for process in psutil.process_iter() if roots else ():
        with contextlib.suppress(psutil.Error):
            children.setdefault(process.ppid(), []).append(process)
    found, waiting = {os.getpid(): Process()}, list(roots.values())
    while waiting:
        process = waiting.pop()
        if process.pid not in found:
            found[process.pid] = process
            waiting += children.get(process.pid, ())
    del found[os.getpid()]
    return list(found.values())


def of_runner(home: Path, session: str, verb: str) -> list[Process]:
    """The processes that run `taco <verb>` (executor, monitor) for a session."""
    found = []
    for process, _ in _of_session(home, session):
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[-4:] == ["taco", verb, "--session", session]:
                found.append(process)
    return found


def _of_session(home: Path, session: str) -> Iterator[tuple[Process, dict[str, str]]]:
    for process in psutil.process_iter():
        try:
            environ = process.environ()
        except (psutil.Error, OSError):
            continue
        if environ.get("TACO_HOME") == str(home) and environ.get("TACO_SESSION") == session:
            yield process, environ


def command_line(pid: int) -> list[str]:
    """The words a process was started with; none when it is gone."""
    try:
        return Process(pid).cmdline()
    except psutil.Error:
        return []


def lived_s(pid: int) -> float:
    """How long a process has run, in seconds; 0 when it is gone."""
    try:
        return time.time() - Process(pid).create_time()
    except psutil.Error:
        return 0.0


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that was killed may stay a zombie that tmux 3.3a does not notice.

    Asked of every agent every two seconds: where Linux tells it in one file, psutil's way costs four times as much
    (50 µs and 13).
    """
    try:
        with open(f"/proc/{pid:d}/stat", "rb") as file:  # noqa: PTH123  a Path costs as much as the rest
            return file.read().rpartition(b")")[2].split()[0] not in _ENDED
    except OSError:
        if _HAS_PROC:
            return False
    try:
        return _runs(Process(pid))
    except (psutil.Error, ValueError):
        return False


async def run_briefly(
    argv: Sequence[str], *, cwd: Path, environ: Mapping[str, str], most_s: float
) -> tuple[int | None, str]:
    """Exit code and last words of a program that must not take long; what of it still runs then is killed, None.

    Raises OSError when it cannot be run. Ended early, it leaves nothing behind: asyncio's own subprocesses may hang
    when they are cancelled (Python 3.11.7).
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        process = subprocess.Popen(  # noqa: ASYNC220  a few ms, and never half-way
            argv,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
        )
        said = b""
        try:
            async with asyncio.timeout(most_s):
                while (code := process.poll()) is None:
                    said = _last_of(reading, said)
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            code = None
        finally:
            _kill_group(process)
        return code, _last_of(reading, said).decode("utf-8", "replace").strip()
    finally:
        os.close(reading)
        os.close(writing)


def _last_of(reading: int, said: bytes) -> bytes:
    """What was said, with what has come since, as far as it is kept; our own end keeps the pipe open."""
    with contextlib.suppress(BlockingIOError):
        return (said + os.read(reading, 65_536))[-_LAST_WORDS:]
    return said


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End what still runs of a program that has a session of its own."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def end(processes: Sequence[Process], *, grace_s: float) -> list[int]:
    """Ask every process to end, wait up to `grace_s`, kill the rest; the pids that had to be killed.

    A process that ignores that, as interactive shells do, is told that its terminal is gone.
    """
    for process in processes:
        _signal(functools.partial(process.send_signal, signal.SIGHUP if _ignores_end(process) else signal.SIGTERM))
    deadline = asyncio.get_running_loop().time() + grace_s
    alive = [process for process in processes if _runs(process)]
    while alive and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
        alive = [process for process in alive if _runs(process)]
    for process in alive:
        _signal(process.kill)
    return [process.pid for process in alive]


def _ignores_end(process: Process) -> bool:
    """Whether a process ignores SIGTERM; False where the system does not tell."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    ignored = next((line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")), "0")
    return bool(int(ignored, 16) >> (signal.SIGTERM - 1) & 1)


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.Error:
        return  # it ended by itself


def _runs(process: Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
