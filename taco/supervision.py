"""Keeps the executor of a session alive: every call that notices its silence looks after it, in its own process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from taco import locks, paths, processes, redis_server
from taco.errors import ConflictError, NotFoundError, TacoError, TmuxError, TmuxGoneError
from taco.keys import FRESH_S
from taco.line import Line
from taco.models import Pane
from taco.paths import SessionRecord
from taco.tmux import windows
from taco.tmux.commands import CommandPipe, command

EXECUTOR, EXECUTOR_WINDOW = "executor", 2
SILENT_S, HUNG_S = 15.0, 30.0  # without a sign of life: it is told; it is ended
SECOND_LOOK_S = 3.0  # it may just have woken up together with us: a sign of life comes every 2 s
END_S = 5.0  # what an executor gets to end by itself
CRASH_LIMIT, CRASH_WINDOW_S = 5, 120.0
BACKOFF_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


def supervise(record: SessionRecord) -> str:
    """Look at the executor, and start it again when it has ended or hangs; "" when all is well, else what is wrong.

    By level: whoever calls judges from the pane and the process, never from an event that could be missed.
    """
    try:
        with locks.if_free(record.home, record.name) as ours:
            return _supervise(paths.session(record.home, record.name)) if ours else ""  # as it is by now
    except TacoError as error:
        return error.message
    except OSError as error:  # a full disk, a directory that cannot be written
        return f"the executor cannot be looked after: {error.filename or 'the state directory'}: {error.strerror}"


def _supervise(record: SessionRecord) -> str:
    if record.unfinished:
        return interrupted_text(record)
    if record.status != paths.RUNNING:
        return ""
    if record.redis_private:
        redis_server.ensure(record.home)
    return asyncio.run(_look_after(record))


def interrupted(record: SessionRecord) -> str:
    """What to do about a session whose `start`, `stop` or `resume` was ended half-way; "" for any other."""
    if not record.unfinished:
        return ""
    with contextlib.suppress(TacoError), locks.if_free(record.home, record.name) as ours:
        if ours and paths.session(record.home, record.name).unfinished:
            return interrupted_text(record)
    return ""


def interrupted_text(record: SessionRecord) -> str:
    """The same, for one that is known to be such a session."""
    what = f"session {record.name} was interrupted ({record.status})"
    return f"{what}: taco stop {record.name}, then taco resume {record.name}"


def restart(record: SessionRecord) -> None:
    """End the executor, whatever it does, and start it; its crashes are forgotten. Raises TacoError."""
    with locks.alone(record.home, record.name):
        record = paths.session(record.home, record.name)
        if record.status != paths.RUNNING:
            raise ConflictError(
                f"session {record.name!r} does not run ({record.status})",
                hint=interrupted_text(record) if record.unfinished else f"bring it back: taco resume {record.name}",
            )
        if record.redis_private:
            redis_server.ensure(record.home)
        asyncio.run(_restart(record))


async def _restart(record: SessionRecord) -> None:
    pipe = CommandPipe(record.tmux_socket)
    pane = await _own_pane(record, pipe)
    if pane is None and not await _is_up(record, pipe):
        raise ConflictError(paths.down(record))
    await end_executor(record)
    Crashes(record).forget()
    await _launch(record, pipe, pane)


async def end_executor(record: SessionRecord, *, grace_s: float = END_S) -> None:
    """End every executor of a session: asked first, killed after `grace_s`."""
    await processes.end(processes.of_runner(record.home, record.name, EXECUTOR), grace_s=grace_s)


async def _look_after(record: SessionRecord) -> str:
    pipe = CommandPipe(record.tmux_socket)
    try:
        pane = await _own_pane(record, pipe)
        if pane is None and not await _is_up(record, pipe):
            return paths.down(record)
    except TmuxGoneError:
        return paths.down(record)
    what = "was down"
    if pane is not None and not pane.dead and processes.is_alive(pane.pid):
        silent_s = await _silence(record, pane)
        if silent_s <= SILENT_S:
            return ""
        if silent_s <= HUNG_S:
            return f"the executor (pid {pane.pid}) has been silent for {silent_s:.0f} s; it is ended after {HUNG_S:.0f}"
        what = f"hung for {silent_s:.0f} s"
    crashes, now = Crashes(record), time.time()
    recent = crashes.recent(now)
    if len(recent) >= CRASH_LIMIT:
        words = await last_words(pipe, pane) if pane is not None else "its window was closed"
        return f"the executor crashed {len(recent)} times and stays down: {words} (then: taco executor --restart)"
    wait_s = BACKOFF_S[min(len(recent), len(BACKOFF_S) - 1)]
    if recent and now - recent[-1] < wait_s:
        return f"the executor is down, it starts again in {wait_s:.0f} s"
    crashes.add(now)
    if pane is not None:
        hung = [each for each in processes.of_runner(record.home, record.name, EXECUTOR) if each.pid == pane.pid]
        await processes.end(hung, grace_s=0)
    await _launch(record, pipe, pane)
    return f"the executor {what} and has been started again"


async def _own_pane(record: SessionRecord, pipe: CommandPipe) -> Pane | None:
    """The executor's pane; None when it is gone: its id may be somebody else's on another run of the tmux server."""
    pane_id = str(record.more.get("executor_pane", ""))
    pane = await pipe.pane(pane_id) if pane_id else None
    return pane if pane is not None and pane.agent == f"{record.name}/{EXECUTOR}" else None


async def _is_up(record: SessionRecord, pipe: CommandPipe) -> bool:
    """Whether the tmux session, whatever it is called now, is the one that an executor of ours had taken over."""
    try:
        name = await windows.called_now(pipe, record.name)
        return any(await pipe.run(command("display-message", "-p", "-t", f"={name}:", "#{@taco_executor}")))
    except TmuxGoneError:
        raise
    except TmuxError:
        return False


async def has_own(record: SessionRecord) -> bool:
    """Whether the tmux session of that name is the session's: an executor had it, or what TACO opened is in it."""
    pipe = CommandPipe(record.tmux_socket)
    first = str(record.more.get("mother_pane", "")) if record.unfinished else ""
    try:
        name = await windows.called_now(pipe, record.name)
        panes = [pane for pane in await pipe.panes() if pane.session == name]
        marked = any(pane.agent.startswith(f"{record.name}/") or pane.id == first for pane in panes)
        return marked or await _is_up(record, pipe)
    except TmuxError:
        return False


