"""The `taco` command: which commands there are, loaded when used; the overview; who may run what."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from taco import __version__
from taco.cli import say
from taco.cli.caller import caller, check_allowed
from taco.cli.examples import with_examples
from taco.cli.outcome import conclude, wants_json
from taco.errors import Exit, UsageError


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: the module of `taco.cli` that holds it under its own name, and what the overview says."""

    module: str
    help: str


PEOPLE, AGENTS, WATCHING, SETUP = "for people", "for agents (and people)", "watching", "set-up"
GROUPS: dict[str, dict[str, Entry]] = {
    PEOPLE: {
        "start": Entry("start", "open a session: a team of agents for what you want built"),
        "attach": Entry("session", "go to a session"),
        "stop": Entry("session", "end a session; what is queued is kept"),
        "resume": Entry("session", "go on with a stopped session"),
        "answer": Entry("answer", "answer an agent's question, or choose at its dialog"),
        "approve": Entry("answer", "say yes to a tool, a plan or a question that waits"),
        "deny": Entry("answer", "say no to it"),
        "spec": Entry("spec", "check, show, submit, approve or edit the team's spec"),
        "agent": Entry("agent", "list, show, capture, pause, resume, restart, add or remove agents"),
        "queue": Entry("queue", "what waits, what died; retry, drop or cancel"),
    },
    AGENTS: {
        "send": Entry("send", "send a message to an agent, the person or all"),
        "broadcast": Entry("send", "send a message to every agent"),
        "ask": Entry("ask", "ask the person a question"),
        "inbox": Entry("ask", "open questions, dialogs and messages"),
        "done": Entry("report", "report your work as done"),
        "fail": Entry("report", "report that your work failed"),
        "service": Entry("service", "register, find or wait for a service"),
        "mcp": Entry("mcp", "all of these as tools of an MCP server"),
    },
    WATCHING: {
        "status": Entry("status", "a session and its agents"),
        "ls": Entry("status", "every session"),
        "monitor": Entry("run", "watch a session in full screen"),
        "log": Entry("log", "what happened; -f follows"),
    },
    SETUP: {
        "config": Entry("config", "every setting with its value and source"),
        "provider": Entry("provider", "list, show or check agent CLIs; trust a project"),
        "doctor": Entry("doctor", "check the machine; --fix mends, --report for a bug report"),
        "uninstall": Entry("uninstall", "take away what TACO put on this machine"),
        "completion": Entry("completion", "shell completion for bash, zsh or fish"),
    },
}
HIDDEN = {"executor": Entry("run", "deliver the messages of a session (window 2 runs this)")}
ENTRIES = {name: entry for group in (*GROUPS.values(), HIDDEN) for name, entry in group.items()}


class Taco(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names that people see."""
        return [name for group in GROUPS.values() for name in group]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in ENTRIES:
            return None
        module = importlib.import_module(f"taco.cli.{ENTRIES[cmd_name].module}")
        command: click.Command = getattr(module, cmd_name)
        return with_examples(command, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` begin with; raises UsageError with the nearest names, RefusedError for an agent."""
        if args[0] not in ENTRIES:
            near = difflib.get_close_matches(args[0], ENTRIES, n=3)
            hint = f"did you mean: {', '.join(near)}?" if near else "taco --help lists the commands"
            raise UsageError(f"no command {args[0]!r}", hint=hint)
        check_allowed(caller(), args[0])
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, without importing a single command."""
        formatter.write(overview())


def overview() -> str:
    """What `taco` alone prints."""
    lines = [
        f"{say.paint('taco', 'bold')} {__version__}: a tmux-native orchestrator of coding agents",
        "",
        f"  taco start {say.paint(chr(34) + 'what you want built' + chr(34), 'cyan')}",
    ]
    for title, entries in GROUPS.items():
        lines += ["", say.paint(title, "bold")]
        lines += [f"  {say.paint(name.ljust(11), 'cyan')} {entry.help}" for name, entry in entries.items()]
    lines += ["", "taco COMMAND --help tells more; listings take --json; --version prints the release"]
    return "\n".join(lines) + "\n"


@click.group(cls=Taco, invoke_without_command=True)
@click.version_option(__version__, message="taco %(version)s")
@click.pass_context
def taco(ctx: click.Context) -> None:
    """TACO: a tmux-native orchestrator of coding agents."""
    if ctx.invoked_subcommand is None:
        click.echo(overview(), nl=False)


def main(argv: Sequence[str]) -> int:
    """Run one `taco` command and return its exit code."""
    return conclude(lambda: _run(argv), as_json=wants_json(argv))


def _run(argv: Sequence[str]) -> int | None:
    try:
        result: Any = taco.main(args=list(argv), prog_name="taco", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return int(Exit.USAGE)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "taco"
        raise UsageError(_sentence(error.format_message()), hint=f"see: {path} --help") from None
    except click.ClickException as error:
        raise UsageError(_sentence(error.format_message())) from None
    except click.Abort:
        return int(Exit.INTERRUPTED)
    return result if isinstance(result, int) else None


def _sentence(text: str) -> str:
    """click's message in the way our own errors are written."""
    text = text.strip().rstrip(".")
    return text[:1].lower() + text[1:]
