"""All that is kept in Redis for one session (asyncio).

Every change of a command, its counters and its event is one Lua call (`taco/lua`), so that whatever
is killed, Redis tells the whole truth. The keys are listed in `taco/keys.py`.
"""

from __future__ import annotations

from taco.broker.events import Events
from taco.broker.queue import Queue
from taco.broker.requests import Requests
from taco.broker.services import Services
from taco.broker.state import State
from taco.records import Heads, Waiting

__all__ = ["Broker", "Heads", "Waiting"]


class Broker(Queue, State, Services, Events, Requests):
    """The Redis of one session: `await Broker.connect(url, session)`; failures are BrokerError."""
