"""Every metric kind is a monoid: a log may be cut anywhere, folded in parts and merged."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.evaluator.metrics import KINDS, Thresholds
from processor.evaluator.metrics.kind import FeedContext, Slots
from schemas.events import Envelope, attribute, event_kind
from schemas.program import EventSpec, Feed, FieldSpec, MetricSpec
from schemas.state import DEFAULTS, DISTINCT_MAX, ENTRY, ID_BYTES, SLOTS_OF_KIND, STREAK_RUNS_MAX, value_reader
from schemas.zones import DAY_US, EPOCH, microseconds, moment_of

FIELDS = [
    FieldSpec(name="amount", type="integer", optional=True),
    FieldSpec(name="artist", type="string", optional=True),
]
EVENT = EventSpec(type="played", topic="t", fields=FIELDS, window=0)
DATA = event_kind(0, EVENT).decode
UNDOABLE = {"count", "sum", "distinct with minus"}
ZONES = [None, "Europe/Paris", "Pacific/Auckland", "America/St_Johns"]


def metric(storage: str) -> MetricSpec:
    kind = storage.split()[0]
    signs = (1, -1) if storage in UNDOABLE else (1,)
    return MetricSpec(
        key=kind,
        kind=kind,  # type: ignore[arg-type]
        slot=0,
        feeds=[Feed(type="played", sign=sign) for sign in signs],
        of="amount" if kind in ("sum", "max", "latest") else None,
        by=["artist"] if kind == "distinct" else [],
    )


def empty(storage: str) -> list[Any]:
    return [DEFAULTS[default] for default in SLOTS_OF_KIND[storage]]


def fold(storage: str, events: list[dict[str, Any]], thresholds: list[int] | None = None) -> list[Any]:
    """The slots after these events; with thresholds also what was crossed, as the last item."""
    slots, crossed = empty(storage), []
    waiting = Thresholds({value: value for value in thresholds or []})
    steps = {
        feed.sign: KINDS[storage].step(FeedContext(metric(storage), feed, EVENT, waiting, "UTC"))
        for feed in metric(storage).feeds
    }
    for event in events:
        step = steps[event["sign"] if storage in UNDOABLE else 1]
        crossed += step(slots, data_of(event), moment_of(event["at"]), envelope_of(event)) or []
    times = [(value, microseconds(moment)) for value, moment in crossed]
    return slots if thresholds is None else [*slots, times]


def data_of(event: dict[str, Any]) -> Any:
    data = DATA(b"{}")
    setattr(data, attribute(0), event["amount"])
    setattr(data, attribute(1), event["artist"])
    return data


def envelope_of(event: dict[str, Any]) -> Envelope:
    return Envelope("1.0", event["id"], "s", "played", "u", moment_of(event["at"]), timezone=event["zone"])


EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "sign": st.sampled_from([1, 1, 1, -1]),
            "amount": st.none() | st.integers(-5, 50),
            "artist": st.sampled_from([None, "", "  ", "Björk", "Nina", "nina", "Fela", "Sade"]),
            "at": st.integers(0, 40 * DAY_US) | st.integers(0, 3).map(lambda day: day * DAY_US),
            "zone": st.sampled_from(ZONES),
            "id": st.text("ab", min_size=1, max_size=3),
        }
    ),
    max_size=25,
)


def comparable(storage: str, slots: Slots) -> Slots:
    """What a value keeps in no particular order is sorted."""
    if storage == "distinct with minus":
        return sorted(ENTRY.iter_unpack(slots[0])), *slots[1:]
    return tuple(slots)


@pytest.mark.parametrize("storage", KINDS)
@given(events=EVENTS, cut=st.integers(0, 25))
def test_folding_two_parts_and_merging_is_folding_the_whole(
    storage: str, events: list[dict[str, Any]], cut: int
) -> None:
    earlier, later = fold(storage, events[:cut]), fold(storage, events[cut:])

    merged = KINDS[storage].merge(tuple(earlier), tuple(later))

    assert comparable(storage, fold(storage, events)) == comparable(storage, merged)


@pytest.mark.parametrize("storage", KINDS)
@given(events=EVENTS)
def test_nothing_merged_with_a_part_is_the_part(storage: str, events: list[dict[str, Any]]) -> None:
    part = tuple(fold(storage, events))

    assert comparable(storage, part) == comparable(storage, KINDS[storage].merge(tuple(empty(storage)), part))
    assert comparable(storage, part) == comparable(storage, KINDS[storage].merge(part, tuple(empty(storage))))


@pytest.mark.parametrize("storage", ["count", "distinct", "distinct with minus", "streak", "max"])
@given(events=EVENTS, seed=st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_change_the_value(
    storage: str, events: list[dict[str, Any]], seed: Any
) -> None:
    shuffled = list(events)
    seed.shuffle(shuffled)
    read = value_reader(metric(storage))

    assert read(fold(storage, events), 0) == read(fold(storage, shuffled), 0)


@given(events=EVENTS)
def test_the_latest_value_is_that_of_the_greatest_time_and_id_however_they_arrive(
    events: list[dict[str, Any]],
) -> None:
    told = [event for event in events if event["amount"] is not None]
    newest = max(told, key=lambda event: (event["at"], event["id"]), default=None)
    ties = [e["amount"] for e in told if newest and (e["at"], e["id"]) == (newest["at"], newest["id"])]

    value = fold("latest", events)[0]

    assert value in ties if newest else value is None


@given(events=EVENTS)
def test_a_distinct_that_can_be_undone_counts_the_values_that_occur_more_often_than_they_were_undone(
    events: list[dict[str, Any]],
) -> None:
    occurrences: Counter[str] = Counter()
    for event in events:
        if event["artist"] and event["artist"].strip():
            occurrences[event["artist"]] += event["sign"]

    assert sum(count > 0 for count in occurrences.values()) == fold("distinct with minus", events)[1]


def played(**said: Any) -> dict[str, Any]:
    return {"sign": 1, "amount": None, "artist": None, "at": 0, "zone": None, "id": "a", **said}


def test_a_sum_reports_every_threshold_that_one_event_jumps_over() -> None:
    slots = fold("sum", [played(amount=7, at=5)], thresholds=[1, 5, 7, 8])

    assert slots[-1] == [(1, 5), (5, 5), (7, 5)]


def test_a_threshold_is_crossed_at_the_latest_event_time_seen_so_far() -> None:
    """A late event that completes a count does not date it back before the events it was counted with."""
    slots = fold("count", [played(at=90), played(at=10)], thresholds=[2])

    assert slots[-1] == [(2, 90)]


def test_an_undone_count_crosses_again_when_it_comes_back() -> None:
    events = [played(at=1), played(at=2, sign=-1), played(at=3)]

    assert fold("count", events, thresholds=[1])[-1] == [(1, 1), (1, 3)]


def test_a_streak_is_earned_at_the_start_of_the_day_that_completes_it_in_the_zone_of_its_event() -> None:
    noon = 12 * 3600 * 1_000_000
    events = [played(at=day * DAY_US + noon, zone="Europe/Paris") for day in (1, 2, 3)]
    paris_midnight = 3 * DAY_US - 3600 * 1_000_000  # 1970: one hour ahead of UTC

    assert [(3, paris_midnight)] == fold("streak", events, thresholds=[3])[-1]


def test_a_late_day_joins_two_runs_and_crosses_what_lies_between() -> None:
    events = [played(at=day * DAY_US) for day in (1, 2, 4, 5, 3)]

    assert fold("streak", events, thresholds=[2, 3, 4, 5])[-1] == [
        (2, 2 * DAY_US),
        (3, 3 * DAY_US),
        (4, 4 * DAY_US),
        (5, 5 * DAY_US),
    ]


def test_a_distinct_takes_no_more_values_than_its_bound() -> None:
    events = [played(artist=f"artist {n}") for n in range(DISTINCT_MAX + 5)]

    assert len(fold("distinct", events)[0]) // ID_BYTES == DISTINCT_MAX
    assert fold("distinct with minus", events)[1] == DISTINCT_MAX


def test_a_streak_at_its_bound_still_takes_a_day_that_extends_a_run() -> None:
    isolated = [played(at=2 * day * DAY_US) for day in range(STREAK_RUNS_MAX + 3)]
    extending = [played(at=DAY_US)]

    assert fold("streak", isolated)[3] == 1
    assert fold("streak", isolated + extending)[3] == 3


def test_times_are_exact_to_the_microsecond() -> None:
    assert (moment_of(1_700_000_000_123_457) - EPOCH) // (moment_of(1) - EPOCH) == 1_700_000_000_123_457
