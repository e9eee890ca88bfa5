"""A partition's past, folded aside: what it comes to by hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processor.replay import spool as spools
from processor.replay.excerpt import Aim
from processor.replay.interleaving import interleaved
from processor.replay.past import Past
from processor.replay.ports import Part
from processor.replay.spool import MEMORY_BYTES, TOGETHER_BYTES, Letters, Spool
from schemas.program import Program
from schemas.records import PlainRecord
from schemas.replays import ByEvent, Fact, InPeriod, Named, Threshold
from schemas.zones import microseconds
from simulation.loop import virtual_loop
from tests.unit.driving import compiled
from tests.unit.replaying import row_value

CATALOG = """
catalog: songs
version: 1
events:
  released: {topic: music, data: {artist: string?}}
  withdrawn: {topic: music}
  login: {topic: web}
metrics:
  releases: {count: released, minus: withdrawn}
  artists: {distinct: released, by: data.artist}
  logins: {streak: login, every: day}
achievements:
  - {key: two, name: A, description: A, when: releases >= 2}
  - {key: few, name: A, description: A, category: c, when: artists >= 2}
  - {key: all_c, name: A, description: A, all_of: {category: c}}
  - {key: by, name: A, description: A, on: released, scope: data.artist}
  - {key: daily, name: A, description: A, when: artists >= 1, window: {every: day}}
