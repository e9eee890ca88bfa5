"""The names and settings of everything Laurel keeps in Kafka and Postgres.

One namespace prefixes topics, groups, transactional ids and the Postgres schema, so that several
environments share a cluster without meeting. Source topics belong to their publishers: never prefixed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from schemas.errors import LaurelError

DAY_MS = 24 * 3600 * 1000
SOURCE_RECORD_BYTES_MAX = 1024 * 1024
DEAD_LETTER_BYTES_MAX = SOURCE_RECORD_BYTES_MAX + 64 * 1024
CHANGELOG_RECORD_BYTES_MAX = 1024 * 1024
COMPACTION_LAG_MS_MIN = 120 * 1000  # before, a projector sees every control record
COMPACTION_LAG_MS_MAX = 3600 * 1000

KEPT_FOR_EVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
SOURCE_CONFIG = {**KEPT_FOR_EVER, "message.timestamp.type": "LogAppendTime"}
CHANGELOG_CONFIG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(64 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
    "min.compaction.lag.ms": str(COMPACTION_LAG_MS_MIN),
    "max.compaction.lag.ms": str(COMPACTION_LAG_MS_MAX),
}
NAMESPACE_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class TopicSpec(NamedTuple):
    """A topic of ours: `partitions` None means as many as the state has."""

    name: str
    partitions: int | None
    config: dict[str, str]


class Names:
    """What one namespace calls its things. Raises: LaurelError on a name that Kafka or Postgres refuses.

    One that `follows` another reads the commands of that one, and has none of its own.
    """

    def __init__(self, namespace: str = "laurel", *, follows: str | None = None) -> None:
        if not NAMESPACE_PATTERN.fullmatch(namespace):
            raise LaurelError(
                f"namespace '{namespace}' is not usable: write 1 to 40 of a-z, 0-9, '_' and '-', a letter first"
            )
        self.namespace, self.follows = namespace, follows
        self.processor = f"{namespace}.processor"
        self.projector = f"{namespace}.projector"
        self.changelog = f"{namespace}.user-state-changelog"
        self.outcomes = f"{namespace}.outcomes"
        self.derived = f"{namespace}.derived"
        self.commands = f"{follows or namespace}.commands"
        self.control = f"{namespace}.control"
        self.replay_assignments = f"{namespace}.replay-assignments"
        self.catalogs = f"{namespace}.catalogs"
        self.dead_letters = f"{namespace}.dead-letters"
        self.postgres_schema = re.sub(r"[^a-z0-9_]", "_", namespace)

    def transactional_id(self, partition: int) -> str:
        return f"{self.processor}-{partition}"

    @property
    def catalog_publisher(self) -> str:
        return f"{self.namespace}.catalog-publisher"

    def specs(self) -> list[TopicSpec]:
        """Every topic of this namespace that this version of Laurel uses, the sources aside."""
        dead_letters = {
            "retention.ms": str(90 * DAY_MS),
            "max.message.bytes": str(DEAD_LETTER_BYTES_MAX),
            "message.timestamp.type": "CreateTime",
        }
        commands = {
            "cleanup.policy": "delete",
            "retention.ms": str(30 * DAY_MS),
            "message.timestamp.type": "LogAppendTime",
        }
        assignments = {**SOURCE_CONFIG, "max.message.bytes": str(DEAD_LETTER_BYTES_MAX)}  # they carry records whole
        catalogs = {"cleanup.policy": "compact", "max.message.bytes": str(4 * 1024 * 1024)}
        own_commands = [] if self.follows else [TopicSpec(self.commands, None, commands)]
        return [
            TopicSpec(self.changelog, None, CHANGELOG_CONFIG),
            TopicSpec(self.outcomes, None, SOURCE_CONFIG),
            TopicSpec(self.derived, None, SOURCE_CONFIG),
            *own_commands,
            TopicSpec(self.replay_assignments, None, assignments),
            TopicSpec(self.dead_letters, None, dead_letters),
            TopicSpec(self.control, None, {"cleanup.policy": "compact"}),
            TopicSpec(self.catalogs, 1, catalogs),
        ]


def partition_of(key: bytes, partitions: int) -> int:
    """The partition Kafka's default partitioner (murmur2) gives a key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Murmur2, 32 bits, with Kafka's seed. Source: org.apache.kafka.common.utils.Utils.murmur2."""
    mask, multiplier = 0xFFFFFFFF, 0x5BD1E995
    length = len(data)
    value = 0x9747B28C ^ length
    for start in range(0, length - length % 4, 4):
        word = int.from_bytes(data[start : start + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        value = value * multiplier & mask ^ word
    tail = data[length - length % 4 :]
    if tail:
        value = (value ^ int.from_bytes(tail, "little")) * multiplier & mask
    value = (value ^ value >> 13) * multiplier & mask
    return value ^ value >> 15
