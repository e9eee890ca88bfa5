"""Whether there is room for a shadow: it comes to what the live namespace keeps, on Kafka and in Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from broker.log_dirs import disks
from projections.database import connect
from projections.settings import DatabaseSettings
from replays.settings import ReplaySettings
from schemas.errors import Precondition
from schemas.topics import Names

GROWTH = 1.25  # other rules give more awards; the changelog is compacted later
SCHEMA_BYTES = b"""
select coalesce(sum(pg_total_relation_size(relation.oid)), 0)::bigint
from pg_class as relation
where relation.relnamespace = current_schema()::regnamespace and relation.relkind = 'r'
"""


class Space(NamedTuple):
    """Units: bytes. Shapes: topics, what the shadow and its promotion write; free is that of the broker with the
    least, None where brokers do not say it."""

    topics: int
    schema: int
    free: int | None


async def space_for(settings: ReplaySettings) -> Space:
    kept = kept_topics(settings.names)
    found = await disks(settings.kafka, kept)
    schema = await asyncio.to_thread(_schema_bytes, settings)
    return Space(
        topic_bytes(found.used, settings.names) if found else 0, round(GROWTH * schema), found and found.free
    )


def topic_bytes(used: Mapping[str, int], names: Names) -> int:
    """What the shadow's topics come to, and what a promotion writes: its states into the changelog of here, and
    those of here, kept for the way back, into its own. Units: bytes."""
    states = used[names.changelog]
    return round(GROWTH * (sum(used.values()) + states) + states)


def kept_topics(names: Names) -> list[str]:
    """Those that a shadow has of its own, and fills."""
    return [names.changelog, names.outcomes, names.derived, names.dead_letters]


def _schema_bytes(settings: DatabaseSettings) -> int:
    with connect(settings) as connection:
        row = connection.execute(SCHEMA_BYTES).fetchone()
    return int(row[0]) if row else 0


def refuse_no_space(space: Space, reserve: int) -> None:
    """Units: reserve, bytes that stay free. Raises: Precondition.

    Postgres does not tell what is free on its disk, so what it needs is only said.
    """
    if space.free is None or space.topics + reserve <= space.free:
        return
    raise Precondition(
        f"there is no space for the shadow: its topics need about {_told(space.topics)}, and {_told(reserve)} are "
        f"to stay free (LAUREL_REPLAY_SPACE_RESERVE), but the broker's disk has {_told(space.free)} left; its read "
        f"models need about {_told(space.schema)} in Postgres: make room, or lower the reserve"
    )


def _told(count: int) -> str:
    return f"{count / 1024**2:,.0f} MiB"
