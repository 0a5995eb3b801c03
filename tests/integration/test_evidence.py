"""Delivered is what was seen to arrive: by a hook, the transcript, the screen, or nothing; and never what was not."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taco.models import CommandState, Evidence, Priority, iso
from tests.hostile import hostile_argv, hostile_provider, raw_argv, raw_provider, read_log
from tests.support.delivery import Rig
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for_async

TEXT = "[mother → be]: hello"


class Hooked:
    """A hostile agent for which the test drops what a CLI's hooks and transcript would say."""

    def __init__(self, rig: Rig, log: Path) -> None:
        self.rig = rig
        self.log = log
        self.transcript = rig.directory / "transcripts" / "s1.jsonl"
        self.transcript.parent.mkdir()
        rig.spool("be").mkdir()
        self.count = 0

    @classmethod
    async def start(
        cls, rig: Rig, *, settle_ms: int = 200, evidence: tuple[str, ...] = (), **options: object
    ) -> Hooked:
        found = cls(rig, rig.directory / "log")
        provider = hostile_provider(evidence=evidence or ("hook", "transcript", "screen"), settle_ms=settle_ms)
        lines = [
            'hooks = "claude"',
            'transcript = "{config_dir}/{session_id}.jsonl"',
            f'config_dir = "NO_SUCH_VARIABLE={found.transcript.parent}"',
        ]
        provider = provider.replace("[screen]", "\n".join([*lines, "[screen]"]))
        await rig.start("be", hostile_argv(found.log, **options), provider)
        found.hook("SessionStart")
        return found

    def hook(self, event: str, *, at: float | None = None, pid: int = 0, **fields: str) -> None:
        """Drop the file of a hook; `at` in epoch seconds."""
        self.count += 1
        stamp = int((at or time.time()) * 1e9) + self.count
        path = self.rig.spool("be") / f"{stamp}-{pid or self.rig.agents['be'].pid}-{event}"
        body = {"session_id": "s1", "hook_event_name": event, **fields}
        path.with_suffix(".tmp").write_text(json.dumps(body), encoding="utf-8")
        path.with_suffix(".tmp").rename(path.with_suffix(".json"))
        self.rig.executor.wake("be")

    def note(self, **record: object) -> None:
        """Add a line to the transcript."""
        with self.transcript.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self.rig.executor.wake("be")

    def user(self, text: str) -> None:
        self.note(type="user", message={"role": "user", "content": text})

    async def submitted(self, times: int = 1) -> None:
        """Until the agent got an Enter that it took."""
        await wait_for_async(lambda: len(read_log(self.log).texts()) == times, what="submission")


@pytest.fixture
async def hasty(tmux: Tmux, taco_home: Path) -> AsyncIterator[Rig]:
    """A rig that waits for evidence only a second, and presses Enter three times at most."""
    async with Rig.open(tmux, taco_home, evidence_timeout_s=1.0, enter_limit=3) as rig:
        yield rig


# What counts


async def test_a_hook_with_our_text(rig: Rig) -> None:
    agent = await Hooked.start(rig)
    sent = await rig.send("be", "hello")
    await agent.submitted()
    agent.hook("UserPromptSubmit", prompt=TEXT)
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.HOOK)
    assert (await rig.counted())["delivered:hook"] == 1


@pytest.mark.parametrize("queued", [False, True])
async def test_a_transcript_with_our_text(rig: Rig, queued: bool) -> None:
    agent = await Hooked.start(rig)
    sent = await rig.send("be", "hello")
    await agent.submitted()
    if queued:  # while a tool runs: no hook and no record of the person
        agent.note(type="queue-operation", operation="enqueue", content=TEXT)
    else:
        agent.user(TEXT)
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.TRANSCRIPT)


async def test_the_screen_where_nothing_better_has_spoken(rig: Rig) -> None:
    await rig.start("be", hostile_argv(), hostile_provider(evidence=("transcript", "screen")))
    (ledger,) = await rig.ended(await rig.send("be", "hello"))
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.SCREEN)


