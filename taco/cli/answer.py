"""`taco answer`, `taco approve` and `taco deny`: what the person says to a question, or to a dialog on a screen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from taco import inbox as desk
from taco.calls import new_id
from taco.choices import ESCAPE, Option, choose, no, options_from, yes
from taco.cli import place, say
from taco.cli.body import read_body
from taco.cli.options import TextCommand, json_option, session_option
from taco.cli.spec import approve_spec, reject_spec
from taco.errors import Exit, NotFoundError, TacoError, UsageError
from taco.models import PERSON, Ask, Command, Priority, iso

if TYPE_CHECKING:
    from taco.broker import Broker

PLAN = "plan"  # stands for the id of the plan that waits for review


def complete_ask(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What waits for the person in the session that is meant."""
    try:
        asks = place.with_broker(place.find(ctx.params.get("session")), lambda broker: broker.asks(open_only=True))
    except TacoError:
        return []
    found = [each for each in asks if each.id.startswith(incomplete)]
    return [CompletionItem(each.id, help=say.cut(f"{each.agent}: {say.clean(each.question)}", 60)) for each in found]


@click.command(cls=TextCommand)
@click.argument("words", nargs=-1, metavar="[ID] TEXT|-", type=click.UNPROCESSED, shell_complete=complete_ask)
@json_option
@session_option
def answer(words: tuple[str, ...], as_json: bool, session: str | None) -> int:
    """Answer an agent's question, or choose at a dialog: by the number or the words of an answer.

    ID may be left out while one question is open. The agent gets the answer to a question as a message; at a dialog the
    key is pressed in its window, if exactly that dialog still stands there.
    """
    if not words:
        raise UsageError("the answer is missing", hint="taco answer [ID] TEXT; open questions: taco inbox")
    here = place.find(session)

    async def store(broker: Broker) -> tuple[Ask, Option | None]:
        asked, rest = await desk.pick(broker, words)
        text = read_body(rest, what="answer")
        if asked.is_dialog:
            return asked, _chosen(asked, text)
        await _reply(broker, asked, _chosen(asked, text).label if asked.choices else text)
        return asked, None

    asked, option = place.with_broker(here, store)
    if option is not None:
        return _press(here, asked, option, as_json=as_json)
    return _told(asked, {"message": desk.answer_id(asked.id)}, as_json=as_json)


@click.command()
@click.argument("id_", metavar="[ID|AGENT|plan]", default="", shell_complete=complete_ask)
@json_option
@session_option
def approve(id_: str, as_json: bool, session: str | None) -> int:
    """Say yes, this one time, to what waits: a tool, a plan, a question. ID may be left out while one dialog is up."""
    here = place.find(session)
    if id_ == PLAN:
        approve_spec(here, as_json=as_json)
        return int(Exit.OK)
    asked = place.with_broker(here, lambda broker: desk.pick_one(broker, id_))
    option = yes(options_from(asked.choices))
    if asked.is_dialog:
        return _press(here, asked, _sure(asked, option, "yes"), as_json=as_json)
    text = _sure(asked, option, "yes").label if asked.choices else "yes"
    place.with_broker(here, lambda broker: _reply(broker, asked, text))
    return _told(asked, {"message": desk.answer_id(asked.id)}, as_json=as_json)


@click.command(cls=TextCommand)
@click.argument("words", nargs=-1, metavar="[ID|AGENT|plan] [WHY]", type=click.UNPROCESSED, shell_complete=complete_ask)
@json_option
@session_option
def deny(words: tuple[str, ...], as_json: bool, session: str | None) -> int:
    """Say no to what waits: a tool, a plan, a question; WHY goes to the agent as a message."""
    here = place.find(session)
    if words and words[0] == PLAN:
        reject_spec(here, " ".join(words[1:]), as_json=as_json)
        return int(Exit.OK)
    asked, rest = place.with_broker(here, lambda broker: desk.pick_first(broker, words))
    why = " ".join(rest)
    option = no(options_from(asked.choices))
    if asked.is_dialog:
        code = _press(here, asked, option or Option(ESCAPE, "no"), as_json=as_json)
        if why and code == Exit.OK:
            place.with_broker(here, lambda broker: _explain(broker, asked, why))
        return code
    text = _sure(asked, option, "no").label if asked.choices else "no"
    place.with_broker(here, lambda broker: _reply(broker, asked, f"{text}: {why}" if why else text))
    return _told(asked, {"message": desk.answer_id(asked.id)}, as_json=as_json)


def _sure(asked: Ask, option: Option | None, what: str) -> Option:
    """The option, if the answers to `asked` have one; raises UsageError that lists them."""
    if option is None:
        listed = ", ".join(map(str, options_from(asked.choices))) or "none that a key gives"
        raise UsageError(f"{asked.id} has no plain {what}", hint=f"its answers: {listed}; taco answer {asked.id} …")
    return option


def _chosen(asked: Ask, words: str) -> Option:
    """What `words` choose of the answers to `asked`; raises UsageError that lists them."""
    offered = options_from(asked.choices)
    found = choose(offered, words)
    if found is None:
        listed = ", ".join(map(str, offered))
        hint = f"its answers: {listed}" if listed else "none can be given by a key: answer it in the agent's window"
        raise UsageError(f"{say.cut(say.clean(words), 40)!r} is no answer to {asked.id}", hint=hint)
    return found


async def _reply(broker: Broker, asked: Ask, text: str) -> None:
    """Store the answer to a question, and send it to the agent."""
    await desk.answer(broker, asked, text, iso(time.time()))


async def _explain(broker: Broker, asked: Ask, why: str) -> None:
    at = iso(time.time())
    await broker.enqueue(Command(new_id(), PERSON, asked.agent, why, Priority.HIGH, timestamp=at))


def _press(here: place.Place, asked: Ask, option: Option, *, as_json: bool) -> int:
    """Press the key of `option` at the dialog of `asked`, once, and say what came of it."""
    from taco import files, paths
    from taco.answering import Hand
    from taco.tmux.commands import CommandPipe
    from taco.tmux.guard import Guard

    record = here.record

    async def press(broker: Broker) -> bool:
        agent = next((each for each in await broker.agents() if each.name == asked.agent), None)
        if agent is None:
            raise NotFoundError(f"there is no agent {asked.agent!r} any more", hint="see: taco inbox")
        provider = files.provider(agent.provider, paths.config_home(), record.home, record.project_dir)
        pipe = CommandPipe(record.tmux_socket)
        try:
            hand = Hand(record.name, pipe, Guard(pipe, record.directory / "buffers"))
            gone = await hand.press(asked, agent, provider, option.key)
        finally:
            await pipe.close()
        if gone:
            await desk.note_pressed(broker, asked, str(option), iso(time.time()))
        return gone

    gone = place.with_broker(here, press)
    if as_json:
        say.data({"id": asked.id, "agent": asked.agent, "pressed": option.key, "answer": option.label, "gone": gone})
    elif gone:
        say.out(f"{asked.agent}: {option}")
    if not gone:
        say.warn(f"{option.key} was pressed at {asked.agent}'s dialog, and it still stands: look at its window")
        return int(Exit.UNCONFIRMED)
    return int(Exit.OK)


def _told(asked: Ask, more: dict[str, str], *, as_json: bool) -> int:
    if as_json:
        say.data({"id": asked.id, "agent": asked.agent, **more})
    else:
        say.out(f"answered {asked.agent}: {say.cut(say.clean(asked.question), 60)}")
    return int(Exit.OK)
