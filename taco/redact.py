"""Takes secrets out of what is kept to be read: logs, events, the ledger's previews. Pure; what is delivered is whole.

By pattern, so it is a net and no promise: keys and tokens by their known beginnings, what stands behind a name such as
`password=`, credentials in URLs and headers, private keys.
"""

from __future__ import annotations

import functools
import re
from typing import Any

HIDDEN = "[redacted]"
# One of these is in every text that a pattern below can find something in; compiling them costs `taco send` 5 ms.
_HINTS = (
    "://",
    "aiza",
    "akia",
    "asia",
    "basic ",
    "bearer ",
    "credential",
    "eyj",
    "gh",
    "github_pat",
    "glpat-",
    "hf_",
    "key",
    "npm_",
    "pass",
    "secret",
    "sk-",
    "sk_",
    "token",
    "xox",
)
_NAMED = r"secret|token|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|credentials?"
_PATTERNS = (
    r"(?P<pem>-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z))",
    r"(?P<user>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)",
    r"\b(?:sk-[A-Za-z0-9_-]{16,}|sk_(?:live|test)_\w{16,}|gh[oprsu]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|npm_\w{30,}|hf_\w{30,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?)",
    r"(?P<how>(?i:\b(?:bearer|basic)\s+))[A-Za-z0-9._~+/=-]{12,}",
    r"(?P<pass>(?i:\b[\w-]*pass(?:word|wd|phrase)[\"']?\s*[=:]\s*[\"']?))[^\s\"',;]{4,}",
    rf"(?P<name>(?i:\b[\w-]*(?:{_NAMED})[\"']?\s*[=:]\s*[\"']?))"
    r"(?=[^\s\"',;]*\d|[^\s\"',;]{12})[^\s\"',;]{6,}",
)


def redact(text: str) -> str:
    """The text with every secret that is known by its look replaced by `[redacted]`."""
    low = text.lower()
    if not any(hint in low for hint in _HINTS):
        return text
    return _pattern().sub(_hide, text)


def redacted(value: Any) -> Any:
    """The same of every text within a value as JSON has them."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: redacted(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(each) for each in value]
    return value


@functools.cache
def _pattern() -> re.Pattern[str]:
    return re.compile("|".join(_PATTERNS))


def _hide(found: re.Match[str]) -> str:
    """What is not secret of a match (the name, the user) stays."""
    kept = next((found[name] for name in ("user", "how", "pass", "name") if found[name]), "")
    return f"{kept}{HIDDEN}"