async def test_nothing_for_a_raw_program_and_it_is_said_so(rig: Rig) -> None:
    log = rig.directory / "log"
    await rig.start("be", raw_argv(log), raw_provider("raw", log))
    (ledger,) = await rig.ended(await rig.send("be", "hello"))
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.NONE)
    counted = await rig.counted()
    assert (counted["executed"], counted["delivered:none"]) == (1, 1)


async def test_a_provider_that_says_little_is_not_waited_for(rig: Rig) -> None:
    """A user's TOML without screen rules has the default evidence `screen`, which cannot be had."""
    log = rig.directory / "log"
    await rig.start("be", raw_argv(log), raw_provider("raw", log).replace("evidence = []\n", ""))
    (ledger,) = await rig.ended(await rig.send("be", "hello"))
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.NONE)


# What a person's own hook refuses


def refused(text: str, words: str = "not on a Friday") -> dict[str, str]:
    """What Claude Code 2.1.197 writes of a prompt that a hook of the person's refused."""
    content = f"UserPromptSubmit operation blocked by hook:\n{words}\n\n\nOriginal prompt: {text}"
    return {"type": "system", "subtype": "informational", "content": content, "level": "warning"}


async def looked_again(rig: Rig) -> None:
    """Until the agent has been looked at a few times more."""
    before = rig.pipe.batches
    await wait_for_async(lambda: rig.pipe.batches > before + 3, what="more looks")


@pytest.mark.parametrize("hooked", [True, False])
async def test_what_a_persons_own_hook_refused_is_rejected(rig: Rig, hooked: bool) -> None:
    agent = await Hooked.start(rig)
    agent.user("the brief")
    sent = await rig.send("be", "hello")
    await agent.submitted()
    if hooked:  # TACO's own hook is told at once, and the person's takes its time
        agent.hook("UserPromptSubmit", prompt=TEXT)
    agent.note(**refused("another text"))
    await looked_again(rig)
    assert (await rig.ledger(sent)).state is CommandState.ENTERED
    agent.note(**refused(TEXT))
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.evidence) == (CommandState.REJECTED, None)
    assert ledger.reason == "a hook refused it (UserPromptSubmit): not on a Friday"
    counted = await rig.counted()
    assert (counted["rejected"], "executed" in counted, "dead" in counted) == (1, False, False)
    agent.hook("Stop")  # in the CLI's stead, whose session file says that it is idle
    again = await rig.send("be", "hello")  # an earlier refusal of the same text says nothing of this one
    await agent.submitted(2)
    agent.user(TEXT)
    (ledger,) = await rig.ended(again)
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.TRANSCRIPT)


async def test_a_hook_counts_once_the_transcript_has_it(rig: Rig) -> None:
    agent = await Hooked.start(rig)
    agent.user("the brief")
    sent = await rig.send("be", "hello")
    await agent.submitted()
    agent.hook("UserPromptSubmit", prompt=TEXT)
    agent.user("something else")
    await looked_again(rig)
    assert (await rig.ledger(sent)).state is CommandState.ENTERED
    agent.user(TEXT)
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.HOOK)


async def test_a_hook_counts_after_a_while_where_the_transcript_is_silent(hasty: Rig) -> None:
    agent = await Hooked.start(hasty)
    agent.user("the brief")
    sent = await hasty.send("be", "hello")
    await agent.submitted()
    agent.hook("UserPromptSubmit", prompt=TEXT)
    (ledger,) = await hasty.ended(sent)
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.HOOK)


# What does not


async def test_a_hook_with_another_text_is_none(hasty: Rig) -> None:
    agent = await Hooked.start(hasty)
    sent = await hasty.send("be", "hello")
    await agent.submitted()
    agent.hook("UserPromptSubmit", prompt="[mother → be]: hello you")
    (ledger,) = await hasty.ended(sent)
    assert (ledger.state, ledger.evidence) == (CommandState.UNCONFIRMED, None)
    assert ledger.reason == "nothing showed that it was submitted"


