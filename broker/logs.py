"""Logs of the Kafka client, which says the same thing many times a second while no broker answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

LIBRARY = "aiokafka"
EVERY_S = 30.0


class Sparing(logging.Filter):
    """Lets a message of the library through once in a while, with how often it came in between.

    A message is told by its format, so that the names of nodes and partitions in it make no new one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, str], float] = {}
        self._unsaid: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(LIBRARY):
            return True
        message, now = (record.name, str(record.msg)), self._clock()
        if now < self._said.get(message, -EVERY_S) + EVERY_S:
            self._unsaid[message] = self._unsaid.get(message, 0) + 1
            return False
        self._said[message] = now
        if unsaid := self._unsaid.pop(message, 0):
            record.msg, record.args = f"{record.getMessage()} (and {unsaid} more like it before)", ()
        return True
