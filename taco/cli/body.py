"""The text that a command carries: from its words, standard input or a file; and what is refused as one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from taco.calls import MAX_BODY
from taco.errors import UsageError

SEND_A_PATH = "write it to a file that the agent can read, and send its path"


def read_body(
    words: Sequence[str],
    file: str | None = None,
    *,
    what: str = "message",
    instead: str = SEND_A_PATH,
    most: int = MAX_BODY,
) -> str:
    """The text of `words` joined by blanks, of standard input for `-`, or of a file; raises UsageError.

    Refused: nothing at all, more than `most` bytes, NUL bytes, and what is not UTF-8. `what` names the text in the
    errors, `instead` says what to do with one that is too long or binary.
    """
    if file is not None and words:
        raise UsageError(f"the {what} is given twice: as words and as --file", hint="leave one of them out")
    if file is None and not words:
        raise UsageError(f"the {what} is missing", hint="give it as words, as - for standard input, or as --file F")
    if file is None and list(words) != ["-"]:
        return checked(" ".join(words), what=what, instead=instead, most=most)
    try:
        if file is None or file == "-":
            return checked(sys.stdin.buffer.read(most + 1), what=what, instead=instead, most=most)
        with open(file, "rb") as source:  # noqa: PTH123  pathlib would cost `taco send` 3 ms
            return checked(source.read(most + 1), what=what, instead=instead, most=most)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint="check the path") from None


def text_of(words: Sequence[str], file: str | None, body: str | None, *, what: str = "message") -> str:
    """The text of a call: `body` where the call has it as a whole, else what `read_body` finds; raises UsageError."""
    if body is None:
        return read_body(words, file, what=what)
    return checked(body, what=what, instead=SEND_A_PATH)


def checked(given: str | bytes, *, what: str, instead: str, most: int = MAX_BODY) -> str:
    """The text that was given, when it is one that can be carried; raises UsageError."""
    raw = given.encode("utf-8", "surrogateescape") if isinstance(given, str) else given
    if len(raw) > most:
        raise UsageError(f"the {what} is longer than {most:,} bytes", hint=instead)
    if b"\0" in raw:
        raise UsageError(f"the {what} is binary: it holds NUL bytes", hint=instead)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"byte {error.start} is 0x{raw[error.start]:02x}"
        raise UsageError(f"the {what} is not UTF-8: {where}", hint="convert it to UTF-8") from None
    if not text.strip():
        raise UsageError(f"the {what} is empty", hint="say something")
    return text
