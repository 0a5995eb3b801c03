"""What `taco doctor --fix` mends, and what `taco uninstall` removes."""

from __future__ import annotations

import contextlib
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from taco import locks, paths, redis_server, session, supervision
from taco.errors import TacoError
from taco.orchestrator import cleaning
from taco.paths import SessionRecord
from taco.spool import BAD

OLD_S = 600.0  # what is younger may be in the making


def mend(home: Path) -> Iterator[str]:
    """Mend what can be mended without losing anything; one line for each thing that was done. Raises TacoError."""
    yield from _private(home)
    yield from _redis(home)
    yield from _locks(home)
    yield from _broken_records(home)
    for record in paths.sessions(home):
        yield from _session(record)


def _private(home: Path) -> Iterator[str]:
    """State is its owner's alone."""
    for path in (home, *sorted(home.rglob("*"))):
        mode = path.lstat().st_mode
        if mode & 0o077 and (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            path.chmod(mode & 0o700)
            yield f"{path} was open to others: it is yours alone now"


def _redis(home: Path) -> Iterator[str]:
    if gone := redis_server.sweep(home):
        yield f"removed what a Redis server left that does not run any more: {', '.join(map(str, gone))}"
    if any(not each.stopped and each.redis_private for each in paths.sessions(home)):
        before = redis_server.running(home)
        server = redis_server.ensure(home)
        if before is None:
            yield f"started Redis {server.version} again, which a session needs"


def _locks(home: Path) -> Iterator[str]:
    """The lock of a session that is gone."""
    for path in sorted((home / "sessions").glob(".*.lock")):
        name = path.name[1:].removesuffix(".lock")
        if (home / "sessions" / name).exists():
            continue
        with locks.locked(path) as ours:
            if ours:
                path.unlink(missing_ok=True)
                yield f"removed the lock of a session that is gone: {name}"


def _broken_records(home: Path) -> Iterator[str]:
    """A record that cannot be read stands in nobody's way any more, and is kept."""
    for path in sorted((home / "sessions").glob("*/session.json")):
        try:
            paths.session(home, path.parent.name)
        except TacoError as error:
            aside = path.with_suffix(f".json{BAD}")
            path.replace(aside)
            yield f"set {path} aside as {aside.name}: {error.message}"


def _session(record: SessionRecord) -> Iterator[str]:
    if supervision.interrupted(record):
        was = record.status
        session.stop(record, grace_s=5.0, say=lambda _: None)
        yield f"session {record.name}, which was interrupted ({was}), is stopped; go on with: taco resume {record.name}"
        return
    if record.status == paths.RUNNING and session.is_up(record) and (did := supervision.supervise(record)):
        yield did
    names = {str(each.get("name", "")) for each in record.agents}
    if count := cleaning.clean(record.directory, names, before=time.time() - OLD_S):
        what = f"{count} files that were" if count > 1 else "1 file that was"
        yield f"session {record.name}: removed {what} left behind"
    if count := sum(map(_drop_bad, outboxes(record))):
        yield f"session {record.name}: removed {count} unreadable file{'s' if count > 1 else ''} from outboxes"


def _drop_bad(directory: Path) -> int:
    """Remove the files that could not be taken over; the directory is an agent's: nothing in it is followed."""
    bad = [each for each in directory.glob(f"*{BAD}") if stat.S_ISREG(each.lstat().st_mode)]
    for each in bad:
        each.unlink(missing_ok=True)
    return len(bad)


def outboxes(record: SessionRecord) -> Sequence[Path]:
    """The outboxes of a session in its project: `<workspace>/.taco/outbox/<session>/<agent>`, as far as they are."""
    found = []
    for each in record.agents:
        workspace = record.project_dir / str(each.get("workspace", ""))
        directory = workspace / ".taco" / "outbox" / record.name / str(each.get("name", ""))
        inside = directory.resolve().is_relative_to(record.project_dir.resolve())
        if directory.is_dir() and not directory.is_symlink() and inside:
            found.append(directory)
    return found


def remove_outboxes(record: SessionRecord) -> None:
    """Remove a session's outboxes, and the `.taco` directories that are empty then."""
    for directory in outboxes(record):
        shutil.rmtree(directory, ignore_errors=True)
        for above in directory.parents[:3]:  # <session>, outbox, .taco
            with contextlib.suppress(OSError):
                above.rmdir()
