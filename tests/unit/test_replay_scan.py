"""What a scan lets through is what a naive pass finds that decodes every record, whatever lies in the log."""

from __future__ import annotations

import gc
import json
import struct
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBase
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from broker.parsing import tolerate_header_names
from processor.replay.ports import Stretch
from processor.replay.raw_batches import Sieve, raw_batches
from processor.replay.scan import _fetched
from processor.replay.wanted import Wanted
from schemas.errors import BadRecord, LaurelError
from schemas.events import EventReader
from schemas.program import EventSpec
from schemas.records import Headers, PlainRecord, Record
from tests.raw_batches import RawName, builder

NOW = 1_780_000_000_000
WANTED = "song_released"
TYPES = (WANTED, "song_released_again", "song", "released", "a.song_released")
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
ABORT_KEY, COMMIT_KEY = struct.pack(">hh", 0, 0), struct.pack(">hh", 0, 1)

Row = tuple[bytes | None, bytes | None, Headers]


@dataclass
class Log:
    """A partition as the broker keeps it, and what a fetch tells of its aborted transactions."""

    data: bytes = b""
    end: int = 0
    aborts: list[tuple[int, int]] = field(default_factory=list)

    def append(self, rows: Sequence[Row], codec: int = NONE, *, producer: int = -1, attributes: int = 0) -> None:
        built = builder(codec, producer, transactional=producer >= 0)
        for delta, (key, value, headers) in enumerate(rows):
            built.append(delta, NOW + delta, key, value, [*headers])
        self.data += stamped(built.build(), self.end, attributes)
        self.end += len(rows)

    def commit(self, producer: int) -> None:
        self.append([(COMMIT_KEY, b"", ())], producer=producer, attributes=DefaultRecordBase.CONTROL_MASK)

    def abort(self, producer: int) -> None:
        self.append([(ABORT_KEY, b"", ())], producer=producer, attributes=DefaultRecordBase.CONTROL_MASK)

    def lose(self, offsets: int) -> None:
        """As compaction does."""
        self.end += offsets


def stamped(whole: bytearray, base: int, attributes: int) -> bytes:
    struct.pack_into(">q", whole, 0, base)
    whole[DefaultRecordBase.ATTRIBUTES_OFFSET + 1] |= attributes
    covered = bytes(whole[DefaultRecordBase.ATTRIBUTES_OFFSET :])
    struct.pack_into(">I", whole, DefaultRecordBase.CRC_OFFSET, calc_crc32c(covered))
    return bytes(whole)


def event(name: str = WANTED, **others: object) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": "e1",
        "source": "/tests",
        "type": name,
        "subject": "ann",
        "time": "2026-01-01T00:00:00Z",
        "data": {},
    } | others


def value_of(whole: object) -> bytes:
    return msgspec.json.encode(whole)


def row(value: bytes | None, headers: Headers = ()) -> Row:
    return b"ann", value, headers


def written(name: str = WANTED, **others: object) -> Row:
    return row(value_of(event(name, **others)))


def binary(name: str = WANTED) -> Row:
    attributes = {key: value for key, value in event(name).items() if key != "data"}
    return row(b"{}", [(f"ce_{key}", str(value).encode()) for key, value in attributes.items()])


def naive(log: Log, start: int, cut: int) -> list[tuple[object, ...]]:
    """aiokafka reads all that is committed, and the reader of events decodes it."""
    whole = fetched(log)
    every = EventReader({("", name): EventSpec(type=name, topic="songs", window=0) for name in TYPES})
    return read_by(every, [each for each in whole if start <= each.offset < cut])


def fetched(log: Log) -> fetcher.PartitionRecords:
    tolerate_header_names()
    place, data = TopicPartition("songs", 0), fetcher.MemoryRecords(log.data)
    return fetcher.PartitionRecords(place, data, log.aborts, 0, None, None, True, fetcher.READ_COMMITTED)


