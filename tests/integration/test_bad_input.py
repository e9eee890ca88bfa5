"""Whatever a publisher writes counts, is skipped, or is a dead letter with its cause; what comes behind it counts.

All of it is published once, to one partition, with a good event behind each record; one worker reads it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer

from broker.catalogs import publish
from broker.connections import producer
from broker.topics import create_topics, wanted_topics
from processor.evaluator.compile import compile_catalog
from processor.kafka.exit import EX_SOFTWARE
from schemas.errors import Cause
from schemas.events import EVENT_BYTES_MAX
from schemas.records import Record
from schemas.topics import DEAD_LETTER_BYTES_MAX, SOURCE_CONFIG, Names, TopicSpec, partition_of
from tests.integration.processors import PARTITIONS, Metrics, Stage, Worker, records, settled, workers_of
from tests.raw_batches import RawName, send_raw
from tests.servers import Servers

pytestmark = pytest.mark.server

HOME = 1  # the partition of all that follows
EXPLAINED = "laurel.error."
TRACE = ("traceparent", b"00-4bf9-01 \xff")  # a header of somebody else's, no text
MEGABYTE = 1_000_000

CATALOG = """
catalog: library
version: 1
events:
  lent:
    topic: {topic}
    data: {{book: string, copies: integer?, fee: decimal(2)?, tags: "[string]?", to: string?}}
    derive: [{{type: borrowed, subject: data.to, unless_self: true, data: {{book: data.book}}}}]
metrics:
  lent: {{count: lent}}
  borrowed: {{count: borrowed}}
achievements:
  - {{key: lender, name: Lender, icon: "1", category: books, when: lent >= 1}}
"""

Fate = Cause | Literal["applied", "skipped", "duplicate"]


class Message(NamedTuple):
    """A record as a publisher writes it."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = (TRACE,)

    def rewritten(self, old: bytes, new: bytes) -> Message:
        """With other bytes in its value, such as no JSON encoder would write."""
        assert self.value is not None
        assert old in self.value
        return self._replace(value=self.value.replace(old, new))


class Case(NamedTuple):
    """Shapes: message takes a user whom nobody else is, and who lives in partition HOME."""

    title: str
    fate: Fate
    message: Callable[[str], Message]


def event(user: str, **changed: Any) -> dict[str, Any]:
    """A good event, with these attributes; `...` leaves one out."""
    said = {
        "specversion": "1.0",
        "id": f"lent-by-{user}",
        "source": "/library",
        "type": "lent",
        "subject": user,
        "time": "2026-03-04T05:06:07Z",
        "data": {"book": "Emma"},
    }
    return {name: value for name, value in (said | changed).items() if value is not ...}


def lent(user: str, **changed: Any) -> Message:
    return Message(user.encode(), json.dumps(event(user, **changed)).encode())


def lent_data(user: str, **data: Any) -> Message:
    return lent(user, data={"book": "Emma", **data})


def raw(value: bytes | None) -> Callable[[str], Message]:
    return lambda user: Message(user.encode(), value)


def binary(user: str, value: bytes | None = b'{"book": "Emma"}', **changed: bytes | None) -> Message:
    """The same event with its attributes in headers."""
    attributes = {name: said.encode() for name, said in event(user, data=...).items()}
    headers = ((f"ce_{name}", said) for name, said in (attributes | changed).items())
    return Message(user.encode(), value, (TRACE, *headers))


def raw_name(message: Message) -> Message:
    return message._replace(headers=(*message.headers, (RawName("tr\xe9ce"), b"\xff")))


def dwellers(partition: int, name: str = "user") -> Iterator[str]:
    """Users who live in a partition."""
    users = (f"{name}-{number}" for number in count())
    return (user for user in users if partition_of(user.encode(), PARTITIONS) == partition)


STRANGER = next(dwellers(HOME + 1))
REPEATED = next(dwellers(HOME, "repeated"))

