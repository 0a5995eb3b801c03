from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from taco.broker import Broker
from taco.models import Agent, AgentState, AgentStatus, Ask, Command, CommandState, Evidence, Level, Outcome
from tests.cli.conftest import Shop, taco
from tests.support.paths import ROOT
from tests.support.waiting import wait_for

AT = "2026-01-01T00:00:00.000Z"


def ask(shop: Shop, question: str, agent: str = "web") -> str:
    done = taco("ask", question, "--wait", "0", env=shop.pane(agent))
    assert done.code == 0, done.err
    return done.out.strip()


def queued(shop: Shop, agent: str) -> Command | None:
    async def read(broker: Broker) -> Command | None:
        head = (await broker.heads(agent)).head
        return head.command if head else None

    return shop.do(read)


def test_a_question_is_answered_by_a_message(shop: Shop) -> None:
    asked = ask(shop, "Which colour?")
    done = taco("answer", "blue,", "of course")
    assert done.code == 0, done.err
    command = queued(shop, "web")
    assert command is not None
    assert (command.id, command.sender, command.target) == (f"answer-{asked}", "person", "web")
    assert "Which colour?" in command.message
    assert command.message.endswith("blue, of course")
    assert taco("inbox", "--json").json["asks"] == []


def test_of_several_questions_one_is_named(shop: Shop) -> None:
    first, second = ask(shop, "one?"), ask(shop, "two?", "api")
    done = taco("answer", "yes")
    assert (done.code, first in done.err, second in done.err) == (5, True, True)
    assert taco("answer", second, "yes").code == 0
    again = taco("answer", second, "no")
    assert (again.code, "answered already: yes" in again.err) == (1, True)
    assert taco("answer", "to the one that is left").code == 0
    assert taco("answer", "more").code == 5
    assert taco("answer").code == 2
    assert taco("answer", second).code == 1


def test_an_id_that_nobody_has_is_not_an_answer(shop: Shop) -> None:
    asked = ask(shop, "one?")
    for wrong in ("a1b2c3", f"{asked[:5]}{'x' if asked[5] != 'x' else 'y'}"):
        done = taco("answer", wrong, "yes")
        assert (done.code, f"there is no question '{wrong}'" in done.err) == (5, True)
    assert taco("answer", asked, "a1b2c3").code == 0


def test_an_answer_in_other_words_after_a_crash_is_sent_too(shop: Shop) -> None:
    asked = ask(shop, "one?")
    shop.do(lambda broker: broker.enqueue(Command(f"answer-{asked}", "person", "web", "cut off")))
    done = taco("answer", asked, "yes", "--json")
    found = taco("answer", asked, "yes")
    assert (done.code, found.code) == (0, 1), done.err
    assert taco("queue", "--json").code == 0
    assert taco("inbox", "--json").json["asks"] == []


def test_who_waits_reads_the_answer_and_gets_no_message(shop: Shop) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "taco", "ask", "Which colour?", "--wait", "60"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **shop.pane("web")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(lambda: taco("inbox", "--json").json["asks"])
        assert taco("answer", "blue").code == 0
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "blue\n")
    assert queued(shop, "web") is None
    events = map(json.loads, taco("log", "--json").out.splitlines())
    (event,) = (each for each in events if each["type"] == "command.cancelled")
    assert event["content"] == "read where it was asked"


def test_an_answer_that_does_not_come_in_time_comes_as_a_message(shop: Shop) -> None:
    done = taco("ask", "Which colour?", "--wait", "0.1", env=shop.pane("web"))
    assert done.code == 75
    assert "the answer will come as a message" in done.err
    assert taco("inbox", "--json").json["asks"][0]["id"] == done.out.strip()


def test_choices_are_numbered_and_nothing_else_is_an_answer(shop: Shop) -> None:
    done = taco("ask", "Which?", "--choices", "Postgres, SQLite", "--wait", "0", env=shop.pane("web"))
    assert (done.code, taco("inbox", "--json").json["asks"][0]["choices"]) == (0, ["Postgres", "SQLite"])
    wrong = taco("answer", "MySQL")
    assert (wrong.code, "1. Postgres, 2. SQLite" in wrong.err) == (2, True)
    assert taco("approve", done.out.strip()).code == 2
    assert "taco answer" in taco("inbox").out
    assert taco("answer", "2").code == 0
    command = queued(shop, "web")
    assert command is not None
    assert command.message.endswith(": SQLite")


