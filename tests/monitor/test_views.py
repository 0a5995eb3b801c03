"""What the parts of the monitor say, as pure functions of what is known."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taco.models import Agent, AgentQueue, AgentState, AgentStatus, Ask, Event, EventType, Level, Service
from taco.monitor import plain, views
from taco.monitor.activity import KEPT, EventLog, activity_lines
from taco.monitor.alerts import Trouble, alert_lines, last_line
from taco.monitor.feed import BURST_S, LONGEST_RETRY_S, LOOK_S, pause, retry_delay
from taco.monitor.lines import Line, cells
from taco.monitor.plan import members, team_lines
from taco.monitor.rate import bars, minute, rate_spans
from taco.monitor.source import Snapshot
from taco.monitor.team import Rows, count, look, matching, note, work
from taco.monitor.views import KEYS, keys_lines
from taco.monitor.words import clock
from tests.monitor.data import AGENTS, EVENTS, NOW, RUNNING, command, happened, stamp
from tests.support.paths import ROOT


def words(line: Line) -> str:
    """A line's text."""
    return "".join(span.text for span in (*line.spans, *line.right))


def agent(level: Level, status: AgentStatus = AgentStatus.RUNNING, detail: str = "", **more: object) -> Agent:
    return Agent(3, "a", status=status, state=AgentState(level, detail), **more)


@pytest.mark.parametrize(
    ("seen", "mark", "word"),
    [
        (agent(Level.BUSY), "●", "busy"),
        (agent(Level.IDLE), "○", "idle"),
        (agent(Level.IDLE, AgentStatus.DONE), "✓", "done"),
        (agent(Level.WAITING, AgentStatus.DONE, "permission"), "!", "permission"),
        (agent(Level.WAITING), "!", "waiting"),
        (agent(Level.WAITING, AgentStatus.STOPPED, "permission"), "■", "stopped"),
        (agent(Level.EXITED, AgentStatus.DONE, "0"), "✓", "done"),
        (agent(Level.EXITED, detail="137"), "✗", "exited (137)"),
        (agent(Level.LOST), "✗", "lost"),
        (agent(Level.BUSY, AgentStatus.FAILED), "✗", "failed"),
        (agent(Level.LIMITED, detail="15:00"), "◔", "limited 15:00"),
        (agent(Level.IDLE, paused=True), "‖", "paused"),
        (agent(Level.UNKNOWN, AgentStatus.PLANNED), "◌", "planned"),
        (agent(Level.STARTING, AgentStatus.STARTING), "◌", "starting"),
        (agent(Level.UNKNOWN), "·", "unknown"),
    ],
)
def test_what_matters_most_of_an_agent(seen: Agent, mark: str, word: str) -> None:
    assert look(seen)[:2] == (mark, word)


def test_every_agent_counts_once_and_mother_not() -> None:
    team = count(RUNNING)
    assert team.active + team.waiting + team.failed + team.planned + team.done + team.stopped == len(AGENTS) - 1


@pytest.mark.parametrize(
    ("seen", "queue", "question", "said"),
    [
        (agent(Level.BUSY), AgentQueue(hold="draft"), "which?", "asks: which?"),
        (agent(Level.BUSY), AgentQueue(hold="draft"), "", "hold: draft"),
        (agent(Level.BUSY, hold="dialog"), AgentQueue(), "", "hold: dialog"),
        (agent(Level.IDLE, AgentStatus.FAILED, failed="no disk"), AgentQueue(), "", "no disk"),
        (agent(Level.IDLE, AgentStatus.DONE, done="it works"), AgentQueue(), "", "it works"),
        (agent(Level.UNKNOWN, AgentStatus.PLANNED, wait_for=("b", "c")), AgentQueue(), "", "waits for b, c"),
        (agent(Level.UNKNOWN, AgentStatus.PLANNED), AgentQueue(), "", "waits for its turn"),
        (agent(Level.IDLE), AgentQueue(), "", ""),
    ],
)
def test_why_an_agent_stands_where_it_does(seen: Agent, queue: AgentQueue, question: str, said: str) -> None:
    assert note(seen, queue, question).text == said


