"""The protocol itself: text, a wait, Enter, in separate command lists, and nothing else is typed."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from taco.message import settle_ms
from taco.models import CommandState, Evidence
from taco.tmux.commands import quote
from tests.hostile import hostile_argv, hostile_provider, raw_argv, raw_provider, read_log, read_raw
from tests.support.delivery import Rig
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for

MESSAGES = {
    "short": "hello",
    "long": "a long line " * 120,
    "lines": "first line\nsecond line\n\nfourth line",
    "twenty thousand": "\n".join(f"line {number}" for number in range(2_000)),
}


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("agent", ["composer", "raw"])
async def test_text_then_a_wait_then_enter(rig: Rig, name: str, agent: str) -> None:
    message = MESSAGES[name]
    log = rig.directory / "log"
    if agent == "raw":
        await rig.start("be", raw_argv(log), raw_provider("raw", log, header=True))
    else:
        await rig.start("be", hostile_argv(log, collapse=True), hostile_provider())
    (ledger,) = await rig.ended(await rig.send("be", message))
    assert ledger.state is CommandState.DELIVERED
    assert (ledger.attempts, ledger.enters) == (1, 1)
    text, enter = rig.pipe.typed  # and nothing else
    pointer = agent == "composer" and len(message) > 16_000
    assert ("paste-buffer" in text.line) == (not pointer and name != "short")
    assert re.search(r"send-keys '-t' '%\d+' 'Enter'", enter.line)
    assert "Enter" not in text.line
    size = 0 if pointer else len(f"[mother → be]: {message}".encode())
    assert enter.at - text.at >= settle_ms(200, size) / 1_000


async def test_what_tmux_is_given_is_what_is_noted(
    tmux: Tmux, taco_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same seen from outside: a `tmux` first in PATH that writes down what comes in."""
    real, given = shutil.which("tmux"), tmp_path / "given"
    wrapper = tmp_path / "bin" / "tmux"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\ntee -a {given} | exec {real} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    async with Rig.open(tmux, taco_home) as rig:
        log = rig.directory / "log"
        await rig.start("be", hostile_argv(log), hostile_provider())
        monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        ids = [await rig.send("be", text) for text in ("one", "two")]
        assert {ledger.evidence for ledger in await rig.ended(*ids)} == {Evidence.SCREEN}
        lines = [
            line for line in given.read_text("utf-8").splitlines() if "send-keys" in line or "paste-buffer" in line
        ]
        texts = [f"send-keys '-t' '%1' '-l' '--' {quote(f'[mother → be]: {each}')}" for each in ("one", "two")]
        keys = [next(iter(re.findall(r"\{ (send-keys .*?) ; set-option", line))) for line in lines]
        assert keys == [texts[0], "send-keys '-t' '%1' 'Enter'", texts[1], "send-keys '-t' '%1' 'Enter'"]
        monkeypatch.undo()


@pytest.mark.parametrize("settle", [200, 500])
async def test_the_providers_wait_is_kept(rig: Rig, settle: int) -> None:
    log = rig.directory / "log"
    await rig.start("be", hostile_argv(log), hostile_provider(settle_ms=settle))
    await rig.ended(*[await rig.send("be", f"message {number}") for number in range(3)])
    given = rig.pipe.typed
    assert len(given) == 6
    assert all(enter.at - text.at >= settle / 1_000 for text, enter in zip(given[::2], given[1::2], strict=True))


async def test_an_enter_that_came_to_nothing_is_pressed_again_and_nothing_else(rig: Rig) -> None:
    log = rig.directory / "log"
    await rig.start("be", hostile_argv(log, swallow=1.0, swallow_most=2), hostile_provider())
    (ledger,) = await rig.ended(await rig.send("be", "hello"))
    assert (ledger.state, ledger.enters) == (CommandState.DELIVERED, 3)
    _text, *enters = rig.pipe.typed
    assert len(enters) == 3
    assert all("'Enter'" in each.line for each in enters)
    assert read_log(log).counts["swallowed"] == 2
    assert read_log(log).texts() == ["[mother → be]: hello"]


async def test_what_the_program_reads_lies_apart_too(rig: Rig) -> None:
    log = rig.directory / "log"
    await rig.start("be", raw_argv(log), raw_provider("raw", log))
    await rig.ended(await rig.send("be", "hello"))
    (at, text), (later, enter) = wait_for(lambda: reads if len(reads := read_raw(log).reads) == 2 else (), what="reads")
    assert (text, enter) == (b"hello", b"\r")
    assert later > at
