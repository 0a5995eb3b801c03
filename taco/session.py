"""Opens, attaches, stops and resumes sessions. Runs in the caller's process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from taco import files, locks, paths, processes, redis_server, services, trust
from taco.agents import write_command
from taco.broker import Broker
from taco.checks import check_directory, check_name, slug, usable_provider
from taco.config import VARIABLES, Config
from taco.errors import (
    BrokerError,
    ConflictError,
    NotFoundError,
    TacoError,
)
from taco.keys import FRESH_S
from taco.models import GONE_LEVELS, MOTHER, WAS_BUSY, Agent, AgentState, AgentStatus, Event, EventType, Level, iso
from taco.paths import SessionRecord
from taco.provider import Provider, replaced
from taco.records import agent_fields, agent_from, state_fields
from taco.spec import parse_spec
from taco.supervision import (
    EXECUTOR_WINDOW,
    Crashes,
    end_executor,
    environment,
    has_own,
    interrupted,
    interrupted_text,
    last_words,
    run_own,
    supervise,
)
from taco.tmux import windows
from taco.tmux.commands import CommandPipe
from taco.tmux.server import TmuxServer, check_version

MONITOR_WINDOW = 1
# What of TACO's own variables counts in the session too: its settings, and those of the demo.
DEMO_VARIABLES = frozenset({"TACO_DEMO_SPEED", "TACO_DEMO_LOG", "TACO_DEMO_IDLE"})
KEPT = DEMO_VARIABLES | VARIABLES.keys() | {"TACO_HOME", "TACO_REDIS_SERVER"}
STAND_S = 60.0  # how long the windows of a session may take to stand
BEGIN_S, LASTED_S = 10.0, 1.0  # for Mother's CLI to begin; it has begun well when it still runs after so long

Say = Callable[[str], None]
Agrees = Callable[[Provider], bool]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What `taco start` was asked for; empty values take the configuration's."""

    prompt: str
    project_dir: Path
    session: str = ""
    provider: str = ""
    model: str = ""
    spec: str = ""  # the text of a spec file
    mother: bool = True
    review: bool = False
    max_agents: int = 0
    socket: str = ""
    yolo: bool = False
    trust: bool = False  # of the project: CLIs that take it for one launch are told at each
    environ: Mapping[str, str] = field(default_factory=dict)


def open_session(request: StartRequest, say: Say, agrees: Agrees = lambda _: False) -> SessionRecord:
    """Open a session and start what runs in it; when anything fails, what was made is taken down again.

    `say` hears each step; `agrees` is asked whether the project is trusted, where the provider's CLI would ask, once
    nothing is wrong any more. Raises TacoError.
    """
    home = paths.home()
    config = _config(home, request)
    name = request.session or slug(request.prompt)
    check_name(name)
    with locks.alone(home, name):
        provider = _checked(request, config, home, name, say)
        trusts = trust.is_asked_for(provider, request.project_dir, request.environ) and agrees(provider)
        with trust.noted(request.project_dir, request.environ, say) if trusts else contextlib.nullcontext():
            record = _new_record(request, config, home, name, provider)
            try:
                return _opened(record, request, say)
            except BaseException:
                say("taking down what was started")
                _take_down(record)
                raise


def _config(home: Path, request: StartRequest) -> Config:
    flags = {
        "provider": request.provider or None,
        "model": request.model or None,
        "max_agents": request.max_agents or None,
        "tmux_socket": request.socket or None,
    }
    return files.settings(paths.config_home(), home, request.project_dir, flags).config


def _checked(request: StartRequest, config: Config, home: Path, name: str, say: Say) -> Provider:
    """Everything that can be wrong is found out before anything is started; the session's provider."""
    say(f"tmux {check_version()}")
    check_directory(request.project_dir)
    provider = usable_provider(config.provider, home, request.project_dir, request.environ)
    say(f"agents: {provider.title or provider.name}" + (" (scripted)" if provider.scripted else ""))
    if request.spec:
        _check_spec(request, config, home, provider, say)
    _check_free(home, name, TmuxServer(config.tmux_socket), say)
    return provider


