from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from taco import redis_server
from taco.broker import Broker
from taco.models import CommandState, Event, EventType, Evidence, Ledger, Outcome, Priority, When
from tests.cli.conftest import Shop, forbidden, taco
from tests.support.paths import ROOT
from tests.support.tmux import KEEPER, Tmux


def ledger(shop: Shop, command_id: str) -> Ledger:
    async def read(broker: Broker) -> Ledger | None:
        return await broker.ledger(command_id)

    found = shop.do(read)
    assert found is not None
    return found


def message(shop: Shop, agent: str) -> str:
    async def read(broker: Broker) -> str:
        head = (await broker.heads(agent)).head
        return head.command.message if head else ""

    return shop.do(read)


def events(shop: Shop, kind: EventType) -> list[Event]:
    async def read(broker: Broker) -> list[Event]:
        return [each for each in await broker.events(count=1_000) if each.type is kind]

    return shop.do(read)


def finish(shop: Shop, agent: str, outcome: Outcome) -> None:
    async def end(broker: Broker) -> None:
        head = (await broker.heads(agent)).head
        assert head is not None
        assert await broker.finish(head, outcome, "2026-01-01T00:00:01.000Z")

    shop.do(end)


def test_it_prints_the_id_and_nothing_else(shop: Shop) -> None:
    done = taco("send", "api", "hello", "there")
    assert (done.code, done.err) == (0, "")
    stored = ledger(shop, done.out.strip())
    assert (stored.sender, stored.target, stored.state) == ("person", "api", CommandState.QUEUED)
    assert message(shop, "api") == "hello there"


@pytest.mark.parametrize("target", ["api", "3", "shop:3", "shop:3.0", "shop:api"])
def test_a_target_has_several_names(shop: Shop, target: str) -> None:
    done = taco("send", target, "hello")
    assert done.code == 0, done.err
    assert ledger(shop, done.out.strip()).target == "api"


@pytest.mark.parametrize("first", ["0", "1"])
def test_a_pane_that_is_not_the_agents_is_not_found(shop: Shop, tmux: Tmux, first: str) -> None:
    tmux.run("set-option", "-g", "pane-base-index", first)
    shop.record.changed(tmux_socket=tmux.socket).save()
    tmux.run("rename-session", "-t", KEEPER, "shop")
    pane = tmux.pane("cat", session="shop")
    tmux.run("set-option", "-p", "-t", pane, "@taco_agent", "shop/api")
    tmux.run("split-window", "-d", "-t", pane, "cat")
    mine, other = int(first), int(first) + 1
    for target in (f"shop:api.{mine}", f"shop:3.{mine}", "shop:3.0"):
        assert taco("send", target, "hello").code == 0
    for wrong in (other, 7):
        done = taco("send", f"shop:3.{wrong}", "hello")
        assert (done.code, done.out) == (5, "")
        assert f"pane {wrong} in the window of api is not its own" in done.err
        assert f"panes there: {mine} (api), {other} (no agent)" in done.err
    assert shop.do(lambda broker: broker.waiting_agents()) == {"api": 3}


def test_without_tmux_no_other_pane_is_an_agents(shop: Shop, tmux_socket: str) -> None:
    shop.record.changed(tmux_socket=tmux_socket).save()
    done = taco("send", "shop:api.1", "hello")
    assert (done.code, "send to the agent itself: shop:api" in done.err) == (5, True)


def test_an_unknown_target_lists_the_agents(shop: Shop) -> None:
    done = taco("send", "apo", "hello")
    assert (done.code, done.out) == (5, "")
    assert done.err == "error: no agent 'apo' in session shop — agents: mother, api, web\n"


@pytest.mark.parametrize("target", ["1", "monitor", "executor", "blog:3"])
def test_what_is_no_agent_is_not_found(shop: Shop, target: str) -> None:
    assert taco("send", target, "hello").code == 5


def test_priority_and_when_are_kept(shop: Shop) -> None:
    done = taco("send", "api", "hello", "--priority", "high", "--when=now")
    stored = ledger(shop, done.out.strip())
    assert (stored.priority, stored.when) == (Priority.HIGH, When.NOW)


