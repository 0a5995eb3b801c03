"""Events for reading: one line per message with its newest state, newest first. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from taco.models import Event, EventType
from taco.monitor.lines import Line, Span, said
from taco.monitor.words import clock, contains

KEPT = 2_000  # events that the log remembers

# What an event looks like: its mark and the style of the mark.
MARKS = {
    EventType.COMMAND_QUEUED: ("·", "quiet"),
    EventType.COMMAND_HELD: ("‖", "warn"),
    EventType.COMMAND_TYPED: ("→", "busy"),
    EventType.COMMAND_ENTERED: ("→", "busy"),
    EventType.COMMAND_DELIVERED: ("✓", "good"),
    EventType.COMMAND_UNCONFIRMED: ("?", "warn"),
    EventType.COMMAND_RETRIED: ("↻", "warn"),
    EventType.COMMAND_DEAD: ("✗", "bad"),
    EventType.COMMAND_CANCELLED: ("–", "quiet"),
    EventType.COMMAND_DROPPED: ("–", "quiet"),
    EventType.COMMAND_REJECTED: ("✗", "bad"),
    EventType.AGENT_DONE: ("✓", "good"),
    EventType.AGENT_FAILED: ("✗", "bad"),
    EventType.AGENT_EXITED: ("✗", "bad"),
    EventType.AGENT_BLOCKED: ("‖", "warn"),
    EventType.ASK_OPENED: ("?", "warn"),
    EventType.PERSON_MESSAGE: ("»", "alarm"),
    EventType.EXECUTOR_CRASHED: ("✗", "bad"),
    EventType.SPEC_INVALID: ("✗", "bad"),
    EventType.SPEC_APPROVED: ("✓", "good"),
    EventType.TMUX_FAILED: ("✗", "bad"),
    EventType.REDIS_FAILED: ("✗", "bad"),
}
_BY_LEVEL = {"error": ("✗", "bad"), "warning": ("!", "warn"), "debug": ("·", "quiet")}
# What is put before the words of an event that do not say what they are.
_VERBS = {
    EventType.AGENT_PLANNED: "planned: ",
    EventType.AGENT_CREATED: "started: ",
    EventType.AGENT_RESTARTED: "restarted: ",
    EventType.AGENT_DONE: "done: ",
    EventType.AGENT_FAILED: "failed: ",
    EventType.ASK_OPENED: "asks: ",
    EventType.ASK_ANSWERED: "is answered: ",
}


class EventLog:
    """The events seen so far, each once, oldest first; at least the last `KEPT`."""

    def __init__(self) -> None:
        """An empty log."""
        self._seen: dict[tuple[str, ...], Event] = {}

    def add(self, events: Iterable[Event]) -> None:
        """Take in what is new."""
        new = {key: event for event in events if (key := _key(event)) not in self._seen}
        if not new:
            return
        last = [next(reversed(self._seen.values()))] if self._seen else []
        late = any(later.ts < event.ts for event, later in itertools.pairwise([*last, *new.values()]))
        self._seen |= new
        if late:  # what was heard and what was read since come in no common order
            self._seen = dict(sorted(self._seen.items(), key=lambda item: item[1].ts))
        if len(self._seen) > KEPT * 1.2:
            self._seen = dict(list(self._seen.items())[-KEPT:])

    def __iter__(self) -> Iterator[Event]:
        return iter(self._seen.values())

    def __len__(self) -> int:
        return len(self._seen)

    def latest(self, count: int) -> list[Event]:
        """The newest `count`, oldest first."""
        newest = list(itertools.islice(reversed(self._seen.values()), count))
        return newest[::-1]


def _key(event: Event) -> tuple[str, ...]:
    return (event.id,) if event.id else (event.ts, str(event.type), event.agent, event.command, event.content)


def mark(event: Event) -> Span:
    """The mark of an event: one cell."""
    return Span(*(MARKS.get(event.type) or _BY_LEVEL.get(event.level, ("•", "accent"))))


def route(event: Event, sender: str = "") -> tuple[Span, ...]:
    """Who an event is about: `sender → target` of a message, else the agent, else the category."""
    sender = str(event.data.get("sender") or sender)
    if event.type is EventType.PERSON_MESSAGE:
        return (said(sender or event.agent, "name"), Span(" → ", "quiet"), Span("person", "strong"))
    if event.category == "command" and sender:
        return (said(sender, "name"), Span(" → ", "quiet"), said(event.agent, "name"))
    return (said(event.agent, "name"),) if event.agent else (Span(event.category, "quiet"),)


def words(event: Event) -> str:
    """What an event says, without what `route` says already."""
    if event.type is EventType.COMMAND_QUEUED:
        return event.content.removeprefix(f"{event.data.get('sender')} → {event.agent}: ")
    return _VERBS.get(event.type, "") + event.content


def merge(events: Sequence[Event], count: int) -> list[tuple[Event, Event]]:
    """The `count` newest happenings, newest first: (newest event, first event) of each message."""
    first: dict[str, Event] = {}
    for event in events:
        if event.command:
            first.setdefault(event.command, event)
    merged: list[tuple[Event, Event]] = []
    taken: set[str] = set()
    for event in reversed(events):
        if event.command in taken or _is_noise(event):
            continue
        if event.command:
            taken.add(event.command)
        merged.append((event, first.get(event.command, event)))
        if len(merged) == count:
            break
    return merged


def _is_noise(event: Event) -> bool:
    return event.level == "debug" and not event.command


def activity_lines(events: Sequence[Event], count: int, wanted: str = "") -> list[Line]:
    """The panel of recent activity: at most `count` lines, newest first; with `wanted` those in which it stands."""
    made = [_line(*pair) for pair in merge(events, len(events) if wanted else count)]
    if wanted:
        made = [line for line in made if contains(wanted, (span.text for span in line.spans))]
    return made[:count]


def _line(newest: Event, first: Event) -> Line:
    text, news = words(first), words(newest)
    told = newest.type is EventType.COMMAND_DELIVERED or news in ("", text)
    why = () if told else (Span("  "), said(news, mark(newest).style))
    about = (Span("[", "quiet"), *route(newest, str(first.data.get("sender") or "")), Span("] ", "quiet"))
    lead = (Span(" "), mark(newest), Span(f" {clock(newest.ts):8} ", "quiet"))
    return Line((*lead, *about, said(text), *why, Span(" ")), key=newest.command)


def event_lines(events: Iterable[Event], wanted: str = "") -> list[Line]:
    """Every event with its type, oldest first, for the log; with `wanted` those in which it stands."""
    made = [_full_line(event) for event in events]
    return [line for line in made if contains(wanted, (span.text for span in line.spans))] if wanted else made


def _full_line(event: Event) -> Line:
    return Line(
        (
            Span(" "),
            mark(event),
            Span(f" {clock(event.ts):8}  {event.type:<20} ", "quiet"),
            *route(event),
            Span("  "),
            said(words(event) if event.type is EventType.COMMAND_QUEUED else event.content),
            *((said(f"  {event.command}", "quiet"),) if event.command else ()),
        ),
        key=event.id,
    )
