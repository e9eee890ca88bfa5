"""Logs of the worker and of everything it is built on, in one form: JSON lines, or readable on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from mode import Service

from broker.logs import Sparing

# They speak of every step of a rebalance, and on DEBUG quote records.
LIBRARIES = ("aiokafka", "asyncio", "faust", "mode")


def configure_logs(level: str) -> None:
    """Everything goes to standard error; the libraries say only what went wrong."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_last_steps()))
    handler.addFilter(Sparing())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    Service.mundane_level = "debug"  # every start and stop of a service
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)


def _last_steps() -> list[Any]:
    hide = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if sys.stderr.isatty():
        return [hide, structlog.dev.ConsoleRenderer()]
    return [hide, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
