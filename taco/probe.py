"""Tries a provider out: its CLI is started in a scratch session, and every rule that can be is seen to hold.

Nothing is submitted: no model is asked, and nothing is paid.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from taco import message, processes
from taco.agents import Agents, Ground, write_command
from taco.doctor import Check, bad, ok, tested, version_of, warn
from taco.errors import TacoError
from taco.message import Match
from taco.models import GONE_LEVELS, Agent, Level
from taco.observe import Look, Observer
from taco.provider import Provider
from taco.tmux import windows
from taco.tmux.commands import CommandPipe, command_list
from taco.tmux.guard import Guard, Target
from taco.tmux.server import TmuxServer
from taco.tmux.sight import seen_empty, seen_text

TEXT = "taco looks whether this shows in the composer"
SHOWS_WITHIN_S, ENDS_WITHIN_S = 10.0, 5.0
POLL_S = 0.1
CLEARS = 10  # presses of the keys that empty a composer
NAME = "probe"


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a provider is tried out: a directory for what TACO writes, the project that its CLI is started in, …"""

    directory: Path
    project: Path
    environ: Mapping[str, str]
    socket: str = ""
    ready_timeout_s: float = 60.0


async def probe(provider: Provider, bench: Bench) -> AsyncIterator[Check]:
    """Each capability as it is seen, or not; the scratch session and all its processes are gone at the end.

    Raises TmuxError when there is no tmux to do it in.
    """
    program = _program(provider, bench)
    yield program
    if program.verdict == "bad":
        return
    session = f"taco-probe-{secrets.token_hex(3)}"
    server = TmuxServer(bench.socket)
    pane, _ = server.new_session(session, cwd=str(bench.project))
    pipe = CommandPipe(bench.socket)
    ground = Ground(session, bench.directory, bench.project, bench.environ, bench.directory, "")
    write_command(ground.bin)
    agents = Agents(ground, pipe, time.time)
    provider = provider.model_copy(update={"first_prompt": "none"})
    agent = Agent(3, NAME, "is tried out", provider=provider.name, pane=pane)
    try:
        await pipe.run(command_list(windows.window_options(pane)))
        agent = await agents.launch(agent, provider, "")
        async for check in _Probe(provider, bench, ground, pipe, agent).checks():
            yield check
        yield await _ends(agents, agent)
    except TacoError as error:
        yield bad("starts", error.message, error.hint or "see: taco provider show")
    finally:
        await agents.end(agent, grace_s=0.5)
        await pipe.close()
        server.kill(session)


def _program(provider: Provider, bench: Bench) -> Check:
    name = provider.command[0]
    if name == "taco":
        return ok("program", "TACO's own")
    path = shutil.which(name, path=bench.environ.get("PATH"))
    if not path:
        return bad("program", f"{name} is not installed", provider.install or f"install {name}")
    said, version = version_of(path)
    if not provider.versions:
        return ok("program", path)
    if not tested(version, provider.versions):
        return warn("program", f"{path}, {said}; its rules were tested with {provider.versions}", "see what follows")
    return ok("program", f"{path}, {said}")


async def _ends(agents: Agents, agent: Agent) -> Check:
    killed = await agents.end(agent, grace_s=ENDS_WITHIN_S)
    deadline = time.monotonic() + SHOWS_WITHIN_S
    while left := [each for each in agents.processes([agent]) if processes.is_alive(each.pid)]:
        if time.monotonic() < deadline:  # what was killed takes a moment to be gone
            await asyncio.sleep(POLL_S)
            continue
        return bad("ends", f"{len(left)} processes are left: {', '.join(str(each.pid) for each in left)}", "end them")
    if killed:
        return warn("ends", f"{len(killed)} processes had to be killed after {ENDS_WITHIN_S:g} s")
    return ok("ends", "with all its processes")


