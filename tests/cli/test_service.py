from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from taco.broker import Broker
from taco.models import AgentState, Level
from taco.paths import SessionRecord
from taco.records import state_fields
from tests.cli.conftest import Shop, forbidden, taco
from tests.support.tmux import Tmux
from tests.support.web import a_web


@pytest.fixture
def port() -> Iterator[int]:
    with a_web() as web:
        yield web.port


def test_a_service_is_registered_and_found(shop: Shop, port: int) -> None:
    done = taco("service", "register", "front", "--port", str(port), env=shop.pane("web"))
    assert (done.code, done.out) == (0, f"http://localhost:{port}\n")
    assert taco("service", "url", "front", env=shop.pane("api")).out == done.out
    [found] = taco("service", "--json").json
    assert (found["name"], found["health"], found["owner"]) == ("front", "healthy", "web")
    assert "front" in taco("service", "list").out


def test_a_port_is_chosen_when_none_is_given(shop: Shop) -> None:
    done = taco("service", "register", "front", "--json", env=shop.pane("web"))
    assert done.json["url"] == f"http://localhost:{done.json['port']}"
    assert done.json["health"] == "down"
    assert "nothing answers" in done.err


def test_names_and_places_are_not_taken_twice(shop: Shop, port: int) -> None:
    taco("service", "register", "front", "--port", str(port), env=shop.pane("web"))
    assert taco("service", "register", "front", "--port", "1", env=shop.pane("api")).code == 1
    assert taco("service", "register", "other", "--port", str(port), env=shop.pane("api")).code == 1
    assert taco("service", "register", "front", "--port", str(port), env=shop.pane("web")).code == 0


@pytest.mark.parametrize(
    "args",
    [
        ["X Y"],
        ["front", "--url", "localhost"],
        ["front", "--url", "http://localhost:1", "--port", "2"],
        ["f", "--port", "0"],
    ],
)
def test_what_is_no_place_is_refused(shop: Shop, args: list[str]) -> None:
    assert taco("service", "register", *args, env=shop.pane("web")).code == 2


def test_an_unknown_service_lists_the_others(shop: Shop, port: int) -> None:
    taco("service", "register", "front", "--port", str(port))
    done = taco("service", "url", "back")
    assert (done.code, "services: front" in done.err) == (5, True)


def test_wait_ends_when_it_is_healthy(shop: Shop, port: int) -> None:
    taco("service", "register", "front", "--port", str(port), env=shop.pane("web"))
    for health in ("", "tcp", f"http://127.0.0.1:{port}/ok"):
        done = taco("service", "wait", "front", "--timeout", "20", "--health", health, env=shop.pane("api"))
        assert (done.code, done.out) == (0, f"http://localhost:{port}\n")


@pytest.mark.parametrize("path", ["/broken", "/missing"])
def test_an_answer_that_is_an_error_is_not_healthy(shop: Shop, port: int, path: str) -> None:
    health = f"http://127.0.0.1:{port}{path}"
    done = taco("service", "register", "front", "--port", str(port), "--health", health)
    assert (done.code, "it is not healthy" in done.err) == (0, True)
    [found] = taco("service", "--json").json
    assert (found["health"], found["check"]) == ("unhealthy", health)
    for args in ((), ("--health", health)):
        done = taco("service", "wait", "front", "--timeout", "0", *args)
        assert (done.code, done.out, "answers" in done.err) == (75, "", True)
    assert taco("service", "wait", "front", "--timeout", "0", "--health", "tcp").code == 0
    assert taco("service", "--json").json[0]["health"] == "unhealthy"  # what another rule says is not noted


def test_wait_ends_when_the_time_is_over(shop: Shop) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        taco("service", "register", "back", "--url", f"redis://127.0.0.1:{unused.getsockname()[1]}")
        done = taco("service", "wait", "back", "--timeout", "0", "--json", env=shop.pane("web"))
    assert (done.code, done.json["health"]) == (75, "down")
    assert taco("service", "wait", "nothing", "--timeout", "0").code == 75
    assert taco("service", "wait", "back", "--health", "file:///etc/passwd", "--timeout", "0").code == 2


def test_an_agent_names_no_other_machine(shop: Shop) -> None:
    for args in (("register", "db", "--url", "http://10.0.0.1:80"), ("wait", "db", "--health", "http://example.com/x")):
        done = taco("service", *args, env=shop.pane("web"))
        assert (done.code, "is not on this machine" in done.err) == (1, True)


def test_auto_is_a_port_of_its_own_that_stays(shop: Shop) -> None:
    shop.do(lambda broker: broker.put_session({"port_range": "20000-20999"}))
    first, second = (
        taco("service", "register", name, "--port", "auto", "--json", env=shop.pane("web")).json
        for name in ("front", "back")
    )
    assert first["port"] != second["port"]
    assert {first["port"], second["port"]} <= set(range(20_000, 21_000))
    again = taco("service", "register", "front", "--json", env=shop.pane("web")).json
    assert (again["port"], again["claimed"]) == (first["port"], True)
    assert taco("service", "register", "front", "--port", "auto", "--url", "http://localhost:1").code == 2
    assert taco("service", "register", "front", "--port", "any").code == 2


