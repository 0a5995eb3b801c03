"""Bytes from a terminal into keys. Pure: bytes in, keys out, no clock."""

from __future__ import annotations

import re
from typing import NamedTuple

PASTE_BEGIN = b"\x1b[200~"
PASTE_END = b"\x1b[201~"

_CONTROL = {
    0x01: "home",
    0x03: "ctrl-c",
    0x04: "ctrl-d",
    0x05: "end",
    0x08: "backspace",
    0x0A: "newline",
    0x0B: "ctrl-k",
    0x0D: "enter",
    0x15: "ctrl-u",
    0x17: "ctrl-w",
    0x7F: "backspace",
}
_SEQUENCE = {
    b"A": "up",
    b"B": "down",
    b"C": "right",
    b"D": "left",
    b"F": "end",
    b"H": "home",
    b"1~": "home",
    b"3~": "delete",
    b"4~": "end",
}
_ESCAPE = re.compile(rb"\x1b(?:\[([0-?]*[ -/]*[@-~])|O([ -~]))")
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_TEXT = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]+")  # a tab is text


class Key(NamedTuple):
    """One key: `text` and `paste` carry what was written, the others only their name."""

    name: str
    text: str = ""


class Decoder:
    """Bytes of a terminal in raw mode into keys; what is cut in two by a read is put together again."""

    def __init__(self) -> None:
        self._held = b""
        self._pasting = False

    @property
    def waits_for_more(self) -> bool:
        """Whether an ESC is held that may be the key itself: call `flush` when nothing follows soon."""
        return self._held.startswith(b"\x1b") and not self._pasting

    def feed(self, data: bytes) -> list[Key]:
        """The keys that are complete with `data`; bytes that are not UTF-8 come as surrogates."""
        self._held += data
        keys: list[Key] = []
        while self._held:
            key, taken = self._paste() if self._pasting else self._next()
            if taken == 0:
                break
            self._held = self._held[taken:]
            if key is not None:
                keys.append(key)
        return keys

    def flush(self) -> list[Key]:
        """The Escape key, when its byte is all that came."""
        held, self._held = self._held, b""
        return [Key("escape"), *self.feed(held[1:])] if held else []

    def _paste(self) -> tuple[Key | None, int]:
        end = self._held.find(PASTE_END)
        if end < 0:
            return None, 0
        self._pasting = False
        text = self._held[:end].decode("utf-8", "surrogateescape")
        return Key("paste", text.replace("\r\n", "\n").replace("\r", "\n")), end + len(PASTE_END)

    def _next(self) -> tuple[Key | None, int]:
        held = self._held
        if held[0] == 0x1B:
            return self._sequence(held)
        if held[0] in _CONTROL:
            return Key(_CONTROL[held[0]]), 1
        found = _TEXT.match(held)
        if found is None:
            return None, 1  # a control key without a meaning here
        text = found[0]
        if found.end() == len(held):
            text = text[: len(text) - _unfinished_utf8(text)]
        return Key("text", text.decode("utf-8", "surrogateescape")) if text else None, len(text)

    def _sequence(self, held: bytes) -> tuple[Key | None, int]:
        if held.startswith(PASTE_BEGIN):
            self._pasting = True
            return None, len(PASTE_BEGIN)
        found = _ESCAPE.match(held)
        if found is not None:
            name = _SEQUENCE.get(found[1] or found[2])
            return Key(name) if name else None, found.end()
        if _UNFINISHED.match(held):
            return None, 0
        if held[1:2] == b"\r":  # alt-enter
            return Key("newline"), 2
        return Key("escape"), 1


def _unfinished_utf8(text: bytes) -> int:
    """How many bytes at the end begin a character that is not complete yet."""
    for back in range(1, min(4, len(text)) + 1):
        byte = text[-back]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < length else 0
        if byte < 0x80:
            return 0
    return 0
