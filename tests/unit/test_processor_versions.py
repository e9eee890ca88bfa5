"""Versions that a process meets while it runs: looked for in the catalogs topic, or a reason to leave."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from processor.evaluator.programs import Programs
from processor.kafka import versions
from processor.kafka.versions import Meetings
from schemas.errors import LaurelError, Precondition
from schemas.program import CatalogRecord
from schemas.records import PlainRecord
from schemas.replays import End, Prepare, Publish, ReplayOrder, encode_order
from tests.unit.owned_partition import published

FIRST = """
catalog: toy
version: 1
events: {done: {topic: toy}}
metrics: {done: {count: done}}
achievements: [{key: one, name: One, when: done >= 1}]
"""
SECOND = FIRST.replace("version: 1", "version: 2").replace("one", "uno")
ELSEWHERE = FIRST.replace("version: 1", "version: 2").replace("events: {", "events: {left: {topic: other}, ")


class CatalogsTopic:
    """Shows one version more each time it is read."""

    def __init__(self, records: Sequence[CatalogRecord]) -> None:
        self.records, self.reads = records, 0

    async def read(self) -> Sequence[CatalogRecord]:
        self.reads += 1
        return self.records[: self.reads]


def meeting(*texts: str) -> tuple[Programs, CatalogsTopic, Meetings]:
    """A process that was started with the first of these versions."""
    _, records = published(*texts)
    started, topic = Programs(published(texts[0])[0].newest), CatalogsTopic(records)
    return started, topic, Meetings(started, topic.read)


def order(said: ReplayOrder) -> PlainRecord:
    return PlainRecord(0, 0, None, encode_order(said))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "VISIBLE_WITHIN_S", 0.05)
    monkeypatch.setattr(versions, "LOOK_AGAIN_S", 0.001)


async def test_a_version_that_an_order_names_is_looked_for_until_it_is_visible() -> None:
    programs, topic, meetings = meeting(FIRST, SECOND)

    await meetings.hear({"toy": 1}, [order(Publish(catalogs={"toy": 2}))])

    assert (topic.reads, programs.unknown({"toy": 2})) == (2, [])
    await meetings.hear({"toy": 2}, [order(Prepare(replay="r", catalogs={"toy": 2}))])
    assert topic.reads == 2


async def test_other_orders_and_what_is_none_ask_for_nothing() -> None:
    _, topic, meetings = meeting(FIRST, SECOND)

    await meetings.hear({"toy": 1}, [order(End(replay="r", users=0)), PlainRecord(1, 0, None, b"what")])

    assert topic.reads == 0


async def test_a_version_that_does_not_come_is_given_up() -> None:
    """Its order becomes a dead letter; the partition goes on."""
    programs, _, meetings = meeting(FIRST, SECOND)

    await meetings.hear({"toy": 1}, [order(Publish(catalogs={"toy": 3}))])

    assert programs.unknown({"toy": 3}) == ["toy version 3"]


async def test_a_version_with_another_topic_asks_for_a_restart() -> None:
    _, _, meetings = meeting(FIRST, ELSEWHERE)

    with pytest.raises(LaurelError, match="reads other as this process does not: a restart will"):
        await meetings.hear({"toy": 1}, [order(Publish(catalogs={"toy": 2}))])


async def test_a_version_before_that_of_the_start_may_read_what_is_read_no_more() -> None:
    """A restart would not help: every process reads the topics of the newest version."""
    _, records = published(ELSEWHERE.replace("version: 2", "version: 1"), SECOND)
    programs = Programs(published(SECOND)[0].newest, records)
    meetings = Meetings(programs, CatalogsTopic(records).read)

    await meetings.recall(0, {"toy": 1})


async def test_what_a_partition_has_run_and_is_nowhere_is_a_reason_to_stop_for_good() -> None:
    _, _, meetings = meeting(FIRST, SECOND)

    with pytest.raises(Precondition, match=r"partition 3 has run toy version 7.*recreated"):
        await meetings.recall(3, {"toy": 7})
