"""What topics take on the disks of the brokers, and what is free there.

aiokafka has no such request, so it is written here: DescribeLogDirs, version 4, known to brokers since Kafka 3.3.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from broker.connections import admin

DESCRIBE_LOG_DIRS = 35


class LogDirsAnswer(Response):  # type: ignore[misc]
    API_KEY = DESCRIBE_LOG_DIRS
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "results",
            CompactArray(
                ("error_code", Int16),
                ("log_dir", CompactString("utf-8")),
                (
                    "topics",
                    CompactArray(
                        ("name", CompactString("utf-8")),
                        (
                            "partitions",
                            CompactArray(
                                ("partition_index", Int32),
                                ("partition_size", Int64),
                                ("offset_lag", Int64),
                                ("is_future_key", Boolean),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("total_bytes", Int64),
                ("usable_bytes", Int64),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class LogDirsQuestion(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = DESCRIBE_LOG_DIRS
    API_VERSION = 4
    RESPONSE_TYPE = LogDirsAnswer
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("tags", TaggedFields),
    )


class LogDirsRequest(Request[LogDirsQuestion]):  # type: ignore[misc]
    API_KEY = DESCRIBE_LOG_DIRS

    def build(self, request_struct_class: type[LogDirsQuestion]) -> LogDirsQuestion:
        return request_struct_class(None, {})  # of all topics: those that are wanted need not exist


class Disks(NamedTuple):
    """Units: bytes. Shapes: used maps a topic to what all its replicas take; free is that of the fullest broker."""

    used: dict[str, int]
    free: int


async def disks(bootstrap: str, topics: Collection[str]) -> Disks | None:
    """None when the brokers are too old to say it."""
    async with admin(bootstrap) as client:
        nodes = [each["node_id"] for each in (await client.describe_cluster())["brokers"]]
        try:
            answers = [await client._send_request_to_node(node, LogDirsRequest()) for node in nodes]
        except (IncompatibleBrokerVersion, NotImplementedError):
            return None
    return disks_of([answer.to_object() for answer in answers], topics)


def disks_of(answers: Collection[dict[str, Any]], topics: Collection[str]) -> Disks:
    """Shapes: answers, one of each broker."""
    used = dict.fromkeys(topics, 0)
    for folder in (folder for answer in answers for folder in answer["results"]):
        for topic in folder["topics"]:
            if topic["name"] in used:
                used[topic["name"]] += sum(each["partition_size"] for each in topic["partitions"])
    frees = [sum(max(0, folder["usable_bytes"]) for folder in answer["results"]) for answer in answers]
    return Disks(used, min(frees, default=0))
