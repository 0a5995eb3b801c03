"""Options and arguments that several commands share, with their shell completion."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from taco.cli.caller import caller, check_allowed
from taco.cli.examples import with_examples
from taco.errors import TacoError, UsageError

if TYPE_CHECKING:
    from taco.broker import Broker

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_OPTION = re.compile(r"--[a-z][a-z-]*(=.*)?")


def complete_session(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The sessions on disk."""
    from taco import paths

    records = paths.sessions(paths.home())
    return [CompletionItem(each.name, help=each.status) for each in records if each.name.startswith(incomplete)]


def complete_agent(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The agents of the session that is meant."""
    from taco.cli import place
    from taco.line import Line

    try:
        here = place.find(ctx.params.get("session"))
        names = Line(here.url, here.name, timeout_s=1).agents()
    except TacoError:
        return []
    return [CompletionItem(each) for each in names if each.startswith(incomplete)]


def complete_message(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Messages that died or were not confirmed, in the session that is meant, and those that wait there."""
    from taco.cli import place

    async def read(broker: Broker) -> list[CompletionItem]:
        ended = [*await broker.dead_letters(), *await broker.unconfirmed()]
        found = {each["id"]: f"{each.get('state', '')} {each['sender']} → {each['target']}" for each in ended}
        for name in await broker.waiting_agents():
            if (head := (await broker.heads(name)).head) is not None:
                found[head.command.id] = f"waits for {name}"
        return [CompletionItem(id_, help=text) for id_, text in found.items() if id_.startswith(incomplete)]

    try:
        return place.with_broker(place.find(ctx.params.get("session")), read)
    except TacoError:
        return []


def complete_provider(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The agent CLIs that can be used here."""
    from taco import files, paths

    try:
        known = files.providers(paths.config_home(), paths.home(), Path.cwd())
    except TacoError:
        return []
    return [CompletionItem(name, help=each.title) for name, each in known.items() if name.startswith(incomplete)]


def complete_service(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The services of the session that is meant."""
    from taco.cli import place
    from taco.line import Line

    try:
        here = place.find(ctx.params.get("session"))
        line = Line(here.url, here.name, timeout_s=1)
        names = sorted(line.call("SMEMBERS", line.keys.services_index))
    except TacoError:
        return []
    return [CompletionItem(each) for each in names if each.startswith(incomplete)]


session_option: Decorator = click.option(
    "--session", metavar="NAME", shell_complete=complete_session, help="The session; default: the one you are in."
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


class Family(click.Group):
    """A command with subcommands, one of them meant when none is named; options may stand before the subcommand."""

    def __init__(self, *args: Any, default: str, **kwargs: Any) -> None:
        """`default` is the subcommand that `taco NAME` alone runs."""
        super().__init__(*args, **kwargs)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Bring the subcommand to the front."""
        at = self._position(args)
        if at is not None:
            args = [args[at], *args[:at], *args[at + 1 :]]
        elif not args or (args[0].startswith("-") and "--help" not in args):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of that name, with its examples."""
        command = super().get_command(ctx, cmd_name)
        return with_examples(command, f"{self.name} {cmd_name}") if command else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand, if this caller may run it; raises RefusedError."""
        check_allowed(caller(), ctx.info_name or "", args[0])
        return super().resolve_command(ctx, args)

    def _position(self, args: Sequence[str]) -> int | None:
        """Where the subcommand stands: the first of its words that is neither an option nor an option's value."""
        for at, word in enumerate(args):
            if not word.startswith("-") and (at == 0 or args[at - 1] != "--session"):
                return at
        return None


class TextCommand(click.Command):
    """A command whose last argument is free text: a dash at its beginning is no option, a misspelt option is none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse words that look like options and are none; let other words with dashes pass as text."""
        ctx.ignore_unknown_options = True
        known = {name for param in self.get_params(ctx) if isinstance(param, click.Option) for name in param.opts}
        words = args[: args.index("--")] if "--" in args else args
        for word in words:
            name = word.partition("=")[0]
            if _OPTION.fullmatch(word) and name not in known:
                near = difflib.get_close_matches(name, known)
                meant = f"did you mean {near[0]}? " if near else ""
                raise UsageError(f"no option {name}", hint=f"{meant}to send it as text, put -- before it")
        return super().parse_args(ctx, args)
