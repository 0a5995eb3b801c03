"""`taco service`: what agents offer each other."""

from __future__ import annotations

import os
import re
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from taco import services
from taco.calls import new_id
from taco.cli import outbox, place, say
from taco.cli.caller import AGENT_WAIT_S, Caller, caller
from taco.cli.options import Family, complete_service, json_option, session_option
from taco.errors import Exit, RefusedError, UsageError
from taco.line import ForbiddenError
from taco.models import PORT_RANGE, Service, iso, port_range

if TYPE_CHECKING:
    from taco.broker import Broker

AUTO = "auto"
HEALTH_STYLES = {services.HEALTHY: "green", services.UNHEALTHY: "red", services.DOWN: "red"}
_HEALTH_HELP = "What shows that it is healthy; a command (which ends with 0) only from the person. "


def _port(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A port of this machine; 0 for `auto`, None where none was named."""
    if value is None or value == AUTO:
        return None if value is None else 0
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 1 <= int(value) <= 65_535:
        raise click.BadParameter(f"{value!r} is neither auto nor a number from 1 to 65535", ctx, param)
    return int(value)


@click.group(cls=Family, default="list")
def service() -> None:
    """Register, find or wait for a service that an agent runs."""


@service.command()
@click.argument("name")
@click.option("--port", metavar="auto|N", callback=_port, help="Its port on this machine; auto: one nobody else has.")
@click.option("--url", default="", help="Where it is, when that is not http://localhost:PORT.")
@click.option("--health", default="", metavar="URL|tcp|CMD", help=f"{_HEALTH_HELP}Default: its url answers.")
@json_option
@session_option
def register(name: str, port: int | None, url: str, health: str, as_json: bool, session: str | None) -> None:
    """Tell the team that NAME runs at --port or --url; with neither, a port is chosen for it. Prints its url.

    The port is the service's own from then on, over all sessions of this machine. Registering NAME again keeps it.
    """
    if not services.NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a service", hint="a-z, 0-9, _ . and -, up to 64 characters")
    if port == 0 and url:
        raise UsageError("--port auto and --url differ", hint="give one of them")
    who = caller()
    _check_local(url, who)
    here = place.find(session, who)
    _check_rule(health, who, here)
    wanted = services.service_from(name, url=url, port=port or 0, owner=who.name, check=health)
    try:
        place.with_line(here, lambda line: line.call("PING"))
        wanted = place.with_broker(
            here, lambda broker: services.register(broker, wanted, _runs(), _workplace(here, who))
        )
    except ForbiddenError as error:
        wanted = _leave(wanted, here, error)
    _print(wanted, as_json=as_json)
    if wanted.health == services.DOWN:
        say.note(f"nothing answers at {wanted.url} yet; taco service wait {name} waits until it does")
    elif wanted.health == services.UNHEALTHY:
        say.note(f"it is not healthy: {wanted.reason}")


def _leave(wanted: Service, here: place.Place, error: ForbiddenError) -> Service:
    """Register through the outbox: the executor claims the port, and says so when it has to be another one."""
    auto = not wanted.port
    if auto:
        port = services.guess(here.name, wanted.name, _allowed(here))
        wanted = replace(wanted, port=port, url=f"http://localhost:{port}")
    fields = {"name": wanted.name, "url": wanted.url, "port": wanted.port, "auto": auto}
    call = {"id": new_id(), "sender": wanted.owner, "timestamp": iso(time.time()), "service": fields}
    outbox.drop("service", call, error)
    say.note("registered through the outbox: this sandbox does not allow connections")
    if auto:
        say.note("if another service has that port already, a message tells you which one is yours")
    if wanted.check not in ("", services.TCP):
        say.note(f"its health is seen by a connection to its port, not by {wanted.check}")
    return replace(wanted, check=services.TCP)


def _allowed(here: place.Place) -> range:
    """The range of ports as the files say: the session's own cannot be read in a sandbox."""
    from taco import files, paths
    from taco.errors import TacoError

    try:
        text = files.settings(paths.config_home(), paths.home(), here.record.project_dir).config.port_range
    except (TacoError, OSError):
        text = PORT_RANGE
    return port_range(text)


@service.command()
@click.argument("name", shell_complete=complete_service)
@json_option
@session_option
def url(name: str, as_json: bool, session: str | None) -> None:
    """Print where service NAME is."""
    found = place.with_broker(place.find(session), lambda broker: services.find(broker, name))
    _print(found, as_json=as_json)


@service.command()
@click.argument("name", shell_complete=complete_service)
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), default=60, show_default=True, metavar="S")
@click.option("--health", default="", metavar="URL|tcp|CMD", help=f"{_HEALTH_HELP}Default: as it was registered.")
@json_option
@session_option
def wait(name: str, timeout_s: float, health: str, as_json: bool, session: str | None) -> int:
    """Wait until service NAME is registered and healthy, and print its url. Ends with 75 when it is not in time."""
    who = caller()
    here = place.find(session, who)
    _check_rule(health, who, here)
    limit = who.wait_s(timeout_s)
    at = None if who.is_agent else _workplace(here, who)
    found = place.with_broker(here, lambda broker: services.wait(broker, name, limit, health, at))
    if found and found.health == services.HEALTHY:
        _print(found, as_json=as_json)
        return int(Exit.OK)
    reason = (found.reason or f"it is {found.health}") if found else "nobody has registered it"
    again = "; an agent waits 100 s at most, so call it again" if timeout_s > AGENT_WAIT_S and who.is_agent else ""
    say.note(f"service {name} is not healthy after {limit:g} s: {say.clean(reason)}{again}")
    if as_json:
        gone = {"name": name, "url": None, "port": None, "health": services.DOWN, "owner": None}
        say.data(gone | {"reason": reason})
    return int(Exit.STILL_WAITING)


