from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from taco import paths
from taco.errors import NotFoundError, TacoError, UsageError


def record(home: Path, name: str = "shop", **values: object) -> paths.SessionRecord:
    return paths.SessionRecord(
        name=name, home=home, project_dir=Path("/srv/shop"), started_at="2026-01-01T00:00:00.000Z", **values
    )  # type: ignore[arg-type]


def test_a_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = record(
        tmp_path, status="running", agents=({"window": 3, "name": "api"},), more={"colour": "blue"}, yolo=True
    )
    saved.save()
    assert paths.session(tmp_path, "shop") == saved
    assert paths.sessions(tmp_path) == [saved]


def test_the_record_is_private(tmp_path: Path) -> None:
    record(tmp_path).save()
    path = tmp_path / "sessions" / "shop" / "session.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["session.json"]


def test_an_unknown_session_names_the_others(tmp_path: Path) -> None:
    record(tmp_path).save()
    with pytest.raises(NotFoundError) as caught:
        paths.session(tmp_path, "blog")
    assert caught.value.hint == "sessions: shop"


@pytest.mark.parametrize("name", ["", "../x", "A", "a:b", "a.b", "a" * 65, "-a"])
def test_a_name_that_is_no_slug_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        paths.session(tmp_path, name)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"agents": 3}'])
def test_a_broken_record_is_named_and_does_not_hide_the_others(tmp_path: Path, text: str) -> None:
    record(tmp_path).save()
    broken = tmp_path / "sessions" / "blog" / "session.json"
    broken.parent.mkdir()
    broken.write_text(text)
    with pytest.raises(TacoError, match=r"session\.json cannot be read"):
        paths.session(tmp_path, "blog")
    assert [each.name for each in paths.sessions(tmp_path)] == ["shop"]


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TACO_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert paths.home() == tmp_path / ".local/state/taco"
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert paths.home() == Path("/var/state/taco")
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert paths.home() == tmp_path / ".local/state/taco"
    monkeypatch.setenv("TACO_HOME", "~/t")
    assert paths.home() == tmp_path / "t"


def test_directories_above_are_private_too(tmp_path: Path) -> None:
    paths.make_private(tmp_path / "state" / "taco" / "sessions")
    for each in ("state", "state/taco", "state/taco/sessions"):
        assert (tmp_path / each).stat().st_mode & 0o777 == 0o700
    paths.make_private(tmp_path / "state" / "taco")


def test_a_disk_with_room_is_no_news(tmp_path: Path) -> None:
    assert paths.no_room(tmp_path) == paths.no_room(tmp_path / "not there") == ""


def test_a_path_with_a_star_is_the_newest_that_fits(tmp_path: Path) -> None:
    pattern = str(tmp_path / "[a]" / "*" / "rollout-*-7.jsonl")
    assert paths.newest(pattern) == Path(pattern)
    for at, name in enumerate(("2025", "2026")):
        path = tmp_path / "[a]" / name / f"rollout-{at}-7.jsonl"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (at, at))
    assert paths.newest(pattern) == tmp_path / "[a]" / "2026" / "rollout-1-7.jsonl"
    assert paths.newest("/a/b") == Path("/a/b")
    (tmp_path / "[a]" / "2025" / "rollout-0-7.jsonl").write_text("more")
    os.utime(tmp_path / "[a]" / "2025" / "rollout-0-7.jsonl", (0, 0))
    assert paths.newest(pattern) == tmp_path / "[a]" / "2026" / "rollout-1-7.jsonl"
    assert paths.largest(pattern) == tmp_path / "[a]" / "2025" / "rollout-0-7.jsonl"
    assert paths.largest("/a/b") == Path("/a/b")


def test_what_is_roots_alone(tmp_path: Path) -> None:
    assert paths.is_roots(Path("/usr/bin"))
    assert paths.is_roots(Path("/usr/bin/no/such"))
    assert not paths.is_roots(tmp_path)  # others may write above it
    assert not paths.is_roots(Path("/proc/self"))  # a link, which may come to lead elsewhere
