"""Creating the topics of a namespace, and checking those that are there.

Nothing here changes or deletes a topic that exists: its data belongs to somebody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code

from broker.connections import admin
from broker.positions import Place
from schemas.errors import LaurelError, Precondition
from schemas.topics import SOURCE_CONFIG, Names, TopicSpec

REPLICAS_MAX = 3
READY_TIMEOUT_S = 30.0
CHECKED_CONFIG = ("cleanup.policy", "message.timestamp.type", "max.message.bytes")


class Created(NamedTuple):
    """A topic that is there now; `fresh` when it was not before."""

    topic: str
    fresh: bool


class Fault(NamedTuple):
    """What is wrong with a topic, and what to do."""

    topic: str
    message: str


def wanted_topics(names: Names, sources: Iterable[str], partitions: int) -> list[TopicSpec]:
    """Every topic of a namespace and its catalogs, each with its number of partitions."""
    ours = [TopicSpec(spec.name, spec.partitions or partitions, spec.config) for spec in names.specs()]
    known = {spec.name for spec in ours}
    return ours + [
        TopicSpec(topic, partitions, SOURCE_CONFIG) for topic in sorted(set(sources)) if topic not in known
    ]


async def create_topics(bootstrap: str, specs: Iterable[TopicSpec]) -> list[Created]:
    """Create what is missing and wait until each topic has a leader for every partition."""
    specs = list(specs)
    async with admin(bootstrap) as client:
        replicas = min(REPLICAS_MAX, len((await client.describe_cluster())["brokers"]))
        response = await client.create_topics([_new_topic(spec, replicas) for spec in specs])
        created = [_created(*answer) for answer in response.topic_errors]
        await _led(client, [spec.name for spec in specs])
    return created


def _new_topic(spec: TopicSpec, replicas: int) -> NewTopic:
    return NewTopic(spec.name, spec.partitions, replicas, topic_configs=spec.config)


def _created(topic: str, code: int, message: str | None) -> Created:
    error = for_code(code)
    if error not in (NoError, TopicAlreadyExistsError):
        raise LaurelError(f"topic {topic} was not created: {message or error.__name__}")
    return Created(topic, error is NoError)


async def _led(client: AIOKafkaAdminClient, topics: list[str]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while leaderless := [topic["topic"] for topic in await client.describe_topics(topics) if not _is_led(topic)]:
        if time.monotonic() > deadline:
            raise LaurelError(f"topic {leaderless[0]} has no leader after {READY_TIMEOUT_S:.0f} s: see the broker")
        await asyncio.sleep(0.05)


def _is_led(topic: Mapping[str, Any]) -> bool:
    return topic["error_code"] == 0 and all(each["error_code"] == 0 for each in topic["partitions"])


async def partition_counts(bootstrap: str, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has, 0 for one that does not exist."""
    async with admin(bootstrap) as client:
        described = await client.describe_topics(list(topics))
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def places_of(bootstrap: str, topics: Iterable[str]) -> list[Place]:
    """All partitions of these topics. Raises: Precondition when one does not exist."""
    counts = await partition_counts(bootstrap, topics)
    for topic, count in counts.items():
        if not count:
            raise missing(topic)
    return [(topic, partition) for topic, count in counts.items() for partition in range(count)]


def missing(topic: str) -> Precondition:
    return Precondition(f"topic {topic} does not exist: create it with `laurel topics create --catalog FILE`")


async def check_topics(
    bootstrap: str, specs: Iterable[TopicSpec], repartitioned: Collection[str] = ()
) -> list[Fault]:
    """What would keep Laurel from running on these topics, or make it lose data.

    Those that are repartitioned may have any number of partitions.
    """
    specs = list(specs)
    counts = await partition_counts(bootstrap, [spec.name for spec in specs])
    specs = [spec._replace(partitions=counts[spec.name]) if spec.name in repartitioned else spec for spec in specs]
    present = [spec for spec in specs if counts[spec.name]]
    configs = await topic_configs(bootstrap, [spec.name for spec in present])
    absent = [Fault(spec.name, str(missing(spec.name))) for spec in specs if spec not in present]
    faults = [
        Fault(spec.name, fault)
        for spec in present
        for fault in topic_faults(spec, counts[spec.name], configs[spec.name])
    ]
    return absent + faults


async def topic_configs(bootstrap: str, topics: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    if not resources:
        return {}
    async with admin(bootstrap) as client:
        (response,) = await client.describe_configs(resources)
    return {name: {entry[0]: entry[1] for entry in entries} for _, _, _, name, entries in response.resources}


def topic_faults(spec: TopicSpec, partitions: int, config: Mapping[str, str]) -> list[str]:
    """How a topic that exists differs from what it must be, with the remedy."""
    faults = []
    if partitions != spec.partitions:
        faults.append(
            f"topic {spec.name} has {partitions} partitions, not {spec.partitions}: sources, state and outcomes "
            f"are split alike. Set LAUREL_PARTITIONS={partitions} if all have as many, else recreate the topic. A "
            f"publisher's own topic may differ when its catalog says so: `topics: {{{spec.name}: {{repartition: "
            "true}}}}`"
        )
    for name in CHECKED_CONFIG:
        if name in spec.config and config.get(name) != spec.config[name]:
            faults.append(
                f"topic {spec.name} has {name}={config.get(name)}: set it to {spec.config[name]}, "
                f"with kafka-configs.sh --alter --topic {spec.name} --add-config {name}={spec.config[name]}"
            )
    return faults
