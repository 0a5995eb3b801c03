"""How many things wait for the person, in the status line of the session's own tmux: `2 waiting · C-b 1`.

Options of this session only, and only while something waits: what the person has set, for all sessions or for this
one, stands behind it then, and alone again afterwards. tmux is told when the number changes, and asked nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from taco import log
from taco.errors import TmuxError, TmuxGoneError
from taco.models import Agent, AgentStatus, Ask, Level
from taco.tmux import windows
from taco.tmux.commands import CommandPipe, command, command_list

WAITING = "@taco_waiting"
KEPT = "@taco_kept_"  # + an option: what the person had set it to for this session
RIGHT, LENGTH = "status-right", "status-right-length"
MONITOR_WINDOW = 1
_SIGN = f"#{{?{WAITING},"  # what our part of the line begins with


@dataclass(frozen=True, slots=True)
class Line:
    """The options as tmux has them, None where they are not set."""

    prefix: str = ""
    own: str | None = None  # of this session
    own_length: str | None = None
    kept: str | None = None  # what the person had set for this session when it was hidden
    kept_length: str | None = None
    everybodys: str | None = None
    everybodys_length: str | None = None


def count(team: Sequence[Agent], asks: Sequence[Ask], *, plan: bool) -> int:
    """How many things wait for the person: dialogs, questions, a plan."""
    dialogs = [
        agent for agent in team if agent.state.level is Level.WAITING and agent.status is not AgentStatus.STOPPED
    ]
    return len(dialogs) + len(asks) + int(plan)


def commands(session: str, waiting: int, line: Line) -> list[str]:
    """The tmux commands that make `session` show that so many things wait; 0 takes everything back."""
    target = f"={session}:"
    ours = line.own is not None and line.own.startswith(_SIGN)
    if not waiting:
        back = (*_set(target, RIGHT, line.kept), *_set(target, LENGTH, line.kept_length)) if ours else ()
        return [
            *_set(target, WAITING, None),
            *back,
            *_set(target, KEPT + RIGHT, None),
            *_set(target, KEPT + LENGTH, None),
        ]
    shown = _set(target, WAITING, str(waiting))
    if ours:
        return shown
    where = f"{line.prefix} {MONITOR_WINDOW}" if line.prefix else f"window {MONITOR_WINDOW}"
    text = f" waiting · {where}"
    sign = f"{_SIGN}#[bold]#{{{WAITING}}}{_literal(text)}#[nobold]  ,}}"
    theirs = (line.everybodys or "") if line.own is None else line.own
    room = int(line.own_length or line.everybodys_length or 0) + len(text) + 6
    return [
        *_set(target, KEPT + RIGHT, line.own),
        *_set(target, KEPT + LENGTH, line.own_length),
        *shown,
        *_set(target, LENGTH, str(room)),
        *_set(target, RIGHT, sign + theirs),
    ]


def _set(target: str, option: str, value: str | None) -> list[str]:
    """Sets an option of the session, or with None unsets it; one that is not set is fine."""
    words = ["-qu", "-t", target, option] if value is None else ["-t", target, option, value]
    return [command("set-option", *words)]


def _literal(text: str) -> str:
    """`text` inside of a condition of a format."""
    return text.replace("#", "##").replace(",", "#,").replace("}", "#}")


class StatusLine:
    """Keeps the status line of one session in step with what waits."""

    def __init__(self, pipe: CommandPipe, session: str) -> None:
        """Nothing is set by this; what an executor before this one has set is looked at by the first `show`."""
        self._pipe, self._session = pipe, session
        self._shown = -1

    async def show(self, waiting: int) -> None:
        """Show that so many things wait, if that is news; what tmux refuses is tried again when it changes."""
        if waiting == self._shown:
            return
        self._shown = waiting
        try:
            name = await windows.called_now(self._pipe, self._session)
            made = commands(name, waiting, await self._read(name))
            await self._pipe.run(command_list(made))
        except TmuxGoneError:
            raise
        except (TmuxError, ValueError) as error:  # ValueError: an option of several lines, which no command can hold
            log.warning("status_line.failed", error=str(error))

    async def _read(self, name: str) -> Line:
        mine = [
            self._option("-qv", option, "-t", f"={name}:") for option in (RIGHT, LENGTH, KEPT + RIGHT, KEPT + LENGTH)
        ]
        everybodys = [self._option("-gqv", option) for option in (RIGHT, LENGTH)]
        prefix, *found = await asyncio.gather(windows.prefix(self._pipe, self._session), *mine, *everybodys)
        return Line(prefix or "", *found)

    async def _option(self, flags: str, option: str, *target: str) -> str | None:
        found = await self._pipe.run(command("show-options", flags, *target, option))
        return "\n".join(found) if found else None