@pytest.mark.parametrize("choices", ["one", "a,A", ",".join("abcdefghij")])
def test_choices_that_are_none(shop: Shop, choices: str) -> None:
    done = taco("ask", "Which?", "--choices", choices, env=shop.pane("web"))
    assert (done.code, "give two to 9 different answers" in done.err) == (2, True)


def test_a_question_is_approved_or_denied(shop: Shop) -> None:
    first = ask(shop, "May I?")
    bare = taco("approve")  # a yes that was meant for a dialog
    assert (bare.code, f"questions need their id: {first} (web)" in bare.err) == (5, True)
    assert taco("approve", first).code == 0
    second = ask(shop, "May I too?", "api")
    assert taco("deny", second, "not", "today").code == 0
    texts = [str(getattr(queued(shop, name), "message", "")) for name in ("web", "api")]
    assert [text.rpartition("”: ")[2] for text in texts] == ["yes", "no: not today"]
    again = taco("approve", first)
    assert (again.code, "answered already: yes" in again.err) == (1, True)


def test_what_nobody_asked_is_neither_approved_nor_denied(shop: Shop) -> None:
    for words in (["approve"], ["deny"], ["approve", "a1b2c3"], ["deny", "a1b2c3", "why"], ["approve", "web"]):
        done = taco(*words)
        assert (done.code, "taco inbox" in done.err) == (5, True), done.err
    assert taco("approve", "plan").code == 1
    assert taco("deny", "plan").code == 1


def test_of_several_dialogs_one_is_named(shop: Shop) -> None:
    asks = [Ask(f"d{name}0001", name, "make", AT, kind="permission", dialog=name, pid=1) for name in ("web", "api")]
    for each in asks:
        shop.do(lambda broker, each=each: broker.open_ask(each))
    done = taco("approve")
    assert (done.code, "2 wait: say which one" in done.err, "dweb0001 (web)" in done.err) == (5, True, True)
    assert "has no plain yes" in taco("approve", "api").err


def test_a_dialog_whose_window_is_gone_is_not_answered(shop: Shop) -> None:
    shop.do(lambda broker: broker.open_ask(Ask("d00001", "web", "make", AT, "", "", "permission", ("1. Yes",), "f", 1)))
    done = taco("approve", "d00001", "--json")
    assert done.code == 5
    assert done.json["error"]["message"].startswith("web has no window")
    assert taco("answer", "d00001", "7").code == 2


@pytest.mark.parametrize("words", [["answer", "yes"], ["approve"], ["deny"], ["approve", "plan"]])
def test_an_agent_answers_nothing(shop: Shop, words: list[str]) -> None:
    ask(shop, "May I?")
    done = taco(*words, env=shop.pane("web"))
    assert (done.code, "is the person's to run" in done.err) == (1, True)
    assert len(taco("inbox", "--json").json["asks"]) == 1


def test_the_person_does_not_ask(shop: Shop) -> None:
    assert taco("ask", "why?").code == 2


def test_the_persons_inbox(shop: Shop) -> None:
    asked = ask(shop, "Which\ncolour?")
    taco("send", "person", "look at\nthis", env=shop.pane("api"))
    state = AgentState(Level.WAITING, "permission", 1_700_000_000.0, "screen")
    shop.do(lambda broker: broker.put_agent(Agent(5, "box", status=AgentStatus.RUNNING, state=state)))
    found = taco("inbox", "--json").json
    assert found["asks"][0]["question"] == "Which\ncolour?"
    assert found["dialogs"][0] | {"agent": "box", "window": 5, "what": "permission"} == found["dialogs"][0]
    assert [(each["sender"], each["text"]) for each in found["messages"]] == [("api", "look at\nthis")]
    out = taco("inbox").out
    for part in (f"taco answer {asked}", "    colour?", "permission", "window 5", "    this"):
        assert part in out


def test_an_agents_inbox_is_what_it_got(shop: Shop) -> None:
    async def deliver(broker: Broker) -> None:
        for name in ("one", "two"):
            await broker.enqueue(Command(name, "person", "web", f"hello {name}"))
            head = (await broker.heads("web")).head
            assert head is not None
            await broker.finish(head, Outcome(CommandState.DELIVERED, Evidence.SCREEN), "2026-01-01T00:00:01.000Z")

    shop.do(deliver)
    found = taco("inbox", "--json", env=shop.pane("web")).json
    assert [(each["id"], each["sender"], each["text"]) for each in found["messages"]] == [
        ("one", "person", "hello one"),
        ("two", "person", "hello two"),
    ]
    assert len(taco("inbox", "-n", "1", "--json", env=shop.pane("web")).json["messages"]) == 1
    assert taco("inbox", env=shop.pane("api")).out == ""
