"""The shared pipe into one tmux server: group commit by `tmux -u source-file -`.

One `source-file` runs at a time; the command lists that wait ride in the next one, each on its own line
between two tokens of its own. An error on one line does not stop the others (measured on tmux 3.3a);
a missing closing token is a failure of that line and of no other. 40,000 messages a minute go this way
on 200 panes, where one process per command reaches 10,000.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from taco import log
from taco.errors import MissingProgramError, TmuxError, TmuxGoneError
from taco.models import Incarnation, Pane
from taco.tmux.client import Client

_PARSE_ERROR = re.compile(r"-:\d+: ")
_GONE = re.compile(r"no server running|error connecting|server exited|lost server", re.IGNORECASE)
AT_ONCE = 24  # lists in one batch: who is in it waits for all of them, and with 200 panes each would wait for each
SPARE_S = 0.1  # how long a client that was started ahead waits for its list
ANSWER_S = 15.0  # a tmux server that hangs longer holds up nobody but its own panes
_SEPARATOR = "\u241e"
_CURSOR = "e|+|:#{cursor_x},#{cursor_y}"  # 0 until the first output
_END = "?pane_dead_signal,signal #{pane_dead_signal},#{pane_dead_status}"
_PANE_FIELDS = (
    "pane_id",
    "pane_pid",
    "session_name",
    "window_id",
    "window_index",
    "pane_dead",
    _END,
    "pane_in_mode",
    "pane_input_off",
    "pane_synchronized",
    "pane_width",
    "pane_height",
    "pane_tty",
    "window_activity",
    "@taco_agent",
    "@taco_typed",
    "@taco_entered",
    _CURSOR,
    "pane_current_command",
    "window_name",
    "pane_title",
)
PANE_FORMAT = _SEPARATOR.join(f"#{{{name}}}" for name in _PANE_FIELDS)


def quote(word: str) -> str:
    """`word` as one single-quoted literal of tmux's command language; raises ValueError on line breaks or NUL.

    Measured on tmux 3.3a: nothing inside single quotes is expanded, braces and `;` included.
    """
    if "\n" in word or "\r" in word or "\0" in word:
        raise ValueError("a tmux command line cannot hold line breaks")
    return "'" + word.replace("'", "'\\''") + "'"


def command(*words: str) -> str:
    """One tmux command with every word quoted."""
    return " ".join((words[0], *map(quote, words[1:])))


def verbatim(text: str) -> str:
    """A path or name for an argument that tmux reads as a format: `-c`, `-n`, the file of load-buffer."""
    return text.replace("#", "##")


def command_list(commands: Iterable[str]) -> str:
    """Several commands that run one after the other, stopping at the first error."""
    return " ; ".join(commands)


@lru_cache(1_024)  # panes that nothing happens in are listed every second
def parse_pane(line: str) -> Pane:
    """A pane from one line of `PANE_FORMAT`; raises ValueError."""
    values = dict(zip(_PANE_FIELDS, line.split(_SEPARATOR, len(_PANE_FIELDS) - 1), strict=True))
    return Pane(
        id=values["pane_id"],
        pid=int(values["pane_pid"] or 0),
        session=values["session_name"],
        window_id=values["window_id"],
        window_index=int(values["window_index"]),
        window_name=values["window_name"],
        dead=values["pane_dead"] == "1",
        dead_status=values[_END],
        in_mode=values["pane_in_mode"] not in ("", "0"),
        input_off=values["pane_input_off"] == "1",
        synchronized=values["pane_synchronized"] == "1",
        title=values["pane_title"],
        command=values["pane_current_command"],
        width=int(values["pane_width"]),
        height=int(values["pane_height"]),
        tty=values["pane_tty"],
        activity=int(values["window_activity"] or 0),
        agent=values["@taco_agent"],
        typed=values["@taco_typed"],
        entered=values["@taco_entered"],
        drawn=values[_CURSOR] not in ("", "0"),
    )


def socket_words(socket: str) -> list[str]:
    """The arguments that pick a tmux server: "" the default, a path `-S`, a name `-L`."""
    if not socket:
        return []
    return ["-S", socket] if "/" in socket else ["-L", socket]


@dataclass(slots=True)
class _Request:
    line: str
    done: asyncio.Future[list[str]]
    token: str


class CommandPipe:
    """Runs command lists on one tmux server; as many callers as you like, one tmux client at a time."""

    def __init__(self, socket: str = "") -> None:
        """`socket` as `socket_words` takes it."""
        self.socket = socket
        self.batches = 0
        self._argv = ["tmux", "-u", *socket_words(socket), "source-file", "-"]
        self._waiting: list[_Request] = []
        self._pump: asyncio.Task[None] | None = None
        self._spare: Client | None = None
        self._run = secrets.token_hex(4)
        self._count = 0

    async def run(self, line: str, *, patience_s: float = 0.0) -> list[str]:
        """The output lines of one command list; raises TmuxError when it did not run to its end.

        After TmuxError nobody knows how far the list got: look before anything is repeated. Who has patience rides
        with the next list of anybody else, after so many seconds without one: a tmux client costs 3 ms of a core.
        """
        self._count += 1
        loop = asyncio.get_running_loop()
        request = _Request(line, loop.create_future(), f"{self._run}{self._count:x}")
        self._waiting.append(request)
        if not patience_s:
            self._start()
            return await request.done
        late = loop.call_later(patience_s, self._start)
        try:
            return await request.done
        finally:
            late.cancel()

    def _start(self) -> None:
        if self._waiting and (self._pump is None or self._pump.done()):
            self._pump = asyncio.create_task(self._drain(), name="tmux-pipe")

    async def close(self) -> None:
        """Wait until tmux has done what it was told already; two seconds at the most."""
        if self._pump is not None:
            await asyncio.wait([self._pump], timeout=2.0)
        self._end_spare()

    def warm(self) -> None:
        """Start the next tmux client ahead of a list that will come in a moment: that spares it 3 ms."""
        if self._spare is None:
            with contextlib.suppress(OSError):  # told by the list itself
                self._spare = Client(self._argv)
                asyncio.get_running_loop().call_later(SPARE_S, self._end_spare, self._spare)

    async def panes(self) -> list[Pane]:
        """Every pane of the server."""
        return [parse_pane(line) for line in await self.run(command("list-panes", "-a", "-F", PANE_FORMAT))]

    async def pane(self, pane_id: str, *, patience_s: float = 0.0) -> Pane | None:
        """One pane by its id (`%5`), or None when it is gone; `patience_s` as `run` takes it.

        Raises TmuxError when tmux does not answer: that does not make the pane gone.
        """
        listing = command("list-panes", "-t", pane_id, "-f", f"#{{==:#{{pane_id}},{pane_id}}}", "-F", PANE_FORMAT)
        try:
            lines = await self.run(listing, patience_s=patience_s)
        except TmuxError as error:
            if not _is_missing(error, pane_id):
                raise
            return None
        return parse_pane(lines[0]) if lines else None

    async def incarnation(self, pane: Pane) -> Incarnation:
        """Which process of which run of the server `pane` is now."""
        server_pid, started = (await self.run("display-message -p '#{pid} #{start_time}'"))[0].split()
        return Incarnation(int(server_pid), int(started), pane.id, pane.pid)

    def _end_spare(self, which: Client | None = None) -> None:
        if self._spare is not None and which in (None, self._spare):
            self._spare.end()
            self._spare = None

    def _client(self) -> Client:
        """The one that was started ahead; another where there is none, or its server has ended."""
        spare, self._spare = self._spare, None
        if spare is not None and not spare.is_there:
            spare.end()
            spare = None
        return spare or Client(self._argv)

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            try:
                await self._commit(batch)
            except asyncio.CancelledError:
                _fail(batch, TmuxError("the tmux pipe was closed"))
                raise
            except TimeoutError:
                _fail(batch, TmuxError(f"tmux did not answer within {ANSWER_S:.0f} s"))
            except OSError as error:
                _fail(batch, MissingProgramError(f"tmux cannot be run: {error}", hint="install tmux 3.2 or newer"))
            except Exception as error:
                # Whatever it was, nobody may wait for an answer that never comes.
                _fail(batch, TmuxError(f"the tmux pipe failed: {error!r}"))
                log.exception("tmux.failed")

    async def _commit(self, batch: Sequence[_Request]) -> None:
        self.batches += 1
        text = "\n".join(
            f"display-message -p '{each.token}<' ; {each.line} ; display-message -p '{each.token}>'" for each in batch
        )
        async with asyncio.timeout(ANSWER_S):
            client = self._client()
            if self._waiting:
                self.warm()
            out, err = await client.talk(text.encode(errors="surrogateescape") + b"\n")
        output, errors = out.decode(errors="replace"), err.decode(errors="replace").strip()
        if _PARSE_ERROR.match(output) and len(batch) > 1:
            for each in batch:  # tmux parses the whole file first: one bad line would take the others with it
                await self._commit([each])
            return
        _answer(batch, output, errors)


async def look_at(pipe: CommandPipe, pane: str, format_: str, *, capture: bool = True) -> list[str]:
    """What tmux says of one pane in `format_`, and below it the pane's screen with its attributes; [] when it is gone.

    Raises TmuxError when tmux does not answer: that does not make the pane gone.
    """
    lists = [command("list-panes", "-t", pane, "-f", f"#{{==:#{{pane_id}},{pane}}}", "-F", format_)]
    if capture:
        lists.append(command("capture-pane", "-p", "-e", "-t", pane))
    try:
        return await pipe.run(command_list(lists))
    except TmuxError as error:
        if not _is_missing(error, pane):
            raise
        return []


def _is_missing(error: TmuxError, pane: str) -> bool:
    """Whether tmux says that there is no such pane."""
    return re.search(rf"can't find \w+: {re.escape(pane)}(?!\d)", error.message) is not None


def _answer(batch: Sequence[_Request], output: str, errors: str) -> None:
    blocks = _blocks(output, batch[0].token[:8])
    if _PARSE_ERROR.match(output):
        errors = output.strip()
    for each in batch:
        if each.done.done():
            continue
        lines = blocks.get(each.token)
        if lines is not None:
            each.done.set_result(lines)
        elif not output and _GONE.search(errors):
            each.done.set_exception(TmuxGoneError(f"tmux: {errors}"))
        else:
            each.done.set_exception(TmuxError(f"tmux did not finish {each.line[:120]!r}: {errors or 'no output'}"))


def _blocks(output: str, run: str) -> dict[str, list[str]]:
    """The lines between `<token><` and `<token>>`, by token; `run` begins every token; unclosed blocks are left out."""
    found: dict[str, list[str]] = {}
    token = ""
    lines: list[str] = []
    for line in output.split("\n"):
        if token and line == f"{token}>":
            found[token] = lines
            token = ""
        elif line.endswith("<") and line.startswith(run):
            token, lines = line[:-1], []  # a block that was open broke off
        elif token:
            lines.append(line)
    return found


def _fail(batch: Sequence[_Request], error: Exception) -> None:
    for each in batch:
        if not each.done.done():
            each.done.set_exception(error)