def _check_spec(request: StartRequest, config: Config, home: Path, provider: Provider, say: Say) -> None:
    """Raises what is wrong with the given spec, as `taco spec check` does, or with the providers it needs.

    A scripted session runs none of them: `say` hears whose is replaced.
    """
    known = files.providers(paths.config_home(), home, request.project_dir)
    spec = parse_spec(request.spec, max_agents=config.max_agents, providers=known)
    say(f"spec: {len(spec.agents)} agents" + "".join(f"\n  repaired: {each}" for each in spec.warnings))
    if not provider.scripted:
        for other in sorted({agent.provider for agent in spec.agents if agent.provider}):
            usable_provider(other, home, request.project_dir, request.environ)
    elif warning := replaced(spec, by=provider.name):
        say(f"warning: {warning}")


def _new_record(request: StartRequest, config: Config, home: Path, name: str, provider: Provider) -> SessionRecord:
    """The session's record, not saved yet; its Redis need not run yet."""
    more: dict[str, Any] = {"review": request.review, "mother": request.mother, "trusted": request.trust}
    more["scripted"] = provider.scripted
    return SessionRecord(
        name=name,
        home=home,
        project_dir=request.project_dir,
        prompt=request.prompt,
        provider=config.provider,
        model=config.model,
        started_at=iso(time.time()),
        tmux_socket=config.tmux_socket,
        redis_url=config.redis_url,
        redis_private=not config.redis_url,
        yolo=request.yolo,
        max_agents=config.max_agents,
        more=more,
    )


def _check_free(home: Path, name: str, server: TmuxServer, say: Say) -> None:
    try:
        record = paths.session(home, name)
    except NotFoundError:
        record = None
    if record is not None and record.status == paths.STARTING:
        say("taking down what an interrupted start has left")
        _take_down(record)
        record = None
    if server.has(name):
        whose = f"see it with: taco attach {name}" if record else "it is not TACO's"
        raise ConflictError(f"there is a tmux session {name!r} already", hint=f"{whose}; or take --session NAME")
    if record is not None:
        on = interrupted_text(record) if record.unfinished else f"go on with it: taco resume {name}"
        hint = f"{on}; or take another name: --session NAME"
        raise ConflictError(f"session {name!r} is there already ({record.status})", hint=hint)


def _opened(record: SessionRecord, request: StartRequest, say: Say) -> SessionRecord:
    server = redis_server.ensure(record.home, record.redis_url)
    say(f"Redis {server.version}" + (" (private)" if server.private else ""))
    record = record.changed(redis_url=server.url, redis_private=server.private)
    record.save()
    environ = {key: value for key, value in request.environ.items() if not key.startswith("TACO_") or key in KEPT}
    paths.write_private(record.directory / "environment.json", json.dumps(environ))
    _run(_store(record, request))
    record, ended = _stand(record, say)
    if ended:
        raise TacoError(
            ended, hint=f"try its command by itself; see: taco provider show {record.provider}, taco doctor"
        )
    return record


async def _store(record: SessionRecord, request: StartRequest) -> None:
    """What Redis must know before the executor starts."""
    broker = await Broker.connect(record.redis_url, record.name)
    try:
        await _check_keys(broker, record)
        await broker.forget()
        await broker.put_session(_session_fields(record) | {"status": paths.STARTING})
        if record.more["mother"]:
            await broker.put_agent(_mother(record))
        status = "submitted" if request.spec else "waiting"
        await broker.put_spec({"status": status, "text": request.spec, "source": "--spec" if request.spec else ""})
    finally:
        await broker.close()


