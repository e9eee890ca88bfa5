from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from broker.reading import Batch
from projections.award import decode_award
from projections.columns import encode_json
from projections.decoding import Undecodable, decode
from projections.notification import notification_id
from projections.other_outcomes import Other, decode_other, notice, row
from projections.progress_view import Stage
from projections.statements import statements
from projections.subscription import merge
from projections.user_achievement import OutcomeRows, add_records
from projections.user_progress import Followed, last_records, latest_state
from schemas.outcomes import encode_outcome
from schemas.records import PlainRecord
from schemas.state import CONTROL_KEY
from tests.integration.projections import answer, challenge_completed, level_reached, outcome, revocation


def record(offset: int, key: bytes | None, value: bytes | None = b"{}") -> PlainRecord:
    return PlainRecord(offset, 1_700_000_000_000, key, value)


def followed(*records: PlainRecord, partition: int = 0) -> Followed:
    return Followed(Batch("changelog", partition, 0, len(records), records), [Stage(-1, None)])


def test_only_the_last_state_of_a_user_is_decoded():
    found = last_records([followed(record(0, b"ada"), record(1, b"bob"), record(2, b"ada")), followed(partition=1)])

    assert {last.key: last.offset for last, _ in found} == {b"ada": 2, b"bob": 1}


def test_the_control_record_is_no_user():
    assert not last_records([followed(record(0, CONTROL_KEY))])


def test_a_user_id_that_is_no_text_names_the_record():
    with pytest.raises(Undecodable, match="changelog/0 offset 7 "):
        latest_state(record(7, b"\xff"), followed())


@pytest.mark.parametrize("value", [None, b"", b"{", b'{"id": 1}', b"\xff", b'"\\u0000'])
def test_an_unreadable_outcome_names_its_place(value):
    with pytest.raises(Undecodable, match="outcomes/3 offset 9 "):
        decode(record(9, b"ada", value), decode_award, "outcomes/3")


def test_nul_is_replaced_and_an_escaped_backslash_before_it_is_not():
    value = msgspec.json.encode({"a\x00": ["\x00", "\\u0000", 1, None]})

    assert decode(record(0, None, value), msgspec.json.decode, "t/0") == {"a�": ["�", "\\u0000", 1, None]}


def test_a_notification_has_one_id_per_outcome():
    one, other = outcome("ada").id, outcome("bob").id

    assert notification_id(one) == notification_id(one) != notification_id(other)


def test_a_silent_award_tells_nobody():
    rows = rows_of(outcome("ada", announce=False), outcome("bob"))

    assert (len(rows.rows), len(rows.notices), len(rows.deliveries)) == (2, 1, 1)


def test_an_award_without_a_message_is_told_by_its_description():
    assert b"Release 1 song" in rows_of(outcome("ada", message="")).notices[0]


@pytest.mark.parametrize(
    "changed",
    [{"points": 2**63}, {"n": 2**31}, {"progress_at_unlock": -(2**63) - 1}],
    ids=["points", "n", "progress"],
)
def test_a_number_that_no_column_holds_names_its_place(changed):
    with pytest.raises(Undecodable, match="outcomes/0 offset 0 "):
        rows_of(outcome("ada", **changed))


def test_each_kind_of_outcome_goes_its_own_way():
    """Awards are copied straight, the others are kept as they are, in their order."""
    first = outcome("ada")
    others = [revocation(first), level_reached("ada", 2), challenge_completed("ada"), answer("ada")]
    rows = rows_of(others[0], first, *others[1:])

    assert (len(rows.rows), [each.outcome for each in rows.others]) == (1, others)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b'{"type": "badge_melted"}', "of type 'badge_melted', which this version does not know"),
        (b'{"type": "level_reached"}', "missing required field `id`"),
        (b'{"type": "achievement_unlocked"}', "missing required field `id`"),
        (b'{"id": "1"}', "missing required field `type`"),
    ],
    ids=["unknown", "other", "unlock", "none"],
)
def test_an_outcome_that_cannot_be_read_says_why(value, told):
    with pytest.raises(Undecodable, match=f"outcomes/0 offset 4 cannot be read: .*{told}"):
        add_records(OutcomeRows(), [record(4, b"ada", value)], "outcomes/0")


