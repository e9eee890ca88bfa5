"""Every metric kind is a monoid: a log may be cut anywhere, folded in parts and merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from processor.evaluator.metrics import KINDS, Thresholds
from processor.evaluator.metrics.bounds import KEPT_OUT, Bound
from processor.evaluator.metrics.kind import FeedContext, Slots
from schemas.events import Envelope, attribute, event_kind
from schemas.program import EventSpec, Feed, FieldSpec, MetricSpec
from schemas.state import (
    DEFAULTS,
    DISTINCT_MAX,
    EDGES_MAX,
    ENTRY,
    FREEZES_MAX,
    ID_BYTES,
    PERIOD_DISTINCT_MAX,
    PERIOD_SUMS,
    PERIODS_MAX,
    SLOTS_OF_KIND,
    STREAK_RUNS_MAX,
    VALUE_MAX,
    value_reader,
)
from schemas.state import FREEZE as FREEZE_DAY
from schemas.streaks import EDGE
from schemas.zones import DAY_US, EPOCH, HOUR_US, microseconds, moment_of

FIELDS = [
    FieldSpec(name="amount", type="integer", optional=True),
    FieldSpec(name="artist", type="string", optional=True),
]
EVENT = EventSpec(type="played", topic="t", fields=FIELDS, window=0)
DATA = event_kind(0, EVENT).decode
UNDOABLE = {"count", "sum", "distinct with minus", "count each", "sum each"}
FREEZE = Feed(type="frozen")
TWO_WAYS = {*UNDOABLE, "streak bridged"}
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
        every="week" if storage.endswith("each") else None,
        grace=1 if storage == "streak bridged" else 0,
        freezes=[FREEZE] if storage == "streak bridged" else [],
        edges=len(SLOTS_OF_KIND[storage]) if kind == "streak" else None,
        used=len(SLOTS_OF_KIND[storage]) + 1 if storage == "streak bridged" else None,
    )


def feeds_of(storage: str) -> dict[int, Feed]:
    """The feeds by the sign of the events they take."""
    found = {feed.sign: feed for feed in metric(storage).feeds} | ({-1: FREEZE} if "bridged" in storage else {})
    return {sign: replace(feed, of="amount") for sign, feed in found.items()} if storage == "xp" else found


def empty(storage: str) -> list[Any]:
    edges: list[Any] = [b""] if metric(storage).edges is not None else []
    used: list[Any] = [None] if metric(storage).used is not None else []
    return [DEFAULTS[default] for default in SLOTS_OF_KIND[storage]] + edges + used


def fold(storage: str, events: list[dict[str, Any]], thresholds: list[int] | None = None) -> list[Any]:
    """The slots after these events; with thresholds also what was crossed, as the last item."""
    slots, crossed = empty(storage), []
    waiting = Thresholds({value: value for value in thresholds or []})
    steps = {
        sign: KINDS[storage].step(FeedContext(metric(storage), feed, EVENT, waiting, "UTC"))
        for sign, feed in feeds_of(storage).items()
    }
    for event in events:
        step = steps[event["sign"] if storage in TWO_WAYS else 1]
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


def merged(storage: str, earlier: Sequence[Any], later: Sequence[Any]) -> Slots:
    size = len(SLOTS_OF_KIND[storage])
    slots = [*KINDS[storage].merge(tuple(earlier[:size]), tuple(later[:size])), *empty(storage)[size:]]
    if (settle := KINDS[storage].settle) is not None:
        settle(slots, metric(storage))
    return tuple(slots)


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

    assert comparable(storage, fold(storage, events)) == comparable(storage, merged(storage, earlier, later))


@given(events=EVENTS, forgotten=st.integers(0, 25))
def test_a_streak_is_the_same_where_nobody_kept_how_many_freezes_it_used(
    events: list[dict[str, Any]], forgotten: int
) -> None:
    """As in programs of before, and in a state that does not say it."""
    bridged = metric("streak bridged")
    slots = empty("streak bridged")
    for number, event in enumerate(events):
        feed = FREEZE if event["sign"] < 0 else bridged.feeds[0]
        by_a_program_of_before = replace(bridged, used=None)
        told = by_a_program_of_before if number < forgotten else bridged
        step = KINDS["streak bridged"].step(FeedContext(told, feed, EVENT, Thresholds({}), "UTC"))
        step(slots, data_of(event), moment_of(event["at"]), envelope_of(event))

    assert fold("streak bridged", events)[:-1] == slots[:-1]


@pytest.mark.parametrize("storage", KINDS)
@given(events=EVENTS)
def test_nothing_merged_with_a_part_is_the_part(storage: str, events: list[dict[str, Any]]) -> None:
    part = tuple(fold(storage, events))

    assert comparable(storage, part) == comparable(storage, merged(storage, empty(storage), part))
    assert comparable(storage, part) == comparable(storage, merged(storage, part, empty(storage)))


@pytest.mark.parametrize(
    "storage",
    ["count", "distinct", "distinct with minus", "streak", "max", "xp", "count each", "sum each", "distinct each"],
)
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


def test_one_missed_day_is_bridged_by_grace_two_by_a_freeze_and_a_threshold_is_dated_by_its_active_day() -> None:
    """Days 1, 3 and 6: a day of grace over day 2, grace and the freeze of day 4 over days 4 and 5."""
    freeze = played(at=4 * DAY_US, sign=-1)
    events = [played(at=DAY_US), played(at=3 * DAY_US), freeze, played(at=6 * DAY_US), played(at=7 * DAY_US)]

    slots = fold("streak bridged", events, thresholds=[2, 3, 4])

    assert slots[-1] == [(2, 3 * DAY_US), (3, 6 * DAY_US), (4, 7 * DAY_US)]
    assert slots[3:5] == [4, 4]


def test_a_freeze_that_comes_late_in_the_log_bridges_all_the_same() -> None:
    days = [played(at=day * DAY_US) for day in (1, 4)]

    assert fold("streak bridged", days)[3] == 1
    assert fold("streak bridged", [*days, played(at=2 * DAY_US, sign=-1)])[3] == 2


def test_freezes_beyond_their_bound_are_not_taken_in() -> None:
    freezes = [played(at=DAY_US, sign=-1)] * (FREEZES_MAX + 2)

    assert len(fold("streak bridged", freezes)[5]) // FREEZE_DAY.size == FREEZES_MAX


FLIGHT = [
    # Honolulu is 10 hours behind UTC, Kiritimati 14 ahead: noon of day 1 here and noon of day 3 there
    played(at=DAY_US + 22 * HOUR_US, zone="Pacific/Honolulu"),
    played(at=3 * DAY_US - 2 * HOUR_US, zone="Pacific/Kiritimati"),
]


@pytest.mark.parametrize("events", [FLIGHT, FLIGHT[::-1]])
def test_a_day_that_a_journey_over_the_date_line_skips_does_not_break_a_run(events: list[dict[str, Any]]) -> None:
    modern = [{**event, "at": event["at"] + 20_000 * DAY_US} for event in events]  # Kiritimati moved over in 1995

    slots = fold("streak", modern, thresholds=[2])

    assert slots[3] == 2
    assert len(slots[-1]) == 1


def test_who_stays_at_home_misses_the_day_that_travellers_skip() -> None:
    at_home = [{**event, "at": event["at"] + 20_000 * DAY_US, "zone": "Pacific/Honolulu"} for event in FLIGHT]

    assert fold("streak", [at_home[0], {**at_home[1], "at": at_home[0]["at"] + 2 * DAY_US}])[3] == 1


def test_only_the_latest_edge_days_are_remembered() -> None:
    events = [played(at=(20_000 + day) * DAY_US, zone="Pacific/Kiritimati") for day in range(EDGES_MAX + 2)]

    slots = fold("streak", events)

    assert slots[3] == EDGES_MAX + 2
    assert [day for day, *_ in EDGE.iter_unpack(slots[4])][:1] == [20_002]


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        # the clock goes forward on 29 March 2026 in Paris and back on 25 October: days of 23 and of 25 hours
        ("Europe/Paris", [(2026, 3, 28, 23), (2026, 3, 29, 21), (2026, 3, 29, 22)]),
        ("Europe/Paris", [(2026, 10, 24, 22), (2026, 10, 25, 22), (2026, 10, 25, 23)]),
    ],
)
def test_days_are_those_of_the_calendar_however_long_the_clock_makes_them(
    zone: str, hours: list[tuple[int, int, int, int]]
) -> None:
    """Of three moments in UTC the first two are on the day of the change, the third on the next."""
    moments = [microseconds(datetime(*hour, tzinfo=UTC)) for hour in hours]

    assert [fold("streak", [played(at=at, zone=zone) for at in moments[:n]])[3] for n in (1, 2, 3)] == [1, 1, 2]


def test_a_late_event_counts_in_the_period_of_its_own_day() -> None:
    """Monday 5 January 1970 begins the second week; the third began on the 12th."""
    events = [played(at=day * DAY_US) for day in (4, 11, 5, 10)]

    slots = fold("count each", events, thresholds=[2, 3])

    assert [(crossed.period, crossed.value, at) for crossed, at in slots[-1]] == [
        (1, 2, 5 * DAY_US),
        (1, 3, 10 * DAY_US),
    ]


def test_only_the_latest_periods_are_kept_and_what_is_older_counts_for_nothing() -> None:
    weeks = [played(at=7 * week * DAY_US) for week in range(1, PERIODS_MAX + 2)]
    late = [played(at=0), played(at=7 * DAY_US)]

    slots = fold("count each", [*weeks, *late], thresholds=[2])

    assert [period for period, *_ in PERIOD_SUMS.iter_unpack(slots[0])] == [*range(2, PERIODS_MAX + 1)]
    assert (slots[1], slots[-1]) == (PERIODS_MAX + 1, [])


def test_a_week_of_distinct_values_takes_no_more_than_its_bound() -> None:
    events = [played(artist=f"artist {n}") for n in range(PERIOD_DISTINCT_MAX + 5)]

    assert len(fold("distinct each", events)[2]) // ID_BYTES == PERIOD_DISTINCT_MAX


def test_xp_is_never_given_for_less_than_nothing() -> None:
    assert fold("xp", [played(amount=amount) for amount in (5, -3, 0, None, 2)])[:2] == [7, 0]


def test_a_distinct_takes_no_more_values_than_its_bound() -> None:
    events = [played(artist=f"artist {n}") for n in range(DISTINCT_MAX + 5)]

    assert len(fold("distinct", events)[0]) // ID_BYTES == DISTINCT_MAX
    assert fold("distinct with minus", events)[1] == DISTINCT_MAX


def test_a_streak_at_its_bound_still_takes_a_day_that_extends_a_run() -> None:
    isolated = [played(at=2 * day * DAY_US) for day in range(STREAK_RUNS_MAX + 3)]
    extending = [played(at=DAY_US)]

    assert fold("streak", isolated)[3] == 1
    assert fold("streak", isolated + extending)[3] == 3


EVERY_OTHER_DAY = [played(at=2 * day * DAY_US) for day in range(STREAK_RUNS_MAX + 3)]
WEEKS = [played(at=7 * week * DAY_US) for week in range(1, PERIODS_MAX + 2)]


@pytest.mark.parametrize(
    ("bound", "storage", "events", "count"),
    [
        ("distinct values", "distinct", [played(artist=f"{n}") for n in range(DISTINCT_MAX + 5)], 5),
        ("distinct values", "distinct with minus", [played(artist=f"{n}") for n in range(DISTINCT_MAX + 5)], 5),
        ("period values", "distinct each", [played(artist=f"{n}") for n in range(PERIOD_DISTINCT_MAX + 5)], 5),
        ("periods", "count each", [*WEEKS, played(at=0), played(at=7 * DAY_US)], 2),
        ("streak runs", "streak", EVERY_OTHER_DAY, 3),
        ("freezes", "streak bridged", [played(at=DAY_US, sign=-1)] * (FREEZES_MAX + 2), 2),
        ("totals", "sum", [played(amount=VALUE_MAX // 2)] * 3, 1),
    ],
)
def test_what_a_bound_keeps_out_is_counted(
    bound: Bound, storage: str, events: list[dict[str, Any]], count: int
) -> None:
    """What is there already is not kept out."""
    before = KEPT_OUT.copy()

    fold(storage, [*events, events[0]] if storage.startswith("distinct") else events)

    assert KEPT_OUT - before == Counter({bound: count})


def test_times_are_exact_to_the_microsecond() -> None:
    assert (moment_of(1_700_000_000_123_457) - EPOCH) // (moment_of(1) - EPOCH) == 1_700_000_000_123_457