def test_a_port_of_another_session_is_refused_and_said_whose(shop: Shop, port: int) -> None:
    async def elsewhere(broker: Broker) -> None:
        other = await Broker.connect(shop.url, "other")
        await other.put_session({"status": "running", "home": "/another", "node": "machine"})
        await other.claim_port("other/db", [(port, None)])
        await other.close()

    shop.do(elsewhere)
    done = taco("service", "register", "front", "--port", str(port), env=shop.pane("web"))
    assert (done.code, done.out) == (1, "")
    assert f"port {port} is claimed for service 'db' of session other" in done.err

    async def stop(broker: Broker) -> None:
        other = await Broker.connect(shop.url, "other")
        await other.put_session({"status": "stopped"})
        await other.close()

    shop.do(stop)
    assert taco("service", "register", "front", "--port", str(port), env=shop.pane("web")).code == 0


def test_a_session_that_is_gone_from_the_disk_or_from_tmux_keeps_no_port(shop: Shop, port: int, tmux: Tmux) -> None:
    home = shop.record.home
    record = SessionRecord("other", home, "running", tmux_socket=tmux.socket, redis_url=shop.url)
    record.save()
    tmux.run("new-session", "-d", "-s", "other", "sleep 600")
    tmux.run("set-option", "-p", "-t", "other:", "@taco_agent", "other/executor")

    async def claim(broker: Broker) -> None:
        other = await Broker.connect(shop.url, "other")
        await other.put_session({"status": "running", "home": str(home), "node": os.uname().nodename})
        await other.claim_port("other/db", [(port, None)])
        await other.close()

    shop.do(claim)
    here = ("service", "register", "front", "--port", str(port), "--session", "shop")
    assert taco(*here).code == 1
    tmux.run("kill-session", "-t", "other")
    assert taco(*here).code == 0


def test_the_person_unregisters_and_the_port_is_free(shop: Shop, port: int) -> None:
    taco("service", "register", "front", "--port", str(port), env=shop.pane("web"))
    done = taco("service", "unregister", "front", env=shop.pane("web"))
    assert (done.code, "is the person's to run" in done.err) == (1, True)
    assert taco("service", "unregister", "front").code == 0
    assert taco("service", "unregister", "front").code == 5
    assert taco("service", "--json").json == []
    assert taco("service", "register", "other", "--port", str(port), env=shop.pane("api")).code == 0


def test_a_command_for_health_is_the_persons(shop: Shop, port: int, tmp_path: Path) -> None:
    shop.record.changed(project_dir=tmp_path).save()
    command = ("--port", str(port), "--health", "test -f 'is ready'")
    done = taco("service", "register", "front", *command, env=shop.pane("web"))
    assert (done.code, done.out, "only the person may give" in done.err) == (1, "", True)
    done = taco("service", "wait", "front", "--health", "true", "--timeout", "0", env=shop.pane("web"))
    assert (done.code, "only the person may give" in done.err) == (1, True)
    done = taco("service", "register", "front", *command)
    assert (done.code, "test ends with 1" in done.err) == (0, True)
    (tmp_path / "is ready").touch()
    done = taco("service", "wait", "front", "--timeout", "0", env=shop.pane("web"))
    assert (done.code, "test ends with 1" in done.err) == (75, True)  # the executor's to run, and none is here
    assert taco("service", "wait", "front", "--timeout", "0").code == 0
    assert taco("service", "wait", "front", "--timeout", "0", env=shop.pane("web")).code == 0
    done = taco("service", "register", "back", "--port", "1", "--health", "no-such-program")
    assert (done.code, "there is no program 'no-such-program'" in done.err) == (2, True)


def test_whose_agent_has_ended_is_not_healthy(shop: Shop, port: int) -> None:
    taco("service", "register", "front", "--port", str(port), env=shop.pane("api"))
    shop.do(lambda broker: broker.set_agent(3, dict(state_fields(AgentState(Level.EXITED, "1")))))
    done = taco("service", "wait", "front", "--timeout", "0", "--json")
    assert (done.code, done.json["health"], "has ended" in done.json["reason"]) == (75, "down", True)
    for text in (taco("service").out, taco("status").out):
        assert "unhealthy" in text
        assert "its agent api has ended: exited(1)" in text
    assert taco("status", "--json").json["services"][0]["reason"] == "its agent api has ended: exited(1)"


def test_in_a_sandbox_it_is_left_in_the_outbox(shop: Shop, short_tmp: Path) -> None:
    short_tmp.chmod(0o755)  # it is found below this directory
    outbox = short_tmp / "outbox"
    first, again = (forbidden(shop, outbox, "service", "register", "front", "--health", "tcp") for _ in range(2))
    assert (first.code, first.out) == (0, again.out), first.err
    assert "a message tells you which one is yours" in first.err
    forbidden(shop, outbox, "service", "register", "back", "--port", "3000")
    front, _, back = (json.loads(file.read_text())["service"] for file in sorted(outbox.iterdir()))
    assert (first.out, front["auto"]) == (f"http://localhost:{front['port']}\n", True)
    assert back == {"name": "back", "url": "http://localhost:3000", "port": 3_000, "auto": False}


def test_names_of_services_are_completed(shop: Shop, port: int) -> None:
    taco("service", "register", "front", "--port", str(port))
    env = {"_TACO_COMPLETE": "bash_complete", "COMP_WORDS": "taco service url f", "COMP_CWORD": "3"}
    assert taco(env=env).out == "plain,front\n"
