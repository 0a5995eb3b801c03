"""Records fixtures/screens/aider from the real CLI: `python -m tests.aider_screens`, for a new release.

Each state is reached by hand's means and named here with what a reader must make of it; a screen is
written only when `read_screen` agrees. Look at the difference before you commit it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from tests.aider_env import AiderStub, aider_environment, make_repository
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

SCREENS = screens_of("aider")
READY: dict[str, Any] = {"composer": True}
DIALOG = "rm -rf build\nRun shell command? (Y)es/(N)o/(D)on't ask again [Yes]:"
RULE = "─" * 40
SPINNER = "█░       Waiting for openai/stub-model"
DIFF = "- > old\n+ > new"
EDIT = "made.txt\n```\n<<<<<<< SEARCH\n=======\nhello\n>>>>>>> REPLACE\n```\n"
OUTSIDE = "notes.txt\n```\n<<<<<<< SEARCH\none\n=======\nuno\n>>>>>>> REPLACE\n```\n"
TWO = "```bash\necho one\n```\n\n```bash\necho two\nls\n```"


def full(received: Received) -> Reply | None:
    """What the directives of the stub cannot say: the context is full."""
    said = "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens."
    return Reply(said, error=400) if "too long" in received.text else None


@contextmanager
def launched(
    stub: AiderStub,
    size: tuple[int, int],
    manifest: dict[str, Expected],
    *,
    seed: Callable[[], None] = lambda: make_repository(PROJECT),
    less: Sequence[str] = (),
    more: Sequence[str] = (),
    beside: Recorder | None = None,
) -> Iterator[Recorder]:
    """A CLI in a pane, in a project that `seed` makes ready; without some variables, with more arguments."""
    if beside is None:
        new_project()
    environment = {**aider_environment(stub, HOME / "state", PROJECT), **SCREENS.provider.env}
    if beside is None:
        seed()
    brief = HOME / "brief.md"
    brief.write_text("You are backend, one of a team.\n")
    messages = HOME / "messages.md"
    messages.write_text("# Long messages to backend, the newest last\n\n")
    transcript = HOME / "state" / "home" / ".aider" / "taco" / "1.md"
    files = {"brief_file": brief, "messages_file": messages, "transcript": transcript}
    argv = SCREENS.provider.argv({name: str(path) for name, path in files.items()})
    kept = {name: value for name, value in environment.items() if name not in less}
    with in_pane(SCREENS, size, manifest, kept, [*argv, *more]) as cli:
        yield cli


def drafts(cli: Recorder) -> None:
    """What a person may have left in the composer."""
    cli.shot("idle_fresh", **READY)
    cli.type("please wait with the")
    cli.shot("draft_line", **READY, draft="please wait with the")
    cli.keys("Home")
    cli.shot("draft_cursor_first", **READY, draft="please wait with the")
    cli.clear()
    cli.type(LONG)
    cli.shot("draft_wrapped", **READY, words=wrapped(cli, LONG))
    cli.clear()
    cli.paste("first row\n  second, indented\n\n> fourth")
    cli.shot("draft_rows", **READY, draft="first row\n  second, indented\n\n> fourth")
    cli.clear()
    cli.paste("\nbelow an empty row")
    cli.shot("draft_first_row_empty", **READY, draft="\nbelow an empty row")
    cli.clear()
    cli.paste(DIALOG)
    cli.shot("draft_quotes_dialog", **READY, words=wrapped(cli, DIALOG))
    cli.clear()
    cli.type("/mo")
    cli.shows("/models")
    cli.shot("draft_menu", **READY, draft="/mo")
    cli.clear()
    cli.becomes(**READY)


def wrapped(cli: Recorder, text: str) -> str:
    """How a text reads when its rows are cut anywhere, once all of it stands there."""
    wait_for(lambda: "".join(cli.read().draft.split()) == "".join(text.split()), what=cli.capture)
    return flat(cli.read().draft)


def ask(cli: Recorder, text: str) -> None:
    """Submits what may be longer than a row."""
    cli.becomes(**READY)
    cli.paste(text)
    wrapped(cli, text)
    cli.keys("Enter")


def work(cli: Recorder) -> None:
    """Turns of an agent, with and without people in between."""
    ask(cli, "hello there")
    cli.shows("ack ")
    cli.shot("idle_replied", **READY)
    ask(cli, f"<<say {DIALOG}>>")
    cli.shot("idle_quotes_dialog", **READY)
    ask(cli, f"<<say ```diff\n{DIFF}\n```\n\n```\n{RULE}\n> a draft\n```>>")
    cli.shot("idle_quotes_composer", **READY)
    ask(cli, f"<<say ```\n{SPINNER}\n```>>")
    cli.shot("idle_quotes_spinner", **READY)
    ask(cli, "<<slow 20>>")
    cli.shows("word word")
    cli.shot("busy_streaming", busy=True)
    cli.keys("C-c")
    cli.shot("idle_interrupted", **READY)
    ask(cli, "[mother → backend]: <<wait 20>> first")
    cli.shows("Waiting for openai/stub-model")
    cli.shot("busy_silent", busy=True)


def tools(cli: Recorder) -> None:
    """What it asks before it does something, and what it looks like meanwhile."""
    ask(cli, "<<bash printf '> one\\n- > two\\n'; read x>>")
    cli.shot("permission", waiting="permission")
    cli.keys("y", "Enter")
    cli.shows("- > two")
    cli.shot("busy_tool", busy=True)
    cli.keys("Enter")
    cli.shot("output", waiting="output")
    cli.keys("n", "Enter")
    ask(cli, f"<<say {TWO}>>")
    cli.shot("permission_one_of_several", waiting="permission")
    cli.keys("s", "Enter")
    ask(cli, "look at notes.txt")
    cli.shot("add_file", waiting="add_file")
    cli.keys("n", "Enter")
    ask(cli, f"<<say {EDIT}>>")
    cli.shot("edit_new", waiting="edit")
    cli.keys("n", "Enter")
    ask(cli, f"<<say {OUTSIDE}>>")  # it was told not to add that file
    cli.shot("edit", waiting="edit")
    cli.keys("n", "Enter")
    ask(cli, "/add notes.txt")
    cli.shows("Editable:")
    cli.shot("idle_files", **READY)
    ask(cli, "/ask")
    cli.shows("ask>")
    cli.shot("idle_ask_mode", **READY)
    cli.paste("two\nrows")
    cli.shot("draft_ask_mode", **READY, draft="two\nrows")
    cli.clear()
    ask(cli, "/multiline-mode")
    cli.shot("multiline", waiting="multiline")


def scrollback(cli: Recorder) -> None:
    """Much history, a dialog in it, and another size."""
    ask(cli, f"<<say {DIALOG}>>")
    cli.becomes(**READY)
    tall = "\n".join(f"- row {number}" for number in range(80))
    ask(cli, "<<bash seq 300; read x>>")
    cli.becomes(waiting="permission")
    cli.keys("y", "Enter")
    cli.shot("busy_scrolled", busy=True)
    cli.keys("Enter")
    cli.becomes(waiting="output")
    cli.keys("n", "Enter")
    cli.becomes(**READY)
    cli.paste(f"<<say {tall}>>")
    cli.keys("Enter")
    cli.shot("idle_scrolled", **READY)
    width, height = map(int, cli.size.split("x"))
    cli.type("a draft that stands while the window changes")
    cli.tmux.run("resize-window", "-t", cli.pane, "-x", str(width - 17), "-y", str(height - 5))
    cli.settle()
    cli.shot("draft_resized", **READY, draft="a draft that stands while the window changes")


def endings(cli: Recorder) -> None:
    """Errors that it does not try again."""
    for error, code in {"authentication": 401, "model_not_found": 404, "other": 400}.items():
        cli.enter(f"<<error {code}>>")
        cli.shot(f"error_{error}", **READY, error=error)
    cli.enter("hello again")
    cli.shows("ack ")
    cli.shot("idle_after_error", **READY)


def too_long(cli: Recorder) -> None:
    """The context is full: it asks before it says so."""
    cli.becomes(**READY)
    cli.enter("too long")
    cli.shot("open_url", waiting="open_url")
    cli.keys("n", "Enter")
    cli.shot("error_context_full", **READY, error="context_full")


def overloaded(cli: Recorder) -> None:
    """An overload in other words, which it tries again for more than a minute."""
    cli.becomes(**READY)
    cli.enter("<<error 529>>")
    cli.becomes(busy=True, retrying=True)
    wait_for(lambda: cli.read().composer_row is not None, 240, what=cli.capture)
    cli.shot("error_overloaded_529", **READY, error="overloaded")


def leaving(cli: Recorder) -> None:
    """The end."""
    cli.becomes(**READY)
    cli.enter("/exit")
    cli.shows("Pane is dead")
    cli.shot("exited", busy=True)  # only the end of its process tells


REFUSED = {
    "error_overloaded": ("<<error 503>>", {**READY, "error": "overloaded"}),
    "error_server_error": ("<<error 500>>", {**READY, "error": "server_error"}),
    "error_rate_limit": ("<<error 429>>", {**READY, "error": "rate_limit"}),
    "limited": ("<<quota used up>>", {**READY, "limit": "current quota"}),
}


def refusals(stub: AiderStub, size: tuple[int, int], manifest: dict[str, Expected]) -> None:
    """Errors that it tries again for more than a minute, each in a CLI of its own; and a limit that is over."""
    with ExitStack() as opened:
        first = opened.enter_context(launched(stub, size, manifest))
        others = [opened.enter_context(launched(stub, size, manifest, beside=first)) for _ in range(len(REFUSED) - 1)]
        clis = dict(zip(REFUSED, (first, *others), strict=True))
        for state, cli in clis.items():
            cli.becomes(**READY)
            cli.enter(REFUSED[state][0])
        first.shows("Retrying in 2.0 seconds")
        first.shot("busy_retrying", busy=True, retrying=True)
        for state, cli in clis.items():
            wait_for(lambda cli=cli: cli.read().composer_row is not None, 240, what=cli.capture)  # type: ignore[misc]
            cli.shot(state, **REFUSED[state][1])
        clis["limited"].enter("hello again")
        clis["limited"].shows("ack ")
        clis["limited"].shot("idle_after_limit", **READY)


def vim(stub: AiderStub, size: tuple[int, int], manifest: dict[str, Expected]) -> None:
    """The mode that a provider's environment turns off: its two states look alike."""
    with launched(stub, size, manifest, less=["AIDER_VIM"], more=["--vim"]) as cli:
        cli.becomes(**READY)
        cli.type("a draft")
        cli.shot("vim_insert", **READY, draft="a draft")
        cli.keys("Escape")
        cli.shot("vim_normal", **READY, draft="a draft")


def first_runs(stub: AiderStub, size: tuple[int, int], manifest: dict[str, Expected]) -> None:
    """The dialogs of a first start, each in a surrounding that lacks one thing."""
    with launched(stub, size, manifest, seed=lambda: None) as cli:
        cli.shot("git", waiting="git", first="git")
    with launched(stub, size, manifest, less=["AIDER_MODEL", "OPENAI_API_KEY", "OPENAI_API_BASE"]) as cli:
        cli.shot("login", waiting="login", first="login")


def main(only: str = "") -> None:
    """Every part whose name and width contain `only`."""
    with AiderStub(full) as stub:
        launch = partial(launched, stub)
        alone = [
            (part.__name__, on_its_own(launch, part))
            for part in (drafts, work, tools, scrollback, endings, leaving, too_long, overloaded)
        ]
        others = [(part.__name__, partial(part, stub)) for part in (refusals, vim, first_runs)]
        record(SCREENS, [*alone, *others], only)


if __name__ == "__main__":
    main(*sys.argv[1:])
