"""A text in the person's editor, until it is right."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from taco.cli import say
from taco.errors import SpecError, TacoError, UsageError


def edit(text: str, name: str, check: Callable[[str], object], *, unchanged: str) -> str:
    """`text` as the person's editor leaves it in a file called `name`, once `check` raises no TacoError for it.

    Raises UsageError with the hint `unchanged` when nothing was changed, the last TacoError when they give up.
    """
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="taco-edit-") as directory:
        path = Path(directory) / name
        path.write_text(text, encoding="utf-8")
        while True:
            _run_editor([*editor, str(path)])
            after = path.read_text(encoding="utf-8", errors="surrogateescape")
            if after == text:
                raise UsageError("nothing was changed", hint=unchanged)
            try:
                check(after)
            except TacoError as error:
                for line in error.errors if isinstance(error, SpecError) else [error.message]:
                    say.note(f"{say.paint('error:', 'bold red')} {say.clean(line)}")
                if not click.confirm("Edit again?", default=True, err=True):
                    raise
            else:
                return after


def _run_editor(words: Sequence[str]) -> None:
    try:
        code = subprocess.run(words, check=False).returncode
    except OSError as error:
        raise TacoError(f"the editor {words[0]!r} cannot be run: {error.strerror}", hint="set EDITOR") from None
    if code:
        raise TacoError(f"the editor ended with {code}; nothing was changed")