def test_an_agent_sends_under_its_own_name(shop: Shop) -> None:
    done = taco("send", "api", "hello", env=shop.pane("web"))
    assert ledger(shop, done.out.strip()).sender == "web"
    assert taco("send", "api", "hello", "--from", "mother", env=shop.pane("web")).code == 1
    assert ledger(shop, taco("send", "api", "hello", "--from", "ci").out.strip()).sender == "ci"


def test_the_same_id_is_the_same_message(shop: Shop) -> None:
    first = taco("send", "api", "hello", "--id", "build_42")
    again = taco("send", "api", "hello", "--id", "build_42")
    other = taco("send", "api", "something else", "--id", "build_42")
    assert first.out == again.out == "build_42\n"
    assert (again.code, other.code) == (0, 1)
    assert "nothing is sent twice" in again.err
    assert shop.do(lambda broker: broker.waiting_agents()) == {"api": 1}


@pytest.mark.parametrize("command_id", ["", "a b", "#(x)", "ä", "-x", "x" * 65])
def test_an_id_is_letters_and_digits(shop: Shop, command_id: str) -> None:
    assert taco("send", "api", "hello", f"--id={command_id}").code == 2


def test_all_is_everybody_else(shop: Shop) -> None:
    done = taco("broadcast", "hello", env=shop.pane("web"))
    assert [line.split()[1] for line in done.out.splitlines()] == ["mother", "api"]
    found = taco("send", "all", "hello", "--json")
    assert [each["target"] for each in found.json] == ["mother", "api", "web"]


def test_the_person_is_told_by_an_event(shop: Shop) -> None:
    done = taco("send", "person", "I am\ndone", "--json", env=shop.pane("web"))
    assert (done.json["target"], done.json["state"]) == ("person", "delivered")
    told = events(shop, EventType.PERSON_MESSAGE)
    assert [(each.agent, each.content, each.data["message"]) for each in told] == [("web", "I am done", "I am\ndone")]


def test_json_is_the_ledger(shop: Shop) -> None:
    found = taco("send", "api", "hello", "--json").json
    assert list(found) == [
        "id",
        "sender",
        "target",
        "priority",
        "when",
        "state",
        "evidence",
        "attempts",
        "hold",
        "reason",
        "queued_at",
        "typed_at",
        "entered_at",
        "delivered_at",
    ]
    assert (found["state"], found["evidence"], found["typed_at"]) == ("queued", None, None)
    assert found == taco("queue", "show", found["id"], "--json").json


@pytest.mark.parametrize(
    "words",
    [
        ["-v is broken"],
        ["-"],
        ["--file"],
        ["-x", "-y"],
        ["--", "--priority", "high"],
        ["it's $HOME; `x` #(y) \\"],
        ["ü→🌮"],
    ],
)
def test_text_is_taken_as_it_is(shop: Shop, words: Sequence[str], tmp_path: Path) -> None:
    text = "line one\nline two\t\\"
    file = tmp_path / "message.txt"
    file.write_text(text)
    args = [*words, str(file)] if words == ["--file"] else list(words)
    done = taco("send", "api", *args, input=text if words == ["-"] else None)
    assert done.code == 0, done.err
    wanted = text if words in (["-"], ["--file"]) else " ".join(word for word in words if word != "--")
    assert message(shop, "api") == wanted


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (b"a\0b", "is binary"),
        (b"caf\xe9", "is not UTF-8: byte 3 is 0xe9"),
        (b"x" * 1_048_577, "is longer than 1,048,576 bytes"),
    ],
    ids=["empty", "blank", "binary", "latin-1", "too long"],
)
def test_what_is_no_message_is_refused_in_one_line(shop: Shop, body: bytes, says: str) -> None:
    done = taco("send", "api", "-", input=body)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert len(done.err.splitlines()) == 1


