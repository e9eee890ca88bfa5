"""The simulated town: a year that could have been, and the same one whenever it is asked for."""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.simulate import command, line
from cli.simulation.year import simulate
from schemas.catalog import all_achievements, read_catalog
from tests.unit.sample import CATALOGS, SAMPLE, TRACKFLOW, result, sample

COUNTED_AS = {
    "song_planned": {"planned": True},
    "song_started": {"started": True},
    "song_authored": {"authored": True},
    "song_unauthored": {"authored": False},
    "song_released": {"released": True},
    "song_unreleased": {"released": False},
}
ORIGIN = ("from_status", "artist", "year")


def facts() -> list[dict[str, Any]]:
    """The events of the sample, each once, in the order in which they happened."""
    return sorted({event["id"]: event for event in sample()}.values(), key=lambda event: happened_at(event))


def happened_at(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["time"])


# --- the same seed, the same bytes ---


def test_the_command_of_the_samples_readme_writes_the_sample_byte_for_byte(tmp_path: Path):
    readme = (CATALOGS / "samples" / "README.md").read_text(encoding="utf-8")
    assert "./laurel simulate --users 100 --days 365 --seed 22 --out catalogs/samples/trackflow.jsonl.gz" in readme
    command(users=100, days=365, seed=22, out=tmp_path / "again.jsonl.gz")
    again = gzip.decompress((tmp_path / "again.jsonl.gz").read_bytes())
    assert again == gzip.decompress(SAMPLE.read_bytes())


def test_a_file_is_the_same_on_every_machine():
    """The digest was taken once; a Python or a platform that draws otherwise is found out here."""
    digest = hashlib.sha256(b"".join(line(event) for event in simulate(20, 60, 7))).hexdigest()
    assert digest == "c3d4213c43ed8751dd3a36e5dccd01a85e0dca029723ade95adfca47c0e7a529"


def test_another_seed_is_another_year():
    assert list(simulate(5, 30, 1)) == list(simulate(5, 30, 1))
    assert list(simulate(5, 30, 1)) != list(simulate(5, 30, 2))


def test_compressed_and_plain_files_hold_the_same(tmp_path: Path):
    for name in ("plain.jsonl", "packed.jsonl.gz"):
        command(users=3, days=20, seed=1, out=tmp_path / name)
    packed = gzip.decompress((tmp_path / "packed.jsonl.gz").read_bytes())
    assert packed == (tmp_path / "plain.jsonl").read_bytes()


def test_without_a_file_the_events_go_to_stdout(capfdbinary: pytest.CaptureFixture[bytes]):
    command(users=3, days=20, seed=1)
    assert capfdbinary.readouterr().out == b"".join(line(event) for event in simulate(3, 20, 1))


def test_events_name_their_topic_when_asked():
    plain = list(simulate(3, 20, 1))
    assert list(simulate(3, 20, 1, with_topic=True)) == [event | {"topic": "trackflow.activity"} for event in plain]


# --- a year that could have been ---


def test_somebody_earns_every_achievement_in_the_sample():
    earned = {achievement for _, _, achievement, _ in result().awards}
    assert earned == {each.key for each in all_achievements(read_catalog(TRACKFLOW, "trackflow.yaml"))}


def test_every_type_of_trackflow_occurs_except_the_one_that_erases():
    declared = set(read_catalog(TRACKFLOW, "trackflow.yaml").events)
    assert {event["type"] for event in sample()} == declared - {"user_deleted"}


def test_every_event_lies_in_the_simulated_days():
    times = [happened_at(event) for event in simulate(10, 30, 3)]
    assert min(times) > datetime.fromisoformat("2025-12-01T12:00:00-12:00") - timedelta(days=1)
    assert max(times) < datetime.fromisoformat("2026-01-01T12:00:00-12:00")


def test_musicians_register_before_they_do_anything():
    seen: set[str] = set()
    for event in facts():
        assert (event["type"] == "user_registered") == (event["subject"] not in seen)
        seen.add(event["subject"])


