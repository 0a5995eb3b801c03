"""The only place that types, pastes or presses a key in a pane.

Every text and every key is one tmux command list together with the test that it may go there: `if-shell -F` compares
the pane with what was seen of it, and only then types and notes so in the pane itself (`@taco_typed`,
`@taco_entered`), all without giving anybody a chance in between. A paste into a dead pane kills the tmux 3.3a server;
formats execute `#(…)`: so nothing a sender wrote enters a format but as `message.literal` leaves it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taco import message
from taco.errors import TmuxError
from taco.tmux.commands import CommandPipe, command, command_list, quote, verbatim


@dataclass(frozen=True, slots=True)
class Target:
    """The pane that is meant: whose it is, which process runs in it."""

    pane: str  # "%5"
    pid: int
    owner: str  # the pane's @taco_agent: "<session>/<agent>"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the decision was made on: lines of the screen that must stand where they stood.

    `lines` maps a name (`composer`, `head`, `tail`, `dialog`…) to a pattern and the number (from 1) of the first line
    that matched it, 0 for none. `cursor` is (x, y), or None where the program parks it elsewhere.
    """

    lines: Mapping[str, tuple[str, int]]
    cursor: tuple[int, int] | None = None


NOTHING_SEEN = Seen({})
_PLAIN = re.compile(r"[A-Za-z0-9_/-]+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it was done; if not, the names of the clauses that did not hold, none when all do again by now."""

    done: bool
    refused: tuple[str, ...] = ()


def first_match(lines: Sequence[str], pattern: str) -> int:
    """The number (from 1) of the first line that `pattern` matches, 0 for none: what tmux's `#{C/r:}` answers."""
    compiled = re.compile(pattern)
    return next((number for number, line in enumerate(lines, 1) if compiled.search(line)), 0)


def record(mark: str, pid: int) -> str:
    """The pane's note of the command that `mark` names: bound to the process, since it survives respawn-pane.

    It stands in formats, which execute `#(…)`: raises ValueError unless the mark is made of `[A-Za-z0-9_/-]`.
    """
    if not _PLAIN.fullmatch(mark):
        raise ValueError(f"not a mark: {mark!r}")
    return f"{mark}@{pid}"


def equal(left: str, right: str | int) -> str:
    """A format that is 1 when two formats expand to the same."""
    return f"#{{==:{left},{right}}}"


def clauses(target: Target, seen: Seen, notes: Mapping[str, str]) -> dict[str, str]:
    """The guard by name, each a tmux format that is 1 when it holds; `notes` are those about the pane's records."""
    found = {
        "identity": equal("#{@taco_agent}", target.owner),
        "pid": equal("#{pane_pid}", target.pid),
        "dead": equal("#{pane_dead}", 0),
        "mode": equal("#{pane_in_mode}", 0),
        "input": equal("#{pane_input_off}", 0),
        "synchronized": equal("#{pane_synchronized}", 0),
        **notes,
    }
    for name, (pattern, number) in seen.lines.items():
        found[name] = equal(f"#{{C/r:{pattern}}}", number)
    if seen.cursor is not None:
        found["cursor"] = equal("#{cursor_x}x#{cursor_y}", f"{seen.cursor[0]}x{seen.cursor[1]}")
    return found


def all_of(parts: Sequence[str]) -> str:
    """One format that is 1 when every part is (tmux 3.3a's `&&` takes two, and formats nest 100 deep at most)."""
    if len(parts) == 1:
        return parts[0]
    half = (len(parts) + 1) // 2
    return f"#{{&&:{all_of(parts[:half])},{all_of(parts[half:])}}}"


def keystrokes(pane: str, text: str) -> list[str]:
    """The commands that type `text`: a line break is sent as its byte, and each is shorter than tmux's own limit."""
    commands: list[str] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            commands.append(command("send-keys", "-t", pane, "-H", "0a"))
        pieces = (line[at : at + message.KEYS_LIMIT] for at in range(0, len(line), message.KEYS_LIMIT))
        commands += [command("send-keys", "-t", pane, "-l", "--", piece) for piece in pieces]
    return commands


def _typed(note: str) -> dict[str, str]:
    return {"record": equal("#{@taco_typed}", note)}


class Guard:
    """Types and presses keys in the panes of one tmux server."""

    def __init__(
        self, pipe: CommandPipe, buffer_dir: Path, *, fence: str = "", without: frozenset[str] = frozenset()
    ) -> None:
        """`buffer_dir` takes the 0600 files of long texts; `without` drops clauses by name (for tests of the guard).

        `fence`: nothing goes through once the session's `@taco_executor` is another's, however long this process was
        frozen between its decision and the key.
        """
        self._pipe = pipe
        self._fence = fence
        self._buffers = buffer_dir
        self._without = without

    def warm(self) -> None:
        """A text or a key will follow in a moment: what can be done ahead is done."""
        self._pipe.warm()

    async def type_text(
        self, target: Target, mark: str, text: str, seen: Seen = NOTHING_SEEN, *, how: str = "auto"
    ) -> Verdict:
        """Step 1: the text goes into the composer, once for each mark and process; no Enter.

        `how` is "keys", "paste" or "auto". Raises TmuxError when it is not known whether it was typed.
        """
        note = record(mark, target.pid)
        notes = {"record": f"#{{!=:#{{@taco_typed}},{note}}}"}
        done = command("set-option", "-p", "-t", target.pane, "@taco_typed", note)
        if how == "keys" or (how == "auto" and len(text) <= message.KEYS_LIMIT and "\n" not in text):
            return await self._guarded(target, seen, notes, [*keystrokes(target.pane, text), done])
        return await self._paste(target, seen, notes, text, done)

    async def press_enter(self, target: Target, mark: str, count: int, seen: Seen = NOTHING_SEEN) -> Verdict:
        """Step 3: Enter number `count` (from 1) for a typed command, each number once."""
        note = record(mark, target.pid)
        never = equal(f"#{{m:{note}.*,#{{@taco_entered}}}}", 0)
        entered = never if count == 1 else equal("#{@taco_entered}", f"{note}.{count - 1}")
        notes = {**_typed(note), "entered": entered}
        keys = command("send-keys", "-t", target.pane, "Enter")
        done = command("set-option", "-p", "-t", target.pane, "@taco_entered", f"{note}.{count}")
        return await self._guarded(target, seen, notes, [keys, done])

    async def answer(self, target: Target, mark: str, keys: Sequence[str], seen: Seen) -> Verdict:
        """The keys of one answer at a dialog, once for each mark and process."""
        note = record(mark, target.pid)
        notes = {"answered": f"#{{!=:#{{@taco_answered}},{note}}}"}
        done = command("set-option", "-p", "-t", target.pane, "@taco_answered", note)
        return await self._guarded(target, seen, notes, [command("send-keys", "-t", target.pane, *keys), done])

    async def press_keys(self, target: Target, keys: Sequence[str], seen: Seen = NOTHING_SEEN) -> Verdict:
        """Named keys (`C-u`, `Escape`), under the same test of the pane."""
        return await self._guarded(target, seen, {}, [command("send-keys", "-t", target.pane, *keys)])

    async def erase(self, target: Target, mark: str, keys: Sequence[str], seen: Seen) -> Verdict:
        """Take a typed command's text out of the composer again; its record stays, so that it is not typed twice."""
        notes = _typed(record(mark, target.pid))
        return await self._guarded(target, seen, notes, [command("send-keys", "-t", target.pane, *keys)])

    async def forget(self, target: Target, mark: str) -> Verdict:
        """Take back the record of a typed command whose text never arrived, so that it can be typed again."""
        notes = _typed(record(mark, target.pid))
        clear = command("set-option", "-p", "-t", target.pane, "@taco_typed", "")
        return await self._guarded(target, NOTHING_SEEN, notes, [clear])

    async def leave_mode(self, target: Target) -> None:
        """End copy-mode, view-mode or a chooser in the pane: while one is on, keys go to it and not to the program."""
        await self._pipe.run(
            f"if-shell -F -t {quote(target.pane)} '#{{pane_in_mode}}' "
            f"{{ {command('copy-mode', '-q', '-t', target.pane)} }}"
        )

    async def _paste(self, target: Target, seen: Seen, notes: Mapping[str, str], text: str, done: str) -> Verdict:
        buffer = f"taco-{secrets.token_hex(6)}"
        path = self._buffers / buffer
        path.touch(mode=0o600)
        path.write_bytes(text.encode())
        size = len(text.encode())
        typing = command("paste-buffer", "-p", "-r", "-d", "-b", buffer, "-t", target.pane)
        verdict = Verdict(False)
        try:
            await self._load(buffer, path, size)
            verdict = await self._guarded(target, seen, notes, [typing, done])
        finally:
            path.unlink(missing_ok=True)
            if not verdict.done:
                await self._drop_buffer(buffer)
        return verdict

    async def _load(self, buffer: str, path: Path, size: int) -> None:
        """Fill a buffer from a file; an empty or cut one is never pasted."""
        load = command("load-buffer", "-b", buffer, verbatim(str(path)))
        check = command("list-buffers", "-f", f"#{{==:#{{buffer_name}},{buffer}}}", "-F", "#{buffer_size}")
        answer = await self._pipe.run(command_list([load, check]))
        if answer != [str(size)]:
            raise TmuxError(f"tmux did not take a buffer of {size} bytes: {answer!r}")

    async def _drop_buffer(self, buffer: str) -> None:
        try:
            await self._pipe.run(command("delete-buffer", "-b", buffer))
        except TmuxError:
            return  # the paste deleted it

    async def _guarded(
        self,
        target: Target,
        seen: Seen,
        notes: Mapping[str, str],
        actions: Sequence[str],
    ) -> Verdict:
        every = clauses(target, seen, notes)
        if self._fence:
            every["executor"] = equal("#{@taco_executor}", self._fence)
        kept = {name: test for name, test in every.items() if name not in self._without}
        answer = await self._pipe.run(
            f"if-shell -F -t {quote(target.pane)} {quote(all_of(list(kept.values())))} "
            f"{{ {command_list(actions)} ; display-message -p done }} {{ display-message -p refused }}"
        )
        if answer == ["done"]:
            return Verdict(True)
        if answer == ["refused"]:
            return Verdict(False, await self._why(target.pane, kept))
        raise TmuxError(f"tmux answered {answer!r} to a guarded command")

    async def _why(self, pane: str, tests: Mapping[str, str]) -> tuple[str, ...]:
        """The clauses that do not hold; asked apart, since tmux would read this with every guarded command."""
        why = "".join(f"#{{?{test},, {name}}}" for name, test in tests.items())
        return tuple(
            (await self._pipe.run(command("display-message", "-p", "-t", pane, f"refused{why}")))[0].split()[1:]
        )
