"""`taco uninstall`: takes away what TACO has put on this machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

import taco
from taco import paths, redis_server, session
from taco.cli import mending, say
from taco.errors import TacoError, UsageError

GRACE_S = 5.0


@click.command()
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--keep-config", is_flag=True, help="Leave your settings and providers where they are.")
def uninstall(yes: bool, keep_config: bool) -> None:
    """End every session and remove TACO's state, settings and private Redis. Your projects stay as they are.

    What is queued is lost with it. The program itself goes by the way it came; how, is said at the end.
    """
    home, config_home = paths.home(), paths.config_home()
    records = paths.sessions(home)
    removed = [each for each in (home, *([] if keep_config else [config_home])) if each.exists()]
    if not removed:
        say.note(f"nothing to remove: there is neither {home} nor {config_home}")
        _say_rest()
        return
    running = [each.name for each in records if not each.stopped]
    say.note(f"to be removed: {', '.join(map(str, removed))}")
    say.note(f"to be ended:   {', '.join(running) or 'no session runs'}")
    if not yes and not _agrees():
        raise UsageError("nothing was removed")
    for record in records:
        if not record.stopped:
            say.note(f"stopping {record.name}")
            session.stop(record, grace_s=GRACE_S, say=lambda _: None)
        mending.remove_outboxes(paths.session(home, record.name))
    redis_server.stop(home)
    redis_server.sweep(home)
    for each in removed:
        _remove(each)
        say.out(f"removed {each}")
    _say_rest()


def _agrees() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to ask", hint="taco uninstall --yes")
    return click.confirm("Remove all of it?", default=False, err=True)


def _remove(directory: Path) -> None:
    try:
        shutil.rmtree(directory)
    except OSError as error:
        raise TacoError(f"{error.filename or directory} cannot be removed: {error.strerror}") from None


def _say_rest() -> None:
    """How the program itself goes: it runs right now."""
    package = Path(taco.__file__).resolve().parent
    if (package.parent / "bin" / "taco").exists():
        say.note(f"the program: remove {package.parent}")
    else:
        say.note("the program: pip uninstall taco-orchestrator, or: uv tool uninstall taco-orchestrator")
    say.note("a directory that you told Claude Code to trust stays in its .claude.json")
