"""The parts of the main screen other than table, bars and activity, as lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from taco.models import Agent, AgentQueue, Service
from taco.monitor.lines import Line, Span, cells, line, said, spans
from taco.monitor.rate import rate_spans
from taco.monitor.source import Snapshot
from taco.monitor.team import count, look
from taco.monitor.words import age, age_of, clean, clock, number, wrap

RATE_WIDTH, RATE_ROOM = 150, 52  # a header so wide has room for the rate, which takes at most so much
_HEALTH = dict.fromkeys(("ok", "healthy"), ("●", "good")) | dict.fromkeys(("down", "unhealthy"), ("✗", "bad"))


def header_lines(snapshot: Snapshot | None, now: float, width: int) -> list[Line]:
    """The lines at the top: which session this is, how its team and its queue stand."""
    if snapshot is None:
        return [line((" TACO ", "logo"), "  connecting …"), Line(), Line()]
    status = () if snapshot.status in ("", "running") else (said(f"  {snapshot.status}", "warn"),)
    first = Line(
        (
            Span(" TACO ", "logo"),
            said(f"  {snapshot.session}", "strong"),
            *status,
            said(f"  {snapshot.provider}" if snapshot.provider else ""),
            said(f"  {snapshot.prompt}", "quiet"),
        ),
        right=badges(snapshot),
    )
    return [first, _team_line(snapshot, now, width), _queue_line(snapshot, now, width)]


def badges(snapshot: Snapshot) -> tuple[Span, ...]:
    """What a person must never overlook: DEMO and YOLO."""
    made: list[Span] = []
    if snapshot.demo:
        made += [Span(" "), Span(" DEMO: agents are scripted ", "demo")]
    loose = [agent.name for agent in snapshot.agents if agent.yolo]
    if snapshot.yolo:
        made += [Span(" "), Span(" YOLO: agents do not ask ", "yolo")]
    elif loose:
        made += [Span(" "), said(f" YOLO: {', '.join(loose)} ", "yolo")]
    return tuple(made)


def _team_line(snapshot: Snapshot, now: float, width: int) -> Line:
    team = count(snapshot)
    always = (
        (team.active, "active", "busy"),
        (team.waiting, "waiting", "alarm"),
        (team.failed, "failed", "bad"),
    )
    rest = ((team.planned, "planned", "strong"), (team.done, "done", "good"), (team.stopped, "stopped", ""))
    since, lasted = clock(snapshot.started_at, "%H:%M"), age_of(snapshot.started_at, now)
    right = spans((f" since {since} ", ""), (f"({lasted}) ", "quiet")) if since else ()
    figures = (*always, *(figure for figure in rest if figure[0]))
    return Line(_figures("AGENTS", figures, width - cells(right)), right)


def _queue_line(snapshot: Snapshot, now: float, width: int) -> Line:
    counts = snapshot.counts
    figures = (
        (counts.pending, "pending", "strong"),
        (counts.processing, "processing", "busy"),
        (counts.completed, "completed", "good"),
        (counts.failed, "failed", "warn"),
        (counts.dead, "dead", "bad"),
        (counts.unconfirmed, "unconfirmed", "warn"),
    )
    room = width if width < RATE_WIDTH else width - RATE_ROOM
    made = _figures("QUEUE ", figures, room)
    rate = () if width < RATE_WIDTH else rate_spans(snapshot.minutes, now, width - cells(made))
    return Line(made, rate)


def _figures(label: str, figures: Sequence[tuple[int, str, str]], width: int) -> tuple[Span, ...]:
    """Numbers with their words, closer together where `width` is short; a zero is never coloured."""
    for gap in ("   ", "  ", " "):
        made = [Span(f" {label}", "title")]
        for figure, word, style in figures:
            made.append(Span(f"{gap}{number(figure)}", style if figure else "quiet"))
            made.append(Span(f" {word}", "quiet"))
        if cells(made) <= width:
            break
    return tuple(made)


def title_line(title: str, more: str = "", right: tuple[Span, ...] = ()) -> Line:
    """The band above a panel."""
    return Line(spans((f" {title} ", "title"), (f" {clean(more)}" if more else "", "quiet")), right, "band")


def activity_title(wanted: str, rate_of: Snapshot | None, now: float, width: int) -> Line:
    """The band above the activity: what is filtered for, and the rate of `rate_of`."""
    filtered = f"filter: {wanted}  (Esc shows all)" if wanted else ""
    made = title_line("RECENT ACTIVITY", filtered)
    if rate_of is None:
        return made
    return title_line("RECENT ACTIVITY", filtered, rate_spans(rate_of.minutes, now, width - cells(made.spans) - 1))


def services_line(services: tuple[Service, ...]) -> Line:
    """All services in one band."""
    made = [Span(" SERVICES ", "title")]
    for service in services:
        mark, style = _HEALTH.get(service.health, ("○", "quiet"))
        made += [Span(f"  {mark} ", style), said(service.name, "name"), said(f" {_bare(address(service))}", "quiet")]
        if style != "good":
            made.append(said(f" {service.health}", style))
    if not services:
        made.append(Span(" none yet", "quiet"))
    return Line(tuple(made), style="band")


def service_lines(services: tuple[Service, ...]) -> list[Line]:
    """One line per service."""
    if not services:
        return [line(("  none yet", "quiet"))]
    made = []
    for service in services:
        mark, style = _HEALTH.get(service.health, ("○", "quiet"))
        owner = f"  {service.owner}" if service.owner else ""
        parts = (Span(f"  {mark} ", style), said(service.name, "name"), said(f"  {address(service)}"))
        why = f"  {service.reason}" if service.reason else ""
        made.append(Line((*parts, said(f"{owner}{why}", "quiet")), right=(said(f"  {service.health} ", style),)))
    return made


def address(service: Service) -> str:
    """Where a service answers."""
    return service.url or (f"localhost:{service.port}" if service.port else "")


def _bare(url: str) -> str:
    return url.partition("://")[2] or url


def detail_lines(agent: Agent | None, snapshot: Snapshot, now: float, width: int) -> list[Line]:
    """Everything known of one agent, wrapped to `width` cells."""
    if agent is None:
        return [line(("  no agent", "quiet"))]
    queue, seen = snapshot.queues.get(agent.name, AgentQueue()), look(agent)
    lasted = f" · {age(now - agent.state.since)}" if agent.state.since else ""
    source = f" · by {agent.state.source}" if agent.state.source else ""
    facts = (
        ("state", f"{seen.mark} {seen.word}{lasted}{source}", seen.style),
        ("role", agent.role, ""),
        ("provider", " ".join(filter(None, (agent.provider, agent.model, "YOLO" if agent.yolo else ""))), ""),
        ("window", f"{agent.window}   pane {agent.pane or '–'}   pid {agent.pid or '–'}", ""),
        ("workspace", _short(agent.workspace), ""),
        ("started", _started(agent, now), ""),
        ("needs", ", ".join(agent.depends_on), ""),
        ("waits for", ", ".join(agent.wait_for) or agent.waiting_for, ""),
        ("tells", ", ".join(agent.notifies), ""),
        ("works on", snapshot.work.get(agent.name, "") if seen.style == "busy" else "", ""),
        ("queue", _queue_words(queue), ""),
        ("trouble", agent.trouble, "warn"),
        ("hold", agent.hold or queue.hold, "warn"),
        ("done", agent.done, "good"),
        ("failed", agent.failed, "bad"),
        ("message", snapshot.last_messages.get(agent.name, ""), ""),
    )
    return [made for label, text, style in facts if text for made in _fact(label, text, style, width)]


def _fact(label: str, text: str, style: str, width: int) -> list[Line]:
    parts = wrap(clean(text), max(8, width - 15), 4)
    return [line((f"  {label if not at else '':10}  ", "quiet"), (part, style)) for at, part in enumerate(parts)]


def _started(agent: Agent, now: float) -> str:
    if not agent.launched_at:
        return ""
    again = f", restarted {agent.restarts} times" if agent.restarts else ""
    return f"{clock(agent.launched_at)} ({age_of(agent.launched_at, now)}){again}"


def _queue_words(queue: AgentQueue) -> str:
    if not queue.depth:
        return "empty"
    oldest = f", the oldest for {age(queue.oldest_wait_s)}" if queue.oldest_wait_s is not None else ""
    return f"{queue.high} high, {queue.normal} normal, {queue.low} low{oldest}"


def _short(path: str) -> str:
    home = str(Path.home())
    return "~" + path[len(home) :] if path == home or path.startswith(home + "/") else path


def notice_line(text: str) -> Line:
    """A word to the person, in the place of the keys."""
    return Line((Span(" "), said(text, "alarm")), style="band")


# In two rows the keys stand in pairs, one below the other.
KEYS = (
    (("↑↓", "move"), ("Enter", "go")),
    (("s", "send"), ("b", "broadcast")),
    (("p", "pause"), ("r", "restart")),
    (("i", "inbox"), ("a", "answer")),
    (("d", "dead"), ("l", "log")),
    (("v", "plan"), ("o", "details")),
    (("/", "filter"), ("?", "help")),
    (("q", "quit"),),
)
LOW = 20  # rows of a screen below which the keys get one
_GAP = 2


@lru_cache(4)
def keys_lines(width: int, height: int) -> tuple[Line, ...]:
    """The footer of the main screen: every key in one row or two; on a low screen those that fit, and `?`."""
    flat = [key for pair in KEYS for key in pair]
    if _length(flat) <= width:
        return (keys_line(flat),)
    if height < LOW:
        fitting = [key for at, key in enumerate(flat) if _length([*flat[: at + 1], HELP]) <= width]
        return (keys_line([*fitting, HELP]),)
    sizes = [max(map(_size, pair)) for pair in KEYS]
    rows = []
    for row in (0, 1):
        made: list[Span] = []
        for pair, size in zip(KEYS, sizes, strict=True):
            for key, word in pair[row : row + 1]:
                made += [Span(f" {key}", "key"), Span(f" {word}".ljust(size - len(key) + _GAP - 1), "quiet")]
        rows.append(Line((*made[:-1], made[-1]._replace(text=made[-1].text.rstrip())), style="band"))
    return tuple(rows)


HELP = ("?", "help")


def keys_line(keys: Sequence[tuple[str, str]]) -> Line:
    """Keys and what they do, in one row."""
    made: list[Span] = []
    for key, word in keys:
        made += [Span(f" {key}", "key"), Span(f" {word}" + " " * (_GAP - 1), "quiet")]
    return Line(tuple(made), style="band")


def _size(key: tuple[str, str]) -> int:
    return len(key[0]) + 1 + len(key[1])


def _length(keys: Sequence[tuple[str, str]]) -> int:
    return sum(_size(key) + _GAP for key in keys)
