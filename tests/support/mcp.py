"""The official SDK's client, connected to a `taco mcp` of its own over standard input and output."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client, StdioServerParameters, stdio_client
from mcp.types import CallToolResult, Tool

from tests.support.paths import ROOT

SERVER = ("-m", "taco", "mcp")


@dataclass
class Speaker:
    """A client that is connected to a server of its own."""

    portal: BlockingPortal
    client: Client

    def tools(self) -> dict[str, Tool]:
        """What is offered, by name."""
        return {each.name: each for each in self.portal.call(self.client.list_tools).tools}

    def call(self, tool: str, /, **given: Any) -> CallToolResult:
        """What a tool answers."""
        return self.portal.call(self.client.call_tool, tool, given)

    def answer(self, tool: str, /, **given: Any) -> dict[str, Any]:
        """The answer of a tool that is no error: the same as text and as values."""
        found = self.call(tool, **given)
        assert not found.is_error, found
        values: dict[str, Any] = found.structured_content or {}
        assert json.loads(found.content[0].text) == values  # type: ignore[union-attr]
        return values

    def error(self, tool: str, /, **given: Any) -> dict[str, Any]:
        """The error of a tool: one line of text that says the same."""
        found = self.call(tool, **given)
        assert found.is_error, found
        error: dict[str, Any] = (found.structured_content or {})["error"]
        line: str = found.content[0].text  # type: ignore[union-attr]
        hint = f" — {error['hint']}" if error["hint"] else ""
        assert line == f"error: {error['message']}{hint}"
        assert "\n" not in line
        return error


@contextlib.contextmanager
def speaker(env: Mapping[str, str], *options: str, command: tuple[str, ...] = SERVER) -> Iterator[Speaker]:
    """A client of `taco mcp OPTIONS`, whose environment is ours and `env`."""
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    server = StdioServerParameters(command=sys.executable, args=[*command, *options], env=whole)
    with start_blocking_portal() as portal:
        client = portal.call(lambda: Client(stdio_client(server)))
        with portal.wrap_async_context_manager(client) as connected:
            yield Speaker(portal, connected)
