"""`taco ask` and `taco inbox`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from taco import inbox as desk
from taco.calls import new_id
from taco.choices import options_from, yes
from taco.cli import outbox, place, say
from taco.cli.body import read_body
from taco.cli.caller import Caller, caller
from taco.cli.options import TextCommand, json_option, session_option
from taco.errors import ConflictError, Exit, NotFoundError, UsageError
from taco.line import ForbiddenError
from taco.models import Ask, iso

if TYPE_CHECKING:
    from taco.broker import Broker

ASK_ID_LENGTH = 6  # people type it
MOST_CHOICES = 9


@click.command(cls=TextCommand)
@click.argument("words", nargs=-1, metavar="QUESTION|-", type=click.UNPROCESSED)
@click.option("--choices", metavar="A,B", default="", help="The answers there are, with commas between them.")
@click.option(
    "--wait",
    "wait_s",
    metavar="S",
    type=click.FloatRange(min=0),
    default=None,
    help="How long to wait for the answer; default: ask_block_s (100), 0: not at all.",
)
@json_option
@session_option
def ask(words: tuple[str, ...], choices: str, wait_s: float | None, as_json: bool, session: str | None) -> int:
    """Ask the person a QUESTION, and print the answer. Ends with 75 and the question's id when it is not in time.

    An agent waits 100 s at most; after that the answer comes as a message.
    """
    who = caller()
    if not who.is_agent:
        raise UsageError("questions are asked by agents; you are the person", hint="see theirs: taco inbox")
    question = read_body(words, what="question")
    offered = _choices(choices)
    here = place.find(session, who)
    asked = Ask(new_id()[:ASK_ID_LENGTH], who.name, question, iso(time.time()), choices=offered)
    try:
        place.with_line(here, lambda line: line.call("PING"))
    except ForbiddenError as error:
        fields = {"id": asked.id, "sender": who.name, "text": question, "timestamp": asked.opened_at}
        outbox.drop("ask", {**fields, "choices": list(offered)}, error)
        return _unanswered(asked, "asked through the outbox", as_json=as_json, waited=wait_s != 0)
    wait_s = _block_s() if wait_s is None else wait_s
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


def _choices(given: str) -> tuple[str, ...]:
    """The answers that were given to choose from; raises UsageError for a single one, or two of the same."""
    found = tuple(each.strip() for each in given.split(",") if each.strip())
    if len(found) == 1 or len({each.casefold() for each in found}) < len(found) or len(found) > MOST_CHOICES:
        hint = 'for example: taco ask "Which database?" --choices "Postgres,SQLite"'
        raise UsageError(f"--choices {given!r}: give two to {MOST_CHOICES} different answers", hint=hint)
    return found


def _block_s() -> float:
    from taco import files, paths

    return files.settings(paths.config_home(), paths.home()).config.ask_block_s


async def _ask(broker: Broker, asked: Ask, wait_s: float) -> Ask | None:
    await broker.open_ask(asked)
    if not wait_s:
        return None
    answered = await desk.wait_for_answer(broker, asked.id, wait_s)
    if answered:
        with contextlib.suppress(ConflictError, NotFoundError):  # it is read here: no need to type it as well
            await broker.cancel(desk.answer_id(asked.id), "read where it was asked")
    return answered


def _unanswered(asked: Ask, how: str, *, as_json: bool, waited: bool) -> int:
    if as_json:
        say.data(asdict(asked))
    else:
        say.out(asked.id)
    say.note(f"{how}; the answer will come as a message: go on with what does not need it")
    return int(Exit.STILL_WAITING if waited else Exit.OK)


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
    if found.plan:
        say.out(f"{say.paint('plan', 'bold yellow')}  Mother's plan of the team waits for you")
        say.out(say.paint("    taco spec show; then: taco approve plan, or: taco deny plan “why”", "dim"))
    for each in found.dialogs:
        _print_dialog(each)
    for ask in found.asks:
        _print_ask(ask, "question")
        how = f"taco answer {ask.id} {'|'.join(ask.choices) if ask.choices else '“…”'}"
        say.out(say.paint(f"    {how}", "dim"))
    _print_notes(found.messages)
    if not (found.plan or found.asks or found.dialogs or found.messages):
        say.note("nothing waits for you")


def _print_ask(ask: Ask, kind: str) -> None:
    say.out(f"{say.paint(kind, 'bold yellow')}  {ask.id}  {ask.agent}, {say.ago(ask.opened_at)} ago")
    for line in ask.question.splitlines():
        say.out(f"    {say.clean(line)}".rstrip())


def _print_dialog(shown: desk.Shown) -> None:
    agent, ask = shown.agent, shown.ask
    if ask is None:
        what = say.clean(agent.state.detail) or "a dialog"
        since = say.ago(iso(agent.state.since)) if agent.state.since else "some time"
        say.out(f"{say.paint('dialog', 'bold yellow')}  {agent.name} has waited at {what} for {since}")
    else:
        _print_ask(ask, ask.kind)
        for choice in ask.choices:
            say.out(f"      {say.clean(choice)}")
    offered = options_from(ask.choices) if ask else ()
    ways = [f"taco answer {ask.id} {'|'.join(each.key for each in offered)}"] if ask and offered else []
    if ask and yes(offered):
        ways = [f"taco approve {ask.id}", f'taco deny {ask.id} "why"', *ways]
    for way in (*ways, f"taco attach, then window {agent.window}"):
        say.out(say.paint(f"    {way}", "dim"))


def _print_notes(notes: Sequence[desk.Note]) -> None:
    for each in notes:
        say.out(f"{say.paint(say.clock(each.at), 'dim')}  {say.paint(say.clean(each.sender), 'cyan')}")
        for line in each.text.splitlines():
            say.out(f"    {say.clean(line)}")


def _inbox_json(found: desk.Inbox) -> dict[str, Any]:
    dialogs = [
        {
            "agent": each.agent.name,
            "window": each.agent.window,
            "pane": each.agent.pane or None,
            "what": each.agent.state.detail or None,
            "since": iso(each.agent.state.since) if each.agent.state.since else None,
            "id": each.ask.id if each.ask else None,
            "kind": each.ask.kind if each.ask else "dialog",
            "text": each.ask.question if each.ask else None,
            "choices": list(each.ask.choices) if each.ask else [],
        }
        for each in found.dialogs
    ]
    return {
        "asks": [asdict(each) for each in found.asks],
        "dialogs": dialogs,
        "plan": {"id": "plan", "since": found.plan} if found.plan else None,
        "messages": [asdict(each) for each in found.messages],
    }
