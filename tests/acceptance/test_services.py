"""Services of two whole sessions on one machine, over the end of an agent, `stop` and `resume`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.sessions import House, Session, a_house
from tests.support.waiting import wait_for


@pytest.fixture
def house() -> Iterator[House]:
    with a_house(TACO_PORT_RANGE="20000-29999") as house:
        yield house


def of_agent(session: Session, agent: str) -> dict[str, str]:
    """What makes a call one of an agent."""
    return {"TACO_SESSION": session.name, "TACO_AGENT": agent}


def service(session: Session, name: str, **wanted: object) -> dict[str, object]:
    """A service of `taco service list`, once it is like that."""

    def found() -> dict[str, object]:
        each = next((each for each in session.json("service") if each["name"] == name), {})
        return each if each.items() >= wanted.items() else {}

    return wait_for(found, what=lambda: f"{name}: {wanted}\n{session.taco('service').stdout}\n{session.describe()}")


@pytest.mark.slow
def test_ports_outlive_a_stop_and_are_nobody_elses(house: House) -> None:
    left, right = (house.start_idle(name, "api", "web") for name in ("left", "right"))
    ports = {
        (session.name, agent): house.json("service", "register", agent, **of_agent(session, agent))["port"]
        for session in (left, right)
        for agent in ("api", "web")
    }
    assert len(set(ports.values())) == 4
    service(left, "api", health="down", port=ports["left", "api"])

    left.taco("send", "api", "!exit")
    assert "its agent api has ended" in str(service(left, "api", health="unhealthy")["reason"])

    left.stop()
    wanted = str(ports["left", "web"])
    taken = house.taco("service", "register", "mine", "--port", wanted, **of_agent(right, "api"))
    assert taken.stdout == f"http://localhost:{wanted}\n"
    left.resume()
    lost = service(left, "web", health="unhealthy", port=0)
    assert "claimed for service 'mine' of session right" in str(lost["reason"])
    assert service(left, "api")["port"] == ports["left", "api"]
    left.received("web", text="Your service web has lost its place")
    again = house.json("service", "register", "web", **of_agent(left, "web"))
    assert again["port"] not in ports.values()
    refused = house.taco("service", "register", "mine", "--port", wanted, check=False, **of_agent(left, "api"))
    assert (refused.returncode, "of session right" in refused.stderr) == (1, True)
