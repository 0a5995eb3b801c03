"""`taco spec`: the team's plan; checked by anybody, submitted by Mother, decided by the person."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from taco import files, inbox, paths
from taco.calls import MAX_BODY
from taco.checks import spec_text
from taco.cli import editing, place, say
from taco.cli.body import read_body
from taco.cli.caller import caller
from taco.cli.options import Family, json_option, session_option
from taco.errors import ConflictError, NotFoundError
from taco.models import Event, Spec, SpecStatus, iso
from taco.provider import replaced
from taco.spec import draw, mark, parse_spec
from taco.spec import schema as spec_schema

if TYPE_CHECKING:
    from taco.broker import Broker

MOST_CHECKED = 64 * MAX_BODY  # bytes: the transcript of a long conversation is checked, too


@click.group(cls=Family, default="show")
def spec() -> None:
    """Check, show, submit, approve, reject or edit the team's spec."""


@spec.command()
@click.argument("file", metavar="FILE|-")
@click.option("--max-agents", type=click.IntRange(1, 500), help="The largest team; default: the setting's.")
@json_option
def check(file: str, max_agents: int | None, as_json: bool) -> None:
    """Check a spec without submitting it: every error with its path, and what would be repaired."""
    found = _parse(_read(file, most=MOST_CHECKED), max_agents)
    if as_json:
        say.data({"valid": True, "spec": found.as_dict(), "warnings": list(found.warnings)})
        return
    _warn(found.warnings)
    say.out(draw(found, width=min(say.columns(), 120)))
    say.note(f"{len(found.agents)} agents, no errors")


@spec.command()
@json_option
@session_option
def show(as_json: bool, session: str | None) -> None:
    """Show the spec of the session: its status, its team, its errors."""
    who = caller()
    here = place.find(session, who)
    fields = _fields(here)
    if fields.get("status") == SpecStatus.REVIEW and not who.is_agent:
        place.with_broker(here, lambda broker: broker.put_spec({"shown": fields.get("mark", "")}))
    if as_json:
        say.data(_spec_json(fields))
        return
    if not fields.get("status"):
        say.note("Mother has not proposed a team yet")
        return
    say.out(f"{say.paint('spec', 'bold')}  {fields['status']}  {say.paint(fields.get('source', ''), 'dim')}")
    for error in _list(fields, "errors"):
        say.out(f"{say.paint('error', 'bold red')}  {say.clean(error)}")
    for warning in _list(fields, "warnings"):
        say.out(f"{say.paint('warning', 'yellow')}  {say.clean(warning)}")
    if fields.get("json"):
        say.out(draw(parse_spec(fields["json"], max_agents=500), width=min(say.columns(), 120)))
    elif fields.get("text"):
        say.out(fields["text"])
    if fields["status"] == SpecStatus.REVIEW:
        say.note("taco spec approve starts it; taco spec reject “why” sends it back; taco spec edit changes it")


@spec.command()
@click.argument("file", metavar="FILE|-")
@json_option
@session_option
def submit(file: str, as_json: bool, session: str | None) -> None:
    """Submit a spec: a JSON file, or a text that holds one between its markers."""
    who = caller()
    here = place.find(session, who)
    text = _read(file)
    found = _parse(text, here.record.max_agents, here)
    warnings = _warnings(found, here)
    _warn(warnings)
    decided = (
        (SpecStatus.RUNNING, SpecStatus.APPROVED, SpecStatus.REVIEW)
        if who.is_agent
        else (SpecStatus.RUNNING, SpecStatus.APPROVED)
    )
    _put(here, {"status": SpecStatus.SUBMITTED, "text": text, "source": who.name}, unless=decided)
    names = [each.name for each in found.agents]
    if as_json:
        say.data({"status": SpecStatus.SUBMITTED, "agents": names, "warnings": warnings})
    else:
        say.out(f"submitted: {len(names)} agents ({', '.join(names)})")


@spec.command()
@json_option
@session_option
def approve(as_json: bool, session: str | None) -> None:
    """Start the team that waits for review, as `taco spec show` showed it."""
    approve_spec(place.find(session), as_json=as_json)


def approve_spec(here: place.Place, *, as_json: bool) -> None:
    """Start the team that waits for review; raises ConflictError when it changed since it was shown."""
    fields = _fields(here)
    seen = fields.get("mark", "")
    if fields.get("status") == SpecStatus.REVIEW and fields.get("shown", seen) != seen:
        raise ConflictError("the spec has changed since you looked at it", hint="look again: taco spec show")
    decided, event = inbox.approval(here.name, seen, iso(time.time()))
    _put(here, decided, only=(SpecStatus.REVIEW,), event=event, seen={"mark": seen})
    _told(SpecStatus.APPROVED, "approved: the team is being started", as_json=as_json)


@spec.command()
@click.argument("reason", nargs=-1)
@json_option
@session_option
def reject(reason: tuple[str, ...], as_json: bool, session: str | None) -> None:
    """Send the spec that waits for review back to Mother, with the REASON."""
    reject_spec(place.find(session), " ".join(reason), as_json=as_json)


