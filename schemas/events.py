"""The events that publishers send: CloudEvents 1.0, structured or binary, read and judged.

A reader belongs to one topic. It gives an event, nothing for a type that no catalog declares, or the reason why
the record is a dead letter. Only the fields that a catalog declares are looked at.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from functools import reduce
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import msgspec

from schemas.challenges import CLAIM, claim_spec
from schemas.errors import BadCatalog, BadRecord, Cause
from schemas.origins import origin_of
from schemas.program import CLAIMS_WINDOW, CatalogProgram, EventSpec, FieldSpec, Program
from schemas.records import Record
from schemas.topics import partition_of
from schemas.zones import EPOCH, find_zone

EVENT_BYTES_MAX = 256 * 1024
INTEGER_MAX = 2**53
FUTURE_MS_MAX = 48 * 3600 * 1000
DERIVED_SOURCE = "laurel/"
BINARY_PREFIX = "ce_"
FIRST_PRINTABLE = " "  # Laurel's own keys begin below it
TIMESTAMP_MS_MAX = 250_000_000_000_000  # the year 9892: no datetime is far behind it
EXACT = Context(traps=[Inexact, InvalidOperation, Overflow])
OFFSET = re.compile(r"(?:[Zz]|[+-]\d\d:\d\d)$")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
USER_LENGTH_MAX = 256
UserId = Annotated[str, msgspec.Meta(min_length=1, max_length=USER_LENGTH_MAX)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Integer = Annotated[int, msgspec.Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]


class Envelope(msgspec.Struct, gc=False):
    """A CloudEvent's attributes, its data still as bytes."""

    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: Name
    subject: UserId
    time: Moment
    data: msgspec.Raw = msgspec.Raw(b"{}")
    schemaversion: int = 1
    timezone: str | None = None


class Attributes(Protocol):
    """What of a read event is not its data."""

    id: str
    source: str
    subject: str
    time: datetime
    timezone: str | None


class EventKind(NamedTuple):
    """An event type of a topic, ready to read; `place` is its index among the topic's types.

    Shapes: `whole` is the struct of an event of this type with its data in it, a `data`; `decode` reads that alone.
    """

    place: int
    schemaversion: int
    decode: Callable[[msgspec.Raw | bytes], Any]
    scale: Callable[[Any], None] | None
    whole: type[msgspec.Struct]
    data: type[msgspec.Struct]


class Written(msgspec.Struct, gc=False):
    """The time as it stands in the record."""

    time: str


Reading = tuple[int, Attributes, Any, datetime]
"""An event that was read: place of its type, attributes, data, and its time in UTC."""

decode_written: Callable[[bytes], Written] = msgspec.json.Decoder(Written).decode
decode_envelope: Callable[[bytes], Envelope] = msgspec.json.Decoder(Envelope).decode

FIELD_TYPES: dict[str, Any] = {
    "string": str,
    "integer": Integer,
    "boolean": bool,
    "decimal": Decimal,
    "strings": list[str],
}


def event_kind(place: int, spec: EventSpec, home: str = "") -> EventKind:
    """What reads the data of an event type: a struct of just the declared fields. A derived one has its home as
    source."""
    # msgspec wants required fields first; the attribute of a field is f<index>, since any name is legal in JSON
    fields = sorted(enumerate(spec.fields), key=lambda item: item[1].optional)
    struct = msgspec.defstruct(
        f"Data_{spec.type}",
        [_struct_field(index, field) for index, field in fields],
        rename={attribute(index): field.name for index, field in fields},
        gc=False,
    )
    decimals = [(attribute(index), field) for index, field in fields if field.type == "decimal"]
    scale = _scaler(decimals) if decimals else None
    return EventKind(
        place, spec.schemaversion, msgspec.json.Decoder(struct).decode, scale, _whole(spec, struct, home), struct
    )


def _whole(spec: EventSpec, data: type[msgspec.Struct], home: str) -> type[msgspec.Struct]:
    """The struct of a whole event, told by its type: envelope and data in one call of the decoder."""
    may_lack_data = all(field.optional for field in spec.fields)
    version = Literal[spec.schemaversion]  # type: ignore[name-defined]
    source = Literal[home] if home.startswith(DERIVED_SOURCE) else Name
    return msgspec.defstruct(
        f"Event_{spec.type}",
        [
            ("specversion", Literal["1.0"]),
            ("id", Name),
            ("source", source),
            ("subject", UserId),
            ("time", Moment),
            ("data", data, msgspec.field(default_factory=data)) if may_lack_data else ("data", data),
            ("schemaversion", version, 1) if spec.schemaversion == 1 else ("schemaversion", version),
            ("timezone", str | None, None),
        ],
        tag_field="type",
        tag=spec.type,
        kw_only=True,
        gc=False,
    )


