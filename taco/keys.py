"""Every Redis key of TACO and what it holds. Pure: names only.

A session's keys begin with `taco:{<session>}:`, what is common to all with `taco:{_}:`; the braces
are Redis' hash tag, so one session lives in one cluster slot and no script spans two tags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taco.models import Priority

COMMON = "taco:{_}:"
FRESH_S = 5.0  # a heartbeat younger than this shows that the executor is at work; it writes one every 2 s


class Keys:
    """The key names of one session."""

    def __init__(self, session: str) -> None:
        """`session` is a slug."""
        self.session = session
        self.prefix = f"taco:{{{session}}}:"
        self.state = f"{self.prefix}session:state"  # hash: project_dir, prompt, provider, status, etc.
        self.index = f"{self.prefix}agents"  # hash: agent name -> window
        self.completed = f"{self.prefix}commands:completed"  # stream of results; also a channel of ids
        self.dead = f"{self.prefix}commands:dead"  # stream of dead letters
        self.unconfirmed = f"{self.prefix}commands:unconfirmed"  # stream: what nobody saw arrive
        self.asks = f"{self.prefix}asks"  # stream of questions
        self.open_asks = f"{self.prefix}asks:open"  # set of ids
        self.events = f"{self.prefix}events"  # bounded stream of events
        self.live = f"{self.prefix}monitor:events"  # pub/sub channel of the same
        self.wake = f"{self.prefix}commands:wake"  # pub/sub channel: names of agents with new commands
        self.processing = f"{self.prefix}commands:processing"  # set of ids that are typed or entered
        self.waiting = f"{self.prefix}commands:waiting"  # hash: agent -> commands that are not finished
        self.counters = f"{self.prefix}counters"  # hash; what adds up stands below
        self.spec = f"{self.prefix}spec"  # hash: status, text, json, errors, tries, source
        self.requests = f"{self.prefix}requests"  # list of JSON: what the person wants done to agents
        self.owner = f"{self.prefix}executor:owner"  # string with a time to live: who delivers
        self.heartbeat = f"{self.prefix}executor:heartbeat"  # string: epoch ms of the last sign of life
        self.services_index = f"{self.prefix}services"  # set of service names

    def agent(self, window: int) -> str:
        """Hash of one agent: name, role, status, workspace, provider, session_id, pid, pane, …"""
        return f"{self.prefix}agents:{window}"

    def queue(self, agent: str, priority: Priority | str) -> str:
        """Stream of the waiting commands of one agent at one priority."""
        return f"{self.prefix}commands:queue:{agent}:{priority}"

    def now(self, agent: str) -> str:
        """Sorted set of the waiting `when=now` commands of one agent, by priority, then age."""
        return f"{self.prefix}commands:now:{agent}"

    def current(self, agent: str) -> str:
        """String `<id> <priority> <entry id>`: the one command whose typing has begun."""
        return f"{self.prefix}commands:current:{agent}"

    def senders(self, agent: str) -> str:
        """Hash: sender -> how many of its commands wait for this agent."""
        return f"{self.prefix}commands:senders:{agent}"

    def command(self, command_id: str) -> str:
        """Hash: the ledger of one command, and the window of its idempotency."""
        return f"{self.prefix}command:{command_id}"

    def command_keys(self, command_id: str, target: str, priority: Priority | str) -> tuple[str, ...]:
        """All keys that a change of one command touches, in the order that `lua/library.lua` names them."""
        return (
            self.command(command_id),
            self.queue(target, priority),
            self.now(target),
            self.current(target),
            self.senders(target),
            self.waiting,
            self.processing,
            self.counters,
            self.state,
            self.events,
            self.index,
            self.completed,
            self.dead,
            self.unconfirmed,
        )

    def ask(self, ask_id: str) -> str:
        """Hash: one question and its answer."""
        return f"{self.prefix}asks:{ask_id}"

    def service(self, name: str) -> str:
        """Hash: name, url, port, health, owner, check, reason, claimed."""
        return f"{self.prefix}services:{name}"


# Fields of the hash `counters`. At every moment enqueued = executed (delivered) + unconfirmed + dead
# + cancelled + rejected + the sum of `commands:waiting`. A retry takes its command out of the dead
# or unconfirmed ones again; dropping a dead letter only forgets its text. The lengths of the streams
# are what is still kept. `failed` counts attempts, `delivered:<evidence>` splits `executed`.
ENQUEUED = "commands:enqueued:total"
EXECUTED = "commands:executed:total"
FAILED = "commands:failed:total"
DEAD = "commands:dead:total"
UNCONFIRMED = "commands:unconfirmed:total"
CANCELLED = "commands:cancelled:total"
REJECTED = "commands:rejected:total"
DELIVERED_BY = "commands:delivered:"  # + evidence
ACTIVE_AGENTS = "agents:active:count"  # agents that start, run or are paused, Mother not counted

SESSIONS = f"{COMMON}sessions"  # hash: session -> project directory
LIMITS = f"{COMMON}limits"  # hash: account -> its limit as JSON (models.Limit)
PORTS = f"{COMMON}ports"  # hash: port of this machine -> `<session>/<service> <since>`: whose it is
