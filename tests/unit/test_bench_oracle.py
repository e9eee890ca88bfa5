"""The benchmark's oracle: fast, and yet what the reference says."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from bench import reference, straight
from bench.load import REPEATED_EVERY, Load, values
from bench.oracle import award_line, expected, expected_of_first, is_award, metrics_line
from bench.replay import CATALOG
from cli.benches.machine import job_file

UNIFORM = Load(events=6_000, users=40)
ZIPF = Load(events=6_000, users=300, zipf=1.1)
BUSY = Load(events=2_000, users=2)
LOADS = [UNIFORM, ZIPF, BUSY]


def by_reference(job: str, load: Load) -> list[str]:
    file = CATALOG if job == "sweep" else job_file(job)
    result = reference.fold((json.loads(value) for _, value in values(load)), [file.read_text()])
    awards = [award_line(user, key, at) for (user, _, key, _), at in result.awards.items()]
    return sorted(awards + [metrics_line(user, each["bench"]) for user, each in result.metrics.items()])


@pytest.mark.parametrize("load", LOADS, ids=["uniform", "zipf", "busy"])
@pytest.mark.parametrize("job", ["small", "full", "sweep"])
def test_the_fast_oracle_says_what_the_reference_says(job, load):
    folded = sorted(straight.fold(job, (value for _, value in values(load)), award_line, metrics_line))

    assert folded == by_reference(job, load)


def test_every_achievement_of_the_full_job_is_won_by_somebody_in_the_samples():
    """Else the comparison above would not see a threshold that is wrong."""
    won = {line.split()[2] for load in LOADS for line in by_reference("full", load) if is_award(line)}

    assert won == {f"{metric}_{at}" for metric, steps in straight.FULL.items() for at in steps} | {"all_rounder"}


def test_the_fast_oracle_shares_no_code_with_the_product():
    tree = ast.parse(Path(straight.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}

    assert {(module or "").split(".")[0] for module in modules} <= sys.stdlib_module_names | {"msgspec"}


def test_an_answer_is_kept_and_is_the_same_when_asked_again(tmp_path):
    load = Load(events=2_000, users=20)

    first, (kept,) = expected("small", load, tmp_path), tmp_path.iterdir()
    written = kept.stat().st_mtime_ns
    again = expected("small", load, tmp_path)

    assert again == first == by_reference("small", load)
    assert kept.stat().st_mtime_ns == written
    assert expected("full", load, tmp_path) != first


def test_a_load_that_was_ended_early_comes_to_what_was_published_of_it():
    load = Load(events=2_000, users=20)
    published = [value for _, value in values(load)][:700]

    assert expected_of_first("small", load, 700) == sorted(
        straight.fold("small", published, award_line, metrics_line)
    )


def test_a_load_repeats_records_only_when_it_is_to():
    plain = [value for _, value in values(UNIFORM._replace(repeats=False))]
    repeating = [value for _, value in values(UNIFORM)]

    assert len(set(plain)) == len(plain)
    assert len(repeating) - len(set(repeating)) == UNIFORM.events // REPEATED_EVERY


def test_live_events_follow_90_days_of_history_as_fast_as_they_happen():
    load = Load(events=1_000, users=5, repeats=False, live=100, per_s=50)
    times = [json.loads(value)["time"] for _, value in values(load)]

    assert times == sorted(times)
    assert (times[0], times[900], times[-1]) == (
        "2026-01-01T00:00:00.000Z",
        "2026-04-01T00:00:00.000Z",
        "2026-04-01T00:00:01.980Z",
    )


def test_users_are_drawn_as_unevenly_as_zipf_says():
    drawn = [key for key, _ in values(Load(events=20_000, users=100, zipf=1.1))]
    counts = sorted((drawn.count(user) for user in set(drawn)), reverse=True)

    assert counts[0] / counts[9] == pytest.approx(10**1.1, rel=0.25)