def attribute(index: int) -> str:
    """The attribute of a data struct that holds the declared field of this index."""
    return f"f{index}"


def attribute_of(spec: EventSpec, field: str) -> str:
    return attribute(next(index for index, each in enumerate(spec.fields) if each.name == field))


def _struct_field(index: int, field: FieldSpec) -> tuple[str, Any] | tuple[str, Any, Any]:
    kind = FIELD_TYPES[field.type]
    return (attribute(index), kind | None, None) if field.optional else (attribute(index), kind)


def _scaler(decimals: list[tuple[str, FieldSpec]]) -> Callable[[Any], None]:
    def scale(data: Any) -> None:
        for name, field in decimals:
            value = getattr(data, name)
            if value is not None:
                setattr(data, name, scaled(value, field))

    return scale


def scaled(value: Decimal, field: FieldSpec) -> int:
    """A decimal as an integer times 10**places. Raises: ValueError when it has more places, or is too large."""
    try:
        whole = EXACT.scaleb(value, field.places)
        exact = whole == whole.to_integral_value()
    except ArithmeticError:  # more digits than a decimal keeps, or a power beyond its bounds
        exact = False
    if not exact or abs(whole) > INTEGER_MAX:
        raise ValueError(f"`{field.name}` is {value}, not a number of at most {field.places} decimal places")
    return int(whole)