def scanned(log: Log, start: int = 0, cut: int | None = None) -> list[Record]:
    sieve = Sieve(Wanted([WANTED]), start, log.end if cut is None else cut)
    return [record for each in sieve.sift(raw_batches(log.data), log.aborts) for record in each.records]


def read_by(reader: EventReader, records: Sequence[Record]) -> list[tuple[object, ...]]:
    """The wanted events: with all that a fold looks at, and how they were read."""
    found: list[tuple[object, ...]] = []
    for record in records:
        try:
            reading = reader.read(record)
        except BadRecord:
            continue
        if reading and reader.keys[reading[0]][1] == WANTED:
            told = reading[1].id, reading[1].subject, reading[3]
            found.append((record.offset, record.timestamp, record.key, record.value, [*record.headers], told))
    return found


ONLY_WANTED = EventReader({("", WANTED): EventSpec(type=WANTED, topic="songs", window=0)})


def offsets(records: Sequence[Record]) -> list[int]:
    return [record.offset for record in records]


@pytest.mark.parametrize("codec", [NONE, GZIP, SNAPPY, LZ4, ZSTD])
def test_wanted_records_come_with_all_that_was_sent(codec: int) -> None:
    log = Log()
    log.append([written("song"), (*written()[:2], [("trace", b"1")])], codec)
    log.append([written("released")] * 3, codec)

    (record,) = scanned(log)

    assert (record.offset, record.timestamp, record.key, record.value) == (1, NOW + 1, b"ann", written()[1])
    assert [*record.headers] == [("trace", b"1")]


@pytest.mark.parametrize(
    "spelling",
    [
        b'"type" :\n\t "song_released"',
        b'"type":"song_r\\u0065leased"',
        b'"type":"\\u0073\\u006F\\u006eg_released"',
        b'"t\\u0079pe":"song_released"',
        b'"\\u0074\\u0079\\u0070\\u0065":"\\u0073ong_released"',
        b'"type":"song","type":"song_released"',
    ],
)
def test_a_type_is_known_however_json_lets_it_be_spelled(spelling: bytes) -> None:
    log = Log()
    log.append([row(value_of(event("TYPE")).replace(b'"type":"TYPE"', spelling))])

    assert offsets(scanned(log)) == [0]
    assert len(read_by(ONLY_WANTED, scanned(log))) == 1


@pytest.mark.parametrize(
    "other",
    [
        written("song_released_again"),
        written("song"),
        written("a.song_released"),
        written("song", data={"type": WANTED, "said": '"type":"song_released"'}),
        written("song", source=WANTED, id=WANTED, subject=WANTED),
        (b"ann", value_of(event()).replace(b'"time"', b'"type":"song","time"'), ()),
        row(None),
        row(b""),
        row(b"song_released"),
        row(b'["song_released"]'),
        row(b'{"type":{"song_released":1}}'),
        binary("song"),
        (value_of(WANTED), b"{}", [('"song_released"', b'"type":"song_released"')]),
    ],
)
def test_what_only_looks_like_the_type_is_not_it(other: Row) -> None:
    log = Log()
    log.append([other])

    assert scanned(log) == []


def test_a_type_in_a_header_is_known() -> None:
    log = Log()
    log.append([binary("song"), binary(), written("song")])

    assert offsets(scanned(log)) == [1]
    assert len(read_by(ONLY_WANTED, scanned(log))) == 1


def test_a_name_that_is_no_utf_8_hides_no_record() -> None:
    log = Log()
    log.append([row(value_of(event()), [(RawName("tr\xe9ce"), b"\xff")]), written("song"), written()], GZIP)

    assert offsets(scanned(log)) == [0, 2]
    assert [*scanned(log)[0].headers] == [("tr\\xe9ce", b"\xff")]


def test_a_wanted_record_that_was_refused_comes_to_be_refused_again() -> None:
    log = Log()
    log.append([written(time="2026-01-01T00:00:00"), written(subject="bob"), written()])

    found = scanned(log)

    assert offsets(found) == [0, 1, 2]
    assert [each[0] for each in read_by(ONLY_WANTED, found)] == [2]


