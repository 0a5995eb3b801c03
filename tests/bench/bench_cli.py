"""What a call of `taco` costs as a process, and a hook an agent's CLI: against `python -c pass` and a bare `sh`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from taco import hooks, redis_server
from taco.broker import Broker
from taco.models import Agent, AgentState, AgentStatus, Level, iso
from taco.paths import SessionRecord
from tests.bench.result import Result
from tests.bench.usage import Call, calls_in_turns
from tests.support.program import TACO

TITLE = "calls of taco as processes against `python -c pass`, and a hook against a bare sh"
SEND_AT_MOST = 5.0
HOOK_MS_AT_MOST = 5.0
HOUR_MS = 3_600_000
SESSION = "bench"
PYTHON = [sys.executable, "-I", "-c", "pass"]
SHELL = "cat >/dev/null"
PROMPT = json.dumps({"session_id": "s", "hook_event_name": "UserPromptSubmit", "prompt": "go on with the api " * 40})


def run(quick: bool) -> list[Result]:
    """Each call is one process with its output thrown away; all calls take turns with the floor."""
    home = Path(tempfile.mkdtemp(prefix="taco-bench-", dir="/tmp")).resolve()
    try:
        environ = _session(home)
        return [*_calls(environ, 5 if quick else 40), *_hooks(home, 10 if quick else 60)]
    finally:
        redis_server.stop(home / "h")
        shutil.rmtree(home, ignore_errors=True)


def _session(home: Path) -> Mapping[str, str]:
    """A session on disk and in Redis, without windows; the environment of its agent `web`."""
    (home / "h").mkdir()
    url = redis_server.ensure(home / "h").url
    record = SessionRecord(
        SESSION, home / "h", "running", home, "build it", "demo", started_at=iso(0.0), redis_url=url, redis_private=True
    )
    record.save()
    asyncio.run(_fill(url))
    own = {"TACO_HOME": str(home / "h"), "TACO_SESSION": SESSION, "TACO_AGENT": "web", "TACO_REDIS": url}
    return {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "c"), **own}


async def _fill(url: str) -> None:
    broker = await Broker.connect(url, SESSION)
    try:
        await broker.put_session({"status": "running", "queue_limit": "1000000", "sender_limit": "1000000"})
        await broker.claim("bench", HOUR_MS)
        await broker.renew("bench", HOUR_MS, time.time_ns() // 1_000_000 + HOUR_MS)  # nobody looks after an executor
        for number, name in enumerate(("api", "web"), 3):
            state = AgentState(Level.IDLE, since=0.0, source="bench")
            await broker.put_agent(Agent(number, name, status=AgentStatus.RUNNING, provider="demo", state=state))
    finally:
        await broker.close()


def _calls(environ: Mapping[str, str], rounds: int) -> list[Result]:
    taco = [sys.executable, "-I", "-m", "taco"]
    calls: dict[str, Sequence[str]] = {
        "taco send": [*taco, "send", "api", "use port 3001"],
        "bin/taco send": [str(TACO), "send", "api", "use port 3001"],
        "taco done": [*taco, "done", "the pages are built"],
        "taco inbox": [*taco, "inbox"],
        "taco status --json": [*taco, "status", "--json"],
        "taco --help": [*taco, "--help"],
    }
    floor, *measured = calls_in_turns(rounds, [PYTHON, *calls.values()], env=environ)
    return [
        _row(what, each, floor, "python -c pass", SEND_AT_MOST if "send" in what else None)
        for what, each in zip(calls, measured, strict=True)
    ]


def _row(what: str, ours: Call, floor: Call, name: str, at_most: float | None = None) -> Result:
    note = f"{ours.cpu_ms / floor.cpu_ms:.1f} × its processor time"
    return Result(what, ours.wall_ms, peer=floor.wall_ms, peer_name=name, at_most=at_most, note=note)


def _hooks(home: Path, rounds: int) -> list[Result]:
    """A hook as Claude Code runs it: by sh, with the event on its input. What it costs more than a sh is ours."""
    spool = home / "spool"
    spool.mkdir()
    words = [["/bin/sh", "-c", command] for command in (hooks.command("UserPromptSubmit", str(spool)), SHELL)]
    ours, shell = calls_in_turns(rounds, words, input=PROMPT.encode())
    assert len(list(spool.glob("*.json"))) == rounds, f"hooks were lost in {spool}"
    note = f"{ours.cpu_ms - shell.cpu_ms:.1f} of the processor"
    return [
        Result("hook, more than a sh", ours.wall_ms - shell.wall_ms, at_most=HOOK_MS_AT_MOST, note=note),
        _row("hook", ours, shell, f"sh -c {SHELL!r}"),
    ]
