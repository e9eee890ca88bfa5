"""A user's card: what is held, and the streak that tomorrow adds to."""

from __future__ import annotations

from decimal import Decimal

from cli.users import user_card
from tests.unit.standings import award, entry, revoked, run, standing

HELD = [award("b", points=25, tier="gold"), award("a", points=10)]


def test_points_and_awards_are_those_that_are_held():
    card = user_card("ada", [standing(entry("a"), awards=[*HELD, revoked("c", points=99)])])

    (told,) = card["catalogs"]
    assert told["points"] == 35
    assert [(each["achievement"], each["tier"]) for each in told["awards"]] == [("b", "gold"), ("a", None)]
    assert told["awards"][0]["earned_at"] == "2026-06-01T09:00:00Z"


def test_a_run_counts_while_it_can_still_be_kept():
    """Two days ago is too long for the one, and bridged by the grace of the other."""
    runs = {"logins": run(5, ago=2, longest=9), "practice": run(5, ago=2)}

    (told,) = user_card("ada", [standing(streaks=runs)])["catalogs"]

    assert told["streaks"] == {"logins": {"current": 0, "longest": 9}, "practice": {"current": 5, "longest": 5}}


def test_metrics_are_those_that_an_author_wrote_in_their_own_unit():
    known = {"released": 3, "earned": 1250, "logins": None, "of_before": 7, "released@week": {"2026-W24": 1}}

    card = user_card("ada", [standing(metrics=known, zone="Asia/Tokyo")])

    told = card["catalogs"][0]["metrics"]
    assert told == {"released": 3, "earned": Decimal("12.50"), "logins": None, "of_before": 7}
    assert card["zone"] == "Asia/Tokyo"
