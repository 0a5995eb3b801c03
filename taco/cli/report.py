"""`taco done` and `taco fail`."""

from __future__ import annotations

from typing import Any

import click

from taco.cli.options import TextCommand, json_option, session_option
from taco.cli.reporting import report

_file = click.option("--file", metavar="F", type=click.Path(), help="Take the text from a file.")
_sender = click.option("--from", "sender", metavar="NAME", help="The agent (when the person reports for it).")


@click.command(cls=TextCommand)
@click.argument("words", nargs=-1, metavar="SUMMARY|-", type=click.UNPROCESSED)
@_file
@_sender
@json_option
@session_option
def done(words: tuple[str, ...], **values: Any) -> int:
    """Report your work as done, with a SUMMARY for those who wait for it."""
    return report(words, failed=False, **values)


@click.command(cls=TextCommand)
@click.argument("words", nargs=-1, metavar="REASON|-", type=click.UNPROCESSED)
@_file
@_sender
@json_option
@session_option
def fail(words: tuple[str, ...], **values: Any) -> int:
    """Report that your work failed, with the REASON."""
    return report(words, failed=True, **values)
