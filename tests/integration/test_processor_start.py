"""What a worker refuses to start on, and how it says so."""

from __future__ import annotations

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from broker.connections import admin
from broker.topics import create_topics, wanted_topics
from processor.preflight import check, prepare
from schemas.errors import Precondition
from schemas.topics import Names, TopicSpec
from tests.integration.processors import PARTITIONS, set_up
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

    with pytest.raises(Precondition, match=f"{stage.names.changelog} has cleanup.policy=compact,delete: set it"):
        await check(stage.kafka, stage.names)
