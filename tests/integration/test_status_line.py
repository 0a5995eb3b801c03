"""What waits, in the status line of a real tmux: before the person's own words, and gone without a trace."""

from __future__ import annotations

import pytest

from taco.orchestrator.status_line import StatusLine
from taco.tmux import windows
from taco.tmux.commands import CommandPipe
from tests.support.tmux import KEEPER, Tmux

PERSONS = "#[fg=colour208]#(true)#{?client_prefix,P,},{x} 'me' #S %H"
SESSION_ONLY = f"for this one #{{session_name}} {'long ' * 20}"


@pytest.fixture
def person(any_tmux: Tmux) -> Tmux:
    """A person's server; with the hostile configuration they have a status line of their own, too."""
    if any_tmux.conf.name != "null":
        any_tmux.run("set-option", "-g", "status-right", PERSONS, ";", "set-option", "-g", "status-right-length", "12")
    return any_tmux


def everybodys(tmux: Tmux) -> str:
    return tmux.run("show-options", "-g") + tmux.run("show-options", "-gw")


def own(tmux: Tmux, session: str = KEEPER) -> str:
    return tmux.run("show-options", "-t", f"={session}:")


def shown(tmux: Tmux, session: str = KEEPER) -> str:
    return tmux.show(f"={session}:", "#{T:status-right}")


async def test_it_comes_goes_and_leaves_nothing_behind(person: Tmux) -> None:
    before, theirs, all_ = own(person), shown(person), everybodys(person)
    prefix = "C-a" if person.conf.name != "null" else "C-b"
    line = StatusLine(CommandPipe(person.socket), KEEPER)
    await line.show(2)
    assert shown(person) == f"#[bold]2 waiting · {prefix} 1#[nobold]  {theirs}"
    await line.show(3)
    assert shown(person).startswith(f"#[bold]3 waiting · {prefix} 1")
    await line.show(0)
    assert (own(person), shown(person), everybodys(person)) == (before, theirs, all_)


@pytest.mark.parametrize("value", [SESSION_ONLY, "", PERSONS])
async def test_what_was_set_for_this_session_stands_behind_it_and_comes_back(person: Tmux, value: str) -> None:
    person.run("set-option", "-t", KEEPER, "status-right", value)
    person.run("set-option", "-t", KEEPER, "status-right-length", "70")
    before, theirs = own(person), shown(person)
    line = StatusLine(CommandPipe(person.socket), KEEPER)
    await line.show(1)
    assert shown(person).endswith(f"#[nobold]  {theirs}")
    assert int(person.run("show-options", "-v", "-t", KEEPER, "status-right-length")) > 80
    await line.show(0)
    assert (own(person), shown(person)) == (before, theirs)


async def test_another_executor_takes_over_what_is_there(person: Tmux) -> None:
    before, theirs = own(person), shown(person)
    pipe = CommandPipe(person.socket)
    await StatusLine(pipe, KEEPER).show(2)
    after = StatusLine(pipe, KEEPER)
    await after.show(1)
    assert shown(person).count("waiting") == 1
    await after.show(0)
    assert (own(person), shown(person)) == (before, theirs)


async def test_a_session_that_was_renamed_is_found(person: Tmux) -> None:
    pipe = CommandPipe(person.socket)
    pane = await windows.open_window(pipe, KEEPER, 7, "monitor", cwd="/")
    await windows.run_in(pipe, pane, ["sleep", "600"], cwd="/", owner=f"{KEEPER}/monitor")
    person.run("rename-session", "-t", KEEPER, "theirs now")
    await StatusLine(pipe, KEEPER).show(1)
    assert "1 waiting" in shown(person, "theirs now")


@pytest.mark.parametrize(
    ("key", "hint"), [("C-Space", "C-Space 1"), ("None", "window 1"), ("M-}", "M-} 1"), (",", ", 1")]
)
async def test_the_hint_is_the_persons_own_key(person: Tmux, key: str, hint: str) -> None:
    person.run("set-option", "-t", KEEPER, "prefix", key)
    await StatusLine(CommandPipe(person.socket), KEEPER).show(1)
    assert f"1 waiting · {hint}#[nobold]" in shown(person)


async def test_nothing_is_told_to_tmux_while_the_number_stays(person: Tmux) -> None:
    pipe = CommandPipe(person.socket)
    line = StatusLine(pipe, KEEPER)
    await line.show(1)
    batches = pipe.batches
    await line.show(1)
    assert pipe.batches == batches


async def test_a_status_line_of_several_lines_is_left_alone(person: Tmux) -> None:
    person.run("set-option", "-t", KEEPER, "status-right", "two\nlines")
    before = own(person)
    await StatusLine(CommandPipe(person.socket), KEEPER).show(1)
    assert own(person) == before
