"""The contract for programs in any language: a JSON Schema for every message.

Made from the very types that decode and encode, so that what is published is what runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from schemas.catalog import Catalog, EventType, Field
from schemas.catalog.language import WrittenCatalog
from schemas.catalog.spelling import NUMBER_MAX
from schemas.challenges import CLAIM, claim_spec
from schemas.errors import Cause
from schemas.events import Envelope
from schemas.outcomes import OUTCOMES

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEAD_LETTER_PARTS = ("key", "headers", "value")
MOMENTS = {"time", "earned_at", "revoked_at"}

INTEGER: Schema = {"type": "integer", "minimum": -NUMBER_MAX, "maximum": NUMBER_MAX}
JSON_TYPES: dict[str, Schema] = {
    "string": {"type": "string"},
    "integer": INTEGER,
    "boolean": {"type": "boolean"},
    "strings": {"type": "array", "items": {"type": "string"}},
}


def json_schemas(catalogs: Iterable[Catalog]) -> dict[str, Schema]:
    """Every schema by the path of its file, each complete in itself."""
    return {
        "event.json": {"$schema": DIALECT, **envelope_schema()},
        "outcome.json": {"$schema": DIALECT, **outcome_schema()},
        "catalog.json": {"$schema": DIALECT, **catalog_schema()},
        "claim-challenge.json": {"$schema": DIALECT, **command_schema()},
        "dead-letter.json": {"$schema": DIALECT, **dead_letter_schema()},
        **{
            f"events/{catalog.catalog}.{name}.json": {"$schema": DIALECT, **event_schema(name, event)}
            for catalog in catalogs
            for name, event in catalog.events.items()
        },
    }


def envelope_schema() -> Schema:
    """CloudEvents 1.0, structured mode; attributes nobody asks for are welcome."""
    fields = msgspec.structs.fields(Envelope)
    properties = {field.encode_name: _attribute(field) for field in fields}
    return {
        "title": "Event",
        "description": "A CloudEvent 1.0 in structured mode. The key of its record is the subject, the user.",
        "type": "object",
        "properties": properties,
        "required": [field.encode_name for field in fields if field.required],
    }


def _attribute(field: msgspec.structs.FieldInfo) -> Schema:
    if field.type is msgspec.Raw:
        return {"type": ["object", "null"]}
    return msgspec.json.schema(field.type)


def event_schema(name: str, event: EventType) -> Schema:
    """The envelope and what this event type adds to it."""
    return in_envelope(name, event_attributes(name, event))


def in_envelope(name: str, particular: Schema) -> Schema:
    envelope = envelope_schema()
    return {
        **envelope,
        "title": name,
        "properties": {**envelope["properties"], **particular["properties"]},
        "required": [*envelope["required"], *particular["required"]],
    }


def command_schema() -> Schema:
    """The claim of a challenge: an event to its reader, and a command to whoever sends it."""
    return in_envelope(CLAIM, command_attributes())


def command_attributes() -> Schema:
    fields = {each.name: Field(type=each.type, optional=each.optional) for each in claim_spec("", 0).fields}
    return event_attributes(CLAIM, EventType(topic=None, data=fields))


def event_attributes(name: str, event: EventType) -> Schema:
    """What an event type adds to the envelope: its name, its version, its data."""
    required = [key for key, field in event.data.items() if not field.optional]
    fields = {key: field_schema(field) for key, field in event.data.items()}
    data: Schema = {"type": "object" if required else ["object", "null"], "properties": fields}
    return {
        "properties": {
            "type": {"const": name},
            "schemaversion": {"const": event.schemaversion, "default": 1},
            "data": {**data, "required": required} if required else data,
        },
        "required": [*(["data"] if required else []), *(["schemaversion"] if event.schemaversion != 1 else [])],
    }


def field_schema(field: Field) -> Schema:
    schema = decimal_schema(field.places) if field.type == "decimal" else JSON_TYPES[field.type]
    return {"anyOf": [schema, {"type": "null"}]} if field.optional else schema


def decimal_schema(places: int) -> Schema:
    """As a number, or as a text where a publisher fears for the digits."""
    return {
        "description": f"at most {places} decimal places",
        "type": ["number", "string"],
        "pattern": rf"^-?[0-9]+(\.[0-9]{{1,{places}}})?$",
    }


def outcome_schema() -> Schema:
    refs = [{"$ref": f"#/$defs/{struct.__name__}"} for struct in OUTCOMES.values()]
    return {"title": "Outcome", "oneOf": refs, "$defs": outcome_definitions("#/$defs/{name}")}


def outcome_definitions(ref_template: str) -> dict[str, Schema]:
    """What Laurel publishes when something happened to somebody. What is not required came later."""
    _, definitions = msgspec.json.schema_components(OUTCOMES.values(), ref_template=ref_template)
    for outcome in OUTCOMES.values():
        definitions[outcome.__name__]["required"] = list(definitions[outcome.__name__]["properties"])
    for definition in definitions.values():
        for name in MOMENTS & definition["properties"].keys():
            definition["properties"][name]["format"] = "date-time"
    return tidied(definitions)


def catalog_schema() -> Schema:
    """The catalog language as far as a schema can tell it; `laurel catalog check` tells the rest."""
    return tidied(WrittenCatalog.model_json_schema(mode="validation"))


def dead_letter_schema() -> Schema:
    """The headers that a refused record gets; key, value, timestamp and its own headers stay as they were."""
    facts: Schema = {
        "topic": {"type": "string"},
        "partition": digits("of the original"),
        "offset": digits("of the original"),
        "timestamp": digits("of the original, milliseconds since 1970"),
        "stage": {"type": "string"},
        "class": {"enum": list(get_args(Cause))},
        "message": {"type": "string", "description": "what is wrong, and the remedy"},
    }
    return {
        "title": "Dead letter",
        "description": "Headers of a dead letter, their values UTF-8 text. Parts that did not fit are marked.",
        "type": "object",
        "properties": {f"laurel.error.{name}": schema for name, schema in {**facts, **cut_marks()}.items()},
        "required": [f"laurel.error.{name}" for name in facts],
    }


def cut_marks() -> Schema:
    """A part that was cut or left out is known by its length and its hash."""
    sha256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    return {
        f"{part}.{name}": schema
        for part in DEAD_LETTER_PARTS
        for name, schema in (("bytes", digits("of the whole")), ("sha256", sha256))
    }


def digits(description: str) -> Schema:
    return {"type": "string", "pattern": "^-?[0-9]+$", "description": description}


def tidied(schema: Schema) -> Schema:
    """Docstrings on one line, a mapping with patterns for its names refuses every other name, and no word of
    OpenAPI's."""
    tidy = {name: _tidied(each) for name, each in schema.items() if name != "discriminator"}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].split())
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    return tidy


def _tidied(value: Any) -> Any:
    if isinstance(value, list):
        return [_tidied(each) for each in value]
    return tidied(value) if isinstance(value, dict) else value
