# ruff: noqa: N802 - tests are named by the ids of the checklist
"""S4, TrackFlow: the 80 achievements at their thresholds, and one below; rarity and points; what triggers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from tests.acceptance.scene import MONDAY, Scene, Step, assert_rung, days, some

pytestmark = pytest.mark.server

CATALOG = "trackflow"
POINTS = {"common": 10, "uncommon": 25, "rare": 50, "epic": 100, "legendary": 250}

Doing = Callable[[int], list[Step]]


class Entry(NamedTuple):
    id: str
    key: str
    name: str
    icon: str
    at: int
    rarity: str


class Group(NamedTuple):
    """Achievements for the same doing. `doing(n)` is what somebody does who has done it n times."""

    category: str
    doing: Doing
    entries: Sequence[Entry]


def finished(count: int) -> list[Step]:
    return some(count, "song_released", "song_id", from_status="wip")


def released(count: int) -> list[Step]:
    return some(count, "song_released", "song_id", from_status="none")


def by_artists(count: int) -> list[Step]:
    return [
        Step("song_released", {"song_id": str(n), "from_status": "none", "artist": f"artist {n}"})
        for n in range(count)
    ]


def of_years(count: int) -> list[Step]:
    return [
        Step("song_released", {"song_id": str(n), "from_status": "none", "year": 1900 + n}) for n in range(count)
    ]


def of_decades(count: int) -> list[Step]:
    """The last year of a decade and the first of the same one, so that years and decades differ."""
    return [
        Step("song_released", {"song_id": f"{n}-{year}", "from_status": "none", "year": 1950 + 10 * n + year})
        for n in range(count)
        for year in (0, 9)
    ]


def collaborations(count: int) -> list[Step]:
    return [Step("collaborator_added", {"song_id": str(n), "collaborator_id": "somebody"}) for n in range(count)]


def playlists(count: int) -> list[Step]:
    return some(count, "spotify_imported", "playlist_id", kind="playlist")


GROUPS = [
    Group("milestone", lambda n: some(n, "song_planned", "song_id"), [
        Entry("A01", "dreamer", "Dreamer", "💭", 1, "common"),
        Entry("A02", "visionary", "Visionary", "🔮", 5, "common"),
        Entry("A03", "long_term_planner", "Long Term Planner", "📋", 10, "uncommon"),
        Entry("A04", "strategic_thinker", "Strategic Thinker", "🗺️", 25, "rare"),
        Entry("A05", "master_planner", "Master Planner", "📊", 50, "rare"),
        Entry("A06", "future_architect", "Future Architect", "🏗️", 100, "epic"),
        Entry("A07", "planning_legend", "Planning Legend", "🎓", 250, "legendary"),
    ]),
    Group("milestone", lambda n: some(n, "song_started", "song_id"), [
        Entry("A08", "getting_started", "Getting Started", "🎬", 1, "common"),
        Entry("A09", "hard_worker", "Hard Worker", "💪", 5, "common"),
        Entry("A10", "dedicated_creator", "Dedicated Creator", "🎨", 10, "uncommon"),
        Entry("A11", "busy_bee", "Busy Bee", "🐝", 25, "rare"),
        Entry("A12", "workhorse", "Workhorse", "🐴", 50, "rare"),
        Entry("A13", "productivity_master", "Productivity Master", "⚡", 100, "epic"),
        Entry("A14", "work_legend", "Work Legend", "🔨", 250, "legendary"),
    ]),
    Group("milestone", finished, [
        Entry("A15", "first_finish", "First Finish", "🎉", 1, "common"),
        Entry("A16", "finisher", "Finisher", "✅", 5, "common"),
        Entry("A17", "wip_master", "WIP Master", "🏁", 10, "uncommon"),
        Entry("A18", "finishing_touch", "Finishing Touch", "✨", 25, "rare"),
        Entry("A19", "master_finisher", "Master Finisher", "🎊", 50, "rare"),
        Entry("A20", "completion_legend", "Completion Legend", "🏆", 100, "epic"),
        Entry("A21", "fireworks_master", "Fireworks Master", "🎇", 250, "legendary"),
    ]),
    Group("milestone", released, [
        Entry("A22", "first_release", "First Release", "✨", 1, "common"),
        Entry("A23", "rising_star", "Rising Star", "⭐", 5, "common"),
        Entry("A24", "published_artist", "Published Artist", "🌟", 10, "uncommon"),
        Entry("A25", "pro_performer", "Pro Performer", "💫", 25, "rare"),
        Entry("A26", "chart_topper", "Chart Topper", "🏆", 50, "rare"),
        Entry("A27", "hall_of_fame", "Hall of Fame", "🎖️", 100, "epic"),
        Entry("A28", "legendary_status", "Legendary Status", "👑", 250, "legendary"),
    ]),
    Group("milestone", lambda n: some(n, "pack_created", "pack_id"), [
        Entry("A29", "pack_starter", "Pack Starter", "📦", 1, "common"),
        Entry("A30", "pack_creator", "Pack Creator", "📚", 3, "common"),
        Entry("A31", "pack_master", "Pack Master", "📖", 5, "uncommon"),
        Entry("A32", "pack_legend", "Pack Legend", "📘", 10, "rare"),
        Entry("A33", "pack_collector", "Pack Collector", "📗", 20, "epic"),
    ]),
    Group("milestone", collaborations, [
        Entry("A34", "team_player", "Team Player", "🤝", 1, "common"),
        Entry("A35", "collaborator", "Collaborator", "👥", 3, "uncommon"),
        Entry("A36", "social_butterfly", "Social Butterfly", "🦋", 10, "uncommon"),
        Entry("A37", "community_leader", "Community Leader", "👑", 25, "rare"),
    ]),
    Group("activity", lambda n: some(n, "spotify_imported", kind="album"), [
        Entry("A38", "spotify_explorer", "Spotify Explorer", "🎧", 1, "common"),
    ]),
    Group("activity", playlists, [
        Entry("A39", "playlist_master", "Playlist Master", "📋", 5, "uncommon"),
        Entry("A40", "spotify_power_user", "Spotify Power User", "🎵", 10, "rare"),
    ]),
    Group("activity", lambda n: days(n, "login"), [
        Entry("A41", "early_bird", "Early Bird", "🌅", 3, "common"),
        Entry("A42", "dedicated", "Dedicated", "📅", 7, "common"),
        Entry("A43", "committed", "Committed", "💪", 14, "uncommon"),
        Entry("A44", "loyal", "Loyal", "❤️", 30, "rare"),
        Entry("A45", "devoted", "Devoted", "🔥", 60, "epic"),
        Entry("A46", "trackflow_veteran", "TrackFlow Veteran", "🏅", 100, "legendary"),
    ]),
    Group("activity", lambda n: some(n, "feature_request_submitted", "request_id"), [
        Entry("A47", "idea_generator", "Idea Generator", "💡", 1, "common"),
        Entry("A48", "innovator", "Innovator", "🚀", 5, "uncommon"),
        Entry("A49", "community_voice", "Community Voice", "📢", 10, "rare"),
    ]),
    Group("activity", lambda n: some(n, "bug_reported", "bug_id"), [
        Entry("A50", "bug_hunter", "Bug Hunter", "🐛", 1, "common"),
        Entry("A51", "quality_guardian", "Quality Guardian", "🛡️", 5, "uncommon"),
    ]),
    Group("quality", lambda n: some(n, "song_authored", "song_id"), [
        Entry("A52", "perfectionist", "Perfectionist", "✨", 1, "common"),
        Entry("A53", "multi_talented", "Multi-Talented", "🎭", 5, "uncommon"),
        Entry("A54", "master_craftsman", "Master Craftsman", "🔨", 10, "uncommon"),
        Entry("A55", "artisan", "Artisan", "🎨", 25, "rare"),
    ]),
    Group("quality", lambda n: some(n, "pack_completed", "pack_id"), [
        Entry("A56", "pack_perfectionist", "Pack Perfectionist", "📦✨", 1, "uncommon"),
        Entry("A57", "pack_completion_master", "Pack Master", "📚🏆", 3, "rare"),
        Entry("A58", "pack_completion_legend", "Pack Legend", "📖👑", 5, "epic"),
    ]),
    Group("quality", lambda n: some(n, "series_created", "series_id"), [
        Entry("A59", "series_starter", "Series Starter", "🎬", 1, "common"),
    ]),
    Group("quality", lambda n: some(n, "series_completed", "series_id"), [
        Entry("A60", "series_master", "Series Master", "🎯", 1, "uncommon"),
        Entry("A61", "series_collector", "Series Collector", "📀", 3, "rare"),
        Entry("A62", "series_legend", "Series Legend", "🎪", 5, "epic"),
    ]),
    Group("diversity", by_artists, [
        Entry("A67", "variety_seeker", "Variety Seeker", "🎭", 5, "common"),
        Entry("A68", "music_explorer", "Music Explorer", "🌍", 10, "uncommon"),
        Entry("A69", "artist_collector", "Artist Collector", "🎨", 25, "rare"),
        Entry("A70", "diversity_master", "Diversity Master", "🌈", 50, "epic"),
        Entry("A71", "universal_listener", "Universal Listener", "🎵", 100, "legendary"),
    ]),
    Group("diversity", of_years, [
        Entry("A72", "time_traveler", "Time Traveler", "⏰", 5, "common"),
        Entry("A73", "decade_explorer", "Decade Explorer", "📅", 10, "uncommon"),
        Entry("A74", "era_collector", "Era Collector", "🕰️", 25, "rare"),
        Entry("A75", "timeline_master", "Timeline Master", "📆", 50, "epic"),
        Entry("A76", "history_buff", "History Buff", "📚", 100, "legendary"),
    ]),
    Group("diversity", of_decades, [
        Entry("A77", "decade_dabbler", "Decade Dabbler", "🎸", 2, "common"),
        Entry("A78", "multi_decade", "Multi-Decade", "🎹", 3, "uncommon"),
        Entry("A79", "decade_master", "Decade Master", "🎺", 4, "rare"),
        Entry("A80", "timeline_legend", "Timeline Legend", "🎻", 5, "epic"),
    ]),
]  # fmt: skip
ADDED_BY_OTHERS = [
    Entry("A63", "collaborative_spirit", "Collaborative Spirit", "🤝", 1, "common"),
    Entry("A64", "popular_collaborator", "Popular Collaborator", "⭐", 5, "uncommon"),
    Entry("A65", "sought_after", "Sought After", "🌟", 10, "uncommon"),
    Entry("A66", "community_favorite", "Community Favorite", "💖", 25, "rare"),
]
REGISTERED = Step("user_registered")


def there(entry: Entry) -> str:
    return f"S4.{entry.id}/there"


def below(entry: Entry) -> str:
    return f"S4.{entry.id}/below"


def host(entry: Entry) -> dict[str, list[Step]]:
    """Somebody who adds both of them to songs, one of them to one song less."""
    added = [
        Step("collaborator_added", {"song_id": f"{user}-{n}", "collaborator_id": user})
        for user, count in ((there(entry), entry.at), (below(entry), entry.at - 1))
        for n in range(count)
    ]
    return {f"S4.{entry.id}/host": added, there(entry): [REGISTERED], below(entry): [REGISTERED]}


def song(kind: str, **data: object) -> Step:
    return Step(kind, {"song_id": "a", **data})


CLUB = """
catalog: club
version: 1
events: {played: {topic: club.activity}, sung: {topic: club.activity}}
metrics: {plays: {count: played}, songs: {count: sung}}
xp: [{on: awards}]
levels: {of: xp, curve: [0, 20, 100]}
achievements:
  - {key: player, name: Player, category: music, points: 10, when: plays >= 1}
  - {key: singer, name: Singer, category: music, points: 10, when: songs >= 1}
  - {key: musician, name: Musician, category: sets, points: 80, all_of: {category: music}}
  - {key: summer, name: Summer, category: seasons, when: plays >= 3, window: {from: 2025-06-01, until: 2025-09-01}}
