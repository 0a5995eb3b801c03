"""The pages that are lists: letters that did not arrive, the inbox, help. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taco.inbox import Note
from taco.models import Agent, AgentStatus, Ask, Level, SpecStatus
from taco.monitor.lines import Line, Span, line, said
from taco.monitor.source import Letters, Snapshot
from taco.monitor.views import title_line
from taco.monitor.words import age, age_of, clean, clock, number, wrap
from taco.redact import redact

DIALOG_ROWS = 12  # of an agent's screen that are shown below its dialog
ASK, DIALOG, PLAN = "ask ", "dialog ", "plan "  # what the key of an inbox's item begins with
_QUESTION_ROWS, _MESSAGE_ROWS = 6, 4


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
    route = (Span("[", "quiet"), sender._replace(style="name"), Span(" → ", "quiet"), target._replace(style="name"))
    name = letter.get("id", "")
    text = (Span("] ", "quiet"), said(redact(letter.get("message", ""))))
    return [
        Line((Span("  "), mark, when, *route, *text), key=name),
        Line((Span(" " * 13), reason._replace(style=mark.style), Span("  ")), (said(f"{name} ", "quiet"),), key=name),
    ]


def inbox_lines(
    snapshot: Snapshot | None,
    notes: Sequence[Note] | None,
    screens: Mapping[str, Sequence[str]],
    now: float,
    width: int,
) -> list[Line]:
    """What waits for the person: questions, dialogs with what they show, the plan; then what was written to them."""
    if snapshot is None:
        return [line(("  reading …", "quiet"))]
    dialogs = [agent for agent in snapshot.agents if shows_dialog(agent)]
    made = [title_line("QUESTIONS", number(len(snapshot.asks)))]
    made += [row for ask in snapshot.asks for row in _ask(ask, now, width)] or [_none()]
    made += [title_line("DIALOGS", number(len(dialogs)))]
    made += [row for agent in dialogs for row in _dialog(agent, screens.get(agent.name, ()), now)] or [_none()]
    if snapshot.spec.get("status") == SpecStatus.REVIEW:
        text = Span("  ! the plan waits for you: v shows it", "alarm")
        made += [title_line("PLAN"), Line((text,), key=PLAN)]
    made += [title_line("MESSAGES", "" if notes is None else number(len(notes)))]
    if notes is None:
        return [*made, line(("  reading …", "quiet"))]
    return made + ([row for note in reversed(notes) for row in _note(note, width)] or [_none()])


def shows_dialog(agent: Agent) -> bool:
    """Whether an agent waits at a dialog of its own."""
    return agent.state.level is Level.WAITING and agent.status is not AgentStatus.STOPPED


def _none() -> Line:
    return line(("  none", "quiet"))


def _ask(ask: Ask, now: float, width: int) -> list[Line]:
    key = ASK + ask.id
    waited = age_of(ask.opened_at, now)
    head = (Span("  ? ", "alarm"), said(ask.agent, "name"), said(f"  {waited}", "quiet"))
    rows = wrap(clean(ask.question), max(20, width - 6), _QUESTION_ROWS)
    return [Line(head, (said(f"{ask.id} ", "quiet"),), key=key), *(line(f"      {row}", key=key) for row in rows)]


def _dialog(agent: Agent, screen: Sequence[str], now: float) -> list[Line]:
    key = DIALOG + agent.name
    waited = age(now - agent.state.since) if agent.state.since else ""
    what = said(f"  {agent.state.detail or 'a dialog'}")
    head = (Span("  ! ", "alarm"), said(agent.name, "name"), what, said(f"  {waited}", "quiet"))
    rows = [row.rstrip() for row in screen if row.strip()][-DIALOG_ROWS:]
    shown = [Line((Span("    │ ", "quiet"), said(row)), key=key) for row in rows]
    return [Line(head, (Span(f"window {agent.window} ", "quiet"),), key=key), *shown]


def _note(note: Note, width: int) -> list[Line]:
    head = Line((Span(f"    {clock(note.at):8} ", "quiet"), said(note.sender, "name")))
    rows = wrap(clean(note.text), max(20, width - 14), _MESSAGE_ROWS)
    return [head, *(line(f"{'':13}{row}") for row in rows)]


_HELP = """
 KEYS
  ↑ ↓  j k      select an agent            Enter   go to its window
  s             send it a message          b       send all of them one
  p             pause it, or go on         r       restart it (asks first)
  i             inbox: what waits for you  a       answer what waits
  d             dead letters: send again   l       log of all events
  v             plan: approve, reject      o       everything about it
  /             filter agents, activity    q       leave (asks first)
  Tab           scroll a waiting plan      Esc     back; ends the filter

 MARKS
  ● busy        ○ idle       ◌ planned or starting      ✓ done
  ! waits for you            ‖ paused or held           ◔ usage limit
  ✗ failed or gone           ■ stopped                  ? unconfirmed

 A MESSAGE
  · queued      → typed      ✓ delivered                ✗ dead: given up
  ? unconfirmed: nobody saw it arrive; it is never sent twice by itself

 WITHOUT THIS SCREEN  taco status, taco inbox, taco monitor --plain
"""


def help_lines() -> list[Line]:
    """The help page; headings are the words at the beginning of lines indented by one."""
    made = []
    for row in _HELP.strip("\n").splitlines():
        head, gap, rest = row.partition("  ") if row[1:2].strip() else ("", "", row)
        made.append(line((head, "title"), gap + rest))
    return made
