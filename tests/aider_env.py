"""Finds the real Aider and gives it an environment that can only reach the stub."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests import real
from tests.chat_stub import ChatStub
from tests.stub import Received, Reply

_SETTINGS = """\
- name: openai/stub-model
  edit_format: diff
  reminder: sys
  examples_as_sys_msg: true
  weak_model_name: openai/stub-model
"""
_METADATA = {"stub-model": {"max_input_tokens": 1_000_000, "max_output_tokens": 100_000, "mode": "chat"}}
_READ_ONLY = "Here are some READ ONLY files, provided for your reference."
_OF_THE_CLI = (
    _READ_ONLY,
    "Here are summaries of some files",
    "I have *added these files to the chat*",
    "I am not sharing any files",
    "I am not sharing the full contents",
    "Don't try and edit any existing code",
    "Output from ",
)
_BRIEF = re.compile(r"^\S*\bbriefs?\b\S*\.md\n(`{3,})\n(.*?)\n\1\n", re.DOTALL | re.MULTILINE)
_BESIDE = (
    "You are an expert software engineer that generates concise",
    "*Briefly* summarize",
)  # a commit message, a summary


class AiderStub(ChatStub):
    """Knows what of a conversation the person said, and takes the brief, a file of each request, for its beginning.

    A request for a commit message or a summary is of the CLI's own.
    """

    def parse(self, path: str, body: dict[str, Any], number: int, headers: Any) -> Received:
        found = super().parse(path, body, number, headers)
        aside = any(note.startswith(_BESIDE) for note in found.notes)
        brief = next((each[2] for text in found.history if (each := _BRIEF.search(text))), "")
        history = (brief, *_of_person(found.history))
        results = tuple(text for text in found.history if text.startswith("Output from "))
        return replace(found, texts=_of_person(found.texts), results=results, history=history, beside=aside)

    def aside(self, received: Received) -> Reply | None:
        return Reply("change what was asked for") if received.aside else None


def _of_person(texts: Sequence[str]) -> tuple[str, ...]:
    """What the person said of what stands in their name; a restored history has two spaces at the end of each line."""
    ours = (text for text in texts if not text.startswith(_OF_THE_CLI))
    return tuple("\n".join(line.removesuffix("  ") for line in text.split("\n")).rstrip("\n") for text in ours)


def aider_binary() -> Path:
    """The CLI; skips at home and fails in CI when it is missing."""
    return real.binary("aider", "Aider", cached="bin")


def aider_environment(stub: ChatStub, root: Path, project: Path) -> dict[str, str]:
    """The whole environment of a CLI whose only model is the stub's, and `project` as a repository.

    Its lists of models and prices are there already: it would fetch them (0.86.2).
    """
    home = root / "home"
    caches = home / ".aider" / "caches"
    caches.mkdir(parents=True, exist_ok=True)
    (caches / "model_prices_and_context_window.json").write_text(json.dumps(_METADATA))
    (home / ".aider.model.settings.yml").write_text(_SETTINGS)
    (home / ".gitconfig").write_text("[user]\nname = Demo\nemail = demo@example.com\n")
    return {
        **real.environment(home, aider_binary()),
        "OPENAI_API_BASE": stub.url,
        "OPENAI_API_KEY": "not-a-key",
        "AIDER_MODEL": "openai/stub-model",
        "AIDER_MAX_CHAT_HISTORY_TOKENS": "100000",  # more is summarised when it is restored, by the model
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def make_repository(project: Path) -> None:
    """Make a directory a repository with what is in it committed: Aider asks before it works in any other (0.86.2)."""
    author = ("-c", "user.name=Demo", "-c", "user.email=demo@example.com")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "--allow-empty", "-m", "begin")):
        subprocess.run(["git", "-C", str(project), *words], check=True)
