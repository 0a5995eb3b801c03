"""`taco ask`, `taco answer` and `taco inbox`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from taco import inbox as desk
from taco.cli import outbox, place, say
from taco.cli.body import read_body
from taco.cli.caller import Caller, caller
from taco.cli.options import TextCommand, json_option, session_option
from taco.cli.sending import new_id
from taco.errors import ConflictError, Exit, NotFoundError, UsageError
from taco.line import ForbiddenError
from taco.models import Ask, iso

if TYPE_CHECKING:
    from taco.broker import Broker

ASK_ID_LENGTH = 6  # people type it


@click.command(cls=TextCommand)
@click.argument("words", nargs=-1, metavar="QUESTION|-", type=click.UNPROCESSED)
@click.option("--wait", "wait_s", metavar="S", type=click.FloatRange(min=0), default=0, help="Wait for the answer.")
@json_option
@session_option
def ask(words: tuple[str, ...], wait_s: float, as_json: bool, session: str | None) -> int:
    """Ask the person a QUESTION. Prints its id; with --wait also the answer when it comes in time.

    An agent waits 100 s at most; after that the answer comes as a message.
    """
    who = caller()
    if not who.is_agent:
        raise UsageError("questions are asked by agents; you are the person", hint="see theirs: taco inbox")
    question = read_body(words, what="question")
    here = place.find(session, who)
    asked = Ask(new_id()[:ASK_ID_LENGTH], who.name, question, iso(time.time()))
    try:
        place.with_line(here, lambda line: line.call("PING"))
    except ForbiddenError as error:
        fields = {"id": asked.id, "sender": who.name, "text": question, "timestamp": asked.opened_at}
        outbox.drop("ask", fields, error)
        return _unanswered(asked, "asked through the outbox", as_json=as_json, waited=wait_s > 0)
    if not as_json and wait_s:
        say.note(f"asked as {asked.id}; waiting for the answer")
    answered = place.with_broker(here, lambda broker: _ask(broker, asked, who.wait_s(wait_s)))
    if answered is None:
        return _unanswered(asked, "asked", as_json=as_json, waited=wait_s > 0)
    if as_json:
        say.data(asdict(answered))
    else:
        say.out(answered.answer)
    return int(Exit.OK)


async def _ask(broker: Broker, asked: Ask, wait_s: float) -> Ask | None:
    await broker.open_ask(asked.agent, asked.question, asked.id, asked.opened_at)
    if not wait_s:
        return None
    answered = await desk.wait_for_answer(broker, asked.id, wait_s)
    if answered:
        with contextlib.suppress(ConflictError, NotFoundError):  # it is read here: no need to type it as well
            await broker.cancel(desk.answer_id(asked.id))
    return answered


def _unanswered(asked: Ask, how: str, *, as_json: bool, waited: bool) -> int:
    if as_json:
        say.data(asdict(asked))
    else:
        say.out(asked.id)
    say.note(f"{how}; the answer will come as a message: go on with what does not need it")
    return int(Exit.STILL_WAITING if waited else Exit.OK)


@click.command(cls=TextCommand)
@click.argument("words", nargs=-1, metavar="[ID] TEXT|-", type=click.UNPROCESSED)
@json_option
@session_option
def answer(words: tuple[str, ...], as_json: bool, session: str | None) -> None:
    """Answer an agent's question; ID may be left out while one question is open. The agent gets it as a message."""
    if not words:
        raise UsageError("the answer is missing", hint="taco answer [ID] TEXT; open questions: taco inbox")

    async def store(broker: Broker) -> tuple[Ask, str]:
        asked, rest = await desk.pick(broker, words)
        return asked, await desk.answer(broker, asked, read_body(rest, what="answer"), iso(time.time()))

    asked, message = place.with_broker(place.find(session), store)
    if as_json:
        say.data({"id": asked.id, "agent": asked.agent, "message": message})
    else:
        say.out(f"answered {asked.agent}: {say.cut(say.clean(asked.question), 60)}")


@click.command()
@click.option("-n", "--count", default=20, show_default=True, type=click.IntRange(1, 500), help="How many messages.")
@json_option
@session_option
def inbox(count: int, as_json: bool, session: str | None) -> None:
    """Show what waits for you: the person's open questions, dialogs and messages; an agent's recent messages."""
    who = caller()
    here = place.find(session, who)
    if who.is_agent:
        _of_agent(here, who, count, as_json=as_json)
    else:
        _of_person(here, count, as_json=as_json)


def _of_agent(here: place.Place, who: Caller, count: int, *, as_json: bool) -> None:
    notes = place.with_broker(here, lambda broker: desk.of_agent(broker, who.name, count))
    if as_json:
        say.data({"messages": [asdict(each) for each in notes]})
        return
    if not notes:
        say.note("no messages yet")
    _print_notes(notes)


def _of_person(here: place.Place, count: int, *, as_json: bool) -> None:
    found = place.with_broker(here, lambda broker: desk.of_person(broker, count))
    if as_json:
        say.data(_inbox_json(found))
        return
    for each in found.asks:
        say.out(f"{say.paint('question', 'bold yellow')}  {each.id}  {each.agent}, {say.ago(each.opened_at)} ago")
        for line in each.question.splitlines():
            say.out(f"    {say.clean(line)}")
        say.out(say.paint(f"    taco answer {each.id} “…”", "dim"))
    for agent in found.dialogs:
        what = say.clean(agent.state.detail) or "a dialog"
        since = say.ago(iso(agent.state.since)) if agent.state.since else "some time"
        say.out(f"{say.paint('dialog', 'bold yellow')}    {agent.name} has waited at {what} for {since}")
        say.out(say.paint(f"    taco attach, then window {agent.window}", "dim"))
    _print_notes(found.messages)
    if not (found.asks or found.dialogs or found.messages):
        say.note("nothing waits for you")


def _print_notes(notes: Sequence[desk.Note]) -> None:
    for each in notes:
        say.out(f"{say.paint(say.clock(each.at), 'dim')}  {say.paint(say.clean(each.sender), 'cyan')}")
        for line in each.text.splitlines():
            say.out(f"    {say.clean(line)}")


def _inbox_json(found: desk.Inbox) -> dict[str, Any]:
    return {
        "asks": [asdict(each) for each in found.asks],
        "dialogs": [
            {
                "agent": each.name,
                "window": each.window,
                "pane": each.pane or None,
                "what": each.state.detail or None,
                "since": iso(each.state.since) if each.state.since else None,
            }
            for each in found.dialogs
        ],
        "messages": [asdict(each) for each in found.messages],
    }