CASES = [
    Case(
        "extra fields", "applied", lambda user: lent(user, data={"book": "Emma", "shelf": {"row": 3}}, colour="red")
    ),
    Case("missing optional fields and null ones", "applied", lambda user: lent_data(user, copies=None)),
    Case("an offset other than Z", "applied", lambda user: lent(user, time="2026-03-04T05:06:07.25+05:30")),
    Case("a header without a value", "applied", lambda user: lent(user)._replace(headers=(("x", None),))),
    Case("a header whose name is no UTF-8", "applied", lambda user: raw_name(lent(user))),
    Case("binary mode", "applied", binary),
    Case("binary mode and a header whose name is no UTF-8", "applied", lambda user: raw_name(binary(user))),
    Case("an unknown type", "skipped", lambda user: lent(user, type="burnt")),
    Case("an unknown type whose data is anything", "skipped", lambda user: lent(user, type="burnt", data=[5])),
    Case("an unknown type in binary mode", "skipped", lambda user: binary(user, type=b"burnt")),
    Case("an event for the first time", "applied", lambda user: lent(REPEATED)),
    Case("the same event again", "duplicate", lambda user: lent(REPEATED)),
    #
    Case("no value", "null_value", raw(None)),
    Case("a value of 1 MB", "too_large", raw(b"x" * MEGABYTE)),
    Case("an event a little too large", "too_large", lambda user: lent_data(user, note="x" * EVENT_BYTES_MAX)),
    #
    Case("bytes that are no UTF-8", "invalid_utf8", lambda user: lent(user).rewritten(b"Emma", b"Em\xff\xfe")),
    Case("UTF-16", "invalid_utf8", lambda user: Message(user.encode(), json.dumps(event(user)).encode("utf-16"))),
    Case("half a surrogate", "malformed_json", lambda user: lent(user).rewritten(b"Emma", b"\\ud800")),
    #
    Case("truncated JSON", "malformed_json", lambda user: lent(user).rewritten(b"}}", b"}")),
    Case("an empty value", "malformed_json", raw(b"")),
    Case("two events in one record", "malformed_json", lambda user: lent(user).rewritten(b"}}", b"}}{}")),
    Case("NaN", "malformed_json", lambda user: lent_data(user, copies=float("nan"))),
    Case("Infinity in a field that nobody declares", "malformed_json", lambda user: lent(user, x=float("inf"))),
    Case("a nest 100,000 deep", "bad_envelope", raw(b"[" * 100_000)),
    Case("a nest in a declared field", "malformed_json", lambda user: nested(lent_data(user, tags="@"))),
    Case("a nest in a field that nobody declares", "malformed_json", lambda user: nested(lent_data(user, x="@"))),
    #
    Case("JSON that is no object", "bad_envelope", raw(b"[1]")),
    Case("no id", "bad_envelope", lambda user: lent(user, id=...)),
    Case("an id that is a number", "bad_envelope", lambda user: lent(user, id=5)),
    Case("no specversion", "bad_envelope", lambda user: lent(user, specversion=...)),
    Case("no subject", "bad_envelope", lambda user: lent(user, subject=...)),
    Case("a subject of 300 letters", "bad_envelope", lambda user: lent("x" * 300)),
    Case("Laurel's own key", "bad_envelope", lambda user: lent("\0control")),
    #
    Case("data without a required field", "bad_data", lambda user: lent(user, data={})),
    Case("no data", "bad_data", lambda user: lent(user, data=...)),
    Case("data that is a list", "bad_data", lambda user: lent(user, data=["Emma"])),
    Case("a number for a string", "bad_data", lambda user: lent(user, data={"book": 5})),
    Case("a string for an integer", "bad_data", lambda user: lent_data(user, copies="5")),
    Case("a fraction for an integer", "bad_data", lambda user: lent_data(user, copies=1.5)),
    Case("an integer of 400 digits", "bad_data", lambda user: lent_data(user, copies=10**400)),
    Case("a number in a list of strings", "bad_data", lambda user: lent_data(user, tags=["a", 5])),
    Case("a decimal with too many places", "bad_data", lambda user: lent_data(user, fee=1.255)),
    Case("a decimal with 40 places", "bad_data", lambda user: lent_data(user, fee="1." + 39 * "0" + "1")),
    Case("a decimal beyond all bounds", "bad_data", lambda user: lent_data(user, fee="1e999999")),
    #
    Case("an unknown schemaversion", "unknown_schemaversion", lambda user: lent(user, schemaversion=2)),
    Case("a schemaversion of 30 digits", "unknown_schemaversion", lambda user: lent(user, schemaversion=10**30)),
    #
    Case("a time without offset", "bad_time", lambda user: lent(user, time="2026-03-04T05:06:07")),
    Case("a time before 1970", "bad_time", lambda user: lent(user, time="1969-12-31T23:59:59Z")),
    Case("a time of the year 1", "bad_time", lambda user: lent(user, time="0001-01-01T00:00:00+14:00")),
    Case("a time far in the future", "bad_time", lambda user: lent(user, time="2199-01-01T00:00:00Z")),
    Case("a time of the year 9999", "bad_time", lambda user: lent(user, time="9999-12-31T23:59:59-14:00")),
    Case("a time that is a number", "bad_time", lambda user: lent(user, time=1_780_000_000)),
    Case("the 30th of February", "bad_time", lambda user: lent(user, time="2026-02-30T05:06:07Z")),
    Case("an unknown zone", "bad_zone", lambda user: lent(user, timezone="Mars/Olympus")),
    Case("a zone that is a path", "bad_zone", lambda user: lent(user, timezone="../../etc/passwd")),
    #
    Case("bad data under a header whose name is no UTF-8", "bad_data", lambda user: raw_name(lent(user, data={}))),
    #
    Case("a key that is not the subject", "wrong_key", lambda user: lent(user)._replace(key=b"somebody")),
    Case("no key", "wrong_key", lambda user: lent(user)._replace(key=None)),
    Case("a key that is no UTF-8", "wrong_key", lambda user: lent(user)._replace(key=b"\xff")),
    Case("a partition that is not the key's", "wrong_partition", lambda user: lent(STRANGER)),
    #
    Case("binary mode without an id", "bad_envelope", lambda user: binary(user, id=None)),
    Case("binary mode, an id that is no UTF-8", "invalid_utf8", lambda user: binary(user, id=b"\xff")),
    Case("binary mode, a version in words", "bad_envelope", lambda user: binary(user, schemaversion=b"one")),
    Case("binary mode, a version without a value", "bad_envelope", lambda user: binary(user, schemaversion=None)),
    Case("binary mode, a time without offset", "bad_time", lambda user: binary(user, time=b"2026-03-04T05:06:07")),
    Case("binary mode without data", "bad_data", lambda user: binary(user, None)),
    Case("binary mode, truncated data", "malformed_json", lambda user: binary(user, b'{"book": "Emma"')),
    Case("binary mode, data that ends the envelope", "wrong_key", lambda user: binary(user, b'{},"subject":"eve"')),
]
DEAD = [case for case in CASES if case.fate not in ("applied", "skipped", "duplicate")]
LARGE = [
    Case("a value of 2 MB that cannot be compressed", "too_large", raw(random.Random(1).randbytes(2 * MEGABYTE))),
    Case(
        "a key of 2 MB", "wrong_key", lambda user: lent(user)._replace(key=random.Random(2).randbytes(2 * MEGABYTE))
    ),
    Case(
        "headers of 2 MB",
        "null_value",
        lambda user: Message(user.encode(), None, (("x", random.Random(3).randbytes(2 * MEGABYTE)),)),
    ),
]
TOO_LONG = "x" * 300
DERIVING = Case(
    "an event that derives one which nobody can take", "applied", lambda user: lent_data(user, to=TOO_LONG)
)
PUBLISHED = [*CASES, *LARGE, DERIVING]


