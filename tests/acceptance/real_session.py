"""Sessions of the real agent CLIs as a person has them; what their models answer is scripted, on loopback."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from taco.screen import Reading, read_screen
from tests.recording import screens_of
from tests.stub import Received, Reply, Stub
from tests.support.needs import require
from tests.support.paths import PACKAGE
from tests.support.redis import end_private
from tests.support.sessions import House, Session
from tests.support.tmux import Tmux, new_socket
from tests.support.waiting import wait_for

_HOLD = re.compile(r"<<hold (\w+)>>")
_BRIEF = re.compile(r"You are (\w+), one of a team")
_MOTHERS_BRIEF = "You are Mother."
_FROM_TACO = re.compile(r"\[taco → \w+\]: ")


class Script:
    """What the models answer: first what `answers` say (in order), then the stub's directives.

    `<<hold NAME>>` in a message holds the answer back until `release(NAME)`.
    """

    def __init__(self, *answers: Callable[[Received], Reply | None]) -> None:
        self._answers = answers
        self._gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    def __call__(self, received: Received) -> Reply | None:
        if received.aside:
            return None
        if found := _HOLD.search(received.text):
            self._gates[found[1]].wait(60)
        return next((reply for answer in self._answers if (reply := answer(received))), None)

    def release(self, name: str) -> None:
        """Let the answers go on that are held back under this name."""
        self._gates[name].set()


@dataclass(frozen=True)
class RealHouse(House):
    """A person with a real agent CLI, whose environment holds nothing of this machine's."""

    cli: str = "claude"  # whose name its provider has

    def environ(self, **more: str) -> dict[str, str]:
        own = {
            "XDG_CONFIG_HOME": str(self.root / "c"),
            "TACO_HOME": str(self.home),
            "TACO_TMUX_SOCKET": self.tmux.socket,
        }
        return {**self.env, **own, **more}

    def variant(self, name: str, **changes: object) -> None:
        """A provider of the person's own: theirs, but for these keys of its file."""
        lines = (PACKAGE / "providers" / f"{self.cli}.toml").read_text(encoding="utf-8").splitlines()
        changes = {"name": name, **changes}
        for key, value in changes.items():
            at = next(at for at, line in enumerate(lines) if line.startswith(f"{key} = "))
            lines[at] = f"{key} = {json.dumps(value)}"
        path = self.root / "c" / "taco" / "providers" / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines), encoding="utf-8")


