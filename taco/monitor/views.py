"""The parts of the main screen other than table, bars and activity, as lines. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from taco.models import Agent, AgentQueue, QueueCounts, Service
from taco.monitor.lines import Line, Span, cells, line, said, spans
from taco.monitor.source import Letters, Snapshot
from taco.monitor.team import count, look
from taco.monitor.words import age, age_of, clean, clock, number, wrap

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
    return [first, _team_line(snapshot, now, width), _queue_line(snapshot.counts, width)]


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


def _queue_line(counts: QueueCounts, width: int) -> Line:
    figures = (
        (counts.pending, "pending", "strong"),
        (counts.processing, "processing", "busy"),
        (counts.completed, "completed", "good"),
        (counts.failed, "failed", "warn"),
        (counts.dead, "dead", "bad"),
        (counts.unconfirmed, "unconfirmed", "warn"),
    )
    made = _figures("QUEUE ", figures, width)
    hint = (Span(" d ", "key"), Span("letters ", "quiet")) if counts.dead or counts.unconfirmed else ()
    return Line(made, hint if cells(made) + cells(hint) < width else ())


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


def title_line(title: str, more: str = "", right: str = "") -> Line:
    """The band above a panel."""
    return Line(spans((f" {title} ", "title"), (f" {more}" if more else "", "quiet")), spans((right, "quiet")), "band")


def services_line(services: tuple[Service, ...]) -> Line:
    """All services in one band."""
    made = [Span(" SERVICES ", "title")]
    for service in services:
        mark, style = _HEALTH.get(service.health, ("○", "quiet"))
        made += [Span(f"  {mark} ", style), said(service.name, "name"), said(f" {_bare(address(service))}", "quiet")]
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
        ("queue", _queue_words(queue), ""),
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


def letter_lines(letters: Letters | None) -> list[Line]:
    """Dead letters and unconfirmed messages, two lines each, under headings."""
    if letters is None:
        return [line(("  reading …", "quiet"))]
    groups = (("DEAD", letters.dead, "✗", "bad"), ("UNCONFIRMED", letters.unconfirmed, "?", "warn"))
    made: list[Line] = []
    for title, group, mark, style in groups:
        made += [title_line(title, number(len(group))), *([] if group else [line(("  none", "quiet"))])]
        for letter in group:
            made += _letter(letter, Span(mark, style))
    return made


def _letter(letter: Mapping[str, str], mark: Span) -> list[Line]:
    sender, target, reason = (said(letter.get(key, "")) for key in ("sender", "target", "reason"))
    when = Span(f" {clock(letter.get('at', '')):8} ", "quiet")
    route = (sender._replace(style="name"), Span(" → ", "quiet"), target._replace(style="name"))
    words = clean(f"taco queue retry {letter.get('id', '')}")
    return [
        Line((when, mark, Span(" "), *route, Span("  "), said(letter.get("message", "")))),
        Line((Span(" " * 12), reason._replace(style=mark.style), Span("  ")), right=(Span(f"{words} ", "key"),)),
    ]


KEYS = (
    ("↑↓", "select"),
    ("Enter", "jump"),
    ("i", "details"),
    ("l", "events"),
    ("d", "letters"),
    ("?", "help"),
)
PLAN_KEYS = (("Tab", "plan"), *(key for key in KEYS if key[0] != "i"))
QUIT = ("q", "quit")


def notice_line(text: str) -> Line:
    """A word to the person, in the place of the keys."""
    return Line((Span(" "), said(text, "alarm")), style="band")


def keys_line(keys: tuple[tuple[str, str], ...], right: str = "") -> Line:
    """The footer: keys and what they do."""
    made: list[Span] = []
    for key, word in keys:
        made += [Span(f" {key}", "key"), Span(f" {word} ", "quiet")]
    return Line(tuple(made), spans((right, "quiet")), style="band")


_HELP = """
 KEYS
  ↑ ↓  j k      select an agent            Enter   jump to its window
  i             everything about it        l       all events
  d             dead and unconfirmed       Tab     scroll the plan instead
  q             quit (outside a session)   Esc     back

 MARKS
  ● busy        ○ idle       ◌ planned or starting      ✓ done
  ! waits for you            ‖ paused or held           ◔ usage limit
  ✗ failed or gone           ■ stopped                  ? unconfirmed

 A MESSAGE  · queued   → typed   ✓ delivered   ? unconfirmed   ✗ dead
  unconfirmed: nobody saw it arrive; it is never sent twice by itself.

 COMMANDS (in any other window)
  taco send AGENT "text"             taco answer ID "text"
  taco spec approve                  taco spec reject "why"
  taco queue dead                    taco queue retry ID
  taco stop                          taco resume
"""


def help_lines() -> list[Line]:
    """The help page; headings are the lines indented by one."""
    return [line((row, "title" if row[1:2].strip() else "")) for row in _HELP.strip("\n").splitlines()]
