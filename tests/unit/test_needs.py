"""What a test needs and does not find: a skip that says what to install, and a failure in CI."""

from __future__ import annotations

import pytest

from tests.support.needs import require


def test_at_home_it_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PATH", "/no/such")
    with pytest.raises(pytest.skip.Exception, match="fish is not installed: apt-get install fish"):
        require("fish")


def test_in_ci_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PATH", "/no/such")
    with pytest.raises(pytest.fail.Exception, match="CI must have this: tmux is not installed"):
        require("tmux")
