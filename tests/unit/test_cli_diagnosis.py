"""What `laurel doctor` makes of what it sees. No server."""

from __future__ import annotations

import pytest

from broker.groups import Group
from broker.parking import Parking
from cli.diagnosis import lag_finding, members, parking_finding, queue_finding, short_of
from schemas.notes import SkipOrder, Suspect

PLACE, OTHER = ("songs", 3), ("logins", 3)
PARKED = Suspect(topic="songs", start=7, end=8, exits=3, error="ValueError")


def test_a_group_without_members_fails_and_says_what_to_start() -> None:
    finding = members("workers", Group("Empty", 0), "`laurel worker`")

    assert (finding.status, finding.remedy) == ("fail", "start `laurel worker`; see its log")


def test_a_rebalance_is_a_warning_as_it_passes() -> None:
    assert members("workers", Group("PreparingRebalance", 2), "").status == "warn"
    assert members("workers", Group("Stable", 2), "").said == "2 members, group Stable"


def test_a_parked_record_fails_and_the_remedy_can_be_pasted() -> None:
    finding = parking_finding(PLACE, Parking(PARKED), 7)

    assert finding is not None
    assert finding.status == "fail"
    assert "songs-3 offset 7" in finding.said
    assert "`laurel skip songs 3 7`" in finding.remedy


@pytest.mark.parametrize(
    "parking",
    [
        Parking(PARKED, SkipOrder(topic="songs", offset=7)),
        Parking(Suspect(topic="songs", start=5, end=9, exits=1, error="KeyError")),
    ],
)
def test_what_mends_itself_or_is_not_certain_yet_is_a_warning(parking: Parking) -> None:
    finding = parking_finding(PLACE, parking, 5)

    assert finding is not None
    assert finding.status == "warn"


def test_a_record_that_was_passed_is_no_news() -> None:
    assert parking_finding(PLACE, Parking(PARKED), 8) is None


def test_lag_that_moves_is_fine_and_lag_that_stands_names_the_place() -> None:
    before, ends = {PLACE: 5, OTHER: 0}, {PLACE: 9, OTHER: 3}
    behind = short_of(before, ends)

    assert behind == {PLACE: 4, OTHER: 3}
    assert lag_finding("lag", behind, before, {PLACE: 6, OTHER: 1}).status == "ok"
    stands = lag_finding("lag", behind, before, {PLACE: 5, OTHER: 1})
    assert stands.status == "warn"
    assert "songs-3 at 5" in stands.said
    assert lag_finding("lag", {}, before, before).said == "none"


def test_dead_deliveries_and_a_queue_that_nobody_empties_are_warnings() -> None:
    counts = {"pending": 3, "leased": 1, "dead": 0}

    assert queue_finding(counts, oldest_s=20.0).status == "ok"
    assert queue_finding(counts, oldest_s=4_000.0).status == "warn"
    assert queue_finding({**counts, "dead": 2}, oldest_s=0.0).status == "warn"
