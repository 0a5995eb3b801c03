"""Every clause of the guard is there for a reason: with it nothing happens, without it the harm is done.

Each scenario takes a look, lets something happen, and then types or presses Enter as if the look still held. The
whole guard refuses and names the clause; the guard without this one clause does what must never happen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from taco.provider import parse_provider
from taco.screen import read_screen
from taco.tmux import windows
from taco.tmux.commands import CommandPipe
from taco.tmux.guard import Guard, Seen, Target, Verdict
from taco.tmux.sight import seen_empty, seen_text
from tests.hostile import raw_argv
from tests.support.delivery import Canvas
from tests.support.tmux import KEEPER, Tmux
from tests.support.waiting import wait_for

PROVIDER = parse_provider(
    {
        "name": "drawn",
        "command": ["drawn", "agent"],
        "screen": {
            "composer": r"^> ?(?P<draft>.*)$",
            "composer_end": r"^─{4,}$",
            "waiting": [{"name": "permission", "match": r"Do you want to proceed\?"}],
        },
    },
    "test",
)
TEXT = "[mother → be]: deploy"
RULE = "─" * 20
PARKED = (50, 9)  # a cursor that is not in the composer
OWNER = "s/be"


@dataclass
class Stage:
    """A pane with a program that shows what the test draws, and the guard on trial."""

    tmux: Tmux
    pipe: CommandPipe
    canvas: Canvas
    buffers: Path
    without: frozenset[str] = frozenset()

    @property
    def guard(self) -> Guard:
        return Guard(self.pipe, self.buffers, fence="mine", without=self.without)

    @property
    def target(self) -> Target:
        return Target(self.canvas.pane, self.pid, OWNER)

    def __post_init__(self) -> None:
        self.pid = self.canvas.pid

    def look(self, see: Callable[..., Seen]) -> Seen:
        capture = self.tmux.run("capture-pane", "-p", "-e", "-t", self.canvas.pane)
        x, y = self.tmux.show(self.canvas.pane, "#{cursor_x} #{cursor_y}").split()
        return see(PROVIDER, read_screen(PROVIDER.screen, capture), (int(x), int(y)))

    def empty(self, *above: str, cursor: tuple[int, int] = PARKED) -> Seen:
        """An agent that shows an empty composer, as it was seen."""
        self.canvas.draw(*above, ">", RULE, cursor=cursor)
        return self.look(seen_empty)

    async def typed(self, mark: str = "one", *rows: str) -> Seen:
        """An agent in whose composer a command of ours stands, as it was seen."""
        seen = self.empty()
        assert (await Guard(self.pipe, self.buffers).type_text(self.target, mark, TEXT, seen)).done
        self.canvas.draw(*(rows or (f"> {TEXT}",)), RULE, cursor=PARKED)
        return self.look(seen_text)

    async def neighbour(self, log: str, *words: str) -> Canvas:
        """Another raw reader, in a pane that the tmux command opens."""
        path = self.canvas.log.with_name(log)
        return Canvas(self.tmux, path, self.tmux.run(*words, "-P", "-F", "#{pane_id}", *raw_argv(path)))


@pytest.fixture
async def stage(tmux: Tmux, tmp_path: Path) -> AsyncIterator[Stage]:
    pipe = CommandPipe(tmux.socket)
    pane = await windows.open_window(pipe, KEEPER, 3, "be", cwd="/")
    await windows.run_in(pipe, pane, raw_argv(tmp_path / "be.log"), cwd="/", owner=OWNER)
    tmux.run("set-option", "-t", KEEPER, "@taco_executor", "mine")
    yield Stage(tmux, pipe, Canvas(tmux, tmp_path / "be.log", pane), tmp_path)


Scenario = Callable[[Stage], Awaitable[tuple[Verdict, bool]]]
SCENARIOS: dict[str, list[Scenario]] = {}


def protects(clause: str) -> Callable[[Scenario], Scenario]:
    """Registers a scenario: what the guard said, and whether the harm was done."""

    def note(scenario: Scenario) -> Scenario:
        SCENARIOS.setdefault(clause, []).append(scenario)
        return scenario

    return note


@protects("pid")
async def a_shell_has_taken_the_place_of_the_agent(stage: Stage) -> tuple[Verdict, bool]:
    seen = stage.empty()
    log = stage.canvas.log.with_name("shell.log")
    stage.tmux.run("respawn-pane", "-k", "-t", stage.canvas.pane, *raw_argv(log))
    shell = Canvas(stage.tmux, log, stage.canvas.pane)
    shell.draw(">", RULE, cursor=PARKED)
    verdict = await stage.guard.type_text(stage.target, "one", "rm -rf build", seen)
    return verdict, b"rm -rf build" in shell.settled()


@protects("identity")
async def the_pane_is_somebody_elses_now(stage: Stage) -> tuple[Verdict, bool]:
    seen = stage.empty()
    stage.tmux.run("set-option", "-p", "-t", stage.canvas.pane, "@taco_agent", "other/be")
    verdict = await stage.guard.type_text(stage.target, "one", TEXT, seen)
    return verdict, TEXT.encode() in stage.canvas.settled()


@protects("dead")
async def the_agent_has_exited(stage: Stage) -> tuple[Verdict, bool]:
    seen = stage.look(seen_empty)  # nothing of a composer: what is drawn goes with the program
    stage.tmux.run("send-keys", "-t", stage.canvas.pane, "x")
    kill = f"kill -9 {stage.pid}"
    stage.tmux.run("run-shell", kill)
    wait_for(lambda: stage.tmux.show(stage.canvas.pane, "#{pane_dead}") == "1", what="death")
    verdict = await stage.guard.type_text(stage.target, "one", TEXT, seen)
    claimed = stage.tmux.show(stage.canvas.pane, "#{@taco_typed}") != ""
    return verdict, claimed  # it says that it was typed, and nobody got it


@protects("mode")
async def somebody_has_scrolled_back(stage: Stage) -> tuple[Verdict, bool]:
    seen = await stage.typed()
    stage.tmux.run("copy-mode", "-t", stage.canvas.pane)
    verdict = await stage.guard.press_enter(stage.target, "one", 1, seen)
    stage.tmux.run("copy-mode", "-q", "-t", stage.canvas.pane)
    lost = verdict.done and b"\r" not in stage.canvas.settled()
    return verdict, lost  # it says that it was pressed, and copy-mode ate it


@protects("input")
async def the_input_of_the_pane_was_turned_off(stage: Stage) -> tuple[Verdict, bool]:
    seen = await stage.typed()
    stage.tmux.run("select-pane", "-d", "-t", stage.canvas.pane)
    verdict = await stage.guard.press_enter(stage.target, "one", 1, seen)
    stage.tmux.run("select-pane", "-e", "-t", stage.canvas.pane)
    return verdict, verdict.done and b"\r" not in stage.canvas.settled()


@protects("synchronized")
async def the_panes_of_the_window_are_synchronized(stage: Stage) -> tuple[Verdict, bool]:
    beside = await stage.neighbour("beside.log", "split-window", "-v", "-t", stage.canvas.pane)
    seen = stage.empty()
    stage.tmux.run("set-option", "-w", "-t", stage.canvas.pane, "synchronize-panes", "on")
    verdict = await stage.guard.type_text(stage.target, "one", TEXT, seen)
    stage.tmux.run("set-option", "-w", "-t", stage.canvas.pane, "synchronize-panes", "off")
    return verdict, TEXT.encode() in beside.settled()


@protects("dialog")
async def a_permission_dialog_has_come_up(stage: Stage) -> tuple[Verdict, bool]:
    seen = await stage.typed()
    stage.canvas.draw(f"> {TEXT}", RULE, "Do you want to proceed?", "❯ 1. Yes", cursor=PARKED)
    verdict = await stage.guard.press_enter(stage.target, "one", 1, seen)
    return verdict, b"\r" in stage.canvas.settled()  # Enter approves


@protects("composer")
async def a_person_has_begun_to_type(stage: Stage) -> tuple[Verdict, bool]:
    seen = stage.empty()
    stage.canvas.draw("> my dra", RULE, cursor=PARKED)
    verdict = await stage.guard.type_text(stage.target, "one", TEXT, seen)
    return verdict, TEXT.encode() in stage.canvas.settled()


@protects("cursor")
async def a_persons_draft_begins_with_an_empty_row(stage: Stage) -> tuple[Verdict, bool]:
    seen = stage.empty(cursor=(2, 0))
    stage.canvas.draw(">", "  my draft", RULE, cursor=(10, 1))
    verdict = await stage.guard.type_text(stage.target, "one", TEXT, seen)
    return verdict, TEXT.encode() in stage.canvas.settled()


@protects("cursor")
async def a_person_adds_to_a_message_that_was_said_before(stage: Stage) -> tuple[Verdict, bool]:
    said = f"> {TEXT}"
    await stage.typed()
    stage.canvas.draw(said, "● done", said, RULE, cursor=(len(said), 2))
    seen = stage.look(seen_text)  # the patterns find the older one first
    stage.canvas.draw(said, "● done", f"{said} NOT", RULE, cursor=(len(said) + 4, 2))
    verdict = await stage.guard.press_enter(stage.target, "one", 1, seen)
    return verdict, b"\r" in stage.canvas.settled()


@protects("head")
async def a_person_has_written_before_our_text(stage: Stage) -> tuple[Verdict, bool]:
    seen = await stage.typed("one", "> [mother → be]:", "  deploy")
    stage.canvas.draw("> do NOT [mother → be]:", "  deploy", RULE, cursor=PARKED)
    verdict = await stage.guard.press_enter(stage.target, "one", 1, seen)
    return verdict, b"\r" in stage.canvas.settled()


@protects("tail")
async def a_person_has_written_after_our_text(stage: Stage) -> tuple[Verdict, bool]:
    seen = await stage.typed()
    stage.canvas.draw(f"> {TEXT} NOT YET, wait", RULE, cursor=PARKED)
    verdict = await stage.guard.press_enter(stage.target, "one", 1, seen)
    return verdict, b"\r" in stage.canvas.settled()


@protects("record")
async def it_was_typed_before(stage: Stage) -> tuple[Verdict, bool]:
    seen = stage.empty()
    assert (await Guard(stage.pipe, stage.buffers).type_text(stage.target, "one", TEXT, seen)).done
    verdict = await stage.guard.type_text(stage.target, "one", TEXT, seen)
    return verdict, stage.canvas.settled().count(TEXT.encode()) > 1


@protects("record")
async def a_paste_was_typed_before(stage: Stage) -> tuple[Verdict, bool]:
    seen = stage.empty()
    text = "first line\nsecond line"
    assert (await Guard(stage.pipe, stage.buffers).type_text(stage.target, "one", text, seen)).done
    verdict = await stage.guard.type_text(stage.target, "one", text, seen)
    assert not stage.tmux.run("list-buffers", "-F", "#{buffer_name}")
    return verdict, stage.canvas.settled().count(text.encode()) > 1


@protects("record")
async def another_command_stands_there(stage: Stage) -> tuple[Verdict, bool]:
    seen = await stage.typed("two")
    verdict = await stage.guard.press_enter(stage.target, "one", 1, seen)
    return verdict, b"\r" in stage.canvas.settled()


@protects("entered")
async def this_enter_was_pressed_before(stage: Stage) -> tuple[Verdict, bool]:
    seen = await stage.typed()
    assert (await Guard(stage.pipe, stage.buffers).press_enter(stage.target, "one", 1, seen)).done
    verdict = await stage.guard.press_enter(stage.target, "one", 1, seen)
    return verdict, stage.canvas.settled().count(b"\r") > 1


@protects("entered")
async def an_enter_is_left_out(stage: Stage) -> tuple[Verdict, bool]:
    seen = await stage.typed()
    verdict = await stage.guard.press_enter(stage.target, "one", 3, seen)
    return verdict, b"\r" in stage.canvas.settled()


@protects("executor")
async def another_executor_has_taken_over(stage: Stage) -> tuple[Verdict, bool]:
    seen = await stage.typed()
    stage.tmux.run("set-option", "-t", KEEPER, "@taco_executor", "another")
    verdict = await stage.guard.press_enter(stage.target, "one", 1, seen)
    return verdict, b"\r" in stage.canvas.settled()


ALL = [
    pytest.param(clause, scenario, id=f"{clause}-{scenario.__name__}")
    for clause, scenarios in SCENARIOS.items()
    for scenario in scenarios
]


def test_every_clause_has_a_scenario() -> None:
    names = "identity pid dead mode input synchronized record entered composer head tail dialog cursor executor"
    assert set(SCENARIOS) == set(names.split())


@pytest.mark.parametrize(("clause", "scenario"), ALL)
async def test_the_whole_guard_refuses_and_says_why(stage: Stage, clause: str, scenario: Scenario) -> None:
    verdict, harm = await scenario(stage)
    assert not verdict.done
    assert verdict.refused == (clause,)
    assert not harm


@pytest.mark.parametrize(("clause", "scenario"), ALL)
async def test_without_its_clause_the_harm_is_done(stage: Stage, clause: str, scenario: Scenario) -> None:
    stage.without = frozenset({clause})
    verdict, harm = await scenario(stage)
    assert verdict.done
    assert harm
