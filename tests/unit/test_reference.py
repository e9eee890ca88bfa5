"""The reference fold, on logs small enough to be worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bench.reference import Result, bounds, fold
from tests.unit.cloud_events import event

CATALOG = """
catalog: music
version: 1
timezone: UTC
points_by_rarity: {common: 10, rare: 50}
events:
  released:
    topic: music.activity
    data: {song_id: string, artist: string?, year: integer?, status: string?, price: decimal(2)?}
  unreleased: {topic: music.activity, data: {song_id: string, artist: string?, status: string?}}
  deleted: {topic: music.activity, data: {song_id: string, released: boolean}}
  login: {topic: music.activity}
  rated: {topic: music.activity, data: {stars: integer?}}
  invited:
    topic: music.activity
    data: {song_id: string, friend: string?}
    derive: [{type: invited_by, subject: data.friend, unless_self: true, data: {song: data.song_id, by: subject}}]
metrics:
  songs: {count: released, minus: [unreleased, {deleted: {where: {data.released: true}}}]}
  finished: {count: released, where: {data.status: wip}, minus: [unreleased, deleted]}
  cheap: {count: released, where: {data.price: {lt: 1.5}}}
  income: {sum: released, of: data.price}
  artists: {distinct: released, by: data.artist, normalize: true, minus: unreleased}
  decades: {distinct: released, by: data.year, bucket: 10}
  pairs: {distinct: invited, by: [data.song_id, data.friend]}
  invitations: {distinct: invited_by, by: data.song}
  best: {max: rated, of: data.stars}
  stars: {latest: rated, of: data.stars}
  days: {streak: login, every: day}
  anything: {count: [released, login]}
achievements:
  - {key: first, name: First, when: songs >= 1}
  - {key: rich, name: Rich, rarity: rare, when: income >= 9.5}
  - {key: both, name: Both, when: {all: [songs >= 2, days >= 2]}}
  - {key: either, name: Either, points: 7, when: {any: [songs >= 2, days >= 2]}}
  - {key: after, name: After, when: days >= 1, requires: [chained]}
  - {key: chained, name: Chained, when: days >= 1, requires: [first]}
  - {key: guest, name: Guest, when: invitations >= 1}
  - {key: asleep, name: Asleep, is_active: false, when: songs >= 1}
ladders:
  - {metric: days, rarity: rare, steps: [{key: three, name: 3, at: 3}, {key: five, name: 5, at: 5, points: 1}]}
