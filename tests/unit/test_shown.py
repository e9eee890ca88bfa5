"""What of a state is shown: states written slot by slot, so that every answer can be seen here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from projections.shown import Shown
from schemas.program import CatalogProgram, EventSpec, Feed, Ledger, MetricSpec
from schemas.state import FREEZE, HEAD_SLOTS, PERIOD_HASHES, State, fresh_state, slots_of
from schemas.streaks import EDGE, RUN

AT = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
AT_DAY = 20_513  # 2026-03-01


def shown_of(*metrics: MetricSpec) -> tuple[Shown, State, list[int]]:
    """How these metrics are shown, a fresh state, and their first slots. Slot 3 is an event's window."""
    slots, firsts, placed = ["bytes"], [], []
    for metric in metrics:
        firsts.append(HEAD_SLOTS + len(slots))
        slots += slots_of(metric)
        edges = {"edges": HEAD_SLOTS + len(slots)} if metric.kind == "streak" else {}
        slots += ["bytes"] * len(edges)
        placed.append(MetricSpec(**spec(metric) | {"slot": firsts[-1]} | edges))
    catalog = CatalogProgram(
        catalog="toy",
        version=1,
        sha256="",
        events=[EventSpec(type="done", topic="t", window=HEAD_SLOTS)],
        metrics=placed,
        achievements=[],
    )
    return Shown(catalog), fresh_state(Ledger(slots=slots)), firsts


def spec(metric: MetricSpec) -> dict[str, Any]:
    return {name: getattr(metric, name) for name in metric.__struct_fields__}


def metric(key: str, kind: Any, **said: Any) -> MetricSpec:
    return MetricSpec(key=key, kind=kind, slot=0, feeds=[Feed(type="done")], **said)


def put(state: State, first: int, *values: Any) -> None:
    state[first : first + len(values)] = values


def run(first: int | None, last: int | None, length: int, longest: int, freezes: int = 0) -> dict[str, int | None]:
    return {"first_day": first, "last_day": last, "length": length, "longest": longest, "freezes": freezes}


def test_hidden_metrics_are_no_metrics_but_windows():
    shown, state, (songs, summer) = shown_of(
        metric("songs", "count"), metric("songs@2026-06-01..", "count", origin="songs", first_day=20_605)
    )
    put(state, songs, 5, 1, AT)
    put(state, summer, 2, 0, AT)

    assert shown.metrics(state) == {"songs": 4}
    assert shown.windows(state) == {"songs@2026-06-01..": 2}


def test_a_repeating_window_has_its_periods_by_name():
    """1 March 2026, a Sunday, ends the ninth week of its year, which is number 2,930 since 1970."""
    shown, state, (weekly,) = shown_of(metric("kinds@week", "distinct", origin="kinds", every="week"))
    put(state, weekly, PERIOD_HASHES.pack(2_929, 0, 16) + bytes(16), 2_930, bytes(8), AT)

    assert shown.windows(state) == {"kinds@week": {"2026-W08": 2, "2026-W09": 1}}
    assert shown.has_windows


def test_a_streak_before_its_first_day_has_the_freezes_that_were_bought():
    shown, state, (days,) = shown_of(metric("days", "streak", freezes=[Feed(type="bought")]))
    put(state, days, b"", None, None, 0, 0, FREEZE.pack(10) + FREEZE.pack(11))

    assert shown.streaks(state) == {"days": run(None, None, 0, 0, freezes=2)}


def test_a_freeze_that_bridged_a_gap_is_used_up():
    """Days 10 to 11 and 13; of two freezes one bridged day 12."""
    shown, state, (days,) = shown_of(metric("days", "streak", freezes=[Feed(type="bought")]))
    put(state, days, RUN.pack(10, 11), 13, 13, 3, 3, FREEZE.pack(9) + FREEZE.pack(9))

    assert shown.streaks(state) == {"days": run(10, 13, 3, 3, freezes=1)}


def test_a_day_that_a_journey_skipped_does_not_break_the_run():
    """Day 10 in Honolulu (UTC-10), day 12 on Kiritimati (UTC+14): day 11 never was."""
    shown, state, (days,) = shown_of(metric("days", "streak"))
    put(state, days, RUN.pack(9, 10), 12, 12, 3, EDGE.pack(10, -600, -600) + EDGE.pack(12, 840, 840))

    assert shown.streaks(state) == {"days": run(9, 12, 3, 3)}


@pytest.mark.parametrize("longest", [2, 9])
def test_a_plain_run_is_as_long_as_its_days(longest):
    shown, state, (days,) = shown_of(metric("days", "streak"))
    put(state, days, RUN.pack(1, 9), 13, 14, longest)

    assert shown.streaks(state) == {"days": run(13, 14, 2, longest)}


def test_only_what_moved_has_a_day_and_that_of_its_event():
    shown, state, (songs, _, best) = shown_of(
        metric("songs", "count"), metric("stars", "latest"), metric("best", "max")
    )
    put(state, songs, 1, 0, AT)
    put(state, best, 3, AT)

    moves = shown.moves(state)

    assert dict(moves.moved) == {"songs": AT_DAY, "best": AT_DAY}
    assert moves.since == AT


def test_a_user_is_known_since_the_earliest_that_the_state_still_shows():
    shown, state, (songs, days) = shown_of(metric("songs", "count"), metric("days", "streak"))
    put(state, songs, 1, 0, AT)
    put(state, days, b"", AT_DAY - 1, AT_DAY, 2)

    assert shown.moves(state).since == datetime(2026, 2, 28, tzinfo=UTC)


def test_a_user_with_an_event_is_known_whatever_it_moved():
    shown, state, _ = shown_of(metric("songs", "count"))
    assert not shown.moves(state).is_known

    state[HEAD_SLOTS] = bytes(8)

    assert (shown.moves(state).is_known, shown.moves(state).since) == (True, None)
