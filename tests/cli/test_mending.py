"""What `taco doctor --fix` mends, what `--report` tells and what not, and what `taco uninstall` leaves."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from taco import paths, redis_server
from taco.paths import SessionRecord
from tests.cli.conftest import Shop, taco
from tests.support.sessions import House, a_house


@pytest.fixture(autouse=True)
def private(taco_home: Path) -> None:
    """As TACO makes it."""
    taco_home.chmod(0o700)


def mended() -> list[str]:
    done = taco("doctor", "--fix", "--json")
    assert done.code in (0, 1), done.err
    return list(done.json["mended"])


def record(home: Path, name: str = "old", **values: object) -> SessionRecord:
    made = SessionRecord(name, home, status=paths.STOPPED, project_dir=home.parent).changed(**values)
    made.save()
    made.save_agents()
    return made


def test_there_may_be_nothing_to_mend(taco_home: Path) -> None:
    record(taco_home)
    assert mended() == []
    assert "there was nothing to mend" in taco("doctor", "--fix").err


def test_what_a_dead_redis_left(taco_home: Path) -> None:
    url = redis_server.ensure(taco_home).url
    socket_path = Path(url.removeprefix("unix://").partition("?")[0])
    redis_server.stop(taco_home)
    socket_path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(socket_path))
    (taco_home / "redis" / "redis.pid").write_text("1")
    (taco_home / "redis" / "redis.pid").chmod(0o600)
    (line,) = mended()
    assert "removed what a Redis server left" in line
    assert not socket_path.parent.exists()
    assert redis_server.ensure(taco_home).url == url  # and it starts


def test_a_redis_that_runs_is_left_alone(shop: Shop) -> None:
    assert mended() == []
    assert taco("status", "--json").json["redis"]["error"] is None


def test_locks_records_and_files_that_were_left_behind(taco_home: Path) -> None:
    home = taco_home
    kept = record(home, agents=({"name": "api", "workspace": "w"},))
    (home / "sessions" / ".gone.lock").touch()
    (home / "sessions" / ".old.lock").touch()
    (home / "sessions" / "broken").mkdir(mode=0o700)
    (home / "sessions" / "broken" / "session.json").write_text("{")
    old = kept.directory / "bodies" / "left"
    old.parent.mkdir()
    old.write_text("x")
    os.utime(old, (1, 1))
    outbox = home.parent / "w" / ".taco" / "outbox" / "old" / "api"
    outbox.mkdir(parents=True)
    (outbox / "1-x.json.bad").write_text("{")
    (outbox / "2-y.json").write_text("{}")
    (kept.directory / "session.json").chmod(0o644)
    kept.directory.chmod(0o755)
    found = "\n".join(mended())
    for part in ("it is yours alone now", "a session that is gone: gone", "session.json aside as session.json.bad"):
        assert part in found
    assert "session old: removed 1 file that was left behind" in found
    assert sorted(each.name for each in outbox.iterdir()) == ["2-y.json"]
    assert not old.exists()
    assert kept.directory.stat().st_mode & 0o077 == 0
    assert not (home / "sessions" / ".gone.lock").exists()
    assert (home / "sessions" / ".old.lock").exists()
    assert (home / "sessions" / "broken" / "session.json.bad").exists()
    assert mended() == []


def test_an_outbox_that_leads_elsewhere_is_left_alone(taco_home: Path) -> None:
    theirs = taco_home.parent / "theirs"
    theirs.mkdir()
    (theirs / "1.bad").write_text("x")
    project = taco_home.parent / "p"
    inside = project / "w" / ".taco" / "outbox" / "old"
    inside.mkdir(parents=True)
    (inside / "api").symlink_to(theirs)
    record(taco_home, project_dir=project, agents=({"name": "api", "workspace": "w"},))
    assert mended() == []
    assert (theirs / "1.bad").exists()


def test_a_report_tells_no_secret_no_name_and_nobodys_words(shop: Shop, taco_home: Path) -> None:
    log = shop.record.directory / "log.jsonl"
    entries = [
        {"ts": "2026-01-01T00:00:00.000Z", "level": "error", "type": "redis.failed", "content": "password=hunter2"},
        {"ts": "2026-01-01T00:00:01.000Z", "level": "warning", "type": "command.dead", "content": "the launch codes"},
        {"ts": "2026-01-01T00:00:02.000Z", "level": "info", "type": "executor.started", "content": "unseen"},
    ]
    log.write_text("".join(json.dumps(each) + "\n" for each in entries) + "torn {")
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "taco" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('notify_webhook = "https://example.com/secret"\nmax_agents = 7\n')
    found = taco("doctor", "--report").out
    assert found.startswith("```\nTACO ")
    assert found.rstrip().endswith("```")
    for part in ("setting max_agents = 7", "setting notify_webhook = <set>", "redis.failed password=[redacted]"):
        assert part in found
    assert "2026-01-01T00:00:01 command.dead\n" in found
    for part in ("hunter2", "launch codes", "unseen", "example.com", str(shop.record.project_dir), " shop"):
        assert part not in found, part


def test_uninstall_asks_first(taco_home: Path) -> None:
    record(taco_home)
    done = taco("uninstall")
    assert (done.code, "taco uninstall --yes" in done.err) == (2, True)
    assert taco_home.exists()


@pytest.fixture
def house() -> object:
    with a_house() as house:
        yield house


def test_uninstall_leaves_nothing_but_the_project(house: House) -> None:
    session = house.start_idle("leaving", {"name": "api", "workspace": "api"}, options=["--no-mother"])
    (house.project / "api" / "work.py").write_text("x = 1\n")
    outbox = house.project / "api" / ".taco" / "outbox" / "leaving" / "api"
    outbox.mkdir(parents=True, exist_ok=True)
    socket_path = Path(session.status()["redis"]["url"].removeprefix("unix://").partition("?")[0])
    done = house.taco("uninstall", "--yes")
    assert f"removed {house.home}" in done.stdout
    assert not house.home.exists()
    assert not (house.root / "c" / "taco").exists()
    assert not socket_path.parent.exists()
    assert house.running() == ""
    assert [path.name for path in house.project.rglob("*")] == ["api", "work.py"]
    assert "nothing to remove" in house.taco("uninstall", "--yes").stderr


def test_a_session_is_forgotten_and_no_other(house: House) -> None:
    first, second = (house.start_idle(name, "api", options=["--no-mother"]) for name in ("first", "second"))
    first.send("api", "hello")
    outbox = house.project / first.agent("api")["workspace"] / ".taco" / "outbox" / "first" / "api"
    outbox.mkdir(parents=True, exist_ok=True)
    second.stop("--grace", "0.5")
    assert "first is removed" in house.taco("stop", "first", "--forget", "--grace", "0.5").stdout
    assert [each["session"] for each in house.json("ls")] == ["second"]
    assert not (house.home / "sessions" / "first").exists()
    assert not outbox.exists()
    again = house.start_idle("first", "api", options=["--no-mother"])
    assert again.send("api", "anew")
    assert "hello" not in again.taco("log", "-n", "500").stdout
    assert "second is removed" in house.taco("stop", "second", "--forget").stdout  # it was stopped already
    refused = house.taco("resume", "second", "-d", check=False)
    assert refused.returncode == 5


def test_an_interrupted_session_is_stopped(house: House) -> None:
    session = house.start_idle("cut", "api", options=["--no-mother"])
    path = house.home / "sessions" / "cut" / "session.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "stopping"}))
    done = house.taco("doctor", "--fix", check=False)
    assert "session cut, which was interrupted (stopping), is stopped" in done.stdout
    assert house.json("ls")[0]["status"] == "stopped"
    session.resume()
    assert session.send("api", "hello again")
