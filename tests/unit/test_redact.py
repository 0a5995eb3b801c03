"""What looks like a secret is not kept; what does not, is."""

from __future__ import annotations

import json

import pytest

from taco import calls, records
from taco.models import Command, Event, EventType
from taco.redact import HIDDEN, redact, redacted

SECRETS = [
    "sk-ant-api03-AbCdEf0123456789_-xyz",
    "sk-proj-0123456789abcdef",
    "ghp_0123456789abcdefghij0123",
    "github_pat_11ABCDEFG0123456789ab",
    "glpat-0123456789abcdefgh",
    "xoxb-0123456789-abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA0123456789abcdefghijklmnopqrstu",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "sk_live_0123456789abcdefgh",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_keys_are_known_by_their_beginning(secret: str) -> None:
    assert redact(f"use {secret}, please") == f"use {HIDDEN}, please"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("export DB_PASSWORD=hunter2; run", f"export DB_PASSWORD={HIDDEN}; run"),
        ('{"password": "swordfish", "user": "me"}', f'{{"password": "{HIDDEN}", "user": "me"}}'),
        ("passwd: abcd", f"passwd: {HIDDEN}"),
        ("API_TOKEN = abc123def", f"API_TOKEN = {HIDDEN}"),
        ("client_secret: correcthorsebatterystaple", f"client_secret: {HIDDEN}"),
        ("api-key=x9y8z7w6", f"api-key={HIDDEN}"),
        ("postgres://app:s3cret@db:5432/x", f"postgres://app:{HIDDEN}@db:5432/x"),
        ("Authorization: Bearer abcdefghijklmnop", f"Authorization: Bearer {HIDDEN}"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nok", f"{HIDDEN}\nok"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", HIDDEN),
    ],
)
def test_what_stands_behind_a_name_is_hidden(text: str, kept: str) -> None:
    assert redact(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "the token is read from the environment",
        "key: value",
        "token: string",
        "a secret garden",
        "http://localhost:8000/path?x=1",
        "ask-ant, task-oriented-programming-language",
        "git@github.com:me/repo.git",
        "the password field is empty",
        "basic auth, bearer of news",
        "ghost_town",
        "def token(self) -> str: ...",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert redact(text) == text


def test_values_within_values() -> None:
    found = redacted({"a": ["password=hunter2", 7, None], "b": {"c": ("sk-proj-0123456789abcdef",)}})
    assert found == {"a": [f"password={HIDDEN}", 7, None], "b": {"c": [HIDDEN]}}


def test_neither_ledger_nor_events_hold_it_and_the_message_does() -> None:
    secret = SECRETS[0]
    letter = Command("c1", "person", "api", f"use {secret}", timestamp="2026-01-01T00:00:00.000Z")
    args = calls.enqueue_args("s", letter, letter.timestamp)
    assert [each for each in args if secret in str(each)] == [letter.message]
    event = Event(EventType.PERSON_MESSAGE, "s", content=secret, data={"message": f"it is {secret}"})
    assert secret not in records.event_json(event)
    assert json.loads(records.event_json(event))["data"] == {"message": f"it is {HIDDEN}"}
    assert secret not in records.event_json(records.queued_event("s", letter))


def test_a_secret_at_the_cut_is_not_kept_in_part() -> None:
    text = "x" * (calls.PREVIEW - 8) + " " + SECRETS[0]
    assert "sk-ant" not in calls.preview(text)
