"""What `done` and `fail` do once their words are parsed. Imports nothing heavy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from taco import calls
from taco.cli import say
from taco.cli.body import text_of
from taco.cli.caller import Caller, caller
from taco.cli.place import Place, find, supervise, with_line
from taco.errors import Exit, NotFoundError, RefusedError, UsageError
from taco.line import ForbiddenError, Line

OUTBOX = "recorded through the outbox: this sandbox does not allow connections"


class Reported(NamedTuple):
    """A report that was taken, and the session it is in."""

    place: Place
    agent: str
    failed: bool
    text: str
    at: str
    heartbeat_age_s: float | None = 0.0
    left: bool = False  # in the outbox

    def public(self) -> dict[str, str]:
        """What `--json` prints."""
        status = "failed" if self.failed else "done"
        return {"agent": self.agent, "status": status, "text": self.text, "reported_at": self.at}

    def said(self) -> str:
        """One line on it."""
        return f"recorded: {self.agent} {'failed' if self.failed else 'is done'}"


def report(
    words: Sequence[str],
    *,
    failed: bool,
    file: str | None = None,
    sender: str | None = None,
    as_json: bool = False,
    session: str | None = None,
) -> int:
    """Record that an agent is done or has failed, with its summary or reason; returns the exit code."""
    found = record(caller(), words, failed=failed, file=file, sender=sender, session=session)
    if found.left:
        say.note(OUTBOX)
    if as_json:
        say.data(found.public())
    else:
        say.out(found.said())
    supervise(found.place, found.heartbeat_age_s)
    return int(Exit.OK)


def record(
    who: Caller,
    words: Sequence[str] = (),
    *,
    failed: bool,
    file: str | None = None,
    sender: str | None = None,
    session: str | None = None,
    body: str | None = None,
) -> Reported:
    """Store a report, or leave it in the outbox where to connect is forbidden; `body`: its whole text."""
    name = _reporter(sender, who)
    place = find(session, who)
    text = text_of(words, file, body, what="reason" if failed else "summary")
    found = Reported(place, name, failed, text, calls.iso(time.time()))
    try:
        age = with_line(place, lambda line: _store(line, name, failed=failed, text=text, at=found.at))
    except ForbiddenError as error:
        _leave("fail" if failed else "done", name, text, found.at, error)
        return found._replace(left=True)
    return found._replace(heartbeat_age_s=age)


def _reporter(given: str | None, who: Caller) -> str:
    if who.is_agent:
        if given and given != who.name:
            raise RefusedError(f"agent {who.name} reports for itself", hint="leave --from out")
        return who.name
    if not given:
        raise UsageError("only an agent reports", hint="say for which one: --from NAME")
    return given


def _store(line: Line, name: str, *, failed: bool, text: str, at: str) -> float | None:
    keys = line.keys
    told = calls.report_args(keys.session, name, failed=failed, text=text, at=at)
    if not line.script("report", [keys.index, keys.counters, keys.state, keys.events], [keys.live, *told]):
        raise NotFoundError(f"no agent {name!r} in session {keys.session}", hint=f"agents: {', '.join(line.agents())}")
    return line.heartbeat_age_s()


def _leave(verb: str, name: str, text: str, at: str, error: ForbiddenError) -> None:
    from taco.calls import new_id
    from taco.cli import outbox

    outbox.drop(verb, {"id": new_id(), "sender": name, "text": text, "timestamp": at}, error)
