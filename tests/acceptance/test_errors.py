"""What the model's side refuses the real Codex, Gemini CLI, OpenCode and Aider (Claude Code: test_limits.py).

For each of them one session, with 429, 529, 500, 401 and a full context: what its CLI tries again by itself is work,
what it gives up is told, and what is of the account lets all on it rest. `<<refuse WHAT N>>` refuses N times, without N
always.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.acceptance import test_aider_session, test_codex_session
from tests.acceptance.real_session import RealHouse, RealSession, Script, a_house, said, start, team_of
from tests.aider_env import AiderStub
from tests.chat_stub import ChatStub
from tests.codex_stub import CodexStub
from tests.gemini_env import gemini_environment
from tests.gemini_stub import GeminiStub
from tests.opencode_env import opencode_environment
from tests.stub import Headers, Received, Reply, Stub
from tests.support.waiting import wait_for

LATE_S = 300
GO_ON = "The limit that stopped you is over."
ATTEMPTS = 2
FULL = "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens."
REFUSED = {
    "429": Reply("Rate limit reached for requests.", error=429),
    "500": Reply("The server had an error while processing your request.", error=500),
    "529": Reply("Overloaded", error=529),
    "401": Reply("Incorrect API key provided.", error=401),
    "full": Reply(FULL, error=400),
}
_REFUSE = re.compile(r"<<refuse (\w+)(?: (\d+))?>>")


class Refusals:
    """Refuses as it is told to; the answer after N times is held back until it is let go."""

    def __init__(self, replies: Mapping[str, Reply], hasty: Headers) -> None:
        self._replies = replies
        self._hasty = hasty  # headers of what is refused always: they make a CLI give up sooner
        self.times: Counter[str] = Counter()  # by text
        self.held: defaultdict[str, Event] = defaultdict(Event)

    def __call__(self, received: Received) -> Reply | None:
        text = received.text
        found = _REFUSE.search(text)
        if found is None:
            return None
        self.times[text] += 1
        reply = self._replies[found[1]]
        if not found[2]:
            return replace(reply, headers=self._hasty)
        if self.times[text] <= int(found[2]):
            return reply
        self.held[text].wait(60)
        return Reply(f"recovered from {found[1]}")


@dataclass(frozen=True)
class Cli:
    """What one CLI does with each refusal, as measured; the names are those of `<<refuse WHAT>>`."""

    name: str
    title: str
    stub: type[Stub]
    environment: Callable[[Any, Path, Path], Mapping[str, str]]
    evidence: str
    again: Mapping[str, int]  # what it tries again, and how often here
    rests: Mapping[str, str]  # what is of the account, and words of it
    told: Mapping[str, tuple[str, str]]  # what it gives up: its kind, and words of it
    until: str = ""  # the one of these that names when it is over
    asks_again: Mapping[str, int] = field(default_factory=dict)  # what it asks for again once it is over: how often
    forgets: bool = False  # what was refused for good
    endless: Mapping[str, int] = field(default_factory=dict)  # what it never gives up, and how often it is watched
    slowly: Mapping[str, str] = field(default_factory=dict)  # what takes it a minute: by agents of their own
    stall_after_s: float = 600
    replies: Mapping[str, Reply] = field(default_factory=dict)
    hasty: Headers = ()

    @property
    def team(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(("alpha", "beta", *self.slowly.values())))


def codex(stub: CodexStub, root: Path, project: Path) -> Mapping[str, str]:
    """One that tries a stream again four times: 0.2 to 1.6 s apart."""
    found = test_codex_session.environment(stub, root, project)
    path = Path(found["CODEX_HOME"]) / "config.toml"
    path.write_text(path.read_text().replace("stream_max_retries = 1", "stream_max_retries = 4"))
    return found


def gemini(stub: GeminiStub, root: Path, project: Path) -> Mapping[str, str]:
    """One that begins anew after two attempts, 5 s apart, and not after ten."""
    found = gemini_environment(stub, root, project)
    path = root / "home" / ".gemini" / "settings.json"
    values = json.loads(path.read_text())
    values["general"]["maxAttempts"] = ATTEMPTS
    path.write_text(json.dumps(values))
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test with each refusal that its CLI has in the field that it names."""
    for key in ("again", "rests", "told", "endless"):
        if key in metafunc.fixturenames:
            metafunc.parametrize(key, tuple(getattr(metafunc.cls.cli, key)))