def reject_spec(here: place.Place, why: str, *, as_json: bool) -> None:
    """Send the spec that waits for review back to Mother."""
    decided, event = inbox.rejection(here.name, why, iso(time.time()))
    _put(here, decided, only=(SpecStatus.REVIEW,), event=event)
    if here.record.more.get("mother", True):
        talk = "rejected: Mother is told"
    else:
        talk = "rejected; there is no Mother to tell: submit another with taco spec submit FILE, or taco spec edit"
    _told(SpecStatus.REJECTED, talk, as_json=as_json)


@spec.command()
@json_option
@session_option
def edit(as_json: bool, session: str | None) -> None:
    """Change the spec in $EDITOR; it is checked when you save, and then counts as approved."""
    here = place.find(session)
    fields = _fields(here)
    if fields.get("status") in (SpecStatus.RUNNING, SpecStatus.APPROVED):
        raise ConflictError("the team runs already", hint="change it with: taco agent add|remove")
    before = _pretty(fields)
    if not before:
        raise NotFoundError("there is no spec to edit", hint="Mother has not proposed one; or: taco spec submit FILE")
    as_it_is = "to start the team as it is: taco spec approve"
    after = editing.edit(
        before, "spec.json", lambda text: _parse(text, here.record.max_agents, here), unchanged=as_it_is
    )
    edited = mark(_parse(after, here.record.max_agents, here))
    values = {"status": SpecStatus.SUBMITTED, "text": after, "source": "person", "reviewed": edited, "errors": ""}
    _put(here, values, unless=(SpecStatus.RUNNING, SpecStatus.APPROVED))
    _told(SpecStatus.SUBMITTED, "submitted as you edited it", as_json=as_json)


@spec.command()
def schema() -> None:
    """Print the JSON Schema of a spec."""
    click.echo(json.dumps(spec_schema(), indent=2, ensure_ascii=False))


def _parse(text: str, max_agents: int | None, here: place.Place | None = None) -> Spec:
    home = paths.home()
    project = here.record.project_dir if here else Path.cwd()
    known = files.providers(paths.config_home(), home, project)
    limit = max_agents or files.settings(paths.config_home(), home, project).config.max_agents
    return parse_spec(text, max_agents=limit, providers=known)


def _read(file: str, *, most: int = MAX_BODY) -> str:
    """The text of a file that a spec is to be read from, at most so many bytes; of a transcript Mother's answer."""
    return spec_text(read_body([], file, what="spec", instead="a spec is JSON: taco spec schema", most=most))


def _fields(here: place.Place) -> Mapping[str, str]:
    async def read(broker: Broker) -> Mapping[str, str]:
        return await broker.spec_fields()

    return place.with_broker(here, read)


def _put(
    here: place.Place,
    values: Mapping[str, str],
    *,
    only: tuple[str, ...] = (),
    unless: tuple[str, ...] = (),
    event: Event | None = None,
    seen: Mapping[str, str] | None = None,
) -> None:
    """Write the spec's fields, if its status allows it, and wake whoever acts on them."""

    async def put(broker: Broker) -> float | None:
        stored = (await broker.spec_fields()).get("status", "")
        status = stored or "not there yet"
        if status in unless or (only and status not in only):
            hints: dict[str, str] = {
                SpecStatus.RUNNING: "change the team with: taco agent add|remove",
                SpecStatus.APPROVED: "see: taco status",
                SpecStatus.REVIEW: "the person decides about it; wait for what they say",
            }
            raise ConflictError(f"the spec is {status}", hint=hints.get(status, "see: taco spec show"))
        if not await broker.put_spec(values, seen={**(seen or {}), "status": stored}):
            raise ConflictError("the spec has changed just now", hint="look again: taco spec show")
        if event:
            await broker.emit(event)
        return await broker.heartbeat_age_s()

    place.supervise(here, place.with_broker(here, put))


def _told(status: str, talk: str, *, as_json: bool) -> None:
    if as_json:
        say.data({"status": status})
    else:
        say.out(talk)


def _warnings(found: Spec, here: place.Place) -> list[str]:
    """What was repaired of a spec, and what this session will not apply of it."""
    more = replaced(found, by=here.record.provider) if here.record.more.get("scripted") else ""
    return [*found.warnings, *filter(None, [more])]


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        say.warn(say.clean(warning))


def _list(fields: Mapping[str, str], key: str) -> list[str]:
    return [str(each) for each in json.loads(fields.get(key) or "[]")]


def _spec_json(fields: Mapping[str, str]) -> dict[str, Any]:
    return {
        "status": fields.get("status") or None,
        "source": fields.get("source") or None,
        "spec": json.loads(fields["json"]) if fields.get("json") else None,
        "text": fields.get("text") or None,
        "errors": _list(fields, "errors"),
        "warnings": _list(fields, "warnings"),
        "tries": int(fields.get("tries") or 0),
    }


def _pretty(fields: Mapping[str, str]) -> str:
    if fields.get("json"):
        return json.dumps(json.loads(fields["json"]), indent=2, ensure_ascii=False) + "\n"
    return fields.get("text", "")