def nested(message: Message) -> Message:
    return message.rewritten(b'"@"', b"[" * 50_000 + b"]" * 50_000)


class Run(NamedTuple):
    """What came of one log.

    Shapes: sent and behind are the source's records by the title of their case; letters those of a source record,
    by its topic and offset; applied counts the outcomes by user; shown are the worker's metrics.
    """

    stage: Stage
    sent: dict[str, Record]
    behind: dict[str, Record]
    letters: dict[tuple[str, int], list[Record]]
    applied: Counter[str]
    read: dict[str, int]
    position: int
    shown: Metrics

    def letters_of(self, case: Case) -> list[Record]:
        return self.letters.get((self.stage.source, self.sent[case.title].offset), [])


@pytest.fixture(scope="module")
def run(_shared_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Run:
    names = Names(f"t{secrets.token_hex(6)}")
    stage = Stage(_shared_servers.kafka, names, f"{names.namespace}.loans")
    return asyncio.run(run_through(stage, tmp_path_factory.mktemp("worker")))


async def run_through(stage: Stage, folder: Path) -> Run:
    await set_up(stage)
    with workers_of(stage, folder) as workers:
        worker = workers.start()
        async with producer(stage.kafka) as client:
            await play(stage, client)
        return await outcome(stage, worker)


async def set_up(stage: Stage) -> None:
    await create_topics(stage.kafka, wanted_topics(stage.names, [stage.source], PARTITIONS))
    await publish(stage.kafka, stage.names, CATALOG.format(topic=stage.source), "library.yaml", compile_catalog)


async def play(stage: Stage, client: AIOKafkaProducer) -> None:
    """Every case in its place, a good event behind it."""
    users = dwellers(HOME)
    for case in PUBLISHED:
        for message in (case.message(next(users)), lent(next(users))):
            await send(stage, client, message)
    await client.flush()


async def send(stage: Stage, client: AIOKafkaProducer, message: Message) -> None:
    if any(isinstance(name, RawName) for name, _ in message.headers):
        await client.flush()
        await send_raw(stage.kafka, stage.source, HOME, *message)
    else:
        await client.send(stage.source, message.value, message.key, partition=HOME, headers=[*message.headers])


async def outcome(stage: Stage, worker: Worker) -> Run:
    positions = await settled(stage, [worker])
    read = {topic: len(await records(stage, topic)) for topic in stage.sources}
    await worker.shows(counted, sum(read.values()))
    source = [record for _, record in await records(stage, stage.source)]
    titles = [case.title for case in PUBLISHED]
    unlocks = await records(stage, stage.names.outcomes)
    return Run(
        stage,
        sent=dict(zip(titles, source[::2], strict=True)),
        behind=dict(zip(titles, source[1::2], strict=True)),
        letters=by_origin([record for _, record in await records(stage, stage.names.dead_letters)]),
        applied=Counter(json.loads(record.value or b"")["subject"] for _, record in unlocks),
        read=read,
        position=sum(position for (topic, _), position in positions.items() if topic == stage.source),
        shown=worker.metrics(),
    )


def counted(shown: Metrics) -> float:
    return sum(value for name, value in shown.items() if name[0] == "laurel_events_total")


def by_origin(letters: list[Record]) -> dict[tuple[str, int], list[Record]]:
    found: dict[tuple[str, int], list[Record]] = {}
    for letter in letters:
        told = explained(letter)
        found.setdefault((told["topic"], int(told["offset"])), []).append(letter)
    return found


def explained(letter: Record) -> dict[str, str]:
    """What a dead letter says of itself."""
    return {
        name.removeprefix(EXPLAINED): value.decode() for name, value in letter.headers if name.startswith(EXPLAINED)
    }


def original(record: Record) -> tuple[Any, ...]:
    """A record as its publisher and the broker made it."""
    headers = [(name, value) for name, value in record.headers if not name.startswith(EXPLAINED)]
    return record.key, record.value, headers


def titled(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.title) for case in cases])


