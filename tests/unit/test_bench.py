"""The measuring itself: what is made of samples, outputs and moments."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from typer.testing import CliRunner

from bench import contest, language, latency
from bench.contest import Standing, Turn, compete, full_over, ratio
from bench.definitions import catalog_with, measure, program_with
from bench.document import markdown_table, write_between
from bench.draining import Sample, _drained, cpu_at, cpu_s_of, peak_mb_of
from bench.language import PLAIN, WHOLE, faults
from bench.latency import Appended, Seen, Shown, Watched, report, unlocks_of
from bench.load import Load
from bench.oracle import award_line, expected, is_award
from bench.outputs import differences, outcome_lines
from bench.peers.engines import event_numbers
from bench.plot import plot
from bench.run import Cost
from cli.bench import app
from cli.benches.machine import job_file
from processor.evaluator.compile import compile_catalog
from schemas.catalog import language as spelling
from schemas.catalog import read_catalog
from schemas.errors import LaurelError, Precondition
from schemas.outcomes import Evidence, encode_outcome, replay_completed
from schemas.program import Ledger
from schemas.records import PlainRecord
from tests.integration import projections as given
from tests.integration.projections import outcome as an_outcome

# --- CPU and events, sampled ---

SAMPLES = [Sample(0, 0, 0.0), Sample(1, 0, 3.0), Sample(2, 400, 5.0), Sample(3, 1000, 8.0)]


def test_cpu_between_two_samples_lies_on_the_line_between_them():
    assert cpu_at(SAMPLES, 200) == 4.0
    assert cpu_at(SAMPLES, 400) == 5.0
    assert cpu_at(SAMPLES, 700) == 6.5


def test_sustained_cpu_leaves_the_first_fifth_and_the_start_up_away_and_the_total_does_not():
    drained = _drained(SAMPLES, 1000, peak_rss_mb=7)

    assert drained.cpu_s == 8.0
    assert drained.sustained_cpu_s == pytest.approx((8.0 - 4.0) / 0.8)
    assert drained.steady_cpu_s == pytest.approx((7.5 - 4.0) / 0.7)
    assert drained.wall_s == 1


def test_the_cpu_and_memory_of_an_engine_are_those_of_all_its_processes():
    burn = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    nested = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {burn!r}]); print(1, flush=True)"
    engine = subprocess.Popen(
        [sys.executable, "-c", f"{nested}; time.sleep(60)"], start_new_session=True, stdout=subprocess.PIPE
    )
    try:
        assert engine.stdout is not None
        engine.stdout.readline()
        assert cpu_s_of(engine.pid) >= 0.3
        assert peak_mb_of(engine.pid) > 1
    finally:
        os.killpg(engine.pid, 9)
        engine.wait()


# --- outputs ---


def test_equal_outputs_have_no_differences_and_others_tell_each_line_that_is_missing_or_twice():
    assert differences(["a", "b"], ["a", "b"]) == []
    assert differences(["a", "b"], ["a", "a", "c"]) == ["missing: b", "too much: a", "too much: c"]


def test_how_far_a_peer_is_follows_from_the_awards_it_has_written(tmp_path):
    """Of as many events as seconds, an award's time says which event earned it."""
    load = Load(events=2_000, users=20, repeats=False)
    awards = [line for line in expected("small", load, tmp_path) if is_award(line)]

    earned_by = event_numbers(awards, load.events)

    assert len(earned_by) == len(awards)
    assert earned_by == sorted(earned_by)
    assert 0 <= earned_by[0] <= 2
    assert earned_by[-1] < load.events


# --- turn by turn ---


def cost(spent: float, correct: bool = True) -> Cost:
    return Cost("x", spent, spent / 2, spent / 2, 1, 1, 1.0, 1, correct, 1, [])


def test_a_ratio_is_taken_turn_by_turn():
    turns = [Turn(cost(2.0), cost(4.0)), Turn(cost(6.0), cost(8.0)), Turn(cost(1.0), cost(1.0))]

    assert ratio(turns, lambda each: each.cpu_s_per_million) == Standing(0.75, 0.5, 1.0)
    assert str(Standing(0.75, 0.5, 1.0)) == "0.75 (0.50–1.00)"