"""
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def event(offset: int, kind: str, at: datetime = NOON, user: str = "ann", **data: Any) -> PlainRecord:
    said = {
        "specversion": "1.0",
        "id": f"{kind}-{offset}",
        "source": "/web",
        "type": kind,
        "subject": user,
        "time": at.isoformat(),
        "data": data,
    }
    return PlainRecord(offset, 1_790_000_000_000 + offset, user.encode(), row_value(said))


def songs(*keys: str) -> list[Named]:
    return [("songs", key) for key in keys]


def slot_of(program: Program, key: str) -> int:
    return next(metric.slot for metric in program.catalogs[0].metrics if metric.key == key)


def past_of(aim: Aim, records: Sequence[PlainRecord]) -> Past:
    past = Past(compiled([CATALOG]), aim, 0, 1)
    past.fold("music", [record for record in records if b'"login"' not in (record.value or b"")])
    if "web" in past.excerpt.types:
        past.fold("web", [record for record in records if b'"login"' in (record.value or b"")])
    return past


def test_bases_have_the_real_slots_of_the_filling_metrics_and_of_nothing_else() -> None:
    program = compiled([CATALOG])
    records = [
        event(0, "released", artist="x"),
        event(1, "withdrawn"),
        event(2, "login"),
        event(3, "login", user="bob"),
    ]
    past = past_of(Aim(songs("releases", "logins")), records)

    releases, logins = slot_of(program, "releases"), slot_of(program, "logins")
    today = (NOON.date() - datetime(1970, 1, 1, tzinfo=UTC).date()).days
    assert dict(past.bases()) == {
        b"ann": {releases: [1, 1, NOON], logins: [b"", today, today, 1]},
        b"bob": {logins: [b"", today, today, 1]},
    }
    assert past.excerpt.types == {"music": ["released", "withdrawn"], "web": ["login"]}


def test_a_day_near_the_date_line_is_an_entry_of_its_own() -> None:
    text = CATALOG.replace("version: 1", "version: 1\ntimezone: Pacific/Kiritimati")
    past = Past(compiled([text]), Aim(songs("logins")), 0, 1)
    past.fold("web", [event(0, "login")])

    ((_, slots),) = past.bases()
    assert sorted(map(len, slots.values())) == [1, 4]


def test_the_first_crossing_of_what_may_go_back_is_told_with_its_record_and_no_later_one() -> None:
    days = [event(each, "released", NOON + each * DAY) for each in range(3)]
    records = [*days[:2], event(2, "withdrawn"), event(3, "released", NOON + 3 * DAY)]
    ((user, fact),) = past_of(Aim(awards=songs("two")), records).facts()

    assert user == b"ann"
    assert (fact.topic, fact.partition, fact.offset, fact.timestamp) == ("music", 0, 1, records[1].timestamp)
    assert fact.value == records[1].value
    crossed = microseconds(NOON + DAY)
    assert fact.crossings == [Threshold(catalog="songs", metric="releases", at=2, value=2, crossed_at=crossed)]


def test_a_set_is_told_by_the_record_that_completes_it() -> None:
    records = [event(0, "released", artist="x"), event(1, "released", NOON + DAY, artist="y")]
    ((_, fact),) = past_of(Aim(awards=songs("all_c")), records).facts()

    verdict = ByEvent(catalog="songs", achievement="all_c", scope="", crossed_at=microseconds(NOON + DAY))
    assert (fact.offset, fact.crossings) == (1, [verdict])


def test_scopes_and_periods_are_told_once_each() -> None:
    records = [
        event(0, "released", artist="x"),
        event(1, "released", artist="x"),
        event(2, "released", NOON + DAY, artist="y"),
    ]
    facts = [fact for _, fact in past_of(Aim(awards=songs("by", "daily")), records).facts()]

    said = [(fact.offset, type(crossing)) for fact in facts for crossing in fact.crossings]
    assert sorted(said, key=str) == [(0, ByEvent), (0, InPeriod), (2, ByEvent), (2, InPeriod)]
    scopes = [each.scope for fact in facts for each in fact.crossings if isinstance(each, ByEvent)]
    assert scopes == ["x", "y"]


def test_what_was_asked_for_is_not_told_again() -> None:
    past = past_of(Aim(awards=songs("two")), [event(0, "released"), event(1, "released")])

    assert [len(past.facts()), len(past.facts())] == [1, 0]


def test_an_award_is_given_by_the_fold_while_it_is_not_lost() -> None:
    text = CATALOG.replace("when: releases >= 2", "revocable: true, when: releases >= 2")
    (two,) = (spec.number for spec in compiled([text]).catalogs[0].achievements if spec.key == "two")
    past = Past(compiled([text]), Aim(judged=songs("two")), 0, 1)
    past.fold("music", [event(0, "released"), event(1, "released")])
    before = past.given(b"ann")
    past.fold("music", [event(2, "withdrawn")])

    assert (before, past.given(b"ann"), past.given(b"nobody")) == ({two}, set(), set())


def test_many_states_go_back_to_bytes_and_change_nothing() -> None:
    records = [event(each, "released", user=f"u{each % 50}", artist=str(each)) for each in range(200)]
    aim = Aim(songs("artists"), songs("few"))
    small = Past(compiled([CATALOG]), aim, 0, 1, decoded_max=4)
    for record in records:
        small.fold("music", [record])

    large = past_of(aim, records)
    assert dict(small.bases()) == dict(large.bases())
    assert small.facts() == large.facts()


def test_topics_are_one_log_in_the_order_of_their_append_times() -> None:
    async def parts(*pieces: Sequence[int]) -> AsyncGenerator[Part, None]:
        for place, times in enumerate(pieces):
            yield Part(place + 1, [PlainRecord(at, at, None, None) for at in times])

    async def read() -> list[tuple[str, list[int]]]:
        topics = {"b": parts([1, 4], [], [5, 6]), "a": parts([], [2, 4], [9])}
        return [
            (chunk.topic, [record.timestamp for record in chunk.records]) async for chunk in interleaved(topics)
        ]

    read_in_order = virtual_loop().run(read())
    assert [each for each in read_in_order if each[1]] == [
        ("b", [1]),
        ("a", [2, 4]),
        ("b", [4]),
        ("b", [5, 6]),
        ("a", [9]),
    ]
    assert sorted(topic for topic, records in read_in_order if not records) == ["a", "b"]


def test_a_past_that_rests_has_no_state_in_memory_and_goes_on_where_it_was() -> None:
    aim = Aim([("songs", "releases")], songs("two", "daily"), ())
    records = [event(number, "released", user=f"user{number % 3}", artist=f"a{number}") for number in range(9)]
    whole, rested = past_of(aim, records), past_of(aim, records[:4])

    told = rested.facts()
    for half in (records[4:6], records[6:]):
        rested.rest()
        assert len(rested) == 0
        rested.wake()
        rested.wake()
        assert len(rested) == 3
        rested.fold("music", half)

    assert told + rested.facts() == whole.facts() != []
    assert dict(rested.bases()) == dict(whole.bases())
    assert [rested.given(user) for user in (b"user0", b"user2")] == [
        whole.given(user) for user in (b"user0", b"user2")
    ]


def test_of_a_fork_and_what_it_came_from_each_goes_on_by_itself() -> None:
    aim = Aim([("songs", "releases")], songs("two", "daily"), ())
    records = [event(number, "released", user=f"user{number % 3}", artist=f"a{number}") for number in range(9)]
    whole, past = past_of(aim, records), past_of(aim, records[:4])
    told, before = past.facts(), dict(past.bases())

    fork = past.fork()
    fork.fold("music", records[4:])
    assert told + fork.facts() == whole.facts() != told
    assert dict(fork.bases()) == dict(whole.bases())
    assert (past.facts(), dict(past.bases())) == ([], before)

    past.fold("music", records[4:])
    assert dict(past.bases()) == dict(whole.bases())


def test_a_spool_gives_back_what_went_in_also_when_it_is_more_than_memory_may_hold() -> None:
    fact = Fact(topic="music", partition=0, offset=7, timestamp=8, value=b"x" * 1_000_000, crossings=[])
    spool = Spool()
    for number in range(2 + MEMORY_BYTES // 1_000_000):
        spool.append([(b"ann", fact), (b"bob", fact)] if number % 2 else [])

    for _ in range(2):
        assert [told for found in spool for told in found] == [(b"ann", fact), (b"bob", fact)] * 3


@pytest.mark.parametrize("together", [1, TOGETHER_BYTES])
def test_letters_have_all_that_a_user_crossed_in_its_order(monkeypatch: pytest.MonkeyPatch, together: int) -> None:
    monkeypatch.setattr(spools, "TOGETHER_BYTES", together)
    facts = [
        Fact(topic="music", partition=0, offset=number, timestamp=8, value=b"x", crossings=[])
        for number in range(5)
    ]
    letters = Letters()
    for some in ([(b"ann", facts[0]), (b"bob", facts[1]), (b"ann", facts[2])], [(b"ann", facts[3])], []):
        found = Spool()
        found.append(some)
        found.append([(user, facts[4]) for user, _ in some[:1]])
        letters.add(found)

    assert list(letters) == [b"ann", b"bob"]
    assert [each.offset for each in letters.of(b"ann")] == [0, 2, 4, 3, 4]
    assert [each.offset for each in letters.of(b"bob")] == [1]
    assert letters.of(b"eve") == []


def test_a_spool_that_was_cleared_has_nothing_and_takes_more() -> None:
    fact = Fact(topic="music", partition=0, offset=7, timestamp=8, value=b"x", crossings=[])
    spool = Spool()
    spool.append([(b"ann", fact), (b"ann", fact)])
    spool.clear()
    spool.append([(b"bob", fact)])

    assert list(spool) == [[(b"bob", fact)]]


def test_what_a_user_crossed_comes_together_as_far_as_memory_allows() -> None:
    small, large = (
        Fact(topic="music", partition=0, offset=7, timestamp=8, value=b"x" * size, crossings=[])
        for size in (10, TOGETHER_BYTES)
    )
    spool = Spool()
    for fact in (small, small, large, small):
        spool.append([(b"ann", fact)])

    assert [len(found) for found in spool] == [2, 1, 1]
