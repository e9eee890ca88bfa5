"""Measuring replays: the versions that are replayed, and what is made of moments and counts."""

from __future__ import annotations

import pytest

from bench.replay import BRINGS, Swept, catalog, is_near, phases, told
from bench.replaying import Ended, Sent, Spent
from bench.straight import SWEEP
from cli.benches.replay import text
from schemas.catalog import read_catalog

FIVE = Spent(cpu_s=5.0, peak_mb=100)
BESIDE = dict.fromkeys(("job", "processor", "projector", "kafka", "postgres"), FIVE)
SWEPT = Swept(
    achievement="songs_released_3",
    plan={"users": 1_090, "awards": 1_000, "notices": {"digest": 1_000}},
    plan_s=4.0,
    job=Ended(code=0, began_s=100.0, seconds=13.5, spent=BESIDE),
    registered=(102.0, 103.5, 113.0),
    sent={"facts": Sent(1_000, 108.0, 111.0), "done": Sent(8, 110.0, 112.0)},
    shown_s=115.0,
    happened={"users": 1_000, "awards": 1_000, "notices": 1_000},
)


def test_each_version_brings_the_achievement_that_the_one_before_lacks():
    keys = [{each.key for each in read_catalog(catalog(number), "").achievements} for number in (1, 2, 3)]

    assert keys[1] - keys[0] == {BRINGS[2]}
    assert keys[2] - keys[1] == {BRINGS[3]}
    assert keys[2] == {f"{metric}_{at}" for metric, steps in SWEEP.items() for at in steps}


def test_the_phases_of_a_sweep_are_all_of_it_one_behind_the_other():
    parts = list(phases(SWEPT).values())

    assert parts == [2.0, 1.5, 4.5, 4.0, 1.0]
    assert sum(parts) == told(SWEPT)["seconds"] == 13.0


def test_a_sweep_that_nobody_wins_has_its_phases_too():
    nobody = SWEPT._replace(sent={"done": Sent(8, 110.0, 112.0)})

    assert sum(phases(nobody).values()) == 13.0


@pytest.mark.parametrize(("planned", "happened", "holds"), [(109, 100, True), (91, 100, True), (111, 100, False)])
def test_a_plan_holds_when_it_is_within_a_tenth_of_what_happened(planned: int, happened: int, holds: bool):
    assert is_near(planned, happened) == holds


def test_a_plan_that_named_too_many_users_does_not_hold():
    off = SWEPT._replace(plan={**SWEPT.plan, "users": 1_200})

    assert told(SWEPT)["plan_holds"]
    assert not told(off)["plan_holds"]


def test_the_table_says_what_was_asked_and_whether_it_came_right():
    measured = {"users": 10, "events": 50, "sweeps": [told(SWEPT)] * 2, "faults": ["missing: x"], "correct": False}

    table = text(measured)

    assert "| seconds from the command to done | 13.0 | 13.0 |" in table
    assert "| the plan said users, awards, notices | 1,090, 1,000, 1,000 |" in table
    assert "| outputs equal the oracle's | missing: x | missing: x |" in table
