"""What `done` and `fail` do once their words are parsed. Imports nothing heavy."""

from __future__ import annotations

import time
from collections.abc import Sequence

from taco import calls
from taco.cli import say
from taco.cli.body import read_body
from taco.cli.caller import Caller, caller
from taco.cli.place import find, supervise, with_line
from taco.errors import Exit, NotFoundError, RefusedError, UsageError
from taco.line import ForbiddenError, Line


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
    who = caller()
    name = _reporter(sender, who)
    place = find(session, who)
    text = read_body(words, file, what="reason" if failed else "summary")
    at = calls.iso(time.time())
    age: float | None = 0.0
    try:
        age = with_line(place, lambda line: _store(line, name, failed=failed, text=text, at=at))
    except ForbiddenError as error:
        _leave("fail" if failed else "done", name, text, at, error)
    if as_json:
        say.data({"agent": name, "status": "failed" if failed else "done", "text": text, "reported_at": at})
    else:
        say.out(f"recorded: {name} {'failed' if failed else 'is done'}")
    supervise(place, age)
    return int(Exit.OK)


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
    say.note("recorded through the outbox: this sandbox does not allow connections")