def test_the_full_fold_is_held_against_a_peer_round_by_round():
    turns = {
        "laurel-full": [Turn(cost(1.0), cost(6.0)), Turn(cost(1.0), cost(9.0))],
        "quix": [Turn(cost(1.0), cost(12.0)), Turn(cost(1.0), cost(10.0)), Turn(cost(1.0), cost(1.0))],
    }

    assert full_over(turns, "quix", lambda each: each.cpu_s_per_million) == Standing(pytest.approx(0.7), 0.5, 0.9)
    assert full_over(turns, "bytewax", lambda each: each.cpu_s_per_million) is None


def test_who_cannot_be_installed_is_told_and_left_out_and_the_others_go_on(tmp_path, monkeypatch):
    def run(engine, stage, lines, say):
        if engine.name == "quix":
            raise Precondition("no network")
        return cost(1.0)

    said: list[str] = []
    monkeypatch.setattr(contest, "run", run)
    monkeypatch.setattr(contest, "staged", lambda load, say: nullcontext())
    held = compete(["quix", "laurel-full"], 2, Load(events=1_000, users=10), tmp_path, said.append)

    assert held.absent == {"quix": "no network"}
    assert {name: len(turns) for name, turns in held.turns.items()} == {"laurel-full": 2}
    assert said == ["quix does not take part: no network"]


# --- latency ---

SOURCE, OUTCOMES = ("bench.activity", 3), ("laurel.outcomes", 3)


def outcome(offset: int) -> bytes:
    evidence = Evidence(topic=SOURCE[0], partition=SOURCE[1], offset=offset, event_id="e")
    return encode_outcome(an_outcome("ann", evidence=evidence))


def test_a_latency_runs_from_the_append_of_the_event_in_the_evidence():
    watched = Watched(
        appended=[Appended(SOURCE, 100, 5_000), Appended(SOURCE, 110, 5_020)],
        seen=[Seen(OUTCOMES, 7, 5_150.5, 5_090, outcome(109)), Seen(OUTCOMES, 8, 5_150.5, 5_090, outcome(110))],
        shown=[Shown(OUTCOMES, 7, 5_100.0), Shown(OUTCOMES, 8, 5_200.0), Shown(OUTCOMES, 12, 5_300.0)],
        late_s=[],
        cores={},
    )

    first, second = unlocks_of(watched)

    assert first == latency.Unlock(5_000, written=90, readable=150.5, row=200.0)
    assert second == latency.Unlock(5_020, written=70, readable=130.5, row=280.0)


def test_the_warm_up_is_told_apart_and_not_left_out():
    unlocks = [latency.Unlock(at, 1, at / 10, 3) for at in (0, 500, 1_000, 2_000)]

    told = report(unlocks, [0.0, 0.002], warm_up_s=1.0)

    assert told["all"]["readable_ms"] == {"p50": 50.0, "p90": 200.0, "p99": 200.0, "max": 200.0}
    assert told["steady"]["readable_ms"] == {"p50": 100.0, "p90": 200.0, "p99": 200.0, "max": 200.0}
    assert told["publisher_late_ms"]["max"] == 2.0


# --- ever more definitions ---


def test_a_larger_catalog_leads_to_the_same_unlocks(monkeypatch):
    points = measure(job_file("small"), [24, 500], Load(events=4_000, users=20), 1, lambda what: None)

    assert [point.definitions for point in points] == [24, 500]
    assert points[0].unlocks == points[1].unlocks > 100


def test_the_larger_catalog_may_be_written_down_and_passes_the_check():
    written = read_catalog(catalog_with(job_file("small"), 60), "large.yaml")

    program, _ = compile_catalog(written, Ledger())

    made = program_with(job_file("small"), 60).catalogs[0]
    assert {(each.key, each.when) for each in program.achievements} == {
        (each.key, each.when) for each in made.achievements
    }


def test_fewer_definitions_than_the_job_has_are_refused():
    with pytest.raises(LaurelError, match="the job itself has 24 achievements"):
        program_with(job_file("small"), 10)


