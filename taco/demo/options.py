"""The options of `taco demo-agent`, from its arguments and the environment. Pure."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Options(NamedTuple):
    """How a demo agent runs."""

    name: str
    mother: bool
    prompt: str  # the first prompt; empty: none
    speed: float  # factor of all pauses; 0: none
    log: str  # JSON lines of every submission; empty: none
    idle: bool  # no script, only answers
    resumed: bool
    brief_file: str  # of a resumed run: where its first prompt lies; empty: unknown
    yolo: bool


def read_options(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Options:
    """The options; exits with 2 and a usage line when they are wrong. `{agent}` in the log's path is the name."""
    parser = argparse.ArgumentParser("taco demo-agent", description="A scripted agent.", allow_abbrev=False)
    parser.add_argument("--name", default=environ.get("TACO_AGENT") or "demo")
    parser.add_argument("--role", choices=("mother", "agent"), help="mother designs the team")
    parser.add_argument("--speed", type=float, default=_number(environ.get("TACO_DEMO_SPEED")))
    parser.add_argument("--log", default=environ.get("TACO_DEMO_LOG", ""))
    parser.add_argument("--idle", action="store_true", default=bool(environ.get("TACO_DEMO_IDLE")))
    parser.add_argument("--resume", nargs="?", const="", metavar="BRIEF_FILE", help="go on with an earlier run")
    parser.add_argument("--yolo", action="store_true", help="no permission dialogs")
    parser.add_argument("prompt", nargs="*", help="the first prompt")
    found = parser.parse_args(argv)
    return Options(
        name=found.name,
        mother=found.role == "mother" or (found.role is None and found.name == "mother"),
        prompt=" ".join(found.prompt),
        speed=max(found.speed, 0.0),
        log=found.log.replace("{agent}", found.name),
        idle=found.idle,
        resumed=found.resume is not None,
        brief_file=found.resume or "",
        yolo=found.yolo,
    )


def _number(text: str | None) -> float:
    try:
        return float(text or 1)
    except ValueError:
        return 1.0
