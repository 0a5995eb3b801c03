"""`taco start`: every option, what it asks, what it refuses, and that a failed start leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import TACO
from tests.support.sessions import IDLER, House, Session, a_house
from tests.support.terminal import DETACH, Terminal
from tests.support.tmux import Tmux, new_socket
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("start")  # one process: its tests share sessions


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with a_house() as house:
        yield house


@pytest.fixture(scope="module")
def session(house: House) -> Session:
    """One that runs all the time, so that Redis and tmux are there."""
    return house.start_idle("first", "api", options=["--yolo", "--model", "gpt-0", "--no-mother"])


@pytest.fixture
def fresh() -> Iterator[House]:
    """A person who has never started anything."""
    with a_house() as house:
        yield house


def nothing_is_left(house: House) -> bool:
    """No tmux session, no directory, no Redis."""
    sessions = house.home / "sessions"
    directories = [path for path in sessions.iterdir() if path.is_dir()] if sessions.exists() else []
    return not house.running() and not house.tmux.pids() and not directories and house.json("ls") == []


def end(house: House, name: str) -> None:
    house.taco("stop", name, "--grace", "0.5")


def test_no_mother_is_a_shell_in_window_0(session: Session) -> None:
    assert [each["name"] for each in session.agents()] == ["api"]
    assert session.windows() == {0: "mother", 1: "monitor", 2: "executor", 3: "api"}
    session.house.tmux.run("send-keys", "-t", "=first:0", "echo $((6*7))", "Enter")
    session.shows(0, "42")
    session.send("api", "!done without anybody above me")
    assert session.wait_agent("api", status="done")


def test_yolo_is_said_and_shown(house: House, session: Session) -> None:
    words = [str(TACO), "start", "--yolo", "--provider", IDLER, "--session", "first", "again"]
    terminal = Terminal(words, house.environ(), house.project)
    try:
        terminal.shows("\x1b[1;31mYOLO: agents will not ask before they do something\x1b[0m")
        assert terminal.wait() == 1  # the name is taken
    finally:
        terminal.close()
    session.shows(1, "YOLO: agents do not ask")
    assert session.json("agent", "show", "api")["yolo"] is True


def test_an_option_that_the_provider_does_not_take_is_told(session: Session) -> None:
    wait_for(lambda: any("model" in each["content"] for each in session.events("agent.state")), what=session.describe)


def test_the_prompt_is_asked_for(house: House, session: Session) -> None:
    terminal = Terminal([str(TACO), "start", "--provider", IDLER], house.environ(), house.project)
    try:
        terminal.shows("What do you want built?")
        terminal.press("a small shop\rwith a till\r\r")
        terminal.shows("demo agent: scripted")
        terminal.press(DETACH)
        assert terminal.wait() == 0
    finally:
        terminal.close()
    found = Session(house, "a-small-shop-with-a-till", house.root).status()
    assert found["prompt"] == "a small shop\nwith a till"
    assert found["project_dir"] == str(house.project)
    end(house, found["session"])


def test_the_prompt_comes_from_standard_input_and_the_project_from_dir(house: House, session: Session) -> None:
    (house.root / "elsewhere").mkdir()
    words = ("-", "--provider", IDLER, "-d", "--dir", "../elsewhere", "--socket", house.tmux.socket)
    made = house.json("start", *words, input="Böse Überraschung!\nmehr\n", TACO_TMUX_SOCKET="")
    assert made["session"] == "bose-uberraschung-mehr"
    found = Session(house, made["session"], house.root).status()
    assert found["prompt"] == "Böse Überraschung!\nmehr"
    assert found["project_dir"] == str(house.root / "elsewhere")
    assert found["tmux"]["socket"].endswith(house.tmux.socket)
    end(house, made["session"])


def test_the_prompt_is_written_in_an_editor(house: House, session: Session) -> None:
    editor = house.root / "editor"
    editor.write_text('#!/bin/sh\nprintf "%s\\nwith a till\\n" "$(cat "$1")" > "$1"\n')
    editor.chmod(0o755)
    words = ("a shop", "--edit", "--provider", IDLER, "-d", "--session", "edited")
    house.taco("start", *words, EDITOR=str(editor), VISUAL="")
    assert Session(house, "edited", house.root).status()["prompt"] == "a shop\nwith a till"
    end(house, "edited")


def test_a_brief_that_no_argument_can_hold_is_read_from_its_file(house: House, session: Session) -> None:
    prompt = "ü" * 49_999
    words = ("start", "-", "--provider", IDLER, "-d", "--session", "long", "--spec", str(house.spec("long", "writer")))
    house.taco(*words, input=prompt)
    long = Session(house, "long", house.root / "l" / "{agent}.jsonl")
    said = long.received("writer", text="Read your brief in ")
    brief = Path(said.removeprefix("Read your brief in ").removesuffix(" first."))
    assert prompt in brief.read_text()
    assert long.status()["prompt"] == prompt
    end(house, "long")


def test_no_more_agents_start_at_once_than_the_setting_allows(house: House, session: Session) -> None:
    names = ["one", "two", "three", "four"]
    words = ("start", "x", "--provider", IDLER, "-d", "--session", "queue", "--spec", str(house.spec("queue", *names)))
    house.taco(*words, TACO_START_CONCURRENCY="1")
    queue = Session(house, "queue", house.root)
    queue.wait(lambda team: [each["state"] for each in team if each["name"] in names] == ["idle"] * 4)
    lines = queue.taco("log", "-n", "2000", "--level", "debug", "--json").stdout.splitlines()
    starting: set[str] = set()
    order = []
    for event in map(json.loads, lines):
        if event["type"] == "agent.created" and event["agent"] in names:
            starting.add(event["agent"])
            order.append(event["agent"])
        elif event["type"] == "agent.state":
            starting.discard(event["agent"])
        assert len(starting) <= 1, lines
    assert (order, starting) == (names, set())
    end(house, "queue")


def test_another_tmux_server(house: House, session: Session) -> None:
    other = Tmux(new_socket(), house.tmux.conf)
    try:
        house.taco("start", "elsewhere", "--provider", IDLER, "-d", "--session", "far", "--socket", other.socket)
        assert other.run("list-sessions", "-F", "#{session_name}") == "far"
        running = {each["session"] for each in house.json("ls") if each["status"] == "running"}
        assert running == {"first", "far"}
        end(house, "far")
    finally:
        other.close()


def claude(house: House, script: str) -> str:
    """A PATH on which `claude` is this script."""
    program = house.root / "bin" / "claude"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def test_the_demo_runs_whatever_provider_a_spec_names(house: House, session: Session) -> None:
    team = [{"name": "api", "provider": "claude"}, {"name": "sh", "provider": "shell"}, {"name": "web"}]
    words = ("start", "x", "-d", "--session", "shown", "--spec", str(house.spec("shown", *team)))
    done = house.taco(*words, PATH="/usr/bin:/bin")  # no agent CLI is there, so that it is the demo
    told = "provider is not applied in a demo session: demo runs api (claude), sh (shell)"
    assert [line for line in done.stderr.splitlines() if "warning" in line] == [f"· warning: {told}"]
    shown = Session(house, "shown", house.root / "l" / "{agent}.jsonl")
    shown.wait(lambda found: len(found) == 4 and all(each["done"] for each in found[1:]), what="everybody done")
    assert {each["provider"] for each in shown.agents()} == {"demo"}
    assert shown.json("spec", "show")["warnings"] == [told]
    shown.shows(0, "The spec is accepted.")
    assert "spec submit" not in shown.screen(0)
    assert len([each for each in shown.events("agent.state") if "is not applied" in each["content"]]) == 2
    end(house, "shown")


def test_trust_is_noted_where_the_agent_cli_looks(house: House, session: Session) -> None:
    options = ("--provider", "claude", "--trust", "-d", "--session", "trusting")
    house.taco("start", "trust me", *options, PATH=claude(house, "exec taco demo-agent --idle"))
    noted = json.loads((house.root / "u" / ".claude.json").read_text())
    assert noted["projects"][str(house.project)]["hasTrustDialogAccepted"] is True
    end(house, "trusting")


@pytest.mark.parametrize("answer", ["y", "n"])
def test_the_person_is_asked_about_trust_at_a_terminal(fresh: House, answer: str) -> None:
    environ = fresh.environ(PATH=claude(fresh, "exec taco demo-agent --idle"))
    words = [str(TACO), "start", "x", "--provider", "claude", "--session", "asked"]
    terminal = Terminal(words, environ, fresh.project, 120, 40)
    try:
        terminal.shows("Trust it for good? [y/N]")
        assert len(fresh.running().splitlines()) == 1, fresh.running()  # the call itself
        assert not fresh.tmux.pids()
        terminal.press(f"{answer}\r")
        terminal.shows("demo agent: scripted")
        terminal.press(DETACH)
        assert terminal.wait() == 0
    finally:
        terminal.close()
    file = fresh.root / "u" / ".claude.json"
    noted = json.loads(file.read_text())["projects"] if file.exists() else {}
    assert noted == ({str(fresh.project): {"hasTrustDialogAccepted": True}} if answer == "y" else {})
    end(fresh, "asked")


def test_a_start_that_is_refused_notes_no_trust(fresh: House) -> None:
    path = claude(fresh, "exec taco demo-agent --idle")
    for wrong in (("--session", "Not A Name"), ("--dir", "/no/such"), ("--spec", str(fresh.spec("bad")))):
        words = ("start", "x", "--provider", "claude", "--trust", "-d", *wrong)
        assert fresh.taco(*words, PATH=path, check=False).returncode == 2
        assert not (fresh.root / "u" / ".claude.json").exists()


def test_a_start_that_fails_takes_its_trust_back(fresh: House) -> None:
    before = {"numStartups": 3, "projects": {"/other": {"hasTrustDialogAccepted": True}}}
    file = fresh.root / "u" / ".claude.json"
    file.write_text(json.dumps(before))
    words = ("start", "x", "--provider", "claude", "--trust", "-d")
    done = fresh.taco(*words, PATH=claude(fresh, 'cat "$HOME/.claude.json"; exit 3'), check=False)
    assert done.returncode == 1
    assert "trust noted in" in done.stderr
    assert "the note of trust is taken back" in done.stderr
    assert json.loads(file.read_text()) == before
    assert nothing_is_left(fresh)


# name -> the call, its exit code, and what its one line must say
REFUSED = {
    "no prompt": (["start", "-d"], 2, ["there is no prompt", 'taco start "build me X"']),
    "a blank prompt": (["start", "  ", "-d"], 2, ["there is no prompt"]),
    "a bad name": (["start", "x", "--session", "Not A Name"], 2, ["'Not A Name' is not a session name", "a-z, 0-9"]),
    "an unknown provider": (["start", "x", "--provider", "gtp"], 5, ["no provider 'gtp'", "providers: "]),
    "a provider that is not installed": (
        ["start", "x", "--provider", "ghost"],
        1,
        ["'no-such-program' is not installed", "--provider"],
    ),
    "no such directory": (["start", "x", "--dir", "/no/such"], 2, ["/no/such is not a directory", "--dir"]),
    "no such spec": (["start", "--spec", "no.json"], 5, ["no.json: No such file", "taco spec check"]),
    "a spec with an error": (["start", "--spec", "{bad}"], 2, ["nobody is named 'nobody'"]),
    "a team that is too large": (["start", "--spec", "{two}", "--max-agents", "1"], 2, ["2 agents, at most 1"]),
    "a running session": (["start", "x", "--session", "first"], 1, ["taco attach first", "--session NAME"]),
    "a stopped session": (["start", "x", "--session", "old"], 1, ["taco resume old", "--session NAME"]),
    "somebody else's tmux session": (["start", "x", "--session", "keeper"], 1, ["not TACO's", "--session NAME"]),
}


@pytest.fixture(scope="module")
def crowded(house: House, session: Session) -> House:
    """With a stopped session, a tmux session of the person's own, and a provider without its program."""
    house.taco("start", "x", "--provider", IDLER, "-d", "--session", "old")
    end(house, "old")
    house.tmux.start()
    house.provider("ghost", ["no-such-program", "{agent}"])
    house.spec("bad", {"name": "api", "wait_for": ["nobody"]})
    house.spec("two", "api", "web")
    return house


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_refused_in_one_line(crowded: House, case: tuple[list[str], int, list[str]]) -> None:
    words, code, said = case
    files = {"{bad}": str(crowded.root / "bad.json"), "{two}": str(crowded.root / "two.json")}
    words = [files.get(word, word) for word in words]
    if "--provider" not in words:
        words += ["--provider", IDLER]
    before = crowded.json("ls"), crowded.tmux.run("list-sessions")
    done = crowded.taco(*words, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert (done.returncode, len(lines), "Traceback" in done.stderr, done.stdout) == (code, 1, False, ""), done.stderr
    assert all(part in lines[0] for part in said), lines[0]
    assert (crowded.json("ls"), crowded.tmux.run("list-sessions")) == before


def test_a_start_that_fails_half_way_leaves_nothing(fresh: House) -> None:
    fresh.tmux.conf.write_text("set-hook -g session-created 'kill-session -t doomed'\n")
    done = fresh.taco("start", "x", "--provider", IDLER, "--session", "doomed", "-d", check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "taking down what was started" in done.stderr
    assert nothing_is_left(fresh)


# how Mother's CLI fails, and what is said of that
AT_ONCE = {
    "it ends": (["sh", "-c", "exit 3"], "ended at once (exit 3): it said nothing"),
    "it ends and says why": (["sh", "-c", "echo no licence; exit 4"], "ended at once (exit 4): no licence"),
    "it cannot be executed": (["{root}/broken"], "broken"),
}


@pytest.mark.parametrize("case", AT_ONCE.values(), ids=AT_ONCE)
def test_a_mother_that_ends_at_once_is_a_start_that_failed(fresh: House, case: tuple[list[str], str]) -> None:
    words, said = case
    broken = fresh.root / "broken"
    broken.write_bytes(b"\x7fELF of another machine")
    broken.chmod(0o755)
    fresh.provider("brief", [word.replace("{root}", str(fresh.root)) for word in words], first_prompt="none")
    done = fresh.taco("start", "x", "--provider", "brief", "--session", "doomed", "-d", check=False)
    error = done.stderr.splitlines()[-1]
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert error.startswith("error: Mother's CLI ended at once")
    assert said in error
    assert "taco provider show brief" in error
    assert nothing_is_left(fresh)


def test_a_mother_that_cannot_come_back_leaves_the_session_to_its_agents(fresh: House) -> None:
    flag = fresh.root / "gone"
    script = f"test -e {flag} && {{ echo no licence; exit 4; }}; exec taco demo-agent --name mother --idle"
    fresh.provider("brief", ["sh", "-c", script], first_prompt="none")
    fresh.taco("start", "x", "--provider", "brief", "--session", "half", "-d")
    fresh.taco("stop", "half")
    flag.touch()
    done = fresh.taco("resume", "half", "-d")
    assert "Mother's CLI ended at once (exit 4): no licence" in done.stderr
    assert "taco agent restart mother" in done.stderr
    assert [each["status"] for each in fresh.json("ls")] == ["running"]
    end(fresh, "half")


def test_a_mother_that_takes_her_time_has_started(fresh: House) -> None:
    fresh.provider("slow", ["sh", "-c", "exec tail -f /dev/null"], first_prompt="none")
    done = fresh.taco("start", "x", "--provider", "slow", "--session", "slow", "-d")
    assert "Mother is at work in window 0" in done.stderr
    end(fresh, "slow")


@pytest.mark.parametrize("step", ["agents:", "Redis ", "windows 0 to 2", "the executor delivers"])
def test_a_start_that_is_interrupted_leaves_nothing(fresh: House, step: str) -> None:
    words = [str(TACO), "start", "x", "--provider", IDLER, "--session", "regretted", "-d"]
    running = subprocess.Popen(words, env=fresh.environ(), cwd=fresh.project, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if step in line:
            running.send_signal(signal.SIGINT)
    assert running.wait(20) == 130
    running.stderr.close()
    assert nothing_is_left(fresh)


def test_of_two_starts_with_one_name_one_wins(fresh: House) -> None:
    words = [str(TACO), "start", "x", "--provider", IDLER, "--session", "twin", "-d"]
    runs = [
        subprocess.Popen(
            words, env=fresh.environ(), cwd=fresh.project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [run.communicate(timeout=60)[1] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 1], said
    loser = next(text for run, text in zip(runs, said, strict=True) if run.returncode)
    assert loser.count("error:") == 1
    assert "taco attach twin" in loser
    assert Session(fresh, "twin", fresh.root / "l" / "{agent}.jsonl").send("mother", "alone after all")
    end(fresh, "twin")
