"""`taco config`, `provider`, `doctor` and `completion`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from taco import doctor
from taco.cli.config import _template
from taco.config import Config, Layer, merge
from taco.models import Ask, Command
from tests.cli.conftest import Done, Shop, taco
from tests.support.paths import ROOT
from tests.support.terminal import Terminal
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for


@pytest.fixture
def config_home(taco_home: Path) -> Path:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "taco"
    (path / "providers").mkdir(parents=True)
    return path


def test_config_names_every_source(config_home: Path) -> None:
    (config_home / "config.toml").write_text("max_agents = 5\n")
    found = taco("config", "--json", env={"TACO_ATTEMPTS": "2"}).json
    assert found["max_agents"]["value"] == 5
    assert found["max_agents"]["source"] == str(config_home / "config.toml")
    assert (found["attempts"]["value"], found["attempts"]["source"]) == (2, "environment")
    assert found["grace_s"]["source"] == "default"
    assert taco("config", "max_agents").out == "5\n"
    assert "max_agents" in taco("config").out
    assert taco("config", "nothing").code == 5
    assert "secret" not in taco("config", env={"TACO_REDIS_URL": "redis://:secret@host/0"}).out


def test_a_bad_setting_is_a_usage_error(config_home: Path) -> None:
    (config_home / "config.toml").write_text("max_agents = 0\n")
    done = taco("config", "--json")
    assert done.code == 2
    assert done.json["error"]["code"] == "config"
    assert "max_agents" in done.json["error"]["message"]


def editor(directory: Path, *changes: str) -> dict[str, str]:
    """An editor whose n-th run makes the n-th of these sed scripts' changes."""
    for number, change in enumerate(changes, 1):
        (directory / f"change{number}").write_text(change)
    program = directory / "editor"
    program.write_text(
        f"#!/bin/sh\nn=$(($(cat {directory}/runs 2>/dev/null || echo 0) + 1)); echo $n >{directory}/runs\n"
        f'sed -i -f {directory}/change$n "$1"\n'
    )
    program.chmod(0o755)
    return {"EDITOR": str(program)}


def test_settings_are_changed_in_an_editor(config_home: Path, tmp_path: Path) -> None:
    done = taco("config", "edit", env=editor(tmp_path, "s/^# max_agents = 30 .*/max_agents = 7/"))
    assert done.code == 0, done.err
    text = (config_home / "config.toml").read_text()
    assert "\nmax_agents = 7\n" in text
    assert "# quiet_hours = " in text  # every setting stands there, as a comment
    assert taco("config", "max_agents").out == "7\n"
    unchanged = taco("config", "edit", env={"EDITOR": "true"})
    assert (unchanged.code, "nothing was changed" in unchanged.err) == (2, True)


def test_a_bad_setting_is_not_saved(config_home: Path, tmp_path: Path) -> None:
    wrong = editor(tmp_path, "s/^# max_agents = .*/max_agents = 0/", "s/^max_agents = 0/max_agents = 9/")
    refused = taco("config", "edit", env=wrong, input="n\n")
    assert (refused.code, "max_agents: " in refused.err) == (2, True)
    assert not (config_home / "config.toml").exists()
    (tmp_path / "runs").unlink()
    mended = taco("config", "edit", env=wrong, input="y\n")
    assert mended.code == 0, mended.err
    assert taco("config", "max_agents").out == "9\n"


def test_the_template_of_settings_is_right_as_it_is() -> None:
    uncommented = [line[2:].rpartition("  # ")[0] for line in _template().splitlines() if "  # " in line]
    values = tomllib.loads("\n".join(uncommented))
    assert merge([Layer("template", values)])[0] == Config()
    assert len(uncommented) == len(Config.model_fields) - 2  # but for the two tables


def test_providers_are_listed_with_their_source(config_home: Path, tmp_path: Path) -> None:
    (config_home / "providers" / "bad.toml").write_text('name = "bad"\n')
    (tmp_path / ".taco" / "providers").mkdir(parents=True)
    (tmp_path / ".taco" / "providers" / "theirs.toml").write_text('name = "theirs"\ncommand = ["sh"]\n')
    found = {each["name"]: each for each in taco("provider", "--json", cwd=tmp_path).json}
    assert {"claude", "demo", "shell", "bad", "theirs"} <= found.keys()
    assert (found["demo"]["source"], found["demo"]["installed"]) == ("built in", True)
    assert "command" in found["bad"]["note"]
    assert (found["theirs"]["counts"], "not trusted" in found["theirs"]["note"]) == (False, True)
    assert taco("provider", "show", "theirs", cwd=tmp_path).code == 5
    assert taco("provider", "trust", str(tmp_path)).code == 0
    assert taco("provider", "show", "theirs", "--json", cwd=tmp_path).json["command"] == ["sh"]
    assert taco("provider", "trust", str(tmp_path), "--remove").code == 0
    assert taco("provider", "show", "theirs", cwd=tmp_path).code == 5
    assert taco("provider", "show", "hal").code == 5


