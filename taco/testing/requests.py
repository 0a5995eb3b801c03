"""The requests of the twin of the broker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from taco.testing.memory import Memory


class Requests(Memory):
    """Requests, left, looked at, and dropped when they are done."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As `Memory`."""
        super().__init__(*args, **kwargs)
        self._requests: list[str] = []

    async def push_request(self, request: Mapping[str, Any]) -> None:
        """Leaves a request."""
        self._requests.append(json.dumps(dict(request), ensure_ascii=False))

    async def requests(self) -> dict[str, dict[str, Any]]:
        """What was left and not dropped yet, oldest first: how it is written -> what it says."""
        return {text: json.loads(text) for text in self._requests}

    async def drop_request(self, text: str) -> None:
        """Forgets a request that was obeyed."""
        if text in self._requests:
            self._requests.remove(text)
