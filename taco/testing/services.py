"""The services of the twin of the broker, and the ports of a machine with one session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from taco import records
from taco.errors import ConflictError
from taco.models import Claim, EventType, Limit, Service
from taco.testing.memory import Memory


class Services(Memory):
    """What agents offer, and whose the ports are."""

    async def put_service(self, service: Service) -> None:
        """Writes a service's record; tells when its place or its health changed. Raises ConflictError: another's."""
        old = self._services.get(service.name)
        if old == service:
            return
        if old and old.owner not in ("", service.owner):
            raise ConflictError(f"service {service.name!r} is {old.owner}'s", hint="choose another name")
        self._services[service.name] = service
        placed, health = records.service_events(self.session, service, self._now())
        if old is None or (old.url, old.port, old.owner) != (service.url, service.port, service.owner):
            self._tell(placed)
        elif old.health != service.health:
            self._tell(health)

    async def set_health(self, service: Service, health: str, reason: str, *, lost: bool = False) -> bool:
        """Notes how a service is that was looked at; `lost`: its place is not its own any more.

        False, and nothing noted, when it has another place, rule or owner by now, or is gone.
        """
        old = self._services.get(service.name)
        if old is None or _place(old) != _place(service):
            return False
        self._services[service.name] = seen = records.with_health(old, health, reason, lost=lost)
        if old.health != health or lost:
            self._tell(records.service_event(EventType.SERVICE_HEALTH, self.session, seen, self._now()))
        return True

    async def remove_service(self, service: Service) -> bool:
        """Forgets a service; False when there is none of that name."""
        if self._services.pop(service.name, None) is None:
            return False
        self._tell(records.service_event(EventType.SERVICE_REMOVED, self.session, service, self._now()))
        return True

    async def services(self) -> list[Service]:
        """All services by name."""
        return sorted(self._services.values(), key=lambda service: service.name)

    async def fields_of(self, session: str) -> dict[str, str]:
        """All of `session:state` of another session in the same Redis."""
        return dict(self._state) if session == self.session else {}

    async def claims(self) -> dict[int, Claim]:
        """Whose each port is that any session has claimed."""
        return dict(self._claims)

    async def claim_port(
        self, holder: str, wanted: Sequence[tuple[int, Claim | None]], *, keep: bool = False, refused: int = 0
    ) -> tuple[int, bool]:
        """Gives `holder` the first of some ports that it can have, and whether it is new to it; (0, False) for none.

        Each is free, or still has the claim beside it, which is replaced then. What the holder had before is given
        back; with `keep` it stays with that instead, unless that is the one it has `refused`.
        """
        held = [port for port, claim in self._claims.items() if claim.holder == holder]
        own = [port for port in held if keep and port != refused]
        free = (port for port, claim in wanted if port in held or self._claims.get(port) == claim)
        port = next(iter(own), 0) or next(free, 0)
        if port:
            self._claims = {at: claim for at, claim in self._claims.items() if claim.holder != holder}
            self._claims[port] = Claim(holder, self._now())
        return port, bool(port) and port not in held

    async def put_limit(self, limit: Limit) -> None:
        """Notes that an account is limited."""
        self._limits[limit.account] = limit

    async def drop_limit(self, limit: Limit) -> None:
        """Forgets the limit of an account."""
        self._limits.pop(limit.account, None)

    async def limits(self) -> list[Limit]:
        """The limits of all accounts, those that are over included."""
        return list(self._limits.values())

    async def release_ports(self, text: str) -> int:
        """Gives back every port whose claim begins with `text`: `<session>/` or `<session>/<service> `; how many."""
        kept = {port: claim for port, claim in self._claims.items() if not str(claim).startswith(text)}
        count, self._claims = len(self._claims) - len(kept), kept
        return count


def _place(service: Service) -> Service:
    return replace(service, health="", reason="", claimed=False)
