"""What a script of the demo agent can do: speak, wait, run a program. Scripts are generators of steps."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from typing import Any, NamedTuple, Protocol, TypeAlias

from taco.demo.calls import NOT_FOUND, Call

# A step is a pause in seconds or a running program; the script goes on when it is over.
Steps: TypeAlias = Generator[float | Call, None, None]
Result: TypeAlias = Generator[float | Call, None, tuple[int, str]]

STILL_WAITING = 75  # exit code: the answer will come as a message


class Actions(Protocol):
    """What scripts are given to act with."""

    finished: bool  # Mother has told the end of the work
    name: str

    def say(self, text: str) -> None:
        """Show an answer."""

    def code(self, text: str) -> None:
        """Show text without a mark in front."""

    def pause(self, seconds: float) -> float:
        """A step of so many seconds at normal speed."""


def run(argv: list[str], text: str = "", cwd: str | None = None) -> Result:
    """Run a program; gives its exit code and output."""
    call = Call(argv, text, cwd)
    yield call
    return (NOT_FOUND if call.code is None else call.code), call.output


def taco(act: Actions, *words: str, text: str = "", quiet: bool = False) -> Result:
    """Run a `taco` command; when it fails that is said on the screen, unless `quiet`."""
    shown = " ".join(["taco", *words[: 2 if len(words) > 2 else 1]])  # without the text
    if not os.environ.get("TACO_SESSION"):
        if not quiet:
            act.say(f"I am in no session, so I cannot report ({shown}).")
        return NOT_FOUND, ""
    code, output = yield from run(["taco", *words], text)
    if code not in {0, STILL_WAITING} and not quiet:
        act.say(f"I cannot report: `{shown}` failed ({code}). {output.splitlines()[-1] if output else ''}")
    return code, output


class Session(NamedTuple):
    """The session as `taco status --json` tells of it; empty when it cannot be asked."""

    project_dir: str = ""
    agents: tuple[dict[str, Any], ...] = ()

    def agent(self, name: str) -> dict[str, Any]:
        """What is known of one agent; empty when it is not there."""
        return next((agent for agent in self.agents if agent.get("name") == name), {})

    def others(self, *names: str) -> list[dict[str, Any]]:
        """All agents but those named and Mother."""
        return [agent for agent in self.agents if agent.get("name") not in {"mother", *names}]


def read_session(status: str) -> Session:
    """The session in the output of `taco status --json`; an empty one when it is something else."""
    try:
        found = json.loads(status)
        return Session(str(found.get("project_dir") or ""), tuple(dict(agent) for agent in found["agents"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Session()


def session(act: Actions) -> Generator[float | Call, None, Session]:
    """Ask what the session says of its agents."""
    code, output = yield from taco(act, "status", "--json", quiet=True)
    return read_session(output) if code == 0 else Session()


def reported(agent: dict[str, Any]) -> str:
    """What an agent has reported, done or failed; empty while it has not."""
    return str(agent.get("done") or (f"failed: {agent['failed']}" if agent.get("failed") else ""))