"""
CATALOGS = {"club": CLUB}


def played(*days: str) -> list[Step]:
    return [Step("played", at=datetime.fromisoformat(f"{day}T12:00:00+00:00")) for day in days]


UNDO = {
    "S4/completed": [song("song_released", from_status="wip")],
    "S4/direct": [song("song_released", from_status="planned")],
    "S4/undone": [
        song("song_released", from_status="wip", artist="Nina", year=1976),
        song("song_unreleased", from_status="wip", artist="Nina", year=1976),
    ],
    "S4/stats": [
        *some(3, "song_created", "song_id", status="planned"),
        *released(2),
        *some(1, "pack_created", "pack_id"),
        *collaborations(2),
        *playlists(2),
        *some(1, "feature_request_submitted", "request_id"),
        *days(4, "login"),
        Step("login", at=MONDAY + timedelta(9)),
    ],
    "S4/song created": [song("song_created", status="planned")],
    "S4/comes back": released(9),
    "S4/twice": [Step("song_planned", {"song_id": "a"}, id="twice")] * 2,
}
STORIES = {
    CATALOG: {
        **{there(each): group.doing(each.at) for group in GROUPS for each in group.entries},
        **{below(each): [REGISTERED, *group.doing(each.at - 1)] for group in GROUPS for each in group.entries},
        **{user: steps for each in ADDED_BY_OTHERS for user, steps in host(each).items()},
        **UNDO,
    },
    "club": {
        "S4/player": [Step("played")],
        "S4/musician": [Step("played"), Step("sung")],
        "S4/summer": played("2025-06-01", "2025-07-01", "2025-08-31"),
        "S4/spring": played("2025-05-31", "2025-06-01", "2025-08-31", "2025-09-01"),
    },
}


AFTERWARDS = {CATALOG: {"S4/comes back": [song("song_released", from_status="none")]}}


# --- the catalog: each at its threshold, and not one below ---


def award_test(entry: Entry, category: str, ladder: Sequence[Entry]) -> Callable[[Scene], None]:
    """With what comes before it on its ladder, and nothing that comes after it."""

    def test(scene: Scene) -> None:
        award = scene.awards(CATALOG, there(entry))[entry.key]
        shown = (award["name"], award["icon"], award["category"], award["rarity"], award["points"])
        assert shown == (entry.name, entry.icon, category, entry.rarity, POINTS[entry.rarity])
        assert_rung(scene, CATALOG, (there(entry), below(entry)), entry.key, {each.key: each.at for each in ladder})

    return test


LADDERS = [*((group.category, group.entries) for group in GROUPS), ("social", ADDED_BY_OTHERS)]
globals().update(
    {
        f"test_S4_{each.id}_{each.key}": award_test(each, category, ladder)
        for category, ladder in LADDERS
        for each in ladder
    }
)


# --- tables, rarity ---


def test_S4_1_achievements_have_the_nine_columns(scene):
    listed = scene.rows("select * from achievement where catalog = 'trackflow' order by ord")
    assert len(listed) == len({each["key"] for each in listed}) == 80
    first = listed[0]
    assert (first["key"], first["name"], first["icon"], first["category"]) == (
        "dreamer",
        "Dreamer",
        "💭",
        "milestone",
    )
    assert (first["points"], first["rarity"]) == (10, "common")
    assert first["description"] == "Add your first song to your Future Plans"
    assert isinstance(first["created_at"], datetime)
    assert {each["category"] for each in listed} == {"milestone", "activity", "quality", "social", "diversity"}


def test_S4_2_an_award_is_one_row_public_and_notified_once(scene):
    """Of an event that was sent twice, too."""
    row = scene.row("select * from user_achievement where user_id = 'S4/twice'")
    assert (row["achievement"], row["is_public"], row["earned_at"]) == ("dreamer", True, MONDAY)
    told = scene.row("select * from notification where user_id = 'S4/twice'")
    assert (told["type"], told["metadata"]["outcome_id"]) == ("achievement_unlocked", f"{row['id']}")


def test_S4_3_the_numbers_of_a_user(scene):
    metrics = scene.metrics(CATALOG, "S4/stats")
    assert (metrics["songs"], metrics["released"], metrics["packs"], metrics["collaborations"]) == (3, 2, 1, 2)
    assert (metrics["spotify_imports"], metrics["feature_requests"], metrics["login_streak"]) == (2, 1, 4)
    (streak,) = scene.told(CATALOG, "S4/stats", MONDAY + timedelta(10)).streaks
    assert (streak.current, streak.longest, f"{streak.last_day}") == (1, 4, "2025-03-12")


def test_S4_4_points_go_by_rarity(scene):
    rows = scene.rows("select distinct rarity, points from achievement where catalog = 'trackflow'")
    assert {row["rarity"]: row["points"] for row in rows} == POINTS
    assert len(rows) == 5


def test_S4_5_rarity_rises_with_what_it_takes(scene):
    rows = scene.rows("select key, rarity from achievement where catalog = 'trackflow'")
    rarity = {row["key"]: row["rarity"] for row in rows}
    assert [rarity[key] for key in ("dreamer", "first_release", "pack_starter")] == ["common"] * 3
    assert [rarity[key] for key in ("published_artist", "pack_master")] == ["uncommon"] * 2
    assert [rarity[key] for key in ("chart_topper", "pro_performer")] == ["rare"] * 2
    assert [rarity[key] for key in ("future_architect", "hall_of_fame")] == ["epic"] * 2
    assert rarity["legendary_status"] == "legendary"


# --- what triggers them ---


def test_S4_6_each_action_is_checked_by_the_numbers_that_are_kept(scene):
    """The tenth release, when the nine before it were folded and written: it alone gives the award."""
    award = scene.awards(CATALOG, "S4/comes back")["published_artist"]
    assert award["evidence_event_id"] == "AFTERWARDS/S4/comes back/0"
    assert award["progress_at_unlock"] == scene.metrics(CATALOG, "S4/comes back")["released"] == 10


def test_S4_11_a_song_that_is_created_counts(scene):
    assert scene.metrics(CATALOG, "S4/song created")["songs"] == 1


def test_S4_12_a_release_counts_and_a_completion_only_out_of_work_in_progress(scene):
    assert scene.awards(CATALOG, "S4/completed").keys() == {"first_release", "first_finish"}
    assert scene.awards(CATALOG, "S4/direct").keys() == {"first_release"}
    undone = scene.metrics(CATALOG, "S4/undone")
    assert [undone[name] for name in ("released", "wip_completed", "artists", "years", "decades")] == [0] * 5
    assert scene.awards(CATALOG, "S4/undone").keys() == {"first_release", "first_finish"}


def test_S4_13_a_pack_that_is_created_counts(scene):
    assert scene.metrics(CATALOG, "S4/stats")["packs"] == 1
    assert "pack_starter" in scene.awards(CATALOG, "S4/stats")


def test_S4_14_adding_a_collaborator_counts_for_both(scene):
    assert scene.metrics(CATALOG, "S4.A63/host")["collaborations"] == 1
    assert scene.metrics(CATALOG, "S4.A63/there")["added_by_others"] == 1
    assert scene.awards(CATALOG, "S4.A63/host").keys() == {"team_player"}


def test_S4_15_a_spotify_import_counts(scene):
    metrics = scene.metrics(CATALOG, "S4/stats")
    assert (metrics["spotify_imports"], metrics["playlists"]) == (2, 2)
    assert "spotify_explorer" in scene.awards(CATALOG, "S4/stats")


def test_S4_16_logins_make_a_streak(scene):
    award = scene.awards(CATALOG, "S4/stats")["early_bird"]
    assert f"{award['earned_at']:%Y-%m-%d}" == "2025-03-05"


def test_S4_17_a_feature_request_counts(scene):
    assert "idea_generator" in scene.awards(CATALOG, "S4/stats")


# --- what is told of it ---


def test_S4_42_a_notification_has_the_documented_columns_and_is_unread_at_first(scene):
    told = scene.row("select * from user_notification where user_id = 'S4/twice'")
    assert (told["user_id"], told["type"], told["title"]) == ("S4/twice", "achievement_unlocked", "Dreamer")
    assert told["message"]
    assert (told["read"], told["read_at"]) == (False, None)
    assert told["created_at"] >= MONDAY
    assert f"{told['id']}"


def test_S4_44_an_unlock_is_told_with_name_icon_and_a_link_to_its_page(scene):
    told = scene.row("select * from notification where user_id = 'S4/twice'")
    assert (told["title"], told["metadata"]["icon"]) == ("Dreamer", "💭")
    assert told["link"] == "/achievements/trackflow/dreamer"


def test_S4_61_a_service_is_given_all_that_a_notification_says_and_nothing_twice(scene, laurel):
    """Whoever sends it needs to ask for nothing else."""
    first, second = (laurel("queue", "claim", "--count", "1").json for _ in range(2))
    (told,), (other,) = first["deliveries"], second["deliveries"]
    assert told["notification_id"] != other["notification_id"]
    row = scene.row("select * from notification where id::text = %(id)s", id=told["notification_id"])
    said = ("user_id", "type", "title", "message", "link", "metadata")
    assert {name: told[name] for name in said} == {name: row[name] for name in said}
    for claimed in (first, second):
        ids = [each["notification_id"] for each in claimed["deliveries"]]
        assert laurel("queue", "ack", claimed["lease"], *ids).code == 0


def test_S4_62_every_unlock_makes_one_notification(scene):
    """And one delivery, of everybody in TrackFlow."""
    rows = scene.rows(
        "select award.id, count(told.id) as told, count(queued.notification_id) as queued "
        "from user_achievement as award "
        "left join notification as told on told.metadata ->> 'outcome_id' = award.id::text "
        "left join notification_delivery as queued on queued.notification_id = told.id "
        "where award.catalog = 'trackflow' group by award.id"
    )
    assert len(rows) > 200
    assert {(row["told"], row["queued"]) for row in rows} == {(1, 1)}


def test_S4_90_an_award_can_be_featured_by_who_holds_it(scene):
    award = "select id, featured, is_public from user_award where user_id = 'S4/twice'"
    before = scene.row(award)
    with scene.connection.transaction(force_rollback=True):
        choice = b"insert into award_visibility (outcome_id, featured) values (%s, true)"
        scene.connection.execute(choice, [before["id"]])
        chosen = scene.row(award)
    assert (before["featured"], chosen["featured"], chosen["is_public"]) == (False, True, True)


def test_S4_103_an_award_can_be_made_private_by_who_holds_it(scene):
    """It is held as before, points and all."""
    award = "select id, is_public from user_award where user_id = 'S4/twice'"
    profile = "select points, awards from user_profile where user_id = 'S4/twice' and catalog = 'trackflow'"
    before, points = scene.row(award), scene.row(profile)
    with scene.connection.transaction(force_rollback=True):
        choice = b"insert into award_visibility (outcome_id, is_public) values (%s, false)"
        scene.connection.execute(choice, [before["id"]])
        assert scene.row(award) == before | {"is_public": False}
        assert scene.row(profile) == points == {"points": 10, "awards": 1}
    assert before["is_public"]


# --- levels, sets, seasons ---


def test_S4_36_levels_from_points(scene):
    """Level 2 at 20 points, level 3 at 100."""
    assert level(scene, "S4/player") == (1, 10, 10)
    assert level(scene, "S4/musician") == (3, 100, None)
    rows = scene.rows("select level from user_level_reached where user_id = 'S4/musician' order by level")
    assert [row["level"] for row in rows] == [2, 3]


def level(scene: Scene, user: str) -> tuple[int, object, object]:
    told = scene.told("club", user).level
    assert told is not None
    return told.level, told.total, told.to_next


def test_S4_38_a_complete_category_gives_a_bonus(scene):
    assert scene.awards("club", "S4/musician").keys() == {"player", "singer", "musician"}
    assert scene.awards("club", "S4/musician")["musician"]["points"] == 80
    assert scene.awards("club", "S4/player").keys() == {"player"}
    assert scene.progress("club", "S4/player", "musician")["percent"] == 50


def test_S4_39_what_is_seasonal_is_earned_in_its_season_only(scene):
    """From the first of June on, and not on the first of September."""
    autumn = datetime(2025, 10, 1, tzinfo=UTC)
    assert "summer" in scene.awards("club", "S4/summer")
    assert "summer" not in scene.awards("club", "S4/spring")
    told = scene.progress("club", "S4/spring", "summer", autumn)
    assert (told["percent"], told["current"], told["target"], told["season"]["state"]) == (66, 2, 3, "over")
