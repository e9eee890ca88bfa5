"""Errors by whom they name: the publisher, the catalog's author, the operator.

A message says what is wrong, with which values, and what to do. The exit code is the command line's.
"""

from __future__ import annotations

from typing import Literal

Cause = Literal[
    "null_value",
    "too_large",
    "invalid_utf8",
    "malformed_json",
    "bad_envelope",
    "bad_time",
    "bad_zone",
    "unknown_schemaversion",
    "bad_data",
    "wrong_key",
    "wrong_partition",
    "skipped",
    "bad_order",
    "state_full",
]


class LaurelError(Exception):
    """What is wrong, with which values, and what to do."""

    exit_code = 1


class Precondition(LaurelError):  # noqa: N818 - a state of the world, not a fault of ours
    """Something must be done before this can run: a topic created, a migration applied, a server started."""

    exit_code = 4


class BadCatalog(LaurelError):  # noqa: N818 - names the culprit
    """A catalog its author must mend; it never loads, and the running one stays."""


class BadRecord(LaurelError):  # noqa: N818 - names the culprit
    """A record its publisher must mend; it goes to the dead letters with this cause."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause: Cause = cause
