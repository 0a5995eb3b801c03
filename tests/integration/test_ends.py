"""The end of an agent's process is seen, with its exit code, whatever tmux misses of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import NoReturn

import psutil
import pytest

from taco import processes
from taco.models import Level
from tests.hostile import raw_provider
from tests.support.delivery import Rig
from tests.support.waiting import wait_for_async

MANY = 40  # tmux 3.3a misses the end of about every twentieth process until another child of its own ends
# Told to end, it waits for a file before it does.
TAKES_ITS_TIME = """
import pathlib, signal, sys, time
saved = pathlib.Path(sys.argv[1])
def end(*_):
    saved.write_text("half")
    while not saved.with_name("go").exists():
        time.sleep(0.01)
    saved.write_text("all")
    sys.exit()
signal.signal(signal.SIGTERM, end)
saved.write_text("up")
while True:
    signal.pause()
"""


def nothing(*_: object) -> NoReturn:
    raise FileNotFoundError


async def until_told(rig: Rig, state: str) -> None:
    async def all_told() -> bool:
        found = await rig.observer.sweep()
        return all(str(seen) == state for seen, _ in found.values())

    await wait_for_async(all_told, what=lambda: f"{state}: {[str(rig.observer.state(each)) for each in rig.agents]}")


async def test_the_exit_code_of_every_process_is_known(rig: Rig) -> None:
    for number in range(MANY):
        await rig.start(f"a{number}", [sys.executable, "-S", "-c", "raise SystemExit(3)"], raw_provider("raw", ""))
    await until_told(rig, "exited(3)")


async def test_the_signal_that_ended_a_process_is_known(rig: Rig) -> None:
    agent = await rig.start("be", ["sleep", "600"], raw_provider("raw", ""))
    os.kill(agent.pid, signal.SIGKILL)
    await until_told(rig, "exited(signal 9)")


async def test_who_leaves_a_child_on_its_terminal_has_ended_all_the_same(rig: Rig) -> None:
    child = rig.directory / "child"
    script = 'trap "" HUP; sleep 600 & echo $! >"$0"; exit 3'
    await rig.start("be", ["sh", "-c", script, str(child)], raw_provider("raw", ""))
    try:
        await until_told(rig, "exited(3)")
        sent = await rig.send("be", "anybody there?")
        await rig.held("be", "exited (3)")
        assert (await rig.ledger(sent)).attempts == 0
        assert rig.observer.state("be").level is Level.EXITED
    finally:
        os.kill(int(child.read_text()), signal.SIGKILL)


async def test_who_ends_by_itself_gets_the_time_it_needs(rig: Rig) -> None:
    saved, program = rig.directory / "saved", rig.directory / "program.py"
    program.write_text(TAKES_ITS_TIME)
    agent = await rig.start("be", [sys.executable, "-S", str(program), str(saved)], raw_provider("raw", ""))
    await wait_for_async(lambda: saved.exists() and saved.read_text() == "up", what="the program")
    ending = asyncio.create_task(processes.end([psutil.Process(agent.pid)], grace_s=60))
    await wait_for_async(lambda: saved.read_text() == "half", what="the end to begin")
    (rig.directory / "go").touch()
    assert await ending == []
    assert saved.read_text() == "all"


async def test_an_interactive_shell_ends_at_once(rig: Rig) -> None:
    agent = await rig.start("be", ["bash", "--norc", "-i"], raw_provider("raw", ""))
    await wait_for_async(lambda: "$" in rig.tmux.screen(agent.pane) or "#" in rig.tmux.screen(agent.pane), what="bash")
    assert await processes.end([psutil.Process(agent.pid)], grace_s=60) == []


@pytest.mark.parametrize("has_proc", [True, False])
def test_who_is_alive(has_proc: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_proc:  # as where the system has no such files
        monkeypatch.setattr(processes, "_HAS_PROC", False)
        monkeypatch.setattr(processes, "open", nothing, raising=False)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        assert processes.is_alive(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie from now on
        assert not processes.is_alive(process.pid)
    assert not processes.is_alive(process.pid)
    assert not processes.is_alive(0)
    assert not processes.is_alive(-1)
