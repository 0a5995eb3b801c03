"""What agents offer each other, and whose the ports of this machine are."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict

from taco import records
from taco.broker.client import Client
from taco.errors import ConflictError
from taco.keys import LIMITS, PORTS, Keys
from taco.models import Claim, EventType, Limit, Service, iso


class Services(Client):
    """The services of one session, and the ports that all sessions share."""

    async def put_service(self, service: Service) -> None:
        """Writes a service's record; tells when its place or its health changed. Raises ConflictError: another's."""
        placed, health = records.service_events(self.session, service, iso(time.time()))
        args = (
            self.keys.live,
            records.event_json(placed),
            records.event_json(health),
            service.name,
            service.url,
            service.port,
            service.health,
            service.owner,
            service.check,
            service.reason,
            int(service.claimed),
        )
        owner = await self._script("put_service", self._keys_of(service.name), args)
        if isinstance(owner, str):
            raise ConflictError(f"service {service.name!r} is {owner}'s", hint="choose another name")

    async def set_health(self, service: Service, health: str, reason: str, *, lost: bool = False) -> bool:
        """Notes how a service is that was looked at; `lost`: its place is not its own any more.

        False, and nothing noted, when it has another place, rule or owner by now, or is gone.
        """
        seen = records.with_health(service, health, reason, lost=lost)
        told = records.service_event(EventType.SERVICE_HEALTH, self.session, seen, iso(time.time()))
        keys = (self.keys.service(service.name), self.keys.state, self.keys.events)
        place = (service.url, service.port, service.owner, service.check)
        args = (self.keys.live, records.event_json(told), *place, health, reason, int(lost))
        return bool(await self._script("set_health", keys, args))

    async def remove_service(self, service: Service) -> bool:
        """Forgets a service; False when there is none of that name."""
        told = records.service_event(EventType.SERVICE_REMOVED, self.session, service, iso(time.time()))
        args = (self.keys.live, records.event_json(told), service.name)
        return bool(await self._script("remove_service", self._keys_of(service.name), args))

    async def services(self) -> list[Service]:
        """All services by name."""
        found = await self._script("collect", (self.keys.services_index,), (self.keys.service(""),))
        listed = [records.service_from(records.pairs(flat)) for flat in found if flat]
        return sorted(listed, key=lambda service: service.name)

    async def fields_of(self, session: str) -> dict[str, str]:
        """All of `session:state` of another session in the same Redis."""
        return records.mapping(await self._run("HGETALL", Keys(session).state))

    async def claims(self) -> dict[int, Claim]:
        """Whose each port is that any session has claimed."""
        found = records.mapping(await self._run("HGETALL", PORTS))
        return {int(port): records.claim_from(text) for port, text in found.items() if port.isdecimal()}

    async def claim_port(
        self, holder: str, wanted: Sequence[tuple[int, Claim | None]], *, keep: bool = False, refused: int = 0
    ) -> tuple[int, bool]:
        """Gives `holder` the first of some ports that it can have, and whether it is new to it; (0, False) for none.

        Each is free, or still has the claim beside it, which is replaced then. What the holder had before is given
        back; with `keep` it stays with that instead, unless that is the one it has `refused`.
        """
        pairs = [word for port, claim in wanted for word in (port, "" if claim is None else str(claim))]
        args = (holder, iso(time.time()), "1" if keep else "", refused or "", *pairs)
        port, is_new = await self._script("claim_port", (PORTS,), args)
        return int(port or 0), bool(is_new)

    async def put_limit(self, limit: Limit) -> None:
        """Notes that an account is limited, for every session."""
        await self._run("HSET", LIMITS, limit.account, json.dumps(asdict(limit)))

    async def drop_limit(self, limit: Limit) -> None:
        """Forgets the limit of an account."""
        await self._run("HDEL", LIMITS, limit.account)

    async def limits(self) -> list[Limit]:
        """The limits of all accounts, those that are over included."""
        return [records.limit_from(text) for text in records.mapping(await self._run("HGETALL", LIMITS)).values()]

    async def release_ports(self, text: str) -> int:
        """Gives back every port whose claim begins with `text`: `<session>/` or `<session>/<service> `; how many."""
        return int(await self._script("release_ports", (PORTS,), (text,)))

    def _keys_of(self, name: str) -> tuple[str, ...]:
        return self.keys.service(name), self.keys.services_index, self.keys.state, self.keys.events
