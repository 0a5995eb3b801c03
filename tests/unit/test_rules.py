"""Which rule allows what: never more than it says."""

from __future__ import annotations

from typing import Any

import pytest

from taco.rules import Request, check, is_shown, matching


def bash(command: str, description: str = "") -> Request:
    return Request("Bash", {"command": command, "description": description})


def file(tool: str, path: str, real: str = "") -> Request:
    return Request(tool, {"file_path": path}, real or path, ("/p/web", "/p"))


@pytest.mark.parametrize(
    ("rule", "request_"),
    [
        ("Bash(npm test:*)", bash("npm test")),
        ("Bash(npm test:*)", bash("npm test -- --watch 'a b' x=1")),
        ("Bash(make)", bash("make")),
        ("Bash(make && make install)", bash("make && make install")),  # the very command that the person wrote
        ("Read", file("Read", "/etc/hosts")),
        ("Write(src/**)", file("Write", "src/a/b.py", "/p/web/src/a/b.py")),
        ("Write(src/**)", file("Write", "/p/src/b.py")),
        ("Edit(*.md)", file("Edit", "/p/README.md")),
        ("Edit(./docs/?.md)", file("Edit", "/p/docs/a.md")),
        ("WebFetch(domain:example.com)", Request("WebFetch", {"url": "https://docs.example.com/x"})),
        ("mcp__db__query", Request("mcp__db__query", {})),
    ],
)
def test_allowed(rule: str, request_: Request) -> None:
    assert matching([check("Glob"), check(rule)], request_) == rule


@pytest.mark.parametrize(
    ("rule", "request_"),
    [
        ("Bash(npm test:*)", bash("npm tests")),
        ("Bash(npm test:*)", bash("npm test; rm -rf /")),
        ("Bash(npm test:*)", bash("npm test && rm -rf /")),
        ("Bash(npm test:*)", bash("npm test | sh")),
        ("Bash(npm test:*)", bash("npm test & rm x")),
        ("Bash(npm test:*)", bash("npm test > /etc/passwd")),
        ("Bash(npm test:*)", bash("npm test < /etc/passwd")),
        ("Bash(npm test:*)", bash("npm test `id`")),
        ("Bash(npm test:*)", bash("npm test $(id)")),
        ("Bash(npm test:*)", bash("npm test ${IFS}")),
        ("Bash(npm test:*)", bash("npm test $HOME")),
        ("Bash(npm test:*)", bash("npm test $'\\n'id")),
        ("Bash(npm test:*)", bash("npm test\nrm -rf /")),
        ("Bash(npm test:*)", bash("npm test \\\nid")),
        ("Bash(npm test:*)", bash("sudo npm test")),
        ("Bash(npm test:*)", Request("Bash", {})),
        ("Bash(make)", bash("make install")),
        ("Write(src/**)", file("Write", "/p/web/lib/b.py")),
        ("Write(src/**)", file("Write", "src/../../x", "/x")),
        ("Write(src/**)", file("Write", "/q/src/b.py")),
        ("Write(src/*)", file("Write", "/p/src/a/b.py")),
        ("Write(src/**)", Request("Write", {"file_path": "src/a"})),  # nobody has followed its links
        ("Write(**)", file("Write", "/pp/a")),
        ("Edit", file("Write", "/p/a")),
        ("WebFetch(domain:example.com)", Request("WebFetch", {"url": "https://badexample.com/"})),
        ("WebFetch(domain:example.com)", Request("WebFetch", {"url": "https://x.io/?example.com"})),
        ("WebFetch(domain:example.com)", Request("WebFetch", {"url": "https://example.com@x.io/"})),
    ],
)
def test_not_allowed(rule: str, request_: Request) -> None:
    assert matching([check(rule)], request_) == ""


@pytest.mark.parametrize(
    "rule", ["", "Bash", "Bash(*)", "Bash(:*)", "Bash()", "npm test", "Bash(npm test", "*", "Bash( * )"]
)
def test_what_is_no_rule_or_allows_everything(rule: str) -> None:
    with pytest.raises(ValueError, match=r"is no rule|would allow every command"):
        check(rule)


RUN = "Would you like to run the following command?\n\nEnvironment: local\n\nReason: May it?\n\n$ npm test --\nwatch"
SHOWN = "Bash command\n\n  npm test --\n  watch\n  Run the tests\n\nDo you want to proceed?"


@pytest.mark.parametrize(
    ("request_", "dialog", "shown"),
    [
        (bash("npm test --watch", "Run the tests"), SHOWN, True),
        (bash("npm test", "Run the tests"), SHOWN, False),  # a longer one stands there
        (bash("npm test", "--watch Run the tests"), SHOWN, True),  # why only one request may be pending
        (bash("npm test --watch", ""), SHOWN, False),
        (bash("watch", "Run the tests"), SHOWN, False),
        (bash("", "x"), SHOWN, False),
        (bash("ls"), "Bash command\n\n  ls\n\nDo you want to proceed?", True),
        (bash("ls"), "Bash command\n\n  ls -l\n\nDo you want to proceed?", False),
        (file("Write", "/p/src/new.txt"), "Create file\nnew.txt\nDo you want to create new.txt?", True),
        (file("Write", "/p/src/other.txt"), "Create file\nnew.txt\nDo you want to create new.txt?", False),
        (Request("WebFetch", {"url": "https://e.com/a"}), 'Fetch\nurl: "https://e.com/a"\nDo you want to', True),
        (Request("Glob", {}), "anything", False),
        (bash("npm test --watch", "May it?"), RUN, True),  # Codex
        (bash("npm test", "May it?"), RUN, False),
        (bash("watch", "May it?"), RUN, False),
        (bash("npm test --watch"), RUN, False),
        (bash("npm test --watch", "May it?"), f"{RUN}; rm -rf /", False),
        (bash("ls"), "Would you like to run the following command?\n$ ls", True),
        (bash(""), "Would you like to run the following command?\n$", False),
    ],
)
def test_a_dialog_shows_the_very_request(request_: Request, dialog: str, shown: bool) -> None:
    assert is_shown(request_, dialog) is shown


AIDER = "> [person → alpha]: do it\n\nTokens: 1k sent, 2 received.\n\n{above}taco send beta\nhi\nRun shell command? "
LETTERS = "(Y)es/(N)o/(D)on't ask again [Yes]:"


@pytest.mark.parametrize(
    ("command", "dialog", "shown"),
    [
        ("taco send beta hi", AIDER.format(above="") + LETTERS, True),
        ("taco send beta", AIDER.format(above="") + LETTERS, False),  # of another one the end
        ("taco send beta hi", AIDER.format(above="") + LETTERS + " y", False),
        ("taco send beta hi", AIDER.format(above="rm x\n").replace("command?", "commands?") + LETTERS, False),
        ("taco send beta hi", f"k3x9\nAdd command output to the chat? {LETTERS}", True),  # it ran already
        ("", f"Add command output to the chat? {LETTERS}", False),
    ],
)
def test_a_question_of_aider_shows_its_only_command(command: str, dialog: str, shown: bool) -> None:
    assert is_shown(bash(command), dialog) is shown


def test_what_is_no_text_is_none() -> None:
    strange: dict[str, Any] = {"command": ["npm", "test"], "file_path": 7}
    assert matching([check("Bash(npm test:*)")], Request("Bash", strange)) == ""
