"""What goes wrong outside: one line that says what, where and what to do next, a code, nothing lost, no traceback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support import processes
from tests.support.needs import require, unavailable
from tests.support.program import TACO
from tests.support.sessions import IDLER, Done, House, Session, a_house
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("bad")  # one process: its tests share sessions

LONG = 2_000_000


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with a_house() as house:
        yield house


@pytest.fixture(scope="module")
def session(house: House) -> Session:
    return house.start_idle("sturdy", "api", "web")


@pytest.fixture(scope="module")
def intruder(session: Session) -> Iterator[subprocess.Popen[str]]:
    """A second executor of the session, which gives up when the first one keeps its lease."""
    words = [str(TACO), "executor", "--session", session.name]
    options = {"env": session.house.environ(), "cwd": session.house.project, "text": True}
    running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload]
    yield running
    if running.poll() is None:
        running.kill()
    running.communicate()


@pytest.fixture
def fresh() -> Iterator[House]:
    with a_house() as house:
        yield house


def error_of(done: Done, code: int = 1) -> str:
    """The one line of a call that failed as it should."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert (done.returncode, len(errors), "Traceback" in done.stderr) == (code, 1, False), (
        done.returncode,
        done.stderr,
    )
    return errors[0]


# the words of the call, its standard input, its code, and what its line must say
BAD: dict[str, tuple[list[str], str | bytes | None, int, list[str]]] = {
    "no such command": (["sned", "api", "x"], None, 2, ["no command 'sned'", "did you mean: send"]),
    "no such option": (["status", "--jsno"], None, 2, ["--jsno", "taco status --help"]),
    "unknown session, status": (["status", "--session", "nope"], None, 5, ["no session 'nope'", "sessions: sturdy"]),
    "unknown session, send": (["send", "nope:api", "x"], None, 5, ["no session 'nope'", "sessions: sturdy"]),
    "unknown session, attach": (["attach", "nope"], None, 5, ["no session 'nope'"]),
    "unknown session, stop": (["stop", "nope"], None, 5, ["no session 'nope'"]),
    "unknown session, resume": (["resume", "nope"], None, 5, ["no session 'nope'"]),
    "a session's name that is a path": (["status", "--session", "../../etc"], None, 2, ["is not a session name"]),
    "unknown agent, send": (["send", "apu", "x"], None, 5, ["no agent 'apu'", "agents: mother, api, web"]),
    "unknown agent, pause": (["agent", "pause", "apu"], None, 5, ["no agent 'apu'", "agents: mother, api, web"]),
    "unknown agent, show": (["agent", "show", "9"], None, 5, ["no agent '9'"]),
    "mother cannot be removed": (["agent", "remove", "mother"], None, 2, ["Mother cannot be removed", "taco stop"]),
    "a name that is taken": (["agent", "add", "api", "--role", "x"], None, 1, ["there is an agent 'api' already"]),
    "unknown message": (["queue", "show", "nope"], None, 5, ["nope"]),
    "unknown dead letter": (["queue", "retry", "nope"], None, 5, ["nope"]),
    "nothing to answer": (["answer", "yes"], None, 5, ["no question waits", "taco inbox"]),
    "a message that is missing": (["send", "api"], None, 2, ["the message is missing"]),
    "an empty message": (["send", "api", "-"], "", 2, ["the message is empty"]),
    "a blank message": (["send", "api", " \n "], None, 2, ["the message is empty"]),
    "a message of 2 MB": (["send", "api", "-"], "x" * LONG, 2, ["longer than 1,048,576 bytes", "send its path"]),
    "a binary message": (["send", "api", "-"], b"\0\1\2" * 50, 2, ["binary", "send its path"]),
    "a message that is no text": (["send", "api", "-"], b"\xff\xfe\x80", 2, ["not UTF-8"]),
    "a bad priority": (["send", "api", "x", "--priority", "urgent"], None, 2, ["urgent", "high"]),
    "a bad spec": (["spec", "check", "-"], '{"agents": [{"name": "a"}]}', 2, ["agents[0].role"]),
    "no spec at all": (["spec", "check", "-"], "I could not decide.", 2, ["AGENT_SPEC_JSON_START"]),
    "a binary spec": (["spec", "check", "-"], b"\0\1\2", 2, ["binary"]),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_bad_call_is_refused_in_one_line(
    session: Session, intruder: object, case: tuple[list[str], str | bytes | None, int, list[str]]
) -> None:
    words, given, code, said = case
    line = error_of(session.house.taco(*words, input=given, check=False), code)
    assert all(part in line for part in said), line


def test_json_callers_get_errors_as_json(session: Session) -> None:
    done = session.house.taco("status", "--session", "nope", "--json", check=False)
    assert done.returncode == 5
    assert '"code": "not_found"' in done.stdout


def test_none_of_that_changed_anything(session: Session, intruder: subprocess.Popen[str]) -> None:
    assert {each["name"]: each["state"] for each in session.agents()} == dict.fromkeys(("mother", "api", "web"), "idle")
    assert session.status()["queue"]["pending"] == 0
    assert session.send("api", "still the same?")


def test_a_second_executor_gives_up(session: Session, intruder: subprocess.Popen[str]) -> None:
    _, said = intruder.communicate(timeout=30)
    line = error_of(subprocess.CompletedProcess([], intruder.returncode, "", said))
    assert f"another executor runs session sturdy (pid {session.pane(2, '#{pane_pid}')}" in line
    assert "window 2" in line
    assert session.send("api", "who delivers?")


# files


def test_a_bad_configuration_names_file_and_key(fresh: House) -> None:
    config = fresh.root / "c" / "taco" / "config.toml"
    config.write_text("provider = [[\n")
    for words in (["start", "x"], ["config"], ["spec", "check", "-"]):
        line = error_of(fresh.taco(*words, input="{}", check=False), 2)
        assert str(config) in line
        assert "mend that file" in line
    config.write_text("max_agnets = 3\n")
    assert "unknown setting 'max_agnets'" in error_of(fresh.taco("start", "x", check=False), 2)
    config.write_text("max_agents = 'many'\n")
    assert f"{config}: max_agents" in error_of(fresh.taco("start", "x", check=False), 2)
    config.unlink()
    assert "TACO_MAX_AGENTS" in error_of(fresh.taco("start", "x", check=False, TACO_MAX_AGENTS="0"), 2).upper()


def test_a_bad_provider_names_file_and_key(fresh: House) -> None:
    path = fresh.root / "c" / "taco" / "providers" / "mine.toml"
    path.write_text('name = "mine"\ncommand = ["mine"]\ncolour = "red"\n')
    line = error_of(fresh.taco("start", "x", "--provider", "mine", check=False), 2)
    assert str(path) in line
    assert "colour" in line
    path.write_text('name = "mine"\ncommand = [\n')
    assert str(path) in error_of(fresh.taco("start", "x", "--provider", "mine", check=False), 2)


def test_a_broken_record_is_named(fresh: House) -> None:
    record = fresh.home / "sessions" / "torn" / "session.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"session": "torn", ')
    for words in (["status", "--session", "torn"], ["resume", "torn"], ["stop", "torn"], ["send", "torn:api", "x"]):
        line = error_of(fresh.taco(*words, check=False))
        assert str(record) in line


# programs and servers


def test_without_tmux(fresh: House) -> None:
    path = fresh.root / "bin"
    path.mkdir()
    for name in ("sh", "env", "dirname", "readlink"):
        (path / name).symlink_to(require(name))
    line = error_of(fresh.taco("start", "x", "--provider", IDLER, check=False, PATH=str(path)))
    assert "tmux is not installed" in line
    assert "install tmux" in line
    assert fresh.json("ls") == []


def test_with_an_old_tmux(fresh: House) -> None:
    old = fresh.root / "bin" / "tmux"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho tmux 3.1c\n")
    old.chmod(0o755)
    path = f"{old.parent}:{os.environ['PATH']}"
    line = error_of(fresh.taco("start", "x", "--provider", IDLER, check=False, PATH=path))
    assert "tmux 3.1c is too old — install tmux 3.2 or newer" in line
    assert fresh.json("ls") == []


def test_without_a_usable_redis(fresh: House) -> None:
    for program in ("/bin/false", "/no/such/redis-server"):
        line = error_of(
            fresh.taco("start", "x", "--provider", IDLER, check=False, TACO_REDIS_SERVER=program),
        )
        assert program in line
        assert "install redis-server" in line
    assert fresh.json("ls") == []
    assert not fresh.running()


@contextmanager
def a_redis(directory: Path) -> Iterator[list[str]]:
    """How to start the person's own Redis, which keeps what it acknowledged."""
    directory.mkdir(exist_ok=True)
    options = {"port": "0", "unixsocket": "r.sock", "appendonly": "yes", "appendfsync": "always", "daemonize": "yes"}
    words = [str(require("redis-server")), *(word for key, value in options.items() for word in (f"--{key}", value))]
    try:
        yield [*words, "--dir", str(directory), "--pidfile", str(directory / "pid")]
    finally:
        processes.end(_redis(directory))


def _redis(directory: Path) -> list[psutil.Process]:
    try:
        return [psutil.Process(int((directory / "pid").read_text()))]
    except (OSError, ValueError, psutil.Error):
        return []


def test_a_redis_of_the_persons_own_that_goes_and_comes_back(fresh: House) -> None:
    url = f"unix://{fresh.root}/r/r.sock"
    line = error_of(fresh.taco("start", "x", "--provider", IDLER, check=False, TACO_REDIS_URL=url))
    assert url.removeprefix("unix://") in line
    assert "TACO_REDIS_URL" in line
    with a_redis(fresh.root / "r") as words:
        subprocess.run(words, cwd=fresh.root / "r", check=True, capture_output=True)
        wait_for((fresh.root / "r" / "r.sock").exists)
        session = fresh.start("borrowed", "--provider", IDLER, "--no-mother", TACO_REDIS_URL=url)
        session.taco("spec", "submit", str(fresh.spec("one", "api")))
        session.wait_agent("api", state="idle")
        session.taco("agent", "pause", "api")
        session.wait_agent("api", paused=True)
        kept = session.json("send", "api", "acknowledged")["id"]
        processes.end(_redis(fresh.root / "r"))
        assert fresh.json("ls")[0]["status"] == "running"
        assert "Redis is down" in session.taco("status").stderr
        assert url.removeprefix("unix://") in error_of(session.taco("send", "api", "lost?", check=False))
        error_of(session.taco("queue", check=False))
        session.shows(1, "Redis is gone")
        subprocess.run(words, cwd=fresh.root / "r", check=True, capture_output=True)
        wait_for(lambda: session.taco("queue", "show", kept, check=False).returncode == 0, 30)
        session.taco("agent", "resume", "api")
        assert session.received("api", 30, text="acknowledged")
        assert not [text for text in session.submitted("api") if "lost?" in text]
        session.stop("--grace", "0.5")
        assert _redis(fresh.root / "r")  # it is the person's
    assert not fresh.running()


# disks and directories


def test_a_state_directory_that_cannot_be_written(fresh: House) -> None:
    fresh.home.mkdir()
    if os.geteuid():
        fresh.home.chmod(0o500)
        prefix: tuple[str, ...] = ()
    else:  # root may write everywhere but on what is mounted read-only
        mount = f'mount --bind {fresh.home} {fresh.home} && mount -o remount,ro,bind {fresh.home} && exec "$@"'
        prefix = ("unshare", "-m", "sh", "-c", mount, "sh")
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
            unavailable("a mount namespace: unshare -m is not permitted")
    locked = House(fresh.root, fresh.tmux, prefix)
    assert locked.json("ls") == []
    line = error_of(locked.taco("start", "x", "--provider", IDLER, check=False))
    assert str(fresh.home) in line
    assert "TACO_HOME" in line
    fresh.home.chmod(0o700)
    session = fresh.start("readable", "--provider", IDLER, "--no-mother")
    assert "readable" in locked.taco("status", "--session", "readable").stdout
    assert locked.json("ls")[0]["status"] == "running"
    os.kill(int(session.pane(2, "#{pane_pid}")), signal.SIGSTOP)  # somebody is to look after it
    assert "Traceback" not in locked.taco("status", "--session", "readable").stderr
    for words in (["stop", "readable"], ["start", "x", "--session", "more", "--provider", IDLER]):
        assert str(fresh.home) in error_of(locked.taco(*words, check=False))
    os.kill(int(session.pane(2, "#{pane_pid}")), signal.SIGCONT)


@pytest.fixture
def small_disk(fresh: House) -> Iterator[Path]:
    """The state directory on a disk of its own, of 12 MB."""
    fresh.home.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(fresh.home)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True, check=False).returncode:
        unavailable("a small disk: mount is not permitted")
    yield fresh.home
    fresh.tmux.close()
    processes.end(processes.of_home([fresh.home]))
    subprocess.run(["umount", "-l", str(fresh.home)], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk to its last byte."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return path


def test_a_full_disk(fresh: House, small_disk: Path) -> None:
    session = fresh.start("tight", "--provider", IDLER, "--no-mother")
    session.taco("spec", "submit", str(fresh.spec("one", "api")))
    session.wait_agent("api", state="idle")
    session.taco("agent", "pause", "api")
    session.wait_agent("api", paused=True)
    kept = [session.json("send", "api", f"acknowledged {number}")["id"] for number in range(3)]
    filler = fill(small_disk)
    refused = [session.taco("send", "api", f"refused {number} {'x' * 9000}", check=False) for number in range(3)]
    lines = [error_of(done) for done in refused if done.returncode]
    assert lines
    assert any("disk" in line or "No space" in line for line in lines), lines
    assert "is full: make room" in session.taco("status").stderr
    wait_for(lambda: "is full: make room" in session.house.tmux.screen("tight:1"), 30, session.describe)
    checks = {each["name"]: each for each in fresh.json("doctor", check=False)["checks"]}
    assert checks["state"]["verdict"] == "bad"
    assert "make room" in checks["session tight"]["mend"]
    error_of(fresh.taco("start", "x", "--provider", IDLER, "--session", "more", check=False))
    filler.unlink()
    wait_for(lambda: session.taco("queue", "show", kept[0], check=False).returncode == 0, 30, session.describe)
    assert [session.json("queue", "show", each)["state"] for each in kept] == ["queued"] * 3
    session.taco("agent", "resume", "api")
    assert session.received("api", 40, text="acknowledged 2")
    accepted = [number for number, done in enumerate(refused) if done.returncode == 0]
    for number in accepted:
        assert session.received("api", 40, text=f"refused {number}")
    kept_texts = [text for text in session.submitted("api") if "acknowledged" in text]
    assert kept_texts == [f"[person → api]: acknowledged {number}" for number in range(3)]
    session.stop("--grace", "0.5")
    assert fresh.json("ls")[0]["status"] == "stopped"


def test_a_state_path_too_long_for_a_socket(fresh: House) -> None:
    home = fresh.root / ("h" * 120) / ("deeper" * 20)
    home.mkdir(parents=True)
    words = ("start", "x", "--provider", IDLER, "--session", "far-down", "-d")
    try:
        fresh.taco(*words, TACO_HOME=str(home))
        assert fresh.json("ls", TACO_HOME=str(home))[0]["status"] == "running"
        fresh.taco("send", "mother", "deep", "--wait", "20", TACO_HOME=str(home))
        fresh.taco("stop", "far-down", "--grace", "0.5", TACO_HOME=str(home))
    finally:
        processes.end(processes.of_home([home]))
    assert not processes.describe(processes.of_home([home]))
