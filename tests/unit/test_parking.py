"""Which account an agent is on, and what is news of its limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taco.models import Limit
from taco.orchestrator.parking import account_of, is_news
from taco.records import limit_from
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
