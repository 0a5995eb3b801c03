"""Records fixtures/screens/opencode from the real CLI: `python -m tests.opencode_screens`, for a new release.

Each state is reached by hand's means and named here with what a reader must make of it; a screen is
written only when `read_screen` agrees. Look at the difference before you commit it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.chat_stub import ChatStub
from tests.opencode_env import opencode_environment
from tests.recording import (
    HOME,
    LONG,
    PROJECT,
    Expected,
    Recorder,
    flat,
    in_pane,
    new_project,
    on_its_own,
    record,
    screens_of,
)
from tests.stub import Received, Reply
from tests.support.waiting import wait_for

SCREENS = screens_of("opencode")
COLOUR = {
    "header": "Colour",
    "question": "Which colour?",
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}
DIALOG = """\
┃
┃  △ Permission required
┃    # Shell command
┃
┃  $ rm -rf build
┃
┃   Allow once   Allow always   Reject        ctrl+f fullscreen  ⇆ select  enter confirm
┃"""
COMPOSER = "┃\n┃  not a draft\n┃\n┃  Build · Stub Model Stub\n╹▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀"
DIFF = "- ┃  old\n+ ┃  new\n+ ⬝■■■■■■⬝  esc interrupt"
MENU = f"Commands{' ' * 41}esc"  # 52 columns
FRESH: dict[str, Any] = {"composer": True, "ghost": True}
READY: dict[str, Any] = {"composer": True}
DRAFT: dict[str, Any] = {"composer": True}
ASKS = {"edit": "ask", "webfetch": "ask", "bash": {"*": "ask", "sleep *": "allow"}}
WAITS = {"<<limit 3600>>": ("Rate limit reached", "3600")}
REFUSED = {
    "<<refuse 1>>": (401, "Incorrect API key provided."),
    "<<refuse 2>>": (400, "You exceeded your current quota, please check your plan and billing details."),
    "<<refuse 3>>": (404, "The model does not exist."),
    "<<refuse 4>>": (529, "Overloaded"),
    "<<refuse 5>>": (500, "The server had an error while processing your request."),
    "<<refuse 6>>": (429, "Rate limit reached for requests."),
}


def limits(received: Received) -> Reply | None:
    """What the model's side refuses, and when it may be asked again."""
    if found := WAITS.get(received.text.strip()):
        return Reply(found[0], error=429, headers=(("retry-after", found[1]),))
    if refused := REFUSED.get(received.text.strip()):
        return Reply(refused[1], error=refused[0], headers=(("retry-after-ms", "200"),))  # where it tries again
    return None


@contextmanager
def launched(stub: ChatStub, size: tuple[int, int], manifest: dict[str, Expected], **config: Any) -> Iterator[Recorder]:
    """A CLI in a pane; `config` is configuration besides."""
    new_project()
    environment = opencode_environment(stub, HOME, PROJECT, **{"permission": ASKS, **config})
    with in_pane(SCREENS, size, manifest, environment, ["opencode", str(PROJECT)]) as cli:
        wait_for(lambda: cli.read().ready, 60, what=cli.capture)  # what is typed before is lost
        yield cli


def answered(cli: Recorder, text: str, last: str = r"▣ .* · [\d.]+m?s") -> None:
    """A turn, from its message to its end, whose row stands right above the composer."""
    cli.enter(text)

    def over() -> bool:
        reading = cli.read()
        rows = [row.strip() for row in reading.lines[: (reading.composer_row or 1) - 1] if row[:20].strip()]
        return not reading.busy and bool(rows) and re.match(last, rows[-1]) is not None

    wait_for(over, 60, what=cli.capture)


def interrupted(cli: Recorder) -> None:
    """Escape ends a turn when it is pressed again within five seconds."""

    def over() -> bool:
        reading = cli.read()
        if reading.busy or reading.limited:
            cli.keys("Escape")
        return not reading.busy and not reading.limited

    wait_for(over, 60, what=cli.capture)


