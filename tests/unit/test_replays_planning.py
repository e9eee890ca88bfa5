"""What a plan says, and when it is too old to be started: by intents and counts made for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cli.replay.plan import as_told, plan_told
from processor.replay.changes import Unfinished, changes
from replays.counting import Counted, Gain
from replays.history import Begin
from replays.intent import Intent
from replays.planning import Plan, hash_of, orders_per_s, refuse_outdated
from replays.settings import ReplaySettings
from schemas.errors import Precondition
from schemas.program import Program
from tests.unit.owned_partition import records_of
from tests.unit.test_replays_exemptions import ARTISTS, FAMOUS, FIRST, THREE, version


def intent(*differences: tuple[str, str], partitions: int = 4) -> Intent:
    first, second = records_of(FIRST, version(2, *differences))
    running, new = (
        Program(catalogs=[each.program], ledger=second.ledger, derived="t.derived") for each in (first, second)
    )
    found = changes(running, new, Unfinished())
    return Intent(second.program, {"songs": 1}, running, new, found, partitions, [])


def plan_of(intent: Intent, counted: Counted, **others: object) -> Plan:
    found = intent.changes
    plan = Plan(
        plan=hash_of(intent),
        catalog="songs",
        version=2,
        sha256=intent.catalog.sha256,
        from_versions=intent.from_versions,
        partitions=intent.partitions,
        kind=found.kind,
        why=found.why,
        filling=found.filling,
        muted=found.muted,
        wanted=[],
        gains=counted.gains,
        users=counted.users,
        awards=3,
        notices={"none": 0, "digest": 2, "all": 3},
        points=45,
        points_now=300,
        retired=[],
        conflicts=[],
        truncated=[],
        records=1234,
        minutes=0.5,
    )
    return plan._replace(**others)


TWO_GAIN = Counted([Gain("songs", "famous", "Famous", 2, 3, 45)], users=2, records=1234, orders=4, seconds=1.0)


def test_a_plan_is_told_in_words_and_numbers():
    told = plan_told(plan_of(intent(ARTISTS, FAMOUS), TWO_GAIN))

    assert told == [
        "",
        "fold and merge: the past is folded aside up to a cut, and merged into what counts since",
        "  new is what songs/artists counts: its past is folded aside and merged",
        "  users may have earned songs/famous before: their past is looked at",
        "",
        "2 users gain songs/famous (Famous), 3 awards",
        "2 users gain something, 3 awards in all; notices: 0 with none, 2 with digest, 3 with all",
        "45 points more in 'songs', where users have 300 (+15.0%)",
        "about 0.5 minutes; 1,234 records of its event types were read for this plan",
        "",
        f"plan {hash_of(intent(ARTISTS, FAMOUS))}",
    ]


def test_what_is_lost_of_the_log_stands_in_the_plan_with_its_date_and_the_word_it_needs():
    begin = Begin("songs.activity", 3, 17, datetime(2026, 3, 4, 5, 6, tzinfo=UTC))

    told = plan_told(plan_of(intent(ARTISTS, FAMOUS), TWO_GAIN, truncated=[str(begin)]))

    assert told[-3] == (
        "songs.activity-3 has lost all before offset 17, of 2026-03-04 05:06 UTC: needs --accept-truncated"
    )


def test_points_of_a_catalog_in_which_nobody_has_any_are_no_share():
    told = plan_told(plan_of(intent(ARTISTS, FAMOUS), TWO_GAIN, points_now=0))

    assert "45 points more in 'songs', where users have 0" in told


def test_a_plan_of_now_may_be_started():
    refuse_outdated(as_told(plan_of(intent(ARTISTS, FAMOUS), TWO_GAIN)), intent(ARTISTS, FAMOUS))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (intent(ARTISTS, FAMOUS)._replace(from_versions={"songs": 2}), "what runs was songs 1 and is songs 2"),
        (intent(ARTISTS, FAMOUS, partitions=8), "the number of partitions was 4 and is 8"),
        (intent(THREE), "the catalog's hash was"),
    ],
    ids=["a newer version runs", "other partitions", "another catalog"],
)
def test_a_plan_of_before_is_refused_with_what_has_changed(now, said):
    old = as_told(plan_of(intent(ARTISTS, FAMOUS), TWO_GAIN))

    with pytest.raises(Precondition, match=said):
        refuse_outdated(old, now)


@pytest.mark.parametrize(("partitions", "together"), [(1, 100), (2, 200), (8, 200)])
def test_a_plan_reckons_with_the_partitions_that_are_sent_to_at_once(partitions: int, together: float) -> None:
    settings = ReplaySettings.model_construct(replay_rate=100)

    assert orders_per_s(settings, partitions) == together
