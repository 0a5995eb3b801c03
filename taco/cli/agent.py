"""`taco agent`: the agents of a session, and what the person wants done to them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from taco.cli import place, say
from taco.cli.options import Family, complete_agent, complete_provider, json_option, session_option
from taco.cli.snapshot import agent_json
from taco.errors import ConflictError, NotFoundError, SpecError, UsageError
from taco.models import EVERYONE, FIRST_AGENT_WINDOW, MOTHER, Agent, AgentQueue, AgentSpec, Event, EventType, iso

if TYPE_CHECKING:
    from taco.broker import Broker

_PARTICIPLES = {"pause": "paused", "resume": "resumed", "restart": "restarted", "remove": "removed"}
_AT_ONCE = ("pause", "resume")  # the caller waits until it is so: what is sent next counts on it
_OBEYED_S = 5.0
_OF_WINDOWS = re.compile(r"agents\[\d+\]\.window: ")


@click.group(cls=Family, default="list")
def agent() -> None:
    """List and show agents and their screens; pause, resume, restart, add or remove them.

    NAME is an agent's name or window number; `all` is every agent, Mother included (she cannot be removed).
    """


@agent.command("list")
@json_option
@session_option
def list_(as_json: bool, session: str | None) -> None:
    """List the agents of the session."""
    agents, queues = _read(place.find(session))
    if as_json:
        say.data([agent_json(each, queues.get(each.name)) for each in agents])
        return
    say.table(
        ["AGENT", "WIN", "STATUS", "STATE", "PROVIDER", "WAITS FOR", "TELLS", "WORKSPACE"],
        [
            [
                each.name,
                each.window,
                "paused" if each.paused else each.status,
                each.state,
                each.provider,
                ", ".join(each.wait_for),
                ", ".join(each.notifies),
                each.workspace,
            ]
            for each in agents
        ],
        styles={0: "bold"},
        right="WIN",
    )


@agent.command()
@click.argument("name", shell_complete=complete_agent)
@json_option
@session_option
def show(name: str, as_json: bool, session: str | None) -> None:
    """Show everything that is known of one agent; of every agent for `all`."""
    agents, queues = _read(place.find(session))
    if name == EVERYONE:
        found = [_details(each, queues.get(each.name)) for each in agents]
    else:
        each = _named(agents, name)
        found = [_details(each, queues.get(each.name))]
    if as_json:
        say.data(found if name == EVERYONE else found[0])
        return
    for at, values in enumerate(found):
        if at:
            say.out()
        for key, value in (values | {"state": _seen(values)}).items():
            text = ", ".join(value) if isinstance(value, list) else value
            if text not in (None, "", False):
                say.out(f"{say.paint(key.ljust(12), 'dim')}  {say.clean(text)}")


def _seen(values: Mapping[str, Any]) -> str:
    """`busy, from hook, 3s ago`: what it does, who says so, and since when."""
    source = f", from {values['source']}" if values["source"] else ""
    return f"{values['state']}{source}" + (f", {say.ago(values['since'])} ago" if values["since"] else "")


def _details(agent: Agent, queue: AgentQueue | None) -> dict[str, Any]:
    return agent_json(agent, queue) | {
        "model": agent.model or None,
        "session_id": agent.session_id or None,
        "launched_at": agent.launched_at or None,
        "restarts": agent.restarts,
        "depends_on": list(agent.depends_on),
        "wait_for": list(agent.wait_for),
        "notifies": list(agent.notifies),
        "reported_at": agent.reported_at or None,
        "yolo": agent.yolo,
    }


@agent.command()
@click.argument("name", shell_complete=complete_agent)
@click.option("--lines", metavar="N", type=click.IntRange(1, 100_000), help="The last N lines, scrolled ones included.")
@click.option("--ansi", is_flag=True, help="Keep colours, as escape sequences.")
@json_option
@session_option
def capture(name: str, lines: int | None, ansi: bool, as_json: bool, session: str | None) -> None:
    """Print what NAME's screen shows, as text."""
    here = place.find(session)
    agents, _ = _read(here)
    each = _named(agents, name)
    rows = _screen(here, each, lines or 0, colours=ansi)
    if as_json:
        say.data({"agent": each.name, "window": each.window, "pane": each.pane, "lines": rows})
        return
    for row in rows:
        say.out(row)


