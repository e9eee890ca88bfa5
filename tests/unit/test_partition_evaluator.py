"""The fold of one partition: records in; states, unlocks and derived events out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from schemas.catalog.model import (
    Achievement,
    All,
    AtLeast,
    Catalog,
    Derivation,
    EventType,
    Feed,
    Field,
    Metric,
    Test,
)
from schemas.catalog.model import (
    Any as AnyOf,
)
from schemas.errors import BadCatalog, BadRecord
from schemas.events import readers
from schemas.outcomes import decode_outcome, encode_outcome, unlocked_id
from schemas.program import Ledger, Program
from schemas.records import PlainRecord
from schemas.state import WINDOW_IDS, ZONE, NewerState, decode_state, encode_state, fresh_state, metric_values
from schemas.topics import partition_of

TOPIC, DERIVED = "music", "x.derived"
APPENDED_MS = 1_780_000_000_000
EVENTS = {
    "released": EventType(
        topic=TOPIC,
        data={
            "song_id": Field(type="string"),
            "with": Field(type="string", optional=True),
            "share": Field(type="decimal", places=2, optional=True),
        },
        derive=[
            Derivation(
                type="joined",
                subject="data.with",
                unless_self=True,
                data={"song_id": "data.song_id", "by": "subject", "share": "data.share"},
            )
        ],
    ),
    "login": EventType(topic=TOPIC),
}
METRICS = {
    "songs": Metric(kind="count", plus=(Feed(type="released"),)),
    "logins": Metric(kind="count", plus=(Feed(type="login"),)),
    "joins": Metric(kind="distinct", plus=(Feed(type="joined"),), by=("song_id",)),
}


def achievement(key: str, when: Any, **said: Any) -> Achievement:
    return Achievement(key=key, name=key.title(), when=when, **said)


ACHIEVEMENTS = [
    achievement("second", AtLeast(metric="songs", at=2), message="50 % there, %b!"),
    achievement("both", All(of=(AtLeast(metric="songs", at=2), AtLeast(metric="logins", at=1)))),
    achievement("either", AnyOf(of=(AtLeast(metric="songs", at=9), AtLeast(metric="logins", at=2)))),
    achievement("after", AtLeast(metric="logins", at=1), requires=("second",)),
    achievement("retired", AtLeast(metric="logins", at=1), is_active=False),
    achievement("joined", AtLeast(metric="joins", at=1)),
]


def program(*achievements: Achievement, ledger: Ledger | None = None, **said: Any) -> Program:
    catalog = Catalog(
        catalog="music", version=1, events=EVENTS, metrics=METRICS, achievements=list(achievements or ACHIEVEMENTS)
    ).model_copy(update=said)
    compiled, grown = compile_catalog(catalog, ledger or Ledger())
    return Program(catalogs=[compiled], ledger=grown, derived=DERIVED)


def evaluator(of: Program | None = None, partitions: int = 1) -> PartitionEvaluator:
    return PartitionEvaluator(ReadyProgram(of or program()), 0, partitions)


def event(kind: str, number: int, user: str = "ann", minute: int | None = None, **said: Any) -> PlainRecord:
    at = f"2026-05-01T10:{number if minute is None else minute:02}:00Z"
    data = {"song_id": f"s{number}"} | said.pop("data", {})
    whole = {"specversion": "1.0", "id": f"e{number}", "source": "/web", "type": kind, "subject": user, "time": at}
    return PlainRecord(number, APPENDED_MS, user.encode(), json.dumps(whole | {"data": data} | said).encode())


def earned(fold: PartitionEvaluator, records: Sequence[PlainRecord], topic: str = TOPIC) -> list[tuple[str, str]]:
    """(achievement, minute it was earned) in the order of the unlocks."""
    fold.fold(topic, records)
    outcomes = [decode_outcome(value).data for _, value in fold.cut().outcomes]
    return [(data.achievement, f"{data.earned_at:%M}") for data in outcomes]


def values(fold: PartitionEvaluator, of: Program, user: bytes = b"ann") -> dict[str, int | None]:
    row = fold.get(user)
    assert row is not None
    return metric_values(decode_state(row, fresh_state(of.ledger)), of)["music"]


def test_every_record_is_counted_once_as_applied_duplicate_skipped_or_refused() -> None:
    unknown, bad = event("danced", 4), PlainRecord(5, APPENDED_MS, b"ann", b"{}")
    fold = evaluator()

    folded = fold.fold(TOPIC, [event("login", 1), event("login", 2), event("login", 3, id="e1"), unknown, bad])

    assert (folded.applied, folded.duplicate, folded.skipped) == (2, 1, 1)
    assert [bad] == [record for record, _ in folded.refused]


def as_read(record: PlainRecord) -> tuple[str, object]:
    """What the reader says of a record, step by step: refused and why, skipped, or applied and its zone."""
    try:
        reading = READER.read(record)
    except BadRecord as bad:
        return "refused", (bad.cause, str(bad))
    return ("skipped", None) if reading is None else ("applied", reading[1].timezone)


def as_folded(record: PlainRecord) -> tuple[str, object]:
    of = program()
    fold = evaluator(of)
    folded = fold.fold(TOPIC, [record])
    if folded.refused:
        (_, bad), *_ = folded.refused
        return "refused", (bad.cause, str(bad))
    row = fold.get(record.key or b"")
    return ("skipped", None) if row is None else ("applied", decode_state(row, fresh_state(of.ledger))[ZONE])


READER = readers(program())[TOPIC]
WHOLE = json.loads(event("released", 1).value)
MALFORMED = st.sampled_from([None, 5, "", "\x00", "\U0001d11e", "Åsa", [], {}, True, 1e400, 2**80])
BEFORE_ALL = "0001-01-01T00:00:00+05:00"  # no datetime in UTC
TIMES = st.sampled_from(
    [BEFORE_ALL, "9999-12-31T23:59:59-05:00", "1969-12-31T23:59:59Z", "1970-01-01T01:30:00+01:30",
     "2026-05-01T10:00:00+0200", "2026-05-01T10:00:00", "2026-05-01t10:00:00.123456789z", "2026-06-30T23:59:60Z"]
)  # fmt: skip
ZONES = st.sampled_from(["Europe/Paris", "Mars/Olympus", "UTC", "", "../../etc/passwd"])


ATTRIBUTES = st.sampled_from(["id", "source", "type", "subject", "time", "specversion", "schemaversion", "data"])
CHANGES = (
    st.tuples(ATTRIBUTES, MALFORMED) | st.tuples(st.just("time"), TIMES) | st.tuples(st.just("timezone"), ZONES)
)


@given(
    said=st.lists(CHANGES, max_size=2).map(dict),
    data=st.fixed_dictionaries({}, optional=dict.fromkeys(("with", "share", "else"), MALFORMED)),
    key=st.just(b"ann") | st.sampled_from([b"bob", b"", "Åsa".encode(), None]),
    headers=st.sampled_from([[], [("trace", b"1")], [("ce_specversion", b"1.0")]]),
    tail=st.sampled_from([b"", b"\xff", b" ", b"}", b'"']),
    timestamp=st.sampled_from([APPENDED_MS, -1, 0, 2**62]),
)
@example(said={"time": BEFORE_ALL}, data={}, key=b"ann", headers=[], tail=b"", timestamp=APPENDED_MS)
def test_the_fold_takes_in_one_go_what_the_reader_takes_step_by_step_and_nothing_else(
    said: dict[str, Any],
    data: dict[str, Any],
    key: bytes | None,
    headers: list[tuple[str, bytes]],
    tail: bytes,
    timestamp: int,
) -> None:
    value = json.dumps(WHOLE | {"data": {"song_id": "s1"} | data} | said).encode() + tail
    record = PlainRecord(1, timestamp, key, value, headers)

    assert as_read(record) == as_folded(record)


def test_compounds_are_dated_by_the_part_that_came_last_and_dependants_by_what_they_required() -> None:
    records = [event("login", 1, minute=40), event("released", 2, minute=10), event("released", 3, minute=20)]

    assert earned(evaluator(), records) == [("second", "20"), ("both", "40"), ("after", "40")]


def test_any_is_dated_by_the_part_that_holds() -> None:
    assert ("either", "02") in earned(evaluator(), [event("login", 1), event("login", 2)])


def test_a_retired_achievement_is_not_awarded() -> None:
    assert "retired" not in dict(earned(evaluator(), [event("login", 1)]))


def test_an_award_is_won_once_even_when_its_state_went_through_the_changelog() -> None:
    of = program()
    first, second = evaluator(of), evaluator(of)
    assert ("second", "02") in earned(first, [event("released", 1), event("released", 2)])

    second.load([(b"ann", first.get(b"ann"))])

    assert earned(second, [event("released", 3), event("released", 4)]) == []


def test_a_repeated_id_counts_once_until_as_many_others_of_its_type_have_come() -> None:
    of = program()
    fold = evaluator(of)
    others = [event("login", number) for number in range(2, 2 + WINDOW_IDS)]

    fold.fold(TOPIC, [event("released", 0), event("login", 1), *others[:-1], event("login", 30, id="e1")])
    assert values(fold, of)["logins"] == WINDOW_IDS

    fold.fold(TOPIC, [event("login", 31, id="e9"), event("login", 32, id="e1")])
    assert values(fold, of)["logins"] == WINDOW_IDS + 2


def test_the_same_id_of_another_source_is_another_event() -> None:
    of = program()
    fold = evaluator(of)

    fold.fold(TOPIC, [event("login", 1), event("login", 2, id="e1", source="/app")])

    assert values(fold, of)["logins"] == 2


def test_a_record_at_or_below_the_mark_is_a_duplicate() -> None:
    fold = evaluator()
    fold.fold(TOPIC, [event("login", 5)])

    assert fold.fold(TOPIC, [event("login", 5, id="x"), event("login", 4, id="y")]).duplicate == 2


def test_a_user_on_the_wrong_partition_is_refused_when_first_seen() -> None:
    user = next(name for name in "abcdefgh" if partition_of(name.encode(), 2) == 1)

    folded = evaluator(partitions=2).fold(TOPIC, [event("login", 1, user=user)])

    assert [bad.cause for _, bad in folded.refused] == ["wrong_partition"]


def test_a_derived_event_goes_to_the_other_user_and_never_to_oneself() -> None:
    fold = evaluator()
    folded = fold.fold(
        TOPIC,
        [
            event("released", 1, data={"with": "bob", "share": 9.5}),
            event("released", 2, data={"with": "ann"}),
            event("released", 3, data={"with": " "}),
            event("released", 4),
            event("released", 5, data={"with": "\x00control"}),
            event("released", 6, data={"with": "b" * 257}),
        ],
    )

    [(key, value)] = fold.cut().derived
    made = json.loads(value)
    assert folded.derived_skipped == 5
    assert key == b"bob"
    assert (made["subject"], made["source"], made["type"]) == ("bob", "laurel/music", "joined")
    assert (made["time"], made["data"]) == ("2026-05-01T10:01:00Z", {"song_id": "s1", "by": "ann", "share": 9.5})


def test_a_derived_event_counts_for_the_other_user_and_its_repetition_does_not() -> None:
    of = program()
    fold = evaluator(of)
    fold.fold(TOPIC, [event("released", 1, data={"with": "bob"})])
    [(key, value)] = fold.cut().derived

    unlocks = earned(fold, [PlainRecord(n, APPENDED_MS, key, value) for n in (0, 1)], topic=DERIVED)

    assert unlocks == [("joined", "01")]
    assert values(fold, of, b"bob")["joins"] == 1


def test_an_unlock_says_all_that_a_message_needs_under_an_id_that_only_names_it() -> None:
    fold = evaluator(program(achievement("second", AtLeast(metric="songs", at=2), message='50 %: "%b"')))
    fold.fold(TOPIC, [event("released", 1, user='zoë " %'), event("released", 2, user='zoë " %')])

    [(key, value)] = fold.cut().outcomes
    outcome = decode_outcome(value)

    assert encode_outcome(outcome) == value
    assert unlocked_id("music", "second", 'zoë " %') == outcome.id
    assert ("zoë \" %".encode(), "50 %: \"%b\"", 2, "e2", 2, TOPIC) == (
        key, outcome.data.message, outcome.data.progress_at_unlock,
        outcome.data.evidence.event_id, outcome.data.evidence.offset, outcome.data.evidence.topic,
    )  # fmt: skip


def test_a_cut_holds_what_changed_since_the_last_and_folding_goes_on() -> None:
    fold = evaluator()
    fold.fold(TOPIC, [event("login", 1), event("login", 1, user="bob")])
    assert {b"ann", b"bob"} == {user for user, _ in fold.cut().states}

    fold.fold(TOPIC, [event("login", 2)])

    assert [user for user, _ in fold.cut().states] == [b"ann"]
    assert tuple(fold.cut()) == ([], [], [], [])


def test_the_same_records_give_the_same_bytes_however_they_are_cut() -> None:
    records = [event(kind, n, minute=n % 60) for n, kind in enumerate(["login", "released"] * 20)]
    whole, parts = evaluator(), evaluator()
    whole.fold(TOPIC, records)
    for start in range(0, len(records), 3):
        parts.fold(TOPIC, records[start : start + 3])

    assert whole.cut() == parts.cut()


def test_a_state_of_an_older_catalog_is_completed_and_one_of_a_newer_is_refused() -> None:
    old = program()
    grown = METRICS | {"more": Metric(kind="streak", plus=(Feed(type="login"),), every="day")}
    new = program(ledger=old.ledger, metrics=grown)
    before = encode_state(fresh_state(old.ledger))

    assert fresh_state(new.ledger) == decode_state(before, fresh_state(new.ledger))
    with pytest.raises(NewerState, match="restart this process"):
        decode_state(encode_state(fresh_state(new.ledger)), fresh_state(old.ledger))


def test_what_means_the_same_keeps_its_number_and_what_changed_gets_fresh_slots() -> None:
    old = program()
    changed = METRICS | {"logins": Metric(kind="distinct", plus=(Feed(type="released"),), by=("song_id",))}
    new = program(ledger=old.ledger, metrics=changed)

    slots = [{metric.key: metric.slot for metric in of.catalogs[0].metrics} for of in (old, new)]
    assert slots[0]["songs"] == slots[1]["songs"]
    assert slots[1]["logins"] > max(slots[0].values())
    assert old.ledger.slots == new.ledger.slots[: len(old.ledger.slots)]


def test_two_programs_on_one_type_must_not_contradict_each_other() -> None:
    one, other = program(), program(ledger=program().ledger)
    clash = other.catalogs[0].events[0]
    renamed = type(clash)(**{**{n: getattr(clash, n) for n in clash.__struct_fields__}, "schemaversion": 9})
    catalogs = [*one.catalogs, type(one.catalogs[0])(**{
        **{n: getattr(one.catalogs[0], n) for n in one.catalogs[0].__struct_fields__}, "events": [renamed]
    })]  # fmt: skip

    with pytest.raises(BadCatalog):
        ReadyProgram(Program(catalogs=catalogs, ledger=one.ledger, derived=DERIVED))


def test_a_metric_may_count_only_what_names_somebody_else() -> None:
    others = Metric(
        kind="distinct",
        plus=(Feed(type="released", where=(Test(field="with", op="not", value="subject"),)),),
        by=("song_id",),
    )
    of = program(metrics=METRICS | {"others": others})
    fold = evaluator(of)

    fold.fold(
        TOPIC, [event("released", n, data={"with": who}) for n, who in enumerate(["bob", "ann", None, "cid"])]
    )

    assert values(fold, of)["others"] == 2


def rounds(fold: PartitionEvaluator) -> list[tuple[Any, Any, int]]:
    """What comes out of ten cuts, each of some of twenty users, and how many states stay decoded behind each."""
    made = []
    for start in range(0, 200, 20):
        who = [f"user-{(number * number) % 20}" for number in range(start, start + 20)]
        fold.fold(TOPIC, [event("released", start + n, user, minute=n) for n, user in enumerate(who)])
        cut = fold.cut()
        made.append((cut.states, cut.outcomes, fold.decoded))
    return made


def test_a_bound_on_decoded_states_changes_nothing_that_comes_out() -> None:
    bounded = PartitionEvaluator(ReadyProgram(program()), 0, 1, decoded_max=3)

    assert [made[:2] for made in rounds(evaluator())] == [made[:2] for made in rounds(bounded)]


def test_beyond_the_bound_the_states_that_are_clean_go_back_to_bytes() -> None:
    fold = PartitionEvaluator(ReadyProgram(program()), 0, 1, decoded_max=3)

    assert max(decoded for _, _, decoded in rounds(fold)) <= 3
    assert all(fold.get(f"user-{number}".encode()) for number in (0, 1, 4, 9, 16, 5))


def test_what_somebody_else_wrote_takes_the_place_of_what_was_decoded() -> None:
    fold, other = evaluator(), evaluator()
    rounds(fold)
    other.fold(TOPIC, [event("released", 1, "user-0")])
    states = other.cut().states

    before = fold.decoded
    fold.load(states)

    assert (fold.get(b"user-0"), before - fold.decoded) == (states[0][1], 1)
