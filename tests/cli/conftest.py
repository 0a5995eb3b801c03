"""A session on disk and in a real Redis, without tmux or an executor, and the program to call on it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from taco import redis_server
from taco.broker import Broker
from taco.models import Agent, AgentState, AgentStatus, Level
from taco.paths import SessionRecord
from tests.support import needs
from tests.support.paths import ROOT

Result = TypeVar("Result")
AN_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Done:
    """How one call of the program ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Shop:
    """The session `shop`: mother, api (3) and web (4); its executor looks alive for an hour."""

    record: SessionRecord
    url: str

    def do(self, work: Callable[[Broker], Awaitable[Result]]) -> Result:
        """What `work` returns, on a broker of the session."""

        async def run() -> Result:
            broker = await Broker.connect(self.url, self.record.name)
            try:
                return await work(broker)
            finally:
                await broker.close()

        return asyncio.run(run())

    def pane(self, agent: str, **more: str) -> dict[str, str]:
        """The environment in the pane of an agent."""
        return {"TACO_SESSION": "shop", "TACO_AGENT": agent, "TACO_REDIS": self.url, **more}


def taco(
    *args: str, env: Mapping[str, str] | None = None, input: str | bytes | None = None, cwd: Path | None = None
) -> Done:
    """What `taco ARGS` did."""
    done = subprocess.run(
        [sys.executable, "-m", "taco", *args],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        input=input.encode() if isinstance(input, str) else input,
        stdin=subprocess.DEVNULL if input is None else None,
        cwd=cwd,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


# Root may connect to anything, so it becomes nobody; by then all that is imported later must be loaded.
FORBIDDEN = """
import os, sys
from taco.__main__ import main
from taco import files
from taco.cli import app, ask, quick, reporting, sending, service
if os.getuid() == 0:
    os.setuid(65534)
sys.exit(main())
"""


def forbidden(shop: Shop, outbox: Path, *args: str) -> Done:
    """The call of an agent that may not connect: the directory of the socket is closed to it."""
    closed = Path(shop.url.removeprefix("unix://").partition("?")[0]).parent
    outbox.mkdir(exist_ok=True)
    outbox.chmod(0o777)
    if os.getuid():
        closed.chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", FORBIDDEN, *args],
            env={**os.environ, "PYTHONPATH": str(ROOT), **shop.pane("web", TACO_OUTBOX=str(outbox))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        closed.chmod(0o700)
    return Done(done.returncode, done.stdout, done.stderr)


AGENTS = (
    Agent(0, "mother", "plans", AgentStatus.RUNNING, "demo", state=AgentState(Level.IDLE, since=1_700_000_000.0)),
    Agent(
        3,
        "api",
        "builds the API",
        AgentStatus.RUNNING,
        "demo",
        workspace="/srv/shop/api",
        pane="%5",
        pid=4242,
        state=AgentState(Level.BUSY, since=1_700_000_000.0, source="hook"),
    ),
    Agent(4, "web", "builds the pages", AgentStatus.PLANNED, "demo", wait_for=("api",), waiting_for="api"),
)


@pytest.fixture
def shop(taco_home: Path) -> Iterator[Shop]:
    """The session `shop` in a private Redis of its own."""
    needs.require("redis-server")
    server = redis_server.ensure(taco_home)
    record = SessionRecord(
        name="shop",
        home=taco_home,
        status="running",
        project_dir=Path("/srv/shop"),
        prompt="a shop",
        provider="demo",
        started_at="2026-01-01T00:00:00.000Z",
        redis_url=server.url,
        agents=tuple({"window": each.window, "name": each.name, "role": each.role} for each in AGENTS),
    )
    record.save()
    here = Shop(record, server.url)

    async def fill(broker: Broker) -> None:
        await broker.put_session({"status": "running", "prompt": "a shop", "project_dir": "/srv/shop"})
        for agent in AGENTS:
            await broker.put_agent(agent)
        await broker.claim("test", AN_HOUR_MS)
        await broker.renew("test", AN_HOUR_MS, int(time.time() * 1000) + AN_HOUR_MS)

    here.do(fill)
    yield here
    redis_server.stop(taco_home)
