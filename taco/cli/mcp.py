"""`taco mcp`: the verbs of agents as tools of an MCP server."""

from __future__ import annotations

import signal
import sys

import click

from taco.cli import say
from taco.cli.caller import caller
from taco.cli.options import session_option
from taco.errors import MissingProgramError, UsageError


@click.command()
@session_option
def mcp(session: str | None) -> None:
    """Serve the verbs of agents as MCP tools on standard input and output, until that ends.

    Who calls is told by the environment (TACO_SESSION, TACO_AGENT): TACO starts one for each of its agents. In an agent
    CLI of your own --session NAME is needed, and it speaks as you.

    In Claude Code: claude mcp add taco -- taco mcp --session NAME
    """
    who = caller()
    if not (who.is_agent or session):
        hint = "in an agent CLI of your own: taco mcp --session NAME, which speaks as the person"
        raise UsageError("no TACO_AGENT says whose tools these are", hint=hint)
    if sys.stdin.isatty():
        say.note("an agent CLI speaks to this on standard input; Ctrl-D ends it")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it waits for input in a thread, which Python could not interrupt
    try:
        from taco.cli.mcp_server import serve
    except ImportError as error:  # a checkout goes on with its old libraries where the new ones cannot be had
        hint = "install the libraries of pyproject.toml: pip install 'mcp>=2.0,<3'"
        raise MissingProgramError(f"the library mcp cannot be used: {error}", hint=hint) from None
    from taco.cli.tools import Call

    serve(Call(who, session))
