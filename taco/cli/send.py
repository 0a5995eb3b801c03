"""`taco send` and `taco broadcast`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from taco.cli.options import TextCommand, complete_agent, json_option, session_option
from taco.cli.sending import Sending
from taco.cli.sending import send as send_message

_SENDING = (
    click.option("--file", metavar="F", type=click.Path(), help="Take the message from a file."),
    click.option(
        "--priority",
        type=click.Choice(["high", "normal", "low"]),
        default="normal",
        show_default=True,
        help="high overtakes normal overtakes low.",
    ),
    click.option(
        "--when",
        type=click.Choice(["idle", "now"]),
        default="idle",
        show_default=True,
        help="now: also while the agent works.",
    ),
    click.option(
        "--wait",
        "wait_s",
        metavar="S",
        type=click.FloatRange(min=0, max=float("inf"), max_open=True),
        help="Wait up to S seconds for the delivery: 0 delivered, 3 not in time, 4 unconfirmed; of several the worst.",
    ),
    click.option("--from", "sender", metavar="NAME", help="Whom the message is from (the person only)."),
    click.option("--id", "command_id", metavar="ID", help="Your own id: sent twice under it is sent once."),
    json_option,
    session_option,
)


def _sending_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_SENDING):
        function = option(function)
    return function


@click.command(cls=TextCommand)
@click.argument("target", shell_complete=complete_agent)
@click.argument("words", nargs=-1, metavar="TEXT|-", type=click.UNPROCESSED)
@_sending_options
def send(target: str, words: tuple[str, ...], **values: Any) -> int:
    """Send a message to TARGET: an agent's name or window number, session:window, mother, all, or person.

    Prints the message's id. TEXT beginning with a dash is fine; - reads standard input.
    """
    return send_message(Sending(target, words, **values))


@click.command(cls=TextCommand)
@click.argument("words", nargs=-1, metavar="TEXT|-", type=click.UNPROCESSED)
@_sending_options
def broadcast(words: tuple[str, ...], **values: Any) -> int:
    """Send a message to every agent but yourself. Prints one id and name per line."""
    return send_message(Sending("all", words, **values))
