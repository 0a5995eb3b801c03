"""`taco log`: what happened in a session."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from typing import TYPE_CHECKING

import click

from taco.broker import Broker
from taco.cli import place, reader, say
from taco.cli.options import complete_agent, json_option, session_option
from taco.errors import BrokerError
from taco.models import Event, EventType
from taco.records import event_from, told

if TYPE_CHECKING:
    from taco.paths import SessionRecord

LEVELS = ("debug", "info", "warning", "error")
STYLES = {"debug": "dim", "warning": "yellow", "error": "bold red"}
POLL_S = 0.3
LOG_FILE = "log.jsonl"  # the executor writes it beside the stream
_AT_ONCE = 1_000


class Filter:
    """Which events are wanted, and how they are printed."""

    def __init__(self, agent: str | None, level: str, *, as_json: bool) -> None:
        """Events about or from `agent` (all for None), at `level` or above."""
        self._agent = agent
        self._levels = LEVELS[LEVELS.index(level) :]
        self._as_json = as_json

    def wants(self, event: Event) -> bool:
        """Whether this event is shown."""
        about = self._agent in (None, event.agent, event.data.get("sender"))
        return about and event.level in self._levels

    def show(self, event: Event) -> None:
        """Print one event: a line for people, or a line of JSON."""
        if self._as_json:
            say.out(json.dumps(event.as_dict(), ensure_ascii=False))
            return
        content = told(event)
        if event.type is EventType.PERSON_MESSAGE:
            content = f"→ person: {event.data.get('message') or content}"
        parts = [
            say.paint(say.clock(event.ts), "dim"),
            say.paint(f"{event.type:<20}", STYLES.get(event.level, "blue")),
            say.paint(f"{event.agent:<12}", "cyan"),
            say.clean(content),
            say.paint(event.command, "dim"),
        ]
        say.out(" ".join(parts).rstrip())


@click.command()
@click.argument("agent", required=False, shell_complete=complete_agent)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("-n", "--count", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many events.")
@click.option("--level", type=click.Choice(LEVELS), default="info", show_default=True, help="The least level shown.")
@json_option
@session_option
def log(agent: str | None, follow: bool, count: int, level: str, as_json: bool, session: str | None) -> None:
    """Show what happened, of AGENT or of all; as JSON, one event per line."""
    here = place.find(session)
    wanted = Filter(agent, level, as_json=as_json)
    try:
        asyncio.run(reader.while_read(_read(here.url, here.name, wanted, count, follow=follow)))
    except BrokerError as error:
        if not (here.record.directory / LOG_FILE).exists():
            raise
        if here.record.stopped:
            say.note(f"session {here.name} is stopped; this is its log on disk")
        else:
            say.warn(f"Redis is down; this is the executor's log on disk ({error.message})")
        _from_disk(here.record, wanted, count)


async def _read(url: str, name: str, wanted: Filter, count: int, *, follow: bool) -> None:
    """Print the last events and, when following, every later one: read by position, so that none is missed."""
    last = ""
    while True:
        try:
            broker = await Broker.connect(url, name)
        except BrokerError:
            if not last:
                raise
            await asyncio.sleep(1)
            continue
        try:
            last = last or await _tail(broker, wanted, count)
            while follow:
                sys.stdout.flush()  # a pipe or a file would be written to by the block
                for event in await broker.events(count=_AT_ONCE, after=last):
                    last = event.id
                    if wanted.wants(event):
                        wanted.show(event)
                await asyncio.sleep(POLL_S)
            return
        except BrokerError as error:
            say.warn(f"{error.message}; waiting for it")
        finally:
            await broker.close()


async def _tail(broker: Broker, wanted: Filter, count: int) -> str:
    """Print the last `count` wanted events; returns the position of the newest event."""
    events = await broker.events(count=10_000)
    for event in deque((each for each in events if wanted.wants(each)), maxlen=count):
        wanted.show(event)
    return events[-1].id if events else "0-0"


def _from_disk(record: SessionRecord, wanted: Filter, count: int) -> None:
    lines: deque[Event] = deque(maxlen=count)
    with (record.directory / LOG_FILE).open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if (event := _event(line)) and wanted.wants(event):
                lines.append(event)
    for event in lines:
        wanted.show(event)


def _event(line: str) -> Event | None:
    """An event of the log's lines; None for what the executor itself had to say."""
    try:
        return event_from(line)
    except (ValueError, KeyError, TypeError):
        return None
