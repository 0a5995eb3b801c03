"""The run of one session: builds its rooms, keeps them going, and ends them in order.

Everything it knows is in Redis and in the panes: it may be killed at any moment, and the next one goes on from there.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from taco import __version__, files, log, paths, processes, redis_server
from taco.agents import Agents, Ground
from taco.answering import Hand
from taco.broker import Broker
from taco.config import VARIABLES
from taco.errors import BrokerError, ConflictError, Exit, TacoError, TemporaryError, TmuxError, TmuxGoneError
from taco.executor import Doors, Executor
from taco.models import AgentStatus, Event, EventType, Incarnation, Level, Pane
from taco.observe import Observer
from taco.orchestrator import cleaning, status_line, upkeep
from taco.orchestrator.asking import Asking
from taco.orchestrator.desk import Desk
from taco.orchestrator.following import Follower
from taco.orchestrator.health import Health
from taco.orchestrator.journal import Journal
from taco.orchestrator.notices import Notices
from taco.orchestrator.outbox import Outboxes
from taco.orchestrator.parking import Parking
from taco.orchestrator.planning import Planning
from taco.orchestrator.settings import LiveSettings
from taco.orchestrator.team import Team
from taco.orchestrator.troubles import Troubles
from taco.pace import Pace
from taco.paths import SessionRecord
from taco.spool import changes
from taco.tmux import windows
from taco.tmux.commands import CommandPipe, command
from taco.tmux.guard import Guard

LEASE_MS = 10_000
FENCE = "@taco_executor"  # what the guard compares before every key
ROUND_S = 1.0
QUIET_ROUND_S, QUIET_AFTER_S = 2.0, 10.0  # once everybody has been at rest for so long
STARTING_ROUND_S, ENDING_ROUND_S = 0.1, 0.05
HAND_OVER = -1  # not an exit code: this process becomes another release's executor
GOODBYE_S = 3.0  # for each of the things to do before the end
END_S = 4.5  # for all of them: `taco stop` kills after 5 s
AGAIN_S, AGAIN_MOST_S = 0.5, 30.0
LASTED_S = 5.0  # what went well for so long is tried again soon
_HURRIED = (
    "agent.done",
    "agent.failed",
    "spec.",
    "ask.",
    "account.",
    EventType.AGENT_REQUESTED,
)  # the team waits for them


def run(name: str) -> int:
    """Run the session `name` until it is told to end (SIGTERM, SIGINT); returns the exit code."""
    record = paths.session(paths.home(), name)
    journal = Journal(record.directory / "log.jsonl")
    journal.configure()
    journal.show_again()
    try:
        code = asyncio.run(_run(record, journal))
    finally:
        journal.close()
    if code == HAND_OVER:
        argv = upkeep.executor_argv(name)
        os.execv(argv[0], argv)
    return code


async def _run(record: SessionRecord, journal: Journal) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    hung_up = asyncio.Event()

    def hang_up() -> None:
        hung_up.set()
        stop.set()

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    limit = asyncio.create_task(_limit_end(stop), name="limit")  # kept: the loop holds tasks weakly
    try:
        return await _serve(record, journal, stop)
    finally:
        if hung_up.is_set():
            await _quietly(upkeep.note_end(record), "end")
        if not stop.is_set():
            limit.cancel()


async def _limit_end(stop: asyncio.Event) -> None:
    """From the moment that the end is wanted, this process lasts a few seconds more, whatever hangs in it."""
    await stop.wait()
    timer = threading.Timer(END_S, _give_up, (asyncio.get_running_loop(),))
    timer.daemon = True
    timer.start()


def _give_up(loop: asyncio.AbstractEventLoop) -> None:
    """End at once; the next executor goes on from here."""
    threads = [each.name for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
    log.error("executor.stuck", tasks=sorted(task.get_name() for task in asyncio.all_tasks(loop)), threads=threads)
    os._exit(Exit.FAILED)


async def _serve(record: SessionRecord, journal: Journal, stop: asyncio.Event) -> int:
    """Everything from the first connection to the last word."""
    broker = await _connect(record, stop)
    if broker is None:
        return Exit.OK
    token = f"{os.uname().nodename}/{os.getpid()}/{secrets.token_hex(8)}"
    try:
        if not await _claim(broker, token, stop):
            return Exit.OK  # it was ended while another one delivers
        desk = await _build(record, broker, _fence(token))
        await _take_panes(desk.pipe, record.name, token)
        await upkeep.let_ring(desk.pipe)
        return await Run(desk, journal, token, stop).run()
    finally:
        await _quietly(broker.release(token), "lease")
        await _quietly(broker.close(), "connection")


async def _connect(record: SessionRecord, stop: asyncio.Event) -> Broker | None:
    """The session's Redis, started again when it is down; waits for it as long as it takes."""
    while not stop.is_set():
        try:
            return await Broker.connect(await revive(record), record.name)
        except TacoError as error:
            log.error("redis.failed", error=error.message, hint=error.hint)
            await _pause(stop, 2.0)
    return None


