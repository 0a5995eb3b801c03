"""Draws a running session's monitor into an SVG file: `python -m tests.picture SESSION FILE`.

The picture in the README is made so, from a real session of demo agents.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from taco import paths
from taco.broker import Broker
from taco.monitor.app import MonitorApp
from taco.monitor.session_source import SessionSource

SIZE = (132, 34)


async def draw(name: str, path: Path) -> None:
    """The monitor of a running session, once, without a terminal."""
    record = paths.session(paths.home(), name)

    async def connect() -> Broker:
        return await Broker.connect(record.redis_url, record.name)

    async def jump(window: int) -> None:
        return None

    async def supervise() -> str:
        return ""

    path.parent.mkdir(parents=True, exist_ok=True)
    await MonitorApp(SessionSource(record, connect, jump=jump, supervise=supervise)).export_svg(path, SIZE)
    # The export names fonts on a server; a picture in a README may load none, and the reader's own will do.
    text = re.sub(r"@font-face \{.*?\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    path.write_text(re.sub(r"Fira Code, ?", "", text), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(draw(sys.argv[1], Path(sys.argv[2])))