async def _check_keys(broker: Broker, record: SessionRecord) -> None:
    """Raises ConflictError when the keys of that name are another session's that runs: many may share one Redis."""
    await _check_owner(broker, record)
    fields = await broker.session_fields()
    home, node = fields.get("home", str(record.home)), fields.get("node", os.uname().nodename)
    elsewhere = (home, node) != (str(record.home), os.uname().nodename)
    if elsewhere and fields.get("status") in (paths.STARTING, paths.RUNNING):
        raise _taken(record, f"{home} on {node}")


async def _check_owner(broker: Broker, record: SessionRecord) -> None:
    """Raises ConflictError when an executor delivers for a session of that name; ours have ended by now."""
    node, _, rest = (await broker.owner()).partition("/")
    pid = rest.partition("/")[0]
    age_s = await broker.heartbeat_age_s()
    if node == os.uname().nodename and pid.isdigit() and not processes.is_alive(int(pid)):
        return
    if node or (age_s is not None and age_s <= FRESH_S):
        raise _taken(record, f"an executor on {node} (pid {pid})" if node else "an executor")


def _taken(record: SessionRecord, by: str) -> ConflictError:
    return ConflictError(
        f"another session {record.name!r} runs in that Redis: {by}",
        hint="stop it there with taco stop, or take another name: --session NAME",
    )


def _mother(record: SessionRecord) -> Agent:
    return Agent(0, MOTHER, "leads the team", provider=record.provider, model=record.model, yolo=record.yolo)


def _session_fields(record: SessionRecord) -> dict[str, str]:
    return {
        "project_dir": str(record.project_dir),
        "prompt": record.prompt,
        "provider": record.provider,
        "started_at": record.started_at,
        "node": os.uname().nodename,
        "home": str(record.home),
        "yolo": "1" if record.yolo else "0",
        "demo": "1" if record.more.get("scripted") else "0",
    }


def _stand(record: SessionRecord, say: Say) -> tuple[SessionRecord, str]:
    """Open the tmux session with its first three windows, and wait until its executor has taken over.

    The record as it is then, and how Mother's CLI has ended; "" when it runs.
    """
    server = TmuxServer(record.tmux_socket)
    cwd = str(record.project_dir)
    pane, socket = server.new_session(record.name, cwd=cwd)
    write_command(record.directory / "bin")
    Crashes(record).forget()
    record = record.changed(tmux_socket=socket, stopped_at="", more={**record.more, "mother_pane": pane})
    record.save()
    record = _run(_windows(record, pane))
    record.save()
    say(f"windows 0 to 2 of tmux session {record.name}")
    ended = _run(_wait_until_up(record, say))
    record = record.changed(status=paths.RUNNING)
    record.save()
    return record, ended


async def _windows(record: SessionRecord, mother_pane: str) -> SessionRecord:
    """Windows 0 to 2; Mother's own program is started by the executor, like every agent's."""
    pipe, cwd = CommandPipe(record.tmux_socket), str(record.project_dir)
    await pipe.run(" ; ".join(windows.window_options(mother_pane)))
    if record.more["mother"]:
        await _note_mother(record, mother_pane)
    else:
        shell = os.environ.get("SHELL") or "/bin/sh"
        await windows.run_in(pipe, mother_pane, [shell, "-i"], cwd=cwd, owner=f"{record.name}/")
    panes = {}
    for index, name in ((MONITOR_WINDOW, "monitor"), (EXECUTOR_WINDOW, "executor")):
        panes[f"{name}_pane"] = await windows.open_window(pipe, record.name, index, name, cwd=cwd)
        await run_own(record, pipe, panes[f"{name}_pane"], name)
    return record.changed(more={**record.more, **panes})


async def _note_mother(record: SessionRecord, pane: str) -> None:
    broker = await Broker.connect(record.redis_url, record.name)
    try:
        await broker.set_agent(0, {"pane": pane})
    finally:
        await broker.close()