def test_a_megabyte_is_a_message(shop: Shop) -> None:
    body = "ü" * 524_288
    done = taco("send", "api", "-", input=body)
    assert done.code == 0, done.err
    assert message(shop, "api") == body


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["send"], "missing argument 'TARGET'"),
        (["send", "api"], "the message is missing"),
        (["send", "api", "hi", "--prioriti", "high"], "no option --prioriti"),
        (["send", "api", "hi", "--priority", "urgent"], "'urgent' is not one of"),
        (["send", "api", "hi", "--wait", "-3"], "-3"),
        (["send", "api", "hi", "--wait", "inf"], "inf"),
        (["send", "api", "hi", "--file", "/no/such"], "given twice"),
        (["send", "api", "--file", "/no/such"], "/no/such cannot be read"),
        (["send", "person", "hi", "--wait", "1"], "--wait waits for agents"),
        (["send", "shop:3", "hi", "--session", "blog"], "is not in session 'blog'"),
    ],
)
def test_a_call_that_cannot_work_is_a_usage_error(shop: Shop, args: Sequence[str], says: str) -> None:
    done = taco(*args)
    assert (done.code, done.out) == (2, "")
    assert says in done.err


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome(CommandState.DELIVERED, Evidence.SCREEN), 0),
        (Outcome(CommandState.DEAD, reason="the pane is gone"), 3),
        (Outcome(CommandState.UNCONFIRMED, reason="nobody saw it"), 4),
    ],
)
def test_wait_tells_how_it_ended(shop: Shop, outcome: Outcome, code: int) -> None:
    sent = taco("send", "api", "hello", "--id", "one")
    finish(shop, "api", outcome)
    done = taco("send", "api", "hello", "--id", "one", "--wait", "5", "--json")
    assert (sent.code, done.code, done.json["state"]) == (0, code, str(outcome.state))
    assert (outcome.reason or "delivered to api (screen)") in done.err


def test_wait_names_the_hold(shop: Shop) -> None:
    taco("send", "api", "hello", "--id", "one")
    shop.do(lambda broker: broker.held("api", "one", "a dialog is up: permission"))
    done = taco("send", "api", "hello", "--id", "one", "--wait", "0.1")
    assert (done.code, done.out) == (3, "one\n")
    assert "a dialog is up: permission" in done.err


@pytest.mark.parametrize("verb", [["broadcast"], ["send", "all"]])
@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["delivered", "delivered", "delivered"], 0),
        (["delivered", "dead", "delivered"], 3),
        (["unconfirmed", "dead", "delivered"], 4),
    ],
)
def test_waiting_for_everybody_tells_the_worst(shop: Shop, verb: list[str], states: list[str], code: int) -> None:
    agents = ["mother", "api", "web"]
    assert taco(*verb, "hello", "--id", "one").code == 0
    for agent, state in zip(agents, states, strict=True):
        evidence = Evidence.SCREEN if state == "delivered" else None
        finish(shop, agent, Outcome(CommandState(state), evidence, "" if evidence else f"{agent} is away"))
    done = taco(*verb, "hello", "--id", "one", "--wait", "5", "--json")
    assert (done.code, [each["state"] for each in done.json]) == (code, states), done.err
    lines = done.err.splitlines()
    assert [line.partition(" ")[0] for line in lines] == [f"{agent}:" for agent in agents]
    for agent, state, line in zip(agents, states, lines, strict=True):
        assert line.startswith(f"{agent}: {state}")
        assert (f"{agent} is away" in line) == (state != "delivered")


def test_waiting_for_everybody_ends_with_its_time(shop: Shop) -> None:
    taco("broadcast", "hello", "--id", "one")
    finish(shop, "api", Outcome(CommandState.DELIVERED, Evidence.SCREEN))
    done = taco("broadcast", "hello", "--id", "one", "--wait", "0.2")
    assert done.code == 3
    assert [line.split(" ")[0] for line in done.err.splitlines() if "stays queued" in line] == ["mother:", "web:"]
    assert done.out.splitlines() == ["one-mother  mother", "one-api  api", "one-web  web"]