def test_a_repeated_event_comes_each_time() -> None:
    """Whether it counts twice the window decides that sees every id of the type."""
    log = Log()
    log.append([written(), written(), written()])

    assert offsets(scanned(log)) == [0, 1, 2]


def test_what_was_aborted_is_not_seen_and_what_was_committed_beside_it_is() -> None:
    log = Log(aborts=[(7, 0), (7, 8)])
    log.append([written()], producer=7)  # 0, aborted
    log.append([written()], producer=8)  # 1, committed
    log.append([written()])  # 2, without a transaction
    log.abort(7)  # 3
    log.commit(8)  # 4
    log.append([written()], producer=7)  # 5, of a transaction that is committed
    log.commit(7)  # 6
    log.append([written()])  # 7
    log.append([written()], producer=7)  # 8, aborted again
    log.abort(7)  # 9

    assert offsets(scanned(log)) == [1, 2, 5, 7]


def test_the_append_time_of_the_batch_is_that_of_its_records() -> None:
    log = Log()
    log.append([written(), written()], LZ4, attributes=DefaultRecordBase.TIMESTAMP_TYPE_MASK)

    assert [record.timestamp for record in scanned(log)] == [NOW + 1, NOW + 1]


@pytest.mark.parametrize("start", range(7))
@pytest.mark.parametrize("cut", range(7))
def test_a_stretch_may_begin_and_end_anywhere(start: int, cut: int) -> None:
    log = Log()
    log.append([written()] * 2)
    log.lose(1)
    log.append([written(), written("song"), written()], ZSTD)

    within = [each for each in (0, 1, 3, 5) if start <= each < cut]

    assert offsets(scanned(log, start, cut)) == within


def test_positions_lead_from_the_start_to_the_cut_and_every_committed_record_is_counted() -> None:
    log = Log(aborts=[(7, 4)])
    log.append([written("song")] * 4)
    log.append([written()] * 2, producer=7)
    log.abort(7)
    log.lose(3)
    log.append([written()] * 3)

    def passed(start: int, cut: int) -> list[tuple[int, int]]:
        sifted = Sieve(Wanted([WANTED]), start, cut).sift(raw_batches(log.data), log.aborts)
        return [(each.end, each.read) for each in sifted]

    assert passed(0, 13) == [(4, 4), (6, 0), (7, 0), (13, 3)]
    assert passed(1, 8) == [(4, 3), (6, 0), (7, 0), (8, 0)]
    assert passed(0, 12) == [(4, 4), (6, 0), (7, 0), (12, 2)]


def test_the_batch_that_the_fetch_cut_off_waits_for_the_next_one() -> None:
    log = Log()
    log.append([written()])
    whole = len(log.data)
    log.append([written()])

    for length in range(whole, len(log.data)):
        assert len([*raw_batches(log.data[:length])]) == 1


def test_a_damaged_batch_is_said_so_with_its_offsets_though_nothing_wanted_is_in_it() -> None:
    log = Log()
    log.append([written("song")])
    log.append([written("song")] * 2)
    log.data = log.data[:-3] + b"x" + log.data[-2:]

    with pytest.raises(LaurelError, match=r"offsets 1 to 2 cannot be read, its checksum is wrong: look at"):
        scanned(log)


def test_a_type_with_signs_that_json_escapes_in_short_is_found_by_any_escape() -> None:
    log = Log()
    log.append([row(value_of(event("a/b")).replace(b"a/b", b"a\\/b"))])

    sieve = Sieve(Wanted(["a/b"]), 0, 1)

    assert [len(each.records) for each in sieve.sift(raw_batches(log.data), ())] == [1]


def test_only_records_of_the_keys_that_are_asked_for_are_wanted() -> None:
    records = [PlainRecord(at, 0, key, value_of(event())) for at, key in enumerate([b"ann", b"bob", None, b"bob"])]

    assert offsets(Wanted([WANTED], {b"bob"}).among(records)) == [1, 3]
    assert offsets(Wanted([WANTED], set()).among(records)) == []
    assert offsets(Wanted([WANTED]).among(records)) == [0, 1, 2, 3]


