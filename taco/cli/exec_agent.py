"""`taco exec-agent FILE`: becomes the agent's CLI, in its pane, with the environment of `taco start`.

The pane's process is then the CLI itself. Imports only what Python has loaded anyway, so that nothing stands between.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

# What describes this very pane; the launching terminal's values would be wrong here.
OF_THE_PANE = ("TMUX", "TMUX_PANE", "TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION")
OF_ANOTHER_TERMINAL = ("LINES", "COLUMNS", "WINDOWID", "STY")
NOT_FOUND = 127
NOT_RUNNABLE = 126


def run(argv: Sequence[str]) -> NoReturn:
    """Replace this process by the program in the launch file; when that cannot be, say why on the pane's screen."""
    if len(argv) != 1:
        _give_up("usage: taco exec-agent FILE", 2)
    try:
        launch = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
        words, cwd = [str(word) for word in launch["argv"]], str(launch["cwd"])
        environ = environment(launch["env"], os.environ)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _give_up(f"the launch file {argv[0]} cannot be read: {error!r}", NOT_RUNNABLE)
    try:
        os.chdir(cwd)
    except OSError as error:
        _give_up(f"cannot enter {cwd}: {error.strerror}", NOT_RUNNABLE)
    _become(words, environ)


def environment(launch: Mapping[str, Any], pane: Mapping[str, str]) -> dict[str, str]:
    """The program's environment: the launch's, with what tmux set for this pane."""
    left_out = {*OF_THE_PANE, *OF_ANOTHER_TERMINAL}
    environ = {key: str(value) for key, value in launch.items() if key not in left_out}
    environ |= {key: pane[key] for key in OF_THE_PANE if key in pane}
    environ["PATH"] = environ.get("PATH") or os.defpath
    environ["TACO_PID"] = str(os.getpid())  # of the pane, whatever a launcher of the CLI's own starts below it
    return environ


def _become(words: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program inherits that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(words[0], list(words), dict(environ))
    except FileNotFoundError:
        _give_up(f"the program {words[0]!r} is not installed, or not in PATH ({environ['PATH']})", NOT_FOUND)
    except OSError as error:
        _give_up(f"the program {words[0]!r} cannot be run: {error.strerror}", NOT_RUNNABLE)


def _give_up(reason: str, code: int) -> NoReturn:
    print(f"taco: {reason}", file=sys.stderr)
    raise SystemExit(code)
