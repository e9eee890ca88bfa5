"""Measuring replays: the versions that are replayed, and what is made of moments and counts."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from bench.latency import Appended
from bench.load import TOPIC, Load, values
from bench.paced import Pace, pace_of, published
from bench.replay import BRINGS, Swept, catalog, is_near, phases, told
from bench.replaying import Ended, Sent, Spent
from bench.straight import SWEEP
from bench.under_load import Moments, Plan, Seen, Waited, report, waits
from cli.benches.replay import loaded_text, text
from schemas.catalog import read_catalog
from schemas.errors import LaurelError

FIVE = Spent(cpu_s=5.0, peak_mb=100)
BESIDE = dict.fromkeys(("job", "processor", "projector", "kafka", "postgres"), FIVE)
SWEPT = Swept(
    achievement="songs_released_3",
    plan={"users": 1_090, "awards": 1_000, "notices": {"digest": 1_000}},
    plan_s=4.0,
    job=Ended(code=0, began_s=100.0, seconds=13.5, spent=BESIDE),
    registered=(102.0, 103.5, 113.0),
    sent={"facts": Sent(1_000, 108.0, 111.0), "done": Sent(8, 110.0, 112.0)},
    awarded_s=114.0,
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


def test_awards_and_how_far_people_are_are_shown_at_moments_of_their_own():
    assert (told(SWEPT)["awards_after_done_s"], told(SWEPT)["rows_after_done_s"]) == (1.0, 2.0)


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
    measured = {
        "users": 10,
        "events": 50,
        "prepared_s": 3.2,
        "sweeps": [told(SWEPT)] * 2,
        "faults": ["missing: x"],
        "correct": False,
    }

    table = text(measured)

    assert "| seconds from the command to done | 13.0 | 13.0 |" in table
    assert "| within 30 s, the aim where few win | yes |  |" in table
    assert "| the plan said users, awards, notices | 1,090, 1,000, 1,000 |" in table
    assert "| outputs equal the oracle's | missing: x | missing: x |" in table


# --- under load ---

APPENDED = [Appended((TOPIC, 0), 100, 10_000), Appended((TOPIC, 1), 7, 10_000), Appended((TOPIC, 0), 120, 10_020)]


def test_an_unlock_waits_from_the_append_of_its_event_and_one_of_the_history_does_not_count():
    seen = [Seen(0, 119, 10_050.0), Seen(0, 120, 10_050.0), Seen(1, 9, 10_100.0), Seen(0, 99, 10_060.0)]

    assert waits(seen, APPENDED) == [Waited(10_000, 50.0), Waited(10_020, 30.0), Waited(10_000, 100.0)]


MOMENTS = Moments(steady=10.0, begin=20.0, end=30.0, over=40.0)


def test_unlocks_are_told_apart_by_when_their_event_came():
    waited = [Waited(9_000, 999.0), Waited(12_000, 10.0), Waited(21_000, 30.0), Waited(35_000, 20.0)]

    told = report(waited, [(15.0, 5), (25.0, 900), (26.0, 100)], MOMENTS)

    assert {when: part["p99_ms"] for when, part in told["parts"].items()} == {
        "before": 10.0,
        "during": 30.0,
        "after": 20.0,
    }
    assert told["p99_times"] == 3.0
    assert told["parts"]["during"]["lag_max"] == 900


def test_nothing_is_said_of_a_time_in_which_nobody_unlocked_anything():
    with pytest.raises(LaurelError, match="no unlock in one of the three parts"):
        report([Waited(12_000, 10.0)], [], MOMENTS)


def test_a_rate_that_was_not_kept_or_is_more_than_the_machine_carries_is_said_in_the_table():
    waited = [Waited(at_ms, 10.0) for at_ms in (12_000, 22_000, 32_000)]
    run = {"rate": 500, "users": 10, "events": 9, "replay_s": 3.0, "job_cores": 0.1, "job_mb": 80}
    run["publisher_late_ms"] = 90
    refused = {"rate_kept": False, "carried": False}
    measured = report(waited, [], MOMENTS) | run | refused | {"faults": [], "correct": True}

    table = loaded_text(measured)

    assert "The rate was not kept, so this counts for nothing" in table
    assert "this machine does not carry the rate" in table
    assert "| during | 1 | 10 | 10 | 0 |" in table


def test_a_load_goes_on_behind_its_history():
    plan = Plan(rate=100, users=10, history=50)
    history, rest = islice(values(plan.load), 50), islice(values(plan.load), 50, 60)

    assert [*history, *rest] == [*islice(values(plan.load), 60)]


def test_a_publisher_is_told_what_it_was_meant_to_be_told(tmp_path: Path):
    pace = Pace(Load(1_000, 10), first=50, rate=100, partitions=8, file=tmp_path / "published.json")

    assert pace_of(pace.arguments) == pace


def test_what_a_publisher_wrote_down_says_where_the_log_ends(tmp_path: Path):
    file = tmp_path / "published.json"
    file.write_text(json.dumps({"events": 60, "appended": [[0, 100, 5, 3], [0, 103, 6, 4]], "late_ms": 2.0}))

    told = published(file)

    assert told.ends == {(TOPIC, 0): 107}
    assert told.appended == [Appended((TOPIC, 0), 100, 5), Appended((TOPIC, 0), 103, 6)]


def test_a_publisher_that_wrote_nothing_down_is_not_believed(tmp_path: Path):
    with pytest.raises(LaurelError, match="did not end well"):
        published(tmp_path / "published.json")
