"""The text that a command carries: from its words, standard input or a file; and what is refused as one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from taco.calls import MAX_BODY
from taco.errors import UsageError


def read_body(words: Sequence[str], file: str | None = None, *, what: str = "message") -> str:
    """The text of `words` joined by blanks, of standard input for `-`, or of a file; raises UsageError.

    Refused: nothing at all, more than 1 MB, NUL bytes, and what is not UTF-8.
    """
    if file is not None and words:
        raise UsageError(f"the {what} is given twice: as words and as --file", hint="leave one of them out")
    if file is None and not words:
        raise UsageError(f"the {what} is missing", hint="give it as words, as - for standard input, or as --file F")
    if file is None and list(words) != ["-"]:
        return _checked(" ".join(words).encode("utf-8", "surrogateescape"), what)
    try:
        if file is None or file == "-":
            return _checked(sys.stdin.buffer.read(MAX_BODY + 1), what)
        with open(file, "rb") as source:  # noqa: PTH123  pathlib would cost `taco send` 3 ms
            return _checked(source.read(MAX_BODY + 1), what)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint="check the path") from None


def _checked(raw: bytes, what: str) -> str:
    if len(raw) > MAX_BODY:
        hint = "write it to a file that the agent can read, and send its path"
        raise UsageError(f"the {what} is longer than {MAX_BODY:,} bytes", hint=hint)
    if b"\0" in raw:
        raise UsageError(f"the {what} is binary: it holds NUL bytes", hint="send a path instead")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"the {what} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}") from None
    if not text.strip():
        raise UsageError(f"the {what} is empty", hint="say something")
    return text
