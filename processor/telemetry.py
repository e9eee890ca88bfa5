"""What a worker tells about itself to Prometheus. Counts are of what was committed, never an event's content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from processor.evaluator.metrics.bounds import BOUNDS, KEPT_OUT
from processor.kafka.partition import Snapshot
from processor.profile import Profile
from schemas.errors import Precondition
from schemas.lanes import place_of

CHECKPOINT_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
RESTORE_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Shown(Protocol):
    """What is shown of an owned partition."""

    @property
    def number(self) -> int: ...
    @property
    def users(self) -> int: ...
    @property
    def behind(self) -> Mapping[str, int]: ...
    @property
    def parked(self) -> Mapping[str, int]: ...

    restored: int
    to_restore: int


class Telemetry:
    """The metrics of one worker, and its profile."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._events = Counter(
            "laurel_events", "Records, by what became of them", ["topic", "outcome"], registry=registry
        )
        self._unlocks = Counter("laurel_unlocks", "Awards sent", registry=registry)
        self._derived_skipped = Counter(
            "laurel_derived_skipped", "Derived events that had nobody to go to", registry=registry
        )
        self._dead_letters = Counter(
            "laurel_dead_letters", "Records refused, by cause", ["class"], registry=registry
        )
        self._checkpoints = Histogram(
            "laurel_checkpoint_seconds", "From cut to commit", buckets=CHECKPOINT_SECONDS, registry=registry
        )
        self._restores = Histogram(
            "laurel_restore_seconds",
            "From fencing to the last partition",
            buckets=RESTORE_SECONDS,
            registry=registry,
        )
        registry.register(KeptOut())
        self._restore_left = Gauge(
            "laurel_restore_seconds_left",
            "Until all partitions are restored, at the pace so far",
            registry=registry,
        )

    def show(self, partitions: Callable[[], Iterable[Shown]]) -> None:
        """Show lag and users of these partitions, looked up at every scrape."""
        self.registry.register(PartitionGauges(partitions))

    def committed(self, snapshot: Snapshot, seconds: float) -> None:
        """A checkpoint became durable."""
        for (topic, outcome), records in snapshot.tally.items():
            self._events.labels(topic, outcome).inc(records)
            self.profile.counts[outcome] += records
        for refusal in snapshot.refusals:
            self._dead_letters.labels(refusal.bad.cause).inc()
        self._unlocks.inc(snapshot.unlocked)
        self._derived_skipped.inc(snapshot.derived_skipped)
        self._checkpoints.observe(seconds)
        self.profile.checkpoint(seconds)
        self.profile.counts["states"] += len(snapshot.cut.states)
        self.profile.counts["outcomes"] += len(snapshot.cut.outcomes)

    def restoring(self, seconds_left: float) -> None:
        self._restore_left.set(seconds_left)

    def restored(self, seconds: float) -> None:
        self._restore_left.set(0)
        self._restores.observe(seconds)

    def serve(self, port: int) -> int:
        """Serve the metrics over HTTP; 0 takes a free port. Returns the port. Raises: Precondition."""
        try:
            server, _ = start_http_server(port, registry=self.registry)
        except OSError as error:
            raise Precondition(
                f"metrics cannot be served at port {port} ({error.strerror}): set LAUREL_METRICS_PORT to another, "
                "or to 0 for a free one"
            ) from None
        bound: int = server.server_port
        return bound


class KeptOut(Collector):
    """What bounds kept out of states: counted where it is folded, and again where it is folded again."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        told = CounterMetricFamily("laurel_kept_out", "What a bound of the user state kept out", labels=["bound"])
        for bound in BOUNDS:
            told.add_metric([bound], KEPT_OUT[bound])
        yield told


class PartitionGauges(Collector):
    """Gauges that cost nothing until somebody looks."""

    def __init__(self, partitions: Callable[[], Iterable[Shown]]) -> None:
        self._partitions = partitions

    def collect(self) -> Iterator[GaugeMetricFamily]:
        lag = GaugeMetricFamily("laurel_lag", "Offsets not folded yet", labels=["topic", "partition"])
        parked = GaugeMetricFamily(
            "laurel_parked", "Offset of a record that ends the worker", labels=["topic", "partition"]
        )
        users = GaugeMetricFamily("laurel_users", "Users with a state", labels=["partition"])
        restored = GaugeMetricFamily("laurel_restored_offsets", "Of the last restore", labels=["partition"])
        to_restore = GaugeMetricFamily("laurel_restore_offsets", "What it had to read", labels=["partition"])
        for partition in self._partitions():
            number = str(partition.number)
            restored.add_metric([number], partition.restored)
            to_restore.add_metric([number], partition.to_restore)
            users.add_metric([number], partition.users)
            for lane, behind in partition.behind.items():
                lag.add_metric(labels(lane, partition.number), behind)
            for lane, offset in [*partition.parked.items()]:
                parked.add_metric(labels(lane, partition.number), offset)
        yield from (lag, users, parked, restored, to_restore)


def labels(lane: str, number: int) -> list[str]:
    topic, partition = place_of(lane, number)
    return [topic, str(partition)]
