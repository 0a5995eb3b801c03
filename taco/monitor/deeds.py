"""What the person wants done, written where the commands of the same name write it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from taco import inbox
from taco.broker import Broker
from taco.calls import new_id
from taco.errors import ConflictError, NotFoundError, TacoError
from taco.models import PERSON, Command, Event, EventType, SpecStatus, iso


async def send(broker: Broker, agents: Sequence[str], text: str) -> list[str]:
    """Queue a message of the person for each agent, with ids as `taco send` and `taco broadcast` make them.

    Who refuses it keeps it from nobody else; TacoError says then who has not got it.
    """
    own, at = new_id(), iso(time.time())
    ids = [own] if len(agents) == 1 else [f"{own}-{agent}" for agent in agents]
    refused: dict[str, TacoError] = {}
    for command_id, agent in zip(ids, agents, strict=True):
        try:
            await broker.enqueue(Command(command_id, PERSON, agent, text, timestamp=at))
        except TacoError as error:
            refused[agent] = error
    if refused:
        raise _refusal(refused, len(agents))
    return ids


def _refusal(refused: Mapping[str, TacoError], count: int) -> TacoError:
    error = next(iter(refused.values()))
    if count == 1:
        return error
    rest = f"{count - len(refused)} others have it" if len(refused) < count else "nobody has it"
    return TacoError(f"not sent to {', '.join(refused)}: {error.message}; {rest}", hint=error.hint)


async def ask_for(broker: Broker, verb: str, agent: str) -> None:
    """Leave a wish for the orchestrator, as `taco agent VERB` does."""
    at = iso(time.time())
    await broker.push_request({"verb": verb, "agent": agent, "at": at})
    await broker.emit(Event(EventType.AGENT_REQUESTED, broker.session, ts=at, agent=agent, content=verb))


async def answer(broker: Broker, ask_id: str, text: str) -> str:
    """Answer an open question; raises NotFoundError when it is not open any more."""
    asked = next((ask for ask in await broker.asks() if ask.id == ask_id), None)
    if asked is None:
        raise NotFoundError(f"question {ask_id} is not open any more", hint="see: taco inbox")
    return await inbox.answer(broker, asked, text, iso(time.time()))


async def decide(broker: Broker, mark: str, *, approved: bool, reason: str) -> None:
    """Approve or reject the plan with this mark, as `taco spec approve` and `taco spec reject` do."""
    at = iso(time.time())
    decided = inbox.approval(broker.session, mark, at) if approved else inbox.rejection(broker.session, reason, at)
    fields, event = decided
    if not await broker.put_spec(fields, seen={"mark": mark, "status": SpecStatus.REVIEW}):
        raise ConflictError("the plan has changed since it was shown, or was decided", hint="look at it again")
    await broker.emit(event)