def test_about_one_event_in_a_hundred_is_repeated_and_soon():
    """Near enough to be known again by the last eight ids of its user and type."""
    recent: dict[tuple[str, str], list[str]] = defaultdict(list)
    ids = Counter(event["id"] for event in sample())
    repeated = sum(times - 1 for times in ids.values())
    recognised = 0
    for event in sample():
        last = recent[event["subject"], event["type"]]
        recognised += event["id"] in last[-8:]
        last.append(event["id"])
    assert 0.005 < repeated / len(ids) < 0.015
    assert recognised == repeated


def test_about_two_events_in_a_hundred_come_hours_late():
    latest = datetime.fromisoformat("2025-01-01T00:00:00Z")
    late = 0
    for event in sample():
        late += happened_at(event) < latest - timedelta(hours=2)
        latest = max(latest, happened_at(event))
    assert 0.01 < late / len(sample()) < 0.04


def test_musicians_live_on_several_continents_and_some_of_them_travel():
    zones: dict[str, set[str]] = defaultdict(set)
    for event in sample():
        if "timezone" in event:
            zones[event["subject"]].add(event["timezone"])
    continents = {zone.split("/")[0] for of_user in zones.values() for zone in of_user}
    assert {"Africa", "America", "Asia", "Australia", "Europe"} <= continents
    assert any(len(of_user) > 1 for of_user in zones.values())
    assert any("timezone" not in event for event in sample())


def test_some_come_every_day_and_some_stay_away_for_weeks():
    days: dict[str, set[Any]] = defaultdict(set)
    for event in sample():
        days[event["subject"]].add(happened_at(event).date())
    active = sorted(len(of_user) for of_user in days.values())
    assert active[-1] > 300
    assert active[0] < 20


def test_an_artist_is_written_in_several_ways():
    written: dict[str, set[str]] = defaultdict(set)
    for event in sample():
        artist = event["data"].get("artist")
        if artist:
            written["".join(artist.split()).casefold()].add(artist)
    assert sum(len(ways) > 2 for ways in written.values()) > 10
    assert any(event["type"] == "song_released" and not event["data"]["artist"] for event in sample())


# --- what is undone was done ---


def test_an_undo_carries_what_it_undoes():
    counted: dict[str, dict[str, bool]] = defaultdict(
        lambda: dict.fromkeys(("planned", "started", "authored", "released"), False)
    )
    origins: dict[str, dict[str, Any]] = defaultdict(dict)
    undos = Counter[str]()
    for event in facts():
        kind, data = event["type"], event["data"]
        song = data.get("song_id", "")
        origin = {name: data[name] for name in ORIGIN if name in data}
        if kind in ("song_unreleased", "song_deleted"):
            undos[kind] += 1
            assert origin == (origins[song] if counted[song]["released"] else {})
        if kind == "song_deleted":
            assert counted[song] == {name: data[name] for name in counted[song]}
        if kind == "song_unreleased":
            assert counted[song]["released"]
        if kind == "song_released":
            origins[song] = origin
        counted[song] |= COUNTED_AS.get(kind, {})
    assert min(undos.values()) > 50


def test_a_collaborator_is_removed_only_after_being_added():
    working: set[tuple[str, str]] = set()
    for event in facts():
        pair = event["data"].get("song_id", ""), event["data"].get("collaborator_id", "")
        if event["type"] == "collaborator_added":
            assert pair not in working
            working.add(pair)
        if event["type"] == "collaborator_removed":
            working.remove(pair)


def test_a_pack_is_completed_when_its_songs_are_authored():
    authored = {event["data"]["song_id"] for event in sample() if event["type"] == "song_authored"}
    completed = {event["data"]["pack_id"] for event in sample() if event["type"] == "pack_completed"}
    in_packs = [
        event["data"]["song_id"]
        for event in sample()
        if event["type"] == "song_released" and event["data"].get("pack_id") in completed
    ]
    assert completed
    assert sum(song in authored for song in in_packs) > 0.9 * len(in_packs)
