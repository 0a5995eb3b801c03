"""What a key of the person sets going: asked for, confirmed where it hurts, done, and told what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from textual.screen import Screen

from taco.choices import choose, options_from
from taco.errors import TacoError
from taco.models import FINISHED_EVENT, Agent, AgentStatus, Ask, EventType
from taco.monitor import lists, plan
from taco.monitor.feed import Feed
from taco.monitor.model import Model
from taco.monitor.screens.pages import InboxPage, LettersPage
from taco.monitor.screens.prompts import Answer, Confirm, Prompt, Question
from taco.monitor.source import Source
from taco.monitor.team import find
from taco.monitor.words import clean, cut

Result = TypeVar("Result")
_ENDED = frozenset(FINISHED_EVENT.values())
_TOLD = _ENDED | {EventType.COMMAND_HELD, EventType.COMMAND_RETRIED}
_RECENT = 400  # events among which news of what was sent are looked for
_ASKED = 120  # cells of what a dialog says, before its answers
_SHOWN = 40  # cells of a message in a notice


class Stage(Protocol):
    """What this room asks of the app."""

    @property
    def screen(self) -> Screen[object]:
        """The screen in front."""

    async def ask(self, screen: Question[Answer]) -> Answer | None:
        """What was answered on a screen."""

    def tell(self, text: str) -> None:
        """Show a line to the person for a moment."""

    def exit(self) -> None:
        """End the monitor."""

    def show_view(self) -> None:
        """Draw the model again."""

    def open_page(self, name: str) -> None:
        """Open a page."""


class Orders:
    """The person's wishes, each a coroutine that may ask first; no error of the source gets out of here."""

    def __init__(self, stage: Stage, source: Source, model: Model, feed: Feed, log: Callable[[str], None]) -> None:
        """`log` gets errors that are the monitor's own."""
        self._stage, self._source, self._model, self._feed, self._log = stage, source, model, feed, log
        self._sent: dict[str, str] = {}  # id -> agent, of messages that are under way
        self._told: set[str] = set()  # ids of the events that were told of them

    async def send(self) -> None:
        """A message to the agent under the cursor."""
        agent = self._selected()
        if agent and (text := await self._typed(f"SEND to {agent.name}", does="send")):
            await self._send([agent.name], text)

    async def broadcast(self) -> None:
        """One message to every agent."""
        snapshot = self._model.snapshot
        names = [agent.name for agent in snapshot.agents] if snapshot else []
        if not names:
            self._stage.tell("There is no agent yet.")
            return
        title = f"BROADCAST to all {len(names)}:"
        if text := await self._typed(title, ", ".join(names), does="send to all"):
            await self._send(names, text)

    async def _send(self, names: list[str], text: str) -> None:
        ids = await self._done(self._source.send(names, text))
        if ids is None:
            return
        self._sent |= dict(zip(ids, names, strict=True))
        whom = names[0] if len(names) == 1 else f"{len(names)} agents"
        self._stage.tell(f"{ids[0]}: queued for {whom}")
        self._feed.wake()

    def news(self) -> str:
        """What became of what was sent; empty when there is nothing new."""
        found = ""
        for event in self._model.events.latest(_RECENT) if self._sent else ():
            if event.command not in self._sent or event.type not in _TOLD or event.id in self._told:
                continue
            self._told.add(event.id)
            what, why = str(event.type).partition(".")[2], f", {event.content}" if event.content else ""
            found = f"{event.command}: {what} at {self._sent[event.command]}{why}"
            if event.type in _ENDED:
                del self._sent[event.command]
        if not self._sent:
            self._told.clear()
        return f"{found} ({len(self._sent)} under way)" if found and self._sent else found

    async def pause(self) -> None:
        """Pause the agent under the cursor, or let its messages through again."""
        if agent := self._selected():
            verb = "resume" if agent.paused else "pause"
            await self._ask_for(verb, agent.name, "its messages wait" if verb == "pause" else "its messages go on")

    async def restart(self) -> None:
        """Restart the agent under the cursor, if that is meant."""
        agent = self._selected()
        if agent and await self._sure(
            f"RESTART {agent.name}?", "Its process is ended and started again in its window.", does="restart it"
        ):
            await self._ask_for("restart", agent.name, "will be restarted")

    async def _ask_for(self, verb: str, name: str, told: str) -> None:
        if await self._did(self._source.ask_for(verb, name)):
            self._stage.tell(f"{name}: {verb}: {told}")
            self._feed.wake()

    async def answer(self) -> None:
        """Answer a question: the one under the cursor, or the oldest one."""
        snapshot = self._model.snapshot
        if snapshot is None:
            return
        asked, dialog = self._question()
        if asked:
            await self._answer(asked)
        elif dialog and (shown := snapshot.dialogs.get(dialog.name)) and shown.choices:
            await self._choose(shown)
        elif dialog:
            self._stage.tell(f"{dialog.name} shows a dialog: answer it in window {dialog.window} (Enter goes there)")
        elif plan.waits(snapshot.spec):
            self._stage.open_page("plan")
        else:
            self._stage.tell("Nothing waits for you.")

    async def _answer(self, asked: Ask) -> None:
        text = await self._typed(f"ANSWER {asked.agent} ({asked.id}):", asked.question, does="answer")
        # Nothing more is told of its message: who asked and waits reads the answer, and needs none.
        if text and await self._done(self._source.answer(asked.id, text)):
            self._stage.tell(f"{asked.id}: answered {asked.agent}: {cut(clean(text), _SHOWN)}")
            self._feed.wake()

    async def _choose(self, asked: Ask) -> None:
        """Choose one of the answers of a dialog: its key is pressed in the agent's window."""
        offered = options_from(asked.choices)
        text = f"{cut(clean(asked.question), _ASKED)} · {' · '.join(map(str, offered))}"
        words = await self._typed(f"ANSWER {asked.agent} ({asked.id}):", text, does="press its number")
        if not words:
            return
        option = choose(offered, words)
        if option is None:
            self._stage.tell(f"{cut(clean(words), _SHOWN)!r} is none of its answers; nothing was pressed.")
            return
        gone = await self._done(self._source.press(asked, option.key))
        if gone is not None:
            self._stage.tell(f"{asked.agent}: {option}{'' if gone else ': pressed, and it still stands'}")
            self._feed.wake()

    def _question(self) -> tuple[Ask | None, Agent | None]:
        """The question that is meant, or else the agent whose dialog is."""
        snapshot, screen = self._model.snapshot, self._stage.screen
        assert snapshot is not None
        dialogs = [agent for agent in snapshot.agents if lists.shows_dialog(agent)]
        if isinstance(screen, InboxPage):
            here = screen.selected
            if here == lists.PLAN:
                return None, None
            asks = [ask for ask in snapshot.asks if lists.ASK + ask.id == here]
            shown = [agent for agent in dialogs if lists.DIALOG + agent.name == here]
        else:
            asks = [ask for ask in snapshot.asks if ask.agent == self._model.selected]
            shown = [agent for agent in dialogs if agent.name == self._model.selected]
        if not asks and not shown:
            asks, shown = list(snapshot.asks), dialogs
        return next(iter(asks), None), next(iter(shown), None)

    async def retry(self) -> None:
        """Send the letter under the cursor again."""
        letter = self._letter()
        if letter and await self._did(self._source.retry(letter)):
            self._stage.tell(f"{letter}: queued again")
            await self._feed.read_page()

    async def drop(self) -> None:
        """Forget the letter under the cursor, if that is meant."""
        letter = self._letter()
        if not letter or not await self._sure(f"DROP {letter}?", "The message is forgotten.", does="drop it"):
            return
        if await self._did(self._source.drop(letter)):
            self._stage.tell(f"{letter}: dropped")
            await self._feed.read_page()

    def _letter(self) -> str:
        screen = self._stage.screen
        selected = screen.selected if isinstance(screen, LettersPage) else ""
        if not selected:
            self._stage.tell("There is no letter here.")
        return selected

    async def approve(self) -> None:
        """Start the team of the plan that waits."""
        mark = self._mark()
        if mark is None or not await self._sure("START this team?", "", does="start it"):
            return
        if await self._did(self._source.decide(mark, approved=True)):
            self._stage.tell("Approved: the team is being started.")

    async def reject(self) -> None:
        """Send the plan that waits back to Mother."""
        if (mark := self._mark()) is None:
            return
        reason = await self._typed("REJECT the plan:", "why? Mother is told.", does="reject", empty=True)
        if reason is not None and await self._did(self._source.decide(mark, approved=False, reason=reason)):
            self._stage.tell("Rejected: Mother is told.")

    def _mark(self) -> str | None:
        """What tells the plan that is shown from others; None when none waits."""
        snapshot = self._model.snapshot
        if snapshot is None or not plan.waits(snapshot.spec):
            self._stage.tell("No plan waits for you.")
            return None
        return snapshot.spec.get("mark", "")

    async def filter(self) -> None:
        """Show only what some text stands in, while it is typed."""
        title, hint = "FILTER", "agents and activity; nothing shows all"
        wanted = await self._stage.ask(Prompt(title, hint, does="keep", given=self._model.wanted, heard=self._narrow))
        self._narrow(wanted or "")

    def _narrow(self, wanted: str) -> None:
        self._model.wanted = wanted.strip()
        self._stage.show_view()

    async def visit(self) -> None:
        """Go to the window of the agent under the cursor, or of the one that the inbox's item is about."""
        snapshot, screen = self._model.snapshot, self._stage.screen
        if snapshot is None or isinstance(screen, LettersPage):
            return
        agent = self._model.agent()
        if isinstance(screen, InboxPage):
            asked, dialog = self._question()
            agent = find(snapshot.agents, asked.agent if asked else dialog.name if dialog else "")
            if screen.selected == lists.PLAN:
                self._stage.open_page("plan")
        if agent is None:
            return
        if agent.status is AgentStatus.PLANNED:
            self._stage.tell(f"{agent.name} has no window yet, it is only planned.")
            return
        await self._done(self._source.jump(agent.window))

    async def leave(self) -> None:
        """End the monitor, if that is meant; in its session it comes back."""
        title, text = "LEAVE the monitor?", "The session goes on without it."
        if self._model.stays:
            prefix = await self._done(self._source.prefix())
            keys = f"{prefix} d" if prefix else "tmux's prefix key, then d"
            text = f"It belongs to its session and comes back by itself. To leave the session itself: {keys}."
        if await self._sure(title, text, does="leave"):
            self._stage.exit()

    def _selected(self) -> Agent | None:
        agent = self._model.agent()
        if agent is None:
            self._stage.tell("There is no agent here.")
        return agent

    async def _typed(self, title: str, text: str = "", *, does: str, empty: bool = False) -> str | None:
        """What the person typed; None when they left it, or typed nothing where that means nothing."""
        found = await self._stage.ask(Prompt(title, text, does=does))
        if found is None or (not found.strip() and not empty):
            return None
        return found.strip()

    async def _sure(self, title: str, text: str, *, does: str) -> bool:
        sure: bool | None = await self._stage.ask(Confirm(title, text, does=does))
        return bool(sure)

    async def _done(self, work: Awaitable[Result]) -> Result | None:
        """What `work` gives; None when it failed, which the person is told."""
        try:
            return await work
        except TacoError as error:
            self._stage.tell(f"{error.message} — {error.hint}" if error.hint else error.message)
        except Exception as error:
            self._log(f"order: {error!r}")
            self._stage.tell(f"{type(error).__name__}: {error}")
        return None

    async def _did(self, work: Awaitable[None]) -> bool:
        """Whether `work` went well; else the person is told."""
        return bool(await self._done(_true(work)))


async def _true(work: Awaitable[None]) -> bool:
    await work
    return True