async def runs(home: Path, name: str, fields: Mapping[str, str]) -> bool:
    """Whether a session that did not say that it stopped runs still; `fields` are its `session:state`.

    One of another state directory or machine cannot be looked at from here: it counts as running.
    """
    if (fields.get("home", ""), fields.get("node", "")) != (str(home), os.uname().nodename):
        return True
    try:
        record = paths.session(home, name)
    except NotFoundError:
        return False
    if record.unfinished or record.stopped:
        return record.unfinished
    try:
        return any(pane.agent.startswith(f"{name}/") for pane in await CommandPipe(record.tmux_socket).panes())
    except TmuxGoneError:
        return False
    except TmuxError:
        return True


async def _silence(record: SessionRecord, pane: Pane) -> float:
    """For how many seconds the executor has given no sign of life, at most since it was started."""
    deadline = time.monotonic() + SECOND_LOOK_S
    while True:
        silent_s = await asyncio.to_thread(_silence_now, record, pane.pid)
        if silent_s <= HUNG_S or time.monotonic() > deadline:
            return silent_s
        await asyncio.sleep(0.2)


def _silence_now(record: SessionRecord, pid: int) -> float:
    lived_s = processes.lived_s(pid)
    if lived_s <= FRESH_S:
        return 0.0
    with Line(record.redis_url, record.name) as line:
        age_s = line.heartbeat_age_s()
    return lived_s if age_s is None else min(lived_s, age_s)


async def _launch(record: SessionRecord, pipe: CommandPipe, pane: Pane | None) -> None:
    """Start the executor in its window, which is opened when it is gone."""
    pane_id = pane.id if pane is not None else ""
    if not pane_id:
        cwd = str(record.project_dir)
        pane_id = await windows.open_window(pipe, record.name, EXECUTOR_WINDOW, EXECUTOR, cwd=cwd)
        record = record.changed(more={**record.more, "executor_pane": pane_id})
        record.save()
    await run_own(record, pipe, pane_id, EXECUTOR)


async def run_own(record: SessionRecord, pipe: CommandPipe, pane: str, verb: str) -> int:
    """Start `taco monitor` or `taco executor` in a pane, with the environment of the session; its pid."""
    own = {"TACO_HOME": str(record.home), "TACO_SESSION": record.name, "TACO_REDIS": record.redis_url}
    argv = [sys.executable, "-I", "-m", "taco", verb, "--session", record.name]
    launch = {"argv": argv, "cwd": str(record.project_dir), "env": {**environment(record), **own}}
    path = record.directory / "launch" / f"{verb}.json"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    paths.write_private(path, json.dumps(launch))
    words = [sys.executable, "-I", "-m", "taco", "exec-agent", str(path)]
    owner = f"{record.name}/{verb}"
    return await windows.run_in(pipe, pane, words, cwd=str(record.project_dir), owner=owner)


def environment(record: SessionRecord) -> dict[str, str]:
    """What `taco start` or the last `taco resume` was called with; raises TacoError."""
    path = record.directory / "environment.json"
    try:
        environ: dict[str, str] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TacoError(f"{path} cannot be read: {error}", hint="mend that file; it is a JSON object") from None
    return environ


async def last_words(pipe: CommandPipe, pane: Pane | None) -> str:
    """The last line that the program in a pane has printed."""
    try:
        lines = await pipe.run(f"capture-pane -p -J -S -50 -t '{pane.id}'") if pane is not None else None
    except TmuxError:
        lines = None
    if lines is None:
        return "its window is gone"
    said = [line for line in lines if line.strip() and not line.startswith("Pane is dead")]
    return said[-1].strip() if said else "it said nothing"


class Crashes:
    """The times of the executor's last restarts, on disk; too many in a short time are kept for good."""

    def __init__(self, record: SessionRecord) -> None:
        """Nothing is written by this."""
        self._path: Path = record.directory / "crashes.json"

    def recent(self, now: float) -> list[float]:
        """The restarts that count, oldest first."""
        try:
            times: list[float] = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return []
        return times if len(times) >= CRASH_LIMIT else [at for at in times if now - at < CRASH_WINDOW_S]

    def add(self, now: float) -> None:
        """One more."""
        paths.write_private(self._path, json.dumps([*self.recent(now), now]))

    def forget(self) -> None:
        """Begin anew."""
        self._path.unlink(missing_ok=True)
