"""Parks every agent of an account that is served no more, and lets them go on when it is again.

A usage limit, a key that is refused, a bill that is not paid: whoever of the fleet works next meets the same. One
meeting it is enough: until it is over no agent on that account is started, and none gets a message that begins work.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping

from taco.errors import TacoError
from taco.models import Agent, AgentStatus, EventType, Level, Limit, iso
from taco.orchestrator.desk import Desk
from taco.orchestrator.notices import Notices
from taco.provider import OF_THE_ACCOUNT, Provider
from taco.state import until_words

_SECRETS = ("API_KEY", "AUTH_TOKEN", "OAUTH_TOKEN", "BASE_URL")  # how the variables end that choose an account
_SAME_S = 60.0  # limits that end so close together are one
_GO_ON = "The limit that stopped you is over. Go on with what you were doing; if it was done, there is nothing to do."
_FORGOT = " Your conversation does not hold the message that you were stopped at: taco inbox shows it once more."


def account_of(provider: Provider, environ: Mapping[str, str]) -> str:
    """What tells the account of one agent CLI from another: its program, its configuration, and its keys, hashed."""
    chosen = sorted(f"{name}={value}" for name, value in environ.items() if name.endswith(_SECRETS))
    place = provider.located("{config_dir}", environ, cwd="") if provider.config_dir else ""
    seed = "\n".join([place, *chosen])
    return f"{os.path.basename(provider.command[0])}/{hashlib.sha256(seed.encode()).hexdigest()[:12]}"  # noqa: PTH119


class Parking:
    """Watches the agents' limits, and says who is parked."""

    def __init__(self, desk: Desk, notices: Notices) -> None:
        """Nobody is parked by this."""
        self._desk = desk
        self._notices = notices
        self._accounts: dict[str, tuple[str, str]] = {}  # provider -> its account and what people call it
        self._known: dict[str, Limit] = {}  # by account, as of the last round
        self._shown: str | None = None  # what stands in the session's record; None: not read yet

    async def step(self) -> None:
        """One round, after the agents were looked at."""
        desk, now = self._desk, self._desk.now()
        limits = {limit.account: limit for limit in await desk.broker.limits()}
        team = [agent for agent in desk.team if agent.status is not AgentStatus.STOPPED]
        for agent in team:
            account, title = self._account(agent.provider)
            found = self._found(agent, account, title)
            if found is not None and is_news(found, limits.get(account), now):
                limits[account] = found
                await desk.broker.put_limit(found)
        for limit in list(limits.values()):
            if limit.until <= now or self._is_over(limit):
                del limits[limit.account]
                await desk.broker.drop_limit(limit)
            elif not limit.holds:
                self._lift(limit, team)
        held = {account: limit for account, limit in limits.items() if limit.holds}
        await self._tell(held, team, now)
        await self._show(held)
        desk.parked.clear()
        for name in {*desk.providers, *(agent.provider for agent in team)} if held else ():
            account, _ = self._account(name)
            if account in held:
                desk.parked[name] = f"limited: {held[account].title} {until_words(held[account].until, now)}"

    async def _show(self, held: Mapping[str, Limit]) -> None:
        """Write down for `status` and the monitor what holds this session's agents, when that has changed."""
        names = sorted(self._accounts.items())
        shown = [
            {
                "account": limit.account,
                "title": limit.title,
                "text": limit.text,
                "until": iso(limit.until),
                "guessed": limit.guessed,
                "providers": [name for name, (account, _) in names if account == limit.account],
            }
            for limit in held.values()
        ]
        text = json.dumps([each for each in shown if each["providers"]], ensure_ascii=False)
        if self._shown is None:
            self._shown = (await self._desk.broker.session_fields()).get("limits", "[]")
        if text != self._shown:
            await self._desk.broker.put_session({"limits": text})
            self._shown = text

    def _account(self, name: str) -> tuple[str, str]:
        """The account of a provider, and what people call that; ("", "") where it is broken."""
        if name not in self._accounts:
            try:
                provider = self._desk.provider_of(Agent(0, "", provider=name))
            except TacoError:
                return "", ""  # told where an agent of it is started
            environ = {**self._desk.ground.environ, **provider.env}
            self._accounts[name] = (account_of(provider, environ), provider.title or provider.name)
        return self._accounts[name]

    def _found(self, agent: Agent, account: str, title: str) -> Limit | None:
        """The limit that this agent has met, if it has."""
        observer = self._desk.observer
        rest_s = self._desk.settings().limit_retry_s
        whose = (self._desk.name, agent.name)
        if limit := observer.limit(agent.name):
            text, said_at, until = limit
            return Limit(account, title, text, said_at, until or said_at + rest_s, *whose, guessed=until is None)
        refused = observer.refused(agent.name)
        if refused is None or refused.kind not in OF_THE_ACCOUNT:
            return None
        text = refused.text or refused.kind
        return Limit(account, title, text, refused.at, refused.at + rest_s, *whose, guessed=True)

    def _is_over(self, limit: Limit) -> bool:
        """Whether the agent that met a limit has had a turn since that went well: a person went on in its window."""
        observer = self._desk.observer
        if limit.session != self._desk.name or limit.agent not in observer.names():
            return False
        met = observer.limit(limit.agent) is not None or observer.refused(limit.agent) is not None
        rests = observer.state(limit.agent).level is Level.IDLE
        return rests and not met and observer.reading(limit.agent) is not None

    def _lift(self, limit: Limit, team: list[Agent]) -> None:
        """Believe what the screens say of a limit no more that the person had lifted."""
        for agent in team:
            if agent.name in self._desk.observer.names() and self._account(agent.provider)[0] == limit.account:
                self._desk.observer.lift(agent.name, limit.lifted_at)

    async def _tell(self, held: Mapping[str, Limit], team: list[Agent], now: float) -> None:
        """Say once that an account is limited, and once that it is not any more, and wake who waits for that."""
        desk = self._desk
        for account, limit in held.items():
            before = self._known.get(account)
            if before is not None and before.until == limit.until:
                continue
            ours = sum(self._account(agent.provider)[0] == account for agent in team)
            rest = f"{_agents(ours)} on it {'rests' if ours == 1 else 'rest'} {until_words(limit.until, now)}"
            why = ", which is a guess" if limit.guessed else ""
            text = f"{limit.title} refuses this account ({limit.text}): {rest}{why}; sooner: taco resume --now"
            data = {"account": account, "until": limit.until, "text": limit.text, "session": limit.session}
            await desk.tell(EventType.ACCOUNT_LIMITED, text, agent=limit.agent, level="warning", data=data)
            self._notices.alert(text)
        for account, limit in self._known.items():
            if account in held:
                continue
            await desk.tell(EventType.ACCOUNT_FREED, f"{limit.title}: its agents go on", data={"account": account})
            for agent in team:
                if self._account(agent.provider)[0] == account:
                    await self._go_on(agent, limit)
        self._known = dict(held)

    async def _go_on(self, agent: Agent, limit: Limit) -> None:
        """An agent may work again; one whose turn was cut off is told to go on with it."""
        desk = self._desk
        if agent.name not in desk.observer.names():
            return
        reading, refused = desk.observer.reading(agent.name), desk.observer.refused(agent.name)
        met = (reading is not None and reading.limited) or (refused is not None and refused.kind in OF_THE_ACCOUNT)
        desk.observer.lift(agent.name, desk.now())  # its words may stand there still, and name no time
        if met and agent.state.level is not Level.BUSY and not agent.reported_at:
            text = _GO_ON + _FORGOT if desk.provider_of(agent).forgets_refused else _GO_ON
            await desk.message(agent.name, text, key=f"freed/{limit.account}/{limit.until}")
        desk.executor.wake(agent.name)


def is_news(found: Limit, known: Limit | None, now: float) -> bool:
    """Whether a limit that an agent has met says more than what is known of its account."""
    if found.until <= now:
        return False  # its words stand on the screen still
    if known is None or known.until <= now:
        return True
    if not known.holds:
        return found.said_at > known.lifted_at
    return not found.guessed and found.until > known.until + _SAME_S


def _agents(count: int) -> str:
    return "1 agent" if count == 1 else f"all {count} agents"
