from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from taco import __version__
from taco.cli.app import ENTRIES, GROUPS
from taco.wire import Wire
from tests.cli.conftest import Shop, taco
from tests.support.paths import ROOT
from tests.support.waiting import wait_for


def test_alone_it_shows_every_command_in_its_group() -> None:
    done = taco()
    assert (done.code, done.err) == (0, "")
    for title, entries in GROUPS.items():
        assert title in done.out
        assert all(f"  {name} " in done.out for name in entries)
    assert done.out.count("\n") < 50
    assert taco("--help").out == done.out


def test_every_command_can_be_loaded_and_says_what_it_does() -> None:
    for name in ENTRIES:
        done = taco(name, "--help")
        assert done.code == 0, done.err
        assert done.out.startswith(f"Usage: taco {name}")


def test_the_release() -> None:
    assert taco("--version").out == f"taco {__version__}\n"


def test_a_misspelt_command_gets_a_suggestion() -> None:
    done = taco("stauts")
    assert (done.code, done.out) == (2, "")
    assert "no command 'stauts' — did you mean: status" in done.err
    assert taco("xyzzy").err == "error: no command 'xyzzy' — taco --help lists the commands\n"


def test_errors_are_json_when_json_is_asked_for(taco_home: Path) -> None:
    done = taco("status", "--json")
    assert done.code == 5
    assert done.json == {
        "error": {
            "code": "not_found",
            "message": "there is no session",
            "hint": 'start one: taco start "what you want built"',
        }
    }
    assert done.err.startswith("error: there is no session — start one")
    assert taco("queue", "show", "--json").json["error"]["code"] == "usage"
    assert taco("send", "api", "--json").json["error"]["code"] in ("usage", "not_found")
    assert taco("send", "api", "--", "--json").out == ""


@pytest.mark.parametrize("args", [["send", "api", "x"], ["queue"], ["config"], ["log", "--level", "debug"]])
def test_a_reader_that_goes_away_is_no_error(shop: Shop, args: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "taco", *args],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


@pytest.mark.parametrize("args", [["send", "api", "x", "--wait", "60"], ["service", "wait", "x"], ["log", "-f"]])
def test_ctrl_c_ends_quietly_with_130(shop: Shop, args: list[str]) -> None:
    wait_for(lambda: clients(shop) == 0, what="those before it are gone")
    with subprocess.Popen(
        [sys.executable, "-m", "taco", *args],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(lambda: clients(shop) > 0, what="the command is connected")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err


def clients(shop: Shop) -> int:
    """How many others are connected to the session's Redis."""
    with Wire(shop.url, "shop") as wire:
        return str(wire.call("CLIENT", "LIST")).count("\n") - 1


HEAVY = {"pydantic", "redis", "orjson", "platformdirs", "textual", "libtmux", "rich", "psutil", "asyncio"}
MODELS = {"click", "taco.models", "taco.records", "taco.paths", "dataclasses", "pathlib", "subprocess", "hashlib"}


@pytest.mark.parametrize(
    ("args", "never"),
    [(["send", "api", "hello"], HEAVY | MODELS), (["done", "all of it"], HEAVY | MODELS), (["status"], HEAVY)],
)
def test_what_agents_call_all_the_time_loads_nothing_heavy(shop: Shop, args: list[str], never: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "taco", *args],
        env={**os.environ, "PYTHONPATH": str(ROOT), **shop.pane("web")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & never
    assert "hiredis" in loaded


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("config", 0), ("status --session nobody", 5), ("nonsense", 2)])
def test_a_closed_stream_ends_no_command(closed: str, words: str, code: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m taco {words} {closed}'],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
