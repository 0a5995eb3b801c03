"""The pipe into tmux: every caller gets the answer of its own line, whatever the other lines do."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from taco.errors import MissingProgramError, TmuxError, TmuxGoneError
from taco.models import Pane
from taco.tmux import commands, windows
from taco.tmux.client import Client
from taco.tmux.commands import AT_ONCE, CommandPipe, command, command_list, quote
from tests.hostile import raw_argv
from tests.support.tmux import KEEPER, Tmux, new_socket


@pytest.fixture
def pipe(tmux: Tmux) -> CommandPipe:
    return CommandPipe(tmux.socket)


async def test_each_caller_gets_its_own_answer(pipe: CommandPipe) -> None:
    answers = await asyncio.gather(*(pipe.run(command("display-message", "-p", f"n{n}")) for n in range(200)))
    assert answers == [[f"n{n}"] for n in range(200)]


async def test_callers_that_wait_share_batches(pipe: CommandPipe) -> None:
    count = 10 * AT_ONCE
    await asyncio.gather(*(pipe.run("display-message -p x") for _ in range(count)))
    assert pipe.batches == count / AT_ONCE


async def test_who_has_patience_rides_with_the_next(pipe: CommandPipe) -> None:
    patient = asyncio.create_task(pipe.run("display-message -p later", patience_s=60))
    await asyncio.sleep(0)
    assert pipe.batches == 0
    assert await pipe.run("display-message -p now") == ["now"]
    assert (await patient, pipe.batches) == (["later"], 1)
    assert await pipe.run("display-message -p alone", patience_s=0.01) == ["alone"]
    waits = asyncio.create_task(pipe.run("display-message -p never", patience_s=60))
    await asyncio.sleep(0)
    waits.cancel()
    assert await pipe.run("display-message -p last") == ["last"]


async def test_a_line_that_fails_takes_no_other_with_it(pipe: CommandPipe) -> None:
    lines = ["display-message -p a", "send-keys -t %999 x", "display-message -p b", "no-such-command", "bind-key {"]
    a, gone, b, unknown, broken = await asyncio.gather(*map(pipe.run, lines), return_exceptions=True)
    assert (a, b) == (["a"], ["b"])
    assert isinstance(gone, TmuxError)
    assert "can't find pane" in gone.message
    assert isinstance(unknown, TmuxError)
    assert "unknown command" in unknown.message
    assert isinstance(broken, TmuxError)


async def test_a_list_stops_at_its_first_error_and_says_so(pipe: CommandPipe) -> None:
    with pytest.raises(TmuxError):
        await pipe.run(command_list(["set-option -g @one 1", "send-keys -t %999 x", "set-option -g @two 2"]))
    assert await pipe.run(command("display-message", "-p", "#{@one}|#{@two}")) == ["1|"]


async def test_an_error_within_braces_is_an_unfinished_list(pipe: CommandPipe) -> None:
    assert await pipe.run("if-shell -F 1 { send-keys -t %999 x ; display-message -p done } { }") == []


async def test_who_is_cancelled_takes_nobody_with_it(pipe: CommandPipe) -> None:
    first = asyncio.create_task(pipe.run("display-message -p first"))
    second = asyncio.create_task(pipe.run("display-message -p second"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == ["second"]
    assert await pipe.run("display-message -p third") == ["third"]


async def test_text_is_not_changed_without_a_utf8_locale(tmux: Tmux, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANG", "LC_ALL", "LC_CTYPE"):
        monkeypatch.setenv(name, "C")
    assert await CommandPipe(tmux.socket).run(command("display-message", "-p", "ü → 漢 🌮")) == ["ü → 漢 🌮"]


async def test_no_server_is_another_error_than_a_failed_command() -> None:
    pipe = CommandPipe(new_socket())
    with pytest.raises(TmuxGoneError):
        await pipe.run("display-message -p x")
    with pytest.raises(TmuxGoneError):
        await pipe.panes()


async def test_a_server_that_dies_fails_everybody_who_waits(tmux: Tmux, pipe: CommandPipe) -> None:
    kill = command("run-shell", f"kill -9 {tmux.pids()[0]}")
    runs = [pipe.run("display-message -p x"), pipe.run(kill), pipe.run("display-message -p y")]
    answers = await asyncio.gather(*runs, return_exceptions=True)
    assert all(isinstance(answer, TmuxError) for answer in answers[1:])
    with pytest.raises(TmuxGoneError):
        await pipe.run("display-message -p z")


async def test_a_missing_tmux_is_named(tmux: Tmux, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingProgramError, match="tmux cannot be run"):
        await CommandPipe(tmux.socket).run("display-message -p x")
    monkeypatch.undo()


async def test_panes_are_found_by_id(tmux: Tmux, pipe: CommandPipe) -> None:
    pane = await windows.open_window(pipe, KEEPER, 7, "seven", cwd="/")
    found = await pipe.pane(pane)
    assert found is not None
    assert (found.id, found.session, found.window_index, found.window_name) == (pane, KEEPER, 7, "seven")
    assert not (found.dead or found.in_mode or found.input_off or found.synchronized)
    assert await pipe.pane("%999") is None


async def test_a_pane_is_not_gone_because_tmux_does_not_answer(
    tmux: Tmux, pipe: CommandPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    pane, server = tmux.run("display-message", "-p", "#{pane_id} #{pid}").split()
    os.kill(int(server), signal.SIGSTOP)
    try:
        with monkeypatch.context() as patience:
            patience.setattr(commands, "ANSWER_S", 0.2)
            with pytest.raises(TmuxError, match="did not answer"):
                await pipe.pane(pane)
    finally:
        os.kill(int(server), signal.SIGCONT)
    assert await pipe.pane(pane)


async def test_a_list_whose_client_was_killed_has_failed(
    tmux: Tmux, pipe: CommandPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the moment between the look at a client that was started ahead and its use, so that nobody knows."""
    pane = tmux.run("display-message", "-p", "#{pane_id}")
    pipe.warm()
    (spare,) = psutil.Process().children()
    spare.kill()
    monkeypatch.setattr(Client, "is_there", True)
    with pytest.raises(TmuxError, match="no output"):
        await pipe.pane(pane)
    assert await pipe.pane(pane)


