"""Looks at the machine, the configuration and the sessions, and says what is wrong and how to mend it."""

from __future__ import annotations

import enum
import locale
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from taco import files, paths, redis_server
from taco.errors import BrokerError, TacoError
from taco.keys import FRESH_S
from taco.provider import Provider
from taco.wire import Wire

OLDEST_PYTHON = (3, 11)
OLDEST_TMUX = (3, 2)
LEAST_FREE_BYTES = 200_000_000
VERSION_S = 15.0  # node programs take seconds to print their version on a loaded machine
_NUMBER = re.compile(r"\d+(?:\.\d+)+[a-z]?|\d+")


class Verdict(enum.StrEnum):
    """How a check ended: fine, worth knowing, or to be mended."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report: what was looked at, what was found, what to do."""

    name: str
    verdict: Verdict
    found: str
    mend: str = ""


def ok(name: str, found: str) -> Check:
    """A check that found nothing wrong."""
    return Check(name, Verdict.OK, found)


def warn(name: str, found: str, mend: str = "") -> Check:
    """A check whose finding does not keep TACO from working."""
    return Check(name, Verdict.WARN, found, mend)


def bad(name: str, found: str, mend: str) -> Check:
    """A check whose finding has to be mended."""
    return Check(name, Verdict.BAD, found, mend)


def examine(config_home: Path, home: Path, project: Path) -> Iterator[Check]:
    """Every check, as it is made; nothing is started or changed."""
    yield _python()
    yield _tmux()
    yield _locale()
    yield from _directories(config_home, home)
    settings, trouble = _settings(config_home, home, project)
    yield from trouble
    yield _redis(home, settings.config.redis_url if settings else "")
    yield from _providers(config_home, home, project, settings.config.provider if settings else "")
    yield from _sessions(home)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return bad("python", version, "install Python 3.11 or newer")
    return ok("python", f"{version}, {sys.executable}")


def _tmux() -> Check:
    path = shutil.which("tmux")
    if not path:
        return bad("tmux", "not installed", "install tmux 3.2 or newer (apt install tmux, brew install tmux)")
    said = output([path, "-V"])
    numbers = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    if numbers and numbers < OLDEST_TMUX:
        return bad("tmux", f"{said} is too old", "install tmux 3.2 or newer")
    return ok("tmux", f"{said}, {path}")


def _locale() -> Check:
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") not in ("utf8", "utf"):
        return bad("locale", f"{encoding} is not UTF-8", "export LANG=C.UTF-8 (or en_US.UTF-8) before anything else")
    if not any("UTF" in os.environ.get(name, "").upper() for name in ("LC_ALL", "LC_CTYPE", "LANG")):
        return warn("locale", "neither LANG nor LC_ALL names UTF-8", "export LANG=C.UTF-8: agents inherit it")
    return ok("locale", encoding)


