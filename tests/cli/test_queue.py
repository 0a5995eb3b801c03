from __future__ import annotations

import pytest

from taco.broker import Broker
from taco.models import Command, CommandState, Incarnation, Outcome, Priority
from tests.cli.conftest import Shop, taco

AT = "2026-01-01T00:00:01.000Z"


@pytest.fixture
def filled(shop: Shop) -> Shop:
    """One message is dead, one unconfirmed, one typed, two wait."""

    async def work(broker: Broker) -> None:
        for name, state in (("gone", CommandState.DEAD), ("vague", CommandState.UNCONFIRMED)):
            await broker.enqueue(Command(name, "person", "web", f"hello {name}"))
            head = (await broker.heads("web")).head
            assert head is not None
            await broker.finish(head, Outcome(state, reason=f"because {name}"), AT)
        await broker.enqueue(Command("typed", "person", "web", "hello typed"))
        head = (await broker.heads("web")).head
        assert head is not None
        await broker.begin(head, Incarnation(1, 2, "%5", 3))
        await broker.typed(head, AT)
        await broker.enqueue(Command("one", "mother", "api", "hello one"))
        await broker.enqueue(Command("two", "mother", "api", "hello two", Priority.HIGH))

    shop.do(work)
    return shop


def test_the_queue_has_the_promised_json(filled: Shop) -> None:
    filled.do(lambda broker: broker.held("api", "two", "paused"))
    found = taco("queue", "--json").json
    assert found.keys() == {"agents", "dead", "unconfirmed"}
    api = found["agents"]["api"]
    assert api.keys() == {"high", "normal", "low", "oldest_wait_s", "hold"}
    assert (api["high"], api["normal"], api["low"], api["hold"]) == (1, 1, 0, "paused")
    assert api["oldest_wait_s"] >= 0
    assert found["agents"]["mother"]["oldest_wait_s"] is None
    [dead], [vague] = found["dead"], found["unconfirmed"]
    assert (dead["id"], dead["target"], dead["reason"], dead["message"]) == (
        "gone",
        "web",
        "because gone",
        "hello gone",
    )
    assert vague["id"] == "vague"
    assert taco("queue", "list", "--json").json["dead"] == found["dead"]
    assert taco("queue", "dead", "--json").json == {"dead": found["dead"], "unconfirmed": found["unconfirmed"]}


def test_people_see_the_reasons(filled: Shop) -> None:
    done = taco("queue")
    assert done.code == 0
    assert "because gone" in done.out
    assert "because vague" in done.out
    assert "taco queue retry ID" in done.err


def test_a_dead_letter_is_sent_again_or_dropped(filled: Shop) -> None:
    assert taco("queue", "retry", "gone").out == "gone: queued again for web\n"
    assert taco("queue", "show", "gone", "--json").json["state"] == "queued"
    assert taco("queue", "drop", "vague", "--json").json == {"id": "vague", "state": "dropped"}
    found = taco("queue", "--json").json
    assert (found["dead"], found["unconfirmed"]) == ([], [])
    assert taco("queue", "retry", "gone").code == 1
    assert taco("queue", "retry", "never").code == 5


def test_what_waits_can_be_cancelled(filled: Shop) -> None:
    assert taco("queue", "cancel", "one").out == "one: cancelled\n"
    assert taco("queue", "cancel", "typed", "--json").json == {"id": "typed", "state": "typed"}
    assert taco("queue", "cancel", "one").code == 1
    assert taco("queue", "cancel", "never").code == 5
    assert taco("queue", "show", "one", "--json").json["state"] == "cancelled"


def test_an_unknown_message_is_not_found(shop: Shop) -> None:
    done = taco("queue", "show", "never", "--json")
    assert done.code == 5
    assert done.json["error"]["code"] == "not_found"
    assert "never" in done.json["error"]["message"]


def test_options_may_stand_before_the_subcommand(filled: Shop) -> None:
    assert taco("queue", "--json", "dead").json["dead"]
    assert taco("queue", "--session", "shop", "--json").json["agents"]
    assert taco("queue", "bury", "one").code == 2
