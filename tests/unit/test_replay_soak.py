"""What `laurel soak --replays` holds replays to, and what it says; the soak itself is run by hand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from bench.lags import Lag, Stretch, behind
from bench.oracle import award_line, metrics_line
from cli import soak
from cli.benches.machine import job_file
from cli.faults.invariants import Verdict
from cli.faults.replay_report import lines, markdown, told
from cli.faults.replay_soak import (
    BRINGS,
    DEATHS,
    JOB,
    STEPS,
    Noticed,
    Replayed,
    Report,
    Shape,
    catalog,
    moved,
    notice_faults,
    points_of,
    status_faults,
)
from schemas.catalog import read_catalog
from schemas.errors import LaurelError

AT = datetime(2026, 1, 5, tzinfo=UTC)
REPLAYS = [Replayed("a", "done", "digest", "fold_and_merge"), Replayed("b", "done", "none", "sweep")]


def test_a_file_that_the_result_cannot_go_into_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "soak_replays", lambda *_: pytest.fail("it began"))
    file = tmp_path / "reliability.md"
    file.write_text("nothing\n")

    with pytest.raises(LaurelError, match="has no markers"):
        soak.command(replays=True, report=file)


def test_the_versions_end_at_the_whole_job_and_each_brings_one_thing():
    whole = read_catalog(job_file(JOB).read_text(), "")
    brought = [named(number) - named(number - 1) for number in BRINGS]

    assert all(key in new for key, new in zip(BRINGS.values(), brought, strict=True))
    assert named(max(BRINGS)) == {*whole.metrics, *(each.key for each in whole.achievements)}


def named(number: int) -> set[str]:
    found = read_catalog(catalog(number), "")
    return {*found.metrics, *(each.key for each in found.achievements)}


def test_every_step_of_a_job_that_nobody_cancels_kills_it_twice():
    assert Counter(step for step, _ in DEATHS) == Counter(dict.fromkeys(STEPS, 2))


def test_points_are_those_of_the_awards():
    awards = [award_line("ann", "first", AT), award_line("ann", "second", AT), award_line("bob", "nothing", AT)]

    assert points_of(awards, {"first": 10, "second": 25, "nothing": 0}) == ["ann has 35 points"]


def test_what_nobody_moved_is_not_missed_where_it_is_not_shown():
    assert moved([metrics_line("ann", {"plays": 2, "days": 0})]) == moved([metrics_line("ann", {"plays": 2})])


@pytest.mark.parametrize(
    "noticed",
    [
        Noticed(None, awards=5, users=3, told=5, digests=0),
        Noticed("a", awards=5, users=3, told=0, digests=3),
        Noticed("b", awards=5, users=3, told=0, digests=0),
    ],
)
def test_notices_as_chosen_are_no_fault_and_one_more_is(noticed: Noticed):
    assert notice_faults([noticed], REPLAYS) == []
    assert len(notice_faults([noticed._replace(told=noticed.told + 1)], REPLAYS)) == 1
    assert len(notice_faults([noticed._replace(digests=noticed.digests + 1)], REPLAYS)) == 1


def test_a_replay_that_is_not_done_is_a_fault():
    ended = [Replayed(f"{number}", "done", "all", "sweep") for number in BRINGS]

    assert status_faults([*ended, Replayed("x", "cancelled", "none", "sweep")]) == []
    assert status_faults(ended) != []


REPORT = Report(
    shape=Shape(),
    seconds=600.0,
    events=9_000_000,
    flowed=19_990.0,
    late_ms=12.0,
    behind=[Stretch(6.5, 120_000), Stretch(3.0, 50_000)],
    kills=Counter({"job at base": 2, "processor": 30}),
    replays=REPLAYS,
    drained_s=4.0,
    verdicts=[Verdict("R1", "each award once", []), Verdict("R5", "notices as chosen", ["a told 2"])],
)


def test_the_verdict_on_every_invariant_is_told_and_the_kills():
    said = "\n".join(lines(REPORT))

    assert "R1 holds   each award once" in said
    assert "R5 BROKEN  notices as chosen\n    a told 2" in said
    assert "2 × job at base, 30 × processor" in said
    assert "19,990 a second of the 20,000 that were to come" in said
    assert "behind 2 times, for 6 s at most and 10 s in all, by 120,000 events at most" in said
    assert "| R5: notices as chosen | BROKEN: a told 2 |" in markdown(REPORT)
    assert told(REPORT)["invariants"] == {"R1": [], "R5": ["a told 2"]}
    assert not told(REPORT)["holds"]


def test_a_stretch_behind_lasts_from_the_first_look_that_finds_it_to_the_last():
    lags = [Lag(at / 2, records) for at, records in enumerate((10, 300, 500, 200, 10, 101, 100))]

    assert behind(lags, 100) == [Stretch(1.5, 500), Stretch(0.5, 101)]
