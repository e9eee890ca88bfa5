"""A partition as its owner keeps it, in memory: versions of a catalog, events, orders, checkpoints, restarts."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import Folded, PartitionEvaluator
from processor.evaluator.programs import Programs
from processor.evaluator.replays import Replays
from schemas.catalog import read_catalog
from schemas.outcomes import AnyOutcome, decode_any_outcome
from schemas.program import CatalogRecord, Ledger, MetricSpec, Program, record_of
from schemas.records import PlainRecord
from schemas.replays import Base, ReplayOrder, encode_order
from schemas.state import (
    Control,
    State,
    decode_control,
    decode_state,
    encode_control,
    fresh_state,
    metric_values,
    slots_of,
)
from tests.unit.written_program import milliseconds

TOPIC, ORDERS = "toy", "x.replay-assignments"
APPENDED = "2030-01-01T00:00:00Z"  # later than every event


def records_of(*texts: str) -> list[CatalogRecord]:
    """Versions of one catalog, compiled one after the other."""
    records: list[CatalogRecord] = []
    ledger = Ledger()
    for text in texts:
        program, ledger = compile_catalog(read_catalog(text, "toy.yaml"), ledger)
        records.append(record_of(program, ledger, text, "toy.yaml"))
    return records


def published(*texts: str) -> tuple[Programs, list[CatalogRecord]]:
    """What a process knows of these versions."""
    records = records_of(*texts)
    programs, ledger = [records[-1].program], records[-1].ledger
    newest = Program(catalogs=programs, ledger=ledger, derived="x.derived", commands="x.commands")
    return Programs(newest, records), records


class Owned:
    """One partition of one. Every restart goes through the bytes of a checkpoint."""

    def __init__(self, *texts: str, runs: int = 1) -> None:
        self.programs, self.records = published(*texts)
        self.complaints: list[str] = []
        self.offset = self.orders = 0
        self.outcomes: list[AnyOutcome] = []
        self._changelog: dict[bytes, bytes | None] = {}
        self._start(Control(catalogs={"toy": runs}))

    def _start(self, control: Control) -> None:
        self.evaluator = PartitionEvaluator(self.programs.ready({"toy": 1}), 0, 1)
        self.evaluator.load(self._changelog.items())
        self.replays = Replays(ORDERS, 0, self.evaluator, self.programs, self.complaints.append)
        self.replays.restore(control.catalogs, control.replays, control.unread, control.began)

    def restart(self) -> None:
        self.commit()
        replays = self.replays
        control = Control(
            catalogs=replays.catalogs, replays=replays.notes, unread=replays.unread, began=replays.began
        )
        self._start(decode_control(encode_control(control)))

    def commit(self) -> list[AnyOutcome]:
        """What has been told since the last time."""
        cut = self.evaluator.cut()
        self._changelog.update(cut.states)
        told = [decode_any_outcome(value) for _, value in cut.outcomes]
        self.outcomes += told
        return told

    def take(self, kind: str, at: str = "2026-05-01T10:00:00Z", user: str = "ann", **said: Any) -> Folded:
        """Fold one event. What is no attribute is data."""
        folded = self.evaluator.fold(TOPIC, [self.record(self.offset, kind, at, user, **said)])
        self.offset += 1
        assert not folded.refused, folded.refused
        return folded

    @staticmethod
    def record(offset: int, kind: str, at: str, user: str, **said: Any) -> PlainRecord:
        attributes = {name: said.pop(name) for name in ("timezone", "id") if name in said}
        whole = {
            "specversion": "1.0",
            "id": f"e{offset}",
            "source": "/web",
            "type": kind,
            "subject": user,
            "time": at,
            "data": said,
        }
        value = json.dumps(whole | attributes).encode()
        return PlainRecord(offset, milliseconds(APPENDED), user.encode(), value)

    def order(self, order: ReplayOrder, user: str | None = None) -> Folded:
        return self.raw_order(encode_order(order), user)

    def raw_order(self, value: bytes | None, user: str | None = None) -> Folded:
        key = None if user is None else user.encode()
        record = PlainRecord(self.orders, milliseconds(APPENDED), key, value)
        self.orders += 1
        return self.replays.fold([record], {TOPIC: self.offset})

    def base(self, replay: str, past: Sequence[PlainRecord], user: str, metrics: Collection[str]) -> Base:
        """What a fold aside of these records gives a user's metrics."""
        aside = PartitionEvaluator(self.programs.ready(self.replays.catalogs), 0, 1)
        aside.fold(TOPIC, past)
        row = aside.get(user.encode())
        assert row is not None
        state = decode_state(row, fresh_state(self.program.ledger))
        specs = [metric for metric in self.program.catalogs[0].metrics if metric.key in metrics]
        return Base(replay=replay, slots=over_the_wire({k: v for spec in specs for k, v in slots(state, spec)}))

    @property
    def program(self) -> Program:
        return self.programs.program(self.replays.catalogs)

    def state(self, user: str = "ann") -> State:
        row = self.evaluator.get(user.encode())
        assert row is not None, f"nothing is known of {user}"
        return decode_state(row, fresh_state(self.program.ledger))

    def values(self, user: str = "ann") -> dict[str, int | None]:
        return metric_values(self.state(user), self.program)["toy"]

    def phase(self, replay: str = "r") -> str:
        return self.replays.notes[replay].phase


def slots(state: State, metric: MetricSpec) -> list[tuple[int, list[Any]]]:
    first = metric.slot
    found = [(first, state[first : first + len(slots_of(metric))])]
    return found if metric.edges is None else [*found, (metric.edges, [state[metric.edges]])]


def over_the_wire(past: dict[int, list[Any]]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = msgspec.msgpack.decode(msgspec.msgpack.encode(past))
    return found
