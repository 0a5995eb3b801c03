"""Rules by which a tool needs no permission of the person: `Tool`, or `Tool(what)`. Pure.

`Bash(npm test:*)` allows `npm test` and `npm test -- --watch`; `Bash(make)` that very command; `Write(src/**)` files
below a directory of the project; `WebFetch(domain:example.com)` a site. Written as Claude Code writes its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from taco.message import squash

_RULE = re.compile(r"(?P<tool>[A-Za-z][\w-]*)(?:\((?P<what>.+)\))?", re.DOTALL)
# What makes more than one command of a line, or puts the output of one somewhere: never allowed by a beginning.
_MORE = re.compile(r"[;&|<>`\n\r\\]|\$[({'\"]|\$\w")
PATHS = ("file_path", "path", "notebook_path")  # what tools call the file they are about


@dataclass(frozen=True, slots=True)
class Request:
    """What an agent asks permission for: the tool and what it is called with.

    `path` is the real path of the file it is about, links followed, `places` those of the directories in which a rule
    about files counts: the agent's workspace and the project.
    """

    tool: str
    given: Mapping[str, Any]
    path: str = ""
    places: tuple[str, ...] = ()

    def text(self, *names: str) -> str:
        """The first of these arguments that is a text; "" for none."""
        return next((self.given[name] for name in names if isinstance(self.given.get(name), str)), "")


def check(rule: str) -> str:
    """The rule itself; raises ValueError for one that is none, or that would allow every command."""
    found = _RULE.fullmatch(rule.strip())
    if not found:
        raise ValueError(f"{rule!r} is no rule: write Tool, or Tool(what), for example Bash(npm test:*)")
    if found["tool"] == "Bash" and (found["what"] or "").strip(" *:") == "":
        raise ValueError(f"{rule!r} would allow every command: name one, for example Bash(npm test:*)")
    return rule.strip()


def matching(rules: Iterable[str], request: Request) -> str:
    """The first rule that allows `request`; "" for none. A rule without `what` allows every use of its tool."""
    for rule in rules:
        found = _RULE.fullmatch(rule)
        if found and found["tool"] == request.tool and _allows(found["what"], request):
            return rule
    return ""


def is_shown(request: Request, dialog: str) -> bool:
    """Whether the text of a dialog shows this very request, whole: a longer one may begin alike."""
    seen = squash(dialog)
    if request.tool != "Bash":
        wanted = squash(request.text(*PATHS).rpartition("/")[2] or request.text("url", "query"))
        return bool(wanted) and wanted in seen
    asked, why = squash(request.text("command")), squash(request.text("description"))
    if not asked:
        return False
    if seen.startswith(f"Bashcommand{asked}{why}Doyouwantto"):  # Claude Code
        return True
    codex = (
        rf"Wouldyouliketorunthefollowingcommand\?(?:Environment:local)?(?:Reason:{re.escape(why)})?\${re.escape(asked)}"
    )
    # Aider: what it asks for stands below its answer, and its output is asked about once it has run.
    aider = rf"[\s\S]*(?:{re.escape(asked)}Runshellcommand|Addcommandoutputtothechat)\?\(Y\)es/\(N\)o[^:]*\[\w+\]:"
    opencode = rf"△Permissionrequired#[^$]*\${re.escape(asked)}AllowonceAllowalwaysReject.*"
    return any(re.fullmatch(each, seen) for each in (codex, aider, opencode))


def _allows(what: str | None, request: Request) -> bool:
    if what is None:
        return True
    if request.tool == "Bash":
        return _allows_command(what, request.text("command").strip())
    if what.startswith("domain:"):
        host = urlsplit(request.text("url")).hostname or ""
        wanted = what.removeprefix("domain:").strip().lower()
        return bool(wanted) and (host == wanted or host.endswith(f".{wanted}"))
    return bool(request.path) and any(_is_below(request.path, place, what) for place in request.places)


def _allows_command(what: str, command: str) -> bool:
    if not what.endswith(":*"):
        return command == what
    beginning = what.removesuffix(":*").strip()
    begins = command == beginning or command.startswith(f"{beginning} ")
    return begins and not _MORE.search(command)


def _is_below(path: str, place: str, pattern: str) -> bool:
    """Whether a path lies in `place` where the pattern says; `**` crosses directories, `*` does not."""
    inside = path.removeprefix(f"{place.rstrip('/')}/")
    return inside != path and bool(re.fullmatch(_glob(pattern.removeprefix("./")), inside))


def _glob(pattern: str) -> str:
    parts = re.split(r"(\*\*/?|\*|\?)", pattern)
    known = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(part, re.escape(part)) for part in parts)
