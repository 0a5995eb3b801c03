"""What tmux is told when something waits for the person."""

from __future__ import annotations

from dataclasses import replace

from taco.models import Agent, AgentState, AgentStatus, Ask, Level
from taco.orchestrator.status_line import Line, commands, count

PLAIN = Line(everybodys="%H:%M", everybodys_length="40", prefix="C-b")
DIALOG = AgentState(Level.WAITING, "permission")


def test_what_waits() -> None:
    team = [
        Agent(3, "a", status=AgentStatus.RUNNING, state=DIALOG),
        Agent(4, "b", status=AgentStatus.STOPPED, state=DIALOG),
        Agent(5, "c", status=AgentStatus.RUNNING, state=AgentState(Level.BUSY)),
    ]
    assert count(team, [Ask("q", "c", "?", "")], plan=True) == 3
    assert count(team[1:], [], plan=False) == 0


def test_the_sign_stands_before_what_everybody_sees() -> None:
    told = " ; ".join(commands("shop", 2, PLAIN))
    assert "'@taco_waiting' '2'" in told
    assert "'#{?@taco_waiting,#[bold]#{@taco_waiting} waiting · C-b 1#[nobold]  ,}%H:%M'" in told
    assert "'status-right-length' '62'" in told
    assert all("'-t' '=shop:'" in each and "-g" not in each for each in commands("shop", 2, PLAIN))


def test_what_the_person_set_for_this_session_comes_back() -> None:
    own = replace(PLAIN, own="mine", own_length="9")
    told = " ; ".join(commands("shop", 1, own))
    assert "'@taco_kept_status-right' 'mine'" in told
    assert "nobold]  ,}mine'" in told
    ours = replace(own, own="#{?@taco_waiting,x,}mine", kept="mine", kept_length="9")
    back = " ; ".join(commands("shop", 0, ours))
    assert "'status-right' 'mine'" in back
    assert "'status-right-length' '9'" in back
    back = " ; ".join(commands("shop", 0, replace(ours, kept=None, kept_length=None)))
    assert "'-qu' '-t' '=shop:' 'status-right'" in back


def test_another_number_changes_one_option() -> None:
    (told,) = commands("shop", 3, replace(PLAIN, own="#{?@taco_waiting,x,}%H:%M"))
    assert "'@taco_waiting' '3'" in told


def test_nothing_waits_and_nothing_is_ours() -> None:
    assert not any("'status-right'" in each for each in commands("shop", 0, replace(PLAIN, own="mine")))


def test_a_prefix_that_means_something_to_a_format_does_not_here() -> None:
    told = " ; ".join(commands("shop", 1, replace(PLAIN, prefix="C-},#")))
    assert "· C-#}#,## 1#[nobold]" in told
    assert "window 1" in " ; ".join(commands("shop", 1, replace(PLAIN, prefix="")))
