"""A dialog is answered by one key: the dialog that was shown, once, and seen to have worked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taco.answering import Hand
from taco.errors import ConflictError, NotFoundError
from taco.models import Agent, Ask
from taco.tmux.commands import CommandPipe
from taco.tmux.guard import Guard, Verdict
from tests.hostile import Log, hostile_argv, hostile_provider, read_log
from tests.support.delivery import SESSION, Rig
from tests.support.waiting import wait_for_async


class Desk:
    """An agent whose dialog is up, and a hand."""

    def __init__(self, rig: Rig, log: Path) -> None:
        self.rig = rig
        self._log = log
        self.hand = Hand(SESSION, rig.pipe, rig.guard)

    @property
    def agent(self) -> Agent:
        return self.rig.agents["be"]

    @property
    def log(self) -> Log:
        return read_log(self._log)

    def keys(self, *keys: str) -> None:
        """Keys of a person in the window."""
        self.rig.tmux.run("send-keys", "-t", self.agent.pane, *keys)

    async def shown(self) -> Ask:
        """The dialog on the screen, as an ask."""

        async def met() -> Any:
            return (await self.hand.look(self.agent, self.rig.providers["be"])).dialog

        found = await wait_for_async(met, what="a dialog")
        choices = tuple(map(str, found.options))
        pid = self.agent.pid
        return Ask("a1", "be", found.text, "t", kind=found.name, choices=choices, dialog=found.fingerprint, pid=pid)

    async def press(self, ask: Ask, key: str = "1", hand: Hand | None = None) -> bool:
        return await (hand or self.hand).press(ask, self.agent, self.rig.providers["be"], key)


async def open_desk(rig: Rig, *, messages: Sequence[str] = ("one",), **options: object) -> Desk:
    desk = Desk(rig, rig.directory / "log")
    options = {"dialog_at": "1", **options}
    await rig.start("be", hostile_argv(rig.directory / "log", **options), hostile_provider())
    for message in messages:
        await rig.send("be", message)
    return desk


@pytest.mark.parametrize(("key", "event"), [("1", "approved"), ("2", "denied"), ("Escape", "denied")])
async def test_one_key_answers_it(rig: Rig, key: str, event: str) -> None:
    desk = await open_desk(rig)
    ask = await desk.shown()
    assert (ask.kind, ask.question) == ("permission", "Bash: make install\nDo you want to proceed?")
    assert await desk.press(ask, key)
    assert desk.log.counts[event] == 1
    assert not desk.log.events("discarded", "key")


async def test_it_is_answered_once_whoever_asks_for_it(rig: Rig) -> None:
    desk = await open_desk(rig)
    ask = await desk.shown()
    hands = [Hand(SESSION, pipe, Guard(pipe, rig.directory / "buffers")) for pipe in pipes(rig, 4)]
    found = await asyncio.gather(*(desk.press(ask, "1", hand) for hand in hands), return_exceptions=True)
    assert found.count(True) == 1, found
    assert all(each is True or isinstance(each, ConflictError) for each in found), found
    assert desk.log.counts["approved"] == 1


def pipes(rig: Rig, count: int) -> list[CommandPipe]:
    made = [CommandPipe(rig.tmux.socket) for _ in range(count)]
    rig.pipes.extend(made)  # type: ignore[arg-type]
    return made


async def test_a_key_that_did_nothing_is_not_pressed_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taco.answering.WORKS_WITHIN_S", 0.3)
    desk = await open_desk(rig, dialog_deaf=True)
    ask = await desk.shown()
    assert not await desk.press(ask)
    with pytest.raises(ConflictError, match="was pressed at dialog a1 before"):
        await desk.press(ask)
    await wait_for_async(lambda: desk.log.counts["discarded"] == 1)


async def test_another_dialog_is_left_alone(rig: Rig) -> None:
    desk = await open_desk(rig, messages=("one", "two"), dialog_at="1,2", dialog_asks="make {n}")
    first = await desk.shown()
    desk.keys("2")
    await wait_for_async(lambda: desk.log.counts["dialog"] == 2)
    second = await desk.shown()
    assert second.dialog != first.dialog
    with pytest.raises(ConflictError, match="is not on its screen any more"):
        await desk.press(first)
    assert desk.log.counts["approved"] == 0
    assert await desk.press(replace(second, id="a2"))
    assert desk.log.counts["approved"] == 1


class Swapping(Guard):
    """A guard in front of which the screen changes at the last moment."""

    def __init__(self, *args: Any, change: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._change = change

    async def answer(self, *args: Any, **options: Any) -> Verdict:
        await self._change()
        return await super().answer(*args, **options)


async def test_a_dialog_that_changes_between_look_and_key_is_left_alone(rig: Rig) -> None:
    desk = await open_desk(rig, messages=("one", "two"), dialog_at="1,2", dialog_asks="make {n}")
    first = await desk.shown()

    async def change() -> None:
        desk.keys("2")
        await wait_for_async(lambda: "make 2" in rig.tmux.screen(desk.agent.pane))

    guard = Swapping(rig.pipe, rig.directory / "buffers", change=change)
    with pytest.raises(ConflictError, match="changed in that moment: nothing was pressed"):
        await desk.press(first, "1", Hand(SESSION, rig.pipe, guard))
    assert desk.log.counts["approved"] == 0
    assert not desk.log.events("discarded")


async def test_the_same_dialog_of_another_process_is_left_alone(rig: Rig) -> None:
    desk = await open_desk(rig)
    ask = await desk.shown()
    with pytest.raises(ConflictError):
        await desk.press(replace(ask, pid=ask.pid + 1))
    assert desk.log.counts["approved"] == 0


async def test_copy_mode_is_left_first(rig: Rig) -> None:
    desk = await open_desk(rig)
    ask = await desk.shown()
    rig.tmux.run("copy-mode", "-t", desk.agent.pane)
    assert await desk.press(ask)
    assert desk.log.counts["approved"] == 1


async def test_a_window_that_is_gone(rig: Rig) -> None:
    desk = await open_desk(rig)
    ask = await desk.shown()
    rig.tmux.run("kill-pane", "-t", desk.agent.pane)
    with pytest.raises(NotFoundError, match="the window of be is gone"):
        await desk.press(ask)


async def test_an_agent_that_ends_by_its_answer_was_answered(rig: Rig) -> None:
    desk = await open_desk(rig)
    ask = await desk.shown()

    class Ending(Guard):
        async def answer(self, *args: Any, **options: Any) -> Verdict:
            verdict = await super().answer(*args, **options)
            rig.tmux.run("kill-pane", "-t", desk.agent.pane)
            return verdict

    assert await desk.press(ask, "1", Hand(SESSION, rig.pipe, Ending(rig.pipe, rig.directory / "buffers")))


async def test_a_dialog_taller_than_the_guards_nesting(rig: Rig) -> None:
    """Formats nest 100 deep: every row of a long dialog is compared nevertheless."""
    text = " ".join(f"word{number}" for number in range(600))
    desk = await open_desk(rig, dialog_asks=text)
    rig.tmux.run("resize-window", "-t", desk.agent.pane, "-x", "200", "-y", "60")
    ask = await desk.shown()
    assert await desk.press(ask)


async def test_a_pane_that_belongs_to_somebody_else(rig: Rig) -> None:
    desk = await open_desk(rig)
    ask = await desk.shown()
    rig.tmux.run("set-option", "-p", "-t", desk.agent.pane, "@taco_agent", "other/be")
    with pytest.raises(ConflictError):
        await desk.press(ask)
    assert desk.log.counts["approved"] == 0
