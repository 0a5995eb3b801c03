"""The life of an agent's process: its files, its window, its start, and the end of its whole process tree."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
import uuid
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from taco import processes
from taco.errors import UsageError
from taco.hooks import (
    MCP_SERVER,
    OPENCODE_CONFIG,
    TOOLS,
    codex_arguments,
    opencode_config,
    policy_toml,
    settings_json,
    verbs_of,
)
from taco.models import Agent, AgentState, AgentStatus, Level, iso
from taco.paths import is_roots, largest, make_private, messages_file, newest, write_private
from taco.processes import Process
from taco.provider import Provider
from taco.tmux import windows
from taco.tmux.commands import CommandPipe
from taco.transcript import LeftOver, as_lines, has_begun, left_over

_LONGEST_WORD = 100_000  # bytes; Linux takes no argument of 128 KiB


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the agents of one session live: its name, its directory, the project, and the environment they get."""

    session: str
    directory: Path  # the session's own, below the state directory
    project: Path
    environ: Mapping[str, str]  # what `taco start` was called with
    home: Path
    redis_url: str
    yolo: bool = False
    trusted: bool = False  # the person said so of the project, at its start

    def spool(self, agent: str) -> Path:
        """Where the hooks of an agent drop their files."""
        return self.directory / "spool" / agent

    @property
    def bin(self) -> Path:
        """A directory that holds the command `taco` and nothing else, first in the agents' PATH.

        TACO's own would put its Python and pip before those of the project.
        """
        return self.directory / "bin"

    def workspace(self, agent: Agent) -> Path:
        """The directory an agent works in."""
        return (self.project / agent.workspace).resolve() if agent.workspace else self.project

    def outbox(self, agent: Agent) -> Path:
        """Where an agent drops calls when its sandbox forbids it to connect."""
        # One for each agent of each session: the directory says who the sender is.
        return self.workspace(agent) / ".taco" / "outbox" / self.session / agent.name

    def owner(self, agent: str) -> str:
        """What the pane of an agent says whose it is."""
        return f"{self.session}/{agent}"