@pytest.fixture(scope="class")
def cli(request: pytest.FixtureRequest) -> Cli:
    found: Cli = request.cls.cli
    return found


@pytest.fixture(scope="class")
def refusals(cli: Cli) -> Refusals:
    return Refusals({**REFUSED, **cli.replies}, cli.hasty)


@pytest.fixture(scope="class")
def stub(cli: Cli, refusals: Refusals) -> Iterator[Stub]:
    with cli.stub(Script(refusals)) as stub:
        yield stub


@pytest.fixture(scope="class")
def house(cli: Cli, stub: Stub) -> Iterator[RealHouse]:
    with a_house(cli.name, partial(cli.environment, stub)) as house:
        (house.root / "c" / "taco").mkdir()
        yield house


@pytest.fixture(scope="class")
def crew(house: RealHouse, stub: Stub, cli: Cli) -> RealSession:
    """Agents on one account, those of them at it who take a minute."""
    settings(house)
    crew = start(house, stub, "crew", *team_of(house, *cli.team))
    wait_for(lambda: all(crew.heard(each) for each in cli.team), LATE_S, crew.describe)
    crew.idle(timeout_s=LATE_S)
    if cli.slowly:
        settings(house, stall_after_s=cli.stall_after_s)
    for refusal, name in cli.slowly.items():
        crew.tell(name, f"<<refuse {refusal}>>")
    return crew


def settings(house: RealHouse, **values: float) -> None:
    """What the person's file says from now on."""
    text = "".join(f"{key} = {value}\n" for key, value in values.items())
    (house.root / "c" / "taco" / "config.toml").write_text(text)


def limits(crew: RealSession) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = crew.json("status")["limits"]
    return found


def shown(crew: RealSession, name: str) -> str:
    """The agent's trouble, or its limit; "" for none."""
    found = crew.agent(name)
    return found["trouble"] or (found["state"] if found["state"].startswith("limited(") else "")


def troubles(crew: RealSession, name: str) -> list[str]:
    """What an agent was said to be in trouble with, all in all."""
    return [each["content"] for each in crew.events("agent.trouble") if each["agent"] == name]