async def test_odd_directories_and_titles_of_other_panes_do_no_harm(
    tmux: Tmux, pipe: CommandPipe, tmp_path: Path
) -> None:
    odd = tmp_path / "new\nline ; #{pane_id}"
    odd.mkdir()
    tmux.run("new-window", "-n", "a ␞ b\tc", "-c", str(odd), "cat")
    tmux.run("select-pane", "-T", "one ␞ two")
    panes = await pipe.panes()
    assert len(panes) == 2
    assert all(pane.pid for pane in panes)


async def test_an_incarnation_is_one_process_of_one_server(tmux: Tmux, pipe: CommandPipe, tmp_path: Path) -> None:
    pane = await windows.open_window(pipe, KEEPER, 7, "seven", cwd="/")
    first = await pipe.incarnation(await seen(pipe, pane))
    assert first == await pipe.incarnation(await seen(pipe, pane))
    await windows.run_in(pipe, pane, raw_argv(tmp_path / "log"), cwd="/", owner="s/a")
    second = await pipe.incarnation(await seen(pipe, pane))
    assert (second.server_pid, second.server_started, second.pane) == (
        first.server_pid,
        first.server_started,
        first.pane,
    )
    assert second.pane_pid != first.pane_pid


async def test_a_new_process_starts_without_the_old_ones_records(tmux: Tmux, pipe: CommandPipe, tmp_path: Path) -> None:
    pane = await windows.open_window(pipe, KEEPER, 7, "seven", cwd="/")
    await pipe.run(command("set-option", "-p", "-t", pane, "@taco_typed", "x@1"))
    pid = await windows.run_in(pipe, pane, raw_argv(tmp_path / "log"), cwd="/", owner="s/a")
    found = await seen(pipe, pane)
    assert (found.pid, found.agent, found.typed, found.entered) == (pid, "s/a", "", "")


async def test_a_window_whose_index_is_taken_gets_the_next(tmux: Tmux, pipe: CommandPipe) -> None:
    first = await seen(pipe, await windows.open_window(pipe, KEEPER, 7, "seven", cwd="/"))
    second = await seen(pipe, await windows.open_window(pipe, KEEPER, 7, "again", cwd="/"))
    assert first.window_index == 7
    assert second.window_index not in (0, 7)


async def test_windows_are_safe_under_any_configuration(any_tmux: Tmux, tmp_path: Path) -> None:
    pipe = CommandPipe(any_tmux.socket)
    pane = await windows.open_window(pipe, KEEPER, 7, "seven", cwd="/")
    await windows.run_in(pipe, pane, ["sh", "-c", "exit 3"], cwd="/", owner="s/a")
    assert any_tmux.show(pane, "#{synchronize-panes}#{allow-rename}#{automatic-rename}") == "000"
    assert (await seen(pipe, pane)).window_name == "seven"


async def test_closing_a_window_that_is_gone_is_fine(tmux: Tmux, pipe: CommandPipe) -> None:
    pane = await windows.open_window(pipe, KEEPER, 7, "seven", cwd="/")
    await windows.close_window(pipe, pane)
    await windows.close_window(pipe, pane)
    assert await pipe.pane(pane) is None


@pytest.mark.parametrize("word", ["line\nbreak", "carriage\rreturn", "nul\0"])
def test_what_no_line_can_hold_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="line breaks"):
        quote(word)


async def seen(pipe: CommandPipe, pane: str) -> Pane:
    found = await pipe.pane(pane)
    assert found is not None
    return found
