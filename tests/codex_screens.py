"""Records fixtures/screens/codex from the real CLI: `python -m tests.codex_screens`, for a new release.

Each state is reached by hand's means and named here with what a reader must make of it; a screen is
written only when `read_screen` agrees. Look at the difference before you commit it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.codex_env import codex_environment
from tests.codex_stub import CodexStub
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

SCREENS = screens_of("codex")
COLOUR = {
    "id": "colour",
    "header": "Colour",
    "question": "Which colour?",
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}
DIALOG = """\
Would you like to run the following command?

$ rm -rf build

› 1. Yes, proceed (y)
  2. No, and tell Codex what to do differently (esc)

Press enter to confirm or esc to cancel"""
DIFF = "- › old\n+ › new\n+ • Working (3s • esc to interrupt)"
PATCH = "apply_patch <<'E'\n*** Begin Patch\n*** Add File: /opt/outside.txt\n+hello\n*** End Patch\nE"
READY: dict[str, Any] = {"composer": True, "ghost": True}
DRAFT: dict[str, Any] = {"composer": True}


def too_many(received: Received) -> Reply | None:
    """What the directives of the stub cannot say: a 429 that is no usage limit."""
    return Reply("Rate limit reached for requests.", error=429) if received.text == "too many requests" else None


@contextmanager
def launched(
    stub: CodexStub,
    size: tuple[int, int],
    manifest: dict[str, Expected],
    seed: Callable[[Path], None] | None = None,
    arguments: tuple[str, ...] = (),
) -> Iterator[Recorder]:
    """A CLI in a pane; `seed` changes its configuration, `arguments` are added to its command."""
    new_project()
    environment = codex_environment(stub, HOME / "state", PROJECT)
    if seed:
        seed(Path(environment["CODEX_HOME"]))
    with in_pane(SCREENS, size, manifest, environment, ["codex", "--no-daemon", *arguments]) as cli:
        yield cli


def drafts(cli: Recorder) -> None:
    """What a person may have left in the composer."""
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
    cli.paste(DIALOG)
    cli.shot("draft_quotes_dialog", **DRAFT, words=flat(DIALOG))
    cli.clear()
    cli.type("/mo")
    cli.shot("draft_slash", **DRAFT, draft="/mo")
    cli.clear()
    cli.paste("x" * 1500)
    cli.shot("placeholder", **DRAFT, draft="[Pasted Content 1500 chars]", placeholder=True)
    cli.type(" and more")
    cli.shot("placeholder_and_text", **DRAFT, draft="[Pasted Content 1500 chars] and more")
    cli.clear()
    cli.keys("?")
    cli.shot("idle_help", **READY)
    cli.keys("BSpace")


def work(cli: Recorder) -> None:
    """Turns of an agent, with and without people in between."""
    cli.enter("hello there")
    cli.shows("ack ")
    cli.shot("idle_replied", **READY)
    cli.enter(f"<<say {DIALOG}>>")
    cli.shows("Worked for")
    cli.shot("idle_quotes_dialog", **READY)
    cli.enter(f"<<say ```diff\n{DIFF}\n```\n› Ask Codex to do anything\n\n  stub-model default · /tmp/demo>>")
    cli.shows("Worked for")
    cli.shot("idle_quotes_composer", **READY)
    cli.enter("<<say Working (3s • esc to interrupt)>>")
    cli.shows("Worked for")
    cli.shot("idle_quotes_spinner", **READY)
    cli.enter("<<slow 30>>")
    cli.shows("word word")
    cli.shot("busy_streaming", **READY)  # only the title tells
    cli.type("wait, use the")
    cli.shot("busy_streaming_draft", **DRAFT, draft="wait, use the")
    cli.clear()
    cli.keys("Escape")
    cli.shows("interrupted")
    cli.shot("idle_interrupted", **READY)
    cli.enter("[mother → backend]: <<wait 30>> first")
    cli.shot("busy_silent", **READY, busy=True)
    cli.keys("Escape")
    cli.becomes(**READY)
    cli.enter("<<bash sleep 30>>")
    cli.shows("background terminal")
    cli.shot("busy_tool", **READY, busy=True)
    cli.enter("how far are you?")
    cli.shows("↳")
    cli.shot("busy_queued", **READY, busy=True)
    cli.type("and then")
    cli.shot("busy_draft", **DRAFT, busy=True, draft="and then")
    cli.clear()
    cli.keys("Escape", "Escape")
    cli.becomes(**READY)


def scrollback(cli: Recorder) -> None:
    """Much history, a dialog in it, and another size."""
    cli.enter(f"<<say {DIALOG}>>")
    cli.shows("Worked for")
    tall = "\n".join(f"- row {number}" for number in range(80))
    cli.paste(tall)
    wait_for(lambda: cli.read().draft.endswith("row 79"), what=cli.capture)
    cli.shot("draft_tall", **DRAFT, words=flat(cli.read().draft))
    cli.keys("C-c")
    cli.enter(f"<<say {tall}\n{'- ' + 'and much more ' * 70}>>")
    cli.shows("and much more")
    cli.shot("idle_scrolled", **READY)
    width, height = map(int, cli.size.split("x"))
    cli.type("a draft that stands while the window changes")
    cli.tmux.run("resize-window", "-t", cli.pane, "-x", str(width - 17), "-y", str(height - 5))
    cli.shot("draft_resized", **DRAFT, draft="a draft that stands while the window changes")


def dialogs(cli: Recorder) -> None:
    """What waits for a person while an agent works."""
    cli.enter(f"<<say {DIALOG}>>")
    cli.shows("Worked for")
    for state, text in (
        ("permission", f"<<ask touch {PROJECT}/made; echo $HOME>>"),
        ("permission_write", f"<<tool exec_command {json.dumps({'cmd': PATCH})}>>"),
    ):
        cli.enter(text)
        cli.shot(state, waiting="permission")
        cli.keys("Escape")
        cli.becomes(**READY)
    cli.enter("/model")
    cli.shot("menu", waiting="dialog")
    cli.keys("Escape")
    cli.becomes(**READY)
    cli.keys("BTab")
    cli.shows("Plan mode")
    cli.shot("idle_plan_mode", **READY)
    cli.enter(f"<<tool request_user_input {json.dumps({'questions': [COLOUR]})}>>")
    cli.shot("question", waiting="question")
    cli.keys("Escape")
    cli.becomes(**READY)
    cli.enter("<<say <proposed_plan>\n1. do this\n</proposed_plan>>>")
    cli.shot("plan", waiting="plan")
    cli.keys("Escape")
    cli.becomes(**READY)


def modes(cli: Recorder) -> None:
    """What a person may have put the composer into: nothing is typed where text is run, or is commands."""
    cli.keys("!")
    cli.shot("shell_mode", **DRAFT, draft="!")
    cli.type("ls")
    cli.shot("shell_mode_draft", **DRAFT, draft="! ls")
    cli.keys("BSpace", "BSpace", "BSpace")
    cli.becomes(**READY)
    cli.enter("/vim")
    cli.shot("vim_normal", **DRAFT, draft="›")
    cli.keys("i")
    cli.shot("vim_insert_empty", **READY)
    cli.type("abc")
    cli.shot("vim_insert", **DRAFT, draft="abc")
    cli.keys("Escape")
    cli.shot("vim_normal_draft", **DRAFT, draft="› abc")
    cli.keys("R")
    cli.shows("Vim: Replace")
    cli.shot("vim_replace", **DRAFT, draft="› abc")


def refused(cli: Recorder) -> None:
    """A prompt that a hook of the person's refuses."""
    cli.enter("the forbidden words")
    cli.shot("idle_refused", **READY, refused="not on a Friday, and not on any other day of this week, nor of the next")
    cli.enter("other words")
    cli.shows("ack ")
    cli.shot("idle_after_refused", **READY)


