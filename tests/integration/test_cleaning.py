"""What killed executors and removed agents left behind goes, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

from taco.orchestrator.cleaning import clean, drop_buffers
from taco.tmux.commands import CommandPipe
from tests.support.tmux import Tmux

NOW = 1_800_000_000.0


def test_old_files_go_and_new_ones_and_those_of_the_team_stay(tmp_path: Path) -> None:
    old = ["bodies/a.txt", "buffers/taco-1", "launch/be.json.7.tmp", "session.json.9.tmp", "spool/gone/1-7-Stop.json"]
    old += ["spool/be/1-7-Stop.tmp", "spool/be/1-7-Stop.json.bad"]
    kept = ["session.json", "launch/be.json", "spool/be/1-7-Stop.json"]
    fresh = ["bodies/b.txt", "buffers/taco-2", "spool/late/2-7-Stop.json"]
    for name in (*old, *kept, *fresh):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        at = NOW if name in fresh else NOW - 100
        os.utime(path, (at, at))
    assert clean(tmp_path, {"be"}, before=NOW - 50) == len(old)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*kept, *fresh}
    assert not (tmp_path / "spool" / "gone").exists()


async def test_only_old_buffers_of_executors_go(tmux: Tmux) -> None:
    for name in ("taco-0123456789ab", "taco-mine", "other"):
        tmux.run("set-buffer", "-b", name, "text")
    pipe = CommandPipe(tmux.socket)

    def names() -> list[str]:
        return sorted(tmux.run("list-buffers", "-F", "#{buffer_name}").split())

    await drop_buffers(pipe)
    assert names() == ["other", "taco-0123456789ab", "taco-mine"]
    await drop_buffers(pipe, before=time.time() + 60)
    assert names() == ["other", "taco-mine"]
