"""Topics: created once, checked against what Laurel needs of them."""

from __future__ import annotations

import pytest

from broker.topics import Created, check_topics, create_topics, topic_configs, wanted_topics
from schemas.topics import CHANGELOG_CONFIG, SOURCE_CONFIG, Names, TopicSpec

pytestmark = pytest.mark.server

PARTITIONS = 2


@pytest.fixture
def names(namespace) -> Names:
    return Names(namespace)


def specs(names: Names) -> list[TopicSpec]:
    return wanted_topics(names, [f"{names.namespace}-source"], PARTITIONS)


async def test_created_topics_pass_the_check(servers, names):
    created = await create_topics(servers.kafka, specs(names))

    assert {each.topic for each in created} == {spec.name for spec in specs(names)}
    assert all(each.fresh for each in created)
    assert await check_topics(servers.kafka, specs(names)) == []


async def test_creating_again_changes_nothing_and_says_so(servers, names):
    await create_topics(servers.kafka, specs(names))

    again = await create_topics(servers.kafka, specs(names))

    assert Created(names.changelog, fresh=False) in again
    assert not any(each.fresh for each in again)


async def test_configs_are_what_the_contract_says(servers, names):
    await create_topics(servers.kafka, specs(names))

    config = (await topic_configs(servers.kafka, [names.changelog]))[names.changelog]

    assert {name: config[name] for name in CHANGELOG_CONFIG} == CHANGELOG_CONFIG


async def test_a_missing_topic_is_named_with_the_remedy(servers, names):
    faults = await check_topics(servers.kafka, specs(names))

    assert {fault.topic for fault in faults} == {spec.name for spec in specs(names)}
    assert all("laurel topics create" in fault.message for fault in faults)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (TopicSpec("", PARTITIONS + 1, SOURCE_CONFIG), "has 3 partitions, not 2"),
        (
            TopicSpec("", PARTITIONS, {"message.timestamp.type": "CreateTime"}),
            "CreateTime: set it to LogAppendTime",
        ),
        (TopicSpec("", PARTITIONS, {**SOURCE_CONFIG, "cleanup.policy": "compact"}), "cleanup.policy=compact"),
    ],
)
async def test_a_source_that_would_lose_data_is_found(servers, names, wrong, said):
    topic = f"{names.namespace}-source"
    await create_topics(servers.kafka, [wrong._replace(name=topic)])

    faults = await check_topics(servers.kafka, [TopicSpec(topic, PARTITIONS, SOURCE_CONFIG)])

    assert [fault.topic for fault in faults] == [topic]
    assert said in faults[0].message


async def test_a_changelog_that_also_deletes_is_found(servers, names):
    """With delete beside compact, a user who rests for a week is forgotten."""
    both = {**CHANGELOG_CONFIG, "cleanup.policy": "compact,delete"}
    await create_topics(servers.kafka, [TopicSpec(names.changelog, PARTITIONS, both)])

    faults = await check_topics(servers.kafka, [TopicSpec(names.changelog, PARTITIONS, CHANGELOG_CONFIG)])

    assert "cleanup.policy=compact,delete: set it to compact" in faults[0].message