async def revive(record: SessionRecord) -> str:
    """Make sure that the session's Redis runs (a private one is started); its URL. Raises BrokerError."""
    url = "" if record.redis_private else record.redis_url
    return (await asyncio.to_thread(redis_server.ensure, record.home, url)).url


async def _claim(broker: Broker, token: str, stop: asyncio.Event) -> bool:
    """Become the one who delivers; False when it was ended before. Raises ConflictError when another one does.

    The lease of one that was killed on this machine is taken over at once.
    """
    deadline = time.monotonic() + LEASE_MS / 1_000 + 2
    while not stop.is_set():
        if await _hold(broker, broker.claim(token, LEASE_MS)):
            return True
        holder = await broker.owner()
        node, pid, _ = holder.split("/", 2) if holder.count("/") == 2 else ("", "", "")
        if node == os.uname().nodename and pid.isdecimal() and not processes.is_alive(int(pid)):
            await broker.release(holder)
            continue
        if time.monotonic() > deadline:
            raise ConflictError(
                f"another executor runs session {broker.session} (pid {pid or '?'} on {node or 'another machine'})",
                hint="one is enough: look at window 2",
            )
        await _pause(stop, 0.2)
    return False


async def _hold(broker: Broker, lease: Awaitable[bool]) -> bool:
    """Claim or renew the lease; the broker is good for as long as it lasts, counted from before the call."""
    begun = time.monotonic()
    if not await lease:
        return False
    broker.good_until = begun + LEASE_MS / 1_000
    return True


def _fence(token: str) -> str:
    """What the tmux session calls the executor that holds this lease."""
    return token.rpartition("/")[2]


async def _take_panes(pipe: CommandPipe, session: str, token: str) -> None:
    """From now on nothing that another executor has decided goes into a pane: it may be frozen, and wake up later."""
    session = await windows.called_now(pipe, session)
    await pipe.run(command("set-option", "-t", f"={session}:", FENCE, _fence(token)))


async def _keep_panes(pipe: CommandPipe, session: str, token: str) -> None:
    """Take the panes back if another executor has taken them: who holds the lease delivers.

    Raises TmuxError, also when tmux takes so long that the lease would run out meanwhile.
    """
    try:
        async with asyncio.timeout(QUIET_ROUND_S + GOODBYE_S):
            if await _holds_own_pane(pipe, token):
                return
            session = await windows.called_now(pipe, session)
            found = await pipe.run(command("show-options", "-qv", "-t", f"={session}:", FENCE))
            if found != [_fence(token)]:
                log.warning("executor.panes_taken", by=" ".join(found))
                await _take_panes(pipe, session, token)
    except TimeoutError:
        raise TmuxError(f"tmux did not answer within {QUIET_ROUND_S + GOODBYE_S:.0f} s") from None


