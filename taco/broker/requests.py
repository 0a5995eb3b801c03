"""What a person asked the orchestrator to do to an agent, in order, until it is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from taco.broker.client import Client

_AT_ONCE = 100


class Requests(Client):
    """Requests, left, looked at, and dropped when they are done."""

    async def push_request(self, request: Mapping[str, Any]) -> None:
        """Leaves a request: `{"verb": pause | resume | restart | remove | add, "agent", "at"}`, `add` with `spec`."""
        await self._run("RPUSH", self.keys.requests, json.dumps(dict(request), ensure_ascii=False))

    async def requests(self) -> dict[str, dict[str, Any]]:
        """What was left and not dropped yet, oldest first: how it is written -> what it says."""
        found = await self._run("LRANGE", self.keys.requests, 0, _AT_ONCE - 1)
        return {text: _read(text) for text in found}

    async def drop_request(self, text: str) -> None:
        """Forgets a request that was obeyed, by how it is written."""
        await self._run("LREM", self.keys.requests, 1, text)


def _read(text: str) -> dict[str, Any]:
    """What a request says; nothing when it is not one of ours."""
    try:
        request = json.loads(text)
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}
