"""Records fixtures/screens/claude from the real CLI: `python -m tests.claude_screens`, for a new release.

Each state is reached by hand's means and named here with what a reader must make of it; a screen is
written only when `read_screen` agrees. Look at the difference before you commit it.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.claude_env import claude_environment, seed_config
from tests.claude_stub import ClaudeStub
from tests.recording import (
    HOME,
    LONG,
    PROJECT,
    Expected,
    Recorder,
    in_pane,
    new_project,
    on_its_own,
    record,
    screens_of,
)
from tests.stub import Received, Reply
from tests.support.waiting import wait_for

SCREENS = screens_of("claude")
COLOUR = {
    "question": "Which colour?",
    "header": "Colour",
    "multiSelect": False,
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}
DIALOG = "Bash command\n\n  rm -rf build\n\nDo you want to proceed?\n❯ 1. Yes\n  2. No\n\nEsc to cancel"
SIZE = {**COLOUR, "question": "Which size?", "header": "Size", "multiSelect": True}
READY: dict[str, Any] = {"composer": True}


def ready(cli: Recorder) -> None:
    """Waits for the footer: before it is drawn nothing is listened to."""
    cli.shows("? for shortcuts")


REFUSED = {
    "a very long story": "prompt is too long: 250000 tokens > 200000 maximum",
    "an expensive story": "Your credit balance is too low to access the Anthropic API.",
}


def answer(received: Received) -> Reply | None:
    """What the directives of the stub cannot say: a usage limit, an empty suggestion."""
    for words, said in REFUSED.items():
        if words in received.text:
            return Reply(said, error=400)
    if "at the limit" not in received.text:
        return None
    reset = str((int(time.time()) // 3600 + 3) * 3600)
    unified = "anthropic-ratelimit-unified-"
    headers = (
        (f"{unified}status", "rejected"),
        (f"{unified}reset", reset),
        (f"{unified}representative-claim", "five_hour"),
        ("x-should-retry", "false"),
    )
    return Reply("This request would exceed your account's rate limit.", error=429, headers=headers)


@contextmanager
def launched(
    stub: ClaudeStub,
    size: tuple[int, int],
    manifest: dict[str, Expected],
    *args: str,
    seed: Callable[[Path], None] | None = None,
    **env: str,
) -> Iterator[Recorder]:
    """A CLI in a pane; `seed` writes another configuration than the one without dialogs."""
    new_project()
    environment = {**claude_environment(stub, HOME / "state", PROJECT), **env}
    config_dir = Path(environment["CLAUDE_CONFIG_DIR"])
    if seed:
        shutil.rmtree(config_dir)
        config_dir.mkdir()
        seed(config_dir)
    settings = HOME / "settings.json"
    settings.write_text(json.dumps({"promptSuggestionEnabled": bool(env.get(SUGGEST))}))
    argv = ["claude", "--session-id", str(uuid.uuid4()), "-n", "backend", "--settings", str(settings), *args]
    with in_pane(SCREENS, size, manifest, environment, argv) as cli:
        yield cli


SUGGEST = "CLAUDE_CODE_ENABLE_PROMPT_SUGGESTION"


def drafts(cli: Recorder) -> None:
    """What a person may have left in the composer."""
    ready(cli)
    cli.shot("idle_fresh", **READY)
    cli.type("please wait with the")
    cli.shot("draft_line", **READY, draft="please wait with the")
    cli.keys("Home")
    cli.shot("draft_cursor_first", **READY, draft="please wait with the")
    cli.clear()
    cli.type(LONG)
    cli.shot("draft_wrapped", **READY, words=LONG)
    cli.clear()
    cli.type("first row")
    cli.keys("C-j")
    cli.type("  second, indented")
    cli.keys("C-j", "C-j")
    cli.type("fourth\\")
    cli.keys("Enter")
    cli.type("fifth")
    cli.shot("draft_rows", **READY, draft="first row\n  second, indented\n\nfourth\nfifth")
    cli.clear()
    cli.keys("C-j")
    cli.type("below an empty row")
    cli.shot("draft_first_row_empty", **READY, draft="\nbelow an empty row")
    cli.clear()
    cli.type("Do you want to proceed?")
    cli.keys("C-j")
    cli.type("❯ 1. Yes")
    cli.keys("C-j")
    cli.type("Resume this session with:")
    words = "Do you want to proceed?\n❯ 1. Yes\nResume this session with:"
    cli.shot("draft_quotes_dialog", **READY, draft=words)
    cli.clear()
    cli.keys("!")
    cli.shot("shell_mode_empty", **READY, draft="!\u00a0")
    cli.type("ls")
    cli.shot("shell_mode", **READY, draft="!\u00a0ls")
    cli.keys("BSpace", "BSpace", "BSpace")
    cli.type("/he")
    cli.shot("draft_slash", **READY, draft="/he")
    cli.clear()
    cli.paste("\n".join(f"row {number}" for number in range(8)))
    cli.shot("placeholder", **READY, draft="[Pasted text #1 +7 lines]", placeholder=True)
    cli.type(" and more")
    cli.shot("placeholder_and_text", **READY, draft="[Pasted text #1 +7 lines] and more")
    cli.clear()
    cli.paste("word " * 180)
    cli.shot("placeholder_one_line", **READY, draft="[Pasted text #2]", placeholder=True)
    cli.clear()
    cli.keys("?")
    cli.shows("ctrl + o")
    cli.shot("idle_help", **READY)
    cli.keys("BSpace")


def work(cli: Recorder) -> None:
    """Turns of an agent, with and without people in between."""
    ready(cli)
    cli.enter("hello there")
    cli.shows("ack ")
    cli.shot("idle_replied", **READY)
    quoted = "Do you want to proceed?\n ❯ 1. Yes\n   2. No\n\nEsc to cancel\n\nesc to interrupt"
    cli.paste(f"<<say {quoted}>>")
    cli.keys("Enter")
    cli.shows("2. No")
    cli.shot("idle_quotes_dialog", **READY)
    cli.enter("<<slow 30>>")
    cli.shows("word word")
    cli.shot("busy_streaming", **READY, busy=True)
    cli.type("wait, use the")
    cli.shot("busy_draft", **READY, busy=True, draft="wait, use the")
    cli.clear()
    cli.enter("then run the tests")
    cli.shot("busy_queued", **READY, busy=True, ghost=True)
    cli.keys("Escape")
    cli.shows("ack ")
    cli.becomes(**READY)
    cli.enter("<<slow 30>>")
    cli.shows("A slow")
    cli.becomes(**READY, busy=True)
    cli.keys("Escape")
    cli.shows("Interrupted")
    cli.shot("idle_interrupted", **READY)
    cli.enter("[mother → backend]: <<wait 30>> first")
    cli.shot("busy_silent", **READY, busy=True)
    cli.keys("Escape")
    cli.shot("put_back", **READY, words="[mother → backend]: <<wait 30>> first")
    cli.clear()
    rows = "[mother → backend]: <<wait 30>>\n" + "\n".join(f"row {number}" for number in range(6))
    cli.paste(rows)
    cli.keys("Enter")
    cli.becomes(**READY, busy=True)
    cli.keys("Escape")
    cli.shot("put_back_rows", **READY, draft=rows)
    cli.clear()
    cli.enter("<<bash sleep 30>>")
    cli.shows("Running…")
    cli.shot("busy_tool", **READY, busy=True)
    cli.enter("how far are you?")
    cli.shot("busy_tool_queued", **READY, busy=True, ghost=True)
    cli.keys("Escape")
    cli.becomes(**READY)


def scrollback(cli: Recorder) -> None:
    """Much history with what looks alive in it, and another size."""
    ready(cli)
    rule = "─" * 40
    cli.paste(f"<<say Before:\n\n{DIALOG}>>")
    cli.keys("Enter")
    cli.shows("Esc to cancel")
    cli.paste(
        f"<<say ```diff\n- ❯ old\n+ ❯\u00a0new\n```\n{rule}\n❯\u00a0a draft of nobody\n{rule}\n  ? for shortcuts>>"
    )
    cli.keys("Enter")
    cli.shows("a draft of nobody")
    cli.shot("idle_quotes_composer", **READY)
    cli.paste("<<say ✻ Cogitating… (3s · esc to interrupt)\n\nResume this session with:\nclaude --resume 1>>")
    cli.keys("Enter")
    cli.shows("claude --resume 1")
    cli.shot("idle_quotes_spinner", **READY)
    tall = "\n".join(f"- row {number}" for number in range(80))
    cli.paste(f"<<say {tall}\n{'- ' + 'and much more ' * 70}>>")
    cli.keys("Enter")
    cli.shows("and much more")
    cli.shot("idle_scrolled", **READY)
    width, height = map(int, cli.size.split("x"))
    cli.type("a draft that stands while the window changes")
    cli.tmux.run("resize-window", "-t", cli.pane, "-x", str(width - 17), "-y", str(height - 5))
    cli.shot("draft_resized", **READY, draft="a draft that stands while the window changes")


def dialogs(cli: Recorder) -> None:
    """What waits for a person while an agent works."""
    ready(cli)
    shots: tuple[tuple[str, str, str], ...] = (
        ("permission", "permission", "<<bash touch /tmp/demo/project/made; echo $HOME>>"),
        ("permission_write", "permission", tool("Write", file_path=f"{PROJECT}/new.txt", content="hello\n")),
        ("permission_fetch", "permission", tool("WebFetch", url="https://example.com/a", prompt="what")),
        ("question", "question", tool("AskUserQuestion", questions=[COLOUR])),
        ("questions", "question", tool("AskUserQuestion", questions=[SIZE, COLOUR])),
    )
    for state, waiting, text in shots:
        cli.enter(text)
        cli.shot(state, waiting=waiting)
        cli.keys("Escape")
        cli.becomes(**READY)
    cli.enter(tool("EnterPlanMode"))
    cli.shows("Entered plan mode")
    cli.shot("idle_plan_mode", **READY)
    cli.enter(tool("ExitPlanMode", plan="do this"))
    cli.shot("plan", waiting="plan")
    cli.keys("Escape")
    cli.becomes(**READY)
    cli.enter("/model")
    cli.shot("menu", waiting="dialog")
    cli.keys("Escape")
    cli.becomes(**READY)


def endings(cli: Recorder) -> None:
    """Errors, and the end."""
    ready(cli)
    cli.enter("<<error 529>>")
    cli.shows("Retrying in")
    cli.shot("busy_retrying", **READY, busy=True, retrying=True)
    cli.keys("Escape")
    cli.becomes(**READY, draft="<<error 529>>")
    cli.clear()
    cli.enter("<<error 400>>")
    cli.shows("API Error: 400")
    cli.shot("idle_error", **READY, error="other")
    cli.enter("/exit")
    cli.shot("exited", exited=True)


def errors(stub: ClaudeStub, size: tuple[int, int], manifest: dict[str, Expected]) -> None:
    """What the model's side refuses a turn with, after one retry of the CLI's own."""
    said = {
        "authentication": "<<error 401>>",
        "login_again": "<<error 403>>",
        "rate_limit": "<<error 429>>",
        "server_error": "<<error 500>>",
        "overloaded": "<<error 529>>",
        "model_not_found": "<<error 404>>",
        "context_full": "a very long story",
        "billing": "an expensive story",
    }
    with launched(stub, size, manifest, CLAUDE_CODE_MAX_RETRIES="1") as cli:
        ready(cli)
        for state, text in said.items():
            cli.enter(text)
            error = "authentication" if state == "login_again" else state
            cli.shot(f"error_{state}", **READY, error=error)
        cli.enter("hello again")
        cli.shows("ack ")
        cli.shot("idle_after_error", **READY)


def tool(name: str, **arguments: Any) -> str:
    """A message that makes the stub ask for a tool."""
    return f"<<tool {name} {json.dumps(arguments)}>>"


def first_runs(stub: ClaudeStub, size: tuple[int, int], manifest: dict[str, Expected]) -> None:
    """The dialogs of a first start, each in a configuration that lacks one thing."""
    with launched(stub, size, manifest, seed=seed_config) as cli:
        cli.shot("trust", waiting="trust", first="trust")
    no_key = partial(seed_config, trusted=[PROJECT], approve_key=False)
    with launched(stub, size, manifest, seed=no_key) as cli:
        cli.shot("api_key", waiting="api_key", first="api_key")
    with launched(stub, size, manifest, "--dangerously-skip-permissions") as cli:
        cli.shot("bypass", waiting="bypass", first="bypass")
        cli.keys("Down", "Enter")
        cli.shot("idle_bypass", **READY)
    with launched(stub, size, manifest, ANTHROPIC_API_KEY="") as cli:
        cli.shot("login", **READY, waiting="login", first="login")
    bad = HOME.with_suffix(".settings.json")
    bad.write_text('{"model": 3}')
    with launched(stub, size, manifest, "--settings", str(bad)) as cli:
        cli.shot("settings", waiting="settings", first="settings")
    bad.unlink()
    with launched(stub, size, manifest, seed=unfinished) as cli:
        cli.shot("onboarding", waiting="onboarding", first="onboarding")
        cli.keys("Enter")
        cli.shows("Security notes")
        cli.shot("onboarding_notes", waiting="onboarding", first="onboarding")
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": ""}
    with launched(stub, size, manifest, seed=lambda _: None, **nowhere) as cli:
        cli.shows("Unable to connect")
        cli.shot("offline", first="offline")


def unfinished(config_dir: Path) -> None:
    """A configuration whose onboarding was not gone through."""
    seed_config(config_dir, [PROJECT])
    path = config_dir / ".claude.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "hasCompletedOnboarding": False}))


def specials(stub: ClaudeStub, size: tuple[int, int], manifest: dict[str, Expected]) -> None:
    """Suggestions in the composer, vim mode, a usage limit."""
    with launched(stub, size, manifest, **{SUGGEST: "1"}) as cli:
        ready(cli)
        cli.shot("idle_fresh_ghost", **READY, ghost=True)
        for number in range(3):
            cli.enter(f"message {number}")
            cli.becomes(**READY, ghost=number > 0)
        cli.shot("idle_replied_ghost", **READY, ghost=True)
        cli.type("r")
        cli.shot("draft_one_letter", **READY, draft="r")
    vim = HOME.with_suffix(".vim.json")
    vim.write_text('{"editorMode": "vim"}')
    with launched(stub, size, manifest, "--settings", str(vim)) as cli:
        cli.shows("INSERT")
        cli.shot("vim_insert", **READY)
        cli.type("hello")
        cli.keys("Escape")
        cli.shot("vim_normal_draft", **READY, draft="hello")
    vim.unlink()
    token = "sk-ant-oat01-test-not-a-real-token"
    with launched(stub, size, manifest, ANTHROPIC_API_KEY="", CLAUDE_CODE_OAUTH_TOKEN=token) as cli:
        ready(cli)
        cli.enter("at the limit")
        wait_for(lambda: "hit your" in cli.tmux.screen(cli.pane), what=cli.capture)
        limited = next(row for row in cli.tmux.screen(cli.pane).splitlines() if "hit your" in row)
        text = limited.replace("⎿", "").strip()
        cli.shot("limited_menu", waiting="limit", limited=text)
        cli.keys("Escape")
        cli.shot("limited", **READY, limited=text)
        cli.enter("hello again")
        cli.shows("ack ")
        cli.shot("idle_after_limit", **READY)


def main(only: str = "") -> None:
    """Every part whose name and width contain `only`."""
    with ClaudeStub(answer) as stub:
        launch = partial(launched, stub)
        alone = [(part.__name__, on_its_own(launch, part)) for part in (drafts, work, scrollback, dialogs, endings)]
        more = [(part.__name__, partial(part, stub)) for part in (first_runs, errors, specials)]
        record(SCREENS, [*alone, *more], only)


if __name__ == "__main__":
    main(*sys.argv[1:])
