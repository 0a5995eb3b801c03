"""In-memory twins of what lies outside: the same methods, no server. For tests of the rooms above.

`tests/integration/test_broker.py` holds the twin of the broker to the behaviour of the real one.
"""

from __future__ import annotations

from taco.testing.queue import Queue
from taco.testing.requests import Requests
from taco.testing.services import Services
from taco.testing.state import State

__all__ = ["MemoryBroker"]


class MemoryBroker(Queue, State, Services, Requests):
    """The Broker of one session, without Redis; everything is gone with the object."""
