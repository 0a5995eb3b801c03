"""What the plugin of an OpenCode launch drops and writes, and the configuration that brings it in."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from taco.hooks import HookEvent, opencode_config, parse_hook
from taco.transcript import Tokens, answers, contains, last_assistant_text, left_over
from tests.support.needs import require

RUN = """
import fs from "node:fs"
const [options, calls] = JSON.parse(fs.readFileSync(0, "utf8"))
const { Taco } = await import(options.plugin)
const hooks = await Taco({}, options)
const outputs = []
for (const [name, ...given] of calls) {
  if (hooks[name]) await hooks[name](...given)
  outputs.push(given.at(-1))
}
console.log(JSON.stringify({ outputs, pid: process.pid }))
"""
SESSION = "ses_1"
USAGE = {"total": 1242, "input": 1000, "output": 42, "reasoning": 0, "cache": {"write": 0, "read": 200}}
Call = list[Any]


def event(kind: str, **properties: Any) -> Call:
    return ["event", {"event": {"type": kind, "properties": properties}}]


def message(role: str, number: int, **info: Any) -> Call:
    return event("message.updated", sessionID=SESSION, info={"id": f"msg_{number}", "role": role, **info})


def part(number: int, text: str, **more: Any) -> Call:
    said = {"id": f"prt_{number}", "messageID": f"msg_{number}", "sessionID": SESSION, "type": "text", "text": text}
    return event("message.part.updated", sessionID=SESSION, part={**said, **more})


def asked(number: int, text: str) -> list[Call]:
    """A message of the person's, up to the turn that it begins."""
    return [
        ["chat.message", {"sessionID": SESSION}, {"parts": [{"type": "text", "text": text}]}],
        message("user", number),
        part(number, text),
        event("session.status", sessionID=SESSION, status={"type": "busy"}),
        message("assistant", number + 1, time={"created": 1}),
    ]


def told(number: int, text: str, finish: str = "stop") -> list[Call]:
    """An answer, to its end."""
    return [
        part(number, text, time={"start": 1, "end": 2}),
        message("assistant", number, time={"created": 1, "completed": 2}, finish=finish, tokens=USAGE),
    ]


IDLE = event("session.idle", sessionID=SESSION)


class Launch:
    """One launch of the plugin, without the CLI."""

    def __init__(self, root: Path, *calls: Call, **options: Any) -> None:
        self.spool, self.transcripts = root / "spool", root / "transcripts"
        self.spool.mkdir(exist_ok=True)
        given = {"spool": str(self.spool), "transcripts": str(self.transcripts), "source": "startup", "session": ""}
        config = json.loads(opencode_config("", {**given, "allow": ["taco send"], **options}))
        ((plugin, own),) = config["plugin"]
        sent = json.dumps([{"plugin": plugin, **own}, [*calls]])
        words = [str(require("node")), "--input-type=module", "-e", RUN]
        environ = {name: value for name, value in os.environ.items() if name != "TACO_PID"}
        ran = subprocess.run(words, input=sent, capture_output=True, text=True, check=True, env=environ, timeout=60)
        said = json.loads(ran.stdout.splitlines()[-1])
        self.outputs, self.pid = said["outputs"], said["pid"]

    def events(self) -> list[HookEvent]:
        """What it dropped, in the order of the names."""
        return [parse_hook(path.name, path.read_bytes()) for path in sorted(self.spool.glob("*.json"))]

    def transcript(self) -> bytes:
        return (self.transcripts / f"{SESSION}.jsonl").read_bytes()


def test_a_turn_is_told_from_its_message_to_its_answer(tmp_path: Path) -> None:
    calls = [["config", {}], *asked(1, "hello\nthere"), *told(2, "I am here"), IDLE]
    launch = Launch(tmp_path, *calls)
    found = launch.events()
    assert [each.event for each in found] == ["SessionStart", "UserPromptSubmit", "Stop"]
    assert {each.pid for each in found} == {launch.pid}
    assert [each.session_id for each in found] == ["", SESSION, SESSION]
    assert (found[0].kind, found[1].prompt, found[2].last_message) == ("startup", "hello\nthere", "I am here")
    lines = launch.transcript()
    assert contains(lines, "hello\nthere")
    assert (last_assistant_text(lines), answers(lines)) == ("I am here", ["I am here"])
    assert not left_over(lines).cut_off
    tokens = Tokens()
    tokens.read(lines)
    assert tokens.used == 1042  # what was read from the cache again costs a tenth, and does not count


@pytest.mark.parametrize("calls", [asked(1, "go"), [*asked(1, "go"), *told(2, "Running it.", "tool-calls")]])
def test_a_turn_without_an_end_was_cut_off(tmp_path: Path, calls: list[Call]) -> None:
    assert left_over(Launch(tmp_path, *calls).transcript()).cut_off


def test_a_message_that_is_queued_in_a_turn_is_open_after_it(tmp_path: Path) -> None:
    second = asked(3, "and this")
    calls = [*asked(1, "go"), *second[:3], *told(2, "done"), second[-1]]
    assert left_over(Launch(tmp_path, *calls).transcript()).cut_off


