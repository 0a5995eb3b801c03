"""Memory of a session's own processes and of a demo agent: resident, and private to each."""

from __future__ import annotations

import subprocess
import sys

from tests.bench.crew import Crew, crew
from tests.bench.result import Result
from tests.bench.usage import Memory, memory

TITLE = "memory of executor, monitor and a demo agent, and TACO's Python per agent"
TOGETHER_MB = 100.0
PER_AGENT_MB = 50.0


def run(quick: bool) -> list[Result]:
    """The Python that each agent costs is executor and monitor over the agents; a demo agent is counted apart."""
    found = [_bare_python()]
    for size in (10,) if quick else (10, 50, 200):
        with crew(size) as team:
            found += rows(team)
    return found


def rows(team: Crew) -> list[Result]:
    """What the processes of a session hold now."""
    pids = team.pids()
    executor, monitor, agent = (memory(pid) for pid in (pids["executor"], pids["monitor"], team.agent_pid(0)))
    together = executor.rss + monitor.rss
    what = f"{team.size} agents"
    each = f"rss; executor {_text(executor)}, monitor {_text(monitor)}"
    return [
        Result(f"{what}: executor and monitor", together, "MB", at_most=TOGETHER_MB, note=each),
        Result(f"{what}: the same, private", executor.uss + monitor.uss, "MB", note="uss"),
        Result(
            f"{what}: per agent", together / team.size, "MB", at_most=PER_AGENT_MB, note="rss, of executor and monitor"
        ),
        Result(f"{what}: a demo agent", agent.rss, "MB", at_most=PER_AGENT_MB, note=f"rss; {agent.uss:.0f} private"),
    ]


def _bare_python() -> Result:
    """A Python that does nothing, for comparison."""
    words = [sys.executable, "-I", "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = memory(process.pid)
        process.communicate()
    return Result("python -c pass", found.rss, "MB", note=f"rss; {found.uss:.0f} private")


def _text(found: Memory) -> str:
    return f"{found.rss:.0f} ({found.uss:.0f} private)"
