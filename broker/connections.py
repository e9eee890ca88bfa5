"""Connected Kafka clients, closed on every way out. A broker that does not answer is a precondition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from broker.coordination import heed_group_errors
from broker.fencing import told_once
from broker.parsing import tolerate_header_names
from schemas.errors import Precondition

START_TIMEOUT_S = 20.0
COMPRESSION = None  # as the worker's: what is published here is measured, not shipped across a network
BATCH_BYTES_MAX = 256 * 1024  # of one partition; a single larger record still goes, alone in its batch
FETCH_BYTES = 1024 * 1024  # of one partition; a larger batch still comes, alone
REQUEST_BYTES_MAX = 5 * 1024 * 1024  # the largest record of the catalogs topic and its envelope


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await _started(client.start(), bootstrap)
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def consumer(
    bootstrap: str, *, group: str | None = None, isolation: str = "read_committed", fetch_bytes: int = FETCH_BYTES
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that is assigned its partitions by hand and never commits; `group` is for looking only."""
    tolerate_header_names()
    heed_group_errors()
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        isolation_level=isolation,
        max_partition_fetch_bytes=fetch_bytes,
        auto_offset_reset="none",  # history that was truncated under a reader must be loud
    )
    try:
        await _started(client.start(), bootstrap)
        yield client
    finally:
        await client.stop()


@asynccontextmanager
async def producer(bootstrap: str, *, transactional_id: str | None = None) -> AsyncIterator[AIOKafkaProducer]:
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=transactional_id,
        enable_idempotence=True,
        acks="all",
        compression_type=COMPRESSION,
        max_batch_size=BATCH_BYTES_MAX,
        max_request_size=REQUEST_BYTES_MAX,
    )
    try:
        await _started(client.start(), bootstrap)
        with told_once(client):
            yield client
    finally:
        await client.stop()


async def _started(starting: Awaitable[None], bootstrap: str) -> None:
    try:
        await asyncio.wait_for(starting, START_TIMEOUT_S)
    except (KafkaConnectionError, KafkaTimeoutError, TimeoutError):
        raise unreachable(bootstrap) from None


class Unreachable(Precondition):
    """No broker answers; it may be starting."""


def unreachable(bootstrap: str) -> Unreachable:
    return Unreachable(
        f"no broker answers at {bootstrap}: start one with `laurel dev` or set LAUREL_KAFKA to one that runs"
    )