"""


def folded(*events: dict[str, Any]) -> Result:
    return fold(events, [CATALOG])


def metric(key: str, *events: dict[str, Any], user: str = "ann") -> int | None:
    return folded(*events).metrics[user]["music"][key]


def earned_at(achievement: str, *events: dict[str, Any], user: str = "ann") -> datetime | None:
    return folded(*events).awards.get((user, "music", achievement, ""))


def day(month: int, number: int, hour: int = 12) -> datetime:
    return datetime(2025, month, number, hour, tzinfo=UTC)


def releases(count: int, **data: Any) -> list[dict[str, Any]]:
    return [event("released", f"2025-03-{n + 1:02}", song_id=f"s{n}", **data) for n in range(count)]


def logins(*days: str, **rest: Any) -> list[dict[str, Any]]:
    return [event("login", each, **rest) for each in days]


# --- which events count ---


def test_every_event_is_applied_or_a_duplicate_or_skipped():
    release = event("released", "2025-03-01", song_id="s1")
    result = folded(release, release, event("unheard_of", "2025-03-01"))
    assert (result.applied, result.duplicates, result.skipped) == (1, 1, 1)


def test_an_id_repeated_within_the_last_eight_of_its_type_changes_nothing():
    first, *others = releases(9)
    assert metric("songs", first, *others[:7], first) == 8
    assert metric("songs", first, *others[:8], first) == 10


def test_a_duplicate_does_not_keep_its_id_in_the_window():
    first, *others = releases(9)
    assert metric("songs", first, *others[:4], first, *others[4:8], first) == 10


def test_the_window_is_of_one_user_and_one_type():
    same_id = {"event_id": "1"}
    events = [event("released", "2025-03-01", song_id="s", **same_id), event("login", "2025-03-01", **same_id)]
    assert metric("anything", *events) == 2
    assert folded(*events, event("login", "2025-03-01", user="bob", **same_id)).duplicates == 0


def test_the_same_id_from_another_source_is_another_event():
    first = event("login", "2025-03-01", event_id="1")
    assert metric("anything", first, first | {"source": "/elsewhere"}) == 2


def test_a_type_belongs_to_its_topic():
    """Two products may use one name; an event whose topic cannot be told is refused, not guessed."""
    other = {"catalog": "other", "version": 1, "events": {"login": {"topic": "other.activity"}}}
    other |= {"metrics": {"visits": {"count": "login"}}}
    login = event("login", "2025-03-01", topic="other.activity")
    metrics = fold([login], [CATALOG, other]).metrics["ann"]
    assert (metrics["other"]["visits"], metrics["music"]["anything"]) == (1, 0)
    assert fold([event("login", "2025-03-01", topic="nowhere")], [CATALOG, other]).skipped == 1
    with pytest.raises(ValueError, match=r"music\.activity or other\.activity"):
        fold([event("login", "2025-03-01")], [CATALOG, other])


# --- what a metric is ---


def test_a_count_is_what_was_done_less_what_was_undone_and_never_negative():
    undo = event("unreleased", "2025-03-09", song_id="s0")
    deletions = [event("deleted", "2025-03-09", song_id="s1", released=released) for released in (True, False)]
    assert metric("songs", *releases(3), undo, *deletions) == 1
    assert metric("songs", undo) == 0
    assert metric("songs", undo, *releases(3)) == 2


def test_the_filter_of_a_metric_holds_for_its_undo_types_as_far_as_they_declare_the_field():
    """unreleased declares `status`, deleted does not: all of its events take one off."""
    done = [*releases(4, status="wip"), event("released", "2025-03-08", song_id="p", status="planned")]
    assert metric("finished", *done) == 4
    assert metric("finished", *done, event("unreleased", "2025-03-09", song_id="p", status="planned")) == 4
    assert metric("finished", *done, event("deleted", "2025-03-09", song_id="p", released=True)) == 3


def test_decimals_are_kept_as_integers_of_their_last_place():
    priced = [event("released", "2025-03-01", song_id=str(price), price=price) for price in (1.49, 1.5, 8)]
    assert metric("income", *priced, event("released", "2025-03-02", song_id="free")) == 1099
    assert metric("cheap", *priced) == 1
    assert earned_at("rich", *priced[1:]) == day(3, 1)
    assert earned_at("rich", *priced[:2]) is None


def test_an_artist_counts_once_however_it_is_written_and_not_at_all_when_blank():
    names = [" Zoë  ", "zoe\u0308", "ZOË", "", "  ", None, "Straße", "STRASSE"]
    songs = [event("released", "2025-03-01", song_id=str(n), artist=name) for n, name in enumerate(names)]
    assert metric("artists", *songs, event("released", "2025-03-01", song_id="no artist")) == 2


def test_a_distinct_value_is_gone_when_all_its_occurrences_are_undone():
    twice = [event("released", "2025-03-01", song_id=song, artist="A") for song in "xy"]
    undone = [event("unreleased", "2025-03-02", song_id=song, artist="A") for song in "xy"]
    assert metric("artists", *twice, undone[0]) == 1
    assert metric("artists", *twice, *undone) == 0
    assert metric("artists", *undone, *twice) == 0


def test_a_decade_is_the_year_without_its_last_digit():
    years = (1969, 1970, 1979, 1980, None)
    assert metric("decades", *[event("released", "2025-03-01", song_id=str(y), year=y) for y in years]) == 3


def test_a_pair_counts_only_with_both_its_halves():
    pairs = [("s1", "bob"), ("s1", "bob"), ("s2", "bob"), ("s1", None), ("s1", " ")]
    invitations = [
        event("invited", "2025-03-01", event_id=str(n), song_id=song, friend=friend)
        for n, (song, friend) in enumerate(pairs)
    ]
    assert metric("pairs", *invitations) == 2


def test_a_gauge_is_nothing_until_it_was_first_told():
    assert metric("best", event("rated", "2025-03-01")) is None
    assert metric("stars", event("rated", "2025-03-01", stars=None)) is None


def test_the_latest_value_is_the_one_of_the_latest_event_not_of_the_last_arrival():
    """Of two events of one moment, the greater id decides."""
    late = event("rated", "2025-03-01", event_id="z", stars=9)
    tie = [event("rated", "2025-03-02", event_id=event_id, stars=stars) for event_id, stars in (("b", 5), ("a", 4))]
    assert metric("stars", *tie, late) == 5
    assert metric("best", *tie, late) == 9


def test_a_streak_is_the_longest_run_of_days_in_whatever_order_they_come():
    assert metric("days", *logins("2025-03-05", "2025-03-01", "2025-03-03", "2025-03-02", "2025-03-06")) == 3


def test_a_day_is_the_one_on_the_calendar_of_the_event():
    late_evening = logins("2025-03-01T23:30:00Z", "2025-03-02T23:30:00Z")
    in_tokyo = [each | {"timezone": "Asia/Tokyo"} for each in late_evening]
    assert earned_at("both", *releases(2), *late_evening) == day(3, 2)
    assert earned_at("both", *releases(2), *in_tokyo) == datetime(2025, 3, 2, 15, tzinfo=UTC)


def test_what_a_filter_says_is_read_as_the_type_of_its_field():
    """`no`, `on` and 010 are what they say, not what YAML 1.1 makes of them."""
    answer = {"topic": "t", "data": {"text": "string", "code": "integer?", "is_sure": "boolean?"}}
    wheres = {
        "noes": "{data.text: no}",
        "either": "{data.text: [on, no]}",
        "tens": "{data.code: 010}",
        "sure": "{data.is_sure: true}",
        "both": "{data.text: {in: ['no']}, data.code: {gt: 9, lte: 10}}",
    }
    metrics = "".join(f"\n  {key}: {{count: answer, where: {where}}}" for key, where in wheres.items())
    catalog = f"catalog: survey\nversion: 1\nevents: {{answer: {answer}}}\nmetrics:{metrics}"
    answers = [{"text": "no", "code": 10}, {"text": "on", "is_sure": True}, {"text": "False", "code": 8}]
    events = [event("answer", "2025-03-01", event_id=str(n), **data) for n, data in enumerate(answers)]
    values = fold(events, [catalog]).metrics["ann"]["survey"]
    assert values == {"noes": 1, "either": 2, "tens": 1, "sure": 1, "both": 1}


# --- when an award is earned ---


def test_an_award_is_dated_by_the_latest_event_of_its_metric_so_far():
    out_of_order = [event("released", each, song_id=each) for each in ("2025-03-09", "2025-03-02")]
    assert earned_at("first", *out_of_order) == day(3, 9)
    assert earned_at("either", *out_of_order) == day(3, 9)


def test_all_holds_from_its_latest_part_and_any_from_its_earliest_true_one():
    events = [*logins("2025-03-05", "2025-03-06"), *releases(2)]
    assert earned_at("both", *events) == day(3, 6, 0)
    assert earned_at("either", *events) == day(3, 6, 0)
    assert earned_at("either", *events[1:]) == day(3, 2)


def test_a_condition_that_failed_in_between_counts_from_its_last_return():
    undone = [*releases(2), event("unreleased", "2025-03-05", song_id="s0")]
    again = event("released", "2025-03-07", song_id="s0")
    assert earned_at("both", *undone, *logins("2025-03-01", "2025-03-02")) is None
    assert earned_at("both", *undone, again, *logins("2025-03-01", "2025-03-02")) == day(3, 7)


def test_an_award_is_never_taken_back_nor_dated_again():
    undone = [*releases(1), event("unreleased", "2025-03-05", song_id="s0")]
    assert earned_at("first", *undone) == day(3, 1)
    assert earned_at("first", *undone, event("released", "2025-03-07", song_id="s0")) == day(3, 1)


def test_what_is_required_comes_first_and_dates_what_waits_for_it():
    """A chain that one event completes is awarded at once, in whatever order it is listed."""
    events = [*logins("2025-03-05"), event("released", "2025-03-02", song_id="s")]
    assert earned_at("after", *events[:1]) is None
    assert earned_at("chained", *events) == day(3, 5, 0)
    assert earned_at("after", *events) == day(3, 5, 0)


def test_a_streak_is_earned_at_the_start_of_the_day_that_completes_it():
    """A late day that joins two runs completes them on the days where the whole run reached the threshold."""
    joined = logins("2025-03-01", "2025-03-02", "2025-03-04", "2025-03-05", "2025-03-03")
    assert earned_at("three", *joined) == day(3, 3, 0)
    assert earned_at("five", *joined) == day(3, 5, 0)


def test_a_day_starts_with_what_follows_a_midnight_that_was_skipped():
    """Clocks in Cairo went from midnight to one o'clock on 25 April 2025."""
    events = logins("2025-04-23", "2025-04-24", "2025-04-25", timezone="Africa/Cairo")
    assert earned_at("three", *events) == datetime(2025, 4, 24, 22, tzinfo=UTC)