@dataclass(frozen=True)
class RealSession(Session):
    """One running session, and what its models were sent."""

    stub: Stub
    project: Path
    cli: str = "claude"

    # What is sent

    def tell(self, name: str, text: str, *options: str) -> str:
        """Send, without waiting for the delivery; the message's id."""
        return str(self.json("send", name, "-", *options, input=text)["id"])

    def release(self, name: str) -> None:
        """Let the answers go on that `<<hold NAME>>` holds back."""
        assert isinstance(self.stub.answer, Script)
        self.stub.answer.release(name)

    def ledger(self, command_id: str) -> dict[str, Any]:
        """What `taco queue show` says of a message."""
        found: dict[str, Any] = self.json("queue", "show", command_id)
        return found

    def until(self, command_id: str, timeout_s: float = 30, **wanted: object) -> dict[str, Any]:
        """The ledger of a message once these fields have these values."""

        def met() -> dict[str, Any]:
            found = self.ledger(command_id)
            return found if all(found[key] == value for key, value in wanted.items()) else {}

        return wait_for(met, timeout_s, lambda: f"{wanted} in {self.ledger(command_id)}\n{self.describe()}")

    def delivered(self, command_id: str, evidence: str, timeout_s: float = 30) -> dict[str, Any]:
        """The ledger of a message once it is delivered; what showed it must be `evidence`, at the first attempt.

        Where the machine is slow a transcript may be read before the hook has dropped its file: that will do, too, as
        long as hooks have shown others.
        """
        found = self.until(command_id, timeout_s, state="delivered")
        wanted = {evidence}
        if evidence == "hook" and any(each["content"] == "seen by hook" for each in self.events("command.delivered")):
            wanted.add("transcript")
        assert found["evidence"] in wanted, f"{found}\n{self.describe()}"
        assert found["attempts"] == 1, f"{found}\n{self.describe()}"
        return found

    def held(self, command_id: str, reason: str, timeout_s: float = 30) -> dict[str, Any]:
        """The ledger of a message once it is held for a reason that contains this."""

        def met() -> dict[str, Any]:
            found = self.ledger(command_id)
            return found if reason in (found["hold"] or "") else {}

        return wait_for(met, timeout_s, lambda: f"{reason!r} in {self.ledger(command_id)}\n{self.describe()}")

    def idle(self, *names: str, timeout_s: float = 60) -> None:
        """Wait until these agents (none: all) are idle and nothing waits for them."""

        def met(team: list[dict[str, Any]]) -> bool:
            wanted = [each for each in team if not names or each["name"] in names]
            return all(each["state"] == "idle" and not each["queue_depth"] for each in wanted)

        self.wait(met, timeout_s, f"{names} idle")

    # What arrived

    def conversation(self, name: str) -> str:
        """The CLI's own id of an agent's conversation."""
        return str(self.json("agent", "show", name)["session_id"])

    def requests(self, name: str) -> list[Received]:
        """What was sent to an agent's model, oldest first."""
        ours = (each for each in self.stub.requests if not each.aside)
        return [each for each in ours if f"{self.project}" in brief_of(each) and name_of(each) == name]

    def heard(self, name: str) -> tuple[str, ...]:
        """Every text of the user in an agent's conversation, as its model was last sent it."""
        requests = self.requests(name)
        return requests[-1].history if requests else ()

    def hears(self, name: str, text: str, timeout_s: float = 30) -> None:
        """Wait until an agent's model was sent exactly this text, and exactly once.

        What a CLI took while a tool ran it may tell the model itself, around the text.
        """

        def times() -> int:
            last = self.requests(name)[-1:]
            return sum(each.history.count(text) + sum(text in note for note in each.notes) for each in last)

        wait_for(times, timeout_s, lambda: f"{text!r} at {name}\n{self.report(name)}")
        assert times() == 1

    def results(self, name: str) -> list[str]:
        """What an agent's tools said, oldest first."""
        return [result for each in self.requests(name) for result in each.results]

    def ran(self, name: str, text: str, timeout_s: float = 30) -> str:
        """What an agent's tool said, once that contains `text`."""
        return wait_for(
            lambda: next((each for each in self.results(name) if text in each), ""),
            timeout_s,
            lambda: f"{text!r} in {self.results(name)}\n{self.report(name)}",
        )

    def dialog(self, name: str, kind: str) -> dict[str, Any]:
        """The dialog of an agent in the person's inbox, once it is there with an id."""

        def met() -> dict[str, Any] | None:
            found = self.json("inbox")["dialogs"]
            return next((each for each in found if (each["agent"], each["kind"]) == (name, kind) and each["id"]), None)

        found = wait_for(met, 30, lambda: f"{self.json('inbox')}\n{self.report(name)}")
        assert found is not None
        return found

    # What the person sees and does in a window

    def look(self, name: str) -> str:
        """What an agent's window shows."""
        return self.house.tmux.screen(self.agent(name)["pane"])

    def read(self, name: str) -> Reading:
        """What TACO must make of it."""
        rules = screens_of(self.cli).rules
        return read_screen(rules, self.house.tmux.run("capture-pane", "-p", "-e", "-t", self.agent(name)["pane"]))

    def reads(self, name: str, condition: Callable[[Reading], Any], timeout_s: float = 30) -> Reading:
        """The reading of an agent's window once `condition` holds for it."""

        def met() -> Reading | None:
            found = self.read(name)
            return found if condition(found) else None

        found = wait_for(met, timeout_s, lambda: self.report(name))
        assert found is not None
        return found

    def press(self, name: str, *keys: str) -> None:
        """The person presses these keys in an agent's window."""
        self.house.tmux.run("send-keys", "-t", self.agent(name)["pane"], *keys)

    def types(self, name: str, text: str) -> None:
        """The person types, without Enter."""
        self.house.tmux.run("send-keys", "-t", self.agent(name)["pane"], "-l", "--", text)

    def clears(self, name: str) -> None:
        """The person empties the composer of what stands in it now, row by row."""
        draft = self.read(name).draft

        def met() -> bool:
            left = self.read(name).draft
            if not left or not draft.startswith(left):
                return True
            self.press(name, "C-u", "BSpace")
            wait_for(lambda: self.read(name).draft != left, what=lambda: self.report(name))
            return False

        wait_for(met, what=lambda: self.report(name))

    def spool(self, name: str) -> Path:
        """Where an agent's hooks drop their files."""
        return self.house.home / "sessions" / self.name / "spool" / name

    def report(self, name: str) -> str:
        """What an agent's model was sent, and everything else."""
        return "\n".join([*(f"- {text[:300]!r}" for text in self.heard(name)), self.describe()])


