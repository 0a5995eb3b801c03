"""Captured screens of real CLIs: how they are recorded, and what each must be read as."""

from __future__ import annotations

import fcntl
import json
import shutil
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taco.files import load_provider
from taco.provider import Provider, Screen
from taco.screen import Reading, first_dialog, read_screen
from tests.support.paths import PACKAGE, ROOT
from tests.support.tmux import Tmux, new_socket
from tests.support.waiting import wait_for

HOME = Path("/tmp/demo")  # stands on the screens, so it must be nobody's
PROJECT = HOME / "project"
SIZES = ((80, 24), (120, 40), (200, 50))
LONG = (
    "The quick brown fox jumps over the lazy dog and then it runs along the river until the sun goes "
    "down behind the hills and everybody in the village lights a lamp, reads a letter and sleeps until morn"
)
_TIMEOUT_S = 60
_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("composer", "ghost", "placeholder", "busy", "retrying", "exited"), False),
    **dict.fromkeys(("draft", "waiting", "limited", "error", "refused", "first"), ""),
}
_LOOSE = {"words": "draft", "limit": "limited"}
Expected = dict[str, Any]


def flat(text: str) -> str:
    """A text without what wrapping does to it."""
    return " ".join(text.split())


@dataclass(frozen=True)
class Screens:
    """The captured screens of one provider, and `expected.toml`, which says what a reader must make of each."""

    provider: Provider
    directory: Path

    @property
    def rules(self) -> Screen:
        return self.provider.screen

    def expected(self) -> dict[str, Expected]:
        """By the name of the screen; {} before the first was recorded."""
        path = self.directory / "expected.toml"
        return tomllib.loads(path.read_text()) if path.exists() else {}

    def capture(self, name: str) -> str:
        """One screen, with its attributes."""
        return (self.directory / f"{name}.ansi").read_text()

    def names(self) -> set[str]:
        """The screens that are there."""
        return {path.stem for path in self.directory.glob("*.ansi")}

    def matches(self, capture: str, expected: Expected) -> bool:
        """Whether a capture is read as expected, and as nothing else.

        `words` is a draft whatever its wrapping, `limit` the beginning of a limit's text, `first` the name of a
        dialog of the first start; the other names are those of a `Reading`.
        """
        reading = read_screen(self.rules, capture)
        dialog = first_dialog(self.provider.dialogs, reading)
        found = {
            "composer": reading.composer_row is not None,
            "words": flat(reading.draft),
            "first": dialog.name if dialog else "",
            "limit": reading.limited[: len(expected.get("limit", ""))],
        }
        wanted = {**_NOTHING, **expected}
        for loose, exact in _LOOSE.items():
            if loose in expected:
                del wanted[exact]
        return all((found[key] if key in found else getattr(reading, key)) == wanted[key] for key in wanted)


def screens_of(name: str) -> Screens:
    """Those of a provider that ships with TACO."""
    return Screens(load_provider(PACKAGE / "providers" / f"{name}.toml"), ROOT / "fixtures" / "screens" / name)


