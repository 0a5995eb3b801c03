"""What waits for the person is kept in step with the screens, and they are told of it."""

from __future__ import annotations

import http.server
import json
import shlex
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taco import paths
from taco.agents import Agents, Ground
from taco.answering import Hand
from taco.config import Config
from taco.models import Ask, EventType, iso
from taco.orchestrator.asking import GONE, Asking
from taco.orchestrator.desk import Desk
from taco.orchestrator.notices import Notices
from tests.hostile import hostile_argv, hostile_provider, read_log
from tests.support.delivery import SESSION, Rig
from tests.support.waiting import wait_for_async

AT = "2026-01-01T00:00:00.000Z"


class Office:
    """The rooms that ask the person, on a rig; `rounds` are made by the test."""

    def __init__(self, rig: Rig, **settings: Any) -> None:
        self.rig = rig
        self.settings = Config(**settings)
        self.rings = 0
        self.now = 1_800_000_000.0
        self.desk = self.make_desk()
        self.asking = Asking(self.desk)
        self.notices = Notices(self.desk, self.ring)

    def ring(self) -> None:
        self.rings += 1

    def make_desk(self) -> Desk:
        rig = self.rig
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(rig.directory)}
        ground = Ground(SESSION, rig.directory / "s", rig.directory, environ, rig.directory, "unix:///r")
        office = self

        class Clocked(Desk):
            def now(self) -> float:
                return office.now

        return Clocked(
            record=paths.SessionRecord(SESSION, rig.directory, project_dir=rig.directory, provider="hostile"),
            config=Config(),
            broker=rig.broker,
            pipe=rig.pipe,
            observer=rig.observer,
            executor=rig.executor,
            agents=Agents(ground, rig.pipe, lambda: self.now),
            ground=ground,
            providers=rig.providers,
            hand=Hand(SESSION, rig.pipe, rig.guard),
            settings=lambda: self.settings,
        )

    async def round(self) -> list[Ask]:
        """One round of the orchestrator's; what waits after it."""
        self.desk.team = await self.rig.broker.agents()
        await self.rig.observer.sweep()
        await self.asking.step()
        self.notices._look = True  # its events come by another way
        await self.notices.step()
        return await self.rig.broker.asks()

    async def until(self, count: int) -> list[Ask]:
        """Rounds until so many wait."""

        async def met() -> bool:
            return len(await self.round()) == count

        await wait_for_async(met, what=lambda: self.rig.tmux.screen(self.rig.agents["be"].pane))
        return await self.rig.broker.asks()

    async def told(self, kind: EventType) -> list[str]:
        return [each.content for each in await self.rig.broker.events(count=1000) if each.type is kind]


async def start(rig: Rig, *messages: str, dialogs: str = "1,2", **settings: Any) -> Office:
    argv = hostile_argv(rig.directory / "log", dialog_at=dialogs)
    await rig.start("be", argv, hostile_provider())
    for message in messages:
        await rig.send("be", message)
    return Office(rig, **settings)


async def test_a_dialog_is_an_ask_as_long_as_it_stands(rig: Rig) -> None:
    office = await start(rig, "one", dialogs="1")
    (ask,) = await office.until(1)
    assert (ask.agent, ask.kind, ask.choices) == ("be", "permission", ("1. Yes", "2. No"))
    assert ask.question == "Bash: make install\nDo you want to proceed?"
    assert await office.round() == [ask]
    rig.tmux.run("send-keys", "-t", rig.agents["be"].pane, "2")
    await office.until(0)
    (closed,) = await rig.broker.asks(open_only=False)
    assert closed.answer == GONE
    assert await office.told(EventType.ASK_OPENED) == [ask.question]


async def test_the_same_dialog_again_is_another_ask(rig: Rig) -> None:
    office = await start(rig, "one", "two")
    (first,) = await office.until(1)
    rig.tmux.run("send-keys", "-t", rig.agents["be"].pane, "2")

    async def met() -> bool:
        office.now += 1
        return [each.id for each in await office.round()] not in ([], [first.id])

    await wait_for_async(met)
    (second,) = await rig.broker.asks()
    assert (second.dialog, second.id == first.id) == (first.dialog, False)


async def test_another_executor_takes_the_ask_over(rig: Rig) -> None:
    office = await start(rig, "one")
    (before,) = await office.until(1)
    other = Office(rig)
    other.now += 60
    (after,) = await other.round()
    assert replace(after, told_at="") == before


async def test_an_ask_of_an_agent_that_was_removed_is_closed(rig: Rig) -> None:
    office = await start(rig, "one")
    await office.until(1)
    rig.observer.forget("be")
    await rig.broker.remove_agent(3)
    assert await office.round() == []


async def test_a_key_of_the_person_answers_it_for_good(rig: Rig) -> None:
    office = await start(rig, "one", dialogs="1")
    (ask,) = await office.until(1)
    assert await office.desk.hand.press(ask, rig.agents["be"], rig.providers["be"], "1")
    await rig.broker.answer_ask(ask.id, "1. Yes", AT)
    await office.until(0)
    (closed,) = await rig.broker.asks(open_only=False)
    assert closed.answer == "1. Yes"
    assert read_log(rig.directory / "log").counts["approved"] == 1


# The person is told


async def ask(office: Office, ask_id: str, question: str = "Which colour?") -> None:
    await office.rig.broker.open_ask(Ask(ask_id, "be", question, iso(office.now)))


