"""What a session keeps is its owner's alone."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sessions import Session, a_house

NOBODY = 65534
TRY = """
import os, socket, sys
os.setuid(65534)
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
else:
    print("connected")
"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with a_house() as house:
        session = house.start_idle("private", "api", options=["--no-mother"])
        session.taco("send", "api", "a secret plan", "--wait", "30")
        yield session


def test_directories_are_0700_and_files_0600(session: Session) -> None:
    home = session.house.home
    found = {path: path.lstat().st_mode for path in (home, *home.rglob("*")) if not path.is_symlink()}
    open_ones = {str(path): oct(mode & 0o777) for path, mode in found.items() if mode & 0o077}
    assert open_ones == {}
    assert sum(stat.S_ISREG(mode) for mode in found.values()) > 5


def test_a_secret_is_delivered_and_not_kept_to_be_read(session: Session) -> None:
    secret = "sk-ant-api03-AbCdEf0123456789xyz"
    assert session.send("api", f"use {secret} for the api")
    sent = session.json("send", "api", f"again {secret}", "--wait", "30")["id"]
    assert [text for text in session.submitted("api") if secret in text]
    shown = session.taco("queue", "show", sent).stdout
    assert "again [redacted]" in shown
    told = [shown, session.taco("log", "-n", "500").stdout, session.taco("log", "--json", "-n", "500").stdout]
    told += [session.screen(1), session.screen(2)]
    told += [path.read_text(errors="replace") for path in (session.house.home / "sessions").rglob("*.jsonl")]
    assert not [text for text in told if secret in text]


def socket_of(session: Session) -> Path:
    return Path(session.status()["redis"]["url"].removeprefix("unix://").partition("?")[0])


def test_redis_can_be_reached_by_nobody_else(session: Session) -> None:
    path = socket_of(session)
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect(str(path))
    assert path.parent.stat().st_mode & 0o077 == 0
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    words = [sys.executable, "-I", "-c", TRY, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "PermissionError\n", done.stderr


def test_another_user_reads_nothing(session: Session) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    log = session.house.home / "sessions" / "private" / "log.jsonl"
    session.house.root.chmod(0o755)  # what is above the state may be open
    done = subprocess.run(["cat", str(log)], user=NOBODY, capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, "Permission denied" in done.stderr) == (1, True)