class _Probe:
    """One CLI that was started."""

    def __init__(self, provider: Provider, bench: Bench, ground: Ground, pipe: CommandPipe, agent: Agent) -> None:
        self._provider = provider
        self._bench = bench
        self._agent = agent
        buffers = bench.directory / "buffers"
        buffers.mkdir(mode=0o700)
        self._guard = Guard(pipe, buffers)
        self._target = Target(agent.pane, agent.pid, ground.owner(NAME))
        self._eyes = Observer(pipe, time.time, ready_timeout_s=bench.ready_timeout_s)
        self._eyes.watch(
            agent,
            provider,
            spool=ground.spool(NAME),
            cwd=str(ground.workspace(agent)),
            environ=dict(bench.environ),
            started_at=time.time(),
        )

    async def checks(self) -> AsyncIterator[Check]:
        """What can be seen without submitting anything, in this order."""
        comes_up = (Level.STARTING, Level.BUSY)  # it was given nothing to do
        look = await self._until(lambda each: each.state.level not in comes_up, self._bench.ready_timeout_s)
        yield self._started(look)
        if look.state.level in GONE_LEVELS:
            return
        if self._provider.hooks or self._provider.session_file:
            yield self._sources(look)
        if not self._provider.reads_screen:
            yield warn("screen rules", "none: drafts and dialogs in its window are not seen")
            return
        if look.reading is None or look.reading.composer_row is None:
            yield bad("composer", "is not found on the screen", "its pattern, or a dialog in front: see above")
            return
        typed = await self._typed(look)
        yield typed
        if typed.verdict == "ok":
            yield await self._cleared()

    async def _until(self, met: Callable[[Look], bool], most_s: float) -> Look:
        deadline = time.monotonic() + most_s
        while True:
            look = await self._eyes.look(NAME)
            if met(look) or time.monotonic() > deadline:
                return look
            await asyncio.sleep(POLL_S)

    def _started(self, look: Look) -> Check:
        state = look.state
        if state.level in GONE_LEVELS:
            said = next((row for row in reversed(self._eyes.screen(NAME).splitlines()) if row.strip()), "")
            return bad("starts", f"it ended: {state} {said.strip()}".strip(), "see: taco provider show")
        if state.level is Level.WAITING:
            return warn("starts", f"it asks for something: {state.detail}", "answer it once, by hand")
        if state.level in (Level.UNKNOWN, Level.STARTING):
            after = f"after {self._bench.ready_timeout_s:g} s"
            return bad("starts", f"nothing shows that it is ready {after}", "its patterns: taco provider show")
        return ok("starts", f"{state}, by {state.source}")

    def _sources(self, look: Look) -> Check:
        if look.state.source in ("hook", "session file"):
            return ok("tells its state", f"by {look.state.source}")
        return warn("tells its state", f"neither by hook nor by session file yet, by {look.state.source or 'nothing'}")

    async def _typed(self, look: Look) -> Check:
        """Whether a text that is typed is seen in the composer, whole and alone."""
        reading = look.reading
        if reading is None or reading.draft.strip():
            found = f"is not empty: {reading.draft.strip()[:60]!r}" if reading else "is not read"
            return bad("composer", found, "ghost: what in it is no draft")
        how = "paste" if self._provider.input == "paste" else "keys"
        seen = seen_empty(self._provider, reading, look.cursor)
        verdict = await self._guard.type_text(self._target, "probe", TEXT, seen, how=how)
        if not verdict.done:
            return bad(
                "composer", f"nothing was typed: {', '.join(verdict.refused)}", "a dialog, or a screen that moves"
            )
        after = await self._until(self._shows, SHOWS_WITHIN_S)
        if not self._shows(after):
            draft = after.reading.draft.strip()[:60] if after.reading else ""
            return bad("composer", f"shows {draft!r} instead of what was typed", "composer, composer_end")
        return ok("composer", f"a draft is seen, typed by {how}")

    def _shows(self, look: Look) -> bool:
        return look.reading is not None and message.match(look.reading.draft, TEXT) is Match.EXACT

    async def _cleared(self) -> Check:
        """Whether the keys that are to empty the composer do."""
        keys = " ".join(self._provider.clear)
        for _ in range(CLEARS):
            look = await self._eyes.look(NAME)
            if look.reading is None or not look.reading.draft.strip():
                return ok("clear", f"{keys} empties the composer")
            seen = seen_text(self._provider, look.reading, look.cursor)
            await self._guard.erase(self._target, "probe", self._provider.clear, seen)
            await asyncio.sleep(POLL_S)
        return bad("clear", f"{keys} does not empty the composer", "clear: the keys that do")