async def test_a_hook_of_before_is_none(hasty: Rig) -> None:
    agent = await Hooked.start(hasty)
    agent.hook("UserPromptSubmit", prompt=TEXT)
    agent.hook("Stop")
    sent = await hasty.send("be", "hello")
    ledger = await hasty.pressed(sent)
    agent.hook("UserPromptSubmit", prompt=TEXT, at=time.time() - 30)
    assert ledger.entered_at > iso(time.time() - 30)
    assert (await hasty.ended(sent))[0].state is CommandState.UNCONFIRMED


async def test_a_hook_of_another_process_is_none(hasty: Rig) -> None:
    agent = await Hooked.start(hasty)
    sent = await hasty.send("be", "hello")
    await agent.submitted()
    agent.hook("UserPromptSubmit", prompt=TEXT, pid=1)
    assert (await hasty.ended(sent))[0].state is CommandState.UNCONFIRMED


async def test_a_transcript_of_before_is_none(hasty: Rig) -> None:
    agent = await Hooked.start(hasty)
    agent.user(TEXT)
    assert (await hasty.ended(await hasty.send("be", "hello")))[0].state is CommandState.UNCONFIRMED


async def test_what_a_person_took_back_is_none(hasty: Rig) -> None:
    agent = await Hooked.start(hasty)
    sent = await hasty.send("be", "hello")
    await hasty.pressed(sent)
    agent.note(type="queue-operation", operation="popAll", content=TEXT)
    agent.note(type="queue-operation", operation="enqueue", content=TEXT)
    assert (await hasty.ended(sent))[0].state is CommandState.UNCONFIRMED


async def test_an_empty_composer_is_none_where_files_speak(hasty: Rig) -> None:
    agent = await Hooked.start(hasty)
    (ledger,) = await hasty.ended(await hasty.send("be", "hello"))
    assert ledger.state is CommandState.UNCONFIRMED
    assert read_log(agent.log).texts() == [TEXT]  # it was delivered, only nobody saw it


async def test_the_hook_of_an_equal_text_before_is_none(hasty: Rig) -> None:
    """What was sent into a turn comes to its hook after it: by then an equal text may be on its way."""
    agent = await Hooked.start(hasty, swallow_at=2)
    first, second = [await hasty.send("be", "hello") for _ in range(2)]
    await agent.submitted()
    agent.note(type="queue-operation", operation="enqueue", content=TEXT)
    assert (await hasty.until(first, CommandState.DELIVERED)).evidence is Evidence.TRANSCRIPT
    await hasty.pressed(second)
    agent.hook("UserPromptSubmit", prompt=TEXT)
    (ledger,) = await hasty.ended(second)
    assert (ledger.state, ledger.evidence) == (CommandState.UNCONFIRMED, None)
    assert ledger.reason.startswith("its text stayed in the composer")
    assert read_log(agent.log).texts() == [TEXT]
    pane = hasty.agents["be"].pane
    await wait_for_async(lambda: "> [mother" not in hasty.tmux.screen(pane), what="an empty composer")


async def test_an_equal_text_is_delivered_once_it_has_left_the_composer(rig: Rig) -> None:
    agent = await Hooked.start(rig)
    for count in (1, 2):
        sent = await rig.send("be", "hello")
        await agent.submitted(count)
        agent.hook("UserPromptSubmit", prompt=TEXT)
        agent.hook("Stop")
        (ledger,) = await rig.ended(sent)
        assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.HOOK)


# Enter again, and never the text


