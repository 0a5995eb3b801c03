"""What somebody must look at now, as bars: worst first. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from taco.models import Agent, AgentStatus, Ask, Level, SpecStatus, from_iso
from taco.monitor.lines import Line, Span, said
from taco.monitor.source import Snapshot
from taco.monitor.words import age, clean, clock

_MARKS = {"bad": "✗", "wait": "!"}
SILENT_S = 10.0  # a heartbeat older than this is worth a bar
SLOW_START_S = 15.0  # an executor that never showed up after this long, too


@dataclass(frozen=True)
class Trouble:
    """What is wrong with the monitor's own footing; empty texts: nothing."""

    redis: str = ""
    seen_at: str = ""  # ISO time of what is still on the screen
    executor: str = ""  # what `supervise` said
    monitor: str = ""  # an error of the monitor itself


def trouble_lines(snapshot: Snapshot | None, trouble: Trouble, now: float) -> list[Line]:
    """The bars of what does not work, and waits for nobody's answer."""
    bars = _own_bars(trouble)
    if snapshot is not None and not trouble.redis:
        bars += _executor_bars(snapshot, trouble, now)
    return bars


def alert_lines(snapshot: Snapshot | None, trouble: Trouble, now: float, most: int) -> list[Line]:
    """At most `most` bars; the last one counts what did not fit."""
    bars = trouble_lines(snapshot, trouble, now)
    if snapshot is not None:
        bars += _limit_bars(snapshot) + _waiting_bars(snapshot) + _asking_bars(snapshot) + _spec_bars(snapshot)
    if len(bars) > most:
        more = len(bars) - most + 1
        bars = [*bars[: most - 1], _bar("wait", said(f"… and {more} more: i lists them"))]
    return bars


def _bar(kind: str, *parts: Span) -> Line:
    return Line((Span(f" {_MARKS[kind]} "), *parts), style=f"bar-{kind}")


def _own_bars(trouble: Trouble) -> list[Line]:
    bars: list[Line] = []
    if trouble.redis:
        since = f" (shown: as of {clock(trouble.seen_at)})" if trouble.seen_at else ""
        text = f"Redis is gone{since}; trying again. {trouble.redis}"
        bars.append(_bar("bad", said(text)))
    if trouble.monitor:
        bars.append(_bar("bad", said(f"monitor: {trouble.monitor}")))
    return bars


def _executor_bars(snapshot: Snapshot, trouble: Trouble, now: float) -> list[Line]:
    text = last_line(trouble.executor) or _silence(snapshot, now)
    return [_bar("bad", said(text), Span(" (window 2)"))] if text else []


def last_line(text: str) -> str:
    """The line of a traceback that says what happened: the first and the last one of a long text."""
    lines = [stripped for part in text.splitlines() if (stripped := clean(part).strip())]
    return " … ".join(dict.fromkeys((lines[0], lines[-1]))) if lines else ""


def _silence(snapshot: Snapshot, now: float) -> str:
    if snapshot.status in ("stopping", "stopped"):
        return ""
    if snapshot.executor_age_s is None:
        try:
            late = now - from_iso(snapshot.started_at) > SLOW_START_S
        except ValueError:
            late = False
        return "the executor has not shown up, messages wait" if late else ""
    if snapshot.executor_age_s > SILENT_S:
        return f"the executor is gone for {age(snapshot.executor_age_s)}, messages wait"
    return ""


def _limit_bars(snapshot: Snapshot) -> list[Line]:
    bars = []
    for each in snapshot.limits:
        what = f" rests until {clock(str(each['until']), '%H:%M')}: {each['text']}"
        spans = (Span(" ◔ "), said(str(each["title"]), "strong"), said(what))
        bars.append(Line(spans, right=(said("  sooner: taco resume --now "),), style="bar-wait"))
    return bars


def _waiting_bars(snapshot: Snapshot) -> list[Line]:
    return [
        _dialog_bar(agent, snapshot.dialogs.get(agent.name))
        for agent in snapshot.agents
        if agent.state.level is Level.WAITING and agent.status is not AgentStatus.STOPPED
    ]


def _dialog_bar(agent: Agent, shown: Ask | None) -> Line:
    what = f" waits for you: {agent.state.detail or 'a dialog'} (window {agent.window})"
    bar = _bar("wait", said(agent.name, "strong"), said(what))
    if shown is None or not shown.choices:
        return bar
    return Line((*bar.spans, said(f": {shown.question}")), right=(said(f"  a answers ({shown.id}) "),), style=bar.style)


def _asking_bars(snapshot: Snapshot) -> list[Line]:
    return [
        Line(
            (
                Span(" ? "),
                said(ask.agent, "strong"),
                said(f" asks: {ask.question}"),
            ),
            right=(said(f"  a answers ({ask.id}) "),),
            style="bar-ask",
        )
        for ask in snapshot.asks
    ]


def _spec_bars(snapshot: Snapshot) -> list[Line]:
    spec = snapshot.spec
    if spec.get("status") == SpecStatus.INVALID:
        return [_bar("wait", said(f"mother's plan is not valid (try {spec.get('tries', '?')}): {_errors(spec)}"))]
    if spec.get("late") and spec.get("status", "") in ("", SpecStatus.WAITING, SpecStatus.REJECTED):
        return [_bar("wait", said("mother has not proposed a team yet: look at window 0"))]
    return []


def _errors(spec: Mapping[str, str]) -> str:
    try:
        return "; ".join(map(str, json.loads(spec.get("errors") or "[]")))
    except (ValueError, TypeError):
        return spec["errors"]
