"""Fixtures of the tests that need real tmux and real Redis together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.delivery import Rig
from tests.support.tmux import Tmux


@pytest.fixture
async def rig(tmux: Tmux, taco_home: Path) -> AsyncIterator[Rig]:
    """One tmux server, one Redis and the couriers of one session."""
    async with Rig.open(tmux, taco_home) as rig:
        yield rig