@dataclass
class Recorder:
    """One CLI in one pane of one size, and the manifest that grows."""

    screens: Screens
    tmux: Tmux
    pane: str
    size: str
    manifest: dict[str, Expected] = field(default_factory=dict)

    def capture(self) -> str:
        return self.tmux.run("capture-pane", "-p", "-e", "-t", self.pane) + "\n"

    def read(self) -> Reading:
        return read_screen(self.screens.rules, self.capture())

    def shows(self, text: str) -> None:
        wait_for(lambda: text in self.tmux.screen(self.pane), _TIMEOUT_S, what=self.capture)

    def becomes(self, **expected: Any) -> str:
        last = ""

        def reached() -> bool:
            nonlocal last
            last = self.capture()
            return self.screens.matches(last, expected)

        wait_for(reached, _TIMEOUT_S, what=lambda: f"{expected}\n{last}\n{read_screen(self.screens.rules, last)}")
        return last

    def shot(self, state: str, **expected: Any) -> None:
        """Waits until the screen is read as expected, and keeps it."""
        name = f"{state}-{self.size}"
        (self.screens.directory / f"{name}.ansi").write_text(self.becomes(**expected))
        self.manifest[name] = expected
        print(name, flush=True)

    def settle(self) -> None:
        """Waits until the screen has stood still for ten looks, or for forty (a spinner turns)."""
        looks: list[str] = []

        def still() -> bool:
            looks.append(self.capture())
            return len(looks) >= 40 or (len(looks) >= 10 and len(set(looks[-10:])) == 1)

        wait_for(still, _TIMEOUT_S)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.tmux.run("send-keys", "-t", self.pane, key)
            self.settle()

    def type(self, text: str) -> None:
        self.tmux.run("send-keys", "-t", self.pane, "-l", "--", text)
        self.settle()

    def paste(self, text: str) -> None:
        self.tmux.run("load-buffer", "-b", "shot", "-", stdin=text)
        self.tmux.run("paste-buffer", "-p", "-r", "-d", "-b", "shot", "-t", self.pane)
        self.settle()

    def enter(self, text: str) -> None:
        """Gives a text in the provider's way and submits it. Enter waits until it is seen: read together they are one
        paste."""
        (self.type if self.screens.provider.input == "keys" else self.paste)(text)
        wait_for(lambda: flat(text) == flat(self.read().draft) or self.read().placeholder, what=self.capture)
        self.keys("Enter")

    def clear(self) -> None:
        """Takes out whatever is in the composer."""

        def empty() -> bool:
            reading = self.read()
            if reading.composer_row is not None and not reading.draft:
                return True
            self.keys("C-e", "C-u", "BSpace")
            return False

        wait_for(empty, _TIMEOUT_S, what=self.capture)


def new_project() -> None:
    """An empty HOME with a project of one file, on every screen the same."""
    shutil.rmtree(HOME, ignore_errors=True)
    PROJECT.mkdir(parents=True)
    (PROJECT / "notes.txt").write_text("one\ntwo\n")


@contextmanager
def in_pane(
    screens: Screens,
    size: tuple[int, int],
    manifest: dict[str, Expected],
    environment: Mapping[str, str],
    argv: Sequence[str],
) -> Iterator[Recorder]:
    """The CLI of `argv` in a pane of that size, with that environment alone."""
    tmux = Tmux(new_socket())
    try:
        width, height = size
        tmux.start(width, height)
        words = [f"{name}={value}" for name, value in environment.items() if value]
        pane = tmux.pane("sh", "-c", 'cd "$0" && exec "$@"', str(PROJECT), "env", "-i", *words, *argv)
        tmux.run("set-option", "-t", "keeper", "status", "off")
        tmux.run("resize-window", "-t", pane, "-x", str(width), "-y", str(height))
        yield Recorder(screens, tmux, pane, f"{width}x{height}", manifest)
    finally:
        tmux.close()


Part = Callable[[tuple[int, int], dict[str, Expected]], None]
Launch = Callable[[tuple[int, int], dict[str, Expected]], AbstractContextManager[Recorder]]


def on_its_own(launch: Launch, part: Callable[[Recorder], None]) -> Part:
    """`part` with a CLI that is launched for it."""

    def run(size: tuple[int, int], manifest: dict[str, Expected]) -> None:
        with launch(size, manifest) as cli:
            part(cli)

    return run


def record(screens: Screens, parts: Iterable[tuple[str, Part]], only: str = "") -> None:
    """Runs every part whose name and width contain `only` at every size, and writes the manifest; one at a time on a
    machine, since `HOME` is one."""
    lock = HOME.with_suffix(".lock").open("w")  # goes with the process
    fcntl.flock(lock, fcntl.LOCK_EX)
    screens.directory.mkdir(parents=True, exist_ok=True)
    manifest = screens.expected()
    parts = list(parts)
    for size in SIZES:
        for name, part in parts:
            if only in f"{name} {size[0]}":
                part(size, manifest)
        (screens.directory / "expected.toml").write_text(_toml(manifest))


def _toml(manifest: Mapping[str, Expected]) -> str:
    """The manifest as TOML; a JSON text or boolean is one of TOML's as well."""
    tables = []
    for name, expected in sorted(manifest.items()):
        rows = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in expected.items()]
        tables.append("\n".join([f"[{name}]", *rows]))
    return "\n\n".join(tables) + "\n"
