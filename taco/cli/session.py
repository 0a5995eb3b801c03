"""`taco attach`, `taco stop`, `taco resume`: a session's comings and goings."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from taco.cli import say
from taco.cli.options import complete_session, json_option
from taco.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from taco.broker import Broker
    from taco.models import Limit
    from taco.paths import SessionRecord


@click.command()
@click.argument("name", required=False, metavar="[SESSION]", shell_complete=complete_session)
def attach(name: str | None) -> None:
    """Go to a session; inside tmux the client is switched. Default: the only one that runs."""
    from taco import session

    session.attach(_meant(name, "attach"), say.warn)


@click.command()
@click.argument("name", required=False, metavar="[SESSION]", shell_complete=complete_session)
@click.option("--all", "everything", is_flag=True, help="Stop every session.")
@click.option("--forget", is_flag=True, help="Also remove what is kept of it: nothing is left to resume.")
@click.option("--grace", type=click.FloatRange(0, 600), metavar="S", help="Seconds agents get to end by themselves.")
@json_option
def stop(name: str | None, everything: bool, forget: bool, grace: float | None, as_json: bool) -> None:
    """End a session: its agents with all their processes, its windows. What is queued is kept for `taco resume`.

    With --forget a stopped session, too, is removed: its queue, its log, its record. Its project stays.
    """
    from taco import files, paths, session
    from taco.cli import mending

    if everything and name:
        raise UsageError("--all and a session's name exclude each other")
    grace_s = grace if grace is not None else files.settings(paths.config_home(), paths.home()).config.grace_s
    records = _running() if everything else [_meant(name, "stop")]
    for record in records:
        if not (forget and record.stopped):
            _stop(record, grace_s)
        if forget:
            mending.remove_outboxes(paths.session(record.home, record.name))  # with the team as it was at its end
            session.forget(record)
        if not as_json:
            after = "is removed" if forget else f"is stopped; go on with: taco resume {record.name}"
            say.out(f"{record.name} {after}")
    if as_json:
        say.data([record.name for record in records])
    elif not records:
        say.note("no session runs")


def _stop(record: SessionRecord, grace_s: float) -> None:
    from taco import session

    say.note(f"stopping {record.name}")
    killed = session.stop(record, grace_s=grace_s, say=_step)
    if killed:
        say.note(f"{len(killed)} process{'es' if len(killed) > 1 else ''} had to be killed")


@click.command()
@click.argument("name", required=False, metavar="[SESSION]", shell_complete=complete_session)
@click.option("--detach", "-d", is_flag=True, help="Do not go to the session.")
@click.option("--env", is_flag=True, help="Give the agents the environment of this call, not that of the start.")
@click.option("--now", is_flag=True, help="Wait no longer for the end of a usage limit; of a running session, too.")
@json_option
def resume(name: str | None, detach: bool, env: bool, now: bool, as_json: bool) -> None:
    """Bring back a session that was stopped or lost its tmux: its windows, its agents, its queue.

    The agents get the environment that was recorded at the start: keys that have changed since need --env.
    """
    from taco import paths, session

    records = paths.sessions(paths.home())
    if now and (record := _that_waits(name, records)):
        _lift(record, as_json=as_json)
        return
    if name is None:
        down = [each for each in records if not session.is_up(each)]
        if len(down) != 1:
            raise _which(down, "resume")
        name = down[0].name
    record = session.resume(paths.session(paths.home(), name), _step, environ=dict(os.environ) if env else None)
    if now:
        _lift(record, as_json=False)
    if as_json:
        say.data({"session": record.name, "tmux": {"socket": record.tmux_socket, "session": record.name}})
    elif detach or not (sys.stdin.isatty() and sys.stdout.isatty()):
        say.out(record.name)
        say.note(f"go there with: taco attach {record.name}")
    else:
        session.attach(record, say.warn)


def _that_waits(name: str | None, records: Sequence[SessionRecord]) -> SessionRecord | None:
    """The running session that is meant, if one is: the only one that runs, where none is named."""
    from taco import session

    running = [each for each in records if (name in (None, each.name)) and session.is_up(each)]
    if name is None and len(running) > 1:
        raise _which(running, "resume --now")
    return running[0] if running else None


def _lift(record: SessionRecord, *, as_json: bool) -> None:
    """Have the session's accounts tried again at once."""
    from taco.cli.place import Place, with_broker
    from taco.models import Event, EventType, iso

    at = time.time()

    async def lift(broker: Broker) -> list[Limit]:
        ours = {each["account"] for each in json.loads((await broker.session_fields()).get("limits") or "[]")}
        held = [limit for limit in await broker.limits() if limit.account in ours and limit.holds]
        for limit in held:
            await broker.put_limit(replace(limit, lifted_at=at))
        if held:
            told = Event(EventType.AGENT_REQUESTED, record.name, ts=iso(at), content="limits are tried again now")
            await broker.emit(told)
        return held

    lifted = with_broker(Place(record.name, record=record), lift)
    if as_json:
        say.data({"session": record.name, "lifted": [limit.title for limit in lifted]})
    elif lifted:
        say.note(f"tried again now: {', '.join(limit.title for limit in lifted)}")
    else:
        say.note(f"no account of {record.name} waits for the end of a limit")


def _step(text: str) -> None:
    say.note(f"{say.paint('·', 'green', sys.stderr)} {text}")


def _meant(name: str | None, verb: str) -> SessionRecord:
    """The session of that name; without one that of the pane we are in, else the only one that runs."""
    from taco import paths

    name = name or os.environ.get("TACO_SESSION")
    if name:
        return paths.session(paths.home(), name)
    running = _running()
    if len(running) != 1:
        raise _which(running, verb)
    return running[0]


def _running() -> list[SessionRecord]:
    from taco import paths, session

    return [each for each in paths.sessions(paths.home()) if not each.stopped and session.is_up(each)]


def _which(records: list[SessionRecord], verb: str) -> NotFoundError:
    if not records:
        return NotFoundError(f"there is no session to {verb}", hint="see: taco ls")
    names = ", ".join(each.name for each in records)
    return NotFoundError(f"which session? {names}", hint=f"name it: taco {verb} {records[0].name}")