def test_batches_that_hold_no_wanted_record_for_sure_are_told_without_parsing() -> None:
    """What makes the scan fast: without it every test here passes all the same."""
    wanted, log = Wanted([WANTED]), Log()
    log.append([written("song", data={"said": 'song_released, a\n"quote"'})] * 100)

    assert not wanted.may_be_in(log.data)


spelled = st.sampled_from(
    [
        lambda name: name,
        lambda name: name.replace("e", "\\u0065"),
        lambda name: "".join(f"\\u{ord(letter):04X}" for letter in name),
    ]
)
keys = st.sampled_from(["type", "t\\u0079pe", "typ"])
spaces = st.sampled_from(["", " ", "\n\t "])


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A record, as odd as publishers send them."""
    name, other = draw(st.sampled_from(TYPES)), draw(st.sampled_from(TYPES))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.sampled_from([row(None), row(b""), row(b"{"), row(b'"song_released"'), row(b"\xff")]))
    if kind == 1:
        return binary(name)
    said = draw(st.sampled_from([{}, {"type": other}, {"said": f'"type":"{other}"'}, {"said": "\\u0041 é"}]))
    text = value_of(event("TYPE", data=said)).decode()
    pair = f'"{draw(keys)}"{draw(spaces)}:{draw(spaces)}"{draw(spelled)(name)}"'
    again = f'"type":"{other}",' if kind == 2 else ""
    headers = draw(
        st.sampled_from([(), [("trace", None)], [(RawName("\xff"), b"1")], [("ce_type", other.encode())]])
    )
    return row(text.replace('"type":"TYPE"', again + pair).encode(), headers)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    log, open_since = Log(), dict[int, int]()
    for _ in range(draw(st.integers(1, 8))):
        producer = draw(st.sampled_from([-1, 7, 8]))
        move = draw(st.integers(0, 5))
        if move == 0:
            log.lose(draw(st.integers(1, 5)))
        elif move == 1 and producer in open_since:
            log.commit(producer)
            del open_since[producer]
        elif move == 2 and producer in open_since:
            log.aborts.append((producer, open_since.pop(producer)))
            log.abort(producer)
        else:
            if producer >= 0:
                open_since.setdefault(producer, log.end)
            stamp = draw(st.sampled_from([0, DefaultRecordBase.TIMESTAMP_TYPE_MASK]))
            some = draw(st.lists(rows(), min_size=1, max_size=5))
            log.append(some, draw(st.integers(NONE, ZSTD)), producer=producer, attributes=stamp)
    return log


@given(logs(), st.data())
def test_the_scan_equals_the_naive_pass_that_decodes_every_record(log: Log, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, log.end))
    cut = data.draw(st.integers(start, log.end))

    found = scanned(log, start, cut)

    assert read_by(ONLY_WANTED, found) == naive(log, start, cut)
    assert [record for record in found if not is_of_type(record)] == []


def is_of_type(record: Record) -> bool:
    """By Python's own parser, where the type is in the value."""
    return bool(record.headers) or json.loads(record.value or b"")["type"] == WANTED


async def test_a_fetch_that_was_gone_through_leaves_memory_without_the_collector():
    """Which comes rarely where batches are gone through: a job would hold the whole log."""
    log, place, there = Log(), TopicPartition("songs", 0), {}
    log.append([(b"ann", b"{}", ())])
    records = fetched(log)
    there[place] = fetcher.FetchResult(place, assignment=None, partition_records=records, backoff=0)
    client = SimpleNamespace(_fetcher=SimpleNamespace(_records=there))
    is_there = weakref.ref(records)
    del records

    gc.disable()
    try:
        taken = await _fetched(client, place, Stretch("songs", 0, 0, 1))
        del there[place]
    finally:
        gc.enable()

    assert [batch.end for batch in taken.batches] == [1]
    assert is_there() is None
