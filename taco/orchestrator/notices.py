"""Tells the person that something waits for them: once for all that came together, again when it still waits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import shutil
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, time
from pathlib import Path

from taco import log, processes
from taco.config import Config
from taco.message import ONE_LINE, preview
from taco.models import Ask, Event, EventType, SpecStatus, from_iso, iso
from taco.orchestrator.desk import Desk

SETTLES_S = 3.0  # what is answered within this time, by a rule or by a person who is looking, is not told of
SENT_WITHIN_S = 10.0
TRIES = 3
AGAIN_S = 2.0  # before a webhook is tried again
PLAN = "plan"
_NEWS = ("ask.", "spec.")


class Notices:
    """Watches what waits, and tells of it by the ways that the settings name."""

    def __init__(self, desk: Desk, ring: Callable[[], None] | None = None) -> None:
        """`ring` makes the bell of this process' terminal sound."""
        self._desk = desk
        self._ring = ring or _ring
        self._look = True  # something may have changed since what waits was read
        self._waiting: dict[str, Ask] = {}
        self._told_at: dict[str, float] = {}  # epoch seconds; of the plan too, which no ask stands for
        self._missing: set[str] = set()  # programs that were found missing
        self._sending: set[asyncio.Task[None]] = set()
        self._news: list[str] = []  # what needs no answer, and was not told yet

    @property
    def questions(self) -> list[Ask]:
        """The questions of agents that wait, as of the last round."""
        return [ask for ask in self._waiting.values() if not ask.is_dialog and ask.kind != PLAN]

    def note(self, event: Event) -> None:
        """An event that may change what waits."""
        self._look = self._look or str(event.type).startswith(_NEWS)

    def alert(self, text: str) -> None:
        """Tell the person of something that needs no answer, with the next round, or when the quiet hours are over."""
        self._news.append(text)

    async def step(self) -> None:
        """One round: tell of what is due; costs nothing while nothing waits."""
        if self._look:
            self._look = False
            await self._read()
        config, now = self._desk.settings(), self._desk.now()
        if self._news and not is_quiet(config.quiet_hours, datetime.fromtimestamp(now).astimezone().time()):
            text, self._news = "\n".join(self._news), []
            self._send(config, f"taco {self._desk.name}", text, [])
        new = [ask for ask in self._waiting.values() if ask.id not in self._told_at]
        again = [ask for ask in self._waiting.values() if now - self._told_at.get(ask.id, now) >= config.notify_again_s]
        if not any(now - from_iso(ask.opened_at) >= SETTLES_S for ask in new) and not again:
            return
        if is_quiet(config.quiet_hours, datetime.fromtimestamp(now).astimezone().time()):
            return  # told when they are over
        await self._tell(new, again, config)

    async def _read(self) -> None:
        broker = self._desk.broker
        asks, spec = await asyncio.gather(broker.asks(open_only=True), broker.spec_fields())
        self._waiting = {ask.id: ask for ask in asks}
        if spec.get("status") == SpecStatus.REVIEW:
            at = spec.get("at") or iso(self._desk.now())
            self._waiting[PLAN] = Ask(PLAN, "mother", "the plan of the team waits for you", at, kind=PLAN)
        for ask in asks:
            if ask.told_at:
                self._told_at.setdefault(ask.id, from_iso(ask.told_at))
        self._told_at = {name: at for name, at in self._told_at.items() if name in self._waiting}

    async def _tell(self, new: Sequence[Ask], again: Sequence[Ask], config: Config) -> None:
        """Write down that they are told, then tell: after a kill in between the reminder makes up for it."""
        desk, now = self._desk, self._desk.now()
        told = [*new, *again]
        for ask in told:
            self._told_at[ask.id] = now
        await desk.broker.note_told([ask.id for ask in told if ask.kind != PLAN], iso(now))
        for ask in again:
            waits = f"has waited since {ask.opened_at}: {preview(ask.question, ONE_LINE)}"
            await desk.tell(EventType.ASK_REMINDED, waits, agent=ask.agent, level="warning", data={"ask": ask.id})
        title, text = words(desk.name, told, len(self._waiting))
        self._send(config, title, text, told)

    def _send(self, config: Config, title: str, text: str, told: Sequence[Ask]) -> None:
        """By every way that is set, beside the rounds."""
        if "bell" in config.notify:
            self._ring()
        sends: list[Coroutine[None, None, None]] = []
        if "desktop" in config.notify and (argv := self._desktop(title, text)):
            sends.append(self._run(argv))
        if config.notify_command:
            program, *rest = shlex.split(config.notify_command)
            sends.append(self._run([str(Path(program).expanduser()), *rest, f"{title}\n{text}"]))
        if config.notify_webhook:
            sends.append(_post(config.notify_webhook, payload(self._desk.name, title, text, told)))
        for send in sends:
            task = asyncio.create_task(send, name="notice")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    def _desktop(self, title: str, text: str) -> list[str]:
        """The command that shows a notice on the desktop; nothing where this machine has none, which is told once."""
        path = self._desk.ground.environ.get("PATH")
        if shutil.which("notify-send", path=path):
            return ["notify-send", "--app-name=taco", "--", title, text]
        if shutil.which("osascript", path=path):
            script = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"
            return ["osascript", "-e", script, title, text]
        if "desktop" not in self._missing:
            self._missing.add("desktop")
            log.warning("notice.failed", way="desktop", error="neither notify-send nor osascript is installed")
        return []

    async def _run(self, argv: Sequence[str]) -> None:
        """Run a program with the person's environment; its failure is told, and its time is limited."""
        ground = self._desk.ground
        try:
            code, said = await processes.run_briefly(
                argv, cwd=ground.project, environ=ground.environ, most_s=SENT_WITHIN_S
            )
        except OSError as error:
            log.warning("notice.failed", way=argv[0], error=str(error))
            return
        if code != 0:
            how = f"not done after {SENT_WITHIN_S:g} s" if code is None else f"ended with {code}"
            log.warning("notice.failed", way=argv[0], error=f"{how}: {said[-300:]}".rstrip(": "))


