"""The tools of `tools` over MCP on standard input and output: the only import of the SDK, 50 MB and half a second.

Standard output is the protocol's while it serves: the SDK puts the descriptor aside, so that whatever is printed goes
to stderr. Tools run in threads of their own, since `ask` and the others may wait.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from functools import partial
from typing import Any, NoReturn

import anyio
import anyio.to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from taco import __version__
from taco.cli import say
from taco.cli.outcome import translated
from taco.cli.tools import Answer, Call, call, named, offered_to
from taco.errors import Exit, TacoError

NAME = "taco"


def serve(caller: Call) -> NoReturn:
    """Serve until the client is gone, and end the process: what a tool still waits for then is given up."""
    code = Exit.OK
    try:
        anyio.run(_serve, caller)
    except BaseException:
        traceback.print_exc()
        code = Exit.FAILED
    sys.stderr.flush()
    os._exit(int(code))  # a thread may wait for an answer that nobody would read


async def _serve(caller: Call) -> None:
    async def list_tools(context: ServerRequestContext, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=_listed(caller))

    async def call_tool(context: ServerRequestContext, params: CallToolRequestParams) -> CallToolResult:
        over = threading.Event()
        call_ = caller._replace(is_read=lambda: not over.is_set())
        try:
            work = partial(_call, call_, params.name, params.arguments or {})
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        finally:
            over.set()

    server = Server(NAME, version=__version__, on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def _listed(caller: Call) -> list[Tool]:
    return [
        Tool(
            name=each.name,
            description=each.help,
            input_schema=each.schema(),
            annotations=ToolAnnotations(
                read_only_hint=each.reads, destructive_hint=False, idempotent_hint=each.reads, open_world_hint=False
            ),
        )
        for each in offered_to(caller.who)
    ]


def _call(caller: Call, name: str, given: dict[str, Any]) -> CallToolResult:
    """What a tool answers, or the error with its message, code and hint."""
    try:
        return _result(translated(lambda: call(named(name, caller.who), caller, given)))
    except TacoError as error:
        return _refused(error)


def _refused(error: TacoError) -> CallToolResult:
    told = {"code": error.code, "message": error.message, "hint": error.hint or None}
    hint = f" — {say.clean(error.hint)}" if error.hint else ""
    text = f"error: {say.clean(error.message)}{hint}"
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content={"error": told}, is_error=True
    )


def _result(answer: Answer) -> CallToolResult:
    text = json.dumps(answer, ensure_ascii=False)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=answer)
