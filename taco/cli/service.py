"""`taco service`: what agents offer each other."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from taco import services
from taco.cli import outbox, place, say
from taco.cli.caller import AGENT_WAIT_S, Caller, caller
from taco.cli.options import Family, json_option, session_option
from taco.cli.sending import new_id
from taco.errors import Exit, RefusedError, UsageError
from taco.line import ForbiddenError
from taco.models import Service, iso

if TYPE_CHECKING:
    from taco.broker import Broker

HEALTH_STYLES = {services.HEALTHY: "green", services.UNHEALTHY: "red", services.DOWN: "red"}


@click.group(cls=Family, default="list")
def service() -> None:
    """Register, find or wait for a service that an agent runs."""


@service.command()
@click.argument("name")
@click.option("--port", type=click.IntRange(1, 65_535), default=None, help="Its port on this machine.")
@click.option("--url", default="", help="Where it is, when that is not http://localhost:PORT.")
@json_option
@session_option
def register(name: str, port: int | None, url: str, as_json: bool, session: str | None) -> None:
    """Tell the team that NAME runs at --port or --url; with neither, a free port is chosen for it. Prints its url."""
    if not services.NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a service", hint="a-z, 0-9, _ . and -, up to 64 characters")
    who = caller()
    _check_local(url, who)
    here = place.find(session, who)
    wanted = services.service_from(name, url=url, port=port or 0, owner=who.name)
    try:
        place.with_line(here, lambda line: line.call("PING"))
        wanted = place.with_broker(here, lambda broker: services.register(broker, wanted))
    except ForbiddenError as error:
        call = {"id": new_id(), "sender": who.name, "timestamp": iso(time.time()), "service": asdict(wanted)}
        outbox.drop("service", call, error)
        say.note("registered through the outbox: this sandbox does not allow connections")
    _print(wanted, as_json=as_json)
    if wanted.health == services.DOWN:
        say.note(f"nothing answers at {wanted.url} yet; taco service wait {name} waits until it does")


@service.command()
@click.argument("name")
@json_option
@session_option
def url(name: str, as_json: bool, session: str | None) -> None:
    """Print where service NAME is."""
    found = place.with_broker(place.find(session), lambda broker: services.find(broker, name))
    _print(found, as_json=as_json)


@service.command()
@click.argument("name")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), default=60, show_default=True, metavar="S")
@click.option("--health", default="", metavar="tcp|URL", help="What counts as healthy; default: its own url answers.")
@json_option
@session_option
def wait(name: str, timeout_s: float, health: str, as_json: bool, session: str | None) -> int:
    """Wait until service NAME is registered and healthy, and print its url. Ends with 75 when it is not in time."""
    who = caller()
    _check_local("" if health == "tcp" else health, who)
    limit = who.wait_s(timeout_s)
    here = place.find(session, who)
    found = place.with_broker(here, lambda broker: services.wait(broker, name, limit, health))
    if found:
        _print(found, as_json=as_json)
        return int(Exit.OK)
    again = "; an agent waits 100 s at most, so call it again" if timeout_s > AGENT_WAIT_S and who.is_agent else ""
    say.note(f"service {name} is not healthy after {limit:g} s{again}")
    if as_json:
        say.data({"name": name, "url": None, "port": None, "health": services.DOWN, "owner": None})
    return int(Exit.STILL_WAITING)


@service.command("list")
@json_option
@session_option
def list_(as_json: bool, session: str | None) -> None:
    """List the services of the session."""

    async def read(broker: Broker) -> list[Service]:
        return await broker.services()

    found = place.with_broker(place.find(session), read)
    if as_json:
        say.data([asdict(each) for each in found])
        return
    if not found:
        say.note("no services yet")
        return
    say.table(
        ["SERVICE", "URL", "HEALTH", "OWNER"],
        [[each.name, each.url or each.port, each.health, each.owner] for each in found],
        styles={0: "bold", 2: lambda text: HEALTH_STYLES.get(text.strip(), "dim")},
    )


def _check_local(url: str, who: Caller) -> None:
    """An agent makes TACO call this machine only: its own sandbox may forbid it the network."""
    if not url or not who.is_agent:
        return
    host = services.address(url)[0]
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        raise RefusedError(f"{url} is not on this machine", hint="agents give http://localhost:PORT")


def _print(found: Service, *, as_json: bool) -> None:
    if as_json:
        say.data(asdict(found))
    else:
        say.out(found.url or str(found.port))
