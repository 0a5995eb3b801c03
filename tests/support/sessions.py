"""Whole sessions as a person has them: `bin/taco`, a private tmux server, a state directory and a HOME of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import processes
from tests.support.needs import require
from tests.support.paths import PACKAGE
from tests.support.program import TACO
from tests.support.redis import end_private
from tests.support.tmux import Tmux, new_socket
from tests.support.waiting import wait_for

Done = subprocess.CompletedProcess[str]
IDLER = "idler"  # the demo agent without its script: it only does what messages tell it
OFFLINE = ("unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")  # a network of nothing but loopback


@dataclass(frozen=True)
class House:
    """One person: HOME, project and state below `root`, a tmux server; `prefix` stands before every call of taco."""

    root: Path
    tmux: Tmux
    prefix: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The TACO_HOME."""
        return self.root / "h"

    @property
    def project(self) -> Path:
        """Where the person stands when taco is called."""
        return self.root / "p"

    def environ(self, **more: str) -> dict[str, str]:
        """What the person's shell exports."""
        own = {
            "HOME": str(self.root / "u"),
            "XDG_CONFIG_HOME": str(self.root / "c"),
            "TACO_HOME": str(self.home),
            "TACO_TMUX_SOCKET": self.tmux.socket,
            "TACO_DEMO_SPEED": "0",
            "TACO_DEMO_LOG": str(self.root / "l" / "{agent}.jsonl"),
        }
        return {**os.environ, **own, **self.env, **more}

    def taco(
        self, *args: str, input: str | bytes | None = None, check: bool = True, timeout_s: float = 120, **env: str
    ) -> Done:
        """What `bin/taco ARGS` did; AssertionError when it failed and `check` is set."""
        done = subprocess.run(
            [*self.prefix, str(TACO), *args],
            env=self.environ(**env),
            input=input.encode() if isinstance(input, str) else input,
            stdin=subprocess.DEVNULL if input is None else None,
            cwd=self.project,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        assert done.returncode == 0 or not check, f"taco {' '.join(args)[:200]} ended with {done.returncode}: {err}"
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def json(self, *args: str, **options: Any) -> Any:
        """What `bin/taco ARGS --json` printed."""
        return json.loads(self.taco(*args, "--json", **options).stdout)

    def start(self, name: str, *options: str, prompt: str = "build an api and a web frontend", **env: str) -> Session:
        """A session that was started without being attached to."""
        self.taco("start", prompt, "--session", name, "-d", *options, **env)
        return Session(self, name, Path(env.get("TACO_DEMO_LOG", self.root / "l" / "{agent}.jsonl")))

    def start_idle(self, name: str, *agents: str | Mapping[str, Any], options: Sequence[str] = ()) -> Session:
        """A session whose team does nothing by itself, all of it at its prompt."""
        session = self.start(name, "--provider", IDLER, "--spec", str(self.spec(name, *agents)), *options)
        names = {each if isinstance(each, str) else str(each["name"]) for each in agents}

        def settled(team: list[dict[str, Any]]) -> bool:
            there = names <= {each["name"] for each in team}
            waits = [str(each["waiting_for"] or "") for each in team if each["state"] != "idle"]
            return there and all(waits) and not any(each.startswith("its turn") for each in waits)

        session.wait(settled, what="everybody at the prompt")
        return session

    def spec(self, name: str, *agents: str | Mapping[str, Any]) -> Path:
        """A file with the spec of these agents; a name alone is an agent without relations."""
        team = [{"name": each, "role": "does as told"} if isinstance(each, str) else dict(each) for each in agents]
        path = self.root / f"{name}.json"
        path.write_text(json.dumps({"agents": [{"role": "does as told"} | each for each in team]}))
        return path

    def provider(self, name: str, command: Sequence[str], **more: str) -> None:
        """A provider of the person's own whose screen looks like the demo agent's."""
        text = (PACKAGE / "providers" / "demo.toml").read_text(encoding="utf-8")
        _, screen = text.split("[screen]")
        head = {"name": name, "command": list(command), "first_prompt": "argument", "evidence": ["screen"], **more}
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in head.items())
        path = self.root / "c" / "taco" / "providers" / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{lines}[screen]{screen}", encoding="utf-8")

    def running(self) -> str:
        """What runs for this person, one line each; "" for nothing."""
        return processes.describe(each for each in processes.of_home([self.home]) if processes.runs(each))

    def close(self) -> None:
        """End everything and remove it."""
        self.tmux.close()
        end_private(self.home)
        shutil.rmtree(self.root, ignore_errors=True)


