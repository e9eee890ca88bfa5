"""What a projection gathers before it writes, and how it goes through it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from aiokafka import TopicPartition

from broker.reading import Batch
from projections.subscription import Subscription, condensed
from projections.turns import HURRIED, UNHURRIED, Gait, in_turns
from projections.user_progress import BACKLOG_USERS, gait_of
from schemas.records import PlainRecord
from schemas.state import CONTROL_KEY

TOPIC, USERS = "changelog", [b"ada", b"bo", b"cy"]


def record(offset: int, key: bytes) -> PlainRecord:
    return PlainRecord(offset, 0, key, b"%d" % offset)


class Consumer:
    """Gives so many records of these keys at each poll, for ever."""

    _fetcher = SimpleNamespace(_records={})

    def __init__(self, keys: list[bytes], at_once: int) -> None:
        self._keys, self._at_once, self._next = keys, at_once, 0

    def subscribe(self, topics: list[str], listener: Subscription) -> None: ...

    def seek(self, place: TopicPartition, position: int) -> None: ...

    async def position(self, place: TopicPartition) -> int:
        return self._next

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[PlainRecord]]:
        await asyncio.sleep(0)
        start, self._next = self._next, self._next + self._at_once
        found = [record(offset, self._keys[offset % len(self._keys)]) for offset in range(start, self._next)]
        return {TopicPartition(TOPIC, 0): found}


async def subscription(keys: list[bytes], *, condenses: bool) -> Subscription:
    made = Subscription(Consumer(keys, 10), TOPIC, condenses)
    await made.on_partitions_assigned([TopicPartition(TOPIC, 0)])
    made.seek({0: 0})
    return made


def test_condensed_only_the_last_record_of_a_key_is_left_and_every_control_record():
    keys = [b"ada", CONTROL_KEY, b"bo", b"ada", CONTROL_KEY]
    batch = Batch(TOPIC, 0, 0, 9, [record(offset, key) for offset, key in enumerate(keys)])

    left = condensed(batch)

    assert (left.start, left.end) == (0, 9)
    assert [(each.offset, each.key) for each in left.records] == [
        (1, CONTROL_KEY),
        (2, b"bo"),
        (3, b"ada"),
        (4, CONTROL_KEY),
    ]


async def test_what_condenses_goes_on_gathering_however_often_a_few_users_come():
    of_three = await subscription(USERS, condenses=True)

    (batch,) = await of_three.gather(window_s=0.05, records_max=40)

    assert batch.end > 100
    assert [each.offset for each in batch.records] == [batch.end - 3, batch.end - 2, batch.end - 1]


async def test_what_condenses_ends_when_more_than_half_of_what_it_may_hold_are_different_users():
    of_many = await subscription([b"%d" % number for number in range(1000)], condenses=True)

    (batch,) = await of_many.gather(window_s=60, records_max=40)

    assert (batch.end, len(batch.records)) == (40, 40)


async def test_what_does_not_condense_ends_with_so_many_records():
    of_three = await subscription(USERS, condenses=False)

    (batch,) = await of_three.gather(window_s=60, records_max=40)

    assert [each.offset for each in batch.records] == [*range(40)]


async def time_of(gait: Gait, work_s: float) -> float:
    now = asyncio.get_running_loop().time
    began = now()
    async for _ in in_turns(range(4), 2, gait):
        await asyncio.sleep(work_s)
    return now() - began


async def test_after_each_turn_comes_a_rest_that_leaves_work_its_share():
    assert await time_of(Gait(share=0.2, stride=1), 0.01) >= 2 * 0.01 / 0.2


async def test_who_hurries_has_no_rests_and_longer_turns():
    assert await time_of(HURRIED, 0.01) < 2 * 0.01 / 0.2
    assert [len(turn) async for turn in in_turns(range(25), 2, HURRIED)] == [20, 5]


async def test_all_turns_together_are_all_of_it():
    assert [[*turn] async for turn in in_turns(range(5), 2, UNHURRIED)] == [[0, 1], [2, 3], [4]]


def batch_of(users: int, appended_ms: int) -> Batch:
    return Batch(
        TOPIC, 0, 0, users, [PlainRecord(number, appended_ms, b"%d" % number, b"") for number in range(users)]
    )


def test_progress_hurries_through_what_came_while_nobody_was_here_and_through_what_nobody_keeps_up_with():
    assert gait_of([batch_of(0, 0), batch_of(1, 999)], resumed_at_ms=1000) == HURRIED
    assert gait_of([batch_of(0, 0), batch_of(1, 1000)], resumed_at_ms=1000) == UNHURRIED
    assert gait_of([batch_of(BACKLOG_USERS, 1000)], resumed_at_ms=1000) == HURRIED