async def _wait_until_up(record: SessionRecord, say: Say) -> str:
    """Wait until the executor delivers and Mother has begun; how she ended, if she did so at once.

    Raises TacoError with what the executor said instead.
    """
    broker = await Broker.connect(record.redis_url, record.name)
    pipe, deadline = CommandPipe(record.tmux_socket), time.monotonic() + STAND_S
    try:
        while time.monotonic() < deadline:
            fields, mother = await broker.session_fields(), await _mother_now(broker)
            if mother is not None and mother.status is AgentStatus.FAILED:
                raise TacoError(f"Mother {mother.failed}")
            if fields.get("executor_pid") and (mother is None or mother.pid):
                say("the executor delivers")
                return await _mother_end(broker, pipe, say) if mother else ""
            pane = await pipe.pane(record.more["executor_pane"])
            if pane is None or pane.dead:
                raise TacoError(f"the executor ended at once: {await last_words(pipe, pane)}")
            await asyncio.sleep(0.03)
    finally:
        await broker.close()
    raise TacoError(f"the windows did not stand after {STAND_S:.0f} s", hint="see: taco doctor")


async def _mother_now(broker: Broker) -> Agent | None:
    return next((agent for agent in await broker.agents() if agent.name == MOTHER), None)


async def _mother_end(broker: Broker, pipe: CommandPipe, say: Say) -> str:
    """How Mother's CLI ended at once; "" when it runs: it is seen to be past its start, or has lasted."""
    begun, deadline = math.inf, time.monotonic() + BEGIN_S
    while (mother := await _mother_now(broker)) is not None:
        level, now = mother.state.level, time.monotonic()
        if level in GONE_LEVELS or not processes.is_alive(mother.pid):
            return await _last_words_of_mother(pipe, mother)
        if level is not Level.STARTING and mother.state.source != "pane":  # which says only that there is a process
            break
        if math.isinf(begun) and "exec-agent" not in processes.command_line(mother.pid):
            begun = now
        if now > min(begun + LASTED_S, deadline):
            break
        await asyncio.sleep(0.05)
    asks = mother is not None and mother.state.level is Level.WAITING
    say("Mother asks for you in window 0" if asks else "Mother is at work in window 0")
    return ""


async def _last_words_of_mother(pipe: CommandPipe, mother: Agent) -> str:
    """What her pane shows, once tmux has seen the end, too; a little later at the most, as it may miss it."""
    deadline = time.monotonic() + LASTED_S
    pane = await pipe.pane(mother.pane)
    while pane is not None and not pane.dead_status and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        pane = await pipe.pane(mother.pane)
    how = f" (exit {pane.dead_status})" if pane is not None and pane.dead_status else ""
    return f"Mother's CLI ended at once{how}: {await last_words(pipe, pane)}"


def _take_down(record: SessionRecord) -> None:
    """Undo an opening that failed: the tmux session, the processes, the keys, the directory, an unused Redis."""
    with contextlib.suppress(TacoError):
        record = paths.session(record.home, record.name)
    _kill_own(record)
    _run(end_executor(record))
    _run(_end_all(record, grace_s=1.0))
    with contextlib.suppress(TacoError):
        _run(_forget(record))
    shutil.rmtree(record.directory, ignore_errors=True)
    if record.redis_private:
        redis_server.stop_if_unused(record.home, lambda: _others_run(record))


async def _forget(record: SessionRecord) -> None:
    broker = await Broker.connect(record.redis_url, record.name)
    try:
        await _check_keys(broker, record)
        await broker.forget()
    finally:
        await broker.close()


def _kill_own(record: SessionRecord) -> None:
    """Close the session's tmux session, if that is there and not somebody else's of the same name."""
    with contextlib.suppress(TacoError):
        if _run(has_own(record)):
            TmuxServer(record.tmux_socket).kill(record.name)


# Attaching


def attach(record: SessionRecord, warn: Say) -> None:
    """Show a running session in this terminal; replaces this process. Raises TacoError when it does not run.

    `warn` hears what is wrong with its executor.
    """
    server = TmuxServer(record.tmux_socket)
    if not server.has(record.name):
        hint = interrupted(record) or f"bring it back: taco resume {record.name}"
        raise NotFoundError(f"session {record.name!r} does not run", hint=hint)
    if trouble := supervise(record):
        warn(trouble)
    server.attach(record.name)


