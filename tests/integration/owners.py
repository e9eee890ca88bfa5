"""For who owns a partition by hand: a pace at which nothing commits by itself, and an end that a test survives."""

from __future__ import annotations

from typing import NoReturn

from processor.kafka.pace import Pace

NEVER = Pace(head_s=3600, backlog_s=3600, records_max=10**9)  # only when the test says so
APPENDED_MS = 1_780_000_000_000
NUMBER = 2  # the partition that the tests look at


class Exited(Exception):  # noqa: N818 - not an error of the test
    """Stands for the end of the process."""


def leave(why: str, *, code: int = 70) -> NoReturn:
    raise Exited(f"{why} ({code})")
