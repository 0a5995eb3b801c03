"""What waits for the person, kept in step with the dialogs on the agents' screens; and what a rule answers for them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace

from taco import log, rules
from taco.choices import Option, yes
from taco.dialog import OpenDialog, open_dialog
from taco.errors import ConflictError, NotFoundError, TacoError
from taco.hooks import HookEvent, verbs_of
from taco.message import ONE_LINE, preview
from taco.models import Agent, Ask, EventType, Level, iso
from taco.orchestrator.desk import Desk
from taco.state import LIMIT_MENU

GONE = "answered in its window, or gone"
YOLO = "--yolo"
_OURS = "Bash(taco "
_ABOUT_A_TOOL = frozenset({"permission", "output"})
_ID_LENGTH = 6


class Asking:
    """Opens an ask for every dialog that comes up, and closes it when the dialog is gone."""

    def __init__(self, desk: Desk) -> None:
        """Nothing is read by this."""
        self._desk = desk
        self._open: dict[str, Ask] | None = None  # by agent; None: not read yet
        self._tried: set[str] = set()  # asks that a rule was tried on
        self._pressing: set[asyncio.Task[None]] = set()

    async def step(self) -> None:
        """One round, after the agents were looked at."""
        desk = self._desk
        if self._open is None:
            self._open = {ask.agent: ask for ask in await desk.broker.asks() if ask.is_dialog}
        shown = {agent.name: (agent, dialog) for agent in desk.team if (dialog := self._dialog(agent))}
        for name, ask in list(self._open.items()):
            agent, dialog = shown.get(name, (None, None))
            if agent is None or dialog is None or (agent.pid, dialog.fingerprint) != (ask.pid, ask.dialog):
                await self._close(ask)
                del self._open[name]
        for name, (agent, dialog) in shown.items():
            if name not in self._open:
                self._open[name] = await self._opened(agent, dialog)
            self._approve(agent, self._open[name], dialog)

    def _dialog(self, agent: Agent) -> OpenDialog | None:
        """The dialog on the agent's screen, as of the last look."""
        observer = self._desk.observer
        if not agent.pid or observer.state(agent.name).level is not Level.WAITING:
            return None
        reading = observer.reading(agent.name)
        return open_dialog(reading) if reading else None

    async def _opened(self, agent: Agent, dialog: OpenDialog) -> Ask:
        desk = self._desk
        at = iso(desk.now())
        said = Ask("", agent.name, dialog.text, at, kind=dialog.name, dialog=dialog.fingerprint, pid=agent.pid)
        said = replace(said, choices=tuple(map(str, dialog.options)))
        for attempt in range(100):
            seed = f"{desk.name}/{agent.name}/{agent.pid}/{dialog.fingerprint}/{at}/{attempt}"
            ask_id = hashlib.sha256(seed.encode()).hexdigest()[:_ID_LENGTH]
            wanted = replace(said, id=ask_id)
            if await desk.broker.open_ask(wanted) == wanted:
                return wanted
        raise ConflictError(f"no id is free for a dialog of {agent.name}", hint="this is a bug: please report it")

    async def _close(self, ask: Ask) -> None:
        with contextlib.suppress(ConflictError, NotFoundError):  # it was answered, and noted so
            await self._desk.broker.answer_ask(ask.id, GONE, iso(self._desk.now()))

    # What a rule answers

    def _approve(self, agent: Agent, ask: Ask, dialog: OpenDialog) -> None:
        """Say yes where a rule does; once for each ask, and beside the round: it takes a moment."""
        if ask.id in self._tried:
            return
        if ask.kind == LIMIT_MENU:
            key = self._desk.provider_of(agent).limit_over
            over = next((each for each in dialog.options if each.key == key), Option(key, key))
            self._answer(agent, ask, over, "the limit is over")
            return
        option = yes(dialog.options)
        rule = self._rule(agent, ask, dialog) if option else ""
        if option and rule:
            whose = "" if rule == YOLO or rule.startswith(_OURS) else "your rule "
            self._answer(agent, ask, option, f"by {whose}{rule}", rule)

    def _answer(self, agent: Agent, ask: Ask, option: Option, why: str, rule: str = "") -> None:
        """Press an option's key, once for each ask."""
        self._tried.add(ask.id)
        task = asyncio.create_task(self._press(agent, ask, option, why, rule), name=f"approve {ask.id}")
        self._pressing.add(task)
        task.add_done_callback(self._pressing.discard)

    def _rule(self, agent: Agent, ask: Ask, dialog: OpenDialog) -> str:
        """What allows it: `--yolo` where the CLI has no such argument, or a rule on what is asked for; "" for none."""
        if agent.yolo and ask.kind in self._desk.provider_of(agent).yolo_answers:
            return YOLO
        asked = self._desk.observer.request(agent.name) if ask.kind in _ABOUT_A_TOOL else None
        if asked is None:
            return ""
        held = self._desk.settings().rules_for(agent.name, agent.provider)
        if not self._desk.provider_of(agent).hooks:  # else its settings say what of ours needs no permission
            held = (*held, *(f"Bash(taco {verb}:*)" for verb in verbs_of(agent.name)))
        return self._matching(agent, asked, held, dialog) if held else ""

    def _matching(self, agent: Agent, asked: HookEvent, held: Sequence[str], dialog: OpenDialog) -> str:
        """The rule that allows what was asked for, if the dialog on the screen is about that and nothing else."""
        workspace = self._desk.ground.workspace(agent)
        named = next((asked.given[key] for key in rules.PATHS if isinstance(asked.given.get(key), str)), "")
        request = rules.Request(
            asked.tool,
            asked.given,
            os.path.realpath(workspace / named) if named else "",
            tuple(os.path.realpath(each) for each in (workspace, self._desk.ground.project)),
        )
        return rules.matching(held, request) if rules.is_shown(request, dialog.text) else ""

    async def _press(self, agent: Agent, ask: Ask, option: Option, why: str, rule: str) -> None:
        desk = self._desk
        try:
            gone = await desk.hand.press(ask, agent, desk.provider_of(agent), option.key)
        except TacoError as error:
            log.warning("ask.not_approved", agent=agent.name, ask=ask.id, rule=rule, error=error.message)
            return
        what = f"{option} {why}"
        if not gone:
            what += ", and the dialog still stands"
        await desk.tell(
            EventType.ASK_APPROVED,
            f"{preview(ask.question, ONE_LINE)}: {what}",
            agent=agent.name,
            level="info" if gone else "warning",
            data={"ask": ask.id, "rule": rule, "key": option.key, "gone": gone},
        )
        if gone:
            with contextlib.suppress(ConflictError, NotFoundError):
                await desk.broker.answer_ask(ask.id, what, iso(desk.now()))
