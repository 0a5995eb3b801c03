"""What the rooms of a running session have to say: the name of an event and its values, for whoever listens."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Listener = Callable[[str, str, Mapping[str, Any]], None]  # level, event, values


def info(event: str, **values: Any) -> None:
    """Something worth knowing."""
    _listener("info", event, values)


def warning(event: str, **values: Any) -> None:
    """Something that mends itself."""
    _listener("warning", event, values)


def error(event: str, **values: Any) -> None:
    """Something that a person should look at."""
    _listener("error", event, values)


def exception(event: str, **values: Any) -> None:
    """An error with the traceback of the exception that is being handled, in the value `exception`."""
    _listener("error", event, {**values, "exception": traceback.format_exc().rstrip()})


def listen(listener: Listener) -> None:
    """From now on `listener` hears everything, instead of standard error."""
    global _listener
    _listener = listener


def _print(level: str, event: str, values: Mapping[str, Any]) -> None:
    print(level, event, *(f"{name}={value}" for name, value in values.items()), file=sys.stderr)


_listener: Listener = _print
