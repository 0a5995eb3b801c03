"""Where a command stood when its executor was killed: by its ledger, the record of its pane, and its program's log."""

from __future__ import annotations

import contextlib
import enum
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from taco import calls
from taco.executor.text import plain_id
from taco.wire import Wire
from tests.bench.chaos.arena import NAME, Arena
from tests.support.waiting import wait_for


class Stage(enum.StrEnum):
    """How far a command had come."""

    BEFORE_TYPED = "before typed"  # the intent is written down, the pane knows nothing
    TYPED = "typed"  # the pane's record says so, Enter was not announced
    ENTERED = "entered"  # Enter was announced, the program has not submitted
    BEFORE_FINISH = "before finish"  # the program has submitted, the ledger does not say so


@dataclass(frozen=True, slots=True)
class Interrupted:
    """One command that was under way."""

    id: str
    target: str
    stage: Stage


def tmux_clients(pid: int) -> list[int]:
    """The children of a process: what they have been told they do, also when it is killed."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (OSError, ValueError):
        return []


def gone(pids: list[int]) -> None:
    """Wait until these processes have ended."""
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() and _runs(pid) for pid in pids), 5)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def interrupted(arena: Arena) -> list[Interrupted]:
    """Every command that is under way now; nobody may be delivering."""
    arena.poll()
    records = {}
    listing = arena.tmux.run("list-panes", "-a", "-F", "#{@taco_agent}|#{@taco_typed}|#{pane_pid}", check=False)
    for line in listing.splitlines():
        owner, typed, pid = line.split("|")
        records[owner.rpartition("/")[2]] = (typed, pid)
    found = []
    with Wire(arena.url, NAME) as wire:
        for target in arena.targets:
            current = wire.call("GET", wire.keys.current(target.name))
            if current:
                command_id, _, entry = str(current).split(" ")
                ledger = calls.pairs(wire.call("HGETALL", wire.keys.command(command_id)))
                typed, pid = records.get(target.name, ("", ""))
                was_typed = typed == f"{plain_id(command_id)}/{entry}@{pid}"
                stage = _stage(arena, target.name, command_id, ledger, was_typed)
                found += [Interrupted(command_id, target.name, stage)] if stage else []
    return found


def _stage(arena: Arena, target: str, command_id: str, ledger: dict[str, str], was_typed: bool) -> Stage | None:
    if any(f"{command_id} " in text for text in arena.logs[target].submitted[-5:]):
        return Stage.BEFORE_FINISH
    if ledger.get("state") == "entered":
        return Stage.ENTERED
    if ledger.get("state") == "typed" or was_typed:
        return Stage.TYPED
    return Stage.BEFORE_TYPED if ledger.get("intent") else None


def attributed(wanted: Stage | None, aimed: str, found: list[Interrupted]) -> str:
    """The stage that a kill counts for: the one it was aimed at if a command stood there, else the aimed command's."""
    stages = Counter(each.stage for each in found)
    if wanted in stages:
        return str(wanted)
    own = [each.stage for each in found if each.id == aimed]
    if own:
        return str(own[0])
    return str(stages.most_common(1)[0][0]) if stages else "between commands"
