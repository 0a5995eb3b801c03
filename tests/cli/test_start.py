"""What `taco start` refuses before it starts anything."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from taco import redis_server
from tests.cli.conftest import Done, taco

RANDOM = b"\x01\x02\x80\xff"


@pytest.fixture
def project(taco_home: Path, tmux_socket: str, tmp_path: Path) -> Path:
    """A person's project; what is started would be on a tmux server of its own."""
    return tmp_path


def refused(done: Done, home: Path, code: int = 2) -> str:
    """The one line of a start that was refused, once it is sure that nothing was started."""
    assert (done.code, done.out, done.err.count("error:"), "Traceback" in done.err) == (code, "", 1, False), done.err
    assert not list((home / "sessions").glob("*/session.json"))
    assert redis_server.running(home) is None
    return next(line for line in done.err.splitlines() if line.startswith("error:"))


@pytest.mark.parametrize(
    ("words", "given", "says"),
    [
        (["-"], RANDOM, "the prompt is not UTF-8: byte 2 is 0x80"),
        (["abc\udcff"], None, "the prompt is not UTF-8: byte 3 is 0xff"),
        (["abc\udcff", "--edit"], None, "the prompt is not UTF-8: byte 3 is 0xff"),
        (["-"], b"a\0b", "the prompt is binary"),
        (["-"], b" \n", "the prompt is empty"),
        (["x", "--spec", "-"], RANDOM, "the spec is not UTF-8: byte 2 is 0x80"),
        (["x", "--spec", "-"], b"\0\1", "the spec is binary: it holds NUL bytes — a spec is JSON: taco spec schema"),
        (["-", "--spec", "-"], b"x", "cannot both be read from standard input"),
    ],
)
def test_what_is_no_text_is_refused(
    project: Path, taco_home: Path, words: list[str], given: bytes | None, says: str
) -> None:
    done = taco("start", *words, "--provider", "demo", "-d", input=given, cwd=project)
    assert says in refused(done, taco_home)


def test_a_spec_file_that_is_no_text_is_named(project: Path, taco_home: Path) -> None:
    (project / "team.json").write_bytes(RANDOM)
    done = taco("start", "--spec", "team.json", "--provider", "demo", "-d", cwd=project)
    assert "the spec team.json is not UTF-8: byte 2" in refused(done, taco_home)


def test_an_editor_that_writes_no_text_starts_nothing(project: Path, taco_home: Path) -> None:
    editor = project / "editor"
    editor.write_text("#!/bin/sh\nprintf 'a shop\\377' > \"$1\"\n")
    editor.chmod(0o755)
    env = {"EDITOR": str(editor), "VISUAL": "", "PATH": os.environ["PATH"]}
    done = taco("start", "--edit", "--provider", "demo", "-d", cwd=project, env=env)
    assert "the prompt is not UTF-8" in refused(done, taco_home)


def test_a_prompt_that_is_too_long_is_refused(project: Path, taco_home: Path) -> None:
    for words, given in ((["-"], "ü" * 50_001), (["x" * 100_001], None), (["-"], "x" * 3_000_000)):
        line = refused(taco("start", *words, "--provider", "demo", "-d", input=given, cwd=project), taco_home)
        assert "the prompt is longer than 100,000 bytes" in line
        assert "put it into a file in the project, and name that file" in line


@pytest.mark.parametrize(("words", "code"), [(["x", "--session", "A B"], 2), ([], 2), (["x", "--dir", "/no/such"], 2)])
def test_nothing_is_announced_before_the_arguments_are_checked(
    project: Path, taco_home: Path, words: list[str], code: int
) -> None:
    path = f"{project}:/usr/bin:/bin"  # no agent CLI is there, so that the demo would be offered
    done = taco("start", *words, "-d", "--trust", "--yolo", cwd=project, env={"PATH": path, "HOME": str(project)})
    refused(done, taco_home, code)
    assert len(done.err.splitlines()) == 1, done.err


def test_a_missing_editor_is_named_with_what_to_do(project: Path, taco_home: Path) -> None:
    env = {"EDITOR": "no-such-editor", "VISUAL": ""}
    line = refused(taco("start", "--edit", "--provider", "demo", "-d", cwd=project, env=env), taco_home, 1)
    assert "no-such-editor" in line
    assert "set EDITOR" in line


def test_a_spec_is_refused_with_the_errors_of_spec_check(project: Path, taco_home: Path) -> None:
    team = [{"name": "a", "role": "x"}] + [{"name": name, "role": "x", "provider": "gtp"} for name in ("b", "c")]
    (project / "team.json").write_text(json.dumps({"agents": team}))
    done = taco("start", "--spec", "team.json", "--provider", "demo", "-d", cwd=project)
    errors = [line for line in done.err.splitlines() if line.startswith("error:")]
    assert (done.code, len(errors)) == (2, 2)
    assert "agents[1].provider: 'gtp' is no provider" in errors[0]
    assert "agents[2].provider: 'gtp' is no provider" in errors[1]
    check = taco("spec", "check", "team.json", cwd=project)
    assert [line for line in check.err.splitlines() if line.startswith("error:")] == errors
    assert not list((taco_home / "sessions").glob("*/session.json"))
