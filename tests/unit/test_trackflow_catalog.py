"""The TrackFlow catalog holds every achievement of its checklist, and counts what was decided."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench.reference import fold
from schemas.catalog import Achievement, AtLeast, Catalog, all_achievements, all_events, read_catalog

TEXT = (Path(__file__).parents[2] / "catalogs" / "trackflow.yaml").read_text(encoding="utf-8")
CHECKLIST = (Path(__file__).parent / "trackflow_checklist.txt").read_text(encoding="utf-8")

ROW = re.compile(r"- \*\*S4\.A(\d\d)–(\d\d)\*\* [^:]+: (.+)")
ENTRY = re.compile(r"(?P<name>[A-Za-z][A-Za-z -]*?) (?P<icon>[^\x00-\x7f≈]+)(≈(\([^)]*\))?)? (?P<rest>[a-z0-9 ]+)")
POINTS = {"common": 10, "uncommon": 25, "rare": 50, "epic": 100, "legendary": 250}
SONGS = "common common uncommon rare rare epic legendary"

# first number of a row of the checklist -> metrics of its entries, category, rarities
ROWS: dict[int, tuple[str, str, str]] = {
    1: ("planned " * 7, "milestone", SONGS),
    8: ("started " * 7, "milestone", SONGS),
    15: ("wip_completed " * 7, "milestone", SONGS),
    22: ("released " * 7, "milestone", SONGS),
    29: ("packs " * 5, "milestone", "common common uncommon rare epic"),
    34: ("collaborations " * 4, "milestone", "common uncommon uncommon rare"),
    38: ("spotify_imports playlists playlists", "activity", "common uncommon rare"),
    41: ("login_streak " * 6, "activity", "common common uncommon rare epic legendary"),
    47: ("feature_requests " * 3 + "bugs bugs", "activity", "common uncommon rare common uncommon"),
    52: ("authored " * 4, "quality", "common uncommon uncommon rare"),
    56: ("packs_completed " * 3, "quality", "uncommon rare epic"),
    59: ("series " + "series_completed " * 3, "quality", "common uncommon rare epic"),
    63: ("added_by_others " * 4, "social", "common uncommon uncommon rare"),
    67: ("artists " * 5, "diversity", "common uncommon rare epic legendary"),
    72: ("years " * 5, "diversity", "common uncommon rare epic legendary"),
    77: ("decades " * 4, "diversity", "common uncommon rare epic"),
}
PUBLISHED = """
song_created song_planned song_started song_authored song_released song_unreleased song_unauthored song_deleted
song_updated pack_created pack_completed series_created series_completed collaborator_added collaborator_removed
spotify_imported login feature_request_submitted feature_request_commented feature_request_upvoted bug_reported
bug_fixed user_registered user_updated user_deleted user_followed user_unfollowed
"""
KEYS_OF_THEIR_OWN = {(57, "Pack Master"): "pack_completion_master", (58, "Pack Legend"): "pack_completion_legend"}


class Asked(NamedTuple):
    """An entry of the checklist and what was decided about it."""

    number: int
    name: str
    icon: str
    at: int
    metric: str
    category: str
    rarity: str

    @property
    def key(self) -> str:
        by_name = re.sub(r"[^a-z0-9]+", "_", self.name.lower())
        return KEYS_OF_THEIR_OWN.get((self.number, self.name), by_name)


def asked() -> list[Asked]:
    found = []
    for first, last, entries in ROW.findall(CHECKLIST):
        metrics, category, rarities = ROWS[int(first)]
        said = entries.split(" · ")
        assert len(said) == int(last) - int(first) + 1
        for place, (entry, metric, rarity) in enumerate(zip(said, metrics.split(), rarities.split(), strict=True)):
            match = ENTRY.fullmatch(entry)
            assert match, entry
            at = int(next(iter(re.findall(r"\d+", match["rest"])), "1"))  # "first import" is one
            found.append(Asked(int(first) + place, match["name"], match["icon"], at, metric, category, rarity))
    return found


@cache
def trackflow() -> Catalog:
    return read_catalog(TEXT, "trackflow.yaml")


@cache
def entries() -> dict[str, Achievement]:
    return {each.key: each for each in all_achievements(trackflow())}


# --- the 80 ---


@pytest.mark.parametrize("one", asked(), ids=lambda one: f"A{one.number:02} {one.name}")
def test_an_achievement_of_the_checklist_is_there(one: Asked):
    entry = entries()[one.key]

    assert (entry.name, entry.icon, entry.category, entry.rarity) == (one.name, one.icon, one.category, one.rarity)
    assert entry.when == AtLeast(metric=one.metric, at=one.at)
    assert (entry.points, entry.order) == (POINTS[one.rarity], one.number)


def test_there_are_80_and_no_other():
    assert [each.number for each in asked()] == list(range(1, 81))
    assert sorted(entries()) == sorted(each.key for each in asked())
    assert Counter(each.category for each in entries().values()) == {
        "milestone": 37,
        "activity": 14,
        "quality": 11,
        "social": 4,
        "diversity": 14,
    }


def test_everyone_is_described_and_celebrated_in_words_of_its_own():
    texts = [(each.description, each.message) for each in entries().values()]

    assert all(description and message for description, message in texts)
    assert len({message for _, message in texts}) == 80
    assert not [text for pair in texts for text in pair if "{" in text]
    assert entries()["visionary"].description == "Add 5 songs to your Future Plans"
    assert entries()["dreamer"].description == "Add your first song to your Future Plans"


def test_the_login_streak_is_the_headline():
    assert trackflow().headline_streak == "login_streak"


def test_every_event_of_the_contract_is_declared_on_its_topic():
    events = all_events(trackflow())

    published = set(events) - {"added_as_collaborator"}
    assert published == set(PUBLISHED.split())
    assert {events[name].topic for name in published} == {"trackflow.activity"}
    assert events["added_as_collaborator"].topic is None


# --- what the metrics count, told by the reference ---


def values(*events: tuple[str, dict[str, Any]], user: str = "ann", by: str = "ann") -> dict[str, int | None]:
    log = [
        {
            "specversion": "1.0",
            "id": str(number),
            "source": "test",
            "type": kind,
            "subject": by,
            "time": f"2026-03-01T10:{number:02}:00Z",
            "data": data,
        }
        for number, (kind, data) in enumerate(events)
    ]
    return fold(log, [TEXT]).metrics.get(user, {}).get("trackflow", {})


def released(song: str, **data: Any) -> tuple[str, dict[str, Any]]:
    return "song_released", {"song_id": song, "from_status": "wip", **data}


def unreleased(song: str, **data: Any) -> tuple[str, dict[str, Any]]:
    return "song_unreleased", {"song_id": song, "from_status": "wip", **data}


def deleted(song: str, *states: str, **data: Any) -> tuple[str, dict[str, Any]]:
    counted = {state: state in states for state in ("planned", "started", "released", "authored")}
    return "song_deleted", {"song_id": song, **counted, **data}


def test_a_completion_is_a_release_out_of_work_in_progress():
    found = values(released("a"), released("b", from_status="planned"), released("c", from_status="none"))

    assert (found["released"], found["wip_completed"]) == (3, 1)


def test_an_undone_release_takes_back_what_it_counted_and_nothing_else():
    found = values(
        released("a", artist="Abba", year=1976),
        released("b", from_status="none", artist="Blur", year=1994),
        unreleased("b", from_status="none", artist="Blur", year=1994),
    )

    assert (found["released"], found["wip_completed"]) == (1, 1)
    assert (found["artists"], found["years"], found["decades"]) == (1, 1, 1)


def test_a_deleted_song_takes_back_what_it_had_counted_as():
    counted = [
        ("song_planned", {"song_id": "a"}),
        ("song_started", {"song_id": "a"}),
        ("song_authored", {"song_id": "a"}),
    ]
    gone = values(
        *counted,
        released("a", artist="Abba", year=1976),
        deleted("a", "planned", "started", "released", "authored", from_status="wip", artist="Abba", year=1976),
    )
    kept = values(*counted, released("a", artist="Abba", year=1976), deleted("a", "planned"))
    names = ("planned", "started", "released", "wip_completed", "authored", "artists", "years", "decades")

    assert [gone[name] for name in names] == [0] * 8
    assert [kept[name] for name in names] == [0, 1, 1, 1, 1, 1, 1, 1]


def test_an_artist_is_one_however_it_is_written_and_none_counts_for_nothing():
    found = values(
        released("a", artist="Beyoncé"),
        released("b", artist="  BEYONCE\u0301 "),
        released("c", artist=" "),
        released("d"),
        released("e", artist=None, year=None),
    )

    assert (found["released"], found["artists"], found["years"]) == (5, 1, 0)


def test_an_artist_of_two_songs_stays_when_one_of_them_goes():
    found = values(released("a", artist="Abba"), released("b", artist="ABBA"), unreleased("a", artist="Abba"))

    assert found["artists"] == 1


def test_decades_group_the_years():
    found = values(*(released(str(year), year=year) for year in (1969, 1970, 1979, 1980, 2001)))

    assert (found["years"], found["decades"]) == (5, 4)


@pytest.mark.parametrize(
    ("metric", "kind", "field"),
    [
        ("packs", "pack_created", "pack_id"),
        ("packs_completed", "pack_completed", "pack_id"),
        ("series", "series_created", "series_id"),
        ("series_completed", "series_completed", "series_id"),
        ("authored", "song_authored", "song_id"),
        ("feature_requests", "feature_request_submitted", "request_id"),
        ("bugs", "bug_reported", "bug_id"),
    ],
)
def test_things_are_counted_not_clicks(metric: str, kind: str, field: str):
    assert values((kind, {field: "x"}), (kind, {field: "x"}), (kind, {field: "y"}))[metric] == 2


def test_any_import_counts_as_one_and_playlists_each_once():
    found = values(
        ("spotify_imported", {"kind": "album"}),
        ("spotify_imported", {"kind": "playlist", "playlist_id": "p"}),
        ("spotify_imported", {"kind": "playlist", "playlist_id": "p"}),
        ("spotify_imported", {"kind": "track", "playlist_id": "q"}),
    )

    assert (found["spotify_imports"], found["playlists"]) == (4, 1)


def test_a_collaboration_is_a_pair_of_song_and_person_ever_added():
    pair = {"song_id": "s", "collaborator_id": "ben"}
    events = [
        ("collaborator_added", pair),
        ("collaborator_removed", pair),
        ("collaborator_added", pair),
        ("collaborator_added", {"song_id": "s", "collaborator_id": "cem"}),
        ("collaborator_added", {"song_id": "t", "collaborator_id": "ben"}),
    ]

    assert values(*events)["collaborations"] == 3
    assert values(*events, user="ben")["added_by_others"] == 2


def test_nobody_is_added_by_others_to_a_song_of_their_own():
    found = values(("collaborator_added", {"song_id": "s", "collaborator_id": "ann"}))

    assert not found.get("added_by_others")