@titled(DEAD)
def test_what_cannot_count_is_a_dead_letter_with_its_cause_and_otherwise_as_it_was(run: Run, case: Case) -> None:
    """Once, and only there: its user has earned nothing."""
    record = run.sent[case.title]
    (letter,) = run.letters_of(case)

    assert original(letter) == original(record)
    told = explained(letter)
    assert told.pop("message")
    assert told == {
        "topic": run.stage.source,
        "partition": str(HOME),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
        "stage": "fold",
        "class": case.fate,
    }
    assert (record.key or b"").decode(errors="replace") not in run.applied


@titled([case for case in CASES if case not in DEAD])
def test_what_counts_or_is_skipped_is_no_dead_letter(run: Run, case: Case) -> None:
    """Who has earned something, earned it once; nobody earns by what no catalog knows."""
    user = (run.sent[case.title].key or b"").decode()

    assert run.letters_of(case) == []
    assert run.applied[user] == (case.fate != "skipped")


@titled(PUBLISHED)
def test_the_event_behind_it_is_processed(run: Run, case: Case) -> None:
    user = (run.behind[case.title].key or b"").decode()

    assert run.applied[user] == 1


@titled(LARGE)
def test_what_no_dead_letter_can_hold_is_cut_and_can_be_recognised(run: Run, case: Case) -> None:
    record = run.sent[case.title]
    (letter,) = run.letters_of(case)
    told = explained(letter)

    assert told["class"] == case.fate
    assert size(letter) <= DEAD_LETTER_BYTES_MAX
    assert told["timestamp"] == str(record.timestamp)
    if "value.sha256" in told:
        assert (record.value or b"").startswith(letter.value or b"?")
        assert told["value.sha256"] == hashlib.sha256(record.value or b"").hexdigest()
        assert told["value.bytes"] == str(len(record.value or b""))
    else:
        assert letter.value == record.value
        assert told["key.sha256"] == hashlib.sha256(record.key or b"").hexdigest()
        assert told["headers.sha256"] == hashlib.sha256(repr([*record.headers]).encode()).hexdigest()


