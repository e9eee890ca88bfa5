"""What is compared with the log folded anew, and what cannot be: by versions made for it."""

from __future__ import annotations

import pytest

from replays.exemptions import APPROXIMATE, Exempt, Past, Replayed, exempt
from schemas.topics import Names
from tests.unit.owned_partition import records_of

NAMES = Names("t")

FIRST = """
catalog: songs
version: 1
events:
  released: {topic: songs.activity, data: {artist: string?, points: integer?}}
  heard: {topic: songs.plays}
metrics:
  releases: {count: released}
  doings: {count: [released, heard]}
xp: [{on: awards}]
achievements:
  - {key: one, name: One, when: releases >= 1, points: 10}
  - {key: two, name: Two, when: releases >= 2}
  - {key: busy, name: Busy, when: doings >= 3}
  - {key: rich, name: Rich, when: xp >= 10}
"""


def version(number: int, *changes: tuple[str, str]) -> str:
    text = FIRST.replace("version: 1", f"version: {number}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def exempt_in(past: Past) -> Exempt:
    return exempt(past.records[-1].program, past, NAMES)


ARTISTS = ("  doings:", "  artists: {distinct: released, by: data.artist}\n  doings:")
FAMOUS = ("  - {key: busy", "  - {key: famous, name: Famous, when: artists >= 2}\n  - {key: busy")
THREE = ("  - {key: busy", "  - {key: three, name: Three, when: releases >= 3, xp: 5}\n  - {key: busy")


def test_of_a_first_version_all_is_compared_and_what_several_topics_feed_without_its_date():
    told = exempt_in(Past(records_of(FIRST)))

    assert (told.metrics, told.achievements) == ({}, {})
    assert told.undated.keys() == {"busy", "rich"}, "rich by the XP that busy gives"
    assert told.since == {"one": 1, "two": 1, "busy": 1, "rich": 1}


def test_a_metric_that_began_later_is_left_out_with_all_that_hangs_on_it():
    told = exempt_in(Past(records_of(FIRST, version(2, ARTISTS, FAMOUS))))

    assert told.metrics["artists"] == "it counts only what came since version 2"
    assert told.achievements["famous"].startswith("its rule is of version 2")
    assert {"one", "two", "busy"}.isdisjoint(told.achievements)
    assert told.due == frozenset(), "the log alone does not say what famous is given for"


def test_what_a_replay_has_filled_and_given_is_compared():
    past = Past(records_of(FIRST, version(2, ARTISTS, FAMOUS)), [Replayed("songs", 2, {"artists"}, {"famous"})])

    told = exempt_in(past)

    assert "artists" not in told.metrics
    assert "famous" not in told.achievements
    assert told.since["famous"] == 2


def test_what_a_replay_gave_with_approximate_dates_is_compared_without_them_and_so_is_what_requires_it():
    more = (THREE[0], "  - {key: more, name: More, when: releases >= 1, requires: [three]}\n" + THREE[1])
    versions = records_of(FIRST, version(2, THREE), version(3, more))
    first, second = Replayed("songs", 2, (), {"three"}, "approximate"), Replayed("songs", 3, (), {"more"})

    told = exempt_in(Past(versions, [first, second]))

    assert {key for key, why in told.undated.items() if why == APPROXIMATE} == {"three", "more"}


def test_a_replay_of_an_earlier_meaning_fills_nothing_of_the_present_one():
    decades = (ARTISTS[0], ARTISTS[1].replace("data.artist}", "data.artist, normalize: true}"))
    versions = records_of(FIRST, version(2, ARTISTS, FAMOUS), version(3, decades, FAMOUS))
    past = Past(versions, [Replayed("songs", 2, {"artists"}, {"famous"})])

    told = exempt_in(past)

    assert told.metrics["artists"] == "it counts only what came since version 3"
    assert told.achievements["famous"].startswith("a metric that it waits for is of version 3")


def test_a_new_achievement_over_an_old_metric_is_left_out_until_it_is_replayed():
    versions = records_of(FIRST, version(2, THREE))

    assert exempt_in(Past(versions)).achievements["three"].startswith("its rule is of version 2")
    assert exempt_in(Past(versions)).due == {"three"}
    assert "three" not in exempt_in(Past(versions, [Replayed("songs", 2, (), {"three"})])).achievements


def test_xp_whose_rules_changed_is_left_out_since_what_was_given_stays():
    told = exempt_in(Past(records_of(FIRST, version(2, ("points: 10", "points: 20")))))

    assert told.metrics["xp"] == "its rules changed with version 2, and what was given before stays"
    assert told.achievements["rich"] == "it hangs on 'xp', which is left out"


def test_xp_of_a_new_achievement_is_compared_once_that_is_replayed():
    versions = records_of(FIRST, version(2, THREE))

    assert exempt_in(Past(versions)).metrics["xp"] == "'three' gives some, which is left out"
    assert exempt_in(Past(versions, [Replayed("songs", 2, (), {"three"})])).metrics == {}


def test_xp_that_an_award_gives_which_is_left_out_is_left_out_itself():
    told = exempt_in(Past(records_of(FIRST), unfinished={("songs", "one")}))

    assert told.achievements["one"] == "a replay of it has not ended, or was cancelled"
    assert told.metrics["xp"] == "'one' gives some, which is left out"


def test_what_lost_its_beginning_is_left_out_and_the_rest_is_not():
    told = exempt_in(Past(records_of(FIRST), truncated={"songs.plays": "the log begins late"}))

    assert told.metrics.keys() == {"doings", "xp"}
    assert told.metrics["doings"] == "the log begins late"
    assert told.achievements.keys() == {"busy", "rich"}


@pytest.mark.parametrize(
    ("change", "reference"),
    [
        (("when: releases >= 2", "when: releases >= 4"), "two"),
        (("when: releases >= 2", "when: releases >= 2, requires: [one]"), "two"),
        (("when: releases >= 2", "when: releases >= 2, is_active: false"), "two"),
    ],
    ids=["threshold", "requires", "inactive"],
)
def test_an_achievement_whose_rule_is_another_is_left_out(change, reference):
    assert exempt_in(Past(records_of(FIRST, version(2, change)))).achievements[reference]


@pytest.mark.parametrize(
    ("when", "is_dated"),
    [
        ("releases >= 3", True),
        ("{all: [releases >= 3, releases >= 4]}", True),
        ("{any: [releases >= 3, releases >= 4]}", False),
        ("xp >= 3", False),
    ],
)
def test_what_a_replay_gave_among_live_events_has_a_certain_date_where_one_way_leads_there(when, is_dated):
    three = (THREE[0], THREE[1].replace("when: releases >= 3, xp: 5", f"when: {when}"))
    past = Past(records_of(FIRST, version(2, three)), [Replayed("songs", 2, (), {"three"})])

    assert ("three" not in exempt_in(past).undated) == is_dated


def test_other_words_are_no_other_rule():
    told = exempt_in(Past(records_of(FIRST, version(2, ("name: Two", "name: Twice")))))

    assert told.achievements == {}
    assert told.since["two"] == 1


def test_what_may_be_lost_and_hangs_on_several_topics_is_not_compared_at_all():
    lost = ("doings: {count: [released, heard]}", "doings: {count: released, minus: heard}")

    told = exempt_in(Past(records_of(version(1, lost))))

    assert "several topics" in told.achievements["busy"]
    assert "doings" not in told.metrics, "both sums are the same in any order"


def test_a_catalog_that_joins_others_on_their_topic_has_counted_nothing_of_before():
    joined = version(1).replace("catalog: songs", "catalog: more")

    told = exempt_in(Past(records_of(FIRST, joined)))

    assert told.metrics["releases"] == "it counts only what came since version 1"