def endings(cli: Recorder) -> None:
    """Errors, a limit, and the end."""
    refused = {
        "authentication": "error 401",
        "model_not_found": "error 404",
        "other": "error 400",
        "server_error": "error 500",
        "overloaded": "failed server_is_overloaded",
        "rate_limit": "failed rate_limit_exceeded",
        "billing": "failed insufficient_quota",
        "context_full": "failed context_length_exceeded",
    }
    for error, verb in refused.items():
        cli.enter(f"<<{verb}>>")
        cli.shot(f"error_{error}", **READY, error=error)
    cli.enter("hello again")
    cli.shows("ack ")
    cli.shot("idle_after_error", **READY)
    cli.enter("<<error 429>>")
    cli.shot("limited", **READY, limit="You’ve hit your usage li")
    cli.enter("hello again")
    cli.shows("ack ")
    cli.shot("idle_after_limit", **READY)
    cli.enter("/exit")
    cli.shot("exited", exited=True)


def retries(stub: CodexStub, size: tuple[int, int], manifest: dict[str, Expected]) -> None:
    """The CLI tries again by itself, under a mark that blinks; and what it does not try again."""
    with launched(stub, size, manifest, seed=patient) as cli:
        cli.becomes(**READY)
        cli.enter("<<error 529>>")
        for state, mark in (("busy_retrying", "•"), ("busy_retrying_blinks", "◦")):
            cli.shows(f"{mark} Reconnecting...")
            cli.shot(state, **READY, busy=True, retrying=True)
        cli.keys("Escape")
        cli.becomes(**READY)
        cli.enter("too many requests")
        cli.shot("error_too_many_requests", **READY, error="rate_limit")


