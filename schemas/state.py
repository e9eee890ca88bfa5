"""The codec of the user state: one flat list a user, in memory nearly its wire form.

The head has a fixed place: format, the user's zone, the awards. Behind it every slot has the number that the
ledger gave it, so an older record is a prefix of a newer one and is completed with defaults when it is read.

Slots of a metric, from its first one:
    count, sum           plus, minus, time         value = max(0, plus - minus)
    max                  value, time
    latest               value, time, event id     the greatest (time, event id) holds the value
    distinct             hashes, time              8 bytes a value
    distinct with minus  entries, size, time       12 bytes a value: hash, signed occurrences; size: those > 0
    xp                   plus, minus, time         as a sum
    streak               older runs, first, last, longest
    streak bridged       older runs, first, last, longest, length, freezes     with grace or freezes
    count each, sum each older periods, period, plus, minus, time              for each period (schemas/periods.py)
    distinct each        older periods, period, hashes, time
where time is the running maximum of the event times (moments in UTC, before any event 1970) of what moved the
metric, and older runs are 8 bytes each (first day, last day: days since 1970), in order, all before the present run
`first..last`, the one of the latest active day. The present period is the latest; older periods are in order, each
with its own time. `length` is that of the chain that ends with the latest active day, freezes are 4 bytes each: the
days they are dated, in order.

Slots that are no metric's: the hashes of the scopes won (8 bytes each), the highest level told, the claims of the
last days, the edge days of a streak: days with an event near the date line (schemas/streaks.py), how many
freezes its chains have used (none: not reckoned yet), and what running replays did to the user
(processor/evaluator/replays.py).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from schemas.errors import Precondition
from schemas.periods import period_name
from schemas.program import HIDDEN_MARK, Default, Ledger, MetricSpec, Program
from schemas.replays import ReplayNote
from schemas.streaks import EDGE, RUN, Run, chains, freezes_left, joins, length_of
from schemas.zones import EPOCH, moment_of

STATE_FORMAT = 2
FORMAT, ZONE, AWARDS = 0, 1, 2
HEAD_SLOTS = 3

STATE_BYTES_MAX = 512 * 1024
WINDOW_IDS = 8  # event ids remembered per event type, against publishers' retries
DISTINCT_MAX = 4096
STREAK_RUNS_MAX = 512
FREEZES_MAX = 256
EDGES_MAX = 64
PERIODS_MAX = 64
PERIOD_DISTINCT_MAX = 512
SCOPES_MAX = 4096
SCOPE_CHARS_MAX = 200
CLAIM_DAYS = 64
VALUE_MAX = 2**62  # a sum saturates here

CONTROL_KEY = b"\x00control"
CONTROL_FORMAT = 1

ID_BYTES = 8
ENTRY = struct.Struct(">Qi")  # hash, signed occurrences
AWARD = struct.Struct(">IIq")  # award or condition number, times revoked, microseconds since 1970
AWARD_NUMBER = struct.Struct(">I")
AWARD_BYTES = AWARD.size
AWARD_TIME = AWARD_BYTES - 8
pack_award, unpack_award = AWARD.pack, AWARD.unpack_from
pack_award_time = struct.Struct(">q").pack
LOW_BYTES = slice(AWARD_NUMBER.size - 1, None, AWARD_BYTES)  # of all numbers in awards
LOST = -(2**63)  # stands for the time of an award that was revoked
FREEZE = struct.Struct(">i")  # a day
CLAIM = struct.Struct(">iI")  # a day, the number of the challenge
PERIOD = struct.Struct(">i")  # what its row begins with
PERIOD_SUMS = struct.Struct(">iqqq")  # period, plus, minus, microseconds since 1970
PERIOD_HASHES = struct.Struct(">iqI")  # period, microseconds since 1970, bytes of the hashes that follow

DEFAULTS: dict[Default, object] = {"mark": -1, "zero": 0, "none": None, "bytes": b"", "epoch": EPOCH}
SLOTS_OF_KIND: dict[str, tuple[Default, ...]] = {
    "count": ("zero", "zero", "epoch"),
    "sum": ("zero", "zero", "epoch"),
    "max": ("none", "epoch"),
    "latest": ("none", "epoch", "none"),
    "distinct": ("bytes", "epoch"),
    "distinct with minus": ("bytes", "zero", "epoch"),
    "xp": ("zero", "zero", "epoch"),
    "streak": ("bytes", "none", "none", "zero"),
    "streak bridged": ("bytes", "none", "none", "zero", "zero", "bytes"),
    "count each": ("bytes", "none", "zero", "zero", "epoch"),
    "sum each": ("bytes", "none", "zero", "zero", "epoch"),
    "distinct each": ("bytes", "none", "bytes", "epoch"),
}
SLOT_OF_TIME = {
    storage: slots.index("epoch") for storage, slots in SLOTS_OF_KIND.items() if "epoch" in slots
}  # counted from the metric's first slot; a streak has its days instead

State = list[Any]
encode_state: Callable[[State], bytes] = msgspec.msgpack.Encoder().encode
_decode_list = msgspec.msgpack.Decoder(list[Any]).decode


class NewerState(Precondition):
    """A state record that a newer version, or a catalog not yet read, has written."""


class Control(msgspec.Struct, kw_only=True):
    """The control record of a changelog partition: what was running, and how far it had read.

    Shapes: catalogs name -> version; positions source topic -> next offset; replays id -> what is known of it;
    furthest has the topics whose position an operator set back, and how far they had been folded; unread maps topic
    and event type to the position before which nobody knew the type, so that it was skipped; began, the versions
    that the first record of all was folded by, where that is known; users, how many have a state.
    """

    format: int = CONTROL_FORMAT
    catalogs: dict[str, int] = {}
    positions: dict[str, int] = {}
    replays: dict[str, ReplayNote] = {}
    furthest: dict[str, int] = {}
    unread: dict[str, dict[str, int]] = {}
    began: dict[str, int] = {}
    users: int = 0


encode_control: Callable[[Control], bytes] = msgspec.json.Encoder().encode
decode_control = msgspec.json.Decoder(Control).decode


def storage_of(metric: MetricSpec) -> str:
    """How a metric is kept: its kind, and what of its meaning asks for more."""
    if metric.every is not None:
        return f"{metric.kind} each"
    if metric.kind == "streak" and (metric.grace or metric.freezes):
        return "streak bridged"
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
    """When an award that is held was earned or a condition last crossed: microseconds since 1970, None if never."""
    found = _found(awards, number)
    return None if found is None or found[2] == LOST else found[2]


class AwardEntry(NamedTuple):
    """What is kept of an award. Units: at, microseconds since 1970, LOST while it is not held."""

    revoked: int
    at: int


def award_of(awards: bytes, number: int) -> AwardEntry | None:
    """An award that was ever earned."""
    found = _found(awards, number)
    return None if found is None else AwardEntry(found[1], found[2])


def award_entry(number: int, at: int) -> bytes:
    """An award that was never revoked, to be put behind the others."""
    return pack_award(number, 0, at)


def with_award(awards: bytes, number: int, at: int) -> bytes:
    """The awards with this one added, or with its time replaced."""
    found = _found(awards, number)
    if found is None:
        return awards + award_entry(number, at)
    place = found[0]
    return awards[: place + AWARD_TIME] + pack_award_time(at) + awards[place + AWARD_BYTES :]


def without_award(awards: bytes, number: int) -> bytes:
    """The awards with this one lost, and counted as revoked once more."""
    found = _found(awards, number)
    assert found is not None, "only what is held can be lost"
    place, revoked, _ = found
    return awards[:place] + AWARD.pack(number, revoked + 1, LOST) + awards[place + AWARD.size :]


def with_loss(awards: bytes, number: int) -> bytes:
    """The awards with this one counted as revoked once more, though it is still held: in another scope."""
    found = _found(awards, number)
    assert found is not None, "only what is held can be lost in part"
    place, revoked, at = found
    return awards[:place] + AWARD.pack(number, revoked + 1, at) + awards[place + AWARD.size :]


def _found(awards: bytes, number: int) -> tuple[int, int, int] | None:
    """The place of an award, how often it was revoked, and its time. Hot.

    By the low bytes: whole numbers, mostly zeros, are looked for slowly, and found where none begins.
    """
    lows, low = awards[LOW_BYTES], number & 0xFF
    index = lows.find(low)
    while index >= 0:
        place = index * AWARD_BYTES
        found, revoked, at = unpack_award(awards, place)
        if found == number:
            return place, revoked, at
        index = lows.find(low, index + 1)
    return None


def low_byte(number: int) -> int:
    """What of the LOW_BYTES is there wherever an award of this number is."""
    return number & 0xFF


def runs_of(state: State, metric: MetricSpec) -> Iterator[Run]:
    """The runs of active days of a streak as (first day, last day), in order."""
    older, first, last = state[metric.slot : metric.slot + 3]
    older_runs = RUN.iter_unpack(older)
    return older_runs if first is None else chain(older_runs, [(first, last)])


class PresentChain(NamedTuple):
    """The chain of active days that ends with the latest one, over what grace, freezes and the date line bridge.

    Shapes: freezes_left are those that no chain has used.
    """

    first_day: int
    last_day: int
    length: int
    freezes_left: int


def present_chain(state: State, metric: MetricSpec) -> PresentChain | None:
    """A streak's chain as it stands; whether it still goes on is for whoever knows the time."""
    runs = list(runs_of(state, metric))
    if not runs:
        return None
    freezes = freezes_of(state, metric)
    joined = joins(edges_of(state, metric))
    found = chains(runs, metric.grace, freezes, joined)
    latest, left = found[-1], freezes_left(found, metric.grace, freezes, joined)
    return PresentChain(latest[0][0], latest[-1][1], length_of(latest), left)


