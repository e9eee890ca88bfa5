"""Event types: what publishers promise, and what the catalog derives from it."""

from __future__ import annotations

import re
from typing import Any, cast

from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.language import WrittenDerivation, WrittenEvent
from schemas.catalog.listing import derived_fields
from schemas.catalog.model import Derivation, EventType, Field, FieldType
from schemas.catalog.shape import check_names, said_in, shaped
from schemas.catalog.spelling import EVENT_PATTERN
from schemas.catalog.where import articled

Events = dict[str, EventType | None]  # None: declared, but with findings of its own

DECIMAL = re.compile(r"decimal\((\d)\)")


def read_events(section: dict[str, Any], report: Report) -> Events:
    """The declared types."""
    check_names(section, EVENT_PATTERN, ("events",), report)
    return {name: read_event(("events", name), said, report) for name, said in section.items()}


def read_event(path: Path, said: object, report: Report) -> EventType | None:
    written = shaped(WrittenEvent, said, path, report)
    if written is None:
        return None
    fields = {name: read_field(text) for name, text in written.data.items()}
    event = EventType(topic=written.topic, schemaversion=written.schemaversion, data=fields)
    places = [((*path, "derive", number), each) for number, each in enumerate(written.derive)]
    derive = [read_derivation(place, event, each, report) for place, each in places]
    return event.model_copy(update={"derive": [each for each in derive if each]})


def read_field(text: str) -> Field:
    """`decimal(2)?` and its like."""
    name, optional = text.removesuffix("?"), text.endswith("?")
    decimal = DECIMAL.fullmatch(name)
    if decimal:
        return Field(type="decimal", places=int(decimal[1]), optional=optional)
    plain = "strings" if name == "[string]" else name
    return Field(type=cast(FieldType, plain), optional=optional)


def read_derivation(path: Path, parent: EventType, written: WrittenDerivation, report: Report) -> Derivation | None:
    before = len(report.findings)
    subject = find_field(parent, written.subject, (*path, "subject"), report)
    if subject and subject.type != "string":
        report.add(
            (*path, "subject"),
            f"`{written.subject}` is {articled(subject)}, and a user id is a string",
            "derive for a field that holds one user id",
        )
    for name, source in written.data.items():
        if source != "subject":
            find_field(parent, source, (*path, "data", name), report)
    return Derivation(**written.model_dump()) if len(report.findings) == before else None


def find_field(event: EventType, written: str, path: Path, report: Report) -> Field | None:
    name = written.removeprefix("data.")
    if name not in event.data:
        report.add(path, f"the event declares no field `{name}`", nearest(name, event.data))
    return event.data.get(name)


def with_derived(events: Events, section: dict[str, Any], report: Report) -> Events:
    """The declared types and those they derive; one name has one meaning."""
    known = dict(events)
    for name, parent in events.items():
        for place, written in enumerate(said_in(section.get(name), "derive")):
            _add_derived(known, events, ("events", name, "derive", place, "type"), written, parent, report)
    return known


def _add_derived(
    known: Events, declared: Events, path: Path, written: dict[str, Any], parent: EventType | None, report: Report
) -> None:
    name = str(written.get("type"))
    derived = _derived(parent, written)
    if name in declared:
        remedy = "give the derived type a name of its own"
        report.add(path, f"`{name}` is declared as a published event too", remedy)
    elif derived and known.get(name) not in (None, derived):
        remedy = "give both the same data, or two names"
        report.add(path, f"`{name}` is derived elsewhere with other fields", remedy)
    else:
        known.setdefault(name, derived)


def _derived(parent: EventType | None, written: dict[str, Any]) -> EventType | None:
    """None for a derivation that has findings of its own."""
    wanted = (written.get("type"), written.get("subject"), written.get("data", {}))
    if parent is None:
        return None
    for each in parent.derive:
        if (each.type, each.subject, each.data) == wanted:
            return EventType(topic=None, data=derived_fields(parent, each))
    return None
