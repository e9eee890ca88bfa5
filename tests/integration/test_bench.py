"""Every verb of `laurel bench` on a tiny load: it runs on servers of its own, and what it ran came out right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.demos import laurel

pytestmark = [pytest.mark.server, pytest.mark.benchmark]

# What came out is asked here, not how fast: compiling the broker for speed costs more than it wins in seconds.
ENVIRONMENT = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"}
MARKED = "# Figures\n<!-- laurel bench {0}: begin -->\nold\n<!-- laurel bench {0}: end -->\nbehind\n"


def bench(folder: Path, *arguments: str) -> dict[str, Any]:
    """The JSON object that a verb ends with."""
    with laurel(["bench", *arguments, "--json"], ENVIRONMENT, folder) as measuring:
        assert measuring.end() == 0
        told: dict[str, Any] = measuring.answer()
    return told


def test_a_run_tells_what_an_event_costs_and_where_it_went(tmp_path):
    document = tmp_path / "performance.md"
    document.write_text(MARKED.format("run full zipf"))
    load = ("--job", "full", "--events", "4000", "--users", "300", "--zipf", "1.1")

    told = bench(tmp_path, "run", *load, "--runs", "2", "--write", f"{document}")

    assert told["correct"]
    assert told["faults"] == []
    assert told["runs"] == 2
    assert told["cpu_s_spread"]["min"] <= told["cpu_s_per_million"] <= told["cpu_s_spread"]["max"]
    assert {"fetch", "decode", "fold", "encode", "produce", "commit"} <= told["breakdown"].keys()
    assert 0 < told["checkpoint_ms"]["p50"] <= told["checkpoint_ms"]["p99"]
    figures = ("sustained_cpu_s_per_million", "events_per_s_per_core", "wall_s", "peak_rss_mb", "awards")
    assert all(told[figure] >= 0 for figure in figures)
    assert "| outputs equal the oracle's | yes |" in document.read_text()
    assert told["per_event"]["applied"] + told["per_event"]["duplicate"] == pytest.approx(1)


def test_turns_with_another_engine_end_with_a_ratio_in_the_document(tmp_path):
    document = tmp_path / "performance.md"
    document.write_text(MARKED.format("peers"))
    load = ("--events", "3000", "--users", "30", "--runs", "1")

    told = bench(tmp_path, "peers", "--only", "laurel-full", *load, "--write", f"{document}")

    assert told["correct"]
    assert told["absent"] == {}
    assert [run["engine"] for run in told["runs"]] == ["laurel", "laurel-full"]
    assert told["ours_over"]["laurel-full"]["total"]["middle"] > 0
    assert "| laurel-full | the full fold" in document.read_text()


def test_latency_is_told_of_every_unlock_and_of_those_after_the_warm_up(tmp_path):
    plan = ("--rate", "500", "--seconds", "3", "--warm-up", "1", "--history", "1000", "--users", "50")

    told = bench(tmp_path, "latency", *plan)

    assert told["unlocks"] > 20
    for unlocks in (told["all"], told["steady"]):
        assert 0 <= unlocks["written_ms"]["p50"] <= unlocks["readable_ms"]["p50"] <= unlocks["row_ms"]["p50"]
        assert unlocks["row_ms"]["p50"] <= unlocks["row_ms"]["p99"] <= unlocks["row_ms"]["max"]


def test_the_curve_over_definitions_has_a_point_for_each_size_and_one_from_end_to_end(tmp_path):
    document = tmp_path / "performance.md"
    document.write_text(MARKED.format("definitions"))
    sizes = ("--sizes", "24,200", "--rounds", "1", "--events", "2000", "--end-to-end", "50")

    told = bench(tmp_path, "definitions", *sizes, "--write", f"{document}")

    assert [point["definitions"] for point in told["points"]] == [24, 200]
    assert told["end_to_end"]["large"]["correct"]
    assert "![Fold" in document.read_text()
    assert (tmp_path / "performance" / "definitions.svg").exists()


def test_the_curve_over_users_has_a_right_run_for_each_number_of_them(tmp_path):
    told = bench(tmp_path, "users", "--sizes", "20,200", "--events", "2000")

    assert [(point["users"], point["correct"]) for point in told["points"]] == [(20, True), (200, True)]


def test_a_restore_has_all_users_back(tmp_path):
    told = bench(tmp_path, "restore", "--users", "3000", "--events", "10")

    assert told["users"] == 3000
    assert told["restore_s"] > 0
    assert 100 < told["state_bytes"] < 1000


def test_a_scan_finds_what_decoding_everything_finds(tmp_path):
    document = tmp_path / "performance.md"
    document.write_text(MARKED.format("scan"))

    told = bench(tmp_path, "scan", "--events", "3000", "--users", "100", "--write", f"{document}")

    present, absent = told["scans"]
    assert (present["correct"], absent["correct"]) == (True, True)
    assert present["found"] > 500
    assert absent["found"] == 0
    assert "song_released" in document.read_text()


def test_the_whole_language_is_told_beside_the_full_job(tmp_path):
    document = tmp_path / "performance.md"
    document.write_text(MARKED.format("language"))

    told = bench(tmp_path, "language", "--events", "4000", "--rounds", "1", "--write", f"{document}")

    plain, whole = told["catalogs"]
    assert (plain["correct"], whole["correct"]) == (True, True)
    assert 0 < told["ratio"]["least"] <= told["ratio"]["median"] <= told["ratio"]["most"]
    assert "of the full job's speed" in document.read_text()


def test_an_engine_that_nobody_knows_is_refused_before_anything_starts(tmp_path):
    with laurel(["bench", "peers", "--only", "flink"], {}, tmp_path) as refused:
        assert refused.end() == 1

    assert "'flink' is none of kafka-streams" in refused.said