def test_an_agent_waits_for_everybody_no_longer_than_its_tool_allows(shop: Shop) -> None:
    code = (
        "import sys; from taco.cli import waiting; waiting.AGENT_WAIT_S = 0.2; from taco.cli import caller;"
        "caller.AGENT_WAIT_S = 0.2; from taco.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "broadcast", "hello", "--wait", "600"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **shop.pane("web")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("the answer will come as a message")) == (75, 2), done.stderr


def test_everybody_is_a_list_even_when_it_is_one(shop: Shop) -> None:
    for window in (0, 4):
        shop.do(lambda broker, window=window: broker.remove_agent(window))  # type: ignore[misc]
    for words in (["send", "all"], ["broadcast"]):
        assert [each["target"] for each in taco(*words, "hello", "--json").json] == ["api"]
    finish(shop, "api", Outcome(CommandState.DELIVERED, Evidence.SCREEN))
    assert len(taco("broadcast", "hello", "--wait", "0", "--json").json) == 1


def test_wait_names_the_hold_of_the_one_before(shop: Shop) -> None:
    for each in ("one", "two"):
        taco("send", "api", "hello", "--id", each)
    shop.do(lambda broker: broker.held("api", "one", "paused"))
    done = taco("send", "api", "hello", "--id", "two", "--wait", "0.1")
    assert (done.code, "queued: behind others: paused" in done.err) == (3, True), done.err
    assert json.loads(taco("queue", "show", "two", "--json").out)["hold"] == "behind others: paused"
    assert json.loads(taco("queue", "show", "one", "--json").out)["hold"] == "paused"


def test_a_redis_that_is_down_is_started(shop: Shop) -> None:
    taco("send", "api", "first")
    redis_server.stop(shop.record.home)
    done = taco("send", "api", "second", env=shop.pane("web"))
    assert done.code == 0, done.err
    assert shop.do(lambda broker: broker.waiting_agents()) == {"api": 2}


def test_a_stopped_session_takes_no_messages_when_its_redis_is_down(shop: Shop) -> None:
    redis_server.stop(shop.record.home)
    shop.record.changed(status="stopped").save()
    done = taco("send", "api", "hello", "--session", "shop")
    assert done.code == 1
    assert "taco resume shop" in done.err


def test_a_sandboxed_agent_leaves_it_in_its_outbox(shop: Shop, short_tmp: Path) -> None:
    short_tmp.chmod(0o755)  # it is found below this directory
    outbox = short_tmp / "outbox"
    done = forbidden(shop, outbox, "send", "mother", "I am boxed in", "--id", "m1")
    assert (done.code, done.out) == (0, "m1\n"), done.err
    assert "queued through the outbox" in done.err
    assert forbidden(shop, outbox, "done", "all of it").code == 0
    assert [each["target"] for each in forbidden(shop, outbox, "broadcast", "hello", "--json").json] == ["all"]
    assert forbidden(shop, outbox, "ask", "which one?", "--choices", "a,b").code == 75
    files = sorted(outbox.iterdir())
    assert {each.suffix for each in files} == {".json"}
    calls = [json.loads(each.read_text()) for each in files]
    assert [each["verb"] for each in calls] == ["send", "done", "send", "ask"]
    assert calls[0] | {"id": "m1", "sender": "web", "target": "mother", "message": "I am boxed in"} == calls[0]
    assert (calls[1]["text"], calls[3]["text"]) == ("all of it", "which one?")


def test_an_agent_sends_files_of_its_workspace_only(shop: Shop, tmp_path: Path) -> None:
    shop.record.changed(project_dir=tmp_path, agents=({"name": "web", "workspace": "web"},)).save()
    (tmp_path / "web").mkdir()
    for path in (tmp_path / "web" / "mine.txt", tmp_path / "secret.txt"):
        path.write_text("hello")
    (tmp_path / "web" / "link.txt").symlink_to(tmp_path / "secret.txt")
    for name, code in (("web/mine.txt", 0), ("secret.txt", 1), ("web/link.txt", 1), ("web/../secret.txt", 1)):
        assert taco("send", "api", "--file", str(tmp_path / name), env=shop.pane("web")).code == code
    assert taco("send", "api", "--file", str(tmp_path / "secret.txt")).code == 0
