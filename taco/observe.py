"""What can be seen of every agent now: pane, screen, hooks, session file, transcript.

`look` is fresh and costs one round trip to tmux; `sweep` looks at all panes at once and captures only screens that
have changed since. Nothing here acts.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from taco import chatlog, rollout
from taco.errors import TmuxError
from taco.hooks import HookEvent, parse_hook
from taco.message import same
from taco.models import Agent, AgentState, Evidence, Level, Pane
from taco.paths import largest, newest
from taco.processes import is_alive
from taco.provider import Provider
from taco.screen import Reading, read_screen, resets_at
from taco.spool import Spool
from taco.state import Refusal, Sighting, from_hook, from_session_file, judge, moves, refusal_of
from taco.tmux.commands import PANE_FORMAT, CommandPipe, command, look_at, parse_pane
from taco.transcript import Tokens, as_lines, contains, has_begun, last_assistant_text, refusal, said_at

_CURSOR = "#{cursor_x} #{cursor_y} "
_REMEMBERED_PROMPTS = 64
_SETTLED = frozenset({"PostToolUse", "Stop", "StopFailure", "UserPromptSubmit", "SessionStart"})  # nothing is asked
_TAIL_BYTES = 1_000_000  # of a rollout: what a turn writes after its beginning may be long
_REAPS, _REAPS_LATER = 3, 10  # times that tmux is made to notice the end of one process, at once and later
_REAPS_AGAIN_S = 1.0  # the threads of a large process end after it (OpenCode 1.18.33): until then nothing is seen
_DRAWN_S = 1.0  # the words of a hook are awaited this long on the screen
_ENDING_S = 3.0  # the session file is believed this long: it follows 45 ms after the hook, later on a loaded machine


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an agent: its pane (None: gone), its screen (None: no rules for it), its cursor, its state."""

    pane: Pane | None
    reading: Reading | None
    cursor: tuple[int, int]
    state: AgentState


@dataclass(slots=True)
class _Watch:
    agent: Agent
    provider: Provider
    started_at: float
    spool: Spool
    cwd: str
    environ: dict[str, str]
    state: AgentState = field(default_factory=AgentState)
    pane: Pane | None = None
    reading: Reading | None = None
    captured_activity: int = -1
    hook: Sighting | None = None
    asked_at: float = 0.0  # when a dialog of the first start was seen last
    awaits_brief: bool = False  # started with its first prompt as an argument, and not come to it yet
    prompts: deque[HookEvent] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_PROMPTS))
    begun: bool = False  # its transcript holds a message
    composed_at: float = 0.0  # when its composer was seen first
    session_id: str = ""
    limit: tuple[str, float] = ("", 0.0)  # what the screen says of a usage limit, and when the CLI said it
    answer: tuple[int, str] = (-1, "")  # size of the transcript when it was read, and the last answer in it
    answers: list[str] = field(default_factory=list)  # last messages of finished turns, newest last
    found: tuple[str, Path] = ("", Path())  # a path with `*` in it, and the file that it led to
    turn: tuple[int, Sighting | None] = (-1, None)  # size of the transcript when it was read, and the turn it tells of
    tokens: dict[Path, Tokens] = field(default_factory=dict)  # by transcript: /clear begins another one
    requests: list[HookEvent] = field(default_factory=list)  # permissions that were asked for, until a tool has run
    failure: Refusal | None = None  # by hooks: of turns, since one went well
    shown: Refusal | None = None  # by the screen
    worked: bool = False  # since an error was counted on the screen
    moved: tuple[float, int, str] = (0.0, -1, "")  # when it last got on, and what its transcript and screen were then
    ending: bool = False  # its turn is over by its hook, and not yet by its session file
    lifted_at: float = 0.0  # the person had the limits lifted that were said until then
    reaps: int = 0  # how often tmux was asked once more for the exit code of its process
    reaped_at: float = 0.0  # and when last