class Agents:
    """Starts and ends the agents of one session; `now` is the clock in epoch seconds."""

    def __init__(self, ground: Ground, pipe: CommandPipe, now: Callable[[], float]) -> None:
        """Nothing is started by this."""
        self._ground = ground
        self._pipe = pipe
        self._now = now

    async def launch(
        self, agent: Agent, provider: Provider, brief: str, *, resume: bool = False, tools: bool = False
    ) -> Agent:
        """Start an agent's CLI in its window, opened when it has none; the agent as it is then.

        `resume`: continue the conversation `agent.session_id` where the provider can. `tools`: with TACO's verbs as MCP
        tools. Raises TmuxError, UsageError.
        """
        ground = self._ground
        workspace = self._make_workspace(agent)
        tools = tools and self.can_hand_tools(provider)
        resume = resume and self.can_resume(agent, provider)
        agent = replace(agent, session_id=_session_id(agent, provider, resume=resume))
        argv = self._argv(agent, provider, brief, resume=resume, tools=tools)
        environ = self.environment(agent, provider) | self._retry_log(agent, provider)
        environ |= self._hook_environment(agent, provider, resume=resume, tools=tools)
        environ |= self._mcp_environment(agent, provider) if tools else {}
        launch = {"argv": argv, "cwd": str(workspace), "env": environ}
        path = self._private("launch", f"{agent.name}.json", json.dumps(launch))
        pane = agent.pane or await windows.open_window(
            self._pipe, ground.session, agent.window, agent.name, cwd=str(workspace)
        )
        command = [sys.executable, "-I", "-m", "taco", "exec-agent", str(path)]
        pid = await windows.run_in(self._pipe, pane, command, cwd=str(workspace), owner=ground.owner(agent.name))
        return self._launched(agent, pane, pid)

    def _launched(self, agent: Agent, pane: str, pid: int) -> Agent:
        """The agent as it is when its process runs; the time is that of its launch file, whoever looks."""
        try:
            at = (self._ground.directory / "launch" / f"{agent.name}.json").stat().st_mtime
        except OSError:
            at = self._now()
        return replace(
            agent,
            pane=pane,
            pid=pid,
            status=AgentStatus.STARTING,
            state=AgentState(Level.STARTING, since=at, source="launch"),
            launched_at=iso(at),
            waiting_for="",
            hold="",
            yolo=self._ground.yolo,
        )

    async def find(self, agent: Agent, *, ended: Container[int] = ()) -> tuple[Agent, bool]:
        """The agent in the window that is its own already, if it has one; and whether its process runs there.

        Who launches may be killed before it could note where. `ended`: processes that are on their way out.
        """
        panes = await self._pipe.panes()
        own = [pane for pane in panes if pane.agent == self._ground.owner(agent.name)]
        for pane in own:
            runs = not pane.dead and pane.pid not in ended and processes.is_alive(pane.pid)
            if runs and not _is_placeholder(pane.pid):
                return self._launched(agent, pane.id, pane.pid), True
        ours = [pane for pane in panes if pane.session == self._ground.session]
        opened = [pane for pane in ours if pane.window_name == agent.name or pane.id == agent.pane]
        free = [pane.id for pane in (*own, *opened) if pane in own or _is_placeholder(pane.pid)]
        return replace(agent, pane=agent.pane if agent.pane in free else next(iter(free), "")), False

    async def end(self, agent: Agent, *, grace_s: float) -> list[int]:
        """End an agent's whole process tree: asked first, killed after `grace_s`; the pids that had to be killed."""
        found = await asyncio.to_thread(self.processes, [agent])
        return await processes.end(found, grace_s=grace_s)

    async def remove(self, agent: Agent, *, grace_s: float) -> None:
        """End an agent and close its window."""
        await self.end(agent, grace_s=grace_s)
        if agent.pane:
            await windows.close_window(self._pipe, agent.pane)

    def processes(self, agents: Sequence[Agent]) -> list[Process]:
        """Every process of these agents: the trees below their panes, and what left them but carries their mark."""
        return processes.of_agents(self._ground.home, self._ground.session, agents)

    def environment(self, agent: Agent, provider: Provider) -> dict[str, str]:
        """What the agent's CLI gets: the person's environment, the provider's, and who the agent is."""
        ground = self._ground
        own = {
            "TACO_HOME": str(ground.home),
            "TACO_SESSION": ground.session,
            processes.MARK: agent.name,
            "TACO_REDIS": ground.redis_url,
            "TACO_OUTBOX": str(ground.outbox(agent)),
            "PATH": f"{ground.bin}{os.pathsep}{ground.environ.get('PATH') or os.defpath}",
        }
        as_root = ground.yolo and os.geteuid() == 0
        extra = {**provider.env, **(provider.yolo_root_env if as_root else {})}
        return {**ground.environ, **extra, **own}

    def _hook_environment(self, agent: Agent, provider: Provider, *, resume: bool, tools: bool) -> dict[str, str]:
        """The hooks of this launch, where they are variables. Raises UsageError for one of the person's in the way."""
        if provider.hooks != "opencode":
            return {}
        options = {
            "spool": str(self._ground.spool(agent.name)),
            "transcripts": str(self._ground.directory / "transcripts"),
            "source": "resume" if resume else "startup",
            "session": agent.session_id,
            "allow": [f"taco {verb}" for verb in verbs_of(agent.name)],
        }
        handed = self._handed(agent, provider, tools=tools)
        try:
            return {OPENCODE_CONFIG: opencode_config(self._ground.environ.get(OPENCODE_CONFIG, ""), options, handed)}
        except ValueError as error:
            raise UsageError(f"{OPENCODE_CONFIG} of your environment {error}", hint="mend or unset it") from None

    def can_hand_tools(self, provider: Provider) -> bool:
        """Whether what hands TACO's tools to this CLI would be read here, and would hide nothing of the person's."""
        environ = self._ground.environ
        hides = any(name in environ or (name.startswith("/") and Path(name).exists()) for name in provider.mcp_unless)
        return not hides and (not provider.mcp_of_root or is_roots(self._ground.directory))

    def has_tools(self, provider: Provider) -> bool:
        """Whether an agent of this CLI has TACO's tools: they are handed to it, or the person's settings name them."""
        return provider.takes_tools and (self.can_hand_tools(provider) or self._names_tools(provider))

    def _names_tools(self, provider: Provider) -> bool:
        """Whether the person has added `taco mcp` to the CLI's settings themselves."""
        path = provider.located(provider.mcp_own, self._ground.environ, cwd="")
        try:
            servers = json.loads(Path(path).read_text(encoding="utf-8"))["mcpServers"] if path else {}
            server = servers.get(MCP_SERVER, {})
            return Path(server["command"]).name == "taco" and bool(server["args"] == ["mcp"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return False  # none, or not as TACO would write it: its tools ask for permission then

    def _mcp_environment(self, agent: Agent, provider: Provider) -> dict[str, str]:
        """TACO's tools, where they are handed over in variables."""
        values = self._words(agent)
        if any("{mcp_config}" in text for text in provider.mcp_env.values()):
            values["mcp_config"] = self._mcp_config(agent, provider)
        return provider.mcp_variables(values)

    def _mcp_config(self, agent: Agent, provider: Provider) -> str:
        """The file with the table that hands over TACO's tools."""
        text = json.dumps(provider.mcp_json(self._words(agent)), indent=1)
        return str(self._private("mcp", f"{agent.name}.json", text))

    def _retry_log(self, agent: Agent, provider: Provider) -> dict[str, str]:
        """The variable of a log of this launch; one that the person has set stays theirs."""
        if not provider.retry_log or provider.retry_log in self._ground.environ:
            return {}
        return {provider.retry_log: str(self._private("retries", f"{agent.name}.log", ""))}

    def left_over(self, agent: Agent, provider: Provider) -> LeftOver:
        """What the agent's process left undone in its conversation; nothing where there is no transcript."""
        path = self._transcript(agent, provider)
        try:
            return left_over(as_lines(path, path.read_bytes())) if path else LeftOver()
        except OSError:
            return LeftOver()

    def can_resume(self, agent: Agent, provider: Provider) -> bool:
        """Whether there is a conversation to go on with; where the CLI keeps transcripts, the transcript must be there.

        Claude Code 2.1.197: `--resume` of an id without transcript exits, `--session-id` of one with transcript too.
        Gemini CLI 0.61.0: `--resume` of one without a message in its transcript exits.
        """
        if not provider.resume or not agent.session_id:
            return False
        path = self._transcript(agent, provider)
        if path is None or not path.exists():
            return path is None
        try:
            return not provider.empty_transcripts or has_begun(path.read_bytes())
        except OSError:
            return False

    def _transcript(self, agent: Agent, provider: Provider) -> Path | None:
        cwd = str(self._ground.workspace(agent))
        ground = self._ground
        path = provider.located(
            provider.transcript,
            ground.environ,
            cwd=cwd,
            session_id=agent.session_id,
            session_dir=str(ground.directory),
        )
        if not path:
            return None
        return largest(path) if provider.empty_transcripts else newest(path)

    def _argv(self, agent: Agent, provider: Provider, brief: str, *, resume: bool, tools: bool = False) -> list[str]:
        ground = self._ground
        values = self._words(agent)
        if tools and provider.has_mcp_file:
            values["mcp_config"] = self._mcp_config(agent, provider)
        values["settings"] = self._settings(agent, provider, tools=tools)
        values["brief_file"] = str(self._private("briefs", f"{agent.name}.md", brief))
        values["messages_file"] = self._messages(agent, provider)
        values["transcript"] = str(self._transcript(agent, provider) or "")
        argv = provider.argv(values, yolo=ground.yolo, trusted=ground.trusted, resume=resume, tools=tools)
        if provider.hooks == "codex":
            argv += codex_arguments(values["settings"])
        if provider.first_prompt == "argument" and brief and not resume:
            short = len(brief.encode()) <= _LONGEST_WORD
            argv += [*provider.prompt_args, brief if short else f"Read your brief in {values['brief_file']} first."]
        return argv

    def _words(self, agent: Agent) -> dict[str, str]:
        """What the placeholders of a provider stand for, those aside that are files of the launch."""
        ground = self._ground
        taco, workspace = str(ground.bin / "taco"), str(ground.workspace(agent))
        return {
            "taco": taco,
            "taco_quoted": _quoted(taco),
            "workspace": workspace,
            "workspace_quoted": _quoted(workspace),
            "project": str(ground.project),
            "session": ground.session,
            "agent": agent.name,
            "model": agent.model,
            "session_id": agent.session_id,
            "permission_mode": "bypassPermissions" if ground.yolo else "default",
        }

    def _handed(self, agent: Agent, provider: Provider, *, tools: bool) -> dict[str, Any]:
        """What the configuration of this launch holds for TACO's tools, where that has no file of its own."""
        return provider.mcp_json(self._words(agent)) if tools and not provider.has_mcp_file else {}

    def _settings(self, agent: Agent, provider: Provider, *, tools: bool) -> str:
        """What this launch's hooks need: a settings file, or the spool itself where they are arguments.

        Where there are none, the file that says what agents may call, if the provider takes one.
        """
        if provider.allow:
            has_tools = tools or self._names_tools(provider)
            policy = policy_toml(verbs_of(agent.name), TOOLS if has_tools else ())
            return str(self._private("settings", f"{agent.name}.toml", policy))
        if not provider.hooks:
            return ""
        spool = self._ground.spool(agent.name)
        make_private(spool)
        if provider.hooks in ("codex", "opencode"):
            return str(spool)
        content = settings_json(str(spool), verbs_of(agent.name), TOOLS if tools else ())
        content |= self._handed(agent, provider, tools=tools)
        if self._ground.yolo:
            content["skipDangerousModePermissionPrompt"] = True
        return str(self._private("settings", f"{agent.name}.json", json.dumps(content, indent=1)))

    def _messages(self, agent: Agent, provider: Provider) -> str:
        """The file that long messages to an agent are added to, made when it is not there; "" where none is read."""
        if not provider.understands("messages_file"):
            return ""
        path = messages_file(self._ground.directory, agent.name)
        if not path.exists():
            self._private(path.parent.name, path.name, f"# Long messages to {agent.name}, the newest last\n\n")
        return str(path)

    def _private(self, kind: str, name: str, text: str) -> Path:
        directory = self._ground.directory / kind
        make_private(directory)
        write_private(directory / name, text)
        return directory / name

    def _make_workspace(self, agent: Agent) -> Path:
        workspace = self._ground.workspace(agent)
        if not workspace.is_relative_to(self._ground.project.resolve()):
            raise UsageError(f"{agent.name}: workspace {agent.workspace!r} leads out of the project")
        try:
            workspace.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{agent.name}: workspace {workspace} cannot be made: {error.strerror}") from None
        return workspace


def write_command(directory: Path) -> None:
    """Make `directory` one whose `taco` is this very program (`Ground.bin`)."""
    directory.mkdir(mode=0o700, exist_ok=True)
    script = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -m taco "$@"\n'
    write_private(directory / "taco", script)
    (directory / "taco").chmod(0o700)


def _quoted(text: str) -> str:
    """A string of JSON and of TOML, which has no halves of surrogate pairs."""
    return json.dumps(text, ensure_ascii=False)


def _session_id(agent: Agent, provider: Provider, *, resume: bool) -> str:
    """The id of the conversation that this launch begins or goes on with; "" where the CLI makes its own."""
    if not resume and provider.names_conversations:
        return ""
    if not resume and provider.empty_transcripts:
        return str(uuid.uuid4())  # the transcript without a message stands in the way of its id
    return agent.session_id or str(uuid.uuid4())


def _is_placeholder(pid: int) -> bool:
    """Whether a process only keeps a window open that was not given its program yet."""
    return tuple(processes.command_line(pid)) == windows.PLACEHOLDER