def test_a_number_of_another_outcome_that_no_column_holds_names_its_place():
    with pytest.raises(Undecodable, match="outcomes/0 offset 0 "):
        rows_of(level_reached("ada", 2, value=2**63))


@pytest.mark.parametrize(
    ("changed", "texts"),
    [({}, 0), ({"context": {"score": 1}}, 0), ({"metadata": {"title": "Harmony"}}, 2)],
    ids=["plain", "context", "metadata"],
)
def test_an_award_keeps_its_texts_only_where_they_are_not_those_of_its_entry(changed, texts):
    (row,) = rows_of(outcome("ada", announce=False, **changed)).rows

    assert (b"Release 1 song" in row) + (b"Your first release!" in row) == texts


@pytest.mark.parametrize("id", ["", "ab", "g" * 32, "a" * 30])
def test_an_id_that_is_no_uuid_names_its_place(id):
    with pytest.raises(Undecodable, match="outcomes/0 offset 0 "):
        rows_of(msgspec.structs.replace(outcome("ada"), id=id))


def test_rows_in_order_are_in_the_order_of_their_ids():
    told = [outcome(f"user{number}", points=number) for number in range(20)]
    ids = {row: each.id for row, each in zip(rows_of(*told).rows, told, strict=True)}

    assert [ids[row] for row in sorted(ids)] == sorted(ids.values())


def rows_of(*outcomes) -> OutcomeRows:
    rows = OutcomeRows()
    add_records(rows, [record(at, b"ada", encode_outcome(each)) for at, each in enumerate(outcomes)], "outcomes/0")
    return rows


def test_gathered_batches_of_a_partition_become_one_stretch():
    gathered: dict[int, Batch] = {}
    merge(gathered, [Batch("t", 0, 5, 7, [record(5, b"a")]), Batch("t", 1, 0, 1, [])])
    merge(gathered, [Batch("t", 0, 7, 9, [record(8, b"b")])])

    assert gathered[0] == Batch("t", 0, 5, 9, [record(5, b"a"), record(8, b"b")])
    assert gathered[1] == Batch("t", 1, 0, 1, [])


@pytest.mark.parametrize(
    "file",
    [
        "achievement.sql",
        "checkpoints.sql",
        "digest.sql",
        "notification.sql",
        "notification_queue.sql",
        "other_outcomes.sql",
        "user_achievement.sql",
        "user_progress.sql",
    ],
)
def test_every_statement_has_a_name_and_a_text(file):
    assert all(name and text for name, text in statements(file).items())


@pytest.mark.parametrize("dates", [{}, {"dates": "approximate"}])
def test_a_level_becomes_a_row_and_a_notice_with_what_is_said_of_it_alone(dates: dict[str, str]) -> None:
    """Only approximate dates are said."""
    data = {
        "catalog": "toy",
        "catalog_version": 1,
        "catalog_sha256": "",
        "level": 2,
        "name": "Level 2",
        "message": "Well done",
        "metric": "xp",
        "value": 60,
        "start": 50,
        "next_start": None,
        "earned_at": "2026-05-01T10:00:00Z",
        "evidence": {"topic": "t", "partition": 0, "offset": 1, "event_id": "e"},
        "origin": "replay",
        "replay_id": "r",
        "announce": True,
        **dates,
    }
    level = {"specversion": "1.0", "id": "1", "source": "laurel/toy", "type": "level_reached", "subject": "ann"}
    outcome = decode_other(json.dumps({**level, "time": "2026-05-01T10:00:00Z", "data": data}).encode())
    other = Other(outcome, datetime(2026, 5, 2, tzinfo=UTC))

    assert json.loads(encode_json(row(other))).get("dates") == dates.get("dates")
    assert json.loads(encode_json(notice(other).metadata)).get("dates") == dates.get("dates")