class Observer:
    """The StateBoard of one session; `now` is the clock in epoch seconds."""

    def __init__(self, pipe: CommandPipe, now: Callable[[], float], *, ready_timeout_s: float) -> None:
        """An observer that watches nobody yet."""
        self._pipe = pipe
        self._now = now
        self._ready_timeout_s = ready_timeout_s
        self._watched: dict[str, _Watch] = {}

    def watch(
        self, agent: Agent, provider: Provider, *, spool: Path, cwd: str, environ: dict[str, str], started_at: float
    ) -> None:
        """Watch an agent from now on; a new process of a watched agent starts afresh."""
        old = self._watched.get(agent.name)
        if old is not None and old.agent.pid == agent.pid:
            old.agent = agent
            return
        self._watched[agent.name] = _Watch(
            agent, provider, started_at, Spool(spool), cwd, environ, session_id=agent.session_id, state=agent.state
        )

    def update(self, agent: Agent) -> None:
        """Take over what else is known of an agent (paused, …)."""
        if agent.name in self._watched:
            self._watched[agent.name].agent = agent

    def forget(self, name: str) -> None:
        """Watch an agent no longer."""
        self._watched.pop(name, None)

    def names(self) -> list[str]:
        """Who is watched."""
        return list(self._watched)

    def state(self, name: str) -> AgentState:
        """The state as it was at the last look."""
        watch = self._watched.get(name)
        return watch.state if watch else AgentState(Level.LOST, "not watched")

    def reading(self, name: str) -> Reading | None:
        """The agent's screen as it was last captured; None when it never was."""
        watch = self._watched.get(name)
        return watch.reading if watch else None

    def request(self, name: str) -> HookEvent | None:
        """The permission that the agent's CLI asks for now; None for none, and when there are several."""
        watch = self._watched[name]
        if watch.provider.hooks:
            return watch.requests[0] if len(watch.requests) == 1 else None
        path = self._transcript(watch)
        if path is None or path.suffix != chatlog.SUFFIX:
            return None
        asked = chatlog.asked_command(self._written_since(watch, max(0, self.transcript_size(name) - _TAIL_BYTES)))
        return HookEvent("PermissionRequest", watch.agent.pid, self._now(), tool="Bash", given={"command": asked})

    def session_id(self, name: str) -> str:
        """The CLI's own id of its conversation, as the last hook named it."""
        return self._watched[name].session_id

    def take_answers(self, name: str) -> list[str]:
        """The answers of turns that ended since the last call, oldest first."""
        watch = self._watched.get(name)
        if watch is None:
            return []
        self._read_spool(watch)
        answers, watch.answers = watch.answers, []
        return answers

    async def look(self, name: str) -> Look:
        """Look at one agent now; raises TmuxError when tmux does not answer, KeyError when nobody is watched so."""
        watch = self._watched[name]
        self._read_spool(watch)
        capture = watch.provider.reads_screen
        lines = await look_at(self._pipe, watch.agent.pane, _CURSOR + PANE_FORMAT, capture=capture)
        if not lines:
            return self._judged(watch, None, None, (0, 0))
        x, y, rest = lines[0].split(" ", 2)
        pane = _as_it_is(parse_pane(rest))
        if _is_unreaped(watch, pane, self._now()):
            await self._reap([watch])
            return await self.look(name)
        reading = read_screen(watch.provider.screen, "\n".join(lines[1:]), int(y)) if capture else None
        watch.captured_activity = -1
        return self._judged(watch, pane, reading, (int(x), int(y)))

    async def glance(self, name: str) -> Look:
        """What the last look or sweep saw of an agent without screen rules, at no cost; a look for any other.

        Enough to type on: the guard compares the pane once more.
        """
        watch = self._watched[name]
        if watch.pane is None or watch.pane.dead or watch.provider.reads_screen:
            return await self.look(name)
        self._read_spool(watch)
        return self._judged(watch, watch.pane, None, (0, 0))

    async def sweep(self) -> dict[str, tuple[AgentState, Pane | None]]:
        """Look at everybody; the state and pane of each."""
        panes = await self._panes()
        stale = [watch for watch in self._watched.values() if self._is_stale(watch, panes.get(watch.agent.pane))]
        await self._capture(stale, panes)
        for watch in self._watched.values():
            self._read_spool(watch)
        found = {}
        for name, watch in self._watched.items():
            pane = panes.get(watch.agent.pane)
            found[name] = (self._judged(watch, pane, watch.reading, (0, 0)).state, pane)
        return found

    async def _panes(self) -> dict[str, Pane]:
        """All panes by id, with the exit codes of the agents that ended."""
        panes = {pane.id: pane for pane in await self._pipe.panes()}
        for watch in self._watched.values():
            if watch.agent.pane in panes:
                panes[watch.agent.pane] = _as_it_is(panes[watch.agent.pane])
        watches, now = self._watched.values(), self._now()
        unreaped = [each for each in watches if _is_unreaped(each, panes.get(each.agent.pane), now)]
        if not unreaped:
            return panes
        await self._reap(unreaped)
        return await self._panes()

    async def _reap(self, watches: Iterable[_Watch]) -> None:
        """Give tmux a child that ends: 3.3a misses the end of every twentieth, and collects it with the next one's."""
        for watch in watches:
            watch.reaps += 1
            watch.reaped_at = self._now()
        await self._pipe.run(command("run-shell", "true"))

    def transcript_size(self, name: str) -> int:
        """Bytes of the agent's transcript now, 0 when it is not written yet; -1 when it never has one."""
        path = self._transcript(self._watched[name])
        if path is None:
            return -1
        try:
            return path.stat().st_size
        except OSError:
            return 0

    def evidence(self, name: str, text: str, *, since: float, mark: int) -> Evidence | None:
        """Hook or transcript that shows `text` submitted after `since` (epoch seconds); `mark`: its size then."""
        watch = self._watched[name]
        self._read_spool(watch)
        wanted = watch.provider.evidence
        if Evidence.HOOK in wanted and any(each.at >= since and same(each.prompt, text) for each in watch.prompts):
            return Evidence.HOOK
        if Evidence.TRANSCRIPT in wanted and contains(self._said_since(watch, mark), text):
            return Evidence.TRANSCRIPT
        return None

    def is_taken(self, name: str, text: str, *, mark: int) -> bool:
        """Whether its CLI has taken `text`, as the transcript from `mark` on tells; True when there is none to tell.

        A hook speaks first; one of the person's own, beside it, may refuse the message still.
        """
        watch = self._watched[name]
        if Evidence.TRANSCRIPT not in watch.provider.evidence or mark < 0 or self.transcript_size(name) <= 0:
            return True
        return contains(self._said_since(watch, mark), text)

    def refusal(self, name: str, text: str, *, mark: int) -> str:
        """Why its CLI refused `text`, by the transcript from `mark` on; "" when it did not."""
        watch = self._watched[name]
        if Evidence.TRANSCRIPT not in watch.provider.evidence:
            return ""
        lines = self._said_since(watch, mark)
        return self._silenced(watch, lines, text) if watch.provider.hooks == "codex" else refusal(lines, text)

    def _silenced(self, watch: _Watch, lines: bytes, text: str) -> str:
        """The same of Codex: its hooks name the turn of a prompt, its rollout that nothing was said in it, and nothing
        but its screen the words of the hook, a moment later (0.169.0)."""
        turns = (each.turn for each in watch.prompts if each.turn and same(each.prompt, text))
        ended = next((at for each in turns if (at := rollout.silent(lines, each)) is not None), None)
        words = watch.reading.refused if watch.reading else ""
        if ended is None or (not words and self._now() - ended < _DRAWN_S):
            return ""
        return f"a hook refused it (UserPromptSubmit): {words or 'it gave no reason'}"

    def tokens(self, name: str) -> int:
        """The tokens that the agent's conversations have used, by their transcripts; 0 without any."""
        watch = self._watched[name]
        if path := self._transcript(watch):
            tokens = watch.tokens.setdefault(path, Tokens())
            tokens.read(self._written_since(watch, tokens.size))
        return sum(each.used for each in watch.tokens.values())

    def limit(self, name: str) -> tuple[str, float, float | None] | None:
        """The usage limit on the agent's screen: its words, when they were said, until when it holds (None: not said).

        None for no limit, and for one that the person had lifted.
        """
        watch = self._watched.get(name)
        if watch is None or watch.reading is None or not watch.reading.limited or watch.reading.busy:
            return None
        said_at = self._limited_at(watch)
        if said_at <= watch.lifted_at:
            return None
        return watch.reading.limited, said_at, resets_at(watch.reading.limited, said_at)

    def refused(self, name: str) -> Refusal | None:
        """What the model's side refused the agent's last turn with; None when that went well, or is not over."""
        watch = self._watched.get(name)
        if watch is None or watch.state.level is Level.BUSY:
            return None
        if watch.failure is None or watch.shown is None:
            return watch.failure or watch.shown
        return replace(watch.failure, kind=watch.shown.kind, text=watch.shown.text)

    def lift(self, name: str, at: float) -> None:
        """Believe no limit of an agent's screen any more that was said until `at`."""
        self._watched[name].lifted_at = at

    def is_ending(self) -> bool:
        """Whether an agent's turn is over by its hook, and its session file will say so in a moment."""
        return any(watch.ending for watch in self._watched.values())

    def moved_at(self, name: str) -> float:
        """When the agent was last seen to get on with its work, epoch seconds."""
        return self._watched[name].moved[0]

    def tells_by_files(self, name: str) -> bool:
        """Whether this agent has shown hooks or a transcript: then the screen alone proves nothing."""
        watch = self._watched[name]
        wanted = watch.provider.evidence
        hooked = Evidence.HOOK in wanted and watch.hook is not None
        return hooked or (Evidence.TRANSCRIPT in wanted and self.transcript_size(name) > 0)

    def last_answer(self, name: str) -> str:
        """The text of the agent's last finished answer in its transcript; "" when there is none."""
        watch = self._watched[name]
        size = self.transcript_size(name)
        if size != watch.answer[0]:
            path = self._transcript(watch)
            try:
                watch.answer = (size, last_assistant_text(as_lines(path, path.read_bytes())) if path else "")
            except OSError:
                return ""  # not written yet
        return watch.answer[1]

    def screen(self, name: str) -> str:
        """The plain text of the screen as it was last captured."""
        reading = self._watched[name].reading
        return "\n".join(reading.lines) if reading else ""

    def _judged(self, watch: _Watch, pane: Pane | None, reading: Reading | None, cursor: tuple[int, int]) -> Look:
        watch.pane = pane
        if reading is not None:
            watch.reading = reading
        if watch.agent.state != watch.state:
            watch.agent = replace(watch.agent, state=watch.state)
        limited_at = self._limited_at(watch)
        if reading is not None and reading.limited and limited_at <= watch.lifted_at:
            reading = replace(reading, limited="")
        watch.state = judge(
            watch.agent,
            watch.provider,
            pane,
            reading,
            self._sighting(watch),
            now=self._now(),
            started_at=max(watch.started_at, watch.asked_at),  # the time that a person took does not count
            ready_timeout_s=self._ready_timeout_s,
            limited_at=limited_at,
            comes_up=self._comes_up(watch),
        )
        if watch.state.level is Level.WAITING and watch.hook is None:
            watch.asked_at = self._now()
        self._note_progress(watch)
        return Look(pane, reading, cursor, watch.state)

    def _note_progress(self, watch: _Watch) -> None:
        """Compare what only its work changes with what it was, and take down what a turn was refused with."""
        reading, level = watch.reading, watch.state.level
        if level is Level.BUSY:
            watch.worked = True
            size = self.transcript_size(watch.agent.name) + _retries_size(watch)
            shape = moves(watch.provider, reading) if reading else ""
            if (size, shape) != watch.moved[1:] or (reading is not None and reading.retrying):
                watch.moved = (self._now(), size, shape)
            return
        watch.moved = (self._now(), -1, "")
        if reading is None or not reading.error:
            watch.shown = None
        elif watch.shown is None or watch.worked or watch.shown.kind != reading.error:
            again = watch.shown is not None and watch.shown.kind == reading.error
            count = watch.shown.count + 1 if watch.shown is not None and again else 1
            watch.shown = Refusal(reading.error, reading.error_text, self._now(), count)
        watch.worked = False

    def _is_stale(self, watch: _Watch, pane: Pane | None) -> bool:
        """Whether a screen may show something new: tmux counts activity in whole seconds."""
        if pane is None or pane.dead or not watch.provider.reads_screen:
            return False
        return watch.reading is None or pane.activity >= watch.captured_activity

    async def _capture(self, watches: Iterable[_Watch], panes: dict[str, Pane]) -> None:
        """Captures of all of them ride in one batch."""
        watches = list(watches)
        runs = [look_at(self._pipe, watch.agent.pane, "#{cursor_y}") for watch in watches]
        for watch, lines in zip(watches, await asyncio.gather(*runs, return_exceptions=True), strict=True):
            if isinstance(lines, TmuxError) or not lines:
                continue  # the pane went away: the next sweep says so
            if isinstance(lines, BaseException):
                raise lines
            activity = panes[watch.agent.pane].activity
            watch.reading = read_screen(watch.provider.screen, "\n".join(lines[1:]), int(lines[0]))
            settled = int(self._now()) > activity + 1
            watch.captured_activity = activity + 1 if settled else activity

    def _limited_at(self, watch: _Watch) -> float:
        """When the CLI said the limit that stands on the screen: by its transcript, else when it was first seen."""
        limited = watch.reading.limited if watch.reading else ""
        if limited != watch.limit[0]:
            path = self._transcript(watch) if limited else None
            try:
                said = said_at(as_lines(path, path.read_bytes()), limited) if path else None
            except OSError:
                said = None
            watch.limit = (limited, said or self._now())
        return watch.limit[1]

    def _comes_up(self, watch: _Watch) -> bool:
        """Whether its first prompt, an argument, is not in its transcript yet (hooks tell it, where there are any), or
        its composer is too young to be pasted into."""
        provider = watch.provider
        if not provider.hooks and provider.first_prompt == "argument" and provider.transcript and not watch.begun:
            watch.begun = has_begun(self._said_since(watch, 0))
            if not watch.begun:
                return True
        if provider.ready_ms and not watch.composed_at and watch.reading and watch.reading.composer_row is not None:
            watch.composed_at = self._now()
        return self._now() - watch.composed_at < provider.ready_ms / 1_000

    def _sighting(self, watch: _Watch) -> Sighting | None:
        if watch.awaits_brief:
            return None
        file = self._session_file(watch)
        watch.ending = watch.hook is not None and file is not None and self._is_ending(watch.hook, file)
        if watch.ending:
            return file
        found = [each for each in (watch.hook, file) if each is not None]
        return max(found, key=lambda each: each.at, default=None)

    def _is_ending(self, hook: Sighting, file: Sighting) -> bool:
        """Whether a turn is over by its hook and not yet by the session file: what is submitted now may come twice."""
        lasts = self._now() - hook.at < _ENDING_S
        return lasts and hook.level is Level.IDLE and file.level is Level.BUSY

    def _session_file(self, watch: _Watch) -> Sighting | None:
        if watch.provider.hooks == "codex":
            return self._turn(watch)
        path = self._located(watch, watch.provider.session_file)
        if path is None:
            return None
        try:
            at = path.stat().st_mtime
            data = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None  # not there yet, or being rewritten: the other sources tell
        if data.get("pid") != watch.agent.pid or at < watch.started_at:
            return None
        return from_session_file(str(data.get("status", "")), str(data.get("waitingFor") or ""), at)

    def _turn(self, watch: _Watch) -> Sighting | None:
        """The turn that a rollout tells of: no hook says that a person interrupted one (Codex 0.169.0)."""
        size = self.transcript_size(watch.agent.name)
        if size > 0 and size != watch.turn[0]:
            found = rollout.turn(self._said_since(watch, max(0, size - _TAIL_BYTES)))
            watch.turn = (size, _of_turn(*found) if found else watch.turn[1])
        told = watch.turn[1]
        return told if told and told.at >= watch.started_at else None

    def _read_spool(self, watch: _Watch) -> None:
        for file in watch.spool.new(self._now()):
            try:
                event = parse_hook(file.path.name, file.body)
            except ValueError:
                continue  # half a hook: the level-triggered sources tell
            if event.pid == watch.agent.pid:
                self._note(watch, event)

    def _note(self, watch: _Watch, event: HookEvent) -> None:
        if event.session_id:
            watch.session_id = event.session_id
        if event.event == "SessionStart":
            watch.awaits_brief = event.kind == "startup" and watch.provider.first_prompt == "argument"
        if event.event == "UserPromptSubmit":
            watch.awaits_brief = False
            watch.prompts.append(event)
        if event.event == "PermissionRequest":
            watch.requests.append(event)
        elif event.event in _SETTLED:
            watch.requests.clear()
        if event.event == "Stop":
            watch.failure = None
        elif event.event == "StopFailure":
            kind = refusal_of(event.error)
            before = watch.failure.count if watch.failure and watch.failure.kind == kind else 0
            watch.failure = Refusal(kind, " ".join(event.last_message.split()), event.at, before + 1)
        if event.event == "Stop" and event.last_message:
            watch.answers.append(event.last_message)
        # A clock that was set back since must not let this one outlive those that follow.
        sighting = from_hook(event.event, min(event.at, self._now()), error=event.error)
        if sighting is not None and (watch.hook is None or sighting.at >= watch.hook.at):
            watch.hook = sighting

    def _said_since(self, watch: _Watch, mark: int) -> bytes:
        """The lines of the transcript after its first `mark` bytes; none when that is not known (-1)."""
        path = self._transcript(watch)
        return as_lines(path, self._written_since(watch, mark)) if path else b""

    def _written_since(self, watch: _Watch, mark: int) -> bytes:
        """The same as they stand in the file."""
        path = self._transcript(watch)
        if path is None or mark < 0:
            return b""
        try:
            with path.open("rb") as file:
                file.seek(mark)
                return file.read()
        except OSError:
            return b""

    def _transcript(self, watch: _Watch) -> Path | None:
        return self._located(watch, watch.provider.transcript)

    def _located(self, watch: _Watch, template: str) -> Path | None:
        found = watch.provider.located(
            template,
            watch.environ,
            cwd=watch.cwd,
            session_id=watch.session_id,
            pid=watch.agent.pid,
            session_dir=str(watch.spool.directory.parent.parent),
        )
        if "*" not in found:
            return Path(found) if found else None
        if watch.found[0] != found or not watch.found[1].exists():
            watch.found = (found, largest(found) if watch.provider.empty_transcripts else newest(found))
        return watch.found[1]


def _retries_size(watch: _Watch) -> int:
    """Bytes of what the agent's CLI has written down when it tried again; 0 without such a log."""
    if not watch.provider.retry_log:
        return 0
    try:
        return (watch.spool.directory.parent.parent / "retries" / f"{watch.agent.name}.log").stat().st_size
    except OSError:
        return 0


def _of_turn(runs: bool, at: float) -> Sighting:
    return Sighting(Level.BUSY if runs else Level.IDLE, at, "transcript")


def _as_it_is(pane: Pane) -> Pane:
    """A pane whose process has ended is dead, also while a child of it keeps the terminal open."""
    return pane if pane.dead or is_alive(pane.pid) else replace(pane, dead=True)


def _is_unreaped(watch: _Watch, pane: Pane | None, now: float) -> bool:
    """Whether a process has ended and tmux could not say how yet."""
    if pane is None or not pane.dead or pane.dead_status:
        return False
    is_due = watch.reaps < _REAPS_LATER and now - watch.reaped_at > _REAPS_AGAIN_S
    return watch.reaps < _REAPS or is_due
