"""A producer that was fenced ends every future that it has, and asyncio prints the errors of those that nobody has
waited for. Who used the producer has had the error raised. Asks aiokafka's insides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaProducer


@contextmanager
def told_once(producer: AIOKafkaProducer) -> Iterator[None]:
    """An error of the producer is raised, and printed nowhere besides."""
    try:
        yield
    except Exception:
        for future in _left_by(producer):
            future.add_done_callback(heard)
        raise


def heard(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _left_by(producer: AIOKafkaProducer) -> Iterator[asyncio.Future[Any]]:
    for batch in chain.from_iterable(producer._message_accumulator._batches.values()):
        yield batch._drain_waiter
    if (ended := producer._txn_manager.wait_for_transaction_end()) is not None:  # None before the first one
        yield ended