def is_up(record: SessionRecord) -> bool:
    """Whether the session's tmux session is there."""
    return TmuxServer(record.tmux_socket).has(record.name)


# Stopping


def stop(record: SessionRecord, *, grace_s: float, say: Say) -> list[int]:
    """End a session: agents get `grace_s`, then their whole process trees end; the queue stays for `resume`.

    Returns the pids that had to be killed. Safe to call from a pane of the session itself.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # its window may close below us
    with locks.alone(record.home, record.name):
        record = paths.session(record.home, record.name)  # others have written it while we waited
        record.changed(status=paths.STOPPING).save()
        say("executor")
        _run(end_executor(record))
        record = _with_agents(record)
        say("agents")
        killed = _run(_end_all(record, grace_s=grace_s))
        _note_stopped(record)
        stopped = _without_processes(record).changed(status=paths.STOPPED, stopped_at=iso(time.time()))
        stopped.save_agents()
        stopped.save()
        _kill_own(record)
        _run(_end_all(record, grace_s=0.5))
        if record.redis_private and redis_server.stop_if_unused(record.home, lambda: _others_run(record)):
            say("Redis, as no other session runs")
        return killed


def forget(record: SessionRecord) -> None:
    """Remove everything of a session that does not run: its queue and its events, its directory; not its project.

    Raises ConflictError while it runs, BrokerError when its Redis cannot be reached: nothing is removed then.
    """
    with locks.alone(record.home, record.name):
        record = paths.session(record.home, record.name)
        if not record.stopped:
            raise ConflictError(f"session {record.name!r} is not stopped", hint=f"taco stop {record.name} --forget")
        if record.redis_private:
            record = record.changed(redis_url=redis_server.ensure(record.home).url)
        _run(_forget(record))
        shutil.rmtree(record.directory)
        if record.redis_private:
            redis_server.stop_if_unused(record.home, lambda: _others_run(record))


def _with_agents(record: SessionRecord) -> SessionRecord:
    """The record with its agents as Redis has them now; as they were when it is down."""
    try:
        agents = _run(_read_agents(record))
    except BrokerError:
        return record
    return record.changed(agents=tuple(agent_fields(agent) for agent in agents))


async def _read_agents(record: SessionRecord) -> list[Agent]:
    broker = await Broker.connect(record.redis_url, record.name)
    try:
        return await broker.agents()
    finally:
        await broker.close()


def _without_processes(record: SessionRecord) -> SessionRecord:
    """The record with a team that does not run: old pids and panes may be somebody else's by now."""
    return record.changed(
        agents=tuple({**fields, "pid": "0", "pane": ""} for fields in record.agents),
        more={key: value for key, value in record.more.items() if not key.endswith("_pane") and key != "ended"},
    )


async def _end_all(record: SessionRecord, *, grace_s: float) -> list[int]:
    return await processes.end(processes.of_agents(record.home, record.name, None), grace_s=grace_s)


def _note_stopped(record: SessionRecord) -> None:
    with contextlib.suppress(BrokerError):
        _run(_put_stopped(record))


async def _put_stopped(record: SessionRecord) -> None:
    """What Redis is to know of a session that does not run: no agent of it has a process or a pane."""
    broker = await Broker.connect(record.redis_url, record.name)
    try:
        for agent in await broker.agents():
            fields = {"pid": "0", "pane": "", "hold": ""}
            if agent.pid and agent.state.level not in GONE_LEVELS:
                source = WAS_BUSY if agent.state.level is Level.BUSY else "stop"
                fields |= state_fields(AgentState(Level.EXITED, since=time.time(), source=source))
            await broker.set_agent(agent.window, fields)
        for service in await broker.services():
            if service.url:
                await broker.set_health(service, services.UNHEALTHY, "its session is stopped")
        await broker.put_session({"status": paths.STOPPED, "executor_pid": ""})
        await broker.emit(Event(EventType.SESSION_STOPPED, record.name, ts=iso(time.time()), content="stopped"))
    finally:
        await broker.close()


