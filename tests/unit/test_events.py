"""What a record must be to count, and what is said of one that does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import BadCatalog, BadRecord
from schemas.events import EVENT_BYTES_MAX, FUTURE_MS_MAX, EventReader, attribute, event_specs, readers
from schemas.program import CatalogProgram, EventSpec, FieldSpec, Ledger, Program
from schemas.records import Headers, PlainRecord

APPENDED_MS = 1_780_000_000_000
SPEC = EventSpec(
    type="scored",
    topic="games",
    window=3,
    fields=[
        FieldSpec(name="game_id", type="string"),
        FieldSpec(name="score", type="integer", optional=True),
        FieldSpec(name="price", type="decimal", places=2, optional=True),
        FieldSpec(name="won", type="boolean", optional=True),
        FieldSpec(name="tags", type="strings", optional=True),
    ],
)
READER = EventReader({("", "scored"): SPEC})


def event(**said: Any) -> dict[str, Any]:
    whole = {
        "specversion": "1.0",
        "id": "e1",
        "source": "/games",
        "type": "scored",
        "subject": "ann",
        "time": "2026-05-01T10:00:00Z",
        "data": {"game_id": "g1"},
    }
    return {name: value for name, value in (whole | said).items() if value is not ...}


def record(value: Any, key: bytes | None = b"ann", headers: Headers = ()) -> PlainRecord:
    content = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return PlainRecord(7, APPENDED_MS, key, content, headers)


def refusal(value: Any, **others: Any) -> tuple[str, str]:
    with pytest.raises(BadRecord) as caught:
        READER.read(record(value, **others))
    return caught.value.cause, str(caught.value)


def test_a_whole_event_is_read_with_its_declared_fields_and_its_time_in_utc() -> None:
    said = event(time="2026-05-01T12:00:00.25+02:00", data={"game_id": "g", "score": 3, "price": 1.25, "extra": 1})

    reading = READER.read(record(said))

    assert reading is not None
    _, envelope, data, at = reading
    assert (envelope.id, *(getattr(data, attribute(index)) for index in (0, 1, 2))) == ("e1", "g", 3, 125)
    assert at == datetime(2026, 5, 1, 10, 0, 0, 250_000, tzinfo=UTC)


def test_a_type_that_no_catalog_declares_is_nothing_and_no_fault() -> None:
    assert READER.read(record(event(type="danced"))) is None


def test_binary_mode_is_the_same_event() -> None:
    attributes = {name: value for name, value in event().items() if name != "data"}
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]

    binary = READER.read(record(b'{"game_id":"g1"}', headers=headers))
    plain = READER.read(record(event()))

    assert binary is not None
    assert plain is not None
    assert plain[2:] == binary[2:]
    assert plain[1].id == binary[1].id


@pytest.mark.parametrize("data", [..., None])
def test_missing_and_null_data_are_empty_data(data: Any) -> None:
    cause, message = refusal(event(data=data))

    assert cause == "bad_data"
    assert "game_id" in message


def test_of_repeated_keys_the_last_counts() -> None:
    twice = json.dumps(event()).replace('"id": "e1"', '"id": "e1", "id": "e2"').encode()
    reading = READER.read(record(twice))

    assert reading is not None
    assert reading[1].id == "e2"


@pytest.mark.parametrize(
    ("cause", "value"),
    [
        ("null_value", None),
        ("too_large", event(data={"game_id": "x" * EVENT_BYTES_MAX})),
        ("too_large", b"x" * 1_000_000),
        ("invalid_utf8", json.dumps(event()).encode().replace(b"/games", b"/g\xff\xfe")),
        ("invalid_utf8", json.dumps(event(data={"game_id": "g", "other": "?"})).encode().replace(b"?", b"\xc3")),
        ("malformed_json", json.dumps(event()).encode()[:-5]),
        ("malformed_json", b""),
        ("malformed_json", json.dumps(event(data={"game_id": "g", "score": float("nan")})).encode()),
        ("bad_envelope", b"[" * 100_000),
        ("malformed_json", json.dumps(event()).replace("g1", "\\ud800").encode()),
        ("bad_envelope", b"[]"),
        ("bad_envelope", b'"text"'),
        ("bad_envelope", event(id=...)),
        ("bad_envelope", event(id="")),
        ("bad_envelope", event(id=5)),
        ("bad_envelope", event(source=...)),
        ("bad_envelope", event(specversion="0.3")),
        ("bad_envelope", event(subject="")),
        ("bad_envelope", event(schemaversion="one")),
        ("bad_time", event(time="2026-05-01T10:00:00")),
        ("bad_time", event(time="2026-05-01T10:00:00+0200")),
        ("bad_time", event(time="yesterday")),
        ("bad_time", event(time="1969-12-31T23:59:59Z")),
        ("bad_time", event(time="2199-01-01T00:00:00Z")),
        ("bad_zone", event(timezone="Mars/Olympus")),
        ("bad_zone", event(timezone="../../etc/passwd")),
        ("unknown_schemaversion", event(schemaversion=2)),
        ("bad_data", event(data={})),
        ("bad_data", event(data=[])),
        ("bad_data", event(data={"game_id": 5})),
        ("bad_data", event(data={"game_id": "g", "score": "5"})),
        ("bad_data", event(data={"game_id": "g", "score": 2**53 + 1})),
        ("bad_data", event(data={"game_id": "g", "score": 10**400})),
        ("bad_data", event(data={"game_id": "g", "price": 1.255})),
        ("bad_data", event(data={"game_id": "g", "won": 1})),
        ("bad_data", event(data={"game_id": "g", "tags": ["a", 5]})),
    ],
)
def test_a_record_that_does_not_count_is_refused_with_its_cause(cause: str, value: Any) -> None:
    assert cause == refusal(value)[0]


def test_a_nest_too_deep_to_read_is_refused_and_not_a_crash() -> None:
    deep = json.dumps(event(data={"game_id": "g", "x": "@"})).replace('"@"', "[" * 50_000 + "]" * 50_000)

    assert refusal(deep.encode())[0] in ("malformed_json", "bad_envelope", "bad_data")


def test_a_time_is_refused_only_beyond_48_hours_after_the_append() -> None:
    def at(milliseconds: int) -> dict[str, Any]:
        from schemas.zones import moment_of

        return event(time=moment_of(milliseconds * 1000).isoformat())

    assert READER.read(record(at(APPENDED_MS + FUTURE_MS_MAX))) is not None
    assert refusal(at(APPENDED_MS + FUTURE_MS_MAX + 1))[0] == "bad_time"


@pytest.mark.parametrize("key", [None, b"", b"bob", b"ANN"])
def test_a_key_other_than_the_subject_is_refused_with_the_remedy(key: bytes | None) -> None:
    cause, message = refusal(event(), key=key)

    assert cause == "wrong_key"
    assert "user id as key" in message


def test_a_subject_cannot_pass_for_one_of_laurels_own_keys() -> None:
    assert refusal(event(subject="\x00control"), key=b"\x00control")[0] == "bad_envelope"


@given(st.binary(max_size=80))
def test_no_bytes_whatever_make_the_reader_fail_otherwise(value: bytes) -> None:
    with pytest.raises(BadRecord):
        READER.read(record(value))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_data_whatever_makes_the_reader_fail_otherwise(data: Any) -> None:
    with pytest.raises(BadRecord):
        READER.read(record(event(data=data)))


@given(st.lists(st.tuples(st.sampled_from(["ce_specversion", "ce_id", "ce_time", "x"]), st.binary(max_size=9))))
def test_no_headers_whatever_make_the_reader_fail_otherwise(headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises(BadRecord):
        READER.read(record(b"{}", headers=headers))


def program(*catalogs: list[EventSpec]) -> Program:
    made = [
        CatalogProgram(catalog=f"c{index}", version=1, sha256="", events=events, metrics=[], achievements=[])
        for index, events in enumerate(catalogs)
    ]
    return Program(catalogs=made, ledger=Ledger(), derived="x.derived")


def scored(*fields: FieldSpec) -> EventSpec:
    return EventSpec(type="scored", topic="games", window=3, fields=list(fields))


def test_two_catalogs_on_one_event_read_the_fields_that_either_declares() -> None:
    one, other = FieldSpec(name="a", type="string"), FieldSpec(name="b", type="integer", optional=True)
    strict = FieldSpec(name="b", type="integer")

    united = event_specs(program([scored(one, other)], [scored(strict)]))

    assert [one, strict] == united["games", "", "scored"].fields


def test_two_catalogs_that_contradict_each_other_are_refused() -> None:
    text, number = FieldSpec(name="a", type="string"), FieldSpec(name="a", type="integer")

    with pytest.raises(BadCatalog, match="declare it alike"):
        readers(program([scored(text)], [scored(number)]))