def _screen(here: place.Place, agent: Agent, lines: int, *, colours: bool) -> list[str]:
    """The rows of an agent's pane without the empty ones at the end; raises NotFoundError when it has none."""
    import asyncio

    from taco.tmux import windows
    from taco.tmux.commands import CommandPipe

    if not agent.pane:
        why = f"it is {agent.status}" + (f" and waits for {agent.waiting_for}" if agent.waiting_for else "")
        raise NotFoundError(f"agent {agent.name} has no window", hint=f"{why}; see: taco status")

    async def read() -> list[str] | None:
        pipe = CommandPipe(here.record.tmux_socket)
        pane = await pipe.pane(agent.pane)
        if pane is None or pane.agent != f"{here.name}/{agent.name}":
            return None
        return await windows.capture(pipe, agent.pane, history=lines, colours=colours)

    rows = asyncio.run(read())
    if rows is None:
        raise NotFoundError(f"the window of agent {agent.name} is gone", hint=f"taco agent restart {agent.name}")
    while rows and not rows[-1].strip():
        rows.pop()
    return rows[-lines:] if lines else rows


@agent.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", shell_complete=complete_agent)
@json_option
@session_option
def pause(names: Sequence[str], as_json: bool, session: str | None) -> None:
    """Send nothing to NAME (or `all`) until it is resumed; what is sent to it waits."""
    _wish("pause", names, session, as_json=as_json)


@agent.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", shell_complete=complete_agent)
@json_option
@session_option
def resume(names: Sequence[str], as_json: bool, session: str | None) -> None:
    """Let messages through to NAME (or `all`) again."""
    _wish("resume", names, session, as_json=as_json)


@agent.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", shell_complete=complete_agent)
@json_option
@session_option
def restart(names: Sequence[str], as_json: bool, session: str | None) -> None:
    """End NAME's process and start it again in its window, with its conversation where the CLI can.

    `all` restarts every agent, Mother too.
    """
    _wish("restart", names, session, as_json=as_json)


@agent.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", shell_complete=complete_agent)
@json_option
@session_option
def remove(names: Sequence[str], as_json: bool, session: str | None) -> None:
    """End NAME and take it out of the team; what waits for it becomes dead letters. Its files stay.

    `all` removes every agent but Mother.
    """
    if MOTHER in names:
        raise UsageError("Mother cannot be removed", hint="to end everything: taco stop")
    _wish("remove", names, session, as_json=as_json)


@agent.command()
@click.argument("name")
@click.option("--role", required=True, help="Its whole assignment.")
@click.option("--provider", shell_complete=complete_provider, help="Its agent CLI; default: the session's.")
@click.option("--model", help="The model given to it.")
@click.option("--workspace", metavar="DIR", help="Where it works, inside the project; default: its name.")
@click.option("--wait-for", multiple=True, metavar="NAME", help="Start when NAME is done (repeatable).")
@click.option("--depends-on", multiple=True, metavar="NAME", help="Send it NAME's result (repeatable).")
@click.option("--notifies", multiple=True, metavar="NAME", help="Tell NAME when it is done (repeatable).")
@json_option
@session_option
def add(name: str, as_json: bool, session: str | None, **values: Any) -> None:
    """Add an agent to the running team."""
    here = place.find(session)
    agents, _ = _read(here)
    if any(each.name == name for each in agents):
        raise ConflictError(f"there is an agent {name!r} already", hint="choose another name")
    added = _checked(here, agents, name, values)
    _push(here, [{"verb": "add", "agent": added.name, "spec": added.as_dict()}])
    if as_json:
        say.data(added.as_dict())
    else:
        say.out(f"{added.name}: will be started in window {added.window}")