def test_a_provider_file_is_checked(config_home: Path, tmp_path: Path) -> None:
    good, bad, screen = tmp_path / "good.toml", tmp_path / "bad.toml", tmp_path / "screen.ansi"
    good.write_text('name = "good"\ncommand = ["x"]\n[screen]\ncomposer = "^> (?P<draft>.*)$"\n')
    bad.write_text('name = "bad"\ncommand = ["x", "{colour}"]\n[screen]\nbusy = "("\n')
    screen.write_text("hello\n> half a thou\n")
    assert taco("provider", "check", str(good)).code == 0
    found = taco("provider", "check", str(good), "--screen", str(screen), "--json").json
    assert (found["valid"], found["screen"]["draft"]) == (True, "half a thou")
    done = taco("provider", "check", str(bad))
    assert (done.code, "unknown placeholder {colour}" in done.err, "screen.busy" in done.err) == (2, True, True)
    assert taco("provider", "check", str(tmp_path / "none.toml")).code == 2


def test_a_screen_is_classified_with_the_rule_that_decides(config_home: Path) -> None:
    path = ROOT / "fixtures" / "screens" / "claude" / "permission-80x24.ansi"
    found = taco("provider", "classify", "claude", str(path), "--json").json
    assert (found["state"], found["detail"], found["rule"]) == ("waiting", "permission", "screen.waiting.permission")
    assert found["line"].startswith("Do you want to proceed?")
    shown = taco("provider", "classify", "claude", "-", input=path.read_bytes())
    assert shown.out == "waiting(permission)\n"
    assert "by screen.waiting.permission: " in shown.err
    unknown = taco("provider", "classify", "demo", "-", input="$ ls\n", env={"NO_COLOR": "1"})
    assert (unknown.out, "no rule of this provider decides it" in unknown.err) == ("unknown\n", True)
    missing = taco("provider", "classify", "claude", "/no/such/file")
    assert (missing.code, "cannot be read" in missing.err) == (2, True)


def test_doctor_finds_a_healthy_session(shop: Shop) -> None:
    done = taco("doctor", "--json", env={"LANG": "C.UTF-8"})
    found = {each["name"]: each for each in done.json["checks"]}
    assert done.code == 0, done.out
    assert {"python", "tmux", "locale", "state", "settings", "redis", "provider demo", "session shop"} <= found.keys()
    assert found["session shop"] | {"verdict": "ok"} == found["session shop"]
    assert "private, pid" in found["redis"]["found"]


def test_doctor_names_what_is_broken_and_how_to_mend_it(shop: Shop, config_home: Path) -> None:
    (config_home / "config.toml").write_text("max_agents = 0\n")
    (config_home / "providers" / "bad.toml").write_text('name = "bad"\n')
    broken = shop.record.home / "sessions" / "broken" / "session.json"
    broken.parent.mkdir()
    broken.write_text("{")

    async def silence(broker: object) -> None:
        await broker.renew("test", 1, 0)  # type: ignore[attr-defined]

    shop.do(silence)
    done = taco("doctor", "--json", env={"PATH": "/no/such", "TACO_REDIS_SERVER": "", "LC_ALL": "C"})
    assert done.code == 1
    bad = {each["name"]: each for each in done.json["checks"] if each["verdict"] == "bad"}
    assert {"tmux", "settings", "provider bad", "session broken", "session shop"} <= bad.keys()
    assert all(each["mend"] for each in bad.values())
    assert "session broken" in taco("doctor").out


@pytest.mark.parametrize(
    ("version", "versions", "is_tested"),
    [
        ("2.1.197", "2.1", True),
        ("2.10.0", "2.1", False),
        ("2.1", "2.1", True),
        ("3.0", "2.1, 3", True),
        ("1", "", False),
    ],
)
def test_a_release_is_tested_when_it_begins_like_one(version: str, versions: str, is_tested: bool) -> None:
    assert doctor.tested(version, versions) is is_tested