def drafts(cli: Recorder) -> None:
    """What a person may have left in the composer of the first screen."""
    cli.shot("idle_fresh", **FRESH)
    cli.type("please wait with the")
    cli.shot("draft_fresh", **DRAFT, draft="please wait with the")
    cli.clear()
    cli.type("/mo")
    cli.shows("/models")
    cli.shot("draft_slash_fresh", **DRAFT, draft="/mo")
    cli.clear()
    cli.keys("!")
    cli.shot("shell_fresh", waiting="shell")
    cli.keys("Escape")
    answered(cli, "hello there")
    cli.shot("idle_replied", **READY)
    cli.type("please wait with the")
    cli.shot("draft_line", **DRAFT, draft="please wait with the")
    cli.keys("Home")
    cli.shot("draft_cursor_first", **DRAFT, draft="please wait with the")
    cli.clear()
    cli.type(LONG)
    cli.shot("draft_wrapped", **DRAFT, words=LONG)
    cli.clear()
    cli.type("first row")
    cli.keys("C-j")
    cli.type("  second, indented")
    cli.keys("C-j", "C-j")
    cli.type("fourth")
    cli.shot("draft_rows", **DRAFT, draft="first row\n  second, indented\n\nfourth")
    cli.clear()
    cli.keys("C-j")
    cli.type("below an empty row")
    cli.shot("draft_first_row_empty", **DRAFT, draft="\nbelow an empty row")
    cli.clear()
    cli.type(DIALOG.replace("\n", " "))
    cli.shot("draft_quotes_dialog", **DRAFT, words=flat(DIALOG))
    cli.clear()
    cli.type("/mo")
    cli.shows("/models")
    cli.shot("draft_slash", **DRAFT, draft="/mo")
    cli.clear()
    cli.paste("x" * 200)
    cli.shot("placeholder", **DRAFT, draft="[Pasted ~1 lines]", placeholder=True)
    cli.type("and more")
    cli.shot("placeholder_and_text", **DRAFT, draft="[Pasted ~1 lines] and more")
    cli.clear()
    cli.keys("!")
    cli.shot("shell", waiting="shell")
    cli.type("ls")
    cli.shot("shell_draft", waiting="shell")


def work(cli: Recorder) -> None:
    """Turns of an agent, with and without people in between."""
    answered(cli, f"<<say ```\n{DIALOG}\n```>>")
    cli.shot("idle_quotes_dialog", **READY)
    answered(cli, f"<<say ```diff\n{DIFF}\n```\n\n{COMPOSER}>>")
    cli.shot("idle_quotes_composer", **READY)
    answered(cli, "<<say ⬝■■■■■■⬝  esc interrupt>>")
    cli.shot("idle_quotes_spinner", **READY)
    answered(cli, f"<<say ```\nin an editor: press{' ' * 8}esc\n```>>")
    cli.shot("idle_quotes_key", **READY)
    cli.enter("<<slow 60>>")
    cli.shows("word word")
    cli.shot("busy_streaming", **READY, busy=True)
    cli.type("wait, use the")
    cli.shot("busy_draft", **DRAFT, busy=True, draft="wait, use the")
    cli.clear()
    cli.enter("how far are you?")
    cli.shows("QUEUED")
    cli.shot("busy_queued", **READY, busy=True)
    cli.keys("Escape")
    cli.shows("esc again")
    cli.shot("busy_esc_again", **READY, busy=True)
    interrupted(cli)
    cli.shows("interrupted")
    wait_for(lambda: not cli.read().busy, 60, what=cli.capture)
    cli.shot("idle_interrupted", **READY)
    cli.enter("[mother → backend]: <<wait 60>> first")
    cli.shot("busy_silent", **READY, busy=True)
    interrupted(cli)
    cli.becomes(**READY)
    cli.enter("<<bash sleep 60>>")
    cli.shows("$ sleep 60")
    cli.shot("busy_tool", **READY, busy=True)
    interrupted(cli)
    cli.becomes(**READY)


def scrollback(cli: Recorder) -> None:
    """Much history, a dialog in it, and another size."""
    answered(cli, f"<<say ```\n{DIALOG}\n```>>")
    tall = "\n".join(f"- row {number}" for number in range(80))
    for row in ("one", "two", "three", "four", "five", "six", "seven"):
        cli.type(row)
        cli.keys("C-j")
    cli.type("eight")
    cli.shot("draft_tall", **DRAFT, words=flat(cli.read().draft))
    cli.clear()
    answered(cli, f"<<say {tall}\n{'- ' + 'and much more ' * 70}>>")
    cli.shot("idle_scrolled", **READY)
    cli.keys("PPage", "PPage")
    cli.shot("idle_scrolled_up", **READY)
    width, height = map(int, cli.size.split("x"))
    cli.type("a draft that stands while the window changes")
    cli.tmux.run("resize-window", "-t", cli.pane, "-x", str(width - 17), "-y", str(height - 5))
    cli.settle()
    cli.shot("draft_resized", **DRAFT, draft="a draft that stands while the window changes")


