"""What a person has begun to type is theirs: it is neither merged with a message nor submitted."""

from __future__ import annotations

import asyncio
import random
import re
from pathlib import Path

import pytest

from taco.models import CommandState
from tests.hostile import hostile_argv, hostile_provider, read_log
from tests.support.delivery import Rig
from tests.support.waiting import wait_for_async

TEXT = "[mother → be]: hello"


class Person:
    """Somebody at the keyboard of an agent's pane."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._pane = rig.agents["be"].pane

    def type(self, text: str) -> None:
        self._rig.tmux.run("send-keys", "-t", self._pane, "-l", "--", text)

    def press(self, *keys: str) -> None:
        self._rig.tmux.run("send-keys", "-t", self._pane, *keys)

    def paste(self, text: str) -> None:
        self._rig.tmux.run("set-buffer", "-b", "mine", "--", text)
        self._rig.tmux.run("paste-buffer", "-p", "-d", "-b", "mine", "-t", self._pane)

    def sees(self) -> str:
        return self._rig.tmux.screen(self._pane)

    async def until(self, text: str) -> None:
        """Until this text stands on the screen."""
        await wait_for_async(lambda: text in self.sees(), what=lambda: f"{text!r} in\n{self.sees()}")


async def start(rig: Rig, *, provider: str = "", **options: object) -> tuple[Path, Person]:
    """An agent with an empty composer, and a person at it."""
    log = rig.directory / "log"
    await rig.start("be", hostile_argv(log, **options), provider or hostile_provider())
    person = Person(rig)
    await person.until("hostile · idle")
    return log, person


@pytest.mark.parametrize("draft", ["x", "wait, use the", "> quoted", "a long draft " * 12])
async def test_a_half_draft_is_neither_merged_nor_submitted(rig: Rig, draft: str) -> None:
    log, person = await start(rig)
    person.type(draft)
    await person.until(draft[:40])
    sent = await rig.send("be", "hello")
    assert await rig.held("be", "draft") == "a draft stands in the composer"
    person.type(" and more")
    assert rig.pipe.typed == []
    assert (await rig.ledger(sent)).attempts == 0
    person.press("Enter")
    await rig.ended(sent)
    assert read_log(log).texts() == [f"{draft} and more", TEXT]


async def test_a_draft_whose_first_row_is_empty(rig: Rig) -> None:
    log, person = await start(rig)
    person.press("C-j")
    person.type("second row")
    await person.until("second row")
    sent = await rig.send("be", "hello")
    await rig.held("be", "draft")
    person.press("C-u")
    await rig.ended(sent)
    assert read_log(log).texts() == [TEXT]


async def test_a_draft_that_is_a_paste(rig: Rig) -> None:
    log, person = await start(rig, collapse=True)
    person.paste("one\ntwo\nthree\nfour")
    await person.until("[Pasted text #1")
    sent = await rig.send("be", "hello\n" * 5)
    await rig.held("be", "draft")
    person.press("C-u")
    await rig.ended(sent)
    assert len(read_log(log).texts()) == 1


async def test_a_grey_suggestion_is_no_draft(rig: Rig) -> None:
    log, _ = await start(rig, ghost="Try something else")
    await rig.ended(await rig.send("be", "hello"))
    assert read_log(log).texts() == [TEXT]


async def test_what_is_typed_after_our_text_is_not_submitted(rig: Rig) -> None:
    log, person = await start(rig, provider=hostile_provider(settle_ms=600))
    sent = await rig.send("be", "deploy now")
    await person.until("deploy now")
    person.type(" NOT YET, wait")
    await rig.held("be", "a person's text stands with it")
    assert (await rig.ledger(sent)).state is CommandState.TYPED
    assert read_log(log).texts() == []
    person.press(*["BSpace"] * len(" NOT YET, wait"))
    assert (await rig.ended(sent))[0].state is CommandState.DELIVERED
    assert read_log(log).texts() == ["[mother → be]: deploy now"]


async def test_what_is_typed_after_an_enter_that_came_to_nothing_is_not_submitted(rig: Rig) -> None:
    log, person = await start(rig, swallow=1.0, swallow_most=1)
    sent = await rig.send("be", "deploy now")
    await wait_for_async(lambda: read_log(log).counts["swallowed"], what="the first Enter")
    person.type(" NOT YET, wait")
    await person.until("NOT YET")
    ledger = await rig.until(sent, CommandState.UNCONFIRMED, CommandState.DELIVERED)
    assert (ledger.state, ledger.enters) == (CommandState.UNCONFIRMED, 1)
    assert read_log(log).texts() == []
    after = await rig.send("be", "next")
    await rig.held("be", "draft")
    person.press("C-u")
    await rig.ended(after)
    assert read_log(log).texts() == ["[mother → be]: next"]


async def test_a_draft_begun_right_after_ours_was_submitted_is_left_alone(rig: Rig) -> None:
    log, person = await start(rig)
    sent = await rig.send("be", "hello")
    await wait_for_async(lambda: read_log(log).texts(), what="submission")
    person.type("my own")
    assert (await rig.ended(sent))[0].state is CommandState.DELIVERED
    after = await rig.send("be", "next")
    await rig.held("be", "draft")
    person.press("Enter")
    await rig.ended(after)
    assert read_log(log).texts() == [TEXT, "my own", "[mother → be]: next"]


async def test_a_paste_begun_right_after_ours_was_submitted_is_left_alone(rig: Rig) -> None:
    log, person = await start(rig, collapse=True, provider=hostile_provider(evidence=("hook",)))
    sent = await rig.send("be", "hello")
    await wait_for_async(lambda: read_log(log).texts(), what="submission")
    person.paste("one\ntwo\nthree\nfour")
    assert (await rig.ended(sent))[0].state is CommandState.UNCONFIRMED
    assert read_log(log).texts() == [TEXT]
    assert read_log(log).counts["blank"] == 0


async def test_our_own_text_that_an_interrupt_put_back_is_named(rig: Rig) -> None:
    log, person = await start(rig, busy_s=20, put_back=True)
    await rig.ended(await rig.send("be", "hello"))
    person.press("Escape")
    await person.until(f"> {TEXT}")
    sent = await rig.send("be", "next")
    assert await rig.held("be", "earlier message") == "an earlier message stands in the composer again"
    person.press("C-u")
    await rig.ended(sent)
    assert read_log(log).texts() == [TEXT, "[mother → be]: next"]


async def test_cancelling_leaves_a_persons_text_alone(rig: Rig) -> None:
    log, person = await start(rig, provider=hostile_provider(settle_ms=600))
    sent = await rig.send("be", "deploy now")
    await person.until("deploy now")
    person.type(" NOT YET")
    await rig.held("be", "a person's text stands with it")
    await rig.broker.cancel(sent)
    person.type(", wait")
    await person.until("deploy now NOT YET, wait")
    assert (await rig.ledger(sent)).state is CommandState.TYPED
    person.press(*["BSpace"] * len(" NOT YET, wait"))
    assert (await rig.ended(sent))[0].state is CommandState.CANCELLED
    await rig.ended(await rig.send("be", "next"))
    assert read_log(log).texts() == ["[mother → be]: next"]


async def test_a_person_who_takes_our_text_out_and_writes_their_own_is_not_waited_for(rig: Rig) -> None:
    log, person = await start(rig, provider=hostile_provider(settle_ms=600))
    sent = await rig.send("be", "deploy now")
    await person.until("deploy now")
    person.press("C-u")
    person.type("my own")
    ledger = (await rig.ended(sent))[0]
    assert (ledger.state, ledger.enters) == (CommandState.UNCONFIRMED, 0)
    after = await rig.send("be", "next")
    await rig.held("be", "draft")
    person.press("Enter")
    await rig.ended(after)
    assert read_log(log).texts() == ["my own", "[mother → be]: next"]


async def test_somebody_types_all_the_time(rig: Rig) -> None:
    """Whatever moment a key falls into: everything submitted is one message of ours, or the person's own.

    One key in all may have been read by the program and not been drawn yet when Enter was pressed: nobody can see it.
    """
    log, person = await start(rig, swallow=0.2, swallow_most=2)
    source = random.Random(11)
    ids = [await rig.send("be", f"message {number}") for number in range(10)]
    typing = True

    async def type_words() -> None:
        number = 0
        while typing:
            word = f"w{number}"
            person.type(word)
            await asyncio.sleep(source.uniform(0.0, 0.15))
            line = next((row for row in reversed(person.sees().split("\n")) if row.startswith(">")), "")
            mine = re.search(r"(w\d+)+$", line.strip())
            if mine and line.strip() == f"> {mine[0]}":
                person.press(source.choice(["Enter", "C-u"]))
            elif mine:
                person.press(*["BSpace"] * len(mine[0]))  # somebody else's text stands there: take mine out
            elif re.match(r"> (w\d+)+\[", line):  # my key was on its way when they looked: it stands, and is held
                person.press("C-u")
            number += 1
            await asyncio.sleep(source.uniform(0.0, 0.5))

    typist = asyncio.create_task(type_words())
    ledgers = await rig.ended(*ids, timeout_s=60)
    typing = False
    await typist
    texts = read_log(log).texts()
    words = re.compile(r"(w\d+)+")
    messages = [f"[mother → be]: message {number}" for number in range(10)]
    merged = [text for text in texts if text not in messages and not words.fullmatch(text)]
    assert len(merged) <= 1, texts
    assert all(words.sub("", text) in messages for text in merged), texts
    arrived = [text for text in texts if text in messages] + [words.sub("", text) for text in merged]
    assert len(arrived) == len(set(arrived)), texts
    delivered = [text for text, each in zip(messages, ledgers, strict=True) if each.evidence]
    assert [text for text in delivered if text not in arrived] == [], texts
