"""What is typed for a message, and how it is recognised again. Pure.

Sanitising (measured with Claude Code 2.1.197 and tmux 3.3a): a leading `/word` or `!` runs a command, `exit` ends
the CLI, ESC[201~ breaks out of a paste, BEL opens an editor, CRLF doubles, TAB becomes spaces, a trailing
backslash turns Enter into a line break. The header in front solves the leading cases, this module the others.
"""

from __future__ import annotations

import difflib
import enum
import re
import unicodedata

from taco.models import Command

KEYS_LIMIT = 1_000  # characters that `send-keys -l` types; more goes as a paste (16,344 bytes is tmux's own limit)
POINTER_LIMIT = 16_384  # bytes an agent CLI gets typed; more goes to a file and a pointer is typed
PREVIEW = 120
ONE_LINE = 160  # characters of a question where one line tells of it
TRACE = 8  # letters of ours in a draft that nobody writes by chance
COLLAPSED_FROM = 151  # characters on one line under which no CLI shows a placeholder for a paste

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_BLANK = re.compile(r"\s+")
_FRAGILE = frozenset({"Mn", "Me", "Cf", "So", "Sk", "Co", "Cn"})  # emoji, their parts, and what has no width of its own


class Match(enum.Enum):
    """How what stands in a composer relates to a text of ours."""

    EMPTY = "empty"
    PARTIAL = "partial"  # the beginning of ours: it is still being drawn
    EXACT = "exact"
    PLACEHOLDER = "placeholder"  # a paste that the CLI shows collapsed
    FOREIGN = "foreign"  # a person's, alone or around ours


def sanitise(text: str) -> str:
    """NFC, line breaks as LF, TAB as four spaces, no other control characters, no lone surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    text = _CONTROL.sub("", text.replace("\t", "    "))
    text = text.encode("utf-8", "ignore").decode("utf-8")
    return unicodedata.normalize("NFC", text)


def compose(command: Command, *, header: bool) -> str:
    """The text that is typed for `command`; with a header it never ends in a backslash or a line break."""
    body = sanitise(command.message)
    if not header:
        return body
    text = f"[{command.sender} → {command.target}]: {body}".rstrip()
    return text + " ." if text.endswith("\\") else text


def pointer(command: Command, path: str, size: int) -> str:
    """The one line typed for a body that lies in a file of `size` bytes."""
    return f"[{command.sender} → {command.target}]: The message is long ({size:,} bytes): read it from {path}"


def preview(text: str, length: int = PREVIEW) -> str:
    """The first characters of a message on one line."""
    line = _BLANK.sub(" ", _CONTROL.sub(" ", text)).strip()
    return line if len(line) <= length else line[: length - 1] + "…"


def squash(text: str) -> str:
    """Text without any white space, NFC: equal for what was typed and what a CLI shows wrapped and indented."""
    return _BLANK.sub("", unicodedata.normalize("NFC", text))


def same(left: str, right: str) -> bool:
    """Whether two texts are one message, white space aside."""
    return squash(left) == squash(right)


def match(draft: str, text: str, *, placeholder: bool = False) -> Match:
    """How the composer's `draft` relates to our `text`; `placeholder`: the draft is only the sign of a paste.

    tmux 3.3a cuts what is joined in one cell at 21 bytes (families of emoji): such characters may be missing in what is
    seen, but nothing may be added.
    """
    if placeholder:
        return Match.PLACEHOLDER if "\n" in text or len(text) >= COLLAPSED_FROM else Match.FOREIGN
    seen, ours = squash(draft), squash(text)
    if not seen:
        return Match.EMPTY
    if len(seen) <= len(ours) and (sturdy := _sturdy(ours)) not in (ours, ""):
        seen, ours = _sturdy(seen), sturdy
    if seen == ours:
        return Match.EXACT
    return Match.PARTIAL if ours.startswith(seen) else Match.FOREIGN


def has_trace(draft: str, text: str) -> bool:
    """Whether anything of our `text` may still stand in `draft`: a piece of TRACE letters, or all of a shorter one."""
    seen, ours = squash(draft), squash(text)
    longest = difflib.SequenceMatcher(None, seen, ours, autojunk=False).find_longest_match().size
    return longest >= min(TRACE, len(ours))


def _sturdy(text: str) -> str:
    """What of a text is seen on every terminal."""
    return "".join(each for each in text if unicodedata.category(each) not in _FRAGILE)


def literal(line: str) -> str:
    """An extended regular expression for `line` that is safe inside a tmux format.

    Letters, digits, spaces, `> - _ / @` and what is not ASCII stand for themselves; everything else, which could mean
    something to the expression or to the format (`#{}(),.*[]:;'"%` and so on), becomes `.`: formats execute `#(…)`.
    """
    return "".join(each if each in " >-_/@" or each.isalnum() or each > "\x9f" else "." for each in line)


def settle_ms(base_ms: int, size: int) -> int:
    """The wait between text and Enter for a body of `size` bytes: never under `base_ms`, 25 ms more for each kB.

    Source: 3.4 kB multi-line prompts are reported lost at 300 ms; 20,000 characters were safe at 500 ms here.
    """
    return base_ms + min(3_000, size // 1_024 * 25)
