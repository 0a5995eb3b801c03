"""`taco start`: from a prompt to a session."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from taco.cli import say
from taco.cli.options import json_option
from taco.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from taco.session import StartRequest

DEMO = "demo"


@click.command()
@click.argument("prompt", required=False)
@click.option("--session", metavar="NAME", help="Its name; default: from the prompt.")
@click.option("--dir", "directory", metavar="DIR", default=".", help="The project; default: this directory.")
@click.option("--provider", metavar="NAME", help="The agent CLI: claude, demo, …; see: taco provider list")
@click.option("--model", metavar="NAME", help="The model given to the agent CLI.")
@click.option("--spec", metavar="FILE", help="Take the team from FILE; Mother only coordinates.")
@click.option("--no-mother", is_flag=True, help="No Mother: a shell in window 0.")
@click.option("--review", is_flag=True, help="Stop at the plan, until: taco spec approve")
@click.option("--max-agents", type=click.IntRange(1, 500), metavar="N", help="The largest team.")
@click.option("--detach", "-d", is_flag=True, help="Do not go to the session.")
@click.option("--edit", is_flag=True, help="Write the prompt in an editor.")
@click.option("--socket", metavar="NAME", help="Another tmux server (tmux -L NAME).")
@click.option("--trust", is_flag=True, help="Tell the agent CLI that you trust this project directory.")
@click.option("--yolo", is_flag=True, help="No permission prompts: agents do what they like.")
@json_option
def start(prompt: str | None, detach: bool, edit: bool, trust: bool, as_json: bool, **options: object) -> None:
    """Open a session: Mother designs a team for PROMPT, and TACO starts it. `-` reads PROMPT from standard input."""
    from taco import session

    request = _request(prompt, edit, options)
    if request.yolo:
        say.note(say.paint("YOLO: agents will not ask before they do something", "bold red", sys.stderr))
    _trust(request, trust)
    record = session.open_session(request, _step)
    if as_json:
        say.data({"session": record.name, "tmux": {"socket": record.tmux_socket, "session": record.name}})
        return
    if detach or not (sys.stdin.isatty() and sys.stdout.isatty()):
        say.out(record.name)
        say.note(f"go there with: taco attach {record.name}")
        return
    session.attach(record, say.warn)


def _step(text: str) -> None:
    say.note(f"{say.paint('·', 'green', sys.stderr)} {text}")


def _request(prompt: str | None, edit: bool, options: dict[str, object]) -> StartRequest:
    from taco.session import StartRequest
    from taco.tmux.server import socket_here

    spec = _spec(options.get("spec"))
    project = Path(str(options["directory"])).expanduser().resolve()
    provider = str(options.get("provider") or "") or _default_provider(project)
    return StartRequest(
        prompt=_prompt(prompt, edit, bool(spec), mother=not options.get("no_mother")),
        project_dir=project,
        session=str(options.get("session") or ""),
        provider=provider,
        model=str(options.get("model") or ""),
        spec=spec,
        mother=not options.get("no_mother"),
        review=bool(options.get("review")),
        max_agents=int(str(options.get("max_agents") or 0)),
        socket=str(options.get("socket") or os.environ.get("TACO_TMUX_SOCKET") or socket_here()),
        yolo=bool(options.get("yolo")),
        environ=dict(os.environ),
    )


def _prompt(prompt: str | None, edit: bool, has_spec: bool, *, mother: bool) -> str:
    """The prompt from the argument, standard input, an editor, or a question; raises UsageError for none."""
    if edit:
        prompt = click.edit(prompt or "") or ""
    elif prompt == "-":
        prompt = sys.stdin.read()
    elif prompt is None and has_spec:
        prompt = "Follow the spec."
    elif prompt is None and not mother:
        prompt = "No Mother: the person leads."
    elif prompt is None and sys.stdin.isatty():
        prompt = _asked()
    if not (prompt or "").strip():
        raise UsageError("there is no prompt", hint='say what you want built: taco start "build me X"')
    return str(prompt).strip()


def _asked() -> str:
    """Lines from the terminal, up to an empty one."""
    say.note("What do you want built? (an empty line ends)")
    lines: list[str] = []
    while True:
        try:
            line = input("> ")
        except EOFError:
            break
        if not line.strip() and lines:
            break
        lines.append(line)
    return "\n".join(lines)


def _spec(option: object) -> str:
    if not option:
        return ""
    if option == "-":
        return sys.stdin.read()
    path = Path(str(option)).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise NotFoundError(f"{path}: {reason}", hint="name a file that holds a spec: taco spec check FILE") from None
    if not text.strip():
        raise UsageError(f"{path} is empty", hint="see: taco spec schema")
    return text


def _default_provider(project: Path) -> str:
    """ "" for the configured one; the demo where no agent CLI is installed and none was asked for."""
    from taco import files, paths

    settings = files.settings(paths.config_home(), paths.home(), project)
    if settings.sources["provider"] != "default":
        return ""
    found = files.providers(paths.config_home(), paths.home(), project).get(settings.config.provider)
    if found is not None and shutil.which(found.command[0]) is None:
        title = found.title or found.name
        say.note(f"{title} is not installed ({found.install}): here is the demo, whose agents are scripted")
        return DEMO
    return ""


def _trust(request: StartRequest, yes: bool) -> None:
    """Record that the project is trusted when the person says so; else the CLI asks in its own window."""
    from taco import files, paths, trust

    name = request.provider or files.settings(paths.config_home(), paths.home(), request.project_dir).config.provider
    found = files.providers(paths.config_home(), paths.home(), request.project_dir).get(name)
    if found is None or not trust.is_asked_for(found, request.project_dir, request.environ):
        return
    title = found.title or found.name
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        question = f"{title} will ask in every window whether you trust {request.project_dir}. Trust it for good?"
        yes = click.confirm(question, default=False, err=True)
    if yes:
        _step(f"trust noted in {trust.record(request.project_dir, request.environ)}")
    else:
        _step(f"{title} will ask whether you trust this directory: answer in its window, or use --trust")
