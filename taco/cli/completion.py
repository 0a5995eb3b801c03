"""`taco completion`: what a shell needs to complete commands, agents and sessions."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from taco.cli import say
from taco.errors import UsageError

_INSTALL = {
    "bash": 'eval "$(taco completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(taco completion zsh)"   in ~/.zshrc',
    "fish": "taco completion fish > ~/.config/fish/completions/taco.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(sorted(_INSTALL)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for bash, zsh or fish."""
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"no completion for {shell}", hint="bash, zsh or fish")
    say.out(kind(ctx.find_root().command, {}, "taco", "_TACO_COMPLETE").source())
    say.note(_INSTALL[shell])
