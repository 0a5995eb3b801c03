"""What exactly is typed into a pane for a command, and what its terminal cannot take."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import termios
from collections.abc import Callable
from pathlib import Path

from taco import message
from taco.models import Command, Pane
from taco.paths import messages_file
from taco.provider import Provider
from taco.records import Waiting

_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
CANONICAL_LINE = 4_095  # bytes a terminal in canonical mode keeps of one line; the rest is cut without a word (Linux)


def plain_id(command_id: str) -> str:
    """The id of a command where formats and file names take it; a digest stands for one that could harm there."""
    if _PLAIN_ID.fullmatch(command_id):
        return command_id
    return hashlib.blake2s(command_id.encode(errors="replace"), digest_size=16).hexdigest()


def mark_of(waiting: Waiting) -> str:
    """What the pane's record calls a command: another one each time a person queues it again."""
    return f"{plain_id(waiting.command.id)}/{waiting.entry_id}"


def text_for(command: Command, provider: Provider, pane: Pane, bodies: Path) -> str:
    """The text to type; a body too long for an agent CLI goes to a file in `bodies`, and a pointer is typed."""
    text = message.compose(command, header=provider.header)
    body = None if _is_seen_whole(text, provider, pane) else message.sanitise(command.message)
    _keep(body, _body_file(command, bodies))
    if body is not None and provider.understands("messages_file"):
        _add(command, body, messages_file(bodies.parent, command.target))
    return typed_text(command, provider, bodies)


def typed_text(command: Command, provider: Provider, bodies: Path) -> str:
    """The text that was typed, whatever size the pane has now: the file of its body tells which of the two it was."""
    text = message.compose(command, header=provider.header)
    path = _body_file(command, bodies)
    if not path.exists():
        return text
    told = messages_file(bodies.parent, command.target) if provider.understands("messages_file") else path
    return message.pointer(command, str(told), len(text.encode()))


def _body_file(command: Command, bodies: Path) -> Path:
    return bodies / f"{plain_id(command.id)}.txt"


def _keep(body: str | None, path: Path) -> None:
    """Write a body to its file, whole or not at all; without a body there is no file."""
    if body is None:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_suffix(".tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(body, encoding="utf-8")
    temporary.rename(path)


def _add(command: Command, body: str, path: Path) -> None:
    """Add a body to the file that an agent's CLI reads anew with every turn; once, however often it is typed."""
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    title = f"# [{command.sender} → {command.target}]: message {plain_id(command.id)}\n\n"
    if title not in known:
        _keep(f"{known}{title}{body}\n\n", path)


def _is_seen_whole(text: str, provider: Provider, pane: Pane) -> bool:
    """Whether a text can be recognised in the composer: it is collapsed to a placeholder, or takes few rows."""
    if not provider.reads_screen:
        return True
    if len(text.encode()) > message.POINTER_LIMIT:
        return False
    if ("\n" in text or len(text.encode()) > CANONICAL_LINE) and _is_canonical(pane.tty):
        return False  # such a program reads line by line: the first line break would submit the first line
    if provider.screen.placeholder and provider.input != "keys" and len(text) > provider.screen.placeholder_over:
        return True
    columns = max(20, pane.width - 8)
    free = provider.screen.rows_free
    most = max(4, pane.height // 3 if free is None else pane.height - free)
    return sum(1 + len(line.encode()) // columns for line in text.split("\n")) <= most


def unfit(text: str, provider: Provider, pane: Pane) -> str:
    """Why this terminal cannot take this text; "" when it can."""
    longest = max(len(line.encode()) for line in text.split("\n"))
    if longest <= CANONICAL_LINE or provider.reads_screen or not _is_canonical(pane.tty):
        return ""
    return f"a line of {longest:,} bytes: this terminal keeps {CANONICAL_LINE:,} of a line; send the path of a file"


def is_unread(tty: str) -> bool:
    """Whether a terminal holds keys that its program has not read: it stands still, and nothing is lost."""
    return _ask(tty, lambda handle: fcntl.ioctl(handle, termios.FIONREAD, bytes(4)) != bytes(4))


def _is_canonical(tty: str) -> bool:
    """Whether a terminal hands its program whole lines only."""
    return _ask(tty, lambda handle: bool(termios.tcgetattr(handle)[3] & termios.ICANON))


def _ask(tty: str, question: Callable[[int], bool]) -> bool:
    """The answer of a terminal; False when it cannot be asked."""
    try:
        handle = os.open(tty, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return question(handle)
    except (OSError, termios.error):
        return False
    finally:
        os.close(handle)