def test_rows_that_look_the_same_are_the_same() -> None:
    rows = Rows()
    first = rows.make(RUNNING, NOW, 80)
    waits = {name: replace(queue, oldest_wait_s=99.0) for name, queue in RUNNING.queues.items()}
    again = rows.make(replace(RUNNING, queues=waits), NOW + 1, 80)
    assert all(one is other for one, other in zip(first, again, strict=True))
    assert rows.make(RUNNING, NOW, 120)[0] is not first[0]


def test_a_message_is_one_line_with_its_newest_state() -> None:
    lines = [words(line) for line in activity_lines(EVENTS, 50)]
    assert sum("API spec shared" in line for line in lines) == 2
    assert lines[0].startswith(" → 12:34:57 [person → database_dev] please add an index")
    assert any(
        "‖ 12:34:05 [frontend_dev → backend_dev] Which port do you listen on?  waiting: permission" in it
        for it in lines
    )
    assert not any("agent.state" in line or "limited(15:00)" in line for line in lines)


def test_a_message_whose_beginning_is_forgotten_still_has_a_line() -> None:
    dead = replace(command(1, EventType.COMMAND_DEAD, "c9", "a", "b", "the pane is gone"), data={"sender": "a"})
    assert words(activity_lines([dead], 5)[0]).strip().endswith("[a → b] the pane is gone")


def test_debugging_is_no_activity_unless_it_moves_a_message() -> None:
    noise = happened(1, EventType.TMUX_FAILED, "a", "noise", level="debug")
    held = replace(command(1, EventType.COMMAND_HELD, "c1", "a", "b", "draft"), level="debug")
    assert len(activity_lines([noise, held], 5)) == 1


def test_the_log_keeps_each_event_once_in_order_and_forgets() -> None:
    log = EventLog()
    log.add(EVENTS[3:])
    log.add(EVENTS)
    assert [event.ts for event in log] == sorted(event.ts for event in EVENTS)
    assert len(log) == len(EVENTS)
    log.add(Event(EventType.AGENT_STATE, "s", ts=stamp(-at), content=str(at)) for at in range(2 * KEPT))
    assert len(log) == KEPT
    assert log.latest(1)[0].content == str(2 * KEPT - 1)


def test_what_is_heard_late_is_put_in_its_place() -> None:
    """After a drop the monitor hears of the end before it reads of the beginning."""
    queued, typed, done = (
        command(at, event, "c1", "a", "b", text)
        for at, event, text in (
            (3, EventType.COMMAND_QUEUED, "hello"),
            (2, EventType.COMMAND_TYPED, ""),
            (1, EventType.COMMAND_DELIVERED, "seen by hook"),
        )
    )
    log = EventLog()
    log.add([typed, done, queued, typed, done])
    assert [event.type for event in log] == [queued.type, typed.type, done.type]


def test_nothing_wrong_no_bars() -> None:
    assert alert_lines(Snapshot("s", started_at=stamp(1)), Trouble(), NOW, 4) == []


@pytest.mark.parametrize(
    ("age_s", "started_s", "status", "said"),
    [
        (9.0, 100, "running", ""),
        (11.0, 100, "running", "✗ the executor is gone for 10s, messages wait (window 2)"),
        (None, 5, "running", ""),
        (None, 60, "running", "✗ the executor has not shown up, messages wait (window 2)"),
        (500.0, 900, "stopped", ""),
    ],
)
def test_the_executor_is_missed(age_s: float | None, started_s: float, status: str, said: str) -> None:
    snapshot = Snapshot("s", status=status, started_at=stamp(started_s), executor_age_s=age_s)
    assert "".join(words(line) for line in alert_lines(snapshot, Trouble(), NOW, 4)).strip() == said


