"""What a session looks like now, read over the fast connection; and its JSON. Imports nothing heavy."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from taco import records
from taco.models import Agent, AgentQueue, AgentState, Level, QueueCounts, Service, iso
from taco.paths import SessionRecord
from taco.wire import Wire

_PASSWORD = re.compile(r"//([^/@:]*):[^/@]*@")
_UNKNOWN = "session.json"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session as Redis shows it; `error` says why it could not be asked."""

    fields: Mapping[str, str] = field(default_factory=dict)
    agents: tuple[Agent, ...] = ()
    queues: Mapping[str, AgentQueue] = field(default_factory=dict)
    counts: QueueCounts = field(default_factory=QueueCounts)
    services: tuple[Service, ...] = ()
    redis_version: str = ""
    heartbeat_age_s: float | None = None
    error: str = ""


def read_snapshot(wire: Wire) -> Snapshot:
    """Everything `taco status` shows; raises BrokerError."""
    keys = wire.keys
    agents = [records.agent_from(records.pairs(flat)) for flat in wire.script("agents", [keys.index], []) if flat]
    services = wire.script("collect", [keys.services_index], [keys.service("")])
    waiting, processing, *rest = wire.script(
        "counts", [keys.counters, keys.waiting, keys.processing, keys.dead, keys.unconfirmed], []
    )
    info = str(wire.call("INFO", "server"))
    return Snapshot(
        fields=records.mapping(wire.call("HGETALL", keys.state)),
        agents=tuple(sorted(agents, key=lambda each: each.window)),
        queues=_queues(wire),
        counts=QueueCounts(waiting - processing, processing, *rest),
        services=tuple(records.service_from(records.pairs(flat)) for flat in services if flat),
        redis_version=next((line[14:] for line in info.splitlines() if line.startswith("redis_version:")), ""),
        heartbeat_age_s=wire.heartbeat_age_s(),
    )


def _queues(wire: Wire) -> dict[str, AgentQueue]:
    prefix = wire.keys.queue("", "").removesuffix(":")
    now_ms, *rows = wire.script("queues", [wire.keys.index], [prefix])
    return {
        name: AgentQueue(high, normal, low, max(0, now_ms - oldest) / 1000 if oldest else None, hold)
        for name, high, normal, low, oldest, hold in rows
    }


def status_json(record: SessionRecord, seen: Snapshot) -> dict[str, Any]:
    """The object that `taco status --json` prints."""
    return {
        "session": record.name,
        "status": seen.fields.get("status") or record.status,
        "project_dir": str(record.project_dir),
        "prompt": record.prompt,
        "provider": record.provider,
        "started_at": record.started_at or None,
        "tmux": {"socket": record.tmux_socket or "default", "session": record.name},
        "redis": {
            "url": public_url(record.redis_url),
            "version": seen.redis_version or None,
            "error": seen.error or None,
        },
        "executor": {
            "heartbeat_age_s": _rounded(seen.heartbeat_age_s),
            "release": seen.fields.get("release") or None,
        },
        "agents": _agents(record, seen),
        "queue": None if seen.error else asdict(seen.counts),
        "services": [_service(each) for each in seen.services],
        "limits": json.loads(seen.fields.get("limits") or "[]"),
    }


def public_url(url: str) -> str:
    """A Redis address without its password."""
    return _PASSWORD.sub(r"//\1:***@", url)


def agent_json(agent: Agent, queue: AgentQueue | None) -> dict[str, Any]:
    """One agent of `taco status --json`."""
    return {
        "name": agent.name,
        "window": agent.window,
        "pane": agent.pane or None,
        "role": agent.role,
        "provider": agent.provider,
        "status": str(agent.status),
        "state": str(agent.state),
        "since": iso(agent.state.since) if agent.state.since else None,
        "source": agent.state.source or None,
        "waiting_for": agent.waiting_for or None,
        "hold": agent.hold or None,
        "trouble": agent.trouble or None,
        "queue_depth": queue.depth if queue else 0,
        "workspace": agent.workspace,
        "pid": agent.pid or None,
        "done": agent.done or None,
        "failed": agent.failed or None,
        "paused": agent.paused,
    }


def _agents(record: SessionRecord, seen: Snapshot) -> list[dict[str, Any]]:
    if not seen.error:
        return [agent_json(each, seen.queues.get(each.name)) for each in seen.agents]
    return [_remembered(each) for each in record.agents]


def _remembered(noted: Mapping[str, Any]) -> dict[str, Any]:
    """An agent as the record on disk has it: what it was, not what it does now."""
    agent = records.agent_from({key: str(value) for key, value in noted.items()})
    unknown = AgentState(Level.UNKNOWN, source=_UNKNOWN)
    return agent_json(replace(agent, state=unknown, hold="", pid=0), None) | {"queue_depth": None}


def _service(service: Service) -> dict[str, Any]:
    return {
        "name": service.name,
        "url": service.url,
        "port": service.port or None,
        "health": service.health,
        "owner": service.owner or None,
        "reason": service.reason or None,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(max(0.0, seconds), 1)
