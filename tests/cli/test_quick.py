"""The hand-made parser of the plain forms and click's agree on every call that both take."""

from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taco.cli import quick, report, running, send
from taco.errors import TacoError

COMMANDS: dict[str, click.Command] = {
    "send": send.send,
    "broadcast": send.broadcast,
    "done": report.done,
    "fail": report.fail,
}
WORDS = st.one_of(
    st.sampled_from(["api", "hello", "-", "--", "-v is off", "-1", "high", "now", "5", "inf", "--help", "--prio"]),
    st.sampled_from(["--json", "--file", "--file=x", "--from", "--session=s", "--id", "--id=a1", "--priority"]),
    st.sampled_from(["--priority=low", "--priority=urgent", "--when", "--wait", "--wait=1e9", "--wait=nan", "--wait="]),
)


def by_click(verb: str, argv: list[str]) -> dict[str, Any] | None:
    """What click makes of the words; None when it does not take them."""
    command = COMMANDS[verb]
    try:
        params = command.make_context(verb, list(argv), resilient_parsing=False).params
    except (TacoError, click.exceptions.ClickException, click.exceptions.Exit):
        return None
    return {key: value for key, value in params.items() if value is not None}


def by_hand(verb: str, argv: list[str]) -> dict[str, Any] | None:
    """What the plain parser makes of them, in click's form; None when it leaves them to click."""
    parsed = quick.parse(verb, argv)
    if parsed is None:
        return None
    words, values = parsed
    found: dict[str, Any] = {"as_json": False}
    if verb in ("send", "broadcast"):
        found |= {"priority": "normal", "when": "idle"}
    if verb == "send":
        found["target"] = words.pop(0)
    return found | {"words": tuple(words)} | values


@given(st.sampled_from(sorted(COMMANDS)), st.lists(WORDS, max_size=6))
def test_what_the_plain_parser_takes_click_takes_alike(verb: str, argv: list[str]) -> None:
    found = by_hand(verb, argv)
    if found is not None:
        assert found == by_click(verb, argv)


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_both_know_the_same_options(verb: str) -> None:
    options = {name for param in COMMANDS[verb].params if isinstance(param, click.Option) for name in param.opts}
    assert options == {*quick.OPTIONS[verb], "--json"}


@pytest.mark.parametrize(
    "argv",
    [
        ["send", "api", "hello"],
        ["send", "api", "--priority", "high", "hello", "--json"],
        ["send", "api", "--", "-x"],
        ["done", "all of it"],
        ["broadcast", "hello", "--wait=3"],
    ],
)
def test_plain_calls_are_taken(argv: list[str]) -> None:
    assert quick.parse(argv[0], argv[1:]) is not None


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["status"],
        ["send"],
        ["send", "--help"],
        ["send", "api", "-v is off"],
        ["send", "api", "x", "--wait", "soon"],
    ],
)
def test_what_is_not_plain_is_left_to_click(argv: list[str]) -> None:
    assert quick.run(argv) is None


@pytest.mark.parametrize(
    ("argv", "taken"),
    [
        (["monitor", "--session", "shop"], ("watch", "shop")),
        (["executor", "--session", "shop"], ("deliver", "shop")),
        (["executor", "--restart", "--session", "shop"], None),
        (["monitor"], None),
        (["monitor", "--plain"], None),
    ],
)
def test_what_runs_in_windows_goes_without_click(
    argv: list[str], taken: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[str, str]] = []
    for name in ("watch", "deliver"):
        monkeypatch.setattr(running, name, lambda session, name=name: called.append((name, session)) or 7)
    assert quick.run(argv) == (7 if taken else None)
    assert called == ([taken] if taken else [])


def test_an_agent_runs_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACO_AGENT", "api")
    monkeypatch.setattr(running, "deliver", lambda session: pytest.fail("it ran"))
    assert quick.run(["executor", "--session", "shop"]) == 1
