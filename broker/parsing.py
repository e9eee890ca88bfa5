"""What Kafka takes and aiokafka's parser does not: a header whose name is no UTF-8, as any client in C can write.

Left alone, such a record raises wherever it is read, at every start again: a publisher would stop a partition for
good. Overrides aiokafka's insides outside of processor/kafka, as everybody who reads needs it.
What is overridden: consumer/fetcher.py MemoryRecords, PartitionRecords, of single fetches FetchResult.getall;
record/default_records.py, its batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy

from schemas.errors import LaurelError
from schemas.records import Record


def tolerate_header_names() -> None:
    """Let all consumers of this process read any name, from their next fetch on.

    The bytes of a name that are no UTF-8 come as \\x escapes: b"a\\xff" as the five characters of "a\\xff".
    """
    fetcher.MemoryRecords = KeptRecords
    fetcher.PartitionRecords = TolerantRecords


def keep_as_parsed(client: AIOKafkaConsumer) -> None:
    """Let all that this consumer fetches and has not read come as the parser's own compact records, a batch at a
    time; to say so again is harmless.

    They are a `Record`, and no ConsumerRecord: they name neither topic nor partition. Changed on each fetch, so
    that no other consumer of the process notices. Needs `tolerate_header_names`, before the first fetch, and a
    `max_records` in `getmany`.
    """
    inside = client._fetcher
    if type(inside._records) is not KeptFetches:
        inside._records = KeptFetches(inside._records)


class KeptFetches(OrderedDict[TopicPartition, Any]):
    """What was fetched and not read yet. A fetch may arrive while its reader waits within aiokafka."""

    def __setitem__(self, place: TopicPartition, fetched: Any) -> None:
        if type(fetched) is fetcher.FetchResult:
            fetched.getall = partial(_take_all, fetched)
        super().__setitem__(place, fetched)


def _take_all(fetched: Any, max_records: int) -> list[Record]:
    """What FetchResult.getall does, without a call for every record."""
    if not fetched.check_assignment(fetched._topic_partition) or not fetched.has_more():
        return []
    parsed: TolerantRecords = fetched._partition_records
    taken = parsed.take(max_records)
    fetched._update_position()
    if len(taken) < max_records:
        fetched._partition_records = None
    return taken


class KeptRecords(MemoryRecords):  # type: ignore[misc]
    """A fetch's batches, and its bytes: the compiled parser keeps those to itself."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class TolerantRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """A fetch's committed records; after a name that is no UTF-8, aiokafka's parser in Python reads the rest of it.

    Raises: LaurelError for what cannot be read at all, with its place.
    """

    next_fetch_offset: int
    _records: Any
    _records_iterator: Any
    _rest: Sequence[Record] = ()  # of a batch that was too many
    _takes_batches = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._start = self.next_fetch_offset

    def __next__(self) -> Any:  # the hot path: as in the class above, and a try costs nothing
        try:
            return next(self._records_iterator)
        except StopIteration:
            self._records_iterator = None
            raise
        except UnicodeDecodeError:
            return self._next_of_rest()
        except Exception as error:
            raise self._unreadable(error) from error

    def take(self, count: int) -> list[Record]:
        """The next records, fewer than `count` only when these are all.

        What was begun one by one goes on so: its parser stands in the middle of a batch.
        """
        if not self._takes_batches and self.next_fetch_offset != self._start:
            return [*islice(self, count)]
        if not self._takes_batches:
            self._takes_batches, self._consumer_record = True, _as_parsed
            self._read(self._records)
        taken: list[Record] = []
        while len(taken) < count and (self._rest or self._has_batch()):
            wanted = count - len(taken)
            taken += self._rest[:wanted]
            self._rest = self._rest[wanted:]
            self.next_fetch_offset = self._rest[0].offset if self._rest else taken[-1].offset + 1
        return taken

    def _read(self, records: Any) -> None:
        self._records = WholeBatches(records) if self._takes_batches else records
        self._records_iterator = self._unpack_records()

    def _has_batch(self) -> bool:
        """Whether there is another batch with records; they are the rest then."""
        position = self.next_fetch_offset
        whole = next(self, None)
        if whole is None:
            return False
        self._rest = whole.records
        if self._rest[0].offset < position:  # a fetch begins with the batch that holds its position
            self._rest = [record for record in self._rest if record.offset >= position]
        return True

    def _next_of_rest(self) -> Any:
        """From the record on that was not parsed: those before it are with the caller, and do not come again."""
        self._read(RestOfRecords(self._records.data, self.next_fetch_offset))
        return next(self)

    def _unreadable(self, error: Exception) -> LaurelError:
        return LaurelError(
            f"{self._tp.topic}-{self._tp.partition} cannot be read at offset {self.next_fetch_offset} ({error!r}): "
            "look at the broker's log and disk; nothing behind it is read before it is repaired or deleted"
        )


def _as_parsed(_: TopicPartition, record: Any) -> Any:
    return record


class WholeBatch(NamedTuple):
    """The records of a batch, in the place of one record at the batch's end."""

    offset: int
    records: list[Record]


class WholeBatches:
    """The batches of a fetch, each of which yields one `WholeBatch`."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.data = records.data
        self.has_next = records.has_next

    def next_batch(self) -> BatchAsOne:
        return BatchAsOne(self._records.next_batch())


class BatchAsOne:
    """A batch that says of itself what it is, and yields all of its records at once."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Record:
        """Of a control batch, its marker."""
        marker: Record = next(self._batch)
        return marker

    def __iter__(self) -> Iterator[WholeBatch]:
        records = list(self._batch)
        if records:
            yield WholeBatch(records[-1].offset, records)


class RestOfRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of a fetch from an offset on, without those before it: their aborts are taken note of."""

    def __init__(self, data: bytes, offset: int) -> None:
        super().__init__(data)
        self.data = data
        while self.has_next() and TolerantBatch(self._next_slice).next_offset <= offset:
            self._cache_next()

    def next_batch(self) -> TolerantBatch:
        batch = TolerantBatch(self._next_slice)
        self._cache_next()
        return batch


class TolerantBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """Some ten times slower than the compiled one, and so only for the rest of a fetch."""

    _buffer: bytearray

    def __iter__(self) -> TolerantBatch:
        super().__iter__()
        self._buffer = TolerantBytes(self._buffer)
        return self


class TolerantBytes(bytearray):
    """Bytes whose slices decode whatever they hold."""

    def __getitem__(self, where: Any) -> Any:
        found = super().__getitem__(where)
        return TolerantBytes(found) if isinstance(where, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Never strictly, which is all that the parser asks for."""
        return super().decode(encoding, "backslashreplace")
