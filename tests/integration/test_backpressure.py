"""What a queue takes and what it costs: refusals are errors to the sender, and no length of it costs the executor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from taco import processes
from taco.broker import Broker
from taco.errors import QueueFullError
from taco.models import Command, Priority
from taco.wire import Wire
from tests.bench.chaos.arena import kill
from tests.hostile import read_raw
from tests.support.lone import NAME, Lone
from tests.support.program import run_taco
from tests.support.waiting import wait_for, wait_for_async

MANY = 100_000
MOST_BYTES = 100 * 1_000_000
AT_ONCE = 2_000


@pytest.fixture
def small(taco_home: Path, tmux_socket: str) -> Iterator[Lone]:
    """A session whose agent is dead and takes 8 messages, 5 of one sender."""
    house = Lone(taco_home, tmux_socket, settings="queue_limit = 8\nsender_limit = 5\n")
    _end_agent(house)
    yield house


def _end_agent(house: Lone) -> None:
    """The agent's program dies, and its queue is held."""
    pane = house.tmux.run("list-panes", "-a", "-f", "#{m:*/be,#{@taco_agent}}", "-F", "#{pane_pid}")
    assert kill(int(pane))
    house.send(Priority.HIGH)
    wait_for(lambda: "exited" in _hold(house), 30, "the hold")


def _hold(house: Lone) -> str:
    return run_taco("queue", "--session", NAME).stdout


def _depth(house: Lone) -> int:
    with Wire(house.record.redis_url, NAME) as wire:
        return int(wire.call("HGET", wire.keys.waiting, "be") or 0)


def test_a_full_queue_is_an_error_and_high_is_still_accepted(small: Lone) -> None:
    accepted = [small.send(sender=f"s{number % 2}") for number in range(7)]  # 8 with the one that is held
    assert _depth(small) == 8
    refused = run_taco("send", "be", "one too many", "--session", NAME)
    assert refused.returncode != 0
    assert "full" in refused.stderr
    assert "8" in refused.stderr
    assert "--priority high" in refused.stderr
    assert _depth(small) == 8
    run_taco("send", "be", "urgent", "--priority", "high", "--session", NAME, check=True)
    assert _depth(small) == 9
    run_taco("agent", "restart", "be", "--session", NAME, check=True)
    wait_for(lambda: not _depth(small), 60, lambda: _hold(small))
    got = read_raw(small.log).data.decode().split("\r")
    assert got[:2] == ["message 1", "urgent"]
    assert sorted(got[2:-1]) == sorted(accepted)
    assert "one too many" not in got


def test_one_sender_cannot_take_all_the_room(small: Lone) -> None:
    for _ in range(5):
        small.send(sender="chatty")
    with pytest.raises(QueueFullError, match="chatty has 5"):
        small.send(sender="chatty")
    small.send(Priority.HIGH, sender="chatty")
    small.send(sender="other")
    assert _depth(small) == 8


def test_a_refused_message_is_accepted_when_there_is_room(small: Lone) -> None:
    for number in range(7):
        small.send(sender=f"s{number % 2}")
    words = ("send", "be", "later", "--id", "later", "--session", NAME)
    assert run_taco(*words).returncode != 0
    run_taco("agent", "restart", "be", "--session", NAME, check=True)
    wait_for(lambda: not _depth(small), 60)
    run_taco(*words, check=True)
    wait_for(lambda: small.read("later"), 30)


@pytest.mark.slow
async def test_a_hundred_thousand_for_a_dead_agent_cost_no_memory(taco_home: Path, tmux_socket: str) -> None:
    settings = "queue_limit = 200000\nsender_limit = 200000\n"
    house = await asyncio.to_thread(Lone, taco_home, tmux_socket, settings=settings)
    await asyncio.to_thread(_end_agent, house)
    broker = await Broker.connect(house.record.redis_url, NAME)
    try:
        for start in range(0, MANY, AT_ONCE):
            commands = (Command(f"q{start + at}", "person", "be", f"message {start + at}") for at in range(AT_ONCE))
            await asyncio.gather(*map(broker.enqueue, commands))
        assert (await broker.waiting_agents())["be"] == MANY + 1
        peak = _peak_bytes(house.pid())
        assert peak < MOST_BYTES, f"{peak / 1e6:.0f} MB"

        pid = house.pid()  # and the next one, which finds them all there
        assert kill(pid)
        await asyncio.to_thread(wait_for, lambda: not processes.is_alive(pid))
        await asyncio.to_thread(house.supervised)
        await wait_for_async(lambda: _sees_the_end(broker, house), 60, "the new executor at work")
        peak = _peak_bytes(house.pid())
        assert peak < MOST_BYTES, f"{peak / 1e6:.0f} MB"
    finally:
        await broker.close()


async def _sees_the_end(broker: Broker, house: Lone) -> bool:
    """Whether the executor that runs now has taken over and holds the queue."""
    fields = await broker.session_fields()
    return fields["executor_pid"] == str(house.pid()) and "exited" in (await broker.queues())["be"].hold


def _peak_bytes(pid: int) -> int:
    """The most resident memory that a process ever had, where the system tells; else what it has now."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return int(psutil.Process(pid).memory_info().rss)
    return next(int(line.split()[1]) * 1_024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
