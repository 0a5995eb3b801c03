"""`taco monitor` and `taco executor`: what runs in windows 1 and 2 of a session."""

from __future__ import annotations

import click

from taco.cli import place, running, say
from taco.cli.options import session_option
from taco.errors import Exit


@click.command()
@click.option("--plain", is_flag=True, help="Print lines instead of a full screen: for screen readers, pipes and logs.")
@session_option
def monitor(session: str | None, plain: bool) -> int:
    """Watch a session in full screen: agents, queues, questions, what happens; ? lists the keys, q leaves."""
    return running.watch(session, plain=plain)


@click.command()
@click.option("--restart", is_flag=True, help="End it and start it again in its window, also after too many crashes.")
@session_option
def executor(session: str | None, restart: bool) -> int:
    """Deliver the messages of a session: what runs in its window 2."""
    if not restart:
        return running.deliver(session)
    from taco import supervision

    supervision.restart(place.find(session).record)
    say.note("the executor runs, started again")
    return int(Exit.OK)
