"""What runs in windows 1 and 2 of a session for as long as it lasts: without click, which takes 3 MB of each."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from taco import processes
from taco.cli import place, reader, say
from taco.errors import Exit, TacoError

if TYPE_CHECKING:
    from taco.models import Agent, Ask
    from taco.monitor.session_source import SessionSource

ANSWERED_S = 20.0


def watch(session: str | None, *, plain: bool = False) -> int:
    """Show a session until the person leaves; in lines instead of a screen when `plain`. Returns the exit code."""
    here = place.find(session)
    source = _source(here)
    if plain:
        from taco.monitor.plain import follow

        asyncio.run(reader.while_read(follow(source, lambda text: print(text, flush=True), say.warn)))
        return int(Exit.OK)
    from taco.monitor.app import MonitorApp

    app = MonitorApp(source, in_session=os.environ.get("TACO_SESSION") == here.name)
    app.run()
    return int(app.return_code or Exit.OK)


def deliver(session: str | None) -> int:
    """Deliver the messages of a session until it is told to end; returns the exit code."""
    here = place.find(session)
    from taco.orchestrator import run

    return run(here.name)


def _source(here: place.Place) -> SessionSource:
    """The session as the monitor reads it, through its Redis and its tmux server."""
    from taco import supervision
    from taco.broker import Broker
    from taco.monitor.session_source import SessionSource
    from taco.tmux import windows
    from taco.tmux.commands import CommandPipe, command

    pipe = CommandPipe(here.record.tmux_socket)

    async def connect() -> Broker:
        return await Broker.connect(here.url, here.name)

    async def jump(window: int) -> None:
        name = await windows.called_now(pipe, here.name)
        await pipe.run(command("select-window", "-t", f"={name}:{window}"))

    async def supervise() -> str:
        return await asyncio.to_thread(supervision.supervise, here.record)

    async def screen(agent: Agent) -> list[str]:
        return await windows.capture(pipe, agent.pane) if agent.pane else []

    async def prefix() -> str:
        return await windows.prefix(pipe, here.name)

    async def press(ask: Ask, key: str) -> bool:
        return await _answer(here.name, ask.id, key)

    return SessionSource(
        here.record, connect, jump=jump, supervise=supervise, screen=screen, prefix=prefix, press=press
    )


async def _answer(session: str, ask_id: str, key: str) -> bool:
    """What `taco answer` does, in a process of its own: a monitor need not know every provider's rules all day."""
    words = [sys.executable, "-I", "-m", "taco", "answer", "--session", session, "--json", ask_id, key]
    code, said = await processes.run_briefly(words, cwd=Path.cwd(), environ=os.environ, most_s=ANSWERED_S)
    if code in (Exit.OK, Exit.UNCONFIRMED):
        return code == Exit.OK
    answers = [line for line in said.splitlines() if line.startswith('{"error"')]
    error = json.loads(answers[-1])["error"] if answers else {"message": said or "it took too long", "hint": ""}
    raise TacoError(error["message"], hint=error["hint"])
