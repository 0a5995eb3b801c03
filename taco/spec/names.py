"""Names of agents and the directories they work in: what they may be, and how they are repaired. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from taco.models import RESERVED_NAMES

NAME_LIMIT = 32
_NOT_IN_SLUG = re.compile(r"[^a-z0-9_-]+")
# Controls, and what turns or hides text on a terminal: bidirectional marks, zero-width spaces, lone surrogates.
_HIDDEN = re.compile(r"[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]")
_BLANK = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_FORBIDDEN_PARTS = frozenset({".git", ".taco"})
_PATH_LIMIT = 200


def clean(text: str) -> str:
    """One line of NFC text without control characters and doubled blanks."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", _HIDDEN.sub("", text))
    return " ".join((text if text.isprintable() else _BLANK.sub(" ", text)).split())


@lru_cache(maxsize=1024)
def slug(text: str) -> str:
    """Lower case, `[a-z0-9_-]`, at most 32 characters; "" when nothing is left."""
    if not text.isascii():
        text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return _NOT_IN_SLUG.sub("_", text.lower()).strip("_-")[:NAME_LIMIT].rstrip("_-")


def agent_name(text: str) -> str:
    """The slug as an agent may bear it: `mother` becomes `mother_agent`, `3` becomes `agent_3`."""
    name = slug(text)
    if name in RESERVED_NAMES:
        return f"{name}_agent"
    return f"agent_{name}"[:NAME_LIMIT] if name.isdecimal() else name


def workspace(text: str) -> str:
    """A directory inside the project, normalised (`./a//b/` is `a/b`, `.` the project itself).

    Raises ValueError saying what is wrong. Symbolic links are for whoever makes the directory to check.
    """
    if _HIDDEN.search(text) or any(unicodedata.category(char) == "Cc" for char in text):
        raise ValueError("holds control characters")
    path = unicodedata.normalize("NFC", text.strip())
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        raise ValueError("must be relative to the project")
    if "\\" in path:
        raise ValueError("must be written with /, not with \\")
    if len(path) > _PATH_LIMIT:
        raise ValueError(f"is {len(path)} characters, at most {_PATH_LIMIT}")
    parts = [part.strip() for part in path.split("/") if part.strip() not in ("", ".")]
    if ".." in parts:
        raise ValueError("must not leave the project by ..")
    for part in parts:
        if part.lower() in _FORBIDDEN_PARTS:
            raise ValueError(f"must not lie in {part}")
        if part.startswith("-"):
            raise ValueError("must not begin with -")
    return "/".join(parts) or "."