def _others_run(record: SessionRecord) -> bool:
    """Whether another session needs the private Redis still."""
    others = (each for each in paths.sessions(record.home) if each.name != record.name)
    return any(each.redis_private and not each.stopped and is_up(each) for each in others)


# Resuming


def resume(record: SessionRecord, say: Say, *, environ: Mapping[str, str] | None = None) -> SessionRecord:
    """Bring a session back that was stopped or lost its tmux server: its windows, its agents, its queue.

    It has the environment that was recorded when it was started; `environ` is laid over that.
    """
    with locks.alone(record.home, record.name):
        record = paths.session(record.home, record.name)
        if record.unfinished:
            say(f"going on from a call that was interrupted ({record.status})")
            _kill_own(record)
        if is_up(record):
            raise ConflictError(f"session {record.name!r} runs", hint=f"see it with: taco attach {record.name}")
        say(f"tmux {check_version()}")
        _run(end_executor(record))  # what survived its tmux server
        _run(_end_all(record, grace_s=2.0))
        url = "" if record.redis_private else record.redis_url
        server = redis_server.ensure(record.home, url)
        say(f"Redis {server.version}")
        record = _without_processes(record).changed(
            redis_url=server.url, tmux_socket=_socket_for(record), status=paths.RESUMING
        )
        record.save()
        record.save_agents()
        _keep_environment(record, environ, say)
        count = _run(_prepare(record))
        say(f"{count} agents to bring back")
        record, ended = _stand(record, say)
        if ended:
            say(f"{ended}; the session runs without her: taco agent restart mother")
        return record


def _socket_for(record: SessionRecord) -> str:
    """The tmux server to go on with: the same; a socket's directory is gone after a reboot, so then the default."""
    socket = record.tmux_socket
    if "/" in socket and not Path(socket).parent.is_dir():
        return "" if Path(socket).name == "default" else Path(socket).name
    return socket


def _keep_environment(record: SessionRecord, environ: Mapping[str, str] | None, say: Say) -> None:
    """Say which environment the agents get, and write it down when it is another one."""
    path = record.directory / "environment.json"
    if environ is None and path.exists():
        old_s = max(0.0, time.time() - path.stat().st_mtime)
        age = f"{old_s / 86_400:.0f} days" if old_s > 172_800 else f"{old_s / 3_600:.0f} h {old_s / 60 % 60:.0f} min"
        say(f"agents get the environment of {age} ago; that of this call with: taco resume --env")
        return
    say("the environment of this call is used, over that of the start")
    paths.write_private(path, json.dumps(_merged(record, os.environ if environ is None else environ)))


def _merged(record: SessionRecord, environ: Mapping[str, str]) -> dict[str, str]:
    """What it is called with now over what the session was started with; of TACO's own only the settings."""
    old = environment(record) if (record.directory / "environment.json").exists() else {}
    new = {key: value for key, value in environ.items() if not key.startswith("TACO_") or key in VARIABLES}
    return old | new


async def _prepare(record: SessionRecord) -> int:
    """Agents without processes, as the executor finds and starts them again; how many they are."""
    broker = await Broker.connect(record.redis_url, record.name)
    try:
        await _check_owner(broker, record)
        team = await broker.agents() or [agent_from(fields) for fields in record.agents]
        if not team and record.more.get("mother"):
            team = [_mother(record)]  # its start was ended before it came to that
        for agent in team:
            was_busy = agent.state.level is Level.BUSY or agent.state.source == WAS_BUSY
            state = AgentState(source=WAS_BUSY if was_busy else "")
            await broker.put_agent(replace(agent, pid=0, pane="", state=state, hold=""))
        await services.restore(broker)
        await broker.put_session(_session_fields(record) | {"status": paths.STARTING, "executor_pid": ""})
        return len(team)
    finally:
        await broker.close()


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(work)
