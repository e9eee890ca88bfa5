"""The Kafka envelope, as far as the evaluator and the projections look at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

Header = tuple[str, bytes | None]
Headers = Sequence[Header]


class Record(Protocol):
    """Anything that carries these: aiokafka's own records, or `PlainRecord`.

    Units: timestamp, milliseconds since 1970, the broker's append time on source topics.
    """

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class PlainRecord(NamedTuple):
    """A record made by hand: for files, tests and the simulation."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
