"""The words of TACO: frozen values, enums, and the status sets beside them. No I/O, no clock."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

MOTHER = "mother"
MONITOR = "monitor"
EXECUTOR = "executor"
PERSON = "person"
EVERYONE = "all"
RESERVED_NAMES = frozenset({MOTHER, MONITOR, EXECUTOR, EVERYONE, PERSON})
FIRST_AGENT_WINDOW = 3
PORT_RANGE = "20000-29999"  # unless a setting says otherwise


def iso(at: float) -> str:
    """ISO 8601 UTC with milliseconds of an epoch time in seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def from_iso(text: str) -> float:
    """Epoch seconds of an ISO 8601 time; raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


def port_range(text: str) -> range:
    """The ports from the first to the last, as the setting `port_range` names them; raises ValueError."""
    found = re.fullmatch(r"\s*(\d{1,5})\s*-\s*(\d{1,5})\s*", text)
    low, high = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= low <= high <= 65_535:
        raise ValueError("a range of ports is two numbers from 1 to 65535, such as 20000-29999")
    return range(low, high + 1)


class Priority(enum.StrEnum):
    """How urgent a command is; `high` overtakes `normal` overtakes `low`."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class When(enum.StrEnum):
    """Whether a command waits for an idle agent or may go in while it works."""

    IDLE = "idle"
    NOW = "now"


class CommandState(enum.StrEnum):
    """Where one command stands; the transitions are the table in `delivery.py`."""

    QUEUED = "queued"
    TYPED = "typed"
    ENTERED = "entered"
    DELIVERED = "delivered"
    UNCONFIRMED = "unconfirmed"
    DEAD = "dead"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


FINAL_STATES = frozenset(
    {
        CommandState.DELIVERED,
        CommandState.UNCONFIRMED,
        CommandState.DEAD,
        CommandState.CANCELLED,
        CommandState.REJECTED,
    }
)
PROCESSING_STATES = frozenset({CommandState.TYPED, CommandState.ENTERED})


class SpecStatus(enum.StrEnum):
    """How far the plan of the team is: the field `status` of the hash `spec`, "" before anything was proposed."""

    WAITING = "waiting"  # Mother is asked for it
    SUBMITTED = "submitted"
    INVALID = "invalid"
    REVIEW = "review"  # the person decides
    APPROVED = "approved"
    REJECTED = "rejected"
    RUNNING = "running"


class Evidence(enum.StrEnum):
    """What shows that a command was submitted, best first."""

    HOOK = "hook"
    TRANSCRIPT = "transcript"
    SCREEN = "screen"
    NONE = "none"