async def _post(url: str, body: bytes) -> None:
    """Send a notice to a webhook, again when that fails."""
    for attempt in range(1, TRIES + 1):
        error = await _beside(lambda: _posted(url, body))
        if not error:
            return
        log.warning("notice.failed", way="webhook", attempt=attempt, error=error)
        if attempt < TRIES:
            await asyncio.sleep(AGAIN_S * attempt)


async def _beside(work: Callable[[], str]) -> str:
    """What `work` returns, in a thread that the end of this process does not wait for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def tell(found: str) -> None:
        if not done.done():
            done.set_result(found)

    def run() -> None:
        found = work()
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=run, name="notice", daemon=True).start()
    return await done


def _posted(url: str, body: bytes) -> str:
    """Why a webhook did not take a notice; "" when it did. The URL may be a secret: it is not repeated."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=SENT_WITHIN_S):
            return ""
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {getattr(error, 'reason', '') or error}"


def payload(session: str, title: str, text: str, told: Sequence[Ask]) -> bytes:
    """What a webhook gets: `{"session", "title", "text", "waiting": [{"id", "kind", "agent", "text", "choices"}]}`."""
    waiting = [
        {"id": ask.id, "kind": ask.kind, "agent": ask.agent, "text": ask.question, "choices": list(ask.choices)}
        for ask in told
    ]
    content = {"session": session, "title": title, "text": text, "waiting": waiting}
    return json.dumps(content, ensure_ascii=False).encode()


def words(session: str, told: Sequence[Ask], waiting: int) -> tuple[str, str]:
    """Title and text of a notice."""
    lines = [
        f"{ask.agent} {f'waits at {ask.kind}' if ask.is_dialog else 'asks'}: {preview(ask.question, ONE_LINE)}"
        for ask in told
    ]
    return f"taco {session}: {waiting} waiting for you", "\n".join(lines)


def is_quiet(hours: str, now: time) -> bool:
    """Whether `now` (local) lies in `hours`, such as `22:00-07:30`; "" is never quiet."""
    if not hours:
        return False
    begin, end = (time.fromisoformat(each.zfill(5)) for each in hours.split("-"))
    return begin <= now < end if begin <= end else now >= begin or now < end


def _ring() -> None:
    sys.stdout.write("\a")
    sys.stdout.flush()