def test_without_redis_the_executor_is_not_blamed() -> None:
    bars = alert_lines(replace(RUNNING, executor_age_s=99.0), Trouble(redis="gone"), NOW, 9)
    assert [words(bar).split()[1] for bar in bars] == ["Redis", "backend_dev", "frontend_dev"]


def test_the_answer_stands_beside_the_question_however_long() -> None:
    asks = (Ask("q1", "a", "why " * 100, stamp(1)),)
    bar = alert_lines(replace(RUNNING, agents=(), asks=asks), Trouble(), NOW, 4)[0]
    text = "".join(span.text for span in bar.fit(80))
    assert text.startswith(" ? a asks: why why")
    assert text.endswith("…  a answers (q1) ")


def only_bar(spec: dict[str, str]) -> str:
    bars = alert_lines(replace(RUNNING, spec=spec, agents=(), asks=()), Trouble(), NOW, 4)
    return "".join(map(words, bars))


def test_an_invalid_plan_has_a_bar() -> None:
    spec = {"status": "invalid", "errors": '["agents[2].wait_for[0]: nobody is called x"]', "tries": "2"}
    assert "mother's plan is not valid (try 2): agents[2].wait_for[0]: nobody" in only_bar(spec)


def test_a_mother_who_takes_long_has_a_bar() -> None:
    assert "mother has not proposed a team yet" in only_bar({"status": "waiting", "late": "1"})
    assert only_bar({"status": "running", "late": "1"}) == ""


def test_a_traceback_is_told_by_its_ends() -> None:
    assert last_line("died\nTraceback:\n  File x\nKeyError: 1\n\n") == "died … KeyError: 1"
    assert last_line("one") == "one"
    assert last_line(" \n") == ""


def test_looks_are_rarer_when_they_cost_more() -> None:
    assert pause(0.0) == BURST_S
    assert BURST_S < pause(0.01) < LOOK_S
    assert pause(5.0) == LOOK_S


def test_retries_slow_down() -> None:
    delays = [retry_delay(failures) for failures in range(1, 60)]
    assert delays == sorted(delays)
    assert delays[0] <= 1
    assert delays[-1] == LONGEST_RETRY_S


def test_a_service_that_is_not_healthy_says_why() -> None:
    service = Service("api", "http://localhost:3000", 3000, "unhealthy", "be", reason="its agent be was removed")
    (shown,) = views.service_lines((service,))
    assert "its agent be was removed" in words(shown)
    assert words(shown).endswith("unhealthy ")


def test_the_rate_is_a_bar_a_minute() -> None:
    counts = {minute(NOW): 1, minute(NOW) - 1: 8, minute(NOW) - 3: 4, minute(NOW) - 99: 50}
    assert bars(counts, NOW, 6) == "▁▁▅▁█▂"
    assert bars({}, NOW, 3) == "▁▁▁"
    assert "".join(span.text for span in rate_spans(counts, NOW, 60)).endswith("▅▁█▂    8/min ")
    assert rate_spans(counts, NOW, 20) == ()


@given(st.dictionaries(st.integers(minute(NOW) - 40, minute(NOW)), st.integers(0, 10**6)), st.integers(0, 200))
def test_the_rate_keeps_its_room(counts: dict[int, int], room: int) -> None:
    assert cells(rate_spans(counts, NOW, room)) <= max(0, room) + 2
    drawn = bars(counts, NOW, 30)
    assert len(drawn) == 30
    assert (drawn == "▁" * 30) is not any(count for at, count in counts.items() if at > minute(NOW) - 30)


@pytest.mark.parametrize(
    ("seen", "given_", "said"),
    [
        (agent(Level.BUSY, role="builds"), "mother: use port 1", "mother: use port 1"),
        (agent(Level.BUSY, role="builds"), "", "builds"),
        (agent(Level.IDLE, role="builds"), "mother: use port 1", "builds"),
    ],
)
def test_what_an_agent_works_on(seen: Agent, given_: str, said: str) -> None:
    assert work(seen, given_).text == said