class Level(enum.StrEnum):
    """What an agent is doing, as far as can be seen."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    WAITING = "waiting"
    LIMITED = "limited"
    EXITED = "exited"
    LOST = "lost"
    UNKNOWN = "unknown"


WAS_BUSY = "ended while it was busy"  # the source of the state of an agent without a process
GONE_LEVELS = frozenset({Level.EXITED, Level.LOST})


class AgentStatus(enum.StrEnum):
    """Where an agent stands in the work of its team."""

    PLANNED = "planned"  # in the spec, waits for others
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"  # runs, but gets no messages
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class EventType(enum.StrEnum):
    """Every kind of event, as dotted names: `category.what`."""

    SESSION_STARTED = "session.started"
    SESSION_STOPPING = "session.stopping"
    SESSION_STOPPED = "session.stopped"
    SPEC_PROPOSED = "spec.proposed"
    SPEC_INVALID = "spec.invalid"
    SPEC_REVIEW = "spec.review"
    SPEC_APPROVED = "spec.approved"
    SPEC_REJECTED = "spec.rejected"
    SPEC_TIMEOUT = "spec.timeout"
    AGENT_REQUESTED = "agent.requested"  # the person asked for something
    AGENT_PLANNED = "agent.planned"
    AGENT_CREATED = "agent.created"
    AGENT_STATE = "agent.state"
    AGENT_DONE = "agent.done"
    AGENT_FAILED = "agent.failed"
    AGENT_EXITED = "agent.exited"
    AGENT_RESTARTED = "agent.restarted"
    AGENT_PAUSED = "agent.paused"
    AGENT_RESUMED = "agent.resumed"
    AGENT_REMOVED = "agent.removed"
    AGENT_BLOCKED = "agent.blocked"
    AGENT_TROUBLE = "agent.trouble"  # what keeps it from its work, or nothing any more
    PROVIDER_UNTESTED = "provider.untested"  # a CLI of another release than its rules were made for
    ACCOUNT_LIMITED = "account.limited"  # all agents on it are parked
    ACCOUNT_FREED = "account.freed"
    COMMAND_QUEUED = "command.queued"
    COMMAND_HELD = "command.held"
    COMMAND_TYPED = "command.typed"
    COMMAND_ENTERED = "command.entered"
    COMMAND_DELIVERED = "command.delivered"
    COMMAND_UNCONFIRMED = "command.unconfirmed"
    COMMAND_RETRIED = "command.retried"
    COMMAND_DEAD = "command.dead"
    COMMAND_CANCELLED = "command.cancelled"
    COMMAND_REJECTED = "command.rejected"
    COMMAND_DROPPED = "command.dropped"
    ASK_OPENED = "ask.opened"
    ASK_ANSWERED = "ask.answered"
    ASK_REMINDED = "ask.reminded"
    ASK_APPROVED = "ask.approved"  # by a rule of the person's
    SERVICE_REGISTERED = "service.registered"
    SERVICE_HEALTH = "service.health"
    SERVICE_REMOVED = "service.removed"
    PERSON_MESSAGE = "person.message"
    EXECUTOR_STARTED = "executor.started"
    EXECUTOR_STOPPED = "executor.stopped"
    EXECUTOR_CRASHED = "executor.crashed"
    EXECUTOR_HANDED_OVER = "executor.handed_over"  # to another release
    MONITOR_CRASHED = "monitor.crashed"
    TMUX_FAILED = "tmux.failed"
    REDIS_FAILED = "redis.failed"
    REDIS_BACK = "redis.back"


FINISHED_EVENT = {
    CommandState.DELIVERED: EventType.COMMAND_DELIVERED,
    CommandState.UNCONFIRMED: EventType.COMMAND_UNCONFIRMED,
    CommandState.DEAD: EventType.COMMAND_DEAD,
    CommandState.CANCELLED: EventType.COMMAND_CANCELLED,
    CommandState.REJECTED: EventType.COMMAND_REJECTED,
}


@dataclass(frozen=True, slots=True)
class Command:
    """A queued delivery: `message` goes from `sender` to the agent `target`."""

    id: str
    sender: str
    target: str
    message: str
    priority: Priority = Priority.NORMAL
    when: When = When.IDLE
    timestamp: str = ""  # ISO 8601 UTC, when it was stored
    retry_count: int = 0
    type: str = "tmux_message"


@dataclass(frozen=True, slots=True)
class Incarnation:
    """Which process a command was typed into: a pane of one run of one tmux server."""

    server_pid: int
    server_started: int  # epoch seconds, tmux's #{start_time}
    pane: str  # "%5"
    pane_pid: int

    def __str__(self) -> str:
        return f"{self.server_pid}:{self.server_started}:{self.pane}:{self.pane_pid}"

    @classmethod
    def parse(cls, text: str) -> Incarnation:
        """The inverse of `str()`; raises ValueError."""
        server_pid, started, pane, pane_pid = text.split(":")
        return cls(int(server_pid), int(started), pane, int(pane_pid))


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of one command; `public()` is the JSON that other programs read."""

    id: str
    sender: str
    target: str
    priority: Priority
    when: When
    state: CommandState
    evidence: Evidence | None = None
    attempts: int = 0
    enters: int = 0
    hold: str = ""
    reason: str = ""
    queued_at: str = ""
    typed_at: str = ""
    entered_at: str = ""
    delivered_at: str = ""
    intent: Incarnation | None = None
    transcript_mark: int = -1  # size of the transcript before Enter, bytes; -1 unknown
    preview: str = ""  # the first characters of the message

    def public(self) -> dict[str, Any]:
        """The fields of `taco queue show ID --json`."""
        return {
            "id": self.id,
            "sender": self.sender,
            "target": self.target,
            "priority": str(self.priority),
            "when": str(self.when),
            "state": str(self.state),
            "evidence": str(self.evidence) if self.evidence else None,
            "attempts": self.attempts,
            "hold": self.hold or None,
            "reason": self.reason or None,
            "queued_at": self.queued_at or None,
            "typed_at": self.typed_at or None,
            "entered_at": self.entered_at or None,
            "delivered_at": self.delivered_at or None,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: a final state with its evidence or reason."""

    state: CommandState
    evidence: Evidence | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AgentState:
    """What an agent is doing, since when (epoch seconds), and which source said so."""

    level: Level = Level.UNKNOWN
    detail: str = ""  # waiting: for what; limited: until when; exited: the code
    since: float = 0.0
    source: str = ""

    def __str__(self) -> str:
        return f"{self.level}({self.detail})" if self.detail else str(self.level)


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent of a spec, validated and repaired."""

    name: str
    role: str
    window: int
    depends_on: tuple[str, ...] = ()
    wait_for: tuple[str, ...] = ()
    notifies: tuple[str, ...] = ()
    provider: str | None = None
    model: str | None = None
    workspace: str | None = None
    template: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The agent as it stands in a spec's JSON."""
        return {
            "window": self.window,
            "name": self.name,
            "role": self.role,
            "depends_on": list(self.depends_on),
            "wait_for": list(self.wait_for),
            "notifies": list(self.notifies),
            "provider": self.provider,
            "model": self.model,
            "workspace": self.workspace,
            "template": self.template,
        }


@dataclass(frozen=True, slots=True)
class Spec:
    """A team: its agents in the order of their windows, and what was repaired to get it."""

    agents: tuple[AgentSpec, ...]
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The spec's JSON, without the warnings."""
        return {"agents": [agent.as_dict() for agent in self.agents]}


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent of a running session, as `agents:<window>` holds it."""

    window: int
    name: str
    role: str = ""
    status: AgentStatus = AgentStatus.PLANNED
    provider: str = ""
    model: str = ""
    workspace: str = ""
    session_id: str = ""  # the CLI's own id of its conversation
    pane: str = ""  # "%5"
    pid: int = 0
    launched_at: str = ""
    restarts: int = 0
    depends_on: tuple[str, ...] = ()
    wait_for: tuple[str, ...] = ()
    notifies: tuple[str, ...] = ()
    paused: bool = False
    state: AgentState = field(default_factory=AgentState)
    waiting_for: str = ""  # why it has not started yet, or what it waits for
    hold: str = ""  # why its queue stands still
    trouble: str = ""  # what keeps it from its work, and nobody has to answer: refused by its model's side, no progress
    done: str = ""  # summary of `taco done`
    failed: str = ""  # reason of `taco fail`
    reported_at: str = ""  # ISO time of done or fail
    announced: str = ""  # the `reported_at` whose notifications are already queued
    yolo: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; the same in the stream, on pub/sub and in the log."""

    type: EventType
    session: str
    id: str = ""  # the stream's entry id, when known
    ts: str = ""
    agent: str = ""
    command: str = ""
    level: str = "info"  # debug | info | warning | error
    content: str = ""  # one line for people
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def category(self) -> str:
        """The part of the type before the dot."""
        return str(self.type).partition(".")[0]

    def as_dict(self) -> dict[str, Any]:
        """The event's JSON."""
        return {
            "id": self.id,
            "ts": self.ts,
            "session": self.session,
            "category": self.category,
            "type": str(self.type),
            "agent": self.agent,
            "command": self.command,
            "level": self.level,
            "content": self.content,
            "data": dict(self.data),
        }


@dataclass(frozen=True, slots=True)
class Limit:
    """An account that its provider serves no more for now; times are epoch seconds."""

    account: str  # what tells one account from another; nothing secret
    title: str  # the provider, as people call it
    text: str  # what the CLI said
    said_at: float
    until: float
    session: str = ""
    agent: str = ""  # who met it
    guessed: bool = False  # nobody said until when: it is tried again then
    lifted_at: float = 0.0  # the person wants it tried again now; 0.0: not so

    @property
    def holds(self) -> bool:
        """Whether the person has left it alone."""
        return self.lifted_at < self.said_at


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """The queue of a session in six numbers."""

    pending: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    dead: int = 0
    unconfirmed: int = 0


@dataclass(frozen=True, slots=True)
class AgentQueue:
    """The waiting commands of one agent."""

    high: int = 0
    normal: int = 0
    low: int = 0
    oldest_wait_s: float | None = None
    hold: str = ""

    @property
    def depth(self) -> int:
        """How many commands wait or are under way."""
        return self.high + self.normal + self.low


@dataclass(frozen=True, slots=True)
class Ask:
    """What waits for the person: a question that an agent asked, or a dialog that its CLI shows."""

    id: str
    agent: str
    question: str  # of a dialog: what it says
    opened_at: str
    answer: str = ""
    answered_at: str = ""
    kind: str = "question"  # of a dialog its name: permission, plan, trust, …
    choices: tuple[str, ...] = ()  # the answers there are, any when there are none; of a dialog `<key>. <words>`
    dialog: str = ""  # the dialog's fingerprint
    pid: int = 0  # the process that shows the dialog
    told_at: str = ""  # when the person was last told that it waits

    @property
    def is_dialog(self) -> bool:
        """Whether a key in the agent's pane answers it, and no message."""
        return bool(self.dialog)


@dataclass(frozen=True, slots=True)
class Service:
    """A service that an agent offers, as `services:<name>` holds it."""

    name: str
    url: str = ""
    port: int = 0
    health: str = "unknown"
    owner: str = ""
    check: str = ""  # what shows that it is healthy: "tcp", a url, a command of the person's; "": its url answers
    reason: str = ""  # why it is not healthy
    claimed: bool = False  # its port is its own, and of no other service of any session


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose a port of this machine is: `<session>/<service>`, since when (ISO 8601)."""

    holder: str
    since: str = ""

    def __str__(self) -> str:
        return f"{self.holder} {self.since}"

    @property
    def session(self) -> str:
        """The session it is claimed in."""
        return self.holder.partition("/")[0]

    @property
    def service(self) -> str:
        """The service it is claimed for."""
        return self.holder.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Pane:
    """What tmux says of one pane, from one `list-panes`."""

    id: str
    pid: int
    session: str
    window_id: str
    window_index: int
    window_name: str
    dead: bool
    dead_status: str  # the exit code, or "signal 9"; "" while tmux does not know
    in_mode: bool
    input_off: bool
    synchronized: bool
    title: str
    command: str  # the foreground program's name
    width: int
    height: int
    tty: str  # "/dev/pts/3"
    activity: int  # epoch seconds of the window's last output
    agent: str  # @taco_agent: "<session>/<agent>"
    typed: str  # @taco_typed: "<id>/<queue entry>@<pane pid>"
    entered: str  # @taco_entered: the same and ".<count>"
    drawn: bool = True  # whether its program has written anything: the cursor is not in the first cell