def test_bash_completes_commands_agents_and_sessions(shop: Shop, require: Callable[..., Path]) -> None:
    bash = require("bash")

    def complete(line: str) -> list[str]:
        done = taco(
            env={"_TACO_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        )
        return [each.partition(",")[2] for each in done.out.splitlines()]

    assert "status" in complete("taco st")
    assert complete("taco send a") == ["api"]
    assert complete("taco status --session s") == ["shop"]
    asked = Ask("k3x9a1", "web", "Which colour?", "2026-01-01T00:00:00.000Z")
    shop.do(lambda broker: broker.open_ask(asked))
    shop.do(lambda broker: broker.enqueue(Command("m1a2b3", "person", "api", "hello")))
    for verb in ("answer", "approve", "deny"):
        assert complete(f"taco {verb} ") == ["k3x9a1"]
    assert complete("taco queue cancel m") == ["m1a2b3"]
    assert complete("taco start --provider cl") == ["claude"]
    assert complete("taco provider show de") == ["demo"]
    assert complete("taco config quiet") == ["quiet_hours"]
    script = taco("completion", "bash").out
    checked = subprocess.run([str(bash), "-n"], input=script, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.fixture
def in_path(tmp_path: Path) -> str:
    """A PATH with the command `taco` on it."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "taco"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m taco "$@"\n')
    command.chmod(0o700)
    return f"{tmp_path / 'bin'}:{os.environ['PATH']}"


def test_fish_completes_too(shop: Shop, in_path: str, require: Callable[..., Path]) -> None:
    shop.do(lambda broker: broker.open_ask(Ask("k3x9a1", "web", "Which colour?", "2026-01-01T00:00:00.000Z")))
    words = "taco completion fish | source; for line in 'taco answer ' 'taco send a' 'taco st'; complete -C $line; end"
    argv = [str(require("fish")), "--no-config", "-c", words]
    done = subprocess.run(argv, env={**os.environ, "PATH": in_path}, capture_output=True, text=True, check=False)
    found = {line.partition("\t")[0] for line in done.stdout.splitlines()}
    assert {"k3x9a1", "api", "status", "start", "stop"} <= found, done
    assert "web" not in found


def test_zsh_completes_too(shop: Shop, in_path: str, tmp_path: Path, require: Callable[..., Path]) -> None:
    shop.do(lambda broker: broker.open_ask(Ask("k3x9a1", "web", "Which colour?", "2026-01-01T00:00:00.000Z")))
    (tmp_path / ".zshrc").write_text(
        'autoload -Uz compinit; compinit -u -D; eval "$(taco completion zsh)"; PS1="ready "\n'
    )
    env = {**os.environ, "PATH": in_path, "ZDOTDIR": str(tmp_path)}
    with contextlib.closing(Terminal([str(require("zsh")), "-i"], env, tmp_path)) as terminal:
        terminal.shows("ready ")
        terminal.press("taco answer \t")
        terminal.shows("k3x9a1")
        terminal.press("\x15taco send a\t")
        terminal.shows("api")


SHOWS = r"""printf 'hello\n> '; while read -r line; do printf '\033[2J\033[H%b\n> ' "$line"; done"""


def test_a_new_cli_is_captured_state_by_state(taco_home: Path, tmux: Tmux, tmp_path: Path) -> None:
    pane = tmux.pane("sh", "-c", SHOWS)
    env = {"TACO_TMUX_SOCKET": tmux.socket}

    def capture(state: str) -> Done:
        return taco("provider", "capture", "mytui", state, "--pane", pane, env=env, cwd=tmp_path)

    wait_for(lambda: tmux.screen(pane).startswith("hello\n>"))
    assert "ok   idle-" in capture("idle").out
    tmux.run("send-keys", "-t", pane, "-l", "a draft of mine")
    wait_for(lambda: "> a draft of mine" in tmux.screen(pane))
    done = capture("draft")
    assert "composer = '^> (?P<draft>.*)$'" in done.out
    tmux.run("send-keys", "-t", pane, "C-u")
    tmux.run("send-keys", "-t", pane, "-l", "Thinking (5s, esc stops)")
    tmux.run("send-keys", "-t", pane, "Enter")
    wait_for(lambda: tmux.screen(pane).startswith("Thinking"))
    found = taco("provider", "capture", "mytui", "busy", "--pane", pane, "--json", env=env, cwd=tmp_path).json
    assert {each["screen"].partition("-")[0]: each["read"] for each in found["screens"]} == {
        "busy": "busy",
        "draft": "idle",
        "idle": "idle",
    }
    assert taco("provider", "check", found["file"]).code == 0
    assert capture("what").code == 2
    wrong = taco("provider", "capture", "mytui", "idle", "--pane", "%9999", env=env, cwd=tmp_path)
    assert (wrong.code, "there is no pane '%9999'" in wrong.err) == (2, True)
