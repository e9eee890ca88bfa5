"""The published contract is what the code does: up to date, well formed, and of one mind with the decoder."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator, validators
from typer.testing import CliRunner

from cli.catalog_files import bundled_catalogs
from cli.schema import PUBLISHED, app, published_texts
from processor.evaluator.compile import compile_catalog
from processor.kafka.dead_letters import dead_letter
from processor.kafka.partition import Refusal
from schemas.catalog import read_catalog
from schemas.catalog.source import Source
from schemas.errors import BadRecord
from schemas.events import EventReader, readers
from schemas.outcomes import (
    OUTCOMES,
    Evidence,
    Outcome,
    Unlocked,
    decode_any_outcome,
    decode_outcome,
    encode_outcome,
    outcome_id,
    unlocked_id,
)
from schemas.program import Ledger, Program
from schemas.records import PlainRecord

HERE = Path(__file__).parent
CATALOGS = HERE.parents[1] / "catalogs"
SAMPLES: dict[Any, Any] = {
    str: "a",
    int: 1,
    bool: True,
    Any: "a",
    date: date(2026, 3, 1),
    datetime: datetime(2026, 3, 1, 10, tzinfo=UTC),
}


@cache
def document(name: str) -> Any:
    return json.loads((PUBLISHED / name).read_text(encoding="utf-8"))


def complaints(name: str, value: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(document(name)).iter_errors(value)]


def released(**changes: Any) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "studio",
        "type": "song_released",
        "subject": "ann",
        "time": "2026-03-01T10:00:00+01:00",
        "data": {"song_id": "s", "from_status": "wip", "year": 1976, "collaborator_ids": ["ben"], "more": 1},
    }
    return {name: value for name, value in {**event, **changes}.items() if value is not ...}


# --- the command ---


def test_the_committed_files_are_what_the_command_writes():
    ran = CliRunner().invoke(app, ["export", "--check"])

    assert (ran.exit_code, ran.stdout) == (0, "")


def test_every_difference_is_named_and_ends_with_5(tmp_path: Path):
    CliRunner().invoke(app, ["export", "--folder", str(tmp_path)])
    (tmp_path / "event.json").write_text("{}", encoding="utf-8")
    (tmp_path / "outcome.json").unlink()
    (tmp_path / "stray.json").write_text("{}", encoding="utf-8")

    ran = CliRunner().invoke(app, ["export", "--check", "--folder", str(tmp_path)])

    named = [Path(line.split()[0]).name for line in ran.stdout.splitlines()]
    assert (ran.exit_code, named) == (5, ["event.json", "outcome.json", "stray.json"])


def test_writing_again_mends_what_differs_and_removes_what_nobody_writes(tmp_path: Path):
    (tmp_path / "stray.json").write_text("{}", encoding="utf-8")

    ran = CliRunner().invoke(app, ["export", "--folder", str(tmp_path)])
    again = CliRunner().invoke(app, ["export", "--check", "--folder", str(tmp_path)])

    assert (ran.exit_code, again.exit_code) == (0, 0)
    assert not (tmp_path / "stray.json").exists()


# --- the schemas ---


@pytest.mark.parametrize("name", sorted(name for name in published_texts() if name != "asyncapi.json"))
def test_a_schema_is_a_schema(name: str):
    Draft202012Validator.check_schema(document(name))


SONG_RELEASED = "events/trackflow.song_released.json"
BAD_EVENTS = [
    ("no id", {"id": ...}),
    ("an empty source", {"source": ""}),
    ("another specversion", {"specversion": "0.3"}),
    ("no data", {"data": ...}),
    ("a required field is missing", {"data": {"song_id": "s"}}),
    ("a required field is null", {"data": {"song_id": "s", "from_status": None}}),
    ("a text where a number belongs", {"data": {"song_id": "s", "from_status": "wip", "year": "1976"}}),
    ("a number where a text belongs", {"data": {"song_id": 1, "from_status": "wip"}}),
    ("an integer beyond 2**53", {"data": {"song_id": "s", "from_status": "wip", "year": 2**53 + 1}}),
    ("a list of numbers", {"data": {"song_id": "s", "from_status": "wip", "collaborator_ids": [1]}}),
    ("another schemaversion", {"schemaversion": 2}),
]
GOOD_EVENTS = [
    ("as it is", {}),
    ("optional fields are null", {"data": {"song_id": "s", "from_status": "wip", "year": None}}),
    ("the schemaversion is said", {"schemaversion": 1}),
    ("a zone", {"timezone": "Europe/Paris"}),
    ("attributes of others", {"datacontenttype": "application/json", "traceparent": "00-1"}),
]


@cache
def reader() -> EventReader:
    catalog = read_catalog((CATALOGS / "trackflow.yaml").read_text(encoding="utf-8"), "trackflow.yaml")
    program, ledger = compile_catalog(catalog, Ledger())
    return readers(Program(catalogs=[program], ledger=ledger, derived="laurel.derived"))["trackflow.activity"]


def decoded(event: dict[str, Any]) -> bool:
    """Whether the processor takes it."""
    record = PlainRecord(0, 1_900_000_000_000, event.get("subject", "").encode(), json.dumps(event).encode())
    try:
        return reader().read(record) is not None
    except BadRecord:
        return False


@pytest.mark.parametrize(("what", "changes"), GOOD_EVENTS)
def test_what_the_schema_takes_the_processor_takes(what: str, changes: dict[str, Any]):
    assert complaints(SONG_RELEASED, released(**changes)) == []
    assert decoded(released(**changes)), what


@pytest.mark.parametrize(("what", "changes"), BAD_EVENTS)
def test_what_the_schema_refuses_the_processor_refuses(what: str, changes: dict[str, Any]):
    assert complaints(SONG_RELEASED, released(**changes)), what
    assert not decoded(released(**changes)), what


def test_an_event_without_fields_needs_no_data():
    login = released(type="login", data=...)

    assert complaints("events/trackflow.login.json", login) == []
    assert complaints("events/trackflow.login.json", {**login, "data": None}) == []
    assert complaints("events/trackflow.login.json", {**login, "data": []})


@pytest.mark.parametrize("name", bundled_catalogs())
def test_the_bundled_catalogs_are_of_the_languages_shape(name: str):
    text = (CATALOGS / f"{name}.yaml").read_text(encoding="utf-8")

    assert complaints("catalog.json", Source(text, name).data) == []


def test_an_editor_is_told_of_a_misspelt_word():
    catalog = yaml.safe_load("{catalog: c, version: 1, metrics: {m: {cuont: e}, n: {count: e, sum: e}}}")

    assert len(complaints("catalog.json", catalog)) == 3  # a word, no kind, two kinds


def test_a_claim_is_of_its_schema_with_or_without_a_day():
    claim = released(type="claim_challenge", data={"catalog": "c", "challenge": "two_songs"})

    assert complaints("claim-challenge.json", claim) == []
    assert complaints("claim-challenge.json", {**claim, "data": {**claim["data"], "day": "2026-11-21"}}) == []
    assert complaints("claim-challenge.json", {**claim, "data": {"catalog": "c"}})


def unlocked_data() -> dict[str, Any]:
    unlocked = dict.fromkeys(Unlocked.__struct_fields__, "")
    unlocked |= {"catalog_version": 1, "points": 10, "n": 0, "secret": False, "announce": True, "metadata": {}}
    unlocked |= {"tier": None, "progress_at_unlock": 3, "replay_id": None, "origin": "live"}
    unlocked |= {"xp": 0, "context": {}, "is_public": True, "dates": "approximate"}
    unlocked |= {
        "earned_at": "2026-03-01T10:00:00Z",
        "evidence": msgspec.to_builtins(Evidence(topic="t", partition=0, offset=1, event_id="e")),
    }
    return unlocked


def test_an_outcome_is_of_its_schema():
    outcome = msgspec.convert(
        {
            "id": "1",
            "source": "laurel/c",
            "subject": "ann",
            "time": "2026-03-01T10:00:00Z",
            "data": unlocked_data(),
        },
        Outcome,
    )
    published = json.loads(encode_outcome(outcome))

    assert complaints("outcome.json", published) == []
    assert complaints("outcome.json", {**published, "type": "other"})
    assert complaints("outcome.json", {**published, "data": {}})


LATER = ("xp", "context", "is_public", "dates")


def test_an_unlock_from_before_a_field_was_there_is_still_read():
    """Outcomes are kept for ever: what came later has a default, here and in the schema."""
    data = unlocked_data()
    old = {name: value for name, value in data.items() if name not in LATER}
    record = {"specversion": "1.0", "id": "1", "source": "laurel/c", "type": "achievement_unlocked",
              "subject": "ann", "time": "2026-03-01T10:00:00Z", "data": old}  # fmt: skip

    assert complaints("outcome.json", record) == []
    assert decode_outcome(json.dumps(record).encode()).data.context == {}


def sample(kind: Any) -> Any:
    """Any value of a type, made of what its fields are."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{field.name: sample(field.type) for field in msgspec.structs.fields(kind)})
    if get_origin(kind) is Literal or get_origin(kind) in (UnionType, Union):
        first = get_args(kind)[0]
        return sample(first) if get_origin(kind) is not Literal else first
    if get_origin(kind) is list:
        return [sample(get_args(kind)[0])]
    if get_origin(kind) is dict:
        return {"title": sample(get_args(kind)[1])}
    return SAMPLES[kind]