async def test_enter_is_pressed_again_up_to_a_limit(hasty: Rig) -> None:
    log = hasty.directory / "log"
    await hasty.start("be", hostile_argv(log, swallow=1.0), hostile_provider())
    (ledger,) = await hasty.ended(await hasty.send("be", "hello"))
    assert (ledger.state, ledger.enters) == (CommandState.UNCONFIRMED, 3)
    assert ledger.reason == "its text still stands after 3 Enters"
    assert [("Enter" in each.line) for each in hasty.pipe.typed] == [False, True, True, True]
    assert read_log(log).counts["swallowed"] == 3
    assert [each["id"] for each in await hasty.broker.unconfirmed()] == [ledger.id]
    counted = await hasty.counted()
    assert (counted["unconfirmed"], counted.get("failed", 0), counted.get("dead", 0)) == (1, 0, 0)


async def test_what_is_unconfirmed_is_not_sent_again_by_itself(hasty: Rig) -> None:
    agent = await Hooked.start(hasty)
    first, second = [await hasty.send("be", text) for text in ("hello", "next")]
    assert {ledger.state for ledger in await hasty.ended(first, second)} == {CommandState.UNCONFIRMED}
    assert read_log(agent.log).texts() == [TEXT, "[mother → be]: next"]


async def test_a_submitted_text_that_stays_in_the_composer_is_taken_out(rig: Rig) -> None:
    """As Claude Code leaves one there whose Enter came in the moment a turn ended."""
    agent = await Hooked.start(rig, swallow=1.0)
    first, second = [await rig.send("be", text) for text in ("hello", "next")]
    for sent, text in ((first, TEXT), (second, "[mother → be]: next")):
        await rig.pressed(sent)
        agent.hook("UserPromptSubmit", prompt=text)
        agent.hook("Stop")
        assert (await rig.until(sent, CommandState.DELIVERED)).enters == 1
    await wait_for_async(lambda: "[mother" not in rig.tmux.screen(rig.agents["be"].pane), what="an empty composer")


# Text that is gone before Enter


async def test_a_text_that_never_showed_is_typed_again(hasty: Rig) -> None:
    log = hasty.directory / "log"
    await hasty.start("be", hostile_argv(log, deaf_s=1.2), hostile_provider())
    (ledger,) = await hasty.ended(await hasty.send("be", "hello"))
    assert ledger.state is CommandState.DELIVERED
    assert ledger.attempts > 1
    assert "deaf" in read_log(log).counts
    assert read_log(log).texts() == [TEXT]


@pytest.mark.parametrize("files", [False, True])
async def test_a_text_that_a_person_took_out(rig: Rig, files: bool) -> None:
    """With files that would tell of a submission it is sent again; without, nobody can say."""
    if files:
        agent = await Hooked.start(rig, settle_ms=2_000)
        log = agent.log
        agent.user("before")
    else:
        log = rig.directory / "log"
        await rig.start("be", hostile_argv(log), hostile_provider(settle_ms=2_000))
    sent = await rig.send("be", "hello")
    pane = rig.agents["be"].pane
    await rig.until(sent, CommandState.TYPED)
    rig.tmux.run("set-option", "-w", "-t", pane, "synchronize-panes", "on")  # Enter waits for as long as this is so
    await wait_for_async(lambda: "hello" in rig.observer.screen("be"), what="a look at the text")
    rig.tmux.run("send-keys", "-t", pane, "C-u")
    await wait_for_async(lambda: "hello" not in rig.tmux.screen(pane), what="an empty composer")
    rig.tmux.run("set-option", "-w", "-t", pane, "synchronize-panes", "off")
    if not files:
        (ledger,) = await rig.ended(sent)
        assert (ledger.state, ledger.enters) == (CommandState.UNCONFIRMED, 0)
        assert ledger.reason.startswith("its text left the composer")
        assert read_log(log).texts() == []
        return
    await wait_for_async(lambda: read_log(log).texts(), what="submission")
    agent.hook("UserPromptSubmit", prompt=TEXT)
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.attempts) == (CommandState.DELIVERED, 2)
    assert read_log(log).texts() == [TEXT]


