from __future__ import annotations

import os
from pathlib import Path

import pytest

from taco.checks import check_directory
from taco.errors import UsageError


def test_a_project_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_directory(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(UsageError, match=f"{tmp_path} cannot be written") as caught:
        check_directory(tmp_path)
    assert "--dir" in caught.value.hint
