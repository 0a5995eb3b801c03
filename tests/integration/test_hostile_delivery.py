"""Two hundred messages to agents that do everything wrong that real ones do: each once, in order, byte for byte."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taco import message
from taco.executor.text import typed_text
from taco.models import Command, CommandState, Priority, When
from tests.hostile import hostile_argv, hostile_provider, read_log
from tests.support.delivery import Rig
from tests.support.tmux import Tmux

AGENTS, EACH = 10, 20
NASTY: tuple[dict[str, object], ...] = (
    {"swallow": 0.3, "deaf_s": 0.7, "fast_enter_ms": 80, "collapse": True},
    {"swallow": 0.2, "collapse": True, "paste_lag_ms": "0:150", "draw_lag_ms": "0:80", "history": "same"},
    {"swallow": 0.3, "collapse": True, "submit_lag_ms": "0:200", "history": "same", "ghost": "Try something"},
    {"swallow": 0.2, "collapse": True, "redraw_ms": 90, "history": "none"},
    {"swallow": 0.2, "collapse": True, "slow": "200:5", "fast_enter_ms": 40},
    {"swallow": 0.2, "collapse": True, "dialog_p": 0.15, "dialog_s": 0.4, "dialog_when": "text"},
    {"swallow": 0.2, "collapse": True, "dialog_p": 0.15, "dialog_s": 0.4},
    {"swallow": 0.2, "collapse": True, "busy_s": "0:0.3", "start_s": 0.5},
    {"swallow": 0.3, "fast_enter_ms": 80},
    {"swallow": 0.2, "collapse": True, "when_busy": "ignore", "busy_s": "0:0.2"},
)
PIECES = (
    *(
        "hello",
        "two words",
        "ünïcödé",
        "→",
        "漢字",
        "🌮",
        "👍🏽",
        "e\u0301",
        "#{pane_pid}",
        "#(touch x)",
        ";",
        " ; ",
        "-R",
    ),
    *(
        "it's",
        '"q"',
        "$HOME",
        "`x`",
        "\\",
        "\\n",
        "{}",
        "[a]",
        "(b)",
        "*",
        "%5",
        "~",
        "Enter",
        "C-c",
        "/exit",
        "!ls",
        "> x",
    ),
    *("Do you want to", "[Pasted text #1 +2 lines]", "  ", ".", ",", "?", "=" * 30),
)


@pytest.fixture
async def patient(tmux: Tmux, taco_home: Path) -> AsyncIterator[Rig]:
    """A rig that presses Enter as often as it takes."""
    async with Rig.open(tmux, taco_home, enter_limit=20) as rig:
        yield rig


def body(source: random.Random, number: int) -> str:
    """A message of one of the kinds that are typed in different ways: a line, a long line, lines, many lines."""
    kind = number % 4
    words = [source.choice(PIECES) for _ in range(source.randint(1, 8) if kind != 1 else 150)]
    if kind == 0:
        return f"{number} {' '.join(words)}"
    if kind == 1:
        return f"{number} " + "".join(words)
    lines = 2 if kind == 2 else source.randint(4, 40)
    return "\n".join([f"{number}", *(source.choice(PIECES) * source.randint(0, 3) for _ in range(lines))]) + "\nend"


def typed(rig: Rig, name: str, commands: list[tuple[str, str]]) -> list[str]:
    """What is to be submitted: the texts, or pointers to files that hold them."""
    found = []
    for command_id, text in commands:
        command = Command(command_id, "mother", name, text)
        found.append(typed_text(command, rig.providers[name], rig.directory / "bodies"))
        path = rig.directory / "bodies" / f"{command_id}.txt"
        assert not path.exists() or path.read_text("utf-8") == message.sanitise(text)
    return found


async def send_all(rig: Rig) -> dict[str, list[tuple[str, str]]]:
    """Start the agents and send each its messages; (id, text) by agent."""
    sent: dict[str, list[tuple[str, str]]] = {}
    for agent in range(AGENTS):
        name = f"a{agent}"
        options = {**NASTY[agent % len(NASTY)], "seed": agent}
        collapses = "collapse" in options
        provider = hostile_provider() if collapses else re.sub("placeholder = .*\n", "", hostile_provider())
        await rig.start(name, hostile_argv(rig.directory / f"{name}.log", **options), provider)
        source = random.Random(agent)
        texts = [body(source, number) for number in range(EACH)]
        sent[name] = [(await rig.send(name, text, sender="mother"), text) for text in texts]
    return sent


@pytest.mark.slow
async def test_each_once_in_order_byte_for_byte(patient: Rig) -> None:
    rig = patient
    sent = await send_all(rig)
    ids = [command_id for each in sent.values() for command_id, _ in each]
    assert len(ids) == 200
    ledgers = await rig.ended(*ids, timeout_s=120)
    report: Counter[str] = Counter()
    for name, commands in sent.items():
        log = read_log(rig.directory / f"{name}.log")
        report += log.counts
        assert log.texts() == typed(rig, name, commands)
    outcomes = Counter(ledger.state for ledger in ledgers)
    report.update({str(state): count for state, count in outcomes.items()})
    report["enters"] = sum(ledger.enters for ledger in ledgers)
    print(dict(report))
    assert outcomes == {CommandState.DELIVERED: 200}
    assert report["submit"] == 200
    assert report["swallowed"] > 0
    assert report["collapsed"] > 0
    assert report["deaf"] > 0
    assert report["dialog"] > 0
    assert report["approved"] == 0
    counted = await rig.counted()
    assert (counted["enqueued"], counted["executed"], counted.get("dead", 0)) == (200, 200, 0)


async def test_the_executor_is_killed_again_and_again_meanwhile(patient: Rig) -> None:
    rig = patient
    log = rig.directory / "log"
    await rig.start("be", hostile_argv(log, swallow=0.3, fast_enter_ms=80, collapse=True), hostile_provider())
    source = random.Random(7)
    texts = [body(source, number) for number in range(12)]
    ids = [await rig.send("be", text) for text in texts]
    for number in range(24):
        seen = len(rig.pipe.given)
        async with asyncio.timeout(20):
            while len(rig.pipe.given) < seen + source.randint(1, 6) and await rig.broker.waiting_agents():
                await asyncio.sleep(0.002 * (number % 5))
        await rig.kill()
        rig.build()
    await rig.ended(*ids, timeout_s=60)
    commands = list(zip(ids, texts, strict=True))
    assert read_log(log).texts() == typed(rig, "be", commands)
    assert {(await rig.ledger(each)).state for each in ids} == {CommandState.DELIVERED}


async def test_priorities_and_urgency_in_the_thick_of_it(patient: Rig) -> None:
    rig = patient
    log = rig.directory / "log"
    await rig.start("be", hostile_argv(log, swallow=0.3, seed=3, busy_s="0.1:0.2"), hostile_provider())
    await rig.set("be", paused=True)
    order = [
        (Priority.LOW, When.IDLE),
        (Priority.NORMAL, When.IDLE),
        (Priority.HIGH, When.IDLE),
        (Priority.LOW, When.NOW),
    ]
    ids = [
        await rig.send("be", f"{priority}/{when}/{number}", priority=priority, when=when)
        for number in range(3)
        for priority, when in order
    ]
    await rig.held("be", "paused")
    await rig.set("be", paused=False)
    await rig.ended(*ids, timeout_s=60)
    texts = [text.partition("]: ")[2] for text in read_log(log).texts()]
    assert sorted(texts) == sorted(f"{priority}/{when}/{number}" for number in range(3) for priority, when in order)
    for priority, when in order:
        mine = [text for text in texts if text.startswith(f"{priority}/{when}/")]
        assert mine == sorted(mine)  # first come, first served among equals
    assert [text for text in texts if text.startswith("high")] == texts[:3]