@service.command()
@click.argument("name", shell_complete=complete_service)
@json_option
@session_option
def unregister(name: str, as_json: bool, session: str | None) -> None:
    """Forget service NAME; its port is free for others. What runs there goes on."""
    found = place.with_broker(place.find(session), lambda broker: services.unregister(broker, name))
    if as_json:
        say.data(asdict(found))
    else:
        say.out(f"{name}: unregistered")


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
        ["SERVICE", "URL", "HEALTH", "OWNER", "REASON"],
        [[each.name, each.url or each.port or "", each.health, each.owner, each.reason] for each in found],
        styles={0: "bold", 2: lambda text: HEALTH_STYLES.get(text.strip(), "dim"), 4: "dim"},
    )


def _check_local(url: str, who: Caller) -> None:
    """An agent makes TACO call this machine only: its own sandbox may forbid it the network."""
    if who.is_agent and url and not services.is_local(url):
        raise RefusedError(f"{url} is not on this machine", hint="agents give http://localhost:PORT")


def _check_rule(health: str, who: Caller, here: place.Place) -> None:
    """What may be looked at to see that a service is healthy; an agent makes TACO run nothing."""
    if who.is_agent and services.is_command(health):
        raise RefusedError(
            f"--health {health!r} is a command, which only the person may give",
            hint="agents give tcp, or a url such as http://localhost:8000/health",
        )
    if health and health != services.TCP:
        if not services.is_command(health):
            _check_local(health, who)
        services.check_rule(health, _workplace(here, who))


def _workplace(here: place.Place, who: Caller) -> services.Workplace:
    """Where the person's commands run; an agent has none to run, and may not be able to read the record."""
    from pathlib import Path

    directory = Path() if who.is_agent else here.record.project_dir
    return services.Workplace(directory, dict(os.environ))


def _runs() -> services.Runs:
    """Whether another session runs; looked at only when its port is wanted."""

    async def runs(name: str, fields: Any) -> bool:
        from taco import paths, supervision

        return await supervision.runs(paths.home(), name, fields)

    return runs


def _print(found: Service, *, as_json: bool) -> None:
    if as_json:
        say.data(asdict(found))
    else:
        say.out(found.url or str(found.port))