async def _build(record: SessionRecord, broker: Broker, fence: str) -> Desk:
    """Every room of the session, from the doors up."""
    settings = LiveSettings(paths.config_home(), record.home, record.project_dir)
    config = settings.config
    pipe = CommandPipe(record.tmux_socket)
    environ = json.loads((record.directory / "environment.json").read_bytes())
    ground = Ground(
        session=record.name,
        directory=record.directory,
        project=record.project_dir,
        environ={key: value for key, value in environ.items() if key not in VARIABLES},  # the settings are TACO's
        home=record.home,
        redis_url=record.redis_url,
        yolo=record.yolo,
        trusted=bool(record.more.get("trusted")),
    )
    parked: dict[str, str] = {}
    observer = Observer(pipe, time.time, ready_timeout_s=config.ready_timeout_s)
    for directory in ("spool", "bodies", "buffers"):
        (record.directory / directory).mkdir(mode=0o700, exist_ok=True)
    guard = Guard(pipe, record.directory / "buffers", fence=fence)
    doors = Doors(
        session=record.name,
        queue=broker,
        eyes=observer,
        guard=guard,
        incarnation=_incarnations(pipe),
        config=config,
        bodies=record.directory / "bodies",
        now=time.time,
        pace=Pace(config.loop_limit),
        token_budget=settings.token_budget,
        parked=lambda provider: parked.get(provider, ""),
    )
    await broker.put_session(
        {
            "queue_limit": str(config.queue_limit),
            "sender_limit": str(config.sender_limit),
            "retention_s": str(int(config.retention_s)),
            "retention_count": str(config.retention_count),
            "port_range": config.port_range,
        }
    )
    return Desk(
        record=record,
        config=config,
        broker=broker,
        pipe=pipe,
        observer=observer,
        executor=Executor(doors),
        agents=Agents(ground, pipe, time.time),
        ground=ground,
        hand=Hand(record.name, pipe, guard),
        settings=settings.now,
        parked=parked,
        providers=files.providers(paths.config_home(), record.home, record.project_dir),
    )


async def _holds_own_pane(pipe: CommandPipe, token: str) -> bool:
    """Whether the session of the pane that this process runs in is ours; asked together with the next round."""
    pane = os.environ.get("TMUX_PANE", "")
    look = command("display-message", "-p", "-t", pane, f"#{{{FENCE}}}")
    return bool(pane) and await pipe.run(look, patience_s=QUIET_ROUND_S) == [_fence(token)]


def _incarnations(pipe: CommandPipe) -> Callable[[Pane], Awaitable[Incarnation]]:
    """Incarnations of panes; the server is asked once, since a pipe that outlives it fails anyway."""
    server: list[Incarnation] = []

    async def incarnation(pane: Pane) -> Incarnation:
        if not server:
            server.append(await pipe.incarnation(pane))
        return Incarnation(server[0].server_pid, server[0].server_started, pane.id, pane.pid)

    return incarnation


