"""`taco doctor`: what is wrong on this machine, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from taco import paths
from taco.cli import say
from taco.cli.options import json_option
from taco.doctor import Check, Verdict, examine
from taco.errors import Exit

_MARKS = {Verdict.OK: ("ok  ", "green"), Verdict.WARN: ("warn", "bold yellow"), Verdict.BAD: ("bad ", "bold red")}


def show(check: Check) -> None:
    """One check: its verdict, what was found, what to do."""
    mark, style = _MARKS[check.verdict]
    say.out(f"{say.paint(mark, style)}  {say.paint(check.name.ljust(18), 'bold')}  {say.clean(check.found)}")
    if check.mend:
        say.out(say.paint(f"{' ' * 26}{say.clean(check.mend)}", "dim"))


def _mend(*, quiet: bool) -> list[str]:
    """Mend, and tell each thing that was done."""
    from taco.cli import mending

    done = []
    for line in mending.mend(paths.home()):
        done.append(line)
        if not quiet:
            say.out(f"{say.paint('mended', 'cyan')}  {say.clean(line)}")
    if not done and not quiet:
        say.note("there was nothing to mend")
    return done


@click.command()
@click.option("--fix", is_flag=True, help="First mend what can be mended: sockets, locks, sessions, left-over files.")
@click.option("--report", is_flag=True, help="Print one block for a bug report, without secrets and names.")
@json_option
def doctor(fix: bool, report: bool, as_json: bool) -> int:
    """Check tmux, Redis, agent CLIs, directories, configuration and sessions. Ends with 1 when something is bad."""
    mended = _mend(quiet=as_json) if fix else []
    if report:
        from taco.cli import bug_report

        found = list(examine(paths.config_home(), paths.home(), Path.cwd()))
        say.out(bug_report.report(found, paths.config_home(), paths.home()))
        return int(Exit.OK)
    checks = []
    for check in examine(paths.config_home(), paths.home(), Path.cwd()):
        checks.append(check)
        if as_json:
            continue
        show(check)
    broken = sum(check.verdict is Verdict.BAD for check in checks)
    if as_json:
        say.data({"ok": not broken, "checks": [asdict(check) for check in checks], "mended": mended})
    else:
        doubtful = sum(check.verdict is Verdict.WARN for check in checks)
        well = f"nothing is broken; {doubtful} to look at" if doubtful else "all is well"
        say.note(f"{broken} to mend" if broken else well)
    return int(Exit.FAILED if broken else Exit.OK)