# --- the whole language ---


def test_both_catalogs_come_to_what_the_reference_says():
    load = Load(events=3_000, users=30)

    assert [faults(job, load) for job in (PLAIN, WHOLE)] == [[], []]


def test_what_a_fold_gets_wrong_is_told(monkeypatch):
    other = WHOLE.read_text().replace("{sum: song_released", "{max: song_released")
    monkeypatch.setattr(language, "read_catalog", lambda text, name: read_catalog(other, name))

    told = faults(WHOLE, Load(events=3_000, users=30))

    assert any(" earned points_100 " in line for line in told)


def test_the_whole_language_uses_every_word():
    """What the language learns comes into the benchmark, too. Left out is what is not the fold's."""
    known = {
        field.alias or name for part in parts_of(spelling.Written) for name, field in part.model_fields.items()
    }

    assert known - words_in(yaml.safe_load(WHOLE.read_text())) == {"examples", "topics", "repartition"}


def parts_of(kind: type[spelling.Written]) -> Iterator[type[spelling.Written]]:
    """Every part of a catalog, but for its examples."""
    for part in kind.__subclasses__():
        if part not in (spelling.WrittenExample, spelling.WrittenGiven, spelling.WrittenExpected):
            yield part
            yield from parts_of(part)


def words_in(said: Any) -> set[str]:
    parts = [*said.values()] if isinstance(said, dict) else said if isinstance(said, list) else []
    own = {"on" if name is True else str(name) for name in said} if isinstance(said, dict) else set()
    return own.union(*map(words_in, parts))


# --- documents ---


def test_a_table_goes_between_its_markers_and_nothing_else_changes(tmp_path):
    document = tmp_path / "performance.md"
    document.write_text("# Before\n<!-- x: begin -->\nold\n<!-- x: end -->\nbehind\n")

    write_between(document, "x", markdown_table(("a", "b"), [["1", "2"]]))

    table = "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    assert document.read_text() == f"# Before\n<!-- x: begin -->\n{table}<!-- x: end -->\nbehind\n"


def test_a_document_without_markers_is_refused_and_left_as_it_is(tmp_path):
    document = tmp_path / "performance.md"
    document.write_text("nothing\n")

    with pytest.raises(LaurelError, match="has no markers"):
        write_between(document, "x", "table")

    assert document.read_text() == "nothing\n"


@pytest.mark.parametrize("verb", ["run", "peers", "latency", "projection", "replay", "language", "scan"])
def test_a_document_that_is_not_there_is_said_before_anything_is_measured(tmp_path, verb):
    ran = CliRunner().invoke(app, [verb, "--write", f"{tmp_path / 'nowhere.md'}"])

    assert ran.exit_code == 2
    assert "does not exist" in ran.output


def test_a_plot_is_an_svg_with_a_mark_for_every_point(tmp_path):
    plot(tmp_path / "curve.svg", "µs < per event", "users", [(1_000, 4.0), (10_000, 5.5), (1_000_000, 9.25)])

    svg = ElementTree.parse(tmp_path / "curve.svg").getroot()
    texts = [element.text for element in svg.iter() if element.text]
    assert len([element for element in svg.iter() if element.tag.endswith("circle")]) == 3
    assert {"µs < per event", "users", "1,000,000", "9.25"} <= set(texts)


def test_every_outcome_about_a_user_is_a_line_and_the_end_of_a_replay_is_none():
    won = given.outcome("ann")
    told = [won, given.revocation(won), given.level_reached("ann", 3), given.challenge_completed("ann", "two")]

    lines = [line for each in told for line in outcome_lines(PlainRecord(0, 0, b"ann", encode_outcome(each)))]
    ended = encode_outcome(replay_completed("r", 0, "none", {}, given.EARNED_AT))

    assert lines == [
        award_line("ann", "first_release", given.EARNED_AT),
        "ann lost first_release",
        "ann reached level 3",
        f"ann completed two on {told[-1].data.day}",
    ]
    assert list(outcome_lines(PlainRecord(0, 0, b"r", ended))) == []
