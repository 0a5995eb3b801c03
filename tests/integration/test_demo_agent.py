"""The demo agent in a real terminal: what it shows, what it logs, what it does as Mother and as an agent."""

from __future__ import annotations

import json
import os
import random
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from taco import files
from taco.brief import coordinate_values
from taco.models import Agent
from taco.provider import parse_provider
from taco.screen import Reading, read_screen
from taco.spec import parse_spec
from tests.hostile import Log, read_log
from tests.support import needs
from tests.support.paths import PACKAGE, ROOT
from tests.support.tmux import Tmux, new_socket
from tests.support.waiting import wait_for

SCREEN = parse_provider(tomllib.loads((PACKAGE / "providers" / "demo.toml").read_text("utf-8")), "demo").screen
# A `taco` that notes how it is called, and answers `status` with a file.
FAKE_TACO = """\
#!/bin/sh
{ printf '%s' "$1"; shift; for word; do printf '\\t%s' "$word"; done; printf '\\n'; } >> "$FAKE/calls"
case "$*" in *-) cat > "$FAKE/stdin" ;; esac
cat "$FAKE/answer" 2>/dev/null
exit "$(cat "$FAKE/code" 2>/dev/null || echo 0)"
"""


@dataclass
class Demo:
    """A demo agent in a pane, and how a test works with it."""

    tmux: Tmux
    pane: str
    log_path: Path
    fake: Path

    def reading(self) -> Reading:
        return read_screen(SCREEN, self.tmux.run("capture-pane", "-p", "-e", "-t", self.pane))

    def screen(self) -> str:
        return self.tmux.run("capture-pane", "-p", "-J", "-S", "-", "-t", self.pane)

    def log(self) -> Log:
        return read_log(self.log_path)

    def until(self, condition: Callable[[], object]) -> None:
        wait_for(condition, what=self.screen)

    def sees(self, text: str) -> None:
        self.until(lambda: text in self.screen())

    def idle(self) -> None:
        self.until(lambda: self.reading().ready and not self.reading().busy)

    def type(self, text: str) -> None:
        # tmux takes a `;` at the end of an argument for its own.
        safe = f"{text[:-1]}\\;" if text.endswith(";") else text
        self.tmux.run("send-keys", "-t", self.pane, "-l", "--", safe)

    def keys(self, *names: str) -> None:
        self.tmux.run("send-keys", "-t", self.pane, *names)

    def paste(self, text: str) -> None:
        self.tmux.run("load-buffer", "-b", "x", "-", stdin=text)
        self.tmux.run("paste-buffer", "-p", "-r", "-d", "-b", "x", "-t", self.pane)

    def submit(self, text: str) -> None:
        """Types, waits until it stands there, presses Enter, waits until it is logged."""
        before = self.log().counts["submit"]
        self.type(text)
        wanted = "".join(text.split())
        self.until(lambda: "".join(self.reading().draft.split()) == wanted)
        self.keys("Enter")
        self.until(lambda: self.log().counts["submit"] > before)

    def calls(self) -> list[list[str]]:
        path = self.fake / "calls"
        return [line.split("\t") for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def calls_to(self, verb: str) -> list[list[str]]:
        return [call for call in self.calls() if call[0] == verb]

    def status(self) -> str:
        self.tmux.run("run-shell", "true")  # tmux 3.3a may reap a child only when another one ends
        return self.tmux.show(self.pane, "#{pane_dead} #{pane_dead_status}")


Start = Callable[..., Demo]


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    directory = tmp_path / "fake"
    directory.mkdir()
    program = directory / "taco"
    program.write_text(FAKE_TACO, encoding="utf-8")
    program.chmod(0o755)
    return directory


@pytest.fixture(scope="module")
def server() -> Iterator[Tmux]:
    """One tmux server for all of these tests; each has panes of its own."""
    needs.require("tmux")
    server = Tmux(new_socket())
    server.start()
    yield server
    server.close()


@pytest.fixture
def start(server: Tmux, tmp_path: Path, fake: Path) -> Iterator[Start]:
    """Starts `taco demo-agent` with these words, in a workspace of its own, without delays."""
    panes = []

    def started(*words: str, name: str = "api", path: str | None = None, session: str = "s1", speed: str = "0") -> Demo:
        workspace = tmp_path / name
        workspace.mkdir(exist_ok=True)
        log = tmp_path / f"{name}.log"
        environment = {
            "PYTHONPATH": str(ROOT),
            "PATH": f"{fake}:{os.environ['PATH']}" if path is None else path,
            "FAKE": str(fake),
            "TACO_SESSION": session,
            "TACO_DEMO_SPEED": speed,
        }
        # Not by `new-window -e`: tmux takes the PATH of its client all the same.
        values = ["env", *(f"{key}={value}" for key, value in environment.items())]
        argv = [sys.executable, "-m", "taco.demo", "--name", name, "--log", str(log), *words]
        demo = Demo(server, server.pane("-c", str(workspace), *values, *argv), log, fake)
        panes.append(demo.pane)
        demo.sees("scripted, not a model")
        return demo

    yield started
    for pane in panes:
        server.run("kill-pane", "-t", pane, check=False)


def test_it_says_what_it_is_and_waits(start: Start) -> None:
    demo = start()
    demo.idle()
    assert "demo agent: scripted, not a model (api)" in demo.screen()
    assert demo.tmux.show(demo.pane, "#{alternate_on}") == "0"


def test_the_cursor_is_in_the_composer(start: Start) -> None:
    demo = start()
    demo.idle()
    row = demo.reading().composer_row
    assert demo.tmux.show(demo.pane, "#{cursor_x},#{cursor_y}") == f"2,{row}"
    demo.type("漢字")
    demo.until(lambda: demo.reading().draft == "漢字")
    assert demo.tmux.show(demo.pane, "#{cursor_x},#{cursor_y}") == f"6,{row}"


ALPHABET = "abc XYZ.,;#{}$'\"\\~-→ü漢字🙂!?`|<>&()[]*%"


@pytest.mark.parametrize("seed", range(4))
def test_what_is_submitted_is_logged_exactly(start: Start, seed: int) -> None:
    demo = start("--idle")
    demo.idle()
    chance = random.Random(seed)
    sent = []
    for number in range(6):
        lines = chance.choice([1, 1, 3, 30])
        text = "\n".join("".join(chance.choices(ALPHABET, k=chance.randint(0, 90))) for _ in range(lines))
        sent.append(f"[mother → api]: {number} {text}".rstrip())
        if lines == 1:
            demo.type(sent[-1])
        else:
            demo.paste(sent[-1])
        demo.until(lambda: demo.reading().draft)
        demo.until(lambda wanted=sent[-1]: _stands(demo.reading(), wanted))
        demo.keys("Enter")
        demo.until(lambda count=number + 1: demo.log().counts["submit"] == count)
        demo.idle()
    assert demo.log().texts() == sent


def _stands(reading: Reading, text: str) -> bool:
    return reading.placeholder or "".join(reading.draft.split()) == "".join(text.split())


def test_enter_in_an_empty_composer_submits_nothing(start: Start) -> None:
    demo = start()
    demo.idle()
    demo.keys("Enter", "C-j", "Enter", "C-u")
    demo.submit("really")
    assert demo.log().texts() == ["really"]


def test_while_it_works_it_queues(start: Start) -> None:
    demo = start()
    demo.submit("!busy 60")
    demo.until(lambda: demo.reading().busy)
    for text in ("[a → api]: first", "[a → api]: second"):
        demo.submit(text)
    demo.sees("2 queued")
    demo.keys("Escape")
    demo.idle()
    assert demo.log().texts() == ["!busy 60", "[a → api]: first", "[a → api]: second"]
    assert [line["queued"] for line in demo.log().events("submit")] == [False, True, True]
    assert demo.screen().index("Interrupted.") < demo.screen().index("» [a → api]: first")


def test_a_dialog_eats_text_and_enter_approves(start: Start) -> None:
    demo = start()
    demo.submit("[mother → api]: !dialog Delete all files")
    demo.until(lambda: demo.reading().waiting == "permission")
    assert demo.reading().composer_row is None
    demo.type("[mother → api]: lost")
    demo.until(lambda: demo.log().counts["discarded"])
    assert "lost" not in demo.screen()
    demo.keys("Enter")
    demo.sees("Delete all files Approved.")
    assert demo.log().counts["approved"] == 1
    assert demo.log().counts["submit"] == 1
    demo.idle()


@pytest.mark.parametrize("key", ["Escape", "2", "C-c"])
def test_a_dialog_can_be_denied(start: Start, key: str) -> None:
    demo = start()
    demo.submit("!dialog")
    demo.until(lambda: demo.reading().waiting)
    demo.keys(key)
    demo.sees("Denied.")
    assert demo.log().counts["denied"] == 1
    demo.idle()


def test_a_waiting_dialog_costs_nothing(start: Start) -> None:
    demo = start()
    demo.submit("!dialog")
    demo.until(lambda: demo.reading().waiting)
    process = psutil.Process(int(demo.tmux.show(demo.pane, "#{pane_pid}")))
    wait_for(lambda: all(process.status() == psutil.STATUS_SLEEPING for _ in range(20)))


def test_without_permissions_there_is_no_dialog(start: Start) -> None:
    demo = start("--yolo")
    demo.submit("!dialog")
    demo.submit("!say after")
    demo.sees("● after")
    assert not demo.log().counts["approved"]


def test_a_message_that_wants_an_answer_gets_one(start: Start) -> None:
    demo = start()
    demo.submit("[web → api]: reply: which port?")
    demo.until(lambda: demo.calls_to("send"))
    demo.idle()
    demo.submit("[web → api]: thank you")
    demo.idle()
    assert demo.calls_to("send") == [["send", "web", "got it: which port?"]]


@pytest.mark.parametrize("verb", ["ask", "fail", "done"])
def test_directives_call_taco(start: Start, verb: str) -> None:
    demo = start()
    demo.submit(f"[person → api]: !{verb} which port is it?")
    demo.until(lambda: demo.calls_to(verb))
    assert demo.calls() == [[verb, "which port is it?"]]


def test_an_answer_that_comes_later_is_no_failure(start: Start, fake: Path) -> None:
    (fake / "code").write_text("75")
    (fake / "answer").write_text("asked")
    demo = start()
    demo.submit("!ask which port is it?")
    demo.sees("taco ask: asked")
    assert "cannot report" not in demo.screen()


def test_several_directives_in_one_message(start: Start) -> None:
    demo = start()
    demo.paste("[person → api]: do:\n!say one\n!send web the port is 8000\n!say two\n!dance")
    demo.sees("!dance")
    demo.keys("Enter")
    demo.sees("I do not know !dance")
    assert demo.calls() == [["send", "web", "the port is 8000"]]
    assert demo.screen().index("● one") < demo.screen().index("● two")


def test_noise_leaves_a_draft_alone(start: Start) -> None:
    demo = start()
    demo.submit("!noise 1")
    demo.type("half a draft")
    demo.until(lambda: demo.reading().draft == "half a draft")
    demo.sees("● noise 0.0")
    assert demo.reading().draft == "half a draft"


# ending


def test_ctrl_c_twice_ends_it(start: Start) -> None:
    demo = start()
    demo.type("a draft")
    demo.until(lambda: demo.reading().draft)
    demo.keys("C-c")
    demo.sees("again to exit")
    assert demo.reading().draft == ""
    demo.type("x")
    demo.until(lambda: demo.reading().draft == "x")
    demo.keys("C-c", "C-c")
    demo.until(lambda: demo.status() == "1 0")
    assert demo.reading().exited
    assert demo.reading().composer_row is None


def test_it_exits_with_a_code(start: Start) -> None:
    demo = start()
    demo.submit("!exit 3")
    demo.until(lambda: demo.status() == "1 3")
    assert demo.reading().exited


def test_it_ends_with_its_terminal(start: Start) -> None:
    demo = start()
    process = psutil.Process(int(demo.tmux.show(demo.pane, "#{pane_pid}")))
    demo.submit("!busy 60")
    demo.tmux.run("kill-pane", "-t", demo.pane)
    wait_for(lambda: not process.is_running())


def test_sigterm_ends_it(start: Start) -> None:
    demo = start()
    psutil.Process(int(demo.tmux.show(demo.pane, "#{pane_pid}"))).terminate()
    demo.until(lambda: demo.status() == "1 143")
    assert demo.reading().exited


# the screen


def test_it_follows_the_size_of_its_pane(start: Start) -> None:
    demo = start()
    demo.submit("[mother → api]: " + "word " * 20)
    demo.idle()
    demo.type("a half typed draft that takes more than one row when the pane is narrow")
    for width, height in ((30, 12), (100, 30), (60, 8)):
        demo.tmux.run("resize-window", "-t", demo.pane, "-x", str(width), "-y", str(height))
        demo.until(lambda width=width: _fits(demo.reading(), width))


def _fits(reading: Reading, width: int) -> bool:
    borders = [line for line in reading.lines if line.startswith("──")]
    draft = "".join(reading.draft.split())
    return borders == ["─" * width] * 2 and draft.endswith("whenthepaneisnarrow")


# Mother


def test_mother_designs_and_submits(start: Start, fake: Path) -> None:
    demo = start("Build an API and a web page", name="mother")
    demo.sees("The spec is submitted.")
    demo.idle()
    assert demo.calls() == [["spec", "submit", "-"]]
    submitted = parse_spec((fake / "stdin").read_text("utf-8"))
    assert [agent.name for agent in submitted.agents] == ["api", "web", "validator"]
    assert parse_spec(demo.screen()) == submitted


TOLD = {"coordinate": "The spec is accepted.", "given": "You gave the plan: it waits for your approval."}


@pytest.mark.parametrize("in_a_file", [False, True])
@pytest.mark.parametrize("prompt", TOLD)
def test_mother_plans_nothing_when_there_is_a_plan(
    start: Start, fake: Path, tmp_path: Path, prompt: str, in_a_file: bool
) -> None:
    team = [Agent(3, "api", "builds")]
    text = files.prompt(prompt, coordinate_values(team, project_dir="/p", prompt="build an api"))
    if in_a_file:
        (tmp_path / "mother.md").write_text(text)
        text = f"Read your brief in {tmp_path / 'mother.md'} first."
    demo = start(text, name="mother")
    demo.sees(TOLD[prompt])
    demo.idle()
    assert demo.calls() == []
    assert "AGENT_SPEC_JSON_START" not in demo.screen()


def test_mother_tells_when_it_cannot_report(start: Start, fake: Path) -> None:
    (fake / "code").write_text("1")
    (fake / "answer").write_text("taco: no such session")
    demo = start("Build it", name="mother")
    demo.sees("I cannot report: `taco spec submit` failed (1). taco: no such session")
    demo.idle()


def test_mother_sums_up_once(start: Start, fake: Path) -> None:
    demo = start(name="mother")
    team = [{"name": "mother"}, {"name": "api", "done": "API"}, {"name": "web", "done": ""}]
    (fake / "answer").write_text(json.dumps({"agents": team}))
    demo.submit("[taco → mother]: Your spec is accepted. This is your team: api, web")
    demo.sees("The spec is accepted.")
    demo.submit("[api → mother]: done: API")
    demo.idle()
    assert "Summary" not in demo.screen()
    team[2]["failed"] = "no idea"
    (fake / "answer").write_text(json.dumps({"agents": team}))
    for _ in range(2):
        demo.submit("[web → mother]: failed: no idea")
        demo.idle()
    assert demo.screen().count("Summary") == 1
    assert "- web: failed: no idea" in demo.screen()
    assert not demo.calls_to("send")


# agents

BRIEF = "You are {name}.\n\nRole: {role}\n\nWaiting for you: {waiting}\n\ntaco done"


def brief(name: str, role: str, waiting: str = "nobody") -> str:
    return BRIEF.format(name=name, role=role, waiting=waiting)


def test_an_agent_works_and_reports(start: Start, tmp_path: Path) -> None:
    demo = start(brief("api", "builds 'the' API", "validator"))
    demo.sees("Reported done")
    demo.idle()
    assert "2 tests passed" in demo.screen()
    assert {"README-api.md", "part_api.py", "test_part_api.py"} <= {path.name for path in (tmp_path / "api").iterdir()}
    assert [call[:2] for call in demo.calls()] == [
        ["send", "validator"],
        ["done", "module, test and README written; its tests pass"],
    ]


def test_an_agent_finds_its_earlier_work(start: Start, tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "README-api.md").write_text("a person's")
    demo = start(brief("api", "builds it"))
    demo.sees("Reported done")
    assert "README-api.md is there already, not mine: I leave it." in demo.screen()
    again = start(brief("api", "builds it"))
    again.sees("Reported done")
    assert "part_api.py is there already from my earlier work: I leave it." in again.screen()
    assert (tmp_path / "api" / "README-api.md").read_text() == "a person's"


@pytest.mark.parametrize(
    ("mine", "shown"),
    [
        ({"name": "api", "done": ""}, "Reported done: module"),
        ({"name": "api", "done": "all of it"}, "I have reported already: all of it"),
        ({"name": "web"}, "I cannot see whether I have reported already"),
    ],
)
def test_a_resumed_agent_goes_on(start: Start, tmp_path: Path, fake: Path, mine: dict[str, str], shown: str) -> None:
    (tmp_path / "brief.md").write_text(brief("api", "builds it"), encoding="utf-8")
    (fake / "answer").write_text(json.dumps({"agents": [mine]}))
    demo = start("--resume", str(tmp_path / "brief.md"))
    demo.sees(shown)
    assert "Resumed." in demo.screen()
    demo.idle()


def test_a_resumed_mother_goes_on(start: Start, tmp_path: Path, fake: Path) -> None:
    (tmp_path / "brief.md").write_text("Build it", encoding="utf-8")
    start("--resume", str(tmp_path / "brief.md"), name="mother").sees("The spec is submitted.")
    (fake / "answer").write_text(json.dumps({"agents": [{"name": "mother"}, {"name": "api"}]}))
    start("--resume", str(tmp_path / "brief.md"), name="mother").sees("My team is there: api.")
    assert len(start("--resume", "/nonexistent").calls_to("spec")) == 1


def test_a_pasted_brief_is_a_task_and_a_remark_is_not(start: Start) -> None:
    demo = start()
    demo.submit("hello")
    demo.idle()
    assert demo.calls() == []
    demo.paste(brief("api", "builds it"))
    demo.sees("Role: builds it")
    demo.keys("Enter")
    demo.sees("Reported done")


def test_a_checker_runs_the_tests_of_others(start: Start, tmp_path: Path) -> None:
    start(brief("api", "builds it")).sees("Reported done")
    demo = start(brief("validator", "checks it"), name="validator")
    demo.sees("Reported done: 1 test files")
    assert "api/test_part_api.py: 2 tests passed" in demo.screen()
    (tmp_path / "api" / "part_api.py").write_text("broken", encoding="utf-8")
    demo = start(brief("tester", "checks it"), name="tester")
    demo.sees("api/test_part_api.py")
    demo.until(lambda: demo.calls_to("fail"))
    assert demo.calls_to("fail") == [["fail", "the tests of api do not pass"]]


def test_a_checker_looks_where_the_session_says(start: Start, tmp_path: Path, fake: Path) -> None:
    start(brief("api", "builds it"), name="api").sees("Reported done")
    (tmp_path / "api").rename(tmp_path / "deep")
    team = {"project_dir": str(tmp_path), "agents": [{"name": "api", "workspace": "deep"}]}
    (fake / "answer").write_text(json.dumps(team))
    demo = start(brief("qa", "has a look"), name="qa")
    demo.sees("deep/test_part_api.py: 2 tests passed")


def test_an_idle_one_has_no_script(start: Start, tmp_path: Path) -> None:
    demo = start("--idle", brief("api", "builds it"))
    demo.sees("Noted")
    demo.idle()
    assert not list((tmp_path / "api").iterdir())


def test_without_taco_it_says_so_and_goes_on(start: Start) -> None:
    demo = start(brief("api", "builds it"), path="/nonexistent")
    demo.sees("I cannot report: `taco done` failed (127)")
    demo.idle()
    demo.submit("[mother → api]: are you there?")
    demo.sees("Noted, mother.")


def test_outside_of_a_session_it_calls_nobody(start: Start) -> None:
    demo = start(brief("api", "builds it"), session="")
    demo.sees("I am in no session, so I cannot report (taco done).")
    assert demo.calls() == []


def test_a_program_that_hangs_can_be_interrupted(start: Start, fake: Path) -> None:
    (fake / "taco").write_text("#!/bin/sh\nexec sleep 1000\n", encoding="utf-8")
    demo = start()
    demo.submit("!ask anybody there?")
    demo.until(lambda: demo.reading().busy)
    process = psutil.Process(int(demo.tmux.show(demo.pane, "#{pane_pid}")))
    children = wait_for(process.children)
    demo.keys("Escape")
    demo.sees("Interrupted.")
    wait_for(lambda: not any(child.is_running() for child in children))


def test_it_needs_a_terminal(server: Tmux, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = f"exec '{sys.executable}' -m taco.demo > '{out}' 2>&1"
    server.pane("-e", f"PYTHONPATH={ROOT}", "sh", "-c", command)
    wait_for(lambda: out.exists() and out.read_text() == "taco demo-agent: it needs a terminal\n")
