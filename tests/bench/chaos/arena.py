"""A real session in a directory of its own: `taco start`, a private tmux and Redis, and how each of them is killed."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from taco import paths, redis_server, session
from taco.errors import TacoError
from taco.paths import SessionRecord
from taco.processes import is_alive
from taco.wire import Wire
from tests.bench.chaos.load import Target
from tests.bench.chaos.panes import HostileLog, PaneLog, RawLog
from tests.hostile import hostile_provider, raw_provider
from tests.support import processes
from tests.support.tmux import Tmux

NAME = "chaos"
FOREIGN = ("ANTHROPIC", "CLAUDE", "OPENAI", "GEMINI", "GOOGLE_API", "TACO_", "TMUX", "HOSTILE_")
HOSTILE = {"swallow": 0.1, "swallow_most": 2, "submit_lag_ms": "20:120", "draw_lag_ms": "0:30"}
DISK_MB = 1024


class Arena:
    """One session and its panes; `on_disk`: its state lies on a small file system of its own that can be filled."""

    def __init__(self, directory: Path, raw: int, hostile: int, *, seed: int) -> None:
        self.directory = directory
        self.home = directory / "h"
        self.tmux = Tmux(f"taco-bench-{secrets.token_hex(4)}")
        self.targets: list[Target] = []
        self.logs: dict[str, PaneLog] = {}
        self.on_disk = False
        self._raw = raw
        self._hostile = hostile
        self._seed = seed
        self.environ = self._environ()

    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        own = {"TACO_HOME": str(self.home), "XDG_CONFIG_HOME": str(self.directory / "c"), "HOME": str(self.directory)}
        return {**kept, **own}

    def open(self) -> None:
        """Make the directory, start the session, and wait until every program in a pane reads."""
        self.home.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "taco-bench", str(self.home)]
        self.on_disk = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        self._configure()
        for number in range(self._raw):
            self._add(f"raw{number}", RawLog, header=False)
        for number in range(self._hostile):
            self._add(f"hostile{number}", HostileLog, header=True)
        spec = {"agents": [{"name": each.name, "role": "reads", "provider": self._kind(each)} for each in self.targets]}
        (self.directory / "spec.json").write_text(
            f"AGENT_SPEC_JSON_START\n{json.dumps(spec)}\nAGENT_SPEC_JSON_END\n", encoding="utf-8"
        )
        project = self.directory / "project"
        project.mkdir()
        words = ["--spec", str(self.directory / "spec.json"), "--no-mother", "--session", NAME, "--provider", "raw"]
        self.taco("start", *words, "--dir", str(project), "--socket", self.tmux.socket, "--detach")
        self.quiet()
        self.wait_until_read(1)

    @staticmethod
    def _kind(target: Target) -> str:
        return "hostile" if target.header else "raw"

    def _add(self, name: str, kind: type[PaneLog], *, header: bool) -> None:
        self.targets.append(Target(name, header=header))
        self.logs[name] = kind(self.directory / "logs" / f"{name}.log")

    def _configure(self) -> None:
        providers = self.directory / "c" / "taco" / "providers"
        providers.mkdir(parents=True)
        (self.directory / "logs").mkdir()
        log = self.directory / "logs" / "{agent}.log"
        raw = raw_provider("raw", log)
        (providers / "raw.toml").write_text(raw, encoding="utf-8")
        hostile = hostile_provider("hostile", log, seed=self._seed, **HOSTILE)  # type: ignore[arg-type]
        (providers / "hostile.toml").write_text(hostile, encoding="utf-8")
        (self.directory / "c" / "taco" / "config.toml").write_text(
            f"max_agents = {max(30, self._raw + self._hostile)}\nstart_concurrency = 16\n", encoding="utf-8"
        )

    def taco(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """What a `taco` command did; RuntimeError when it failed."""
        argv = [sys.executable, "-m", "taco", *words]
        done = subprocess.run(argv, env=self.environ, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            raise RuntimeError(f"taco {words[0]} ended with {done.returncode}: {done.stderr.strip()[-600:]}")
        return done

    @property
    def record(self) -> SessionRecord:
        """The session as it is on disk now."""
        return paths.session(self.home, NAME)

    @property
    def url(self) -> str:
        """Where its Redis listens."""
        return self.record.redis_url

    def quiet(self) -> None:
        """Close the monitor's window: the benchmark itself starts again what it has killed."""
        self.tmux.run("kill-pane", "-t", str(self.record.more["monitor_pane"]), check=False)

    def wait_until_read(self, incarnation: int) -> None:
        """Wait until the program of every pane has started for the `incarnation`-th time."""
        deadline = time.monotonic() + 120
        marks = (b'"event": "ready"', b'"event": "start"')
        while True:
            logs = [self.directory / "logs" / f"{each.name}.log" for each in self.targets]
            ready = [path for path in logs if path.exists() and _count(path, marks) >= incarnation]
            if len(ready) == len(logs):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(logs) - len(ready)} of {len(logs)} panes did not start")
            time.sleep(0.05)

    def poll(self) -> int:
        """Read the logs of all panes; how many texts were submitted in all."""
        return sum(log.poll() for log in self.logs.values())

    def waiting(self) -> int:
        """How many messages wait or are under way; 1 when Redis cannot say."""
        try:
            with Wire(self.url, NAME) as wire:
                return sum(int(value) for value in wire.call("HVALS", wire.keys.waiting))
        except TacoError:
            return 1

    # What is killed

    def executor_pid(self) -> int:
        """The process in window 2; 0 when it does not run."""
        pane = str(self.record.more["executor_pane"])
        found = self.tmux.run("display-message", "-p", "-t", pane, "#{pane_dead} #{pane_pid}", check=False)
        dead, _, pid = found.partition(" ")
        return int(pid) if dead == "0" and pid.isdigit() and is_alive(int(pid)) else 0

    def redis_pid(self) -> int:
        """The private Redis; 0 when it does not answer."""
        try:
            server = redis_server.running(self.home)
        except TacoError:
            return 0
        return server.pid if server else 0

    def start_executor(self) -> str:
        """Start the executor in its window as supervision does, whatever happened before; what it says."""
        record = self.record
        (record.directory / "crashes.json").unlink(missing_ok=True)
        return session.supervise(record)

    def second_executor(self) -> subprocess.Popen[bytes]:
        """One more executor, outside of tmux, as a person may start it by mistake."""
        argv = [sys.executable, "-m", "taco", "executor", "--session", NAME]
        with (self.directory / "logs" / "second-executor.txt").open("ab") as said:
            return subprocess.Popen(argv, env=self.environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def delivers(self) -> int:
        """The process that holds the lease; 0 when nobody does, or Redis cannot say."""
        try:
            with Wire(self.url, NAME) as wire:
                owner = str(wire.call("GET", wire.keys.owner) or "")
        except TacoError:
            return 0
        return int(owner.split("/")[1]) if owner.count("/") == 2 else 0

    def resume(self) -> None:
        """`taco resume`, after the tmux server was killed."""
        self.taco("resume", NAME, "--detach")
        self.quiet()

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Fill the file system of TACO's state for the length of the block."""
        ballast = self.home / "ballast"
        with ballast.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 65_536)
                file.flush()
        try:
            yield
        finally:
            ballast.unlink()

    def close(self) -> None:
        """End everything, and remove it."""
        with contextlib.suppress(Exception):
            self.taco("stop", NAME, "--grace", "1", check=False)
        self.tmux.close()
        processes.end(processes.of_home([self.home]), grace_s=2)
        with contextlib.suppress(Exception):
            redis_server.stop(self.home)
        if self.on_disk:
            subprocess.run(["umount", "-l", str(self.home)], check=False, capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)


def _count(path: Path, marks: Sequence[bytes]) -> int:
    data = path.read_bytes()
    return sum(data.count(mark) for mark in marks)


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal; False when the process is gone (0: there was none)."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def arena(raw: int, hostile: int, *, seed: int) -> Iterator[Arena]:
    """An open arena, closed with the block."""
    made = Arena(Path(tempfile.mkdtemp(prefix="taco-bench-")), raw, hostile, seed=seed)
    try:
        made.open()
        yield made
    finally:
        made.close()
