"""`taco doctor`: what is wrong on this machine, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from taco import paths
from taco.cli import say
from taco.cli.options import json_option
from taco.doctor import Verdict, examine
from taco.errors import Exit

_MARKS = {Verdict.OK: ("ok  ", "green"), Verdict.WARN: ("warn", "bold yellow"), Verdict.BAD: ("bad ", "bold red")}


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Check tmux, Redis, agent CLIs, directories, configuration and sessions. Ends with 1 when something is bad."""
    checks = []
    for check in examine(paths.config_home(), paths.home(), Path.cwd()):
        checks.append(check)
        if as_json:
            continue
        mark, style = _MARKS[check.verdict]
        say.out(f"{say.paint(mark, style)}  {say.paint(check.name.ljust(18), 'bold')}  {say.clean(check.found)}")
        if check.mend:
            say.out(say.paint(f"{' ' * 26}{say.clean(check.mend)}", "dim"))
    broken = sum(check.verdict is Verdict.BAD for check in checks)
    if as_json:
        say.data({"ok": not broken, "checks": [asdict(check) for check in checks]})
    else:
        doubtful = sum(check.verdict is Verdict.WARN for check in checks)
        well = f"nothing is broken; {doubtful} to look at" if doubtful else "all is well"
        say.note(f"{broken} to mend" if broken else well)
    return int(Exit.FAILED if broken else Exit.OK)