@pytest.mark.parametrize("width", [40, 80, 120])
def test_what_a_busy_agent_works_on_tells_more_than_that_it_is_busy(width: int) -> None:
    busy = replace(AGENTS[4], hold="busy")
    (row,) = Rows().make(replace(RUNNING, agents=(busy,)), NOW, width)
    text = "".join(span.text for cell in row.cells for span in cell)
    assert "person: please add an index" in text
    assert "hold" not in text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", [each.name for each in AGENTS]),
        ("BACKEND", ["backend_dev", "frontend_dev", "validator"]),
        ("permission", ["backend_dev"]),
        ("port do you", ["backend_dev", "frontend_dev"]),
        ("nobody", []),
    ],
)
def test_the_filter_looks_at_what_a_row_says(text: str, names: list[str]) -> None:
    assert [each.name for each in matching(RUNNING, text).agents] == names


def test_seconds_do_not_redraw_a_row() -> None:
    """A row changes six times in its first minute, then once a minute, then once an hour."""
    rows = Rows()
    quiet = replace(RUNNING, agents=AGENTS[:1])
    made = [rows.make(quiet, NOW + at, 80)[0] for at in range(59)]
    assert len({id(row) for row in made}) <= 2


@pytest.mark.parametrize("width", [80, 100, 120, 142, 200])
def test_every_key_is_in_the_footer(width: int) -> None:
    rows = ["".join(span.text for span in line.fit(width)) for line in keys_lines(width, 24)]
    assert len(rows) == (1 if width >= 142 else 2)
    for key in (key for pair in KEYS for key in pair):
        assert any(f" {' '.join(key)}" in row for row in rows), key


def test_a_low_screen_has_one_row_of_keys() -> None:
    (line,) = keys_lines(40, 12)
    assert "".join(span.text for span in line.fit(40)).rstrip().endswith("? help")


def test_the_team_is_a_tree_with_states() -> None:
    lines = ["".join(span.text for span in line.fit(100)).rstrip() for line in team_lines(RUNNING, NOW, 100)]
    assert any(re.match(r"  architect +✓ done +1h  API in docs/api.md", line) for line in lines)
    assert any(re.match(r"  ├?└?┄┄ backend_dev +! permission +1m  hold", line) for line in lines), lines
    assert any("validator" in line and "◌ planned" in line for line in lines)
    assert team_lines(replace(RUNNING, agents=AGENTS[:1]), NOW, 80)


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", '{"agents": 3}', '{"agents": [{"role": "x"}]}', '{"agents": [3]}']
)
def test_a_plan_that_cannot_be_read_is_none(text: str) -> None:
    assert members(text) == ()


def test_the_monitor_goes_without_pydantic() -> None:
    imported = "taco.monitor.app, taco.monitor.plain, taco.monitor.session_source, taco.supervision"
    words = f"import sys, {imported}; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], check=False, cwd=ROOT).returncode == 0


LIMIT = {"account": "a", "title": "Claude Code", "text": "You've hit your limit", "until": stamp(0), "guessed": False}


def test_an_account_that_rests_stands_on_top_and_in_the_plain_lines() -> None:
    snapshot = replace(RUNNING, agents=(), asks=(), limits=(LIMIT,))
    (bar,) = alert_lines(snapshot, Trouble(), NOW, 4)
    until = clock(stamp(0), "%H:%M")
    assert words(bar) == f" ◔ Claude Code rests until {until}: You've hit your limit  sooner: taco resume --now "
    ((_, text),) = plain.waiting(snapshot)
    assert text == f"Claude Code rests until {until}: You've hit your limit; sooner: taco resume --now"


def test_what_keeps_an_agent_from_its_work_stands_before_its_hold() -> None:
    stalled = agent(Level.BUSY, trouble="stalled: busy, and nothing has moved for over 10 minutes", hold="busy")
    assert note(stalled, AgentQueue(), "").text == stalled.trouble
    assert any("trouble" in words(line) for line in views.detail_lines(stalled, RUNNING, NOW, 80))