def test_points_are_the_entry_s_own_or_those_of_its_rarity():
    result = folded(*releases(2), *logins("2025-03-01", "2025-03-02", "2025-03-03"))
    assert {key for _, _, key, _ in result.awards} == {"first", "both", "either", "after", "chained", "three"}
    assert result.points == {"ann": {"music": 10 + 10 + 7 + 10 + 10 + 50}}


def test_times_are_utc_to_the_microsecond():
    release = event("released", "2025-03-01T14:00:00.123456+02:00", song_id="s")
    assert earned_at("first", release) == datetime(2025, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(("digits", "micro"), [("1234564999", 123456), ("1234565", 123457), ("5", 500000)])
def test_a_time_finer_than_a_microsecond_is_rounded(digits: str, micro: int):
    """Publishers in Go and Java send nine digits."""
    release = event("released", f"2025-03-01t12:00:00.{digits}z", song_id="s")
    assert earned_at("first", release) == day(3, 1).replace(microsecond=micro)


# --- what an event means for another user ---


def test_another_user_gets_the_derived_event_at_the_parent_s_time():
    result = folded(event("invited", "2025-03-01", song_id="s", friend="bob"))
    assert result.metrics["bob"]["music"]["invitations"] == 1
    assert result.awards["bob", "music", "guest", ""] == day(3, 1)
    assert result.undated == {("bob", "music", "guest", "")}
    assert (result.applied, result.derived) == (1, 1)


@pytest.mark.parametrize("friend", ["ann", " ", "", None])
def test_nobody_is_invited_by_themselves_or_under_a_blank_name(friend: str | None):
    result = folded(event("invited", "2025-03-01", song_id="s", friend=friend))
    assert result.derived == 0
    assert set(result.metrics) == {"ann"}


# --- bounds ---


def test_at_its_bound_a_distinct_takes_no_new_value(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "DISTINCT_VALUES_MAX", 2)
    artists = [event("released", f"2025-03-0{n + 1}", song_id=str(n), artist=name) for n, name in enumerate("ABCA")]
    assert metric("artists", *artists) == 2


def test_at_its_bound_a_streak_takes_no_new_run_but_still_joins_those_it_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "STREAK_RUNS_MAX", 2)
    two_runs = logins("2025-03-01", "2025-03-03")
    assert metric("days", *two_runs, *logins("2025-03-06", "2025-03-07", "2025-03-08", "2025-03-09")) == 1
    assert metric("days", *two_runs, *logins("2025-03-02")) == 3