def freezes_of(state: State, metric: MetricSpec) -> list[int]:
    """The days of a streak's freezes, in order."""
    if storage_of(metric) != "streak bridged":
        return []
    return [day for (day,) in FREEZE.iter_unpack(state[metric.slot + 5])]


def edges_of(state: State, metric: MetricSpec) -> list[tuple[int, int, int]]:
    """A streak's days with an event near the date line: (day, least offset, greatest offset)."""
    return [] if metric.edges is None else list(EDGE.iter_unpack(state[metric.edges]))


def period_values(state: State, metric: MetricSpec) -> dict[str, int]:
    """The value of every period that a metric with `every` keeps, by the period's name, in order."""
    assert metric.every is not None, f"'{metric.key}' has one value, not one for each period"
    every = metric.every
    return {period_name(period, every): value for period, value in EACH_OF_KIND[metric.kind](state, metric.slot)}


def time_of(state: State, metric: MetricSpec) -> datetime | None:
    """The running maximum of the event times of what moved a metric, of its present period where it has periods.

    None for a streak, which has days, and before anything moved it.
    """
    place = SLOT_OF_TIME.get(storage_of(metric))
    at: datetime | None = None if place is None else state[metric.slot + place]
    return None if at == EPOCH else at


def _difference(state: State, slot: int) -> int | None:
    difference: int = state[slot] - state[slot + 1]
    return difference if difference > 0 else 0


