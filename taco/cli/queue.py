"""`taco queue`: what waits, what died, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from taco.cli import place, say
from taco.cli.options import Family, complete_message, json_option, session_option
from taco.errors import NotFoundError
from taco.models import AgentQueue, CommandState
from taco.redact import redact

if TYPE_CHECKING:
    from taco.broker import Broker

_KEPT = ("id", "sender", "target", "priority", "when", "state", "reason", "attempts", "queued_at", "at", "message")
_STATE_STYLES = {"delivered": "green", "dead": "bold red", "unconfirmed": "bold yellow", "rejected": "red"}


@click.group(cls=Family, default="list")
def queue() -> None:
    """Show what waits for whom and why; retry, drop or cancel single messages."""


@queue.command("list")
@json_option
@session_option
def list_(as_json: bool, session: str | None) -> None:
    """Show the queue of every agent: this is what `taco queue` alone does."""

    async def read(broker: Broker) -> tuple[Mapping[str, AgentQueue], list[dict[str, str]], list[dict[str, str]]]:
        return await broker.queues(), await broker.dead_letters(), await broker.unconfirmed()

    queues, dead, unconfirmed = place.with_broker(place.find(session), read)
    if as_json:
        agents = {name: _agent_json(each) for name, each in queues.items()}
        say.data({"agents": agents, "dead": list(map(_kept, dead)), "unconfirmed": list(map(_kept, unconfirmed))})
        return
    say.table(
        ["AGENT", "HIGH", "NORMAL", "LOW", "OLDEST", "HOLD"],
        [
            [name, each.high, each.normal, each.low, _age(each.oldest_wait_s), each.hold]
            for name, each in queues.items()
        ],
        styles={0: "bold", 5: "yellow"},
        right="HIGH NORMAL LOW",
    )
    for title, letters in (("dead", dead), ("unconfirmed", unconfirmed)):
        if letters:
            say.out()
            _letters(letters, title)
    if dead or unconfirmed:
        say.note("taco queue retry ID sends it again; taco queue drop ID forgets it")


@queue.command()
@click.argument("command_id", metavar="ID", shell_complete=complete_message)
@json_option
@session_option
def show(command_id: str, as_json: bool, session: str | None) -> None:
    """Show everything that is known of one message."""
    ledger = place.with_wire(place.find(session), lambda wire: wire.ledger(command_id))
    if ledger is None:
        raise NotFoundError(f"no message {command_id!r}", hint="finished ones are forgotten after a day")
    found = ledger.public()
    if as_json:
        say.data(found)
        return
    found["message"] = ledger.preview
    for name, value in found.items():
        if value is not None and value != "":
            style = _STATE_STYLES.get(str(value), "") if name == "state" else ""
            say.out(f"{say.paint(name.ljust(12), 'dim')}  {say.paint(say.clean(value), style)}")


@queue.command()
@json_option
@session_option
def dead(as_json: bool, session: str | None) -> None:
    """List what was given up, and what nobody saw arrive."""

    async def read(broker: Broker) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        return await broker.dead_letters(), await broker.unconfirmed()

    dead_ones, unconfirmed = place.with_broker(place.find(session), read)
    if as_json:
        say.data({"dead": list(map(_kept, dead_ones)), "unconfirmed": list(map(_kept, unconfirmed))})
        return
    if not dead_ones and not unconfirmed:
        say.note("no dead letters, and nothing unconfirmed")
    for title, letters in (("dead", dead_ones), ("unconfirmed", unconfirmed)):
        if letters:
            _letters(letters, title)


@queue.command()
@click.argument("command_id", metavar="ID", shell_complete=complete_message)
@json_option
@session_option
def retry(command_id: str, as_json: bool, session: str | None) -> None:
    """Send a dead or unconfirmed message again: look first whether the agent has it."""

    async def again(broker: Broker) -> str:
        return (await broker.retry(command_id)).target

    target = place.with_broker(place.find(session), again)
    _told(command_id, CommandState.QUEUED, f"queued again for {target}", as_json=as_json)


@queue.command()
@click.argument("command_id", metavar="ID", shell_complete=complete_message)
@json_option
@session_option
def drop(command_id: str, as_json: bool, session: str | None) -> None:
    """Forget a dead or unconfirmed message, or cancel one that waits."""

    async def forget(broker: Broker) -> None:
        await broker.drop(command_id)

    place.with_broker(place.find(session), forget)
    _told(command_id, "dropped", "dropped", as_json=as_json)


@queue.command()
@click.argument("command_id", metavar="ID", shell_complete=complete_message)
@json_option
@session_option
def cancel(command_id: str, as_json: bool, session: str | None) -> None:
    """Cancel a message that was not submitted yet."""

    async def stop(broker: Broker) -> CommandState:
        return await broker.cancel(command_id)

    state = place.with_broker(place.find(session), stop)
    talk = "cancelled" if state is CommandState.CANCELLED else "it is typed already; its text is taken out again"
    _told(command_id, state, talk, as_json=as_json)


def _told(command_id: str, state: str, talk: str, *, as_json: bool) -> None:
    if as_json:
        say.data({"id": command_id, "state": str(state)})
    else:
        say.out(f"{command_id}: {talk}")


def _agent_json(each: AgentQueue) -> dict[str, Any]:
    oldest = None if each.oldest_wait_s is None else round(each.oldest_wait_s, 3)
    return {
        "high": each.high,
        "normal": each.normal,
        "low": each.low,
        "oldest_wait_s": oldest,
        "hold": each.hold or None,
    }


def _kept(letter: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {key: letter.get(key) for key in _KEPT}
    return found | {"attempts": int(letter.get("attempts") or 0), "message": redact(letter.get("message") or "")}


def _letters(letters: Sequence[Mapping[str, str]], title: str) -> None:
    style = _STATE_STYLES.get(title, "")
    say.table(
        [title.upper(), "FROM", "TO", "AGO", "REASON", "MESSAGE"],
        [
            [
                each["id"],
                each.get("sender", ""),
                each.get("target", ""),
                say.ago(each.get("at", "")),
                say.cut(say.clean(each.get("reason", "")), 50),
                say.cut(redact(each.get("message", "")[:4_000]), 60),
            ]
            for each in letters
        ],
        styles={0: style},
    )


def _age(seconds: float | None) -> str:
    return "" if seconds is None else say.duration(seconds)
