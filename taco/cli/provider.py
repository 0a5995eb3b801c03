"""`taco provider`: the agent CLIs that TACO knows, and whose descriptions of them count."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from taco import classify as classification
from taco import files, paths, projects, proposing
from taco.cli import say
from taco.cli.body import read_body
from taco.cli.options import Family, complete_provider, json_option
from taco.errors import Exit, NotFoundError, UsageError
from taco.files import ProviderFile
from taco.provider import Provider
from taco.screen import read_screen

SELF = "taco"  # the demo's program is TACO's own


@click.group(cls=Family, default="list")
def provider() -> None:
    """List, show or check agent CLIs; trust a project's .taco directory."""


@provider.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List every provider, where it comes from, and whether its program is installed."""
    found = files.provider_files(paths.config_home(), paths.home(), Path.cwd())
    counting = {each.name: each for each in found if each.trusted}
    rows = [_row(each, counts=counting.get(each.name) is each) for each in found]
    if as_json:
        say.data(rows)
        return
    say.table(
        ["PROVIDER", "PROGRAM", "INSTALLED", "TESTED", "SOURCE", "NOTE"],
        [
            [
                row["name"],
                row["program"],
                "yes" if row["installed"] else "no",
                row["versions"],
                row["source"],
                row["note"],
            ]
            for row in rows
        ],
        styles={0: "bold", 2: lambda text: "green" if text.strip() == "yes" else "dim", 5: "yellow"},
    )


@provider.command()
@click.argument("name", shell_complete=complete_provider)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show how NAME is started, read and typed into."""
    found = files.provider(name, paths.config_home(), paths.home(), Path.cwd())
    values = found.model_dump(mode="json", exclude_defaults=True)
    if as_json:
        say.data(values)
        return
    for key, value in _flat(values):
        say.out(f"{say.paint(key.ljust(20), 'dim')}  {say.clean(value)}")
    _say_limits(found)


@provider.command()
@click.argument("file", metavar="NAME|FILE", shell_complete=complete_provider)
@click.option(
    "--screen",
    "capture",
    type=click.Path(path_type=Path),
    metavar="CAPTURE",
    help="Say what it reads on a screen that `tmux capture-pane -p -e` printed.",
)
@json_option
def check(file: str, capture: Path | None, as_json: bool) -> int:
    """Check a provider. NAME is started in a scratch session in this directory, and its rules are seen to hold.

    Nothing is submitted to it: no model is asked. FILE is only read: unknown keys, bad patterns, placeholders; --screen
    tries its patterns.
    """
    if capture is None and "/" not in file and not file.endswith(".toml"):
        return _try_out(files.provider(file, paths.config_home(), paths.home(), Path.cwd()), as_json=as_json)
    found = files.load_provider(Path(file))
    reading = None
    if capture:
        try:
            reading = read_screen(found.screen, capture.read_text(encoding="utf-8", errors="replace"))
        except OSError as error:
            raise UsageError(f"{capture} cannot be read: {error.strerror}", hint="check the path") from None
    seen = reading and {
        "composer_row": reading.composer_row,
        "draft": reading.draft,
        "ghost": reading.ghost,
        "placeholder": reading.placeholder,
        "busy": reading.busy,
        "waiting": reading.waiting or None,
        "limited": reading.limited or None,
        "exited": reading.exited,
    }
    if as_json:
        say.data({"valid": True, "name": found.name, "screen": seen})
        return int(Exit.OK)
    say.out(f"{file}: provider {found.name} is fine")
    _say_limits(found)
    for key, value in (seen or {}).items():
        say.out(f"  {key.ljust(13)} {say.clean(value)}")
    return int(Exit.OK)


def _try_out(found: Provider, *, as_json: bool) -> int:
    """Start it, look, and end it; the worst of what was seen decides how this ends."""
    import asyncio
    import tempfile

    from taco.cli.doctor import show
    from taco.doctor import Check, Verdict
    from taco.probe import Bench, probe

    config = files.settings(paths.config_home(), paths.home(), Path.cwd()).config
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TACO_", "TMUX"))}

    async def run(directory: Path) -> list[Check]:
        bench = Bench(directory, Path.cwd(), environ, config.tmux_socket, config.ready_timeout_s)
        seen = []
        async for each in probe(found, bench):
            seen.append(each)
            if not as_json:
                show(each)
        return seen

    with tempfile.TemporaryDirectory(prefix="taco-probe-") as name:
        checks = asyncio.run(run(Path(name).resolve()))
    broken = any(each.verdict is Verdict.BAD for each in checks)
    if as_json:
        say.data({"ok": not broken, "name": found.name, "checks": [asdict(each) for each in checks]})
    return int(Exit.FAILED if broken else Exit.OK)