@pytest.mark.parametrize("kind", OUTCOMES)
def test_every_outcome_is_of_its_schema_and_decodes_as_itself(kind: str):
    outcome = sample(OUTCOMES[kind])
    published = json.loads(encode_outcome(outcome))

    assert complaints("outcome.json", published) == []
    assert complaints("outcome.json", {**published, "subject": 1})
    assert decode_any_outcome(encode_outcome(outcome)) == outcome


def test_ids_of_different_outcomes_never_meet():
    """An award, its revocation, and its return are three things that happened."""
    ids = {
        outcome_id(kind, "c", "k", "ann", tier=tier, scope=scope, n=n)
        for kind in OUTCOMES
        for tier in (None, "gold")
        for scope in ("", "m1")
        for n in (0, 1)
    }

    assert len(ids) == len(OUTCOMES) * 8
    assert unlocked_id("c", "k", "ann", tier="gold", scope="m1", n=1) in ids


def test_the_headers_of_a_dead_letter_are_of_their_schema():
    record = PlainRecord(7, 1_700_000_000_000, b"ann", b"x" * (2 * 1024 * 1024), [("trace", b"1")])
    refusal = Refusal("trackflow.activity", 3, record, BadRecord("too_large", "it is too large"))

    headers = {name: value.decode() for name, value in dead_letter(refusal)[3]}

    assert complaints("dead-letter.json", headers) == []
    known = set(document("dead-letter.json")["properties"])
    assert {name for name in headers if name.startswith("laurel.")} <= known
    assert complaints("dead-letter.json", {**headers, "laurel.error.class": "bad_luck"})


