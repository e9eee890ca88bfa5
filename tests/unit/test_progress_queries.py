"""Rows as the projections write them become what progress is computed from."""

from __future__ import annotations

import msgspec
import pytest

from progress.pace import daily_rate
from progress.queries import paces_of, run_of
from progress.rows import Run
from projections.pace import Pace, follow


def row_of(paces: dict[str, Pace]) -> dict[str, list[float]]:
    """As it stands in the table."""
    return msgspec.json.decode(msgspec.json.encode(paces))


def test_the_pace_that_the_projection_keeps_is_the_rate_that_is_told():
    """3 songs on each of four days in a row: 3 a day on the last of them, whatever was there before."""
    paces, value = {}, 0
    for day in range(100, 104):
        paces = follow(paces, {"released": value}, [("released", day)])
        value += 3

    ((metric, pace),) = paces_of(row_of(paces), {"released": value})

    assert metric == "released"
    assert (pace.day, pace.first_day, pace.days) == (103, 100, 4)
    assert daily_rate(pace, today=103) == pytest.approx(3.0, rel=1e-3)


def test_what_was_taken_back_is_no_gain():
    paces = follow({}, {"songs": 0}, [("songs", 100)])

    ((_, pace),) = paces_of(row_of(paces), {"songs": -2})

    assert pace.gained == 0


def test_a_metric_that_has_no_value_any_more_has_no_pace():
    assert list(paces_of({"gone": (0, 1.0, 100, 99, 2)}, {"released": 1})) == []


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"first_day": None, "last_day": None, "longest": None}, Run()),
        (
            {"first_day": 10, "last_day": 14, "length": 4, "longest": 9, "freezes": 1},
            Run(first_day=10, last_day=14, length=4, longest=9, freezes=1),
        ),
        ({"first_day": 10, "last_day": 14, "longest": 5}, Run(first_day=10, last_day=14, length=5, longest=5)),
    ],
    ids=["nothing yet", "bridged by grace", "written before runs had a length"],
)
def test_runs_of_any_age_are_read(row, expected):
    assert run_of(row) == expected
