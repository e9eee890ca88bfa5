"""What is told of the past: history, statistics, records, levels, challenges."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from progress.achievements import progress_of_all
from progress.categories import categories_of
from progress.challenges import challenges_of
from progress.history import history, timeline
from progress.levels import level_of
from progress.milestones import milestones
from progress.rarity import Holders, measured_percent, rarities
from progress.records import records_of
from progress.rows import ChallengeCompleted, LevelReached
from progress.statistics import statistics
from progress.success import Earned, extremes
from progress.translations import category_title, fallbacks, filled, texts_of
from schemas.challenges import offered
from schemas.program import All, ChallengeSpec, ChallengesSpec, LevelsSpec, Texts, WindowSpec
from schemas.program import Any as AnyOf
from tests.unit.standings import EARNED_AT, NOW, at_least, award, catalog, entry, revoked, run, standing, tier


def at(month: int, day: int, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def test_history_tells_awards_revocations_levels_and_challenges_newest_first():
    known = {
        "awards": [award("second", earned_at=at(6, 3), points=25, xp=5), revoked("first", points=10, xp=2)],
        "levels": [LevelReached(level=2, value=100, earned_at=at(6, 4))],
        "challenges": [ChallengeCompleted(challenge="two", day=date(2026, 6, 5), xp=30, earned_at=at(6, 5))],
    }

    told = history(standing(**known))

    assert [(each.what, each.key, each.points, each.xp, each.is_held) for each in told] == [
        ("revocation", "first", -10, -2, False),
        ("challenge", "two", 0, 30, True),
        ("level", "2", 0, 0, True),
        ("award", "second", 25, 5, True),
        ("award", "first", 10, 2, False),
    ]
    assert told[1].scope == "2026-06-05"
    assert told[2].name == "Level 2"


def test_what_is_of_a_rule_that_is_no_more_says_so():
    awards = [award("old", is_legacy=True), award("new")]

    told = history(standing(awards=awards))
    shown = progress_of_all(standing(entry("old"), entry("new"), entry("none"), awards=awards))

    assert {each.key: each.is_legacy for each in told} == {"old": True, "new": False}
    assert {each.key: each.is_legacy for each in shown} == {"old": True, "new": False, "none": False}


def test_history_speaks_the_readers_language_and_fills_in_what_was_earned():
    module = entry(
        "module",
        message="You finished {title}!",
        translations={"fr": Texts(name="Module fini", message="{title}, c'est fait !")},
    )
    earned = award("module", name="Module", message="You finished {x}!", metadata={"title": "{x}"})

    (french,) = history(standing(module, awards=[earned]), language="fr")
    (german,) = history(standing(module, awards=[earned]), language="de")

    assert (french.name, french.message) == ("Module fini", "{x}, c'est fait !")
    assert german.message == "You finished {x}!"


def test_an_award_whose_entry_is_gone_is_told_as_it_was():
    (told,) = history(standing(awards=[award("dropped", name="Old Glory")]))

    assert told.name == "Old Glory"


def test_the_timeline_adds_up_month_by_month_where_the_user_lives():
    """The one at 23:00 UTC on the last of May is in June in Paris; what is revoked in June counts less there."""
    awards = [
        award("c", earned_at=at(6, 2), points=50, xp=4),
        award("b", earned_at=at(5, 31, 23), points=25, xp=3),
        revoked("a", earned_at=at(4, 7), points=10, xp=1),
    ]

    april, june = timeline(standing(awards=awards))

    assert (april.month, april.awards, april.points, april.total_points) == ("2026-04", 1, 10, 10)
    assert (june.month, june.awards, june.points, june.xp) == ("2026-06", 1, 65, 6)
    assert (june.total_awards, june.total_points, june.total_xp) == (2, 75, 7)


CATEGORIES = [("start", "Getting Started"), ("more", "More")]
ENTRIES = [
    entry("a", at_least("released", 1), category="start"),
    entry("b", at_least("released", 2), category="start"),
    tier("solver", "bronze", 0, {"n": ("released", 1)}, category="more", order=3),
    tier("solver", "silver", 1, {"n": ("released", 9)}, category="more", order=3),
    entry("c", at_least("released", 3), category="more"),
    entry("ghost", at_least("released", 4), category="start", secret=True),
    entry("old", at_least("released", 4), category="start", is_active=False),
    entry("summer", at_least("released", 4), category="start", window=WindowSpec(every="week")),
    entry("whole", all_of="start", requires=["a", "b"], category="start"),
]
HELD = [
    award("solver", tier="silver", points=50, xp=40, rarity="rare", earned_at=at(6, 2)),
    award("b", points=20, xp=20, earned_at=at(6, 1)),
    award("solver", tier="bronze", points=10, xp=10, earned_at=at(5, 1)),
    award("a", points=10, xp=10, earned_at=at(4, 1)),
    revoked("c", points=99, xp=99),
]


def test_a_category_is_complete_with_everything_that_counts_in_it():
    """Neither the secret one, nor the inactive, nor that of the week, nor the set; of tiers the lowest."""
    each = standing(program=catalog(*ENTRIES, categories=CATEGORIES), awards=HELD)

    start, more = categories_of(each)

    assert (start.category, start.title, start.earned, start.total) == ("start", "Getting Started", 2, 2)
    assert (start.completed, start.completed_at, start.percent) == (True, at(6, 1), 100)
    assert (more.earned, more.total, more.completed, more.completed_at, more.percent) == (1, 2, False, None, 50)


def test_statistics_add_up_what_is_held():
    each = standing(
        program=catalog(*ENTRIES, categories=CATEGORIES),
        awards=HELD,
        streaks={"logins": run(5, longest=9), "practice": run(7)},
    )

    told = statistics(each)

    assert (told.total_earned, told.awards, told.revoked) == (3, 4, 1)
    assert (told.points, told.total_badge_xp) == (90, 80)
    assert told.categories_completed == ["start"]
    assert (told.current_streak, told.highest_tier_earned) == (5, "silver")
    assert told.by_rarity == {"rare": 1, "common": 3}
    assert told.by_tier == {"silver": 1, "bronze": 1}
    assert told.completion_percent == 75
    assert (told.first_earned_at, told.last_earned_at, told.earned_in_30_days) == (at(4, 1), at(6, 2), 2)


def test_the_highest_tier_is_so_by_the_catalogs_ladder_not_by_its_name():
    awards = [award("x", tier="platinum"), award("y", tier="silver"), award("z", tier="of_before")]

    assert statistics(standing(awards=awards)).highest_tier_earned == "platinum"
    assert statistics(standing(awards=awards[1:])).highest_tier_earned == "silver"


def test_somebody_who_has_nothing_has_nothing():
    told = statistics(standing(*ENTRIES))

    assert (told.total_earned, told.points, told.current_streak, told.completion_percent) == (0, 0, 0, 0)
    assert (told.highest_tier_earned, told.first_earned_at, told.milestones) == (None, None, [])


def test_milestones_are_round_numbers_and_firsts_oldest_first():
    """5 awards of 30 points: the fifth is on the 5th, 100 points on the 4th."""
    awards = [award(f"e{day}", earned_at=at(3, day), points=30) for day in range(1, 6)]
    epic = award("epic", earned_at=at(3, 9), rarity="epic", tier="gold")
    levels = [LevelReached(level=level, value=0, earned_at=at(3, 20 + level)) for level in range(2, 7)]

    told = milestones(standing(awards=[epic, *reversed(awards)], levels=levels))

    assert [(each.kind, each.reached, each.at) for each in told] == [
        ("awards", "1", at(3, 1)),
        ("points", "100", at(3, 4)),
        ("awards", "5", at(3, 5)),
        ("rarity", "epic", at(3, 9)),
        ("tier", "gold", at(3, 9)),
        ("level", "5", at(3, 25)),
    ]


@pytest.mark.parametrize(
    ("holders", "users", "percent"), [(0, 20, 0.0), (1, 30, 3.33), (20, 20, 100.0), (5, 19, None)]
)
def test_rarity_is_a_share_of_the_users_and_says_nothing_under_20(holders, users, percent):
    assert measured_percent(holders, users) == percent


def test_rarity_stands_beside_the_declared_one_and_tells_of_no_secret():
    entries = [
        entry("a", rarity="rare"),
        *(tier("t", name, rank, {}) for rank, name in enumerate(["bronze", "silver"])),
        entry("ghost", secret=True),
        entry("old", is_active=False),
    ]
    named = [("a", None, 5), ("ghost", None, 1), ("t", "bronze", 20), ("t", "silver", 0), ("old", None, 3)]
    held = [Holders(achievement=key, tier=tier, holders=count, users=40) for key, tier, count in named]

    told = rarities(catalog(*entries), held)

    assert [(each.achievement, each.tier, each.declared, each.percent) for each in told] == [
        ("a", None, "rare", 12.5),
        ("t", "bronze", "common", 50.0),
        ("t", "silver", "common", 0.0),
    ]


def test_the_most_and_the_least_earned_are_a_few_of_what_may_be_told():
    """Equals in the order of their keys."""
    keys = ["g", "f", "e", "d", "c", "b", "a"]
    program = catalog(*(entry(key) for key in keys), entry("ghost", secret=True), entry("old", is_active=False))
    counted = {**dict.fromkeys(keys, 2), "c": 9, "d": 0, "ghost": 50, "old": 60}

    most, least = extremes(program, [Earned(achievement=key, holders=n) for key, n in counted.items()])

    assert [each.achievement for each in most] == ["c", "a", "b", "e", "f"]
    assert [each.achievement for each in least] == ["d", "a", "b", "e", "f"]


def test_badge_records_have_the_fields_of_the_source_document():
    both = {"solved": ("released", 10), "met": ("artists", 4)}
    badge = [
        tier("badge", "bronze", 0, {"solved": ("released", 1)}, order=1),
        tier("badge", "silver", 1, both, order=1),
    ]
    bronze = award("badge", tier="bronze", xp=50, context={"last_track": "jazz"})
    known = {"metrics": {"released": 10, "artists": 2}, "updated_at": at(6, 11)}

    told = msgspec.to_builtins(records_of(standing(*badge, awards=[bronze], **known)), builtin_types=[datetime])

    assert told["badges"] == {
        "badge": {
            "earned": True,
            "earned_date": EARNED_AT,
            "xp_earned": 50,
            "tier": "bronze",
            "conditions_met": ["solved"],
            "progress_when_earned": 100,
            "context": {"last_track": "jazz"},
        }
    }
    assert told["badge_progress"] == {
        "badge": {
            "progress": 75,
            "conditions_status": {"solved": True, "met": False},
            "last_updated": at(6, 11),
            "estimated_completion": None,
        }
    }
    assert told["badge_stats"] == {
        "total_earned": 1,
        "categories_completed": [],
        "current_streak": 0,
        "highest_tier_earned": "bronze",
        "total_badge_xp": 50,
    }


def test_conditions_met_are_those_that_earned_it_though_a_metric_fell_since():
    """Of `any` only what holds now is known."""
    when = All(of=[at_least("released", 5), AnyOf(of=[at_least("artists", 3), at_least("likes", 9)])])

    told = records_of(standing(entry("a", when), awards=[award("a")], metrics={"released": 1, "artists": 3}))

    assert told.badges["a"].conditions_met == ["released", "artists"]
    assert told.badge_progress == {}


LEVELS = LevelsSpec(of="xp", starts=[0, 100, 300, 600], slot=0, name="Rank {level}")


@pytest.mark.parametrize(
    ("xp", "level", "into", "to_next", "percent"),
    [
        (None, 1, 0, 100, 0),
        (99, 1, 99, 1, 99),
        (100, 2, 0, 200, 0),
        (350, 3, 50, 250, 16),
        (700, 4, 100, None, 100),
    ],
)
def test_a_level_begins_where_its_curve_says(xp, level, into, to_next, percent):
    told = level_of(standing(program=catalog(levels=LEVELS), metrics={"xp": xp}))

    assert told is not None
    assert (told.level, told.into_level, told.to_next, told.percent) == (level, into, to_next, percent)
    assert told.name == f"Rank {level}"


def test_a_catalog_without_levels_has_none():
    assert level_of(standing()) is None


def challenge(key: str, target: int) -> ChallengeSpec:
    return ChallengeSpec(
        key=key, number=0, name=key.title(), type="practice", when=at_least("released@day", target), xp=30
    )


CHALLENGES = ChallengesSpec(
    per_day=2, slot=0, offered=[challenge(key, 4) for key in ("one", "two", "three", "four")]
)


def test_the_challenges_of_today_are_those_the_fold_would_accept_with_how_far_they_are():
    keys = offered("music", "ada", "2026-06-12", ["one", "two", "three", "four"], 2)
    claimed = ChallengeCompleted(challenge=keys[0], day=date(2026, 6, 12), xp=30, earned_at=at(6, 12, 9))
    known = {"metrics": {"released@day": {"2026-06-11": 4, "2026-06-12": 3}}, "challenges": [claimed]}

    told = challenges_of(standing(program=catalog(challenges=CHALLENGES), **known))

    assert [each.key for each in told] == keys
    assert [(each.value, each.target, each.percent, each.completed) for each in told] == [(3, 4, 75, False)] * 2
    assert [(each.claimed, each.claimed_at) for each in told] == [(True, at(6, 12, 9)), (False, None)]


def test_a_challenge_expires_at_the_users_midnight():
    program = catalog(challenges=CHALLENGES)

    (paris, *_) = challenges_of(standing(program=program))
    (tokyo, *_) = challenges_of(standing(program=program, zone="Asia/Tokyo"))

    assert paris.expires_at == at(6, 12, 22)
    assert tokyo.expires_at == at(6, 12, 15)


def test_yesterdays_claim_is_not_todays():
    keys = offered("music", "ada", "2026-06-12", ["one", "two", "three", "four"], 2)
    done = [ChallengeCompleted(challenge=key, day=date(2026, 6, 11), xp=1, earned_at=at(6, 11)) for key in keys]

    told = challenges_of(standing(program=catalog(challenges=CHALLENGES), challenges=done))

    assert [each.claimed for each in told] == [False, False]


def test_a_catalog_without_challenges_offers_none():
    assert challenges_of(standing()) == []


@pytest.mark.parametrize(
    ("language", "tags"),
    [("fr-CA", ["fr-CA", "fr"]), ("fr_ca", ["fr-CA", "fr"]), ("fr-BE", ["fr"]), ("de", []), (None, []), ("", [])],
)
def test_a_language_falls_back_to_the_wider_one(language, tags):
    assert list(fallbacks(language, {"fr": 1, "fr-CA": 1, "es": 1})) == tags


def test_each_text_falls_back_for_itself():
    translations = {"fr-CA": Texts(name="Char"), "fr": Texts(name="Voiture", description="Conduire")}
    car = entry("car", name="Car", description="Drive", message="Well driven", translations=translations)

    told = texts_of(car, "fr-CA")

    assert (told.name, told.description, told.message) == ("Char", "Conduire", "Well driven")
    assert texts_of(car, "en").name == "Car"


def test_a_category_without_a_title_is_called_by_its_key():
    program = catalog(categories=CATEGORIES, category_titles={"start": {"fr": "Débuts"}})

    assert category_title(program, "start", "fr-CA") == "Débuts"
    assert category_title(program, "start", "de") == "Getting Started"
    assert category_title(program, "side_quests", None) == "Side quests"


def test_what_nothing_fills_stays_as_it_is():
    assert filled("{a} and {b}", {"a": "{b}"}) == "{b} and {b}"


def test_time_is_an_argument():
    """A day later the same rows tell another streak."""
    known = {"streaks": {"logins": run(5)}}

    days = [statistics(standing(now=NOW + timedelta(later), **known)).current_streak for later in range(3)]

    assert days == [5, 5, 0]
