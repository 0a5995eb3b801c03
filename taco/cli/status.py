"""`taco status` and `taco ls`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from taco import __version__, paths
from taco.cli import place, say
from taco.cli.options import json_option, session_option
from taco.cli.snapshot import Snapshot, read_snapshot, status_json
from taco.errors import BrokerError
from taco.models import MOTHER
from taco.paths import SessionRecord
from taco.wire import Wire

LEVEL_STYLES = {
    "idle": "green",
    "busy": "cyan",
    "starting": "blue",
    "waiting": "bold yellow",
    "limited": "yellow",
    "paused": "yellow",
    "done": "bold green",
    "failed": "bold red",
    "exited": "red",
    "lost": "red",
    "planned": "dim",
    "stopped": "dim",
    "unknown": "dim",
}
DOWN = "down"  # it should run, and its tmux session is gone
SESSION_STYLES = {"running": "bold green", "starting": "blue", "stopped": "dim", "down": "bold red"}
PROMPT_HEAD = 1_000  # characters that are looked at for the line of 100 that is shown
_ENDED = ("planned", "done", "failed", "stopped")
_NEEDS_YOU = ("waiting", "limited", "lost")  # states that matter more than that its work is done
_HEALTH = {"ok": "green", "healthy": "green", "down": "red", "unhealthy": "red"}


@click.command()
@json_option
@session_option
def status(as_json: bool, session: str | None) -> None:
    """Show a session and its agents. Works without Redis, too: then from what is on disk, and it says so."""
    here = place.find(session)
    seen = look(here)
    found = status_json(here.record, seen)
    if found["status"] == paths.RUNNING and not _is_alive(here.record):
        found["status"] = DOWN
    if as_json:
        say.data(found)
    else:
        _show(found, seen, here.record.home)
    if found["status"] == DOWN:
        _note_down(here.record)
    elif trouble := _interrupted(here.record):
        say.warn(trouble)
    elif not seen.error and found["status"] == paths.RUNNING:
        place.supervise(here, seen.heartbeat_age_s)
        _note_release(found["executor"]["release"] or __version__)


def _note_release(running: str) -> None:
    """Tell of another release: it takes over by itself where it was installed in place of the old one."""
    if running != __version__:
        say.note(f"the session runs with TACO {running}, this is {__version__}: taco executor --restart hands it over")


def look(here: place.Place) -> Snapshot:
    """The session as Redis shows it, or the reason why it cannot be seen."""
    try:
        with Wire(here.url, here.name) as wire:
            return read_snapshot(wire)
    except BrokerError as error:
        return Snapshot(error=error.message)


def _show(found: Mapping[str, Any], seen: Snapshot, home: Path) -> None:
    state = say.paint(found["status"], SESSION_STYLES.get(found["status"], ""))
    age = f"  started {say.ago(found['started_at'])} ago" if found["started_at"] else ""
    say.out(f"{say.paint(found['session'], 'bold')}  {state}{age}  {say.paint(found['project_dir'], 'dim')}")
    if found["prompt"]:
        say.out(say.paint(f"“{say.cut(say.clean(found['prompt'][:PROMPT_HEAD]), 100)}”", "dim"))
    if seen.error and found["status"] != paths.STOPPED:
        why = paths.no_room(home) or say.clean(seen.error)
        say.warn(f"Redis is down; this is what the disk remembers ({why})")
    say.out()
    say.table(
        ["AGENT", "WIN", "STATE", "SINCE", "QUEUE", "NOTE", "ROLE"],
        [_agent_row(each) for each in found["agents"]],
        styles={0: "bold", 2: lambda text: LEVEL_STYLES.get(text.partition("(")[0].strip(), ""), 5: "yellow"},
        right="WIN QUEUE",
    )
    if not seen.error:
        say.out()
        say.out("queue     " + "  ".join(f"{count} {name}" for name, count in found["queue"].items()))
    for each in found["limits"]:
        title, text = say.paint(say.clean(each["title"]), "yellow"), say.cut(say.clean(each["text"]), 80)
        say.out(f"limit     {title}  {text}  until {say.clock(each['until'])}; sooner: taco resume --now")
    for each in found["services"]:
        health = say.paint(each["health"], _HEALTH.get(each["health"], "dim"))
        why = f"  {say.paint(say.cut(say.clean(each['reason']), 80), 'dim')}" if each["reason"] else ""
        say.out(f"service   {say.clean(each['name'])}  {say.clean(each['url'] or each['port'] or '-')}  {health}{why}")


def _agent_row(agent: Mapping[str, Any]) -> list[object]:
    state = agent["state"]
    if agent["status"] in _ENDED and not (agent["hold"] or state.startswith(_NEEDS_YOU)):
        state = agent["status"]
    if agent["paused"]:
        state = "paused"
    note = agent["trouble"] or agent["hold"] or agent["failed"] or agent["done"] or ""
    if agent["status"] == "planned" and agent["waiting_for"]:
        note = f"waits for {agent['waiting_for']}"
    depth = "?" if agent["queue_depth"] is None else agent["queue_depth"]
    return [
        agent["name"],
        agent["window"],
        state,
        say.ago(agent["since"] or ""),
        depth,
        say.cut(note, 40),
        agent["role"],
    ]


@click.command()
@json_option
def ls(as_json: bool) -> None:
    """List every session."""
    records = paths.sessions(paths.home())
    alive = _alive(records)
    rows = [(each, _status(each, alive)) for each in records]
    sizes = {record.name: _team_size(record) for record in records}
    if as_json:
        say.data([_session_json(record, state, sizes[record.name]) for record, state in rows])
        return
    if not rows:
        say.note('no sessions; start one: taco start "what you want built"')
        return
    say.table(
        ["SESSION", "STATUS", "AGENTS", "STARTED", "PROJECT", "PROMPT"],
        [
            [record.name, state, sizes[record.name], _started(record), record.project_dir, record.prompt]
            for record, state in rows
        ],
        styles={0: "bold", 1: lambda text: SESSION_STYLES.get(text.strip(), "")},
        right="AGENTS",
    )
    for record, state in rows:
        if state == DOWN:
            _note_down(record)
        elif trouble := _interrupted(record):
            say.warn(trouble)


def _interrupted(record: SessionRecord) -> str:
    """What to do about a session whose start or stop was ended half-way."""
    if not record.unfinished:
        return ""
    from taco import supervision

    return supervision.interrupted(record)


def _note_down(record: SessionRecord) -> None:
    say.note(paths.down(record))


def _session_json(record: SessionRecord, state: str, agents: int) -> dict[str, Any]:
    return {
        "session": record.name,
        "status": state,
        "project_dir": str(record.project_dir),
        "started_at": record.started_at or None,
        "agents": agents,
    }


def _team_size(record: SessionRecord) -> int:
    """How many agents a session has, Mother not counted: as Redis knows it, else as the disk remembers."""
    names = {str(each.get("name")) for each in record.agents}
    if not record.stopped:
        try:
            with Wire(record.redis_url, record.name, timeout_s=1) as wire:
                names = set(wire.agents())
        except BrokerError:
            pass
    return len(names - {MOTHER})


def _status(record: SessionRecord, alive: set[tuple[str, str]]) -> str:
    """What the record says, or `down` when it says running and tmux does not know the session."""
    running = record.status == paths.RUNNING
    return DOWN if running and (record.tmux_socket, record.name) not in alive else record.status


def _started(record: SessionRecord) -> str:
    return f"{say.ago(record.started_at)} ago" if record.started_at else ""


def _is_alive(record: SessionRecord) -> bool:
    return (record.tmux_socket, record.name) in _alive([record])


def _alive(records: list[SessionRecord]) -> set[tuple[str, str]]:
    """The (socket, session) pairs that tmux knows, of the servers that the records name."""
    sockets = {each.tmux_socket for each in records if not each.stopped}
    return {(socket, name) for socket in sockets for name in _tmux_sessions(socket)}


def _tmux_sessions(socket: str) -> set[str]:
    """The sessions of a tmux server; one that a person has renamed is known by its executor's or monitor's pane."""
    import subprocess

    which = [] if not socket else ["-S", socket] if "/" in socket else ["-L", socket]
    words = ["tmux", "-u", *which, "list-panes", "-a", "-F", "#{@taco_agent}␞#{session_name}"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, timeout=5, check=False).stdout.splitlines()
    except (OSError, subprocess.TimeoutExpired):
        return set()
    panes = [line.partition("␞") for line in found]
    owners = [owner.partition("/") for owner, _, _ in panes]
    return {name for _, _, name in panes} | {name for name, _, room in owners if room in ("executor", "monitor")}
