"""Windows and the processes in them: opened empty, made safe, and only then given their program.

A window is opened with a placeholder, so that its options stand before the program runs: a program that ends at once
still leaves its pane, and nothing in a person's tmux.conf has a say. Programs start in argv form, never by a shell.
"""

from __future__ import annotations

from collections.abc import Sequence

from taco.errors import TmuxError
from taco.tmux.commands import CommandPipe, command, command_list, verbatim

PLACEHOLDER = ("sleep", "2147483")  # two words: tmux gives a single one to the person's shell
_WINDOW_OPTIONS = {
    "allow-rename": "off",
    "automatic-rename": "off",
    "synchronize-panes": "off",
    "remain-on-exit": "on",
    "monitor-activity": "off",
    "monitor-bell": "off",
}


def window_options(target: str) -> list[str]:
    """The commands that make a window of ours safe."""
    return [command("set-option", "-w", "-t", target, name, value) for name, value in _WINDOW_OPTIONS.items()]


async def open_window(pipe: CommandPipe, session: str, index: int, name: str, *, cwd: str) -> str:
    """Open window `index` with a placeholder and return its pane's id; the next free index when it is taken."""
    words = ["new-window", "-d", "-P", "-F", "#{pane_id}", "-n", verbatim(name), "-c", verbatim(cwd)]
    session = await called_now(pipe, session)
    try:
        (pane,) = await pipe.run(command(*words, "-t", f"={session}:{index}", "--", *PLACEHOLDER))
    except TmuxError as error:
        if "in use" not in error.message:
            raise
        (pane,) = await pipe.run(command(*words, "-t", f"={session}:", "--", *PLACEHOLDER))
    await pipe.run(command_list(window_options(pane)))
    return pane


async def called_now(pipe: CommandPipe, session: str) -> str:
    """What a tmux session of ours is called: where a person has renamed it, the panes of its runners tell."""
    panes = await pipe.panes()
    if any(pane.session == session for pane in panes):
        return session
    return next((pane.session for pane in panes if pane.agent in runners(session)), session)


def runners(session: str) -> tuple[str, str]:
    """The owners of the panes that stay in a session: people may move those of its agents."""
    return f"{session}/executor", f"{session}/monitor"


async def prefix(pipe: CommandPipe, session: str) -> str:
    """The prefix key of a session as tmux writes it, `C-b`; "" when the person has none."""
    session = await called_now(pipe, session)
    found = await pipe.run(command("show-options", "-qAv", "-t", f"={session}:", "prefix"))
    return found[0] if found and found[0] != "None" else ""


async def capture(pipe: CommandPipe, pane: str, *, history: int = 0, colours: bool = False) -> list[str]:
    """The rows that a pane shows, below the last `history` rows that have left its screen; raises TmuxError.

    With `colours` each row holds the escape sequences that paint it.
    """
    more = [*(("-e",) if colours else ()), *(("-S", f"-{history}") if history else ())]
    return await pipe.run(command("capture-pane", "-p", *more, "-t", pane))


async def run_in(pipe: CommandPipe, pane: str, argv: Sequence[str], *, cwd: str, owner: str) -> int:
    """Replace whatever runs in `pane` by `argv` (two words at least) and return its pid.

    `owner` goes into the pane's `@taco_agent`; the records of what was typed into the process before are cleared.
    """
    commands = [
        command("set-option", "-p", "-t", pane, "@taco_agent", owner),
        command("set-option", "-p", "-t", pane, "@taco_typed", ""),
        command("set-option", "-p", "-t", pane, "@taco_entered", ""),
        command("respawn-pane", "-k", "-t", pane, "-c", verbatim(cwd), "--", *argv),
        command("display-message", "-p", "-t", pane, "#{pane_pid}"),
    ]
    lines = await pipe.run(command_list(commands))
    return int(lines[-1])


async def close_window(pipe: CommandPipe, pane: str) -> None:
    """Close the window of a pane; a window that is gone already is fine."""
    try:
        await pipe.run(command("kill-window", "-t", pane))
    except TmuxError as error:
        if "can't find" not in error.message:
            raise