def first_runs(stub: CodexStub, size: tuple[int, int], manifest: dict[str, Expected]) -> None:
    """The dialogs of a first start, each in a configuration that lacks one thing."""
    with launched(stub, size, manifest, seed=lambda path: (path / "config.toml").unlink()) as cli:
        cli.shot("login", waiting="login", first="login")
    with launched(stub, size, manifest, seed=untrusted) as cli:
        cli.shot("trust", waiting="trust", first="trust")
    with launched(stub, size, manifest, seed=with_hook) as cli:
        cli.shot("hooks", waiting="hooks", first="hooks")
    with launched(stub, size, manifest, seed=outdated) as cli:
        cli.shot("update", waiting="update", first="update")


def patient(config_dir: Path) -> None:
    """A stream is tried again for long."""
    path = config_dir / "config.toml"
    path.write_text(path.read_text().replace("stream_max_retries = 1", "stream_max_retries = 9"))


def untrusted(config_dir: Path) -> None:
    """A repository that nobody has decided about: elsewhere Codex does not ask."""
    subprocess.run(["git", "init", "-q", str(PROJECT)], check=True)
    path = config_dir / "config.toml"
    path.write_text(path.read_text().partition("[projects")[0])


def with_hook(config_dir: Path) -> None:
    """A hook that nobody has looked at yet."""
    group = {"hooks": [{"type": "command", "command": "true"}]}
    (config_dir / "hooks.json").write_text(json.dumps({"hooks": {"Stop": [group]}}))


def refusing(config_dir: Path) -> None:
    """A hook that refuses what it forbids."""
    words = "not on a Friday,\\nand not on any other day of this week, nor of the next"
    script = f"grep -q forbidden && {{ printf '{words}' >&2; exit 2; }}; exit 0"
    group = {"hooks": [{"type": "command", "command": script}]}
    (config_dir / "hooks.json").write_text(json.dumps({"hooks": {"UserPromptSubmit": [group]}}))


def outdated(config_dir: Path) -> None:
    """A release of the far future is known."""
    path = config_dir / "config.toml"
    path.write_text(path.read_text().replace("check_for_update_on_startup = false\n", ""))
    checked = {"latest_version": "999.0.0", "last_checked_at": "2999-01-01T00:00:00Z", "dismissed_version": None}
    (config_dir / "version.json").write_text(json.dumps(checked))


def main(only: str = "") -> None:
    """Every part whose name and width contain `only`."""
    with CodexStub(too_many) as stub:
        launch = partial(launched, stub)
        trusting = partial(launch, seed=refusing, arguments=("--dangerously-bypass-hook-trust",))
        parts = (drafts, work, scrollback, dialogs, modes, endings)
        alone = [(part.__name__, on_its_own(launch, part)) for part in parts]
        alone.append((refused.__name__, on_its_own(trusting, refused)))
        others = [(part.__name__, partial(part, stub)) for part in (retries, first_runs)]
        record(SCREENS, [*alone, *others], only)


if __name__ == "__main__":
    main(*sys.argv[1:])
