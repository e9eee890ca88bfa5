"""What is wrong with a topic, told with the remedy."""

from __future__ import annotations

from broker.topics import topic_faults, wanted_topics
from schemas.topics import CHANGELOG_CONFIG, SOURCE_CONFIG, Names, TopicSpec

SOURCE = TopicSpec("songs", 8, SOURCE_CONFIG)


def test_a_topic_as_it_should_be_has_no_fault():
    assert topic_faults(SOURCE, 8, {**SOURCE_CONFIG, "compression.type": "producer"}) == []


def test_each_fault_is_told_apart():
    config = {**SOURCE_CONFIG, "cleanup.policy": "compact", "message.timestamp.type": "CreateTime"}

    assert len(topic_faults(SOURCE, 4, config)) == 3


def test_a_wrong_number_of_partitions_names_both_numbers():
    (fault,) = topic_faults(SOURCE, 4, SOURCE_CONFIG)

    assert "has 4 partitions, not 8" in fault
    assert "LAUREL_PARTITIONS=4" in fault


def test_a_changelog_that_may_forget_users_is_told_with_the_command():
    spec = TopicSpec("changelog", 8, CHANGELOG_CONFIG)

    (fault,) = topic_faults(spec, 8, {**CHANGELOG_CONFIG, "cleanup.policy": "delete"})

    assert "--add-config cleanup.policy=compact" in fault


def test_topics_of_ours_are_wanted_once_and_sources_as_split_as_the_state():
    names = Names("space")

    wanted = wanted_topics(names, ["songs", "songs", names.derived], 8)

    assert len({spec.name for spec in wanted}) == len(wanted)
    assert {spec.name: spec.partitions for spec in wanted} == {
        names.catalogs: 1,
        **dict.fromkeys(
            [
                names.changelog,
                names.outcomes,
                names.derived,
                names.commands,
                names.replay_assignments,
                names.dead_letters,
                names.control,
                "songs",
            ],
            8,
        ),
    }
