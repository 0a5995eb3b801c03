"""What the rooms of a running session have to say: the name of an event and its values, for whoever listens."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from structlog.typing import EventDict

Listener = Callable[[str, str, Mapping[str, Any]], None]  # level, event, values

_logger = structlog.get_logger()


def info(event: str, **values: Any) -> None:
    """Something worth knowing."""
    _logger.info(event, **values)


def warning(event: str, **values: Any) -> None:
    """Something that mends itself."""
    _logger.warning(event, **values)


def error(event: str, **values: Any) -> None:
    """Something that a person should look at."""
    _logger.error(event, **values)


def exception(event: str, **values: Any) -> None:
    """An error with the traceback of the exception that is being handled."""
    _logger.exception(event, **values)


def listen(listener: Listener) -> None:
    """From now on `listener` hears everything, instead of standard error."""

    def tell(_logger: object, level: str, values: EventDict) -> EventDict:
        listener(level, str(values.pop("event")), values)
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.processors.format_exc_info, tell],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )


def _print(level: str, event: str, values: Mapping[str, Any]) -> None:
    print(level, event, *(f"{name}={value}" for name, value in values.items()), file=sys.stderr)


listen(_print)