@contextlib.contextmanager
def a_house(
    cli: str, environment: Callable[[Path, Path], Mapping[str, str]], place: str = "/tmp"
) -> Iterator[RealHouse]:
    """A person with this CLI; all of it ends with the block.

    `environment` gives, for a directory and the project in it, the CLI's whole environment; that lies in `place`.
    """
    require("tmux")
    root = Path(tempfile.mkdtemp(prefix="taco-t", dir=place)).resolve()  # short: sockets lie in it
    for name in ("p", "c"):
        (root / name).mkdir()
    house = RealHouse(root, Tmux(new_socket()), cli=cli)
    try:
        house = replace(house, env=environment(root, house.project))
        yield house
    finally:
        house.close()
        end_private(house.home)
        shutil.rmtree(root, ignore_errors=True)


def start(
    house: RealHouse, stub: Stub, name: str, *options: str, project: Path | None = None, **env: str
) -> RealSession:
    """A session that was started without being attached to."""
    project = project or house.project
    words = ["--session", name, "--dir", str(project), "-d", "--provider", house.cli]
    house.taco("start", "build two things", *words, *options, **env)
    return RealSession(house, name, Path(), stub, project, house.cli)


def team_of(house: RealHouse, *agents: str) -> tuple[str, ...]:
    """Options of `start` for these agents and no Mother."""
    spec = house.root / f"{'-'.join(agents)}.json"
    spec.write_text(json.dumps({"agents": [{"name": each, "role": "does as told"} for each in agents]}))
    return "--no-mother", "--spec", str(spec)


def said(sender: str, target: str, text: str) -> str:
    """What arrives of a message."""
    return f"[{sender} → {target}]: {text}"


def name_of(received: Received) -> str:
    """Whose conversation this is, by its brief."""
    brief = brief_of(received)
    found = _BRIEF.match(brief)
    return found[1] if found else "mother" if brief else ""


def brief_of(received: Received) -> str:
    """The brief in a conversation: its first message, or one of TACO's where the CLI has dropped that; else ""."""
    texts = (_FROM_TACO.sub("", text) for text in received.history)
    return next((text for text in texts if text.startswith(_MOTHERS_BRIEF) or _BRIEF.match(text)), "")


def spec_of(*agents: Mapping[str, object]) -> str:
    """An answer of Mother's with this team in it."""
    team = json.dumps({"agents": list(agents)}, indent=2, ensure_ascii=False)
    return f"Here is the team.\n\nAGENT_SPEC_JSON_START\n```json\n{team}\n```\nAGENT_SPEC_JSON_END\n"


BODIES = {
    "one line": "when you have time",
    "many lines": "\n".join(f"line {number}: the ☕ is {number}°" for number in range(60)),
    "one long line": "wörter " * 500,
    "no ASCII": "naïve → 日本語 👩‍👩‍👧 ﷽ é",
    "a slash command": "/exit",
    "a shell escape": "!touch pwned",
    "key names": "Enter C-c Escape",
    "15,000 bytes": "\n".join("0123456789" * 10 for _ in range(150)),
}