@dataclass(frozen=True)
class Session:
    """One running session of a House."""

    house: House
    name: str
    demo_log: Path  # with `{agent}` in it

    def taco(self, *args: str, **options: Any) -> Done:
        """`bin/taco ARGS --session NAME`."""
        return self.house.taco(*args, "--session", self.name, **options)

    def json(self, *args: str, **options: Any) -> Any:
        """What `bin/taco ARGS --session NAME --json` printed."""
        return self.house.json(*args, "--session", self.name, **options)

    def status(self) -> dict[str, Any]:
        """The object of `taco status --json`."""
        found: dict[str, Any] = self.json("status")
        return found

    def agents(self) -> list[dict[str, Any]]:
        """The agents of `taco status --json`."""
        found: list[dict[str, Any]] = self.status()["agents"]
        return found

    def agent(self, name: str) -> dict[str, Any]:
        """One of them; empty while there is none of that name."""
        return next((each for each in self.agents() if each["name"] == name), {})

    def wait(
        self, condition: Callable[[list[dict[str, Any]]], Any], timeout_s: float = 60, what: str = ""
    ) -> list[dict[str, Any]]:
        """The agents once `condition(agents)` holds; AssertionError with everything that is known else."""

        def met() -> list[dict[str, Any]]:
            team = self.agents()
            return team if condition(team) else []

        return wait_for(met, timeout_s, lambda: f"{what}\n{self.describe()}")

    def wait_agent(self, name: str, timeout_s: float = 60, **wanted: Any) -> dict[str, Any]:
        """One agent once these fields have these values."""

        def met() -> dict[str, Any]:
            found = self.agent(name)
            return found if all(found.get(key, "missing") == value for key, value in wanted.items()) else {}

        return wait_for(met, timeout_s, lambda: f"{name}: {wanted}\n{self.describe()}")

    def send(self, target: str, text: str, *options: str) -> str:
        """Send and wait for the delivery; the message's id."""
        return str(self.json("send", target, "-", "--wait", "60", *options, input=text)["id"])

    def submitted(self, agent: str) -> list[str]:
        """Every text that was submitted to a demo agent, in order."""
        path = Path(str(self.demo_log).replace("{agent}", agent))
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        events = [json.loads(line) for line in lines]
        return [str(each["text"]) for each in events if each["event"] == "submit"]

    def received(self, agent: str, timeout_s: float = 60, *, text: str) -> str:
        """What was submitted to an agent and holds `text`, once it is there: exactly one."""

        def found() -> list[str]:
            return [each for each in self.submitted(agent) if text in each]

        (only,) = wait_for(found, timeout_s, lambda: f"{text!r} at {agent}\n{self.describe()}")
        return only

    def events(self, type_: str) -> list[dict[str, Any]]:
        """The events of one type, oldest first."""
        lines = self.taco("log", "-n", "2000", "--level", "debug", "--json").stdout.splitlines()
        return [event for event in map(json.loads, lines) if event["type"] == type_]

    def windows(self) -> dict[int, str]:
        """The windows that tmux has: number -> name."""
        lines = self.house.tmux.run("list-windows", "-t", f"={self.name}", "-F", "#{window_index} #{window_name}")
        return {int(number): name for number, name in (line.split(" ", 1) for line in lines.splitlines())}

    def pane(self, window: int, format_: str = "#{pane_id}") -> str:
        """A format of the pane in a window."""
        return self.house.tmux.show(f"={self.name}:{window}", format_)

    def screen(self, window: int) -> str:
        """What a window shows."""
        return self.house.tmux.screen(f"={self.name}:{window}")

    def shows(self, window: int, text: str, timeout_s: float = 60) -> None:
        """Wait until a window shows `text` (blanks aside)."""
        wanted = " ".join(text.split())
        wait_for(
            lambda: wanted in " ".join(self.screen(window).split()),
            timeout_s,
            lambda: f"{text!r} in window {window}:\n{self.screen(window)}",
        )

    def stop(self, *options: str) -> Done:
        """`taco stop`."""
        return self.house.taco("stop", self.name, *options)

    def resume(self, **env: str) -> Done:
        """`taco resume -d`, with the environment of this call when it is given."""
        return self.house.taco("resume", self.name, "-d", *(["--env"] if env else []), **env)

    def describe(self) -> str:
        """Everything that helps to understand a failure."""
        parts = [self.taco("status", check=False).stdout, self.taco("log", "-n", "60", check=False).stdout]
        with contextlib.suppress(AssertionError):
            parts += [
                f"--- window {number} {name}\n{self.screen(number).rstrip()}" for number, name in self.windows().items()
            ]
        return "\n".join(parts)


@contextlib.contextmanager
def a_house(*, tmux_conf: str = "", prefix: Sequence[str] = (), **env: str) -> Iterator[House]:
    """A person with this tmux.conf; everything that was started ends with it."""
    require("tmux")
    root = Path(tempfile.mkdtemp(prefix="taco-t", dir="/tmp")).resolve()  # short: sockets lie in it
    for name in ("p", "u", "c", "l"):
        (root / name).mkdir()
    (root / "u" / ".tmux.conf").write_text(tmux_conf, encoding="utf-8")
    house = House(root, Tmux(new_socket(), root / "u" / ".tmux.conf"), prefix, env)
    house.provider(IDLER, ["taco", "demo-agent", "--name", "{agent}", "--idle"])
    try:
        yield house
    finally:
        house.close()


def is_offline_permitted() -> bool:
    """Whether a process may get a network of its own."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return subprocess.run([*OFFLINE, "true"], capture_output=True, check=False).returncode == 0
