"""Which account an agent is on, and what is news of its limit."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from taco.config import Config
from taco.models import Agent, AgentState, AgentStatus, EventType, Level, Limit
from taco.orchestrator.parking import Parking, account_of, is_news
from taco.records import limit_from
from taco.state import until_words
from taco.testing import MemoryBroker
from tests.recording import screens_of

CLAUDE, CODEX = screens_of("claude").provider, screens_of("codex").provider
HOME = {"HOME": "/h"}
NOW = 1_795_000_000.0
KNOWN = Limit("claude/1", "Claude Code", "resets 2pm", NOW, NOW + 3_600, "shop", "api")


def test_an_account_is_a_program_with_its_configuration_and_keys() -> None:
    own = account_of(CLAUDE, HOME)
    assert own == account_of(CLAUDE.model_copy(update={"name": "mine"}), {**HOME, "EDITOR": "vi"})
    others = [
        account_of(CODEX, HOME),
        account_of(CLAUDE, {**HOME, "CLAUDE_CONFIG_DIR": "/elsewhere"}),
        account_of(CLAUDE, {**HOME, "ANTHROPIC_API_KEY": "sk-one"}),
        account_of(CLAUDE, {**HOME, "ANTHROPIC_API_KEY": "sk-two"}),
    ]
    assert len({own, *others}) == 5
    assert not any("sk-" in each for each in others)


@pytest.mark.parametrize(
    ("found", "known", "wanted"),
    [
        (KNOWN, None, True),
        (replace(KNOWN, until=NOW - 1), None, False),  # its words stand on the screen still
        (KNOWN, replace(KNOWN, until=NOW - 1), True),
        (KNOWN, KNOWN, False),
        (replace(KNOWN, until=KNOWN.until + 30), KNOWN, False),
        (replace(KNOWN, until=KNOWN.until + 600), KNOWN, True),
        (replace(KNOWN, until=KNOWN.until + 600, guessed=True), KNOWN, False),
        (KNOWN, replace(KNOWN, lifted_at=NOW + 5), False),  # the person has seen this one
        (replace(KNOWN, said_at=NOW + 9), replace(KNOWN, lifted_at=NOW + 5), True),
    ],
)
def test_news_of_a_limit(found: Limit, known: Limit | None, wanted: bool) -> None:
    assert is_news(found, known, NOW) is wanted


def test_a_limit_of_another_release_is_read() -> None:
    text = '{"account": "a", "title": "A", "text": "t", "said_at": 1.0, "until": 2.0, "colour": "red"}'
    assert limit_from(text) == Limit("a", "A", "t", 1.0, 2.0)


class Rounds:
    """A desk of two agents on one account, whose screens say what the test wants."""

    def __init__(self) -> None:
        self.at = NOW
        self.broker = MemoryBroker("shop")
        self.shown: tuple[str, float, float | None] | None = None
        self.level = Level.LIMITED
        self.lifted: dict[str, float] = {}
        self.messages: list[tuple[str, str]] = []
        self.told: list[str] = []
        self.team = [Agent(3, name, provider="claude", status=AgentStatus.RUNNING, pid=5) for name in ("api", "web")]
        self.desk = SimpleNamespace(
            name="shop",
            now=lambda: self.at,
            broker=self.broker,
            team=self.team,
            providers={"claude": CLAUDE},
            provider_of=lambda _: CLAUDE,
            ground=SimpleNamespace(environ=HOME),
            settings=lambda: Config(limit_retry_s=900),
            observer=SimpleNamespace(
                limit=lambda name: self.shown if name == "api" and self.lifted.get(name, 0) < NOW + 1 else None,
                refused=lambda _: None,
                reading=lambda name: SimpleNamespace(limited="at its limit" if name == "api" else ""),
                names=lambda: ["api", "web"],
                state=lambda _: AgentState(self.level),
                lift=self.lifted.__setitem__,
            ),
            executor=SimpleNamespace(wake=lambda _: None),
            parked={},
            tell=self.tell,
            message=self.message,
        )
        self.parking = Parking(self.desk, SimpleNamespace(alert=self.told.append))  # type: ignore[arg-type]

    async def tell(self, kind: EventType, content: str, **_: object) -> None:
        self.told.append(str(kind))

    async def message(self, name: str, text: str, **_: object) -> None:
        self.messages.append((name, text))


async def test_a_limit_that_names_no_time_is_tried_again_after_a_while() -> None:
    rounds = Rounds()
    rounds.shown = ("You've hit your limit", NOW, None)
    await rounds.parking.step()
    await rounds.parking.step()
    assert rounds.desk.parked == {"claude": f"limited: Claude Code {until_words(NOW + 900, NOW)}"}
    assert rounds.told[0] == "account.limited"
    assert rounds.told[1].startswith(
        "Claude Code refuses this account (You've hit your limit): all 2 agents on it rest"
    )
    assert len(rounds.told) == 2
    rounds.at = NOW + 901
    await rounds.parking.step()
    assert rounds.desk.parked == {}
    assert rounds.lifted == {"api": NOW + 901, "web": NOW + 901}  # its words stand on the screen still
    assert [name for name, _ in rounds.messages] == ["api"]
    assert rounds.told[2:] == ["account.freed"]
    await rounds.parking.step()
    assert rounds.told[2:] == ["account.freed"]


async def test_an_account_is_free_once_the_agent_that_met_its_limit_works_again() -> None:
    rounds = Rounds()
    rounds.shown = ("You've hit your limit", NOW, NOW + 3_600)
    await rounds.parking.step()
    rounds.shown = None  # a person has gone on in its window
    await rounds.parking.step()
    assert rounds.desk.parked
    rounds.level = Level.IDLE
    await rounds.parking.step()
    assert rounds.desk.parked == {}
    assert rounds.told[-1] == "account.freed"
