"""Whatever lies in a spool, reading it neither blocks nor fails, and the next file is read too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taco.spool import BAD, KEEP_S, MOST_HOOK_BYTES, TRIES, Box, Spool

NOW = 1_800_000_000.0


def named(number: int, what: str = "7-Stop") -> str:
    """A name as hooks make it."""
    return f"{int(NOW) * 10**9 + number}-{what}.json"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    directory = tmp_path / "be"
    directory.mkdir()
    return Spool(directory)


def test_what_is_no_file_is_set_aside_and_the_others_are_read(spool: Spool) -> None:
    here = spool.directory
    secret = here.parent / "secret"
    secret.write_text("secret")
    os.mkfifo(here / named(1))
    (here / named(2)).mkdir()
    (here / named(3)).symlink_to(secret)
    (here / named(4)).symlink_to("/dev/zero")
    with (here / named(5)).open("wb") as file:
        file.truncate(MOST_HOOK_BYTES + 1)
    (here / named(6)).write_text("{}")
    found = [each for _ in range(TRIES) for each in spool.new(NOW)]
    assert [each.path.name for each in found] == [named(6)]
    assert sorted(each.name for each in here.iterdir()) == [*(named(each) + BAD for each in range(1, 6)), named(6)]
    assert secret.read_text() == "secret"


def test_a_file_is_read_once_and_removed_when_it_is_old(spool: Spool) -> None:
    (spool.directory / named(1)).write_text("{}")
    (spool.directory / "²-7-Stop.json").write_text("{}")  # a digit that is no number
    assert len(spool.new(NOW)) == 2
    assert spool.new(NOW) == []
    assert spool.new(NOW + KEEP_S + 1) == []
    assert list(spool.directory.iterdir()) == []


def test_a_spool_that_is_a_link_or_a_file_holds_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / named(1)).write_text("{}")
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "file").write_text("")
    for name in ("link", "file", "missing"):
        assert Spool(tmp_path / name).new(NOW) == []


def test_a_box_follows_no_link_on_its_way(tmp_path: Path) -> None:
    (tmp_path / "real" / "box").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with Box.open(tmp_path, "real", "box") as box:
        assert box.names() == []
    with pytest.raises(OSError, match=r"Not a directory|symbolic"), Box.open(tmp_path, "link", "box"):
        pass
