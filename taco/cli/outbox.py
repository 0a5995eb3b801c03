"""What an agent leaves for the executor when its sandbox forbids to connect: one whole JSON file per call.

Each file is `{"verb", "id", "sender", "timestamp", …}`, the other fields those of the call; a target is as it was
given, since only the executor can look it up. Codex 0.169's default sandbox answers EPERM to every connect.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taco.errors import BrokerError


def drop(verb: str, fields: Mapping[str, Any], cause: BrokerError) -> None:
    """Leave a call in $TACO_OUTBOX; raises `cause` when there is no such directory or it cannot be written."""
    directory = os.environ.get("TACO_OUTBOX")
    if not directory:
        raise cause
    path = Path(directory) / f"{time.time_ns()}-{fields['id']}.json"
    draft = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            json.dump({"verb": verb, **fields}, file, ensure_ascii=False)
        draft.rename(path)
    except OSError:
        raise cause from None