def _sums_each(state: State, slot: int) -> Iterator[tuple[int, int]]:
    for period, plus, minus, _ in PERIOD_SUMS.iter_unpack(state[slot]):
        yield period, max(0, plus - minus)
    if state[slot + 1] is not None:
        yield state[slot + 1], max(0, state[slot + 2] - state[slot + 3])


def _distincts_each(state: State, slot: int) -> Iterator[tuple[int, int]]:
    for period, _, hashes in unpack_period_hashes(state[slot]):
        yield period, len(hashes) // ID_BYTES
    if state[slot + 1] is not None:
        yield state[slot + 1], len(state[slot + 2]) // ID_BYTES


def unpack_period_hashes(older: bytes) -> Iterator[tuple[int, datetime, bytes]]:
    """The older periods of a distinct: (period, time, hashes)."""
    place = 0
    while place < len(older):
        period, at, size = PERIOD_HASHES.unpack_from(older, place)
        place += PERIOD_HASHES.size + size
        yield period, moment_of(at), older[place - size : place]


EACH_OF_KIND: dict[str, Callable[[State, int], Iterator[tuple[int, int]]]] = {
    "count": _sums_each,
    "sum": _sums_each,
    "distinct": _distincts_each,
}
VALUE_OF_KIND: dict[str, Callable[[State, int], int | None]] = {
    "count": _difference,
    "sum": _difference,
    "xp": _difference,
    "max": lambda state, slot: state[slot],
    "latest": lambda state, slot: state[slot],
    "distinct": lambda state, slot: len(state[slot]) // ID_BYTES,
    "distinct with minus": lambda state, slot: state[slot + 1],
    "streak": lambda state, slot: state[slot + 3],
    "streak bridged": lambda state, slot: state[slot + 3],
    "count each": lambda state, slot: max(0, state[slot + 2] - state[slot + 3]),
    "sum each": lambda state, slot: max(0, state[slot + 2] - state[slot + 3]),
    "distinct each": lambda state, slot: len(state[slot + 2]) // ID_BYTES,
}


def value_reader(metric: MetricSpec) -> Callable[[State, int], int | None]:
    """The function that reads a metric's value from a state and its first slot; of `every`, its latest period's."""
    return VALUE_OF_KIND[storage_of(metric)]


def metric_values(state: State, program: Program) -> dict[str, dict[str, int | None]]:
    """Catalog -> metric -> value, a streak's being its longest run; of metrics with a name of their own."""
    return {
        catalog.catalog: {
            metric.key: value_reader(metric)(state, metric.slot)
            for metric in catalog.metrics
            if HIDDEN_MARK not in metric.key
        }
        for catalog in program.catalogs
    }
