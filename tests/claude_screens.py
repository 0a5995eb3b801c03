"""Records fixtures/screens/claude from the real CLI: `python -m tests.claude_screens`, for a new release.

Each state is reached by hand's means and named here with what a reader must make of it; a screen is
written only when `read_screen` agrees. Look at the difference before you commit it.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from taco.files import load_provider
from taco.screen import Reading, first_dialog, read_screen
from tests.claude_env import claude_environment, seed_config
from tests.claude_stub import ClaudeStub, Received, Reply
from tests.support.paths import PACKAGE, ROOT
from tests.support.tmux import Tmux, new_socket
from tests.support.waiting import wait_for

HOME = Path("/tmp/demo")  # stands on the screens, so it must be nobody's
PROJECT = HOME / "project"
OUT = ROOT / "fixtures" / "screens" / "claude"
SIZES = ((80, 24), (120, 40), (200, 50))
PROVIDER = load_provider(PACKAGE / "providers" / "claude.toml")
RULES = PROVIDER.screen
LONG = (
    "The quick brown fox jumps over the lazy dog and then it runs along the river until the sun goes "
    "down behind the hills and everybody in the village lights a lamp, reads a letter and sleeps until morn"
)
COLOUR = {
    "question": "Which colour?",
    "header": "Colour",
    "multiSelect": False,
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}
SIZE = {**COLOUR, "question": "Which size?", "header": "Size", "multiSelect": True}
READY: dict[str, Any] = {"composer": True}


def flat(text: str) -> str:
    """A text without what wrapping does to it."""
    return " ".join(text.split())


def matches(capture: str, expected: dict[str, Any]) -> bool:
    """Whether a capture is read as expected; `words` is a draft whatever its wrapping, `first` names a
    dialog of the first start."""
    reading = read_screen(RULES, capture)
    dialog = first_dialog(PROVIDER.dialogs, reading)
    found = {
        "composer": reading.composer_row is not None,
        "words": flat(reading.draft),
        "first": dialog.name if dialog else "",
        **{name: getattr(reading, name) for name in ("draft", "ghost", "placeholder", "busy", "exited")},
        **{name: getattr(reading, name) for name in ("waiting", "limited")},
    }
    draft = {} if "words" in expected else {"draft": ""}
    default = {"composer": False, "ghost": False, "placeholder": False, "busy": False, "exited": False}
    wanted = {**default, "waiting": "", "limited": "", "first": "", **draft, **expected}
    return all(found[name] == value for name, value in wanted.items())


@dataclass
class Recorder:
    """One CLI in one pane of one size, and the manifest that grows."""

    tmux: Tmux
    pane: str
    size: str
    manifest: dict[str, dict[str, Any]] = field(default_factory=dict)

    def capture(self) -> str:
        return self.tmux.run("capture-pane", "-p", "-e", "-t", self.pane) + "\n"

    def shows(self, text: str) -> None:
        wait_for(lambda: text in self.tmux.screen(self.pane), what=self.capture)

    def becomes(self, **expected: Any) -> str:
        last = ""

        def reached() -> bool:
            nonlocal last
            last = self.capture()
            return matches(last, expected)

        wait_for(reached, what=lambda: f"{expected}\n{last}\n{read_screen(RULES, last)}")
        return last

    def ready(self) -> None:
        """Waits for the footer: before it is drawn nothing is listened to."""
        self.shows("? for shortcuts")

    def shot(self, state: str, **expected: Any) -> None:
        """Waits until the screen is read as expected, and keeps it."""
        name = f"{state}-{self.size}"
        (OUT / f"{name}.ansi").write_text(self.becomes(**expected))
        self.manifest[name] = expected
        print(name)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.tmux.run("send-keys", "-t", self.pane, key)
            time.sleep(0.1)

    def type(self, text: str) -> None:
        self.tmux.run("send-keys", "-t", self.pane, "-l", "--", text)
        time.sleep(0.3)

    def paste(self, text: str) -> None:
        self.tmux.run("load-buffer", "-b", "shot", "-", stdin=text)
        self.tmux.run("paste-buffer", "-p", "-r", "-d", "-b", "shot", "-t", self.pane)
        time.sleep(0.3)

    def enter(self, text: str) -> None:
        """Types and submits. Enter waits until the text is seen: read together they are one paste."""
        self.type(text)
        wait_for(lambda: flat(text) == flat(self.read().draft), what=self.capture)
        self.keys("Enter")

    def read(self) -> Reading:
        return read_screen(RULES, self.capture())

    def clear(self) -> None:
        def empty() -> bool:
            reading = self.read()
            if reading.composer_row is not None and not reading.draft:
                return True
            self.keys("C-e", "C-u", "BSpace")
            return False

        wait_for(empty, what=self.capture)


def answer(received: Received) -> Reply | None:
    """What the directives of the stub cannot say: a usage limit, an empty suggestion."""
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
    manifest: dict[str, dict[str, Any]],
    *args: str,
    seed: Callable[[Path], None] | None = None,
    **env: str,
) -> Iterator[Recorder]:
    """A CLI in a pane; `seed` writes another configuration than the one without dialogs."""
    shutil.rmtree(HOME, ignore_errors=True)
    PROJECT.mkdir(parents=True)
    (PROJECT / "notes.txt").write_text("one\ntwo\n")
    environment = {**claude_environment(HOME / "state", stub, PROJECT), **env}
    config_dir = Path(environment["CLAUDE_CONFIG_DIR"])
    if seed:
        shutil.rmtree(config_dir)
        config_dir.mkdir()
        seed(config_dir)
    settings = HOME / "settings.json"
    settings.write_text(json.dumps({"promptSuggestionEnabled": bool(env.get(SUGGEST))}))
    tmux = Tmux(new_socket())
    try:
        width, height = size
        tmux.start(width, height)
        words = [f"{name}={value}" for name, value in environment.items() if value]
        launch = ["env", "-i", *words, "claude", "--session-id", str(uuid.uuid4()), "-n", "backend"]
        launch += ["--settings", str(settings), *args]
        pane = tmux.pane("sh", "-c", 'cd "$0" && exec "$@"', str(PROJECT), *launch)
        tmux.run("set-option", "-t", "keeper", "status", "off")
        tmux.run("resize-window", "-t", pane, "-x", str(width), "-y", str(height))
        yield Recorder(tmux, pane, f"{width}x{height}", manifest)
    finally:
        tmux.close()


SUGGEST = "CLAUDE_CODE_ENABLE_PROMPT_SUGGESTION"


def drafts(cli: Recorder) -> None:
    """What a person may have left in the composer."""
    cli.ready()
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
    cli.ready()
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


def dialogs(cli: Recorder) -> None:
    """What waits for a person while an agent works."""
    cli.ready()
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
    cli.ready()
    cli.enter("<<error 529>>")
    cli.shows("Retrying in")
    cli.shot("busy_retrying", **READY, busy=True)
    cli.keys("Escape")
    cli.becomes(**READY, draft="<<error 529>>")
    cli.clear()
    cli.enter("<<error 400>>")
    cli.shows("API Error: 400")
    cli.shot("idle_error", **READY)
    cli.enter("/exit")
    cli.shot("exited", exited=True)


def tool(name: str, **arguments: Any) -> str:
    """A message that makes the stub ask for a tool."""
    return f"<<tool {name} {json.dumps(arguments)}>>"


def first_runs(stub: ClaudeStub, size: tuple[int, int], manifest: dict[str, dict[str, Any]]) -> None:
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


def specials(stub: ClaudeStub, size: tuple[int, int], manifest: dict[str, dict[str, Any]]) -> None:
    """Suggestions in the composer, vim mode, a usage limit."""
    with launched(stub, size, manifest, **{SUGGEST: "1"}) as cli:
        cli.ready()
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
        cli.ready()
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


def toml(manifest: dict[str, dict[str, Any]]) -> str:
    """The manifest as TOML; a JSON text or boolean is one of TOML's as well."""
    tables = []
    for name, expected in sorted(manifest.items()):
        rows = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in expected.items()]
        tables.append("\n".join([f"[{name}]", *rows]))
    return "\n\n".join(tables) + "\n"


def record(only: str) -> None:
    """Every part whose name and width contain `only`; all without."""
    path = OUT / "expected.toml"
    OUT.mkdir(parents=True, exist_ok=True)
    manifest = tomllib.loads(path.read_text()) if path.exists() else {}
    with ClaudeStub(answer) as stub:
        for size in SIZES:
            for part in (drafts, work, dialogs, endings):
                if only in f"{part.__name__} {size[0]}":
                    with launched(stub, size, manifest) as cli:
                        part(cli)
            for more in (first_runs, specials):
                if only in f"{more.__name__} {size[0]}":
                    more(stub, size, manifest)
            path.write_text(toml(manifest))


if __name__ == "__main__":
    record(sys.argv[1] if len(sys.argv) > 1 else "")
