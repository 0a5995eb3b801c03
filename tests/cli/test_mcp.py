"""`taco mcp`, spoken to by the SDK's own client over its standard input and output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from taco import redis_server
from taco.cli.caller import AGENT_VERBS
from taco.cli.tools import TOOLS
from taco.hooks import TOOLS as NAMES
from tests.cli.conftest import Shop, taco
from tests.support.mcp import SERVER, Speaker, speaker
from tests.support.paths import ROOT
from tests.support.waiting import wait_for

# Root may connect to anything, so it becomes nobody; by then all that is imported later must be loaded.
FORBIDDEN = """
import os, sys
from anyio._backends import _asyncio
from taco.__main__ import main
from taco import broker, files, supervision
from taco.cli import app, mcp, mcp_server, outbox, tools
if os.getuid() == 0:
    os.setuid(65534)
sys.exit(main())
"""


@pytest.fixture
def web(shop: Shop) -> Iterator[Speaker]:
    """The tools of the agent web."""
    with speaker(shop.pane("web")) as found:
        yield found


def waiting(shop: Shop, agent: str) -> list[tuple[str, str]]:
    """Sender and text of the first message that waits for an agent, of each priority."""

    async def read(broker: Any) -> list[tuple[str, str]]:
        heads = await broker.heads(agent)
        return [(heads.head.command.sender, heads.head.command.message)] if heads.head else []

    return shop.do(read)


# What is offered


def test_the_tools_are_the_verbs_of_agents_and_no_other(web: Speaker) -> None:
    verbs = [f"{verb} {sub}" if sub else verb for verb, subs in AGENT_VERBS.items() for sub in sorted(subs or [""])]
    assert sorted(each.verb for each in TOOLS) == sorted(set(verbs) - {"mcp"})
    found = web.tools()
    assert found.keys() == set(NAMES) == {each.name for each in TOOLS}
    for each in found.values():
        assert each.description and each.description.count("\n") == 0
        assert each.input_schema["additionalProperties"] is False
        assert all(field["description"] for field in each.input_schema["properties"].values())
        assert each.annotations is not None and each.annotations.destructive_hint is False
    assert found["send"].input_schema["required"] == ["target", "text"]
    assert list(found["send"].input_schema["properties"])[:2] == ["target", "text"]


def test_no_tool_reads_a_file_for_its_caller(web: Speaker) -> None:
    assert not any("file" in each.input_schema["properties"] for each in web.tools().values())


# Messages


def test_send(shop: Shop, web: Speaker) -> None:
    text = "two lines:\n→ naïve, 'quoted' {braces} -"
    found = web.answer("send", target="api", text=text, priority="high", id="m1")
    (message,) = found["messages"]
    assert (found["state"], message["id"], message["sender"], message["target"]) == ("queued", "m1", "web", "api")
    assert waiting(shop, "api") == [("web", text)]
    again = web.answer("send", target="3", text=text, priority="high", id="m1")
    assert again["notes"] == ["it was sent before under this id; nothing is sent twice"]


def test_a_text_is_never_an_option_nor_standard_input(shop: Shop, web: Speaker) -> None:
    for text in ("-", "--wait", "--help"):
        web.answer("send", target="api", text=text)
    assert waiting(shop, "api") == [("web", "-")]


def test_a_message_to_the_person_is_there_at_once(shop: Shop, web: Speaker) -> None:
    found = web.answer("send", target="person", text="look here")
    assert found["state"] == "delivered"
    assert [each["text"] for each in taco("inbox", "--json").json["messages"]] == ["look here"]
    assert web.error("send", target="person", text="x", wait_s=1)["code"] == "usage"


def test_a_delivery_is_waited_for(shop: Shop, web: Speaker) -> None:
    found = web.answer("send", target="api", text="x", wait_s=0)
    assert (found["state"], found["messages"][0]["state"]) == ("not_delivered", "queued")
    assert "it stays queued" in found["notes"][0]
    known = web.answer("send", target="api", text="y", wait_s=0, id="m2")["messages"][0]["id"]
    shop.do(lambda broker: broker.cancel(known))
    ended = web.answer("send", target="api", text="y", wait_s=5, id="m2")
    assert (ended["state"], ended["messages"][0]["state"]) == ("not_delivered", "cancelled")


def test_a_wait_that_is_longer_than_an_agents_tool_may_take_says_waiting(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from taco.cli import caller, tools, waiting

    monkeypatch.setattr(caller, "AGENT_WAIT_S", 0.05)
    monkeypatch.setattr(waiting, "AGENT_WAIT_S", 0.05)
    for key, value in shop.pane("web").items():
        monkeypatch.setenv(key, value)
    call = tools.Call(caller.Caller("web", "shop"))
    found = tools.call(tools.named("send", call.who), call, {"target": "api", "text": "x", "wait_s": 60})
    assert found["state"] == "waiting"
    assert "the answer will come as a message" in found["notes"][0]


def test_broadcast(shop: Shop, web: Speaker) -> None:
    found = web.answer("broadcast", text="commit before noon")
    assert [each["target"] for each in found["messages"]] == ["mother", "api"]
    assert waiting(shop, "mother") == [("web", "commit before noon")]


def test_inbox(shop: Shop, web: Speaker) -> None:
    assert web.answer("inbox", count=5) == {"messages": []}
    assert web.error("inbox", count=0)["code"] == "usage"


# Questions, reports, status


def test_an_answer_in_time_is_the_result(shop: Shop, web: Speaker) -> None:
    asking = web.portal.start_task_soon(web.client.call_tool, "ask", {"question": "Which?", "choices": ["a", "b"]})
    (asked,) = wait_for(lambda: taco("inbox", "--json").json["asks"], what="the question")
    # nothing that waits holds up the others
    assert web.answer("send", target="api", text="meanwhile")["state"] == "queued"
    assert (asked["agent"], asked["question"], asked["choices"]) == ("web", "Which?", ["a", "b"])
    assert taco("answer", asked["id"], "b").code == 0
    found = asking.result(30).structured_content
    assert found == {"state": "answered", "id": asked["id"], "answer": "b"}
    assert not waiting(shop, "web")


def test_without_an_answer_it_will_come_as_a_message(shop: Shop, web: Speaker) -> None:
    found = web.answer("ask", question="Which?", wait_s=0)
    assert found["state"] == "waiting"
    assert "the answer will come as a message" in found["notes"][0]
    assert taco("answer", found["id"], "the first").code == 0
    assert waiting(shop, "web")[0][1].endswith("the first")
    assert web.error("ask", question="Which?", choices=["one"])["message"].startswith("--choices 'one'")


def test_reports(shop: Shop, web: Speaker) -> None:
    assert web.answer("fail", reason="no network")["state"] == "failed"
    assert web.answer("done", summary="it stands")["notes"] == ["recorded: web is done"]
    found = {each["name"]: each for each in web.answer("status")["agents"]}
    assert found["web"]["done"] == "it stands"


def test_status_is_that_of_the_verb(shop: Shop, web: Speaker) -> None:
    mine, verbs = web.answer("status"), taco("status", "--json", env=shop.pane("web")).json
    assert mine.pop("notes", ["session shop is down"])[0].startswith("session shop is down")  # there is no tmux
    for each in (mine, verbs):
        each["executor"].pop("heartbeat_age_s")
    assert mine == verbs


# Services


def test_services(shop: Shop, web: Speaker) -> None:
    made = web.answer("service_register", name="pages", health="tcp")
    assert (made["state"], made["owner"], made["url"]) == ("registered", "web", f"http://localhost:{made['port']}")
    assert web.answer("service_url", name="pages")["url"] == made["url"]
    late = web.answer("service_wait", name="pages", timeout_s=0)
    assert (late["state"], late["url"]) == ("waiting", None)
    assert web.error("service_url", name="db")["code"] == "not_found"


def test_services_are_refused_as_by_the_verb(web: Speaker) -> None:
    refused: list[tuple[dict[str, Any], str, str]] = [
        ({"health": "curl -f localhost"}, "refused", "is a command, which only the person may give"),
        ({"health": "http://example.com/"}, "refused", "is not on this machine"),
        ({"url": "http://example.com/"}, "refused", "is not on this machine"),
        ({"name": "No Name"}, "usage", "is no name for a service"),
        ({"port": 70_000}, "usage", "service_register: port: "),
    ]
    for given, code, message in refused:
        error = web.error("service_register", **{"name": "pages"} | given)
        assert (error["code"], message in error["message"]) == (code, True), error


# Errors


ERRORS: list[tuple[str, dict[str, Any], str, str]] = [
    ("send", {"target": "api"}, "usage", "send: text is missing"),
    ("send", {"target": "api", "text": "x", "file": "/etc/passwd"}, "usage", "send: file is unknown"),
    ("send", {"target": "api", "text": "x", "sender": "mother"}, "usage", "send: sender is unknown"),
    ("send", {"target": "api", "text": "x", "priority": "now"}, "usage", "send: priority: input should be"),
    ("send", {"target": "api", "text": "x", "wait_s": -1}, "usage", "send: wait_s: input should be"),
    ("send", {"target": "api", "text": " "}, "usage", "the message is empty"),
    ("send", {"target": "api", "text": "a\0b"}, "usage", "the message is binary"),
    ("send", {"target": "api", "text": "x" * 1_048_577}, "usage", "the message is longer than 1,048,576 bytes"),
    ("send", {"target": "api", "text": "x", "id": "a b"}, "usage", "--id 'a b' is no id"),
    ("send", {"target": "nobody", "text": "x"}, "not_found", "no agent 'nobody' in session shop"),
    ("send", {"target": "other:api", "text": "x"}, "refused", "agent web belongs to session shop"),
    ("queue", {}, "not_found", "no tool 'queue'"),
]


def test_errors_are_those_of_the_verb(web: Speaker) -> None:
    for name, given, code, message in ERRORS:
        error = web.error(name, **given)
        assert error["code"] == code, error
        assert error["message"].startswith(message)


def test_a_full_queue_is_told(shop: Shop, web: Speaker) -> None:
    limits = {"sender_limit": "1"}
    shop.do(lambda broker: broker.put_session(limits))
    web.answer("send", target="api", text="one")
    error = web.error("send", target="api", text="two")
    assert (error["code"], error["message"]) == ("queue_full", "web has 1 messages waiting for api already")


def test_a_stopped_session_says_how_to_go_on(shop: Shop) -> None:
    with speaker(shop.pane("web")) as web:
        shop.record.changed(status="stopped").save()
        redis_server.stop(shop.record.home)
        error = web.error("send", target="api", text="x")
        assert error["message"] == "session shop is stopped, and so is its Redis"
        assert "taco resume shop" in error["hint"]


def test_it_goes_on_when_redis_comes_back(shop: Shop, web: Speaker) -> None:
    web.answer("send", target="api", text="before")
    redis_server.stop(shop.record.home)
    assert web.answer("send", target="mother", text="after")["state"] == "queued"
    assert waiting(shop, "mother") == [("web", "after")]


# Who calls


def test_without_an_identity_it_says_what_is_missing(shop: Shop) -> None:
    done = taco("mcp")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: no TACO_AGENT says whose tools these are — in an agent CLI of your own: taco mcp --session NAME,"
        " which speaks as the person\n"
    )


def test_a_person_names_the_session_and_speaks_as_themselves(shop: Shop) -> None:
    with speaker({}, "--session", "shop") as person:
        assert person.tools().keys() == set(NAMES) - {"ask", "done", "fail"}
        assert person.answer("send", target="api", text="x")["messages"][0]["sender"] == "person"
        assert person.answer("inbox").keys() == {"asks", "dialogs", "plan", "messages"}
        assert person.error("done", summary="x")["code"] == "not_found"


def test_an_agent_stays_in_its_session(shop: Shop) -> None:
    with speaker(shop.pane("web"), "--session", "other") as web:
        assert web.error("status")["code"] == "refused"


def test_agents_may_start_it(shop: Shop) -> None:
    assert taco("mcp", "--help", env=shop.pane("web")).code == 0


# The sandbox that forbids to connect


def test_what_cannot_connect_goes_through_the_outbox(shop: Shop, short_tmp: Path) -> None:
    closed = Path(shop.url.removeprefix("unix://").partition("?")[0]).parent
    short_tmp.chmod(0o755)  # it is found below this directory
    box = short_tmp / "outbox"
    box.mkdir()
    box.chmod(0o777)
    environment = shop.pane("web", TACO_OUTBOX=str(box))
    with speaker(environment, "mcp", command=("-c", FORBIDDEN)) as web:
        web.tools()
        closed.chmod(0 if os.getuid() else 0o700)
        try:
            sent = web.answer("send", target="api", text="x")
            done = web.answer("done", summary="it stands")
            asked = web.answer("ask", question="Which?")
        finally:
            closed.chmod(0o700)
    assert sent["notes"] == ["queued through the outbox: this sandbox does not allow connections"]
    assert "recorded through the outbox: this sandbox does not allow connections" in done["notes"]
    assert (sent["state"], done["state"], asked["state"]) == ("queued", "done", "waiting")
    dropped = [json.loads(path.read_text()) for path in sorted(box.iterdir())]
    assert [each["verb"] for each in dropped] == ["send", "done", "ask"]


# The process


@dataclass
class Raw:
    """The server without a client: lines in, lines out."""

    process: subprocess.Popen[bytes]

    def say(self, method: str, id_: int | None = None, **params: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if id_ is None else {"id": id_})
        self.line(json.dumps(message))

    def line(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


@pytest.fixture
def raw(shop: Shop) -> Iterator[Raw]:
    """A server that has been greeted."""
    argv = [sys.executable, *SERVER]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **shop.pane("web")}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        found = Raw(process)
        client = {"name": "test", "version": "1"}
        found.say("initialize", 1, protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        assert found.hear()["result"]["serverInfo"]["name"] == "taco"
        found.say("notifications/initialized")
        yield found
        process.kill()


def test_it_ends_with_its_client_also_while_somebody_waits(raw: Raw) -> None:
    raw.say("tools/call", 2, name="ask", arguments={"question": "Which?"})
    wait_for(lambda: taco("inbox", "--json").json["asks"], what="the question")
    assert raw.process.stdin is not None
    raw.process.stdin.close()
    assert raw.process.wait(30) == 0


def test_an_answer_to_a_call_that_was_cancelled_comes_as_a_message(shop: Shop, raw: Raw) -> None:
    raw.say("tools/call", 2, name="ask", arguments={"question": "Which?"})
    (asked,) = wait_for(lambda: taco("inbox", "--json").json["asks"], what="the question")
    raw.say("notifications/cancelled", requestId=2)
    raw.say("ping", 3)
    while raw.hear().get("id") != 3:
        pass
    assert taco("answer", asked["id"], "this one").code == 0
    raw.say("tools/call", 4, name="ask", arguments={"question": "And now?", "wait_s": 0.5})
    assert raw.hear()["id"] == 4  # longer than the first would take to see its answer
    assert waiting(shop, "web")[0][1].endswith("this one")


def test_a_client_that_is_gone_ends_it_whatever_is_to_be_said(raw: Raw) -> None:
    raw.say("tools/call", 2, name="ask", arguments={"question": "Which?"})
    assert raw.process.stdin is not None and raw.process.stdout is not None
    raw.process.stdout.close()
    raw.say("tools/call", 3, name="status", arguments={})
    raw.process.stdin.close()
    assert raw.process.wait(30) in (0, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(raw: Raw, number: signal.Signals) -> None:
    raw.process.send_signal(number)
    assert raw.process.wait(30) == -number


def test_only_the_protocol_goes_to_standard_output(raw: Raw) -> None:
    raw.say("tools/call", 2, name="send", arguments={"target": "api", "text": "x"})
    assert raw.hear()["id"] == 2
    assert raw.process.stdin is not None and raw.process.stdout is not None
    raw.process.stdin.close()
    assert raw.process.stdout.read() == b""


@pytest.mark.parametrize("line", ["no json", '{"jsonrpc": "2.0"}', "[]", "", '{"id": 9, "method": "nope"}'])
def test_a_line_that_is_none_does_not_end_it(raw: Raw, line: str) -> None:
    raw.line(line)
    raw.say("ping", 3)
    while (heard := raw.hear()).get("id") != 3:
        assert "error" in heard
    assert heard["result"] == {}


def test_half_a_character_is_refused(raw: Raw) -> None:
    raw.line(
        '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":'
        '{"name":"send","arguments":{"target":"api","text":"\\ud800"}}}'
    )
    raw.say("ping", 3)
    heard = raw.hear()
    assert "error" in heard or heard["id"] == 3, heard
