"""What a worker refuses to start on, and how it says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.admin import NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from broker.catalogs import publish
from broker.connections import admin
from broker.topics import create_topics, partition_counts, topic_configs, wanted_topics
from processor.evaluator.compile import compile_catalog
from processor.preflight import check, prepare
from schemas.errors import Precondition
from schemas.topics import Names, TopicSpec
from tests.integration.processors import CATALOG, PARTITIONS, POLL_S, WAIT_S, Stage, recreate, set_up
from tests.servers import Servers

pytestmark = pytest.mark.server


async def test_what_is_there_is_run(servers: Servers, namespace: str) -> None:
    stage = await set_up(servers.kafka, namespace)

    plan = await prepare(stage.kafka, stage.names, timeout_s=60)

    assert (plan.program.sources, plan.partitions) == (stage.sources, PARTITIONS)


async def test_a_namespace_without_topics_is_told_to_create_them(servers: Servers, namespace: str) -> None:
    with pytest.raises(Precondition, match=f"{namespace}.catalogs does not exist: .*laurel topics create"):
        await check(servers.kafka, Names(namespace))


async def test_a_namespace_without_a_catalog_is_told_to_publish_one(servers: Servers, namespace: str) -> None:
    await create_topics(servers.kafka, wanted_topics(Names(namespace), [], PARTITIONS))

    with pytest.raises(Precondition, match="laurel catalog publish"):
        await check(servers.kafka, Names(namespace))


async def test_a_source_with_another_number_of_partitions_is_refused(servers: Servers, namespace: str) -> None:
    """Users would be sent to partitions where their state is not."""
    source = f"{namespace}.plays"
    await create_topics(servers.kafka, [TopicSpec(source, PARTITIONS + 1, {})])
    stage = await set_up(servers.kafka, namespace)

    with pytest.raises(Precondition, match=f"{source} has {PARTITIONS + 1} partitions, not {PARTITIONS}"):
        await check(stage.kafka, stage.names)


async def test_a_changelog_that_may_forget_states_is_refused(servers: Servers, namespace: str) -> None:
    stage = await set_up(servers.kafka, namespace)
    async with admin(stage.kafka) as client:
        changed = {"cleanup.policy": "compact,delete"}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, stage.names.changelog, changed)])

    async def seen() -> bool:
        (config,) = (await topic_configs(stage.kafka, [stage.names.changelog])).values()
        return changed.items() <= config.items()

    await until(seen, "the changed policy")

    with pytest.raises(Precondition, match=f"{stage.names.changelog} has cleanup.policy=compact,delete: set it"):
        await check(stage.kafka, stage.names)


async def test_a_changed_number_of_partitions_is_refused_even_when_all_topics_have_it(
    servers: Servers, namespace: str
) -> None:
    """Keys would go elsewhere than the states that were made of them."""
    stage = await set_up(servers.kafka, namespace)
    await prepare(stage.kafka, stage.names, timeout_s=60)
    async with admin(stage.kafka) as client:
        topics = [stage.source, *(spec.name for spec in stage.names.specs() if spec.partitions is None)]
        await client.create_partitions({topic: NewPartitions(PARTITIONS + 1) for topic in topics})

    async def seen() -> bool:
        return {*(await partition_counts(stage.kafka, topics)).values()} == {PARTITIONS + 1}

    await until(seen, "the new partitions")

    with pytest.raises(
        Precondition, match=f"over {PARTITIONS} partitions, and its topics have {PARTITIONS + 1} now"
    ):
        await prepare(stage.kafka, stage.names, timeout_s=60)


async def test_a_catalog_that_has_run_and_has_another_content_now_is_refused(
    servers: Servers, namespace: str
) -> None:
    """The topic that numbered the states was recreated: the same version, with other slots."""
    stage = await set_up(servers.kafka, namespace)
    await prepare(stage.kafka, stage.names, timeout_s=60)
    await recreate(stage, stage.names.catalogs)
    await publish_toy(stage, CATALOG.replace("name: One", "name: Uno"))

    with pytest.raises(Precondition, match=r"catalog 'toy' has run in version 1 .*the topic was recreated"):
        await prepare(stage.kafka, stage.names, timeout_s=60)


async def test_a_catalog_that_went_back_is_refused_and_one_that_went_on_is_run(
    servers: Servers, namespace: str
) -> None:
    stage = await set_up(servers.kafka, namespace)
    await prepare(stage.kafka, stage.names, timeout_s=60)
    await publish_toy(stage, CATALOG.replace("version: 1", "version: 2"))
    await prepare(stage.kafka, stage.names, timeout_s=60)
    await recreate(stage, stage.names.catalogs)
    await publish_toy(stage, CATALOG)

    with pytest.raises(Precondition, match=r"has run in version 2 .* has version 1"):
        await prepare(stage.kafka, stage.names, timeout_s=60)


async def publish_toy(stage: Stage, catalog: str) -> None:
    await publish(stage.kafka, stage.names, catalog.format(topic=stage.source), "toy.yaml", compile_catalog)


async def until(seen: Callable[[], Awaitable[bool]], what: str) -> None:
    """A broker shows what its controller has decided a moment later."""
    deadline = time.monotonic() + WAIT_S
    while not await seen():
        assert time.monotonic() < deadline, f"no {what} after {WAIT_S:.0f} s"
        await asyncio.sleep(POLL_S)