class Run:
    """The loops of one session, and the order in which they end."""

    def __init__(self, desk: Desk, journal: Journal, token: str, stop: asyncio.Event) -> None:
        """`token` is the lease that this executor holds."""
        self._desk = desk
        self._journal = journal
        self._token = token
        self._stop = stop
        self._round = asyncio.Event()
        self._retry = asyncio.Event()  # set for a moment when Redis is back
        self._away_since = 0.0  # monotonic; 0.0 while Redis answers
        self._planning = Planning(desk)
        self._team = Team(desk)
        self._outboxes = Outboxes(desk)
        self._asking = Asking(desk)
        self._monitor = upkeep.Monitor(desk)
        self._notices = Notices(desk)
        self._parking = Parking(desk, self._notices)
        self._troubles = Troubles(desk, self._notices)
        self._health = Health(desk)
        self._status_line = status_line.StatusLine(desk.pipe, desk.name)
        self._follower = Follower(desk.broker, journal, self._hurry)
        self._exit: int = Exit.OK

    async def run(self) -> int:
        """Run until stopped; intake ends first, then the couriers, then the goodbye."""
        desk = self._desk
        before = await desk.broker.session_fields()
        is_new = before.get("status") == "starting"
        await desk.broker.put_session({"status": "running", "executor_pid": str(os.getpid()), "release": __version__})
        if is_new:
            await desk.tell(EventType.SESSION_STARTED, f"session {desk.name} in {desk.record.project_dir}")
        await desk.tell(EventType.EXECUTOR_STARTED, f"delivers for {desk.name} (pid {os.getpid()})")
        if before.get("release", __version__) != __version__:
            await self._monitor.look(anew=True)  # it is of the other release
        tasks = [
            asyncio.create_task(work(), name=work.__name__)
            for work in (
                self._rounds,
                self._renew,
                self._listen,
                self._wake,
                self._watch_spools,
                self._monitor.keep,
                self._watch_release,
                self._look_at_services,
                self._clean,
            )
        ]
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        await self._end([*tasks, stopped])
        for task in done - {stopped}:
            task.result()  # raises what ended it
        return self._exit

    async def _end(self, tasks: list[asyncio.Task[Any]]) -> None:
        """End the loops, then the couriers, and say goodbye; what does not end in time is named and left."""
        desk = self._desk
        if _is_stopping(desk.record):
            await _quietly(desk.tell(EventType.SESSION_STOPPING, f"session {desk.name} is being stopped"), "goodbye")
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=GOODBYE_S)
        if left:
            log.error("executor.stuck", tasks=sorted(task.get_name() for task in left))
        await _quietly(desk.executor.close(), "couriers")
        await _quietly(desk.pipe.close(), "tmux")
        await _quietly(desk.tell(EventType.EXECUTOR_STOPPED, "stopped"), "goodbye")
        await _quietly(self._follower.catch_up(), "journal")

    async def _rounds(self) -> None:
        """Once a second, or when something happened, look at everything and do what is due."""
        while True:
            self._round.clear()
            try:
                await self._one_round()
            except TmuxGoneError as error:
                log.error("tmux.failed", error=error.message)
                self._stop.set()
                return
            except TemporaryError as error:
                log.warning("round.failed", error=error.message, hint=error.hint)
                await self._mend(error)
            except Exception:
                # A bug in one round must not end the deliveries; the next round judges from the start.
                log.exception("round.failed")
                await asyncio.sleep(ROUND_S)
            try:
                async with asyncio.timeout(self._rest_s()):
                    await self._round.wait()
            except TimeoutError:
                continue

    async def _one_round(self) -> None:
        desk = self._desk
        if await self._planning.step():
            desk.team = await desk.broker.agents()
        await self._team.step()
        desk.keep_team()
        await self._outboxes.step()
        await self._team.note_states(await desk.observer.sweep())
        await self._parking.step()
        await self._troubles.step()
        await self._asking.step()
        await self._notices.step()
        for name in await desk.broker.waiting_agents():
            desk.executor.wake(name)
        await self._status_line.show(status_line.count(desk.team, self._notices.questions, plan=self._planning.waits))

    def _rest_s(self) -> float:
        """Until the next round: short while somebody starts or ends a turn, as others wait for that, long at rest."""
        team, quiet_since = self._desk.team, self._desk.now() - QUIET_AFTER_S
        if self._desk.observer.is_ending():
            return ENDING_ROUND_S
        if any(agent.status is AgentStatus.STARTING for agent in team):
            return STARTING_ROUND_S
        resting = all(agent.state.level is not Level.BUSY and agent.state.since < quiet_since for agent in team)
        return QUIET_ROUND_S if resting else ROUND_S

    async def _mend(self, error: TemporaryError) -> None:
        if isinstance(error, BrokerError):
            self._away_since = self._away_since or time.monotonic()
        try:
            await revive(self._desk.record)
        except TacoError as error:
            log.error("redis.failed", error=error.message, hint=error.hint)

    async def _renew(self) -> None:
        """Keep the lease; who loses it stops delivering at once."""
        while True:
            begun = time.monotonic()
            try:
                if not await self._holds_lease():
                    log.error("executor.replaced", reason="another executor holds the lease")
                    self._exit = Exit.FAILED
                    self._stop.set()
                    return
                await self._note_back()
            except TemporaryError as error:
                log.warning("lease.failed", error=error.message)
                await self._mend(error)
            self._journal.flush()
            await asyncio.sleep(begun + LEASE_MS / 5_000 - time.monotonic())

    async def _holds_lease(self) -> bool:
        """Whether the lease is ours still, or again: it runs out while Redis is down."""
        desk, now_ms = self._desk, time.time_ns() // 1_000_000
        if not (
            await _hold(desk.broker, desk.broker.renew(self._token, LEASE_MS, now_ms))
            or await _hold(desk.broker, desk.broker.claim(self._token, LEASE_MS))
        ):
            return False
        await _keep_panes(desk.pipe, desk.name, self._token)
        return True

    async def _note_back(self) -> None:
        """Redis answers: tell it when it did not before, and connect at once what waits to try again."""
        if not self._away_since:
            return
        away_s, self._away_since = time.monotonic() - self._away_since, 0.0
        self._retry.set()
        self._retry.clear()
        await self._desk.tell(EventType.REDIS_BACK, f"Redis answers again, after {away_s:.0f} s")

    async def _listen(self) -> None:
        """Show and keep every event."""
        await self._again("events", self._follower.follow)

    def _hurry(self, event: Event) -> None:
        """What the team waits for brings the next round forward."""
        self._notices.note(event)
        self._health.note(event)
        if str(event.type).startswith(_HURRIED):
            self._round.set()

    async def _look_at_services(self) -> None:
        await self._again("services", self._health.run)

    async def _wake(self) -> None:
        async def once() -> None:
            async for name in self._desk.broker.wakes():
                self._desk.executor.wake(name)

        await self._again("wakes", once)

    async def _watch_spools(self) -> None:
        async def once() -> None:
            async for directories in changes(self._desk.spool_root(), self._stop):
                for directory in directories:
                    self._desk.executor.wake(directory.name)
                self._round.set()

        await self._again("spools", once)

    async def _clean(self) -> None:
        """At the start and every hour, remove what was left behind."""
        desk = self._desk
        while True:
            try:
                names = {agent.name for agent in await desk.broker.agents()}
                before = desk.now() - desk.config.retention_s
                await asyncio.to_thread(cleaning.clean, desk.record.directory, names, before=before)
                await cleaning.drop_buffers(desk.pipe)
            except TacoError as error:
                log.warning("cleaning.failed", error=error.message)
            await asyncio.sleep(cleaning.EVERY_S)

    async def _watch_release(self) -> None:
        """Hand over to another release of TACO once one is installed in this one's place."""
        release = await upkeep.await_release()
        words = f"TACO {__version__} hands over to TACO {release}, which was installed in its place"
        await self._desk.tell(EventType.EXECUTOR_HANDED_OVER, words, data={"from": __version__, "to": release})
        self._exit = HAND_OVER
        self._stop.set()

    async def _again(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do it for ever, again after a failure, more and more rarely; the rounds make up for it meanwhile."""
        rest_s = AGAIN_S / 2
        while True:
            begun = time.monotonic()
            try:
                await work()
            except BrokerError as error:
                log.warning("redis.failed", source=what, error=error.message)
            except Exception as error:
                # Whatever it is (no inotify watch left, a bug), deliveries go on without it.
                log.warning("watch.failed", source=what, error=f"{type(error).__name__}: {error}")
            if self._stop.is_set():
                return  # redis-py may make a failure of its own of being cancelled
            rest_s = AGAIN_S if time.monotonic() - begun > LASTED_S else min(2 * rest_s, AGAIN_MOST_S)
            await _pause(self._retry, rest_s)


async def _pause(stop: asyncio.Event, most_s: float) -> None:
    try:
        async with asyncio.timeout(most_s):
            await stop.wait()
    except TimeoutError:
        return


def _is_stopping(record: SessionRecord) -> bool:
    """Whether the whole session ends, as its record on disk says, and not this process alone."""
    try:
        return paths.session(record.home, record.name).status != paths.RUNNING
    except TacoError:
        return False


async def _quietly(work: Awaitable[None], what: str) -> None:
    """Say goodbye if that is possible."""
    try:
        async with asyncio.timeout(GOODBYE_S):
            await work
    except (TacoError, TimeoutError) as error:
        log.warning("goodbye.failed", what=what, error=str(error) or f"not within {GOODBYE_S:.0f} s")
