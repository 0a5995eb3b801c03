"""`taco start`: from a prompt to a session."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from taco.calls import MAX_BODY
from taco.cli import say
from taco.cli.body import checked, read_body
from taco.cli.options import complete_provider, json_option
from taco.errors import NotFoundError, TacoError, UsageError

if TYPE_CHECKING:
    from taco.provider import Provider
    from taco.session import StartRequest

DEMO = "demo"
A_SPEC = "a spec is JSON: taco spec schema"
IN_A_FILE = "put it into a file in the project, and name that file in the prompt"
MAX_PROMPT = 100_000  # bytes; it stands in Mother's first words, which Linux takes as one argument below 128 KiB


@click.command()
@click.argument("prompt", required=False)
@click.option("--session", metavar="NAME", help="Its name; default: from the prompt.")
@click.option("--dir", "directory", metavar="DIR", default=".", help="The project; default: this directory.")
@click.option(
    "--provider",
    metavar="NAME",
    shell_complete=complete_provider,
    help="The agent CLI: claude, demo, …; see: taco provider list",
)
@click.option("--model", metavar="NAME", help="The model given to the agent CLI.")
@click.option("--spec", metavar="FILE", help="Take the team from FILE; Mother only coordinates.")
@click.option("--no-mother", is_flag=True, help="No Mother: a shell in window 0.")
@click.option("--review", is_flag=True, help="Stop at the plan, until: taco spec approve")
@click.option("--max-agents", type=click.IntRange(1, 500), metavar="N", help="The largest team.")
@click.option("--detach", "-d", is_flag=True, help="Do not go to the session.")
@click.option("--edit", is_flag=True, help="Write the prompt in an editor.")
@click.option("--socket", metavar="NAME", help="Another tmux server (tmux -L NAME).")
@click.option("--trust", is_flag=True, help="You trust this project directory: no agent CLI asks.")
@click.option("--yolo", is_flag=True, help="No permission prompts: agents do what they like.")
@json_option
def start(prompt: str | None, detach: bool, edit: bool, as_json: bool, **options: object) -> None:
    """Open a session: Mother designs a team for PROMPT, and TACO starts it. `-` reads PROMPT from standard input."""
    from taco import session

    request = _request(prompt, edit, options)
    if request.yolo:
        say.note(say.paint("YOLO: agents will not ask before they do something", "bold red", sys.stderr))
    record = session.open_session(request, _step, lambda provider: _trusts(provider, request))
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
    from taco.checks import check_directory, check_name
    from taco.session import StartRequest
    from taco.tmux.server import socket_here

    name, project = str(options.get("session") or ""), Path(str(options["directory"])).expanduser().resolve()
    if name:
        check_name(name)
    check_directory(project)
    if prompt == "-" and options.get("spec") == "-":
        raise UsageError("the prompt and the spec cannot both be read from standard input", hint="put one into a file")
    spec = _spec(options.get("spec"))
    prompt = _prompt(prompt, edit, bool(spec), mother=not options.get("no_mother"))
    provider = str(options.get("provider") or "") or _default_provider(project)
    return StartRequest(
        prompt=prompt,
        project_dir=project,
        session=name,
        provider=provider,
        model=str(options.get("model") or ""),
        spec=spec,
        mother=not options.get("no_mother"),
        review=bool(options.get("review")),
        max_agents=int(str(options.get("max_agents") or 0)),
        socket=str(options.get("socket") or os.environ.get("TACO_TMUX_SOCKET") or socket_here()),
        yolo=bool(options.get("yolo")),
        trust=bool(options.get("trust")),
        environ=dict(os.environ),
    )


def _prompt(prompt: str | None, edit: bool, has_spec: bool, *, mother: bool) -> str:
    """The prompt from the argument, standard input, an editor, or a question; raises UsageError for none."""
    if prompt == "-" and not edit:
        return read_body(["-"], what="prompt", instead=IN_A_FILE, most=MAX_PROMPT).strip()
    try:
        if edit:
            prompt = _edited(_carried(prompt) if prompt else "")
        elif prompt is None and has_spec:
            prompt = "Follow the spec."
        elif prompt is None and not mother:
            prompt = "No Mother: the person leads."
        elif prompt is None and sys.stdin.isatty():
            prompt = _asked()
    except UnicodeDecodeError as error:
        raise UsageError(f"the prompt is not UTF-8: {error.reason}", hint="convert it to UTF-8") from None
    if not (prompt or "").strip():
        raise UsageError("there is no prompt", hint='say what you want built: taco start "build me X"')
    return _carried(str(prompt)).strip()


def _edited(prompt: str) -> str:
    """What the person's editor leaves; "" when nothing was saved. Raises TacoError, UnicodeDecodeError."""
    try:
        return click.edit(prompt) or ""
    except click.ClickException as error:
        hint = "set EDITOR to one that is installed, or give the prompt as an argument"
        raise TacoError(f"the editor failed: {error.message}", hint=hint) from None


def _carried(prompt: str) -> str:
    """The prompt, when it is one; raises UsageError."""
    return checked(prompt, what="prompt", instead=IN_A_FILE, most=MAX_PROMPT)


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
    """The text of `--spec`; raises NotFoundError for a file that cannot be read, UsageError for what is no text."""
    from taco.checks import spec_text

    if not option:
        return ""
    if option == "-":
        return spec_text(read_body(["-"], what="spec", instead=A_SPEC))
    path = Path(str(option)).expanduser()
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BODY + 1)
    except OSError as error:
        raise NotFoundError(
            f"{path}: {error.strerror}", hint="name a file that holds a spec: taco spec check FILE"
        ) from None
    return spec_text(checked(raw, what=f"spec {path}", instead=A_SPEC))


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


def _trusts(provider: Provider, request: StartRequest) -> bool:
    """Whether the person trusts the project, so that its CLI need not ask in its own window."""
    title, project, yes = provider.title or provider.name, request.project_dir, request.trust
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        question = f"{title} will ask in every window whether you trust {project}. Trust it for good?"
        yes = click.confirm(question, default=False, err=True)
    if not yes:
        _step(f"{title} will ask whether you trust this directory: answer in its window, or use --trust")
    return yes