@pytest.mark.parametrize("killed", [False, True])
async def test_a_text_that_a_person_submitted(rig: Rig, killed: bool) -> None:
    agent = await Hooked.start(rig, settle_ms=1_000)
    sent = await rig.send("be", "hello")
    pane = rig.agents["be"].pane
    await rig.until(sent, CommandState.TYPED)
    await wait_for_async(lambda: "hello" in rig.tmux.screen(pane), what="text")
    if killed:
        await rig.kill()
    rig.tmux.run("send-keys", "-t", pane, "Enter")
    await agent.submitted()
    agent.hook("UserPromptSubmit", prompt=TEXT)
    if killed:
        rig.build()
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.evidence, ledger.enters) == (CommandState.DELIVERED, Evidence.HOOK, 0)
    assert read_log(agent.log).texts() == [TEXT]


async def test_a_text_that_a_person_submitted_while_nobody_looked(rig: Rig) -> None:
    """Only the transcript knows, and its size before is not: so nobody can say, and it is not typed again."""
    agent = await Hooked.start(rig, settle_ms=1_000)
    agent.user("before")
    sent = await rig.send("be", "hello")
    pane = rig.agents["be"].pane
    await rig.until(sent, CommandState.TYPED)
    await wait_for_async(lambda: "hello" in rig.tmux.screen(pane), what="text")
    await rig.kill()
    rig.tmux.run("send-keys", "-t", pane, "Enter")
    await agent.submitted()
    agent.note(type="queue-operation", operation="enqueue", content=TEXT)
    rig.build()
    (ledger,) = await rig.ended(sent)
    assert ledger.state is CommandState.UNCONFIRMED
    assert read_log(agent.log).texts() == [TEXT]


async def test_evidence_from_before_a_kill_counts(rig: Rig) -> None:
    agent = await Hooked.start(rig)
    sent = await rig.send("be", "hello")
    await rig.pressed(sent)
    await rig.kill()
    await agent.submitted()
    agent.hook("UserPromptSubmit", prompt=TEXT)
    rig.build()
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.HOOK)
    assert read_log(agent.log).texts() == [TEXT]


async def test_a_resumed_transcript_tells_what_its_last_process_got(rig: Rig) -> None:
    agent = await Hooked.start(rig)
    sent = await rig.send("be", "hello")
    await rig.pressed(sent)
    await rig.kill()
    await agent.submitted()
    agent.user(TEXT)
    await rig.run(rig.agents["be"], hostile_argv(rig.directory / "other"))
    agent.hook("SessionStart")
    await rig.kill()
    rig.build()
    (ledger,) = await rig.ended(sent)
    assert (ledger.state, ledger.evidence) == (CommandState.DELIVERED, Evidence.TRANSCRIPT)
    assert read_log(rig.directory / "other").texts() == []


# What its transcript tells besides


async def test_who_has_used_up_the_budget_gets_nothing(rig: Rig) -> None:
    agent = await Hooked.start(rig)
    rig.token_budget = 100
    agent.note(type="assistant", message={"id": "m1", "usage": {"input_tokens": 60, "output_tokens": 39}})
    sent = await rig.send("be", "hello")
    await agent.submitted()
    agent.user(TEXT)
    await rig.ended(sent)
    agent.note(type="assistant", message={"id": "m2", "usage": {"input_tokens": 1_000, "output_tokens": 1}})
    late = await rig.send("be", "more", priority=Priority.HIGH)
    assert await rig.held("be", "budget: 1,100 of 100 tokens used (token_budget)")
    rig.token_budget = 2_000  # as the person has it now
    await agent.submitted(2)
    agent.user("[mother → be]: more")
    (ledger,) = await rig.ended(late)
    assert (ledger.state, ledger.attempts) == (CommandState.DELIVERED, 1)
