"""What the monitor looks like: pictures that were looked at, and the text in them."""

from __future__ import annotations

from dataclasses import replace

from textual.pilot import Pilot

from taco.errors import BrokerError
from taco.models import AgentStatus, Level
from tests.monitor.conftest import Look
from tests.monitor.data import AGENTS, DEMO, REVIEW, RUNNING, FakeSource, state
from tests.support.waiting import wait_for_async

SMALL, WIDE, LARGE = (80, 24), (120, 36), (200, 50)


def test_everything_at_80x24(look: Look) -> None:
    text = look(RUNNING, SMALL)
    assert " TACO   todo-app  claude  build me a todo app" in text
    assert "AGENTS  2 active  2 waiting  1 failed  1 planned  1 done" in text
    assert "since 10:01 (2h34m)" in text
    assert "QUEUE  3 pending 1 processing 1,247 completed 2 failed 1 dead 1 unconfirmed" in text
    assert "! backend_dev waits for you: permission (window 4)" in text
    assert "? frontend_dev asks: Dark mode first, or light?" in text
    assert "a answers (a7k2)" in text
    assert "4  backend_dev   ! permission hook         1m      3  hold: waiting: permiss…" in text
    assert "8  devops        ✗ exited (1) process      2m" in text
    assert "9  validator     ◌ planned" in text
    assert "→ 12:34:57 [person → database_dev] please add an index on due_date" in text
    assert "» 12:34:10 [architect → person] The API is ready for you to look at" in text
    assert "Tests passing (42/42) [bold red]x[/]" in text, "what agents say is never markup"
    assert "● frontend localhost:3000  ✗ backend localhost:3001" in text
    for key in (
        "↑↓ move",
        "Enter go",
        "s send",
        "b broadcast",
        "p pause",
        "r restart",
        "i inbox",
        "a answer",
        "d dead",
    ):
        assert key in text
    for key in ("l log", "v plan", "o details", "/ filter", "? help", "q quit"):
        assert key in text
    assert "▃▂▁▁▂▃▆█▄▂▁▃▄▅▂" in text, "messages a minute"
    assert "12/min" in text


def test_everything_at_200x50(look: Look) -> None:
    text = look(RUNNING, LARGE, ("down", "down"))
    for title in (
        "NAME",
        "STATE",
        "FOR",
        "SOURCE",
        "QUEUE",
        "WAITING FOR",
        "CURRENT WORK",
        "LAST MESSAGE",
        "AGENT  backend_dev",
    ):
        assert title in text
    assert "architect: API spec shared: docs/api.md" in text
    assert "waits for backend_dev, frontend_dev" in text
    assert "← frontend_dev: Which port do you listen on?" in text
    assert "1 high, 2 normal, 0 low, the oldest for 1m" in text
    assert "● frontend  http://localhost:3000  frontend_dev" in text
    assert "Schema ready: 6 tables, 数据库 ✅" in text


def test_medium_size_with_demo_and_yolo(look: Look) -> None:
    text = look(DEMO, WIDE, ("down",), in_session=False)
    assert "DEMO: agents are scripted" in text
    assert "YOLO: agents do not ask" in text
    assert "q quit" in text


def test_demo_and_yolo_have_room_at_80x24(look: Look) -> None:
    text = look(DEMO, SMALL)
    assert "todo-app" in text
    assert "DEMO: agents are scripted   YOLO: agents do not ask" in text


def test_one_loose_agent_is_named(look: Look) -> None:
    loose = replace(RUNNING, agents=(*AGENTS[:3], replace(AGENTS[3], yolo=True)), asks=())
    assert "YOLO: frontend_dev" in look(loose, SMALL)


def test_plan_in_review(look: Look) -> None:
    text = look(REVIEW, SMALL)
    assert "! PLAN waits for you" in text
    assert "v approves or rejects it  Tab scrolls" in text
    assert "├── backend_dev  builds the REST API" in text
    assert "│   └── validator  tests everything end to end" in text
    assert "── starts when the one above is done" in text


def test_plan_in_review_has_room_at_200x50(look: Look) -> None:
    assert "validator  tests everything end to end, in a browser and against the API, and says what is broken" in look(
        REVIEW, LARGE
    )


def test_empty_session(look: Look) -> None:
    text = look(replace(REVIEW, spec={}, agents=(), events=(), status="starting"), SMALL)
    assert "todo-app  starting" in text
    assert "SERVICES  none yet" in text


def test_redis_gone(look: Look) -> None:
    async def fail(pilot: Pilot[None], source: FakeSource) -> None:
        source.error = BrokerError("Redis: connection refused")
        await wait_for_async(lambda: pilot.app.model.trouble.redis, what="trouble")

    text = look(RUNNING, SMALL, prepare=fail)
    assert "✗ Redis is gone (shown: as of 12:35:00); trying again. Redis: connection refu" in text
    assert "backend_dev" in text, "what was known stays on the screen"


def test_executor_gone(look: Look) -> None:
    text = look(replace(RUNNING, executor_age_s=43.0), SMALL)
    assert "✗ the executor is gone for 40s, messages wait (window 2)" in text


