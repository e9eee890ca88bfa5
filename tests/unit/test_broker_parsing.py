"""A header's name may be any bytes: what a fetch holds is read all the same, once, in order and nothing aborted."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBase
from aiokafka.record.util import calc_crc32c

from broker.parsing import keep_as_parsed, tolerate_header_names
from schemas.errors import LaurelError
from schemas.records import Header, Record
from tests.raw_batches import RawName, builder

PLAIN: Header = ("trace", b"1")
RAW: Header = (RawName("tr\xe9ce"), b"\xff")
READ = ("tr\\xe9ce", b"\xff")  # what comes of it
GZIP = 1
PRODUCER = 7
CONTROL = DefaultRecordBase.CONTROL_MASK
ABORT = struct.pack(">hh", 0, 0)  # the key of the marker


def batch(base: int, *names: Header, attributes: int = 0, key: bytes = b"ann", **options: Any) -> bytes:
    """A batch as the broker keeps it, a record for each header. Its values are their offsets."""
    built = builder(**options)
    for delta, header in enumerate(names):
        built.append(delta, 1_780_000_000_000 + delta, key, str(base + delta).encode(), [header])
    return stamped(built.build(), base, attributes)


def stamped(whole: bytearray, base: int, attributes: int) -> bytes:
    struct.pack_into(">q", whole, 0, base)
    whole[DefaultRecordBase.ATTRIBUTES_OFFSET + 1] |= attributes
    struct.pack_into(
        ">I", whole, DefaultRecordBase.CRC_OFFSET, calc_crc32c(bytes(whole[DefaultRecordBase.ATTRIBUTES_OFFSET :]))
    )
    return bytes(whole)


def fetched(*batches: bytes, start: int = 0, aborted: Iterable[tuple[int, int]] = ()) -> Any:
    """What aiokafka's fetcher makes of an answer. aborted: a producer and its transaction's first offset."""
    tolerate_header_names()
    data = fetcher.MemoryRecords(b"".join(batches))
    place = TopicPartition("songs", 3)
    return fetcher.PartitionRecords(place, data, aborted, start, None, None, True, fetcher.READ_COMMITTED)


def test_what_arrives_while_its_reader_waits_comes_as_parsed_too() -> None:
    earlier, later = TopicPartition("songs", 3), TopicPartition("songs", 4)
    inside = SimpleNamespace(_records={earlier: _result(earlier)})
    client: Any = SimpleNamespace(_fetcher=inside)

    keep_as_parsed(client)
    keep_as_parsed(client)
    inside._records[later] = _result(later)

    for place in (earlier, later):
        (record,) = inside._records[place].getall(10)
        assert (record.key, record.value, hasattr(record, "topic")) == (b"ann", b"0", False)


def _result(place: TopicPartition) -> Any:
    state = SimpleNamespace(has_valid_position=True, paused=False, position=0, consumed_to=lambda _: None)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    return fetcher.FetchResult(place, assignment=assignment, partition_records=fetched(batch(0, PLAIN)), backoff=0)


Read = Callable[[Any], list[int]]


@pytest.fixture(params=[None, 1, 3, 1_000], ids=["one by one", "1 at once", "3 at once", "1000 at once"])
def offsets(request: pytest.FixtureRequest) -> Read:
    """The offsets of all records, however they are asked for."""

    def read(records: Any) -> list[int]:
        found = [*records] if request.param is None else [*taken(records, request.param)]
        assert [record.value for record in found] == [str(record.offset).encode() for record in found]
        return [record.offset for record in found]

    return read


def taken(records: Any, count: int) -> Iterator[Record]:
    """All records, so many at a time; the position is always behind what was taken."""
    while True:
        lot = records.take(count)
        yield from lot
        if len(lot) < count:
            return
        assert records.next_fetch_offset == lot[-1].offset + 1


def test_every_name_is_read_and_the_record_is_otherwise_as_it_was() -> None:
    first, second, third = fetched(batch(0, PLAIN, RAW, PLAIN))

    assert [[*each.headers] for each in (first, second, third)] == [[PLAIN], [READ], [PLAIN]]
    assert (second.offset, second.key, second.value) == (1, b"ann", b"1")
    assert (second.timestamp, third.timestamp) == (1_780_000_000_001, 1_780_000_000_002)


def test_records_before_it_do_not_come_again_and_those_behind_it_all_come(offsets: Read) -> None:
    records = fetched(batch(0, PLAIN, PLAIN), batch(2, PLAIN, RAW), batch(4, RAW), batch(5, PLAIN))

    assert offsets(records) == [0, 1, 2, 3, 4, 5]
    assert records.next_fetch_offset == 6


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_a_fetch_may_begin_anywhere_in_its_batch(start: int, offsets: Read) -> None:
    assert offsets(fetched(batch(0, RAW, PLAIN, RAW, PLAIN), start=start)) == [*range(start, 4)]


def test_a_fetch_that_begins_behind_it_reads_on(offsets: Read) -> None:
    """The rest of its batch was compacted away, so that only the next batch has what was asked for."""
    records = fetched(batch(0, RAW), batch(1, RAW), start=1)

    assert offsets(records) == [1]


def test_a_compressed_batch_is_read(offsets: Read) -> None:
    whole = batch(0, *[PLAIN] * 50, RAW, codec=GZIP)

    assert gzip.decompress(whole[DefaultRecordBase.HEADER_STRUCT.size :])
    assert offsets(fetched(whole)) == [*range(51)]


def test_what_was_aborted_stays_aborted_before_and_behind_it(offsets: Read) -> None:
    """It stands within the second of two aborted transactions; the marker of the first must not end that one."""
    theirs = {"producer_id": PRODUCER, "transactional": True}
    marker = {"attributes": CONTROL, "key": ABORT, **theirs}
    log = (
        batch(0, PLAIN, **theirs),
        batch(1, PLAIN, **marker),
        batch(2, PLAIN),
        batch(3, PLAIN, **theirs),
        batch(4, RAW),
        batch(5, PLAIN, **theirs),
        batch(6, PLAIN, **marker),
        batch(7, PLAIN, **theirs),
    )

    records = fetched(*log, aborted=[(PRODUCER, 0), (PRODUCER, 3)])

    assert offsets(records) == [2, 4, 7]
    assert records.next_fetch_offset == 8


def test_an_aborted_one_is_not_looked_into(offsets: Read) -> None:
    log = (batch(0, RAW, producer_id=PRODUCER, transactional=True), batch(1, PLAIN))

    assert offsets(fetched(*log, aborted=[(PRODUCER, 0)])) == [1]


@pytest.mark.parametrize("before", [PLAIN, RAW])
def test_a_batch_that_rotted_is_named_with_its_place(before: Header) -> None:
    """Wherever the checksum does not hold, behind a strange name too."""
    rotten = batch(1, RAW)
    rotten = rotten[:-1] + bytes([rotten[-1] ^ 1])
    records = fetched(batch(0, before), rotten)

    assert next(records).offset == 0
    with pytest.raises(LaurelError, match=r"songs-3 cannot be read at offset 1 .*Invalid CRC.*broker's log"):
        next(records)


def test_a_plain_fetch_may_begin_anywhere_too(offsets: Read) -> None:
    assert offsets(fetched(batch(0, *[PLAIN] * 4), batch(4, PLAIN), start=2)) == [2, 3, 4]


@pytest.mark.parametrize("header", [PLAIN, RAW])
@pytest.mark.parametrize("before", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("count", [1, 3, 1_000])
def test_what_was_begun_one_by_one_goes_on_in_the_middle_of_its_batch(
    header: Header, before: int, count: int
) -> None:
    """As when a fetch comes while aiokafka waits for it, and holds more than was asked for."""
    records = fetched(batch(0, PLAIN, PLAIN), batch(2, PLAIN, header, PLAIN), batch(5, PLAIN))

    first = [next(records).offset for _ in range(before)]

    assert first + [record.offset for record in taken(records, count)] == [0, 1, 2, 3, 4, 5]
    assert records.next_fetch_offset == 6


def test_what_was_taken_before_a_rotten_batch_is_not_lost_with_it() -> None:
    rotten = batch(2, PLAIN)
    records = fetched(batch(0, PLAIN, PLAIN), rotten[:-1] + bytes([rotten[-1] ^ 1]))

    assert [record.offset for record in records.take(2)] == [0, 1]
    with pytest.raises(LaurelError, match="offset 2"):
        records.take(1)