class _EachCli:
    """What holds for each of them, in this order: who takes a minute is at it meanwhile."""

    cli: Cli

    def test_what_it_tries_again_is_work(self, crew: RealSession, cli: Cli, refusals: Refusals, again: str) -> None:
        crew.idle("alpha")
        before = troubles(crew, "alpha")
        text = f"<<refuse {again} {cli.again[again]}>>"
        sent, arrives = crew.tell("alpha", text), said("person", "alpha", text)
        wait_for(lambda: refusals.times[arrives] > cli.again[again], LATE_S, lambda: crew.report("alpha"))
        crew.wait_agent("alpha", state="busy")
        refusals.held[arrives].set()
        crew.delivered(sent, cli.evidence, LATE_S)
        wait_for(lambda: f"recovered from {again}" in crew.look("alpha"), LATE_S, lambda: crew.report("alpha"))
        crew.idle("alpha")
        crew.delivered(crew.tell("alpha", f"after {again}"), cli.evidence, LATE_S)
        crew.hears("alpha", said("person", "alpha", f"after {again}"), LATE_S)
        assert crew.heard("alpha").count(arrives) == 1
        assert (troubles(crew, "alpha"), limits(crew)) == (before, [])

    def test_what_is_of_the_account_lets_all_on_it_rest(
        self, crew: RealSession, cli: Cli, refusals: Refusals, rests: str
    ) -> None:
        who, words = cli.slowly.get(rests, "beta"), cli.rests[rests]
        text = f"<<refuse {rests} {cli.asks_again[rests]}>>" if rests in cli.asks_again else f"<<refuse {rests}>>"
        refusals.held[said("person", who, text)].set()
        if rests not in cli.slowly:
            crew.idle(who)
            crew.delivered(crew.tell(who, text), cli.evidence, LATE_S)
        (limit,) = wait_for(lambda: limits(crew), LATE_S, crew.describe)
        assert (limit["title"], limit["providers"], limit["guessed"]) == (cli.title, [cli.name], rests != cli.until)
        assert words in limit["text"]
        wait_for(lambda: words in shown(crew, who) or crew.agent(who)["state"].startswith("limited(until "), 30)
        waiting = {each: crew.tell(each, f"after {rests}, {each}") for each in (who, "alpha")}
        for message in waiting.values():
            assert crew.held(message, "limited: ")["attempts"] == 0
        crew.house.taco("resume", "--now", crew.name)
        for each, message in waiting.items():
            crew.delivered(message, cli.evidence, LATE_S)
            crew.hears(each, said("person", each, f"after {rests}, {each}"), LATE_S)
        wait_for(lambda: any(GO_ON in each for each in crew.heard(who)), LATE_S, lambda: crew.report(who))
        kept = rests in cli.asks_again or not cli.forgets
        assert crew.heard(who).count(said("person", who, text)) == kept
        assert any(f"{GO_ON} " in each and "taco inbox" in each for each in crew.heard(who)) is cli.forgets
        crew.idle(*waiting, timeout_s=LATE_S)
        assert limits(crew) == []
        if not kept:
            crew.tell(who, "<<bash taco inbox>>")
            crew.ran(who, text, LATE_S)

    def test_what_it_gives_up_is_told(self, crew: RealSession, cli: Cli, told: str) -> None:
        who, (kind, words) = cli.slowly.get(told, "beta"), cli.told[told]
        if told not in cli.slowly:
            crew.idle(who)
            crew.delivered(crew.tell(who, f"<<refuse {told}>>"), cli.evidence, LATE_S)
        wait_for(lambda: shown(crew, who).startswith(f"{kind}: ") and words in shown(crew, who), LATE_S, crew.describe)
        crew.idle(who)
        assert limits(crew) == []
        crew.delivered(crew.tell(who, f"after {told}"), cli.evidence, LATE_S)
        wait_for(lambda: not shown(crew, who), LATE_S, lambda: crew.report(who))
        assert not [each for each in troubles(crew, who) if "stalled" in each]


class _ShowsRetries(_EachCli):
    """What holds where the screen tells that it tries again, and the silence before that is short."""

    def test_its_own_retries_are_no_stall(
        self, crew: RealSession, cli: Cli, refusals: Refusals, house: RealHouse
    ) -> None:
        crew.idle("beta")
        text = f"<<refuse 529 {cli.again['529']}>>"
        refusals.held[said("person", "beta", text)].set()
        settings(house, stall_after_s=cli.stall_after_s)
        try:
            crew.tell("beta", text)
            crew.reads("beta", lambda reading: reading.retrying)
            wait_for(lambda: "recovered from 529" in crew.look("beta"), LATE_S, lambda: crew.report("beta"))
        finally:
            settings(house)
        crew.idle("beta")
        assert not [each for each in troubles(crew, "beta") if "stalled" in each]


@pytest.mark.xdist_group("codex")
class TestCodex(_ShowsRetries):
    cli = Cli(
        "codex",
        "Codex",
        CodexStub,
        codex,
        "hook",
        again={"529": 4, "500": 2, "401": 2},
        rests={
            "401": "unexpected status 401 Unauthorized",
            "429": "exceeded retry limit, last status: 429 Too Many Requests",
            "limit": "hit your usage limit",
        },
        until="limit",
        told={
            "529": ("overloaded", "unexpected status 529"),
            "500": ("server_error", "currently experiencing high demand"),
            "full": ("context_full", "Codex ran out of room in the model's context window."),
        },
        stall_after_s=2,
        replies={"limit": Reply(error=429), "full": Reply(failed="context_length_exceeded")},
    )


