"""One AsyncAPI document: which topics there are, who writes them, and what is on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.catalog import Catalog, EventType, derived_events
from schemas.challenges import CLAIM
from schemas.json_schema import (
    Schema,
    command_attributes,
    dead_letter_schema,
    envelope_schema,
    event_attributes,
    outcome_definitions,
)
from schemas.outcomes import OUTCOMES, REPLAY_COMPLETED, ReplayOutcome
from schemas.program import CatalogRecord
from schemas.topics import Names

VERSION = "3.0.0"
CONTRACT_VERSION = "1.0.0"
PLACEHOLDER = "namespace"
IN_THE_TOPIC_ONLY = ("program", "ledger")  # Laurel's own: compiled from the source beside them
COMPONENTS = "#/components/schemas/"
KEYED_BY_USER: Schema = {"kafka": {"key": {"type": "string", "description": "the user"}}}


class OwnTopic(NamedTuple):
    """A topic of the namespace. `name` is that of its attribute of `Names`."""

    name: str
    messages: list[str]
    description: str


COMMANDS = OwnTopic("commands", [CLAIM], "What users ask for. Every command is answered on the outcomes.")


def asyncapi(catalogs: Sequence[Catalog]) -> Schema:
    """Shapes: a message is called <catalog>.<type>, one of Laurel's own by what it is."""
    own = [own_channel(topic) for topic in own_topics(catalogs)]
    sources = source_channels(catalogs)
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Laurel",
            "version": CONTRACT_VERSION,
            "description": "Turns a stream of domain events into achievements.",
        },
        "defaultContentType": "application/json",
        "channels": {**sources, **dict(own), **dict([own_channel(COMMANDS)])},
        "operations": {
            **{f"read_{channel}": operation("receive", channel) for channel in sources},
            **{f"write_{channel}": operation("send", channel) for channel, _ in own},
            "read_commands": operation("receive", "commands"),
        },
        "components": {"messages": messages(catalogs), "schemas": schemas(catalogs)},
    }


def operation(action: str, channel: str) -> Schema:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


def source_channels(catalogs: Sequence[Catalog]) -> dict[str, Schema]:
    topics: dict[str, list[str]] = {}
    for name, event in declared(catalogs):
        topics.setdefault(str(event.topic), []).append(name)
    said = "What upstream services publish, partitioned by murmur2 of the key."
    return {
        topic: {"address": topic, "description": said, "messages": references(topics[topic])}
        for topic in sorted(topics)
    }


def declared(catalogs: Sequence[Catalog]) -> Iterator[tuple[str, EventType]]:
    """The published event types, by the names of their messages."""
    for catalog in catalogs:
        for name, event in catalog.events.items():
            yield f"{catalog.catalog}.{name}", event


def derived(catalogs: Sequence[Catalog]) -> Iterator[tuple[str, EventType]]:
    for catalog in catalogs:
        for name, event in derived_events(catalog.events).items():
            yield f"{catalog.catalog}.{name}", event


def references(names: list[str]) -> Schema:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def own_topics(catalogs: Sequence[Catalog]) -> list[OwnTopic]:
    return [
        OwnTopic("outcomes", [*OUTCOMES], "What users have earned, for ever. Read it committed."),
        OwnTopic(
            "derived", [name for name, _ in derived(catalogs)], "Events that one user's event gave another user."
        ),
        OwnTopic("dead_letters", ["dead_letter"], "Refused records as they were, with headers that say why."),
        OwnTopic("catalogs", ["catalog_version"], "Every version of every catalog, compacted."),
        OwnTopic("changelog", ["user_state"], "The state of every user, compacted. Read it committed."),
    ]


def own_channel(topic: OwnTopic) -> tuple[str, Schema]:
    address: str = getattr(Names(PLACEHOLDER), topic.name)
    return topic.name, {
        "address": address.replace(f"{PLACEHOLDER}.", "{namespace}.", 1),
        "description": topic.description,
        "parameters": {"namespace": {"description": "LAUREL_NAMESPACE", "default": "laurel"}},
        "messages": references(topic.messages),
    }


def messages(catalogs: Sequence[Catalog]) -> dict[str, Schema]:
    events = {
        name: message(name, {"$ref": COMPONENTS + name}) for name, _ in [*declared(catalogs), *derived(catalogs)]
    }
    state = {"contentType": "application/msgpack", "description": "Laurel's own; schemas/state.py reads it."}
    return {
        **events,
        **{kind: message(kind, {"$ref": COMPONENTS + struct.__name__}) for kind, struct in OUTCOMES.items()},
        REPLAY_COMPLETED: {"name": REPLAY_COMPLETED, "payload": {"$ref": COMPONENTS + ReplayOutcome.__name__}},
        CLAIM: message(CLAIM, {"$ref": COMPONENTS + CLAIM}),
        "dead_letter": {"name": "dead_letter", "headers": {"$ref": f"{COMPONENTS}dead_letter"}},
        "catalog_version": {"name": "catalog_version", "payload": {"$ref": f"{COMPONENTS}catalog_version"}},
        "user_state": {"name": "user_state", **state, "bindings": KEYED_BY_USER},
    }


def message(name: str, payload: Schema) -> Schema:
    return {"name": name, "payload": payload, "bindings": KEYED_BY_USER}


def schemas(catalogs: Sequence[Catalog]) -> dict[str, Schema]:
    return {
        "event": envelope_schema(),
        **{name: event_component(name, event) for name, event in [*declared(catalogs), *derived(catalogs)]},
        **outcome_definitions(COMPONENTS + "{name}"),
        CLAIM: command_component(),
        "dead_letter": dead_letter_schema(),
        "catalog_version": catalog_version_schema(),
    }


def event_component(name: str, event: EventType) -> Schema:
    kind = name.partition(".")[2]
    return {"title": kind, "allOf": [{"$ref": f"{COMPONENTS}event"}, event_attributes(kind, event)]}


def command_component() -> Schema:
    return {"title": CLAIM, "allOf": [{"$ref": f"{COMPONENTS}event"}, command_attributes()]}


def catalog_version_schema() -> Schema:
    fields: list[Any] = [
        field for field in msgspec.structs.fields(CatalogRecord) if field.name not in IN_THE_TOPIC_ONLY
    ]
    properties = {field.encode_name: msgspec.json.schema(field.type) for field in fields}
    return {"type": "object", "properties": properties, "required": list(properties)}