def dialogs(cli: Recorder) -> None:
    """What waits for a person while an agent works."""
    answered(cli, f"<<say ```\n{DIALOG}\n```>>")
    for state, text in (
        ("permission", f"<<bash touch {PROJECT}/made; echo $HOME>>"),
        ("permission_write", f"<<tool write {json.dumps({'filePath': f'{PROJECT}/new.txt', 'content': DIALOG})}>>"),
        ("permission_outside", '<<tool read {"filePath": "/etc/hostname"}>>'),
        ("permission_web", '<<tool webfetch {"url": "http://127.0.0.1:1/x", "format": "text"}>>'),
    ):
        cli.enter(text)
        cli.shot(state, waiting="permission")
        if state == "permission_web":
            cli.keys("Right", "Enter")
            cli.shows("Always allow")
            cli.shot("permission_always", waiting="permission")
            cli.keys("Escape")
        cli.keys("Escape")
        cli.becomes(**READY)
    cli.enter(f"<<tool question {json.dumps({'questions': [COLOUR]})}>>")
    cli.shot("question", waiting="question")
    cli.keys("Escape")
    cli.becomes(**READY)
    cli.enter(f"<<tool question {json.dumps({'questions': [COLOUR, {**COLOUR, 'header': 'Ink', 'multiple': True}]})}>>")
    cli.shot("questions", waiting="question")
    cli.keys("Escape")
    cli.becomes(**READY)
    cli.keys("C-p")
    cli.shot("menu", waiting="dialog")
    cli.keys("Escape")
    cli.becomes(**READY)
    cli.type("/help")
    cli.keys("Enter")
    cli.shot("menu_help", waiting="dialog")
    cli.keys("Escape")
    cli.becomes(**READY)
    cli.enter(f"<<say {MENU}>>")  # a row as that of a menu holds: rather than to type into one
    cli.shot("held_quotes_menu", waiting="dialog")


def endings(cli: Recorder) -> None:
    """Errors, limits, and the end."""
    for at, (name, kind) in enumerate((("key", "authentication"), ("quota", "billing"), ("model", "")), 1):
        answered(cli, f"<<refuse {at}>>", "▣ ")
        cli.shows(REFUSED[f"<<refuse {at}>>"][1][:24])
        cli.shot(f"idle_error_{name}", **READY, **({"error": kind} if kind else {}))
    answered(cli, "hello again")
    cli.shot("idle_after_error", **READY)
    cli.enter("<<limit 3600>>")
    cli.shows("[retrying in 59m")
    cli.shot("limited", **READY, limit="Rate limit reached", retrying=True)
    interrupted(cli)
    answered(cli, "and now")
    cli.shot("idle_after_limit", **READY)
    cli.enter("/exit")
    cli.shot("exited", exited=True)


def retries(cli: Recorder) -> None:
    """The CLI tries again by itself."""
    cli.enter("<<error 503>>")
    cli.shows("[retrying")
    cli.shot("busy_retrying", **READY, busy=True, retrying=True)


def given_up(cli: Recorder) -> None:
    """What the CLI has tried again, five times."""
    for at, kind in enumerate(("overloaded", "server_error", "rate_limit"), 4):
        answered(cli, f"<<refuse {at}>>", "▣ ")
        cli.shot(f"idle_error_{kind}", **READY, error=kind)


def first_runs(stub: ChatStub, size: tuple[int, int], manifest: dict[str, Expected]) -> None:
    """The first start without any model."""
    with launched(stub, size, manifest, enabled_providers=[], provider={}, model=None, small_model=None) as cli:
        cli.shot("idle_no_model", **FRESH)
        cli.type("hello")
        cli.keys("Enter")
        cli.shot("login", waiting="login", first="login")


def main(only: str = "") -> None:
    """Every part whose name and width contain `only`."""
    with ChatStub(limits) as stub:
        launch = partial(launched, stub)
        alone = [
            (part.__name__, on_its_own(launch, part))
            for part in (drafts, work, scrollback, dialogs, endings, retries, given_up)
        ]
        record(SCREENS, [*alone, (first_runs.__name__, partial(first_runs, stub))], only)


if __name__ == "__main__":
    main(*sys.argv[1:])
