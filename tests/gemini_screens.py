"""Records fixtures/screens/gemini from the real CLI: `python -m tests.gemini_screens`, for a new release.

Each state is reached by hand's means and named here with what a reader must make of it; a screen is
written only when `read_screen` agrees. Look at the difference before you commit it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.gemini_env import gemini_environment
from tests.gemini_stub import DELAY, GeminiStub
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

SCREENS = screens_of("gemini")
COLOUR = {
    "type": "choice",
    "header": "Colour",
    "question": "Which colour?",
    "multiSelect": False,
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}
DIALOG = """\
╭──────────────────────────────────────────────────────────────────────╮
│ ? Shell  rm -rf build                                                │
│ Allow execution of [Shell]?                                          │
│                                                                      │
│ ● 1. Allow once                                                      │
│   2. No, suggest changes (esc)                                       │
╰──────────────────────────────────────────────────────────────────────╯"""
DIFF = "- > old\n+ > new\n+ ⠸ Thinking... (esc to cancel, 3s)"
COMPOSER = " >   Type your message or @path/to/file\n\n workspace (/directory)\n /tmp/demo/project"
WRITTEN = HOME / "written"  # all that the CLI has written to its terminal
READY: dict[str, Any] = {"composer": True, "ghost": True}
DRAFT: dict[str, Any] = {"composer": True}


def answer(received: Received) -> Reply | None:
    """What the directives of the stub cannot say: a limit that names its end, a context that is full."""
    if "too long" in received.text:
        return Reply(
            "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).", error=400
        )
    return Reply(DELAY, error=429) if "limited for hours" in received.text else None


@contextmanager
def launched(
    stub: GeminiStub,
    size: tuple[int, int],
    manifest: dict[str, Expected],
    *args: str,
    seed: Callable[[Path], None] | None = None,
    **env: str,
) -> Iterator[Recorder]:
    """A CLI in a pane; `seed` changes its configuration."""
    new_project()
    environment = {**gemini_environment(stub, HOME / "state", PROJECT), **env}
    if seed:
        seed(HOME / "state" / "home" / ".gemini")
    with in_pane(SCREENS, size, manifest, environment, ["gemini", *args]) as cli:
        cli.tmux.run("pipe-pane", "-O", "-t", cli.pane, f"cat >{WRITTEN}")
        yield cli


def ready(cli: Recorder) -> None:
    """Waits for the composer, and until a paste is one: that is a moment later."""
    cli.becomes(**READY)
    wait_for(lambda: b"\x1b[?2004h" in WRITTEN.read_bytes(), 30, what=cli.capture)


def enter(cli: Recorder, text: str) -> None:
    """Gives a text and submits it: an Enter that comes too soon after a paste is a line break."""
    cli.enter(text)

    def taken() -> bool:
        reading = cli.read()
        if reading.composer_row is None or not reading.draft.strip():
            return True
        cli.keys("Enter")
        return False

    wait_for(taken, 30, what=cli.capture)


def drafts(cli: Recorder) -> None:
    """What a person may have left in the composer."""
    ready(cli)
    cli.shot("idle_fresh", **READY)
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
    cli.type("/mo")
    cli.shows("Manage model")
    cli.shot("draft_slash", **DRAFT, draft="/mo")
    cli.clear()
    cli.paste(DIALOG)
    cli.shot("placeholder", **DRAFT, draft="[Pasted Text: 7 lines]", placeholder=True)
    cli.type(" and more")
    cli.shot("placeholder_and_text", **DRAFT, draft="[Pasted Text: 7 lines] and more")
    cli.clear()
    cli.paste("x" * 900)
    cli.shot("placeholder_one_line", **DRAFT, draft="[Pasted Text: 900 chars]", placeholder=True)
    cli.clear()
    cli.keys("?")
    cli.shows("shell mode")
    cli.shot("idle_help", **READY)
    cli.keys("BSpace")
    cli.keys("!")
    cli.shot("shell_mode", **DRAFT, draft="!   Type your shell command")
    cli.type("ls")
    cli.shot("shell_mode_draft", **DRAFT, draft="! ls")


def work(cli: Recorder) -> None:
    """Turns of an agent, with and without people in between."""
    ready(cli)
    enter(cli, "hello there")
    cli.shows("ack ")
    cli.shot("idle_replied", **READY)
    enter(cli, f"<<say {DIALOG}>>")
    cli.shows("✦ ╭")
    cli.shot("idle_quotes_dialog", **READY)
    enter(cli, f"<<say ```diff\n{DIFF}\n```\n{COMPOSER}>>")
    cli.shows("✦ ")
    cli.shot("idle_quotes_composer", **READY)
    enter(cli, "<<say ⠸ Thinking... (esc to cancel, 3s)>>")
    cli.shows("✦ ⠸")
    cli.shot("idle_quotes_spinner", **READY)
    enter(cli, "<<slow 60>>")
    cli.shows("word word")
    cli.shot("busy_streaming", **READY, busy=True)
    cli.keys("Escape")
    cli.shows("Request cancelled")
    cli.shot("idle_interrupted", **READY)
    enter(cli, "[mother → backend]: <<wait 60>> first")
    cli.shot("busy_silent", **READY, busy=True)
    cli.keys("Escape")
    cli.becomes(**READY)
    enter(cli, "<<bash sleep 60>>")
    cli.becomes(waiting="permission")
    cli.keys("1")
    cli.shot("busy_tool", **READY, busy=True)
    enter(cli, "how far are you?")
    cli.shot("busy_queued", **READY, busy=True, queued=True)
    cli.type("and then")
    cli.shot("busy_draft", **DRAFT, busy=True, queued=True, draft="and then")
    cli.clear()
    cli.keys("Escape")


def scrollback(cli: Recorder) -> None:
    """Much history, a dialog in it, and another size."""
    ready(cli)
    enter(cli, f"<<say {DIALOG}>>")
    cli.shows("✦ ╭")
    tall = "\n".join(f"- row {number}" for number in range(80))
    enter(cli, f"<<say {tall}\n{'- ' + 'and much more ' * 70}>>")
    cli.shows("and much more")
    cli.shot("idle_scrolled", **READY)
    for number in range(30):
        cli.tmux.run("send-keys", "-t", cli.pane, "-l", "--", f"row {number}")
        cli.tmux.run("send-keys", "-t", cli.pane, "C-j")
    cli.settle()
    cli.shot("draft_tall", **DRAFT, words=flat(cli.read().draft))
    cli.keys("C-c")
    cli.becomes(**READY)
    width, height = map(int, cli.size.split("x"))
    cli.type("a draft that stands while the window changes")
    cli.tmux.run("resize-window", "-t", cli.pane, "-x", str(width - 17), "-y", str(height - 5))
    cli.settle()
    cli.shot("draft_resized", **DRAFT, draft="a draft that stands while the window changes")


def dialogs(cli: Recorder) -> None:
    """What waits for a person while an agent works."""
    ready(cli)
    enter(cli, f"<<say {DIALOG}>>")
    cli.shows("✦ ╭")
    written = {"file_path": f"{PROJECT}/made.txt", "content": "hello\n"}
    fetched = {"prompt": "look at https://example.com/x"}
    for state, text in (
        ("permission", f"<<bash touch {PROJECT}/made; echo $HOME>>"),
        ("permission_write", f"<<tool write_file {json.dumps(written)}>>"),
        ("permission_fetch", f"<<tool web_fetch {json.dumps(fetched)}>>"),
    ):
        enter(cli, text)
        cli.shot(state, waiting="permission")
        cli.keys("Escape")
        ready(cli)
    enter(cli, f"<<tool ask_user {json.dumps({'questions': [COLOUR]})}>>")
    cli.shot("question", waiting="question")
    cli.keys("Escape")
    ready(cli)
    enter(cli, "/model")
    cli.shot("menu", waiting="dialog")
    cli.keys("Escape")
    ready(cli)
    cli.keys("BTab")
    cli.shows("auto-accept")
    cli.shot("idle_accepts_edits", **READY)
    cli.keys("BTab")
    cli.shows("plan")
    cli.shot("idle_plan_mode", **READY)


def endings(cli: Recorder) -> None:
    """Errors, limits, and the end."""
    ready(cli)
    enter(cli, "<<error 401>>")
    cli.shows("✕")
    cli.shot("idle_error", **READY)
    enter(cli, "<<error 500>>")
    cli.shot("busy_retrying", **READY, busy=True)
    cli.keys("Escape")
    ready(cli)
    enter(cli, "<<error 429>>")
    cli.shot("limited_menu", waiting="limit", limit="Usage limit reached for gemini-2.5-flash.")
    cli.keys("2")
    cli.shot("limited", **READY, limit="API Error: You have exhausted your daily quota")
    enter(cli, "hello again")
    cli.shows("ack ")
    cli.shot("idle_after_limit", **READY)
    enter(cli, "limited for hours")
    cli.shot("limited_until", waiting="limit", limit="Usage limit reached for gemini-2.5-flash. Access resets at ")
    cli.keys("2")
    cli.becomes(**READY, limit="API Error: ")
    enter(cli, "/quit")
    cli.shot("exited", exited=True)


def vim(cli: Recorder) -> None:
    """The mode in which letters are commands: its NORMAL state is not written to."""
    ready(cli)
    cli.type("abc")
    cli.shot("vim_insert", **DRAFT, draft="abc")
    cli.clear()
    cli.shot("vim_insert_empty", **READY)
    cli.keys("Escape")
    cli.shot("vim_normal", **DRAFT, draft="  Press 'i' for INSERT mode.")
    cli.keys("i")
    cli.type("abc")
    cli.keys("Escape")
    cli.shot("vim_normal_draft", **DRAFT, draft="abc")


def coloured(cli: Recorder) -> None:
    """What a terminal of 24-bit colour gets: the composer is a bar, and so is every message above it."""
    ready(cli)
    cli.shot("colour_idle_fresh", **READY)
    enter(cli, "hello there")
    cli.shows("ack ")
    cli.shot("colour_idle_replied", **READY)
    cli.type("first row")
    cli.keys("C-j", "C-j")
    cli.type("third")
    cli.shot("colour_draft_rows", **DRAFT, draft="first row\n\nthird")
    cli.clear()
    enter(cli, "<<bash sleep 60>>")
    cli.shot("colour_permission", waiting="permission")
    cli.keys("1")
    cli.shot("colour_busy_tool", **READY, busy=True)
    cli.keys("Escape")


def freed(cli: Recorder) -> None:
    """The mode without permissions has a prompt of its own."""
    ready(cli)
    cli.shot("idle_yolo", **READY)
    cli.type("a draft")
    cli.shot("draft_yolo", **DRAFT, draft="a draft")


def first_runs(stub: GeminiStub, size: tuple[int, int], manifest: dict[str, Expected]) -> None:
    """The dialogs of a first start, each in a configuration that lacks one thing."""
    with launched(stub, size, manifest, seed=lambda path: (path / "trustedFolders.json").unlink()) as cli:
        cli.shot("trust", waiting="trust", first="trust")
    with launched(stub, size, manifest, seed=lambda path: (path / "settings.json").unlink()) as cli:
        cli.shot("login", waiting="login", first="login")
    with launched(stub, size, manifest, seed=with_loops) as cli:
        ready(cli)
        enter(cli, f"<<say {'- and so on ' * 40}>>")
        cli.shot("loop", waiting="loop")
    with launched(stub, size, manifest, "--resume", "3b241101-e2bb-4255-8caf-4136c566a962") as cli:
        cli.shot("no_conversation", first="no_conversation")


def in_vim(path: Path) -> None:
    """A person's settings with vim's keys."""
    _change(path, "general", "vimMode", True)


def with_loops(path: Path) -> None:
    """Settings in which an answer that repeats itself is noticed."""
    _change(path, "model", "disableLoopDetection", False)


def too_long(cli: Recorder) -> None:
    """The context is full."""
    ready(cli)
    enter(cli, "too long")
    cli.shot("error_context_full", **READY, error="context_full")


def _change(path: Path, group: str, key: str, value: bool) -> None:
    settings = json.loads((path / "settings.json").read_text())
    settings[group][key] = value
    (path / "settings.json").write_text(json.dumps(settings))


def main(only: str = "") -> None:
    """Every part whose name and width contain `only`."""
    with GeminiStub(answer) as stub:
        launch = partial(launched, stub)
        alone = [
            (part.__name__, on_its_own(launch, part)) for part in (drafts, work, scrollback, dialogs, endings, too_long)
        ]
        with_vim = on_its_own(partial(launch, seed=in_vim), vim)
        with_colour = on_its_own(partial(launch, COLORTERM="truecolor"), coloured)
        unasked = on_its_own(lambda size, manifest: launch(size, manifest, *SCREENS.provider.yolo), freed)
        more = [("vim", with_vim), ("coloured", with_colour), ("freed", unasked)]
        record(SCREENS, [*alone, *more, ("first_runs", partial(first_runs, stub))], only)


if __name__ == "__main__":
    main(*sys.argv[1:])