class EventReader:
    """Reads the records of one topic as events.

    There are two ways to the same answer. `decode` takes a whole event in one call and says nothing about why it
    does not take another; its caller looks at what no decoder can know, such as the record's key. `read` goes step
    by step: it reads what `decode` does not, binary mode among it, and gives the reason for what it refuses.

    Shapes: `specs` maps (home, type) to its spec; the home is empty but on the derived topic: there it is the
    source of a derived event, and of a copy, which `decode` never takes, the topic that it was published on.
    """

    def __init__(self, specs: Mapping[tuple[str, str], EventSpec], *, derived: bool = False) -> None:
        self.keys = list(specs)
        self.kinds = [event_kind(place, spec, home) for place, ((home, _), spec) in enumerate(specs.items())]
        self._derived = derived
        self._kinds: dict[Any, EventKind] = {
            key if derived else key[1]: kind for key, kind in zip(self.keys, self.kinds, strict=True)
        }
        self.decode = _decoder_of_any(self._told_by_type())

    def _told_by_type(self) -> list[EventKind]:
        """The kinds that are no copies, and that no other has the type of."""
        types = Counter(name for _, name in self.keys)
        return [
            kind
            for (home, name), kind in zip(self.keys, self.kinds, strict=True)
            if types[name] == 1 and (not home or home.startswith(DERIVED_SOURCE))
        ]

    def read(self, record: Record) -> Reading | None:
        """An event, or None when no catalog declares its type. Raises: BadRecord."""
        value, envelope = envelope_of(record)
        check_key(envelope.subject, record.key)
        kind, timestamp = self._kind(envelope, record)
        if kind is None:
            return None
        if not EPOCH <= envelope.time <= latest_time(timestamp):
            raise _bad_time(envelope)
        moment = in_utc(envelope.time, value)
        if envelope.timezone is not None:
            check_zone(envelope.timezone)
        if envelope.schemaversion != kind.schemaversion:
            raise _unknown_schemaversion(envelope, kind)
        data = self._data(kind, envelope)
        if len(value) > EVENT_BYTES_MAX:
            raise too_large(value)
        return kind.place, envelope, data, moment

    def _kind(self, envelope: Envelope, record: Record) -> tuple[EventKind | None, int]:
        """What the event is, and when its record was appended where it was published."""
        if not self._derived:
            return self._kinds.get(envelope.type), record.timestamp
        origin = origin_of(record.headers)
        if origin is None:
            return self._kinds.get((envelope.source, envelope.type)), record.timestamp
        return self._kinds.get((origin.topic, envelope.type)), origin.timestamp

    def _data(self, kind: EventKind, envelope: Envelope) -> Any:
        try:
            data = kind.decode(envelope.data)
            if kind.scale is not None:
                kind.scale(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return _data_of_null(kind, envelope, error)
        return data


def envelope_of(record: Record) -> tuple[bytes, Envelope]:
    """The structured form of an event, and its attributes. Raises: BadRecord when these bytes are no CloudEvent."""
    value = structured(record) if record.headers and is_binary(record) else record.value
    try:
        if not value.isascii():  # type: ignore[union-attr]
            value.decode()  # type: ignore[union-attr]
        return value, decode_envelope(value)  # type: ignore[arg-type, return-value]
    except (msgspec.MsgspecError, AttributeError, ValueError, RecursionError) as error:
        raise refusal_of_bytes(value, error) from None


def check_key(subject: str, key: bytes | None) -> None:
    """Raises: BadRecord when the record is not its subject's, or the key could be taken for one of Laurel's own."""
    if subject.encode() != key:
        raise _wrong_key(subject, key)
    check_user(key)


def _decoder_of_any(kinds: Collection[EventKind]) -> Callable[[bytes], Any]:
    if not kinds:
        return _take_nothing
    whole: Any = reduce(operator.or_, (kind.whole for kind in kinds))
    return msgspec.json.Decoder(whole).decode


def _take_nothing(value: bytes) -> Any:
    raise ValueError("left to `read`")


def latest_time(timestamp: int) -> datetime:
    """The latest time that an event may have in a record of this timestamp. Units: milliseconds since 1970."""
    return append_moment(timestamp) + timedelta(milliseconds=FUTURE_MS_MAX)


def append_moment(timestamp: int) -> datetime:
    """When a record was appended. Units: milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=min(timestamp, TIMESTAMP_MS_MAX))


def in_utc(time: datetime, value: bytes) -> datetime:
    """The time of the event that these bytes are. Raises: BadRecord for an offset that RFC 3339 does not know."""
    if time.tzinfo is UTC:
        return time
    _check_offset(value)
    return time.astimezone(UTC)


def _data_of_null(kind: EventKind, envelope: Envelope, error: Exception) -> Any:
    """`data: null` is the same as no data; anything else that failed is refused."""
    if bytes(envelope.data) == b"null":
        try:
            return kind.decode(b"{}")
        except msgspec.ValidationError as missing:
            error = missing
    raise BadRecord("bad_data", f"data of '{envelope.type}': {error}") from None


def _check_offset(value: bytes) -> None:
    """RFC 3339 wants the colon; the decoder takes ISO 8601's shorter form too, other readers do not."""
    written = decode_written(value).time
    if not OFFSET.search(written):
        raise BadRecord("bad_time", f"time '{written}' has no offset of the form +02:00: write it so, or send Z")


def check_zone(zone: str) -> None:
    if find_zone(zone) is None:
        raise BadRecord("bad_zone", f"timezone '{zone}' is no IANA zone: write one like 'Europe/Paris'")


def _unknown_schemaversion(envelope: Envelope, kind: EventKind) -> BadRecord:
    return BadRecord(
        "unknown_schemaversion",
        f"schemaversion {envelope.schemaversion} of '{envelope.type}' is not known: "
        f"the catalog declares {kind.schemaversion}",
    )


def is_user(name: str) -> bool:
    """Whether a name may be a subject: one that the reader would take, and that is not blank."""
    return name >= FIRST_PRINTABLE and len(name) <= USER_LENGTH_MAX and bool(name.strip())


def is_binary(record: Record) -> bool:
    """Whether the attributes are in headers (CloudEvents' binary mode)."""
    return any(name == BINARY_PREFIX + "specversion" for name, _ in record.headers)


def structured(record: Record) -> bytes:
    """The structured form of a binary-mode event: attributes from `ce_` headers, data from the value."""
    try:
        attributes: dict[str, Any] = {  # a header may come without a value: as an attribute that is null
            name.removeprefix(BINARY_PREFIX): None if value is None else value.decode()
            for name, value in record.headers
            if name.startswith(BINARY_PREFIX)
        }
        if attributes.get("schemaversion") is not None:
            attributes["schemaversion"] = int(attributes["schemaversion"])
        if record.value is not None:
            record.value.decode()
            attributes["data"] = msgspec.Raw(record.value)
        return msgspec.json.encode(attributes)
    except UnicodeDecodeError:
        raise BadRecord("invalid_utf8", "the record is not UTF-8 throughout") from None
    except ValueError as error:
        raise BadRecord("bad_envelope", f"a ce_ header cannot be read: {error}") from None


def refusal_of_bytes(value: bytes | None, error: Exception) -> BadRecord:
    """Why these bytes are no CloudEvent."""
    if value is None:
        return BadRecord("null_value", "the record has no value: an event is never deleted, publish an undo")
    if len(value) > EVENT_BYTES_MAX:
        return too_large(value)
    if isinstance(error, UnicodeDecodeError):
        return BadRecord("invalid_utf8", f"the value is not UTF-8 at byte {error.start}")
    return BadRecord(_cause_of(error), f"the value is no CloudEvent: {error}")


def too_large(value: bytes) -> BadRecord:
    return BadRecord("too_large", f"the event has {len(value)} bytes, at most {EVENT_BYTES_MAX} are taken")


def _cause_of(error: Exception) -> Cause:
    if not isinstance(error, msgspec.ValidationError):
        return "malformed_json"
    return "bad_time" if "$.time`" in str(error) else "bad_envelope"


def check_user(key: bytes) -> None:
    """Raises: BadRecord for a key that could be taken for one of Laurel's own."""
    if key[0] < ord(FIRST_PRINTABLE):
        raise BadRecord("bad_envelope", f"subject {key.decode()!r} begins with a control character: send a user id")


def check_partition(key: bytes, partition: int, partitions: int) -> None:
    """Raises: BadRecord for a user whose events belong elsewhere."""
    wanted = partition_of(key, partitions)
    if wanted != partition:
        raise BadRecord(
            "wrong_partition",
            f"user {key.decode()!r} belongs on partition {wanted}, the record is on {partition}: "
            "set partitioner=murmur2_random in the publisher (librdkafka's own default is another)",
        )


def _wrong_key(subject: str, key: bytes | None) -> BadRecord:
    return BadRecord(
        "wrong_key",
        f"the record's key {key!r} is not its subject '{subject}': publish with the user id as key",
    )


def _bad_time(envelope: Envelope) -> BadRecord:
    why = "before 1970" if envelope.time < EPOCH else "more than 48 hours after the record was appended"
    return BadRecord("bad_time", f"time {envelope.time.isoformat()} is {why}: send the time it happened")


EventKey = tuple[str, str, str]


def event_key(catalog: CatalogProgram, spec: EventSpec, program: Program) -> EventKey:
    """What tells event types apart: (topic, CloudEvent source where it is ours, type).

    Of a repartitioned topic the events are copies on the derived topic: (derived topic, their own topic, type).
    """
    if spec.topic is None:
        return program.derived, DERIVED_SOURCE + catalog.catalog, spec.type
    home = program.home_of(spec.topic)
    return home, "" if home == spec.topic else spec.topic, spec.type


def event_specs(program: Program) -> dict[EventKey, EventSpec]:
    """Every event type once, and commands: catalogs that share a type get the fields that any of them declares.

    Raises: BadCatalog when two catalogs contradict each other.
    """
    specs: dict[EventKey, EventSpec] = {}
    for catalog in program.catalogs:
        for spec in catalog.events:
            key = event_key(catalog, spec, program)
            specs[key] = united(specs[key], spec, catalog.catalog) if key in specs else spec
    return specs | commands(program)


def commands(program: Program) -> dict[EventKey, EventSpec]:
    """What users may ask for, read as events are: challenges are claimed where there are some."""
    if not any(catalog.challenges for catalog in program.catalogs):
        return {}
    return {(program.commands, "", CLAIM): claim_spec(program.commands, program.ledger.windows[CLAIMS_WINDOW])}


def united(one: EventSpec, other: EventSpec, catalog: str) -> EventSpec:
    """One event type that two catalogs declare; a field that either requires is required."""
    if one.schemaversion != other.schemaversion:
        raise _contradiction(one, catalog, f"schemaversion {other.schemaversion} and {one.schemaversion}")
    fields = {field.name: field for field in one.fields}
    for field in other.fields:
        known = fields.get(field.name, field)
        if (known.type, known.places) != (field.type, field.places):
            raise _contradiction(one, catalog, f"`{field.name}` as {field.type} and {known.type}")
        fields[field.name] = known if field.optional else field
    return msgspec.structs.replace(one, fields=list(fields.values()))


def _contradiction(spec: EventSpec, catalog: str, what: str) -> BadCatalog:
    return BadCatalog(
        f"catalog '{catalog}' and another one declare '{spec.type}' on topic '{spec.topic}' differently: {what}; "
        "one event has one meaning, so declare it alike in both"
    )


def readers(program: Program) -> dict[str, EventReader]:
    """A reader for each source topic that is folded. Raises: BadCatalog as `event_specs` does."""
    specs: dict[str, dict[tuple[str, str], EventSpec]] = {
        topic: {} for topic in program.sources if program.home_of(topic) == topic
    }
    for (topic, source, name), spec in event_specs(program).items():
        specs[topic][source, name] = spec
    return {topic: EventReader(found, derived=topic == program.derived) for topic, found in specs.items()}


def topics_of_type(program: Program, event_type: str) -> list[str]:
    """The topics on which some catalog declares this type, in order."""
    specs = (spec for catalog in program.catalogs for spec in catalog.events)
    return sorted({spec.topic for spec in specs if spec.type == event_type and spec.topic is not None})