def test_an_error_is_one_and_the_persons_will_is_none(tmp_path: Path) -> None:
    def failing(**error: Any) -> list[Call]:
        return [*asked(1, "go"), event("session.error", sessionID=SESSION, error=error), IDLE]

    full = {"name": "ContextOverflowError", "data": {"message": "too long"}}
    ended = message("assistant", 2, time={"created": 1, "completed": 2}, error=full)
    for name, calls, last in (
        ("limit", failing(name="APIError", data={"statusCode": 429}), ("StopFailure", "rate_limit")),
        ("server", failing(name="APIError", data={"statusCode": 500}), ("StopFailure", "server_error")),
        ("key", failing(name="APIError", data={"statusCode": 401}), ("StopFailure", "authentication_failed")),
        ("busy", failing(name="APIError", data={"statusCode": 529}), ("StopFailure", "overloaded")),
        ("request", failing(name="APIError", data={"statusCode": 400}), ("StopFailure", "other")),
        ("full", [*failing(**full)[:-1], ended, IDLE], ("StopFailure", "context_full")),
        ("shorter", [*failing(**full)[:-1], *told(3, "done"), IDLE], ("Stop", "")),
        ("person", failing(name="MessageAbortedError", data={}), ("Stop", "")),
    ):
        (tmp_path / name).mkdir()
        found = Launch(tmp_path / name, *calls).events()[-1]
        assert (found.event, found.error) == last


def test_a_permission_is_told_in_the_words_of_rules(tmp_path: Path) -> None:
    metadata = {"command": "npm test"}
    calls = [
        *asked(1, "go"),
        event("permission.asked", sessionID=SESSION, permission="bash", metadata=metadata),
        event("permission.replied", sessionID=SESSION, reply="once"),
    ]
    asks, replied = Launch(tmp_path, *calls).events()[-2:]
    assert (asks.event, asks.tool, dict(asks.given)) == ("PermissionRequest", "Bash", {"command": "npm test"})
    assert replied.event == "PostToolUse"


def test_a_subagent_is_no_turn_and_its_tokens_count(tmp_path: Path) -> None:
    info = {"id": "msg_9", "role": "assistant", "sessionID": "ses_2", "time": {"completed": 2}, "tokens": USAGE}
    calls = [
        *asked(1, "go"),
        event("session.created", sessionID="ses_2", info={"id": "ses_2", "parentID": SESSION}),
        ["chat.message", {"sessionID": "ses_2"}, {"parts": [{"type": "text", "text": "look for it"}]}],
        event("message.updated", sessionID="ses_2", info=info),
        event("session.idle", sessionID="ses_2"),
    ]
    launch = Launch(tmp_path, *calls)
    assert [each.event for each in launch.events()] == ["UserPromptSubmit"]
    tokens = Tokens()
    tokens.read(launch.transcript())
    assert tokens.used == 1042


def test_a_resumed_conversation_is_known_before_it_goes_on(tmp_path: Path) -> None:
    status = event("session.status", sessionID=SESSION, status={"type": "busy"})
    found = Launch(tmp_path, ["config", {}], status, IDLE, source="resume", session=SESSION).events()
    assert [(each.event, each.kind) for each in found] == [("SessionStart", "resume"), ("PreToolUse", ""), ("Stop", "")]
    assert {each.session_id for each in found} == {SESSION}


OWN = {"taco send": "allow", "taco send *": "allow"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"permission": "allow"}, {"permission": "allow"}),
        ({"permission": {"edit": "ask"}}, {"permission": {"edit": "ask"}}),
        ({"permission": "ask"}, {"permission": {"*": "ask", "bash": {"*": "ask", **OWN, "taco *>*": "ask"}}}),
        ({"permission": {"bash": "deny"}}, {"permission": {"bash": {"*": "deny", **OWN, "taco *>*": "deny"}}}),
        (
            {"permission": {"bash": {"taco send *": "ask", "*": "ask", "ls *": "allow"}}},
            {"permission": {"bash": {"*": "ask", "ls *": "allow", **OWN, "taco *>*": "ask"}}},
        ),
    ],
)
def test_its_own_verbs_need_no_permission_and_nothing_else_changes(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    (found,) = Launch(tmp_path, ["config", before]).outputs
    assert json.dumps(found) == json.dumps(after)  # in this order: the last rule that fits counts


def test_what_fails_in_it_stays_in_it(tmp_path: Path) -> None:
    calls = [["config", {}], *asked(1, "go"), *told(2, "done"), IDLE, event("session.error"), event("message.updated")]
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "below")
    launch = Launch(tmp_path, *calls, spool=nowhere, transcripts=nowhere)
    assert launch.events() == []


def test_another_opencode_that_a_tool_starts_has_the_persons_configuration(tmp_path: Path) -> None:
    launch = Launch(tmp_path, ["shell.env", {}, {"env": {}}])
    assert launch.outputs[0]["env"] == {"OPENCODE_CONFIG_CONTENT": ""}


def test_the_persons_own_configuration_of_a_launch_stays() -> None:
    given = '{"model": "a/b", "plugin": ["theirs"]}'
    found = json.loads(opencode_config(given, {"spool": "/s"}))
    assert (found["model"], found["plugin"][0]) == ("a/b", "theirs")
    uri, options = found["plugin"][1]
    assert uri.startswith("file:///") and uri.endswith("/taco/providers/opencode.js")
    assert options == {"spool": "/s", "given": given}


@pytest.mark.parametrize("given", ["{", "[]", '"text"', "3", '{"plugin": "one"}', "[" * 100_000])
def test_one_that_cannot_be_added_to_is_named(given: str) -> None:
    with pytest.raises(ValueError, match=r"is no JSON object|is no list"):
        opencode_config(given, {})