def test_executor_that_crashes(look: Look) -> None:
    trace = (
        "the executor crashed 5 times and stays down\nTraceback (most recent call last):\n  File x\nKeyError: 'pane'"
    )

    async def crash(pilot: Pilot[None], source: FakeSource) -> None:
        source.wrong = trace
        await wait_for_async(lambda: pilot.app.model.trouble.executor, what="trouble")

    text = look(replace(RUNNING, executor_age_s=None), LARGE, prepare=crash)
    assert "✗ the executor crashed 5 times and stays down … KeyError: 'pane' (window 2)" in text


def test_thirty_agents_scroll(look: Look) -> None:
    text = look(replace(RUNNING, agents=_team(30), asks=()), SMALL, ("end",))
    assert "32  agent_29" in text
    assert "RECENT ACTIVITY" in text
    assert "mother" not in text.partition("RECENT ACTIVITY")[0]


def test_more_bars_than_room(look: Look) -> None:
    waiting = state(Level.WAITING, 60, "hook", "permission")
    text = look(replace(RUNNING, agents=tuple(replace(agent, state=waiting) for agent in _team(9))), SMALL)
    assert "… and 8 more: i lists them" in text
    assert "RECENT ACTIVITY" in text


def test_details_page(look: Look) -> None:
    text = look(RUNNING, SMALL, ("down", "down", "down", "o"))
    assert "AGENT  frontend_dev" in text
    assert "claude opus" in text
    assert "5   pane %25   pid 4005" in text


def test_events_page(look: Look) -> None:
    text = look(RUNNING, SMALL, ("l",))
    assert "LOG  18 events" in text
    assert "? 12:33:32  command.unconfirmed  mother  nobody saw it arrive  c4" in text


def test_letters_page(look: Look) -> None:
    async def read(pilot: Pilot[None], source: FakeSource) -> None:
        await wait_for_async(lambda: pilot.app.model.letters, what="letters")

    text = look(RUNNING, SMALL, ("d",), prepare=read)
    assert "[devops → validator] image built" in text
    assert "the pane is gone (3 attempts)" in text
    assert "c0dead" in text
    assert "r retry: send it again" in text


def test_inbox_page(look: Look) -> None:
    text = look(RUNNING, SMALL, ("i",), prepare=_read_inbox)
    assert "▸  ? frontend_dev  40s" in text
    assert "Dark mode first, or light?" in text
    assert "! backend_dev  permission  1m" in text
    assert "│ Do you want to proceed?" in text
    assert "12:34:10 architect" in text


def test_inbox_page_at_200x50(look: Look) -> None:
    assert "The plan is approved, the team starts" in look(RUNNING, LARGE, ("i", "down"), prepare=_read_inbox)


async def _read_inbox(pilot: Pilot[None], source: FakeSource) -> None:
    await wait_for_async(lambda: pilot.app.model.notes is not None, what="messages")


def test_plan_page(look: Look) -> None:
    text = look(RUNNING, SMALL, ("v",))
    assert "architect" in text
    assert "◌ planned" in text
    assert "── starts when the one above is done" in text


def test_plan_page_at_200x50(look: Look) -> None:
    assert "waits for backend_dev, frontend_dev" in look(RUNNING, LARGE, ("v",))


def test_plan_page_in_review(look: Look) -> None:
    assert "y approve" in look(REVIEW, SMALL, ("v",))


def test_a_message_is_typed_at_80x24(look: Look) -> None:
    text = look(RUNNING, SMALL, ("down", "down", "s", *"use port 3001"))
    assert "SEND to backend_dev" in text
    assert "› use port 3001" in text


def test_a_message_is_typed_at_200x50(look: Look) -> None:
    assert "› commit before noon" in look(RUNNING, LARGE, ("b", *"commit before noon"))


def test_a_restart_is_asked(look: Look) -> None:
    assert "RESTART backend_dev? Its process is ended and started again in its window." in look(
        RUNNING, SMALL, ("down", "down", "r")
    )


def test_a_filter(look: Look) -> None:
    text = look(RUNNING, WIDE, ("slash", *"due_", "enter"))
    assert "RECENT ACTIVITY  filter: due_  (Esc shows all)" in text
    assert "architect" not in text.partition("RECENT ACTIVITY")[0]


def test_help_page(look: Look) -> None:
    assert "WITHOUT THIS SCREEN" in look(RUNNING, SMALL, ("question_mark",)), "all of it fits"


def test_help_page_at_200x50(look: Look) -> None:
    assert "go to its window" in look(RUNNING, LARGE, ("question_mark",))


def test_a_sliver_of_a_terminal(look: Look) -> None:
    text = look(RUNNING, (40, 12))
    assert "todo-app" in text
    assert "! backend_dev waits for you" in text


def _team(count: int) -> tuple:
    levels = (Level.BUSY, Level.IDLE, Level.STARTING)
    return (
        AGENTS[0],
        *(
            replace(
                AGENTS[1],
                window=3 + at,
                name=f"agent_{at}",
                status=AgentStatus.RUNNING,
                state=state(levels[at % 3], 50 * at, "hook"),
            )
            for at in range(count)
        ),
    )
