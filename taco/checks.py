"""What a call is given, looked at before anything is started: names, directories, providers, texts with a spec."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from taco import files, paths
from taco.errors import MissingProgramError, UsageError
from taco.provider import Provider
from taco.spec import find_spec
from taco.transcript import answers


def slug(prompt: str) -> str:
    """A session's name from its prompt: its first words, ASCII, at most 32 characters; "taco" when none are left."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    name = ""
    for word in words:
        if len(name) + len(word) + 1 > 32:
            break
        name = f"{name}-{word}" if name else word
    return name or "taco"


def check_name(name: str) -> None:
    """Raises UsageError for what is no name of a session."""
    if not paths.SESSION_NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a session name", hint="names are a-z, 0-9, - and _, up to 64 characters")


def check_directory(directory: Path) -> None:
    """Raises UsageError for what cannot be a project."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory", hint="make it, or name another with --dir")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(f"{directory} cannot be written", hint="mend its permissions, or name another with --dir")


def usable_provider(name: str, home: Path, project: Path, environ: Mapping[str, str]) -> Provider:
    """A provider whose program is there; raises NotFoundError, ConfigError or MissingProgramError."""
    provider = files.provider(name, paths.config_home(), home, project)
    program = provider.command[0]
    if program != "taco" and shutil.which(program, path=environ.get("PATH")) is None:
        hint = provider.install or f"install {program}, or choose another provider with --provider"
        raise MissingProgramError(f"provider {name}: {program!r} is not installed", hint=hint)
    return provider


def spec_text(text: str) -> str:
    """The part of a text to read a spec from: of a transcript or a hook's JSON the last answer that holds one.

    The last answer at all when none does, so that the errors are about that; any other text as it is.
    """
    said = answers(text.encode("utf-8", "replace"))
    for marked_only in (True, False):
        found = next((each for each in reversed(said) if find_spec(each, marked_only=marked_only)), "")
        if found:
            return found
    return said[-1] if said else text
