"""The codec of the user state: one flat list a user, in memory nearly its wire form.

The head has a fixed place: format, the user's zone, the awards. Behind it every slot has the number that the
ledger gave it, so an older record is a prefix of a newer one and is completed with defaults when it is read.

Slots of a metric, from its first one:
    count, sum           plus, minus, time         value = max(0, plus - minus)
    max                  value, time
    latest               value, time, event id     the greatest (time, event id) holds the value
    distinct             hashes, time              8 bytes a value
    distinct with minus  entries, size, time       12 bytes a value: hash, signed occurrences; size: those > 0
    streak               older runs, first, last, longest
where time is the running maximum of the event times (moments in UTC, before any event 1970) of what moved the
metric, and older runs are 8 bytes each (first day, last day: days since 1970), in order, all before the present run
`first..last`, the one of the latest active day.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from schemas.errors import Precondition
from schemas.program import Default, Ledger, MetricSpec, Program
from schemas.zones import EPOCH

STATE_FORMAT = 2
FORMAT, ZONE, AWARDS = 0, 1, 2
HEAD_SLOTS = 3

STATE_BYTES_MAX = 512 * 1024
WINDOW_IDS = 8  # event ids remembered per event type, against publishers' retries
DISTINCT_MAX = 4096
STREAK_RUNS_MAX = 512
VALUE_MAX = 2**62  # a sum saturates here

CONTROL_KEY = b"\x00control"
CONTROL_FORMAT = 1

ID_BYTES = 8
ENTRY = struct.Struct(">Qi")  # hash, signed occurrences
RUN = struct.Struct(">ii")  # first day, last day
AWARD = struct.Struct(">IIq")  # award or condition number, times revoked, microseconds since 1970
AWARD_NUMBER = struct.Struct(">I")

DEFAULTS: dict[Default, object] = {"mark": -1, "zero": 0, "none": None, "bytes": b"", "epoch": EPOCH}
SLOTS_OF_KIND: dict[str, tuple[Default, ...]] = {
    "count": ("zero", "zero", "epoch"),
    "sum": ("zero", "zero", "epoch"),
    "max": ("none", "epoch"),
    "latest": ("none", "epoch", "none"),
    "distinct": ("bytes", "epoch"),
    "distinct with minus": ("bytes", "zero", "epoch"),
    "streak": ("bytes", "none", "none", "zero"),
}

State = list[Any]
encode_state: Callable[[State], bytes] = msgspec.msgpack.Encoder().encode
_decode_list = msgspec.msgpack.Decoder(list[Any]).decode


class NewerState(Precondition):
    """A state record that a newer version, or a catalog not yet read, has written."""


class Control(msgspec.Struct, kw_only=True):
    """The control record of a changelog partition: what was running, and how far it had read.

    Shapes: catalogs name -> version; positions source topic -> next offset.
    """

    format: int = CONTROL_FORMAT
    catalogs: dict[str, int] = {}
    positions: dict[str, int] = {}


encode_control: Callable[[Control], bytes] = msgspec.json.Encoder().encode
decode_control = msgspec.json.Decoder(Control).decode


def storage_of(metric: MetricSpec) -> str:
    """How a metric is kept: its kind, but a distinct that can be undone keeps occurrences."""
    return "distinct with minus" if metric.kind == "distinct" and metric.undoable else metric.kind


def slots_of(metric: MetricSpec) -> tuple[Default, ...]:
    return SLOTS_OF_KIND[storage_of(metric)]


def fresh_state(ledger: Ledger) -> State:
    return [STATE_FORMAT, None, b"", *(DEFAULTS[default] for default in ledger.slots)]


def decode_state(row: bytes, fresh: State) -> State:
    """A state from its wire form, completed with the defaults of `fresh`. Raises: NewerState."""
    state = _decode_list(row)
    if len(state) < len(fresh) and state[FORMAT] == STATE_FORMAT:
        state += fresh[len(state) :]
    if len(state) != len(fresh) or state[FORMAT] != STATE_FORMAT:
        raise NewerState(
            f"a user state of format {state[FORMAT]} with {len(state)} slots meets a program of format "
            f"{STATE_FORMAT} with {len(fresh)}: restart this process so that it reads the newest catalogs, "
            "or upgrade it to the version that wrote the state"
        )
    return state


def awarded_at(awards: bytes, number: int) -> int | None:
    """When an award was earned or a condition last crossed: microseconds since 1970, None if never."""
    place = _place_of(awards, number)
    if place is None:
        return None
    at: int = AWARD.unpack_from(awards, place)[2]
    return at


def award_entry(number: int, at: int) -> bytes:
    """An award that was never revoked, to be put behind the others."""
    return AWARD.pack(number, 0, at)


def with_award(awards: bytes, number: int, at: int) -> bytes:
    """The awards with this one added, or with its time replaced."""
    place = _place_of(awards, number)
    if place is None:
        return awards + award_entry(number, at)
    revoked = AWARD.unpack_from(awards, place)[1]
    return awards[:place] + AWARD.pack(number, revoked, at) + awards[place + AWARD.size :]


def _place_of(awards: bytes, number: int) -> int | None:
    wanted = AWARD_NUMBER.pack(number)
    place = awards.find(wanted)
    while place >= 0 and place % AWARD.size:
        place = awards.find(wanted, place + 1)
    return place if place >= 0 else None


def runs_of(state: State, metric: MetricSpec) -> Iterator[tuple[int, int]]:
    """The runs of active days of a streak as (first day, last day), in order."""
    older, first, last = state[metric.slot : metric.slot + 3]
    runs = [*RUN.iter_unpack(older)] + ([(first, last)] if first is not None else [])
    return iter(sorted(runs))


def _difference(state: State, slot: int) -> int | None:
    difference: int = state[slot] - state[slot + 1]
    return max(0, difference)


VALUE_OF_KIND: dict[str, Callable[[State, int], int | None]] = {
    "count": _difference,
    "sum": _difference,
    "max": lambda state, slot: state[slot],
    "latest": lambda state, slot: state[slot],
    "distinct": lambda state, slot: len(state[slot]) // ID_BYTES,
    "distinct with minus": lambda state, slot: state[slot + 1],
    "streak": lambda state, slot: state[slot + 3],
}


def value_reader(metric: MetricSpec) -> Callable[[State, int], int | None]:
    """The function that reads a metric's value from a state and its first slot."""
    return VALUE_OF_KIND[storage_of(metric)]


def metric_values(state: State, program: Program) -> dict[str, dict[str, int | None]]:
    """Catalog -> metric -> value, a streak's being its longest run."""
    return {
        catalog.catalog: {metric.key: value_reader(metric)(state, metric.slot) for metric in catalog.metrics}
        for catalog in program.catalogs
    }