@provider.command()
@click.argument("name", shell_complete=complete_provider)
@click.argument("file", metavar="FILE|-", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--title", default="", help="What the pane is called, as the CLI sets it.")
@json_option
def classify(name: str, file: Path, title: str, as_json: bool) -> None:
    """Say which state of NAME a captured screen shows, and which rule decides that.

    FILE is what `tmux capture-pane -p -e` printed. Hooks and the CLI's own files are not asked.
    """
    found = files.provider(name, paths.config_home(), paths.home(), Path.cwd())
    capture = read_body([], str(file), what="screen")
    seen = classification.classify(found, capture, title)
    where = classification.line_of(seen.pattern, "\n".join(seen.reading.lines)) if seen.pattern else ""
    if as_json:
        say.data(
            {
                "state": seen.state,
                "detail": seen.detail or None,
                "rule": seen.rule or None,
                "pattern": seen.pattern or None,
                "line": where or None,
                "draft": seen.reading.draft,
                "ghost": seen.reading.ghost,
            }
        )
        return
    say.out(f"{seen.state}({say.clean(seen.detail)})" if seen.detail else seen.state)
    say.note(f"by {seen.rule}: {seen.pattern}" if seen.rule else "no rule of this provider decides it")
    if where:
        say.note(f"on the line: {say.clean(where)}")
    if seen.reading.draft.strip():
        say.note(f"draft: {say.cut(say.clean(seen.reading.draft), 60)}")


@provider.command()
@click.argument("name", shell_complete=complete_provider)
@click.argument("state", metavar="STATE")
@click.option("--pane", required=True, metavar="PANE", help="Where the CLI runs, as tmux calls it: %5, work:2.0")
@click.option("--command", "words", default="", help="How it is started. Default: NAME.")
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="Where the screens are kept. Default: ./NAME")
@json_option
def capture(name: str, state: str, pane: str, words: str, directory: Path | None, as_json: bool) -> None:
    """Keep a screen of a CLI that TACO does not know yet, and propose a provider file for it.

    Start the CLI in a tmux pane, bring it to a STATE, and capture that: idle, draft (type “a draft of mine” and
    leave it there), busy, waiting_permission (or another dialog), limited, exited. NAME.toml beside the screens is
    made anew from all of them each time; put it into ~/.config/taco/providers/ when every screen is read as meant.
    """
    if not proposing.state_of(state):
        known = "idle, draft, busy, waiting_permission, limited, exited"
        raise UsageError(f"unknown state {state!r}", hint=f"one of: {known}")
    directory = directory or Path.cwd() / name
    directory.mkdir(parents=True, exist_ok=True)
    kept = _keep_screen(pane, directory, state)
    screens = {each.stem: each.read_text(encoding="utf-8") for each in sorted(directory.glob("*.ansi"))}
    text = proposing.propose(name, shlex.split(words) or [name], screens)
    file = directory / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    found = proposing.verdicts(text, screens)
    if as_json:
        rows = [{"screen": key, "wanted": wanted, "read": read} for key, (wanted, read) in found.items()]
        say.data({"screen": str(kept), "file": str(file), "screens": rows})
        return
    say.out(text)
    for key, (wanted, read) in found.items():
        mark = say.paint("ok ", "green") if wanted == read else say.paint("not", "bold red")
        say.out(f"{mark}  {key}: {read}" + ("" if wanted == read else f", meant to be {wanted}"))
    say.note(f"kept {kept}; proposed {file}; try it with: taco provider check {file}")


def _keep_screen(pane: str, directory: Path, state: str) -> Path:
    """Write what a pane shows, attributes included, to `<state>-<width>x<height>.ansi`; raises UsageError."""
    import subprocess

    from taco.tmux.commands import socket_words

    words = ["tmux", "-u", *socket_words(os.environ.get("TACO_TMUX_SOCKET", ""))]
    size = [*words, "display-message", "-p", "-t", pane, "#{pane_id} #{pane_width}x#{pane_height}"]
    found = subprocess.run(size, capture_output=True, text=True, check=False)
    if found.returncode or not found.stdout.startswith("%"):
        hint = "list them with: tmux list-panes -a"
        raise UsageError(f"there is no pane {pane!r}: {found.stderr.strip() or 'tmux knows none'}", hint=hint)
    target, _, extent = found.stdout.strip().partition(" ")
    shot = subprocess.run(
        [*words, "capture-pane", "-p", "-e", "-t", target], capture_output=True, text=True, check=True
    )
    path = directory / f"{state}-{extent}.ansi"
    path.write_text(shot.stdout, encoding="utf-8")
    return path


@provider.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--remove", is_flag=True, help="Trust it no longer.")
@json_option
def trust(directory: Path, remove: bool, as_json: bool) -> None:
    """Let DIRECTORY's .taco/config.toml and .taco/providers count: they say which programs run. Read them first.

    They count as they are now: when one of them changes, you are asked again.
    """
    here = directory.resolve()
    home = paths.home()
    if remove and here not in projects.trusted_projects(home):
        raise NotFoundError(f"{here} is not trusted", hint="trusted ones: " + ", ".join(_trusted()) or "none")
    projects.trust(home, here, trusted=not remove)
    if as_json:
        say.data({"directory": str(here), "trusted": not remove, "all": _trusted()})
        return
    say.out(f"{here} is {'no longer trusted' if remove else 'trusted'}")
    for path in projects.files_of(here):
        say.note(f"  {path}")


def _trusted() -> list[str]:
    return [str(each) for each in projects.trusted_projects(paths.home())]


def _row(each: ProviderFile, *, counts: bool) -> dict[str, Any]:
    program = each.provider.command[0] if each.provider else ""
    note = each.error
    if not each.trusted:
        note = "its project is not trusted, or changed since: taco provider trust"
    elif not note and not counts:
        note = "replaced by another of that name"
    return {
        "name": each.name,
        "program": program,
        "installed": program == SELF or bool(program and shutil.which(program)),
        "versions": each.provider.versions if each.provider else "",
        "source": each.source,
        "counts": counts and each.provider is not None,
        "note": note,
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as dotted keys."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            found += [(f"{prefix}{key}", " ".join(f"{name}={text!r}" for name, text in each.items())) for each in value]
        else:
            found.append((f"{prefix}{key}", " ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return found


def _say_limits(found: Provider) -> None:
    if not found.reads_screen:
        say.note("it has no screen rules: a person's half-typed draft in its window is not protected")
    if not found.evidence:
        say.note("it has no evidence: deliveries count as done once they are typed")
