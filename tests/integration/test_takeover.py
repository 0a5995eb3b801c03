"""An executor that was frozen (a laptop asleep, SIGSTOP) and replaced must not type or press anything afterwards."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path
from typing import Any

import pytest

from taco.errors import BrokerError
from taco.models import CommandState
from taco.tmux.commands import CommandPipe
from taco.tmux.guard import Guard
from tests.hostile import raw_argv, raw_provider, read_raw
from tests.support.delivery import Rig
from tests.support.tmux import KEEPER
from tests.support.waiting import wait_for_async


class FreezingQueue:
    """A broker after whose method `name` the executor is frozen once, until `thaw` is set."""

    def __init__(self, broker: Any, name: str) -> None:
        self.frozen = asyncio.Event()
        self.thaw = asyncio.Event()
        self._broker = broker
        self._name = name

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._broker, name)
        if name != self._name:
            return method

        async def freezing(*args: Any, **options: Any) -> Any:
            answer = await method(*args, **options)
            if not self.frozen.is_set():
                self.frozen.set()
                await self.thaw.wait()
            return answer

        return freezing


class NotingGuard(Guard):
    """A guard that notes what it was asked to do and whether that went through."""

    def __init__(self, pipe: CommandPipe, buffers: Path, fence: str) -> None:
        super().__init__(pipe, buffers, fence=fence)
        self.asked: list[tuple[str, bool, tuple[str, ...]]] = []

    async def type_text(self, *args: Any, **options: Any) -> Any:
        return self._noted("type", await super().type_text(*args, **options))

    async def press_enter(self, *args: Any, **options: Any) -> Any:
        return self._noted("enter", await super().press_enter(*args, **options))

    def _noted(self, what: str, verdict: Any) -> Any:
        self.asked.append((what, verdict.done, verdict.refused))
        return verdict


def takes_over(rig: Rig, fence: str, queue: Any = None) -> NotingGuard:
    """Build an executor that holds the panes from now on, as one that has claimed the lease does."""
    made: list[NotingGuard] = []

    def guard(pipe: CommandPipe, buffers: Path) -> Guard:
        made.append(NotingGuard(pipe, buffers, fence))
        return made[0]

    rig.tmux.run("set-option", "-t", KEEPER, "@taco_executor", fence)
    rig.build(queue=queue, guard=guard)
    return made[0]


@pytest.mark.parametrize("frozen_after", ["begin", "entered"])
async def test_a_replaced_executor_that_wakes_up_does_nothing(rig: Rig, frozen_after: str) -> None:
    await rig.executor.close()
    log = rig.directory / "be.log"
    first_queue = FreezingQueue(rig.broker, frozen_after)
    first_guard = takes_over(rig, "first", first_queue)
    first = rig.executor
    await rig.start("be", raw_argv(log), raw_provider("raw", log))
    one = await rig.send("be", "one")
    await asyncio.wait_for(first_queue.frozen.wait(), 10)
    before = len(first_guard.asked)

    takes_over(rig, "second")
    two = await rig.send("be", "two")
    await rig.until(one, CommandState.DELIVERED)
    await rig.until(two, CommandState.DELIVERED)
    first_queue.thaw.set()
    await wait_for_async(lambda: len(first_guard.asked) > before, what="the frozen executor going on")
    three = await rig.send("be", "three")
    await rig.until(three, CommandState.DELIVERED)
    await first.close()

    assert not any(done for _, done, _ in first_guard.asked[before:])
    assert read_raw(log).data == b"one\rtwo\rthree\r"


async def test_nothing_is_written_after_the_lease(rig: Rig) -> None:
    """What a frozen executor decided before is not written over what its replacement has done since."""
    log = rig.directory / "be.log"
    await rig.start("be", raw_argv(log), raw_provider("raw", log))
    await rig.executor.close()
    await rig.send("be", "one")
    head = (await rig.broker.heads("be")).head
    assert head is not None
    rig.broker.good_until = time.monotonic() - 1
    with pytest.raises(BrokerError, match="lease"):
        await rig.broker.undo(head)
    assert await rig.broker.claim("token", 1_000)
    rig.broker.good_until = math.inf
    assert (await rig.broker.heads("be")).head is not None