async def test_once_for_what_came_together_and_again_when_it_waits(rig: Rig) -> None:
    office = Office(rig, notify_again_s=600)
    await ask(office, "a1")
    await office.round()
    assert office.rings == 0  # perhaps it is answered at once
    await ask(office, "a2")
    office.now += 4
    await office.round()
    await office.round()
    assert office.rings == 1
    assert {each.told_at for each in await rig.broker.asks()} == {iso(office.now)}
    office.now += 599
    await office.round()
    assert office.rings == 1
    await rig.broker.answer_ask("a1", "blue", AT)
    office.now += 2
    await office.round()
    assert office.rings == 2
    (reminded,) = await office.told(EventType.ASK_REMINDED)
    assert reminded.endswith("Which colour?")


async def test_what_is_answered_at_once_is_not_told(rig: Rig) -> None:
    office = Office(rig)
    await ask(office, "a1")
    await office.round()
    await rig.broker.answer_ask("a1", "blue", AT)
    office.now += 10
    await office.round()
    assert office.rings == 0


async def test_another_executor_does_not_tell_it_twice(rig: Rig) -> None:
    office = Office(rig)
    await ask(office, "a1")
    office.now += 4
    await office.round()
    other = Office(rig)
    other.now = office.now + 5
    await other.round()
    assert (office.rings, other.rings) == (1, 0)


async def test_quiet_hours_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taco.orchestrator.notices.is_quiet", lambda hours, now: hours == "always")
    office = Office(rig)
    office.settings = office.settings.model_copy(update={"quiet_hours": "always"})
    await ask(office, "a1")
    office.now += 4
    await office.round()
    assert office.rings == 0
    office.settings = office.settings.model_copy(update={"quiet_hours": ""})
    await office.round()
    assert office.rings == 1


async def test_a_plan_is_told_too(rig: Rig) -> None:
    office = Office(rig)
    await rig.broker.put_spec({"status": "review", "at": iso(office.now)})
    office.now += 4
    await office.round()
    await office.round()
    assert office.rings == 1
    await rig.broker.put_spec({"status": "approved"})
    await office.round()
    office.now += 99_999
    await office.round()
    assert office.rings == 1


async def test_a_command_gets_the_text(rig: Rig) -> None:
    script = rig.directory / "told.py"
    script.write_text("import os, sys; open('told', 'w').write(sys.argv[1] + os.environ['HOME'])")
    office = Office(rig, notify=(), notify_command=shlex.join([sys.executable, str(script)]))
    await ask(office, "a1", "use 'which' $HOME; `id`?")
    office.now += 4
    await office.round()
    told = rig.directory / "told"
    await wait_for_async(lambda: told.exists() and told.read_text().endswith(str(rig.directory)))
    assert told.read_text() == f"taco rig: 1 waiting for you\nbe asks: use 'which' $HOME; `id`?{rig.directory}"
    assert office.rings == 0


@pytest.mark.parametrize("command", ["/no/such/program", "false", "sleep 60"])
async def test_a_command_that_fails_is_told_and_holds_nothing_up(
    rig: Rig, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    monkeypatch.setattr("taco.log.warning", lambda event, **values: warned.append(event))
    monkeypatch.setattr("taco.orchestrator.notices.SENT_WITHIN_S", 0.3)
    office = Office(rig, notify_command=command)
    await ask(office, "a1")
    office.now += 4
    await office.round()
    assert office.rings == 1
    await wait_for_async(lambda: "notice.failed" in warned)


class Receiver(http.server.BaseHTTPRequestHandler):
    """A webhook that refuses the first call."""

    got: list[Any]

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(500 if len(self.got) == 1 else 204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing on the test's screen."""


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[Any]]]:
    got: list[Any] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Receiver,), {"got": got}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got
    server.shutdown()
    server.server_close()


async def test_a_webhook_gets_it_again_when_it_failed(
    rig: Rig, receiver: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taco.orchestrator.notices.AGAIN_S", 0.05)
    url, got = receiver
    office = Office(rig, notify_webhook=url)
    await ask(office, "a1")
    office.now += 4
    await office.round()
    await wait_for_async(lambda: len(got) == 2)
    assert got[0] == got[1]
    assert got[1]["waiting"] == [
        {"id": "a1", "kind": "question", "agent": "be", "text": "Which colour?", "choices": []}
    ]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("notify-send", ["--app-name=taco", "--"]),
        (
            "osascript",
            ["-e", "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"],
        ),
    ],
)
async def test_the_desktop_is_told(rig: Rig, program: str, words: list[str]) -> None:
    """By the program of Linux, or by that of macOS where there is no other; what is said is never part of a script."""
    tool = rig.directory / "bin" / program
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\nprintf '%s|' \"$@\" >{rig.directory}/shown\n")
    tool.chmod(0o755)
    office = Office(rig, notify=("desktop",))
    office.desk.ground = replace(office.desk.ground, environ={"PATH": str(tool.parent)})
    await ask(office, "a1")
    office.now += 4
    await office.round()
    shown = Path(rig.directory / "shown")
    told = "|".join([*words, "taco rig: 1 waiting for you", "be asks: Which colour?", ""])
    await wait_for_async(lambda: shown.exists() and shown.read_text() == told, 20, lambda: shown.read_text())
