"""Answers a dialog on an agent's screen: one key, at the dialog that was shown and no other, seen to have worked."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from taco.choices import strokes
from taco.dialog import OpenDialog, open_dialog
from taco.errors import ConflictError, NotFoundError
from taco.models import Agent, Ask, Pane
from taco.provider import Provider
from taco.screen import Reading, read_screen
from taco.tmux.commands import PANE_FORMAT, CommandPipe, look_at, parse_pane
from taco.tmux.guard import Guard, Target
from taco.tmux.sight import seen_dialog

WORKS_WITHIN_S = 5.0  # a dialog that still stands so long after the key was not answered by it
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Sight:
    """An agent's screen at one moment."""

    pane: Pane
    reading: Reading
    dialog: OpenDialog | None


class Hand:
    """Presses keys at the dialogs of one session's agents."""

    def __init__(self, session: str, pipe: CommandPipe, guard: Guard) -> None:
        """`guard` is told of the session's executor where this is one."""
        self._session = session
        self._pipe = pipe
        self._guard = guard

    async def look(self, agent: Agent, provider: Provider) -> Sight:
        """The agent's screen now; raises NotFoundError when it has no pane (any more)."""
        if not agent.pane:
            raise NotFoundError(f"{agent.name} has no window", hint="see: taco status")
        lines = await look_at(self._pipe, agent.pane, PANE_FORMAT)
        if not lines:
            raise NotFoundError(f"the window of {agent.name} is gone", hint=f"taco agent restart {agent.name}")
        reading = read_screen(provider.screen, "\n".join(lines[1:]))
        return Sight(parse_pane(lines[0]), reading, open_dialog(reading))

    async def press(self, ask: Ask, agent: Agent, provider: Provider, key: str) -> bool:
        """Press `key` at the dialog of `ask`, once for ever; whether the dialog was seen to go.

        Raises ConflictError when it is not that dialog that stands there now, or was answered already, NotFoundError
        when the window is gone. The guard compares the dialog row by row in the same breath as it presses the key.
        """
        sight = await self.look(agent, provider)
        if not _shows(sight, ask) or sight.dialog is None:
            raise ConflictError(
                f"the dialog {ask.id} of {agent.name} is not on its screen any more", hint="see: taco inbox"
            )
        target = Target(sight.pane.id, ask.pid, f"{self._session}/{agent.name}")
        if sight.pane.in_mode:
            await self._guard.leave_mode(target)
        verdict = await self._guard.answer(target, ask.id, strokes(key), seen_dialog(sight.reading, sight.dialog))
        if "answered" in verdict.refused:
            hint = f"look at it: taco attach, then window {agent.window}"
            raise ConflictError(f"a key was pressed at dialog {ask.id} before, and it still stands", hint=hint)
        if not verdict.done:
            raise ConflictError(f"{agent.name}'s screen changed in that moment: nothing was pressed", hint=_AGAIN)
        return await self._goes(ask, agent, provider)

    async def _goes(self, ask: Ask, agent: Agent, provider: Provider) -> bool:
        """Whether the dialog leaves the screen in time."""
        deadline = time.monotonic() + WORKS_WITHIN_S
        while time.monotonic() < deadline:
            try:
                if not _shows(await self.look(agent, provider), ask):
                    return True
            except NotFoundError:
                return True
            await asyncio.sleep(POLL_S)
        return False


_AGAIN = "look again: taco inbox"


def _shows(sight: Sight, ask: Ask) -> bool:
    """Whether the dialog of `ask` stands on that screen, of that very process."""
    return (
        sight.pane.pid == ask.pid
        and not sight.pane.dead
        and sight.dialog is not None
        and sight.dialog.fingerprint == ask.dialog
    )
