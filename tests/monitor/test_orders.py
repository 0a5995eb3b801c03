"""What the keys set going: asked for where it matters, done once, and told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual import events

from taco.errors import BrokerError, ConflictError
from taco.models import Ask, Event, EventType
from taco.monitor.widgets.entry import Entry
from tests.monitor.data import AGENTS, NOW, REVIEW, RUNNING, FakeSource, stamp
from tests.monitor.test_app import gone, next_look, running, shows, text_of
from tests.support.waiting import wait_for_async

SIZES = [(80, 24), (200, 50)]


@pytest.mark.parametrize("size", SIZES)
async def test_send_goes_to_the_selected_agent_and_tells_what_became_of_it(size: tuple[int, int]) -> None:
    source = FakeSource()
    async with running(source, size=size) as (app, pilot):
        await pilot.press("down", "down", "s")
        await shows(app, "SEND to backend_dev", "Enter send", "Esc leave it")
        await pilot.press(*"use port ", "3")
        await shows(app, "› use port 3")
        await pilot.press("enter")
        await shows(app, "m1: queued for backend_dev")
        assert source.done == [("send", "backend_dev", "use port 3")]
        for kind, text in (
            (EventType.COMMAND_HELD, "waiting: permission"),
            (EventType.COMMAND_DELIVERED, "seen by hook"),
        ):
            event = Event(kind, "todo-app", id=str(kind), ts=stamp(0), agent="backend_dev", command="m1", content=text)
            source.queue.put_nowait(event)
            await shows(app, f"m1: {str(kind).partition('.')[2]} at backend_dev, {text}")
        assert not app.orders._sent


@pytest.mark.parametrize("words", [("escape",), ("enter",), ("space", "space", "enter")])
async def test_nothing_typed_is_nothing_sent(words: tuple[str, ...]) -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("s")
        await shows(app, "SEND to mother")
        await pilot.press(*words)
        await gone(app, "SEND to mother")
    assert not source.done


async def test_keys_typed_into_a_message_are_text() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("s", *"qrpbdx", "slash", "question_mark", "y", "enter")
        await shows(app, "m1: queued for mother")
    assert source.done == [("send", "mother", "qrpbdx/?y")]


async def test_keys_that_come_all_at_once_mean_what_they_mean_one_by_one() -> None:
    """Over a slow line a whole sentence arrives in one piece: the agent is the selected one, no letter is a command."""
    source = FakeSource()
    async with running(source) as (app, _):
        await shows(app, "backend_dev")
        for key in ("down", "down", "s", *"restart r y q d b p", "enter"):
            character = " " if key == " " else key if len(key) == 1 else None
            app.post_message(events.Key("space" if key == " " else key, character))
        await shows(app, "m1: queued for backend_dev")
    assert source.done == [("send", "backend_dev", "restart r y q d b p")]


async def test_a_paste_of_many_lines_is_one_line_and_nothing_is_lost() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("s", "a", "space")
        entry = app.screen.query_one(Entry)
        entry.post_message(events.Paste("one\n  two\t2\r\n\x07\nthree"))
        await wait_for_async(lambda: "three" in entry.value)
        await pilot.press("enter")
        await shows(app, "queued")
    assert source.done == [("send", "mother", "a one two 2 three")]


async def test_broadcast_goes_to_everybody() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("b")
        await shows(app, "BROADCAST to all 8: mother, architect")
        await pilot.press(*"commit", "enter")
        await shows(app, "m1-mother: queued for 8 agents")
        assert source.done == [("send", *(agent.name for agent in AGENTS), "commit")]
        source.queue.put_nowait(
            Event(EventType.COMMAND_DELIVERED, "todo-app", id="e", ts=stamp(0), agent="devops", command="m1-devops")
        )
        await shows(app, "m1-devops: delivered at devops (7 under way)")


async def test_pause_and_resume() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("down", "p")
        await shows(app, "architect: pause: its messages wait")
        source.current = replace(RUNNING, agents=(AGENTS[0], replace(AGENTS[1], paused=True)))
        await next_look(app, source, pilot)
        await pilot.press("p")
        await shows(app, "architect: resume: its messages go on")
    assert source.done == [("pause", "architect"), ("resume", "architect")]


async def test_restart_is_asked_first() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("down", "r")
        await shows(app, "RESTART architect?", "y restart it", "n no")
        await pilot.press("n")
        await gone(app, "RESTART")
        assert not source.done
        await pilot.press("r", "y")
        await shows(app, "architect: restart: will be restarted")
    assert source.done == [("restart", "architect")]


@pytest.mark.parametrize("size", SIZES)
async def test_answer_takes_the_selected_agents_question_or_the_oldest(size: tuple[int, int]) -> None:
    source = FakeSource()
    async with running(source, size=size) as (app, pilot):
        await pilot.press("a")
        await shows(app, "ANSWER frontend_dev (a7k2): Dark mode first, or light?")
        await pilot.press(*"dark", "enter")
        await shows(app, "a7k2: answered frontend_dev: dark")
        await pilot.press("down", "down", "a")
        await shows(app, "backend_dev shows a dialog: answer it in window 4")
        source.current = replace(RUNNING, asks=())
        await next_look(app, source, pilot)
        await pilot.press("home", "a")
        await shows(app, "backend_dev shows a dialog: answer it in window 4")
    assert source.done == [("answer", "a7k2", "dark")]


SHOWN = Ask(
    "80cf85",
    "backend_dev",
    "Bash command\n\nmake install",
    "",
    kind="permission",
    choices=("1. Yes", "2. Yes, always", "3. No"),
    dialog="f",
    pid=1,
)


@pytest.mark.parametrize("size", SIZES)
async def test_a_dialog_is_answered_by_its_number_or_its_words(size: tuple[int, int]) -> None:
    source = FakeSource(replace(RUNNING, asks=(), dialogs={"backend_dev": SHOWN}))
    async with running(source, size=size) as (app, pilot):
        await shows(app, "backend_dev", "waits for you: permission", "a answers (80cf85)")
        await pilot.press("a")
        await shows(app, "ANSWER backend_dev (80cf85):", "make install", "1. Yes ·", "3. No")
        await pilot.press("1", "enter")
        await shows(app, "backend_dev: 1. Yes")
        await pilot.press("a", *"maybe", "enter")
        await shows(app, "'maybe' is none of its answers; nothing was pressed.")
        await pilot.press("a", *"no", "enter")
        await shows(app, "backend_dev: 3. No: pressed, and it still stands")
        await pilot.press("a", "escape")
    assert source.done == [("press", "80cf85", "1"), ("press", "80cf85", "3")]


async def test_a_dialog_that_changed_is_told(size: tuple[int, int] = (80, 24)) -> None:
    source = FakeSource(replace(RUNNING, asks=(), dialogs={"backend_dev": SHOWN}))
    async with running(source, size=size) as (app, pilot):
        source.refusal = ConflictError("the dialog 80cf85 of backend_dev is not on its screen any more", hint="look")
        await pilot.press("a")
        await shows(app, "ANSWER backend_dev")
        await pilot.press("1", "enter")
        await shows(app, "is not on its screen any more")


async def test_nothing_waits() -> None:
    source = FakeSource(replace(RUNNING, asks=(), agents=AGENTS[:2]))
    async with running(source) as (app, pilot):
        await pilot.press("a")
        await shows(app, "Nothing waits for you.")


async def test_the_inbox_answers_and_goes_to_the_window() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("i")
        await shows(app, "QUESTIONS  1", "DIALOGS  1", "Do you want to proceed?", "The API is ready for you to look at")
        await pilot.press("down", "enter")
        await wait_for_async(lambda: source.jumps)
        await pilot.press("a")
        await shows(app, "backend_dev shows a dialog")
        await pilot.press("up", "a")
        await shows(app, "ANSWER frontend_dev (a7k2)")
        await pilot.press(*"light", "enter")
        await shows(app, "a7k2: answered frontend_dev: light", "QUESTIONS")
    assert (source.jumps, source.done) == ([4], [("answer", "a7k2", "light")])


@pytest.mark.parametrize("key", ["a", "enter"])
async def test_the_plan_in_the_inbox_is_opened(key: str) -> None:
    source = FakeSource(replace(RUNNING, spec=REVIEW.spec))
    async with running(source) as (app, pilot):
        await pilot.press("i", "end")
        await shows(app, "▸  ! the plan waits for you")
        await pilot.press(key)
        await shows(app, "y approve", "n reject")
    assert not source.jumps


async def test_what_lies_below_the_last_item_can_be_scrolled_to() -> None:
    async with running(FakeSource(), size=(80, 12)) as (app, pilot):
        await pilot.press("i")
        await shows(app, "QUESTIONS")
        assert "The plan is approved" not in text_of(app)
        await pilot.press("down", "pagedown", "pagedown")
        await shows(app, "The plan is approved, the team starts")
        await pilot.press("home")
        await shows(app, "QUESTIONS")


async def test_dead_letters_are_sent_again_or_dropped() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("d")
        await shows(app, "image built", "r retry: send it again")
        await pilot.press("r")
        await shows(app, "c0dead: queued again")
        await pilot.press("down", "x")
        await shows(app, "DROP c4?")
        await pilot.press("escape")
        await gone(app, "DROP c4?")
        await pilot.press("x", "y")
        await shows(app, "c4: dropped")
        assert source.jumps == []
    assert source.done == [("retry", "c0dead"), ("drop", "c4")]


async def test_a_plan_is_approved_or_rejected() -> None:
    source = FakeSource(REVIEW)
    async with running(source) as (app, pilot):
        await pilot.press("v")
        await shows(app, "waits for you: y starts this team", "├── backend_dev  builds the REST API")
        await pilot.press("n")
        await shows(app, "REJECT the plan: why?")
        await pilot.press(*"too big", "enter")
        await shows(app, "Rejected: Mother is told.")
        await pilot.press("y")
        await shows(app, "START this team?")
        await pilot.press("y")
        await shows(app, "Approved: the team is being started.")
    assert source.done == [("reject", "m1", "too big"), ("approve", "m1", "")]


async def test_without_a_plan_there_is_nothing_to_approve() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("v", "y")
        await shows(app, "No plan waits for you.")
    assert not source.done


async def test_answering_with_nothing_but_a_plan_opens_it() -> None:
    async with running(FakeSource(REVIEW)) as (app, pilot):
        await pilot.press("a")
        await shows(app, "y approve", "n reject")


async def test_the_filter_narrows_agents_and_activity_while_it_is_typed() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("slash", *"due_")
        await shows(app, "FILTER", "› due_", "database_dev")
        await gone(app, "architect")
        await pilot.press("enter")
        await shows(app, "filter: due_  (Esc shows all)")
        assert "[person → database_dev]" in text_of(app)
        await pilot.press("s")
        await shows(app, "SEND to database_dev")
        await pilot.press("escape", "escape")
        await shows(app, "architect")
        assert "filter:" not in text_of(app)


async def test_a_filter_that_nobody_passes_leaves_nobody_to_do_anything_to() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("slash", *"nobody at all", "enter", "s")
        await shows(app, "There is no agent here.")
        await pilot.press("enter", "p", "r")
        await pilot.press("slash", "escape")
        await shows(app, "mother", "architect")
    assert (source.done, source.jumps) == ([], [])


@pytest.mark.parametrize("error", [BrokerError("Redis: gone [red]"), ConflictError("no", hint="do [/] this")])
async def test_what_is_refused_is_told(error: BrokerError | ConflictError) -> None:
    source = FakeSource()
    source.refusal = error
    async with running(source) as (app, pilot):
        await pilot.press("p")
        await shows(app, f"{error.message} — {error.hint}" if error.hint else error.message)
        assert app.is_running


async def test_only_one_question_at_a_time() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("r", "ctrl+q")
        await shows(app, "RESTART mother?")
        await pilot.press("n")
        await gone(app, "RESTART")
        assert app.is_running


async def test_the_screen_behind_a_question_goes_on() -> None:
    source = FakeSource()
    async with running(source) as (app, pilot):
        await pilot.press("s", "h")
        source.current = replace(RUNNING, session="renamed-meanwhile")
        await next_look(app, source, pilot)
        await shows(app, "renamed-meanwhile", "› h")


async def test_what_is_heard_is_shown_without_reading() -> None:
    source = FakeSource()
    async with running(source) as (app, _):
        await wait_for_async(lambda: source.listening)
        source.error = BrokerError("not to be asked")
        asked = source.asked
        source.queue.put_nowait(
            Event(EventType.AGENT_DONE, "todo-app", id="x", ts=stamp(0), agent="be", content="hear me")
        )
        await shows(app, "[be] done: hear me")
        assert source.asked <= asked + 1


def test_the_time_is_fixed() -> None:
    assert stamp(0).startswith("2026-03-14T12:35:00"), NOW
