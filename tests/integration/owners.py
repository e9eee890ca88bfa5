"""For who owns a partition by hand: an end that a test survives."""

from __future__ import annotations

from typing import NoReturn

APPENDED_MS = 1_780_000_000_000
NUMBER = 2  # the partition that the tests look at


class Exited(Exception):  # noqa: N818 - not an error of the test
    """Stands for the end of the process. Shapes: its code, and why where that is said."""


def leave(why: str, *, code: int = 70) -> NoReturn:
    raise Exited(code, why)
