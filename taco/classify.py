"""Which state a captured screen shows, and which rule of the provider decides that. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from taco.models import Agent, Level, Pane
from taco.provider import Provider
from taco.screen import Reading, first_dialog, read_screen
from taco.state import judge

_OLD = 86_400.0  # a screen on file tells of no start that is still under way
_PANE = Pane("%0", 1, "", "", 0, "", False, "", False, False, False, "", "", 200, 50, "", 0, "", "", "")


@dataclass(frozen=True, slots=True)
class Classified:
    """What a screen shows: the state and its detail, the rule (a key of the provider's file) and its pattern."""

    state: str
    detail: str
    rule: str
    pattern: str
    reading: Reading


def classify(provider: Provider, capture: str, title: str = "") -> Classified:
    """The state of an agent whose screen is `capture` (as `capture-pane -p -e` prints it), its pane called `title`.

    Hooks and the CLI's own files, which know better, are not asked. Where no rule decides the state is `unknown`.
    """
    reading = read_screen(provider.screen, capture)
    pane = _with_title(title)
    found = judge(
        Agent(3, "screen", provider=provider.name),
        provider,
        pane,
        reading,
        None,
        now=_OLD,
        started_at=0.0,
        ready_timeout_s=1.0,
    )
    rule, pattern = _rule(provider, reading, found.level, found.source)
    return Classified(str(found.level), found.detail, rule, pattern, reading)


def _with_title(title: str) -> Pane:
    values = {name: getattr(_PANE, name) for name in Pane.__slots__}
    return Pane(**{**values, "title": title})


def _rule(provider: Provider, reading: Reading, level: Level, source: str) -> tuple[str, str]:
    """The key and the pattern that decided; ("", "") when none did."""
    screen = provider.screen
    if level is Level.EXITED:
        return "screen.exited", screen.exited or ""
    if level is Level.LIMITED:
        return "screen.limited", screen.limited or ""
    if level is Level.WAITING:
        return _dialog_rule(provider, reading)
    if level is Level.BUSY:
        by_title = source == "title"
        return ("busy_title", provider.busy_title or "") if by_title else ("screen.busy", screen.busy or "")
    if level is Level.IDLE:
        by_title = source == "title"
        return ("idle_title", provider.idle_title or "") if by_title else ("screen.composer", screen.composer or "")
    return "", ""


def _dialog_rule(provider: Provider, reading: Reading) -> tuple[str, str]:
    """The pattern of the dialog that is up: one of the first start says more than a plain one of the same name."""
    first = first_dialog(provider.dialogs, reading)
    if first is not None and reading.waiting in ("", first.name):
        return f"dialogs.{first.name}", first.match
    found = next((each for each in provider.screen.waiting if each.name == reading.waiting), None)
    return (f"screen.waiting.{found.name}", found.match) if found else ("", "")


def line_of(pattern: str, capture: str) -> str:
    """The first line of the last place that `pattern` matches, for people; "" where it does not."""
    found = None
    for found in re.compile(pattern, re.MULTILINE).finditer(capture):  # noqa: B007
        pass
    return found[0].strip("\n").partition("\n")[0].strip() if found else ""