def _checked(here: place.Place, agents: Sequence[Agent], name: str, values: Mapping[str, Any]) -> AgentSpec:
    """The new member as the spec's own rules leave it, checked together with the team; raises SpecError."""
    import json

    from taco import files, paths
    from taco.provider import replaced
    from taco.spec import parse_spec

    record = here.record
    names = {each.name for each in agents}  # who was removed may still be waited for
    team: list[dict[str, Any]] = [
        {
            "name": each.name,
            "role": each.role or each.name,
            "window": each.window,
            "wait_for": [other for other in each.wait_for if other in names],
        }
        for each in agents
        if each.window >= FIRST_AGENT_WINDOW
    ]
    window = max([FIRST_AGENT_WINDOW - 1, *(each.window for each in agents)]) + 1  # as the orchestrator counts
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    team.append({"name": name, "window": window} | {key: value for key, value in given.items() if value})
    providers = files.providers(paths.config_home(), record.home, record.project_dir)
    try:
        spec = parse_spec(json.dumps({"agents": team}), max_agents=record.max_agents, providers=providers)
    except SpecError as error:
        known = ", ".join(each.name for each in agents)
        raise SpecError([_as_option(each, len(team) - 1) for each in error.errors], hint=f"agents: {known}") from None
    for warning in spec.warnings:
        if not _OF_WINDOWS.match(warning):  # those of the others stay: removed ones left gaps between them
            say.warn(warning)
    if record.more.get("scripted") and (not_applied := replaced(spec, by=record.provider)):
        say.warn(not_applied)
    return replace(spec.agents[-1], window=window)


def _as_option(error: str, member: int) -> str:
    """What is wrong with the new member, by the option that said so: it has no place in a file."""
    found = re.fullmatch(rf"agents\[{member}\]\.(\w+)(?:\[\d+\])?: (.*?)(?:; the team: .*)?", error, re.DOTALL)
    if found is None:
        return error
    return f"{'NAME' if found[1] == 'name' else '--' + found[1].replace('_', '-')}: {found[2]}"


def _wish(verb: str, names: Sequence[str], session: str | None, *, as_json: bool) -> None:
    here = place.find(session)
    agents, _ = _read(here)
    if EVERYONE in names:
        chosen = [each for each in agents if each.name != MOTHER or verb != "remove"]
    else:
        chosen = [_named(agents, name) for name in names]
    names = [each.name for each in chosen]
    delivers = _push(here, [{"verb": verb, "agent": name} for name in names])
    holds = delivers and verb in _AT_ONCE and _is_so(here, names, paused=verb == "pause")
    if as_json:
        say.data({"verb": verb, "agents": names})
        return
    for name in names:
        say.out(f"{name}: {_PARTICIPLES[verb]}" if holds else f"{name}: will be {_PARTICIPLES[verb]}")


def _push(here: place.Place, requests: Sequence[Mapping[str, Any]]) -> bool:
    """Leave requests; whether somebody is there who takes them up."""
    now = iso(time.time())

    async def push(broker: Broker) -> float | None:
        for request in requests:
            await broker.push_request({**request, "at": now})
            name, verb = str(request["agent"]), str(request["verb"])
            await broker.emit(Event(EventType.AGENT_REQUESTED, here.name, ts=now, agent=name, content=verb))
        return await broker.heartbeat_age_s()

    return place.supervise(here, place.with_broker(here, push))


def _is_so(here: place.Place, names: Sequence[str], *, paused: bool) -> bool:
    """Wait until these agents are paused, or are not; False when that has not come about in time."""

    async def look(broker: Broker) -> bool:
        import asyncio

        deadline = time.monotonic() + _OBEYED_S
        while any(each.paused is not paused for each in await broker.agents() if each.name in names):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    return place.with_broker(here, look)


def _read(here: place.Place) -> tuple[list[Agent], dict[str, AgentQueue]]:
    async def read(broker: Broker) -> tuple[list[Agent], dict[str, AgentQueue]]:
        return await broker.agents(), await broker.queues()

    return place.with_broker(here, read)


def _named(agents: Sequence[Agent], name: str) -> Agent:
    for each in agents:
        if name in (each.name, str(each.window)):
            return each
    known = ", ".join(each.name for each in agents) or "none yet"
    raise NotFoundError(f"no agent {name!r}", hint=f"agents: {known}")