def size(record: Record) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def test_a_derived_event_that_has_nobody_to_go_to_is_counted_and_its_parent_counts(run: Run) -> None:
    """One publisher wrote a name that is no user id, all others none."""
    parents = run.shown["laurel_events_total", "applied", run.stage.source]

    assert run.applied[(run.sent[DERIVING.title].key or b"").decode()] == 1
    assert run.shown["laurel_derived_skipped_total",] == parents
    assert run.read[run.stage.names.derived] == 0


def test_every_record_read_is_counted_once(run: Run) -> None:
    """applied + duplicate + skipped + dead letters = records read, and the positions lie behind them."""
    fates = Counter[str](
        fate if fate in ("applied", "skipped", "duplicate") else "dead_letter"
        for fate in (*(case.fate for case in PUBLISHED), *["applied"] * len(PUBLISHED))
    )
    shown = {
        topic: {name[1]: value for name, value in run.shown.items() if name[::2] == ("laurel_events_total", topic)}
        for topic in run.stage.sources
    }

    assert shown[run.stage.source] == fates
    assert {topic: sum(counted.values()) for topic, counted in shown.items()} == run.read
    assert run.position == run.read[run.stage.source] == 2 * len(PUBLISHED)


def test_dead_letters_are_counted_by_their_cause(run: Run) -> None:
    letters = Counter(explained(letter)["class"] for found in run.letters.values() for letter in found)
    shown = {name[1]: value for name, value in run.shown.items() if name[0] == "laurel_dead_letters_total"}

    assert letters == shown


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_a_publisher_may_compress(servers: Servers, namespace: str, codec: str) -> None:
    topic = f"{namespace}.{codec}"
    await create_topics(servers.kafka, [TopicSpec(topic, 1, {**SOURCE_CONFIG, "compression.type": codec})])
    stage = Stage(servers.kafka, Names(namespace), topic)
    async with producer(servers.kafka) as client:
        await client.send_and_wait(topic, lent("ann").value)

    ((_, record),) = await records(stage, topic)

    assert record.value == lent("ann").value


async def test_a_header_may_have_a_name_that_is_no_utf8(servers: Servers, namespace: str) -> None:
    """Kafka takes any bytes there. They are told as escapes, and all else of the record is as it was."""
    stage = Stage(servers.kafka, Names(namespace), f"{namespace}.loans")
    await create_topics(servers.kafka, [TopicSpec(stage.source, 1, SOURCE_CONFIG)])
    headers = [(RawName("x\xff"), b"\xff"), TRACE]
    await send_raw(stage.kafka, stage.source, 0, b"ann", lent("ann").value, headers)

    ((_, record),) = await records(stage, stage.source)

    assert (record.key, record.value, [*record.headers]) == (
        b"ann",
        lent("ann").value,
        [("x\\xff", b"\xff"), TRACE],
    )


async def test_a_batch_that_rotted_on_the_brokers_disk_stops_the_worker_with_its_place(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """No bytes of a publisher's can be its cause, and what it held is not known: nobody may read on over it."""
    stage = Stage(servers.kafka, Names(namespace), f"{namespace}.loans")
    await set_up(stage)
    async with producer(stage.kafka) as client:
        for user in ("ann", "bob"):
            await client.send_and_wait(stage.source, lent(user).value, user.encode(), partition=HOME)
    rot(servers.stack.data_dir / "kafka" / "log" / f"{stage.source}-{HOME}" / f"{0:020}.log")

    with workers_of(stage, tmp_path) as workers:
        worker = workers.start()
        code = await worker.ended()

    assert code == EX_SOFTWARE
    assert f"{stage.source}-{HOME} cannot be read at offset 1 " in json.loads(worker.log.splitlines()[-1])["event"]


def rot(segment: Path) -> None:
    """The last byte of a partition."""
    whole = bytearray(segment.read_bytes())
    whole[-1] ^= 1
    segment.write_bytes(whole)