# --- AsyncAPI ---


def test_the_asyncapi_document_is_of_asyncapis_own_schema():
    schema = json.loads(gzip.decompress((HERE / "asyncapi" / "schema-3.0.0.json.gz").read_bytes()))
    validator = validators.validator_for(schema)(schema)
    document_ = document("asyncapi.json")

    assert [error.message for error in validator.iter_errors(document_)] == []
    assert list(validator.iter_errors({**document_, "channels": {"outcomes": {"address": 3}}}))


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for each in value.values() for found in references(each)]
    return [found for each in value for found in references(each)] if isinstance(value, list) else []


def test_every_reference_in_the_asyncapi_document_leads_somewhere():
    for reference in references(document("asyncapi.json")):
        place = document("asyncapi.json")
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_the_asyncapi_document_names_every_topic_and_every_event():
    channels = document("asyncapi.json")["channels"]
    messages = set(document("asyncapi.json")["components"]["messages"])

    assert {channel["address"] for channel in channels.values()} == {
        *(f"{name}.activity" for name in bundled_catalogs()),
        "{namespace}.outcomes",
        "{namespace}.commands",
        "{namespace}.derived",
        "{namespace}.dead-letters",
        "{namespace}.catalogs",
        "{namespace}.user-state-changelog",
    }
    assert {Path(name).stem for name in published_texts() if name.startswith("events/")} <= messages
    assert list(channels["derived"]["messages"]) == ["trackflow.added_as_collaborator"]