@pytest.mark.xdist_group("gemini")
class TestGemini(_EachCli):
    """Its screen says nothing of what it tries again: its log does, each time."""

    cli = Cli(
        "gemini",
        "Gemini CLI",
        GeminiStub,
        gemini,
        "transcript",
        again={"429": 1, "529": 1, "500": 1},
        rests={"401": '"code":401', "limit": "Usage limit reached for gemini-2.5-flash."},
        asks_again={"limit": 1},
        forgets=True,
        told={"full": ("context_full", "exceeds the maximum number of tokens allowed")},
        endless={"500": 3 * ATTEMPTS, "529": ATTEMPTS, "429": ATTEMPTS},
        stall_after_s=10,
        replies={
            "limit": Reply(error=429),
            "full": Reply("The input token count (2) exceeds the maximum number of tokens allowed (1).", error=400),
        },
    )

    def test_what_it_never_gives_up_is_work_and_no_stall_until_the_person_ends_it(
        self, crew: RealSession, cli: Cli, refusals: Refusals, house: RealHouse, endless: str
    ) -> None:
        text = f"<<refuse {endless}>>"
        arrives = said("person", "beta", text)
        crew.idle("beta")
        settings(house, stall_after_s=cli.stall_after_s)
        try:
            crew.delivered(crew.tell("beta", text), cli.evidence, LATE_S)
            wait_for(lambda: refusals.times[arrives] > cli.endless[endless], LATE_S, lambda: crew.report("beta"))
            crew.wait_agent("beta", state="busy")
            assert (shown(crew, "beta"), limits(crew)) == ("", [])
            crew.press("beta", "Escape")
            crew.idle("beta")
        finally:
            settings(house)
        crew.delivered(crew.tell("beta", f"after {endless}"), cli.evidence, LATE_S)
        assert not [each for each in troubles(crew, "beta") if "stalled" in each]


@pytest.mark.xdist_group("opencode")
class TestOpenCode(_ShowsRetries):
    cli = Cli(
        "opencode",
        "OpenCode",
        ChatStub,
        opencode_environment,
        "hook",
        again={"429": 1, "529": 2, "500": 1},
        rests={"401": "Incorrect API key provided.", "429": "Rate limit reached for requests."},
        told={
            "529": ("overloaded", "Overloaded"),
            "500": ("server_error", "The server had an error while processing your request."),
        },
        stall_after_s=2,
        hasty=(("retry-after-ms", "300"),),
    )

    def test_a_conversation_that_it_makes_shorter_by_itself_is_no_trouble(
        self, crew: RealSession, cli: Cli, refusals: Refusals
    ) -> None:
        crew.idle("beta")
        before, text = troubles(crew, "beta"), "<<refuse full 1>>"
        refusals.held[said("person", "beta", text)].set()
        crew.delivered(crew.tell("beta", text), cli.evidence, LATE_S)
        wait_for(lambda: "recovered from full" in crew.look("beta"), LATE_S, lambda: crew.report("beta"))
        crew.idle("beta")
        crew.delivered(crew.tell("beta", "after it"), cli.evidence, LATE_S)
        assert troubles(crew, "beta") == before


@pytest.mark.xdist_group("aider")
class TestAider(_EachCli):
    """It tries again for more than a minute, and nothing shortens that: three agents do so beside the other tests."""

    cli = Cli(
        "aider",
        "Aider",
        AiderStub,
        test_aider_session.environment,
        "transcript",
        again={"429": 4, "529": 4, "500": 4},
        rests={"429": "Rate limit reached for requests.", "401": "Incorrect API key provided."},
        told={
            "529": ("overloaded", "Overloaded"),
            "500": ("server_error", "The server had an error while processing your request."),
        },
        slowly={"429": "beta", "529": "gamma", "500": "delta"},
        stall_after_s=10,  # its last waits are 16 and 32 s
    )

    def test_a_full_context_is_a_question_first_and_then_told(self, crew: RealSession, cli: Cli) -> None:
        crew.idle("beta")
        crew.delivered(crew.tell("beta", "<<refuse full>>"), cli.evidence, LATE_S)
        found = crew.dialog("beta", "open_url")
        assert "has hit a token limit!" in found["text"]
        assert crew.json("deny", found["id"])["gone"]
        wait_for(lambda: shown(crew, "beta").startswith("context_full: Model openai/stub-model has"), 30, crew.describe)
        crew.delivered(crew.tell("beta", "after it"), cli.evidence, LATE_S)
        wait_for(lambda: not shown(crew, "beta"), LATE_S, lambda: crew.report("beta"))
