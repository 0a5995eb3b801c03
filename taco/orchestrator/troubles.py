"""Notices who does not get on: refused by the model's side again and again, busy without progress. Nobody is ended."""

from __future__ import annotations

from taco.models import Agent, AgentStatus, EventType, Level, When
from taco.orchestrator.desk import Desk
from taco.orchestrator.notices import Notices

OFTEN = 3  # turns in a row that were refused with the same: the person is told
_ENDED = (AgentStatus.PLANNED, AgentStatus.STOPPED)


class Troubles:
    """Keeps the field `trouble` of every agent, and tells of what lasts."""

    def __init__(self, desk: Desk, notices: Notices) -> None:
        """Nobody is in trouble by this."""
        self._desk = desk
        self._notices = notices
        self._told: dict[str, str] = {}  # agent -> the trouble that the person was told of

    async def step(self) -> None:
        """One round, after the agents were looked at."""
        watched = set(self._desk.observer.names())
        for agent in self._desk.team:
            text, lasts = self._trouble(agent) if agent.name in watched and agent.status not in _ENDED else ("", False)
            if text != agent.trouble:
                await self._note(agent, text)
            if lasts and self._told.get(agent.name) != text:
                self._notices.alert(f"{agent.name}: {text}")
                self._told[agent.name] = text
            elif not text:
                self._told.pop(agent.name, None)

    def _trouble(self, agent: Agent) -> tuple[str, bool]:
        """What keeps an agent from its work now, and whether that lasts; ("", False) for nothing."""
        observer = self._desk.observer
        if observer.state(agent.name).level is Level.BUSY:
            return self._stall(agent)
        refused = observer.refused(agent.name)
        if refused is None or observer.limit(agent.name):  # a limit is shown as what it is
            return "", False
        again = f", {refused.count} times in a row" if refused.count > 1 else ""
        return f"{refused.kind}{again}: {refused.text}".rstrip(": "), refused.count >= OFTEN

    def _stall(self, agent: Agent) -> tuple[str, bool]:
        desk, after_s = self._desk, self._desk.settings().stall_after_s
        still_s = desk.now() - desk.observer.moved_at(agent.name)
        if still_s < after_s:
            return "", False
        return f"stalled: busy, and nothing has moved for over {_span(after_s)}", True

    async def _note(self, agent: Agent, text: str) -> None:
        """Write a trouble down, or that it is over; one who stalls is nudged, once while it is busy."""
        desk = self._desk
        await desk.broker.set_agent(agent.window, {"trouble": text})
        await desk.tell(
            EventType.AGENT_TROUBLE, text or "gets on again", agent=agent.name, level="warning" if text else "info"
        )
        nudge = desk.settings().stall_nudge
        if nudge and text.startswith("stalled"):
            key = f"nudge/{agent.launched_at}/{desk.observer.state(agent.name).since}"
            await desk.message(agent.name, nudge, key=key, when=When.NOW)


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:g} s"