def _directories(config_home: Path, home: Path) -> Iterator[Check]:
    existing = next(each for each in (home, *home.parents) if each.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        yield bad("state", f"{home} cannot be written", f"chmod u+rwx {existing}, or set TACO_HOME")
    elif (free := shutil.disk_usage(existing).free) < LEAST_FREE_BYTES:
        mend = "make room: Redis stops when the disk is full"
        yield bad("state", f"{home}: {free // 1_000_000} MB free", mend)
    elif home.exists() and home.stat().st_mode & 0o077:
        yield warn("state", f"{home} can be read by others", f"chmod 700 {home}")
    else:
        yield ok("state", f"{home}, {free // 1_000_000_000} GB free")
    yield ok("configuration", str(config_home) if config_home.exists() else f"{config_home} (none: defaults)")


def _settings(config_home: Path, home: Path, project: Path) -> tuple[files.Settings | None, list[Check]]:
    try:
        found = files.settings(config_home, home, project)
    except TacoError as error:
        return None, [bad("settings", error.message, error.hint or "mend that file")]
    changed = sorted(key for key, source in found.sources.items() if source != "default")
    checks = [ok("settings", f"set: {', '.join(changed)}" if changed else "all defaults")]
    return found, checks + [warn("settings", note) for note in found.notes]


def _redis(home: Path, url: str) -> Check:
    if url:
        try:
            server = redis_server.ensure(home, url)
        except TacoError as error:
            return bad("redis", error.message, error.hint or "start it, or unset redis_url for a private one")
        return ok("redis", f"{server.version}, yours")
    try:
        if server_ := redis_server.running(home):
            return ok("redis", f"{server_.version}, private, pid {server_.pid}, {server_.url}")
        path, version = redis_server.find_binary()
    except TacoError as error:
        return bad("redis", error.message, error.hint)
    return ok("redis", f"{version}, {path} (private, starts with the first session)")


def _providers(config_home: Path, home: Path, project: Path, default: str) -> Iterator[Check]:
    for each in files.provider_files(config_home, home, project):
        if each.error:
            yield bad(f"provider {each.name}", each.error, f"taco provider check {each.source}")
        elif not each.trusted:
            yield warn(f"provider {each.name}", f"{each.source} is not trusted", "taco provider trust")
    known = files.providers(config_home, home, project)
    for name, provider in known.items():
        yield _provider(provider, is_default=name == default)
    if default and default not in known:
        yield bad("provider", f"the setting names {default!r}, which there is not", "taco provider list")


def _provider(provider: Provider, *, is_default: bool) -> Check:
    name = f"provider {provider.name}"
    program = provider.command[0]
    if provider.scripted or program == "taco":
        return ok(name, "built in, scripted: no model behind it")
    path = shutil.which(program)
    if not path:
        mend = f"{provider.install}; without it `taco start` runs the demo" if is_default else provider.install
        found = f"{program} is not installed" + (" (your default)" if is_default else "")
        return Check(name, Verdict.WARN if is_default else Verdict.OK, found, mend)
    if not provider.versions:
        return ok(name, path)
    _, version = version_of(path)
    if not version:
        return warn(name, f"{path} does not print its version", f"try: {program} --version")
    if not tested(version, provider.versions):
        return warn(name, f"{version}, tested with {provider.versions}", "watch its first messages, taco queue dead")
    return ok(name, f"{version}, {path}")


def tested(version: str, versions: str) -> bool:
    """Whether a release is among the tested ones, given as prefixes such as `2.1, 2.2`."""
    return any((version + ".").startswith(each + ".") for each in re.split(r"[,\s]+", versions.strip()) if each)


def version_of(path: str) -> tuple[str, str]:
    """What a program says of its version, and the number in that; "" for what it does not say."""
    said = output([path, "--version"])
    found = _NUMBER.search(said)
    return said, found.group() if found else ""


def output(words: list[str]) -> str:
    """The first line a program prints within some seconds; "" when it prints none."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=VERSION_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.strip() or done.stderr.strip()).partition("\n")[0]


def _sessions(home: Path) -> Iterator[Check]:
    for path in sorted((home / "sessions").glob("*/session.json")):
        name = f"session {path.parent.name}"
        try:
            record = paths.session(home, path.parent.name)
        except TacoError as error:
            yield bad(name, error.message, error.hint)
            continue
        if record.stopped:
            yield ok(name, "stopped")
            continue
        try:
            with Wire(record.redis_url, record.name, timeout_s=2) as wire:
                age = wire.heartbeat_age_s()
        except BrokerError as error:
            mend = f"taco resume {record.name}, or look at {home / 'redis' / 'redis.log'}"
            yield bad(name, error.message, paths.no_room(home) or mend)
            continue
        if age is None or age > FRESH_S:
            silent = "was never up" if age is None else f"has been silent for {age:.0f} s"
            mend = (
                f"taco status --session {record.name} starts it again; when its tmux is gone: taco resume {record.name}"
            )
            yield bad(name, f"its executor {silent}", mend)
        else:
            yield ok(name, f"{record.status}, its executor delivers")
