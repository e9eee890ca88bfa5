"""Daily challenges and claims, worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from bench.reference import COMMANDS, Answer, Result, fold
from bench.reference.catalog import Catalog
from bench.reference.challenges import offered
from tests.unit.cloud_events import event
from tests.unit.driving import evaluated

CATALOG = """
catalog: practice
version: 1
events: {session_completed: {topic: t, data: {kind: string?}}}
metrics: {sessions: {count: session_completed}}
achievements: [{key: risen, name: R, when: level >= 2}]
levels: {of: xp, curve: [0, 30]}
challenges:
  per_day: %d
  list:
    - {key: two, type: practice, description: Finish two, when: sessions >= 2, every: day, xp: 30}
    - {key: three, type: practice, description: Finish three, when: sessions >= 3, every: day, xp: 40}
"""
BOTH = CATALOG % 2


@pytest.fixture(autouse=True, params=["reference", "evaluator"])
def who(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are held against these answers."""
    if request.param == "evaluator":
        monkeypatch.setattr(f"{__name__}.fold", evaluated)


def session(at: str, **rest: Any) -> dict[str, Any]:
    return event("session_completed", at, **rest)


def claim(at: str, challenge: str = "two", **rest: Any) -> dict[str, Any]:
    data = {"catalog": "practice", "challenge": challenge} | rest
    return event("claim_challenge", at, event_id=data.pop("event_id", "c1"), topic=COMMANDS, **data)


def folded(*events: dict[str, Any]) -> Result:
    return fold(events, [BOTH])


def answer(*events: dict[str, Any]) -> Answer:
    return folded(*events).answers["c1"]


MORNING = [session("2025-03-01T08:00:00Z"), session("2025-03-01T09:00:00Z")]


def test_a_claim_is_accepted_once_the_day_s_events_are_enough():
    result = folded(*MORNING, claim("2025-03-01T10:00:00Z"))
    assert result.answers == {"c1": Answer("accepted", None, None)}
    at = datetime(2025, 3, 1, 10, tzinfo=UTC)
    assert result.challenges == {("ann", "practice", "two", "2025-03-01"): at}
    assert result.metrics["ann"]["practice"]["xp"] == 30
    assert result.levels_reached == {("ann", "practice", 2): at}
    assert result.awards == {("ann", "practice", "risen", ""): at}


def test_a_claim_too_early_is_told_what_is_missing():
    assert answer(MORNING[0], claim("2025-03-01T10:00:00Z")) == Answer(
        "refused", "incomplete", ("sessions@day", 1, 2)
    )
    assert answer(claim("2025-03-01T10:00:00Z")) == Answer("refused", "incomplete", ("sessions@day", 0, 2))


def test_a_second_claim_is_repeated_and_gives_nothing():
    result = folded(*MORNING, claim("2025-03-01T10:00:00Z"), claim("2025-03-01T11:00:00Z", event_id="c2"))
    assert result.answers["c2"] == Answer("repeated", None, None)
    assert result.metrics["ann"]["practice"]["xp"] == 30


def test_the_same_command_again_is_a_duplicate():
    result = folded(*MORNING, *[claim("2025-03-01T10:00:00Z")] * 2)
    assert (result.applied, result.duplicates) == (3, 1)


@pytest.mark.parametrize(
    ("day", "reason"), [("2025-02-28", "expired"), ("2025-03-02", "not_open"), ("soon", "unknown")]
)
def test_only_today_can_be_claimed(day: str, reason: str):
    assert answer(*MORNING, claim("2025-03-01T10:00:00Z", day=day)).reason == reason


@pytest.mark.parametrize("data", [{"challenge": "four"}, {"catalog": "elsewhere"}])
def test_what_nobody_declared_is_unknown(data: dict[str, str]):
    assert answer(*MORNING, claim("2025-03-01T10:00:00Z", **data)) == Answer("refused", "unknown", None)


def test_today_is_the_day_of_the_user_s_last_zone_when_the_claim_was_appended():
    """23:30 in UTC on 1 March is the 2nd in Tokyo, where the user was seen last; those sessions were on the 1st."""
    in_tokyo = session("2025-03-01T12:00:00Z", timezone="Asia/Tokyo")
    late = claim("2025-03-01T23:30:00Z")
    assert answer(*MORNING, in_tokyo, late).reason == "incomplete"
    assert answer(*MORNING, in_tokyo, claim("2025-03-01T23:30:00Z", day="2025-03-01")).reason == "expired"
    assert answer(*MORNING, in_tokyo, late | {"appended": "2025-03-01T14:59:59Z"}).status == "accepted"
    assert answer(*MORNING, late).status == "accepted"


def test_a_day_s_offer_is_the_same_whenever_it_is_asked_and_not_the_same_for_all():
    catalog = Catalog(CATALOG % 1)
    users = [f"user-{number}" for number in range(50)]
    offers = [offered(catalog, user, date(2025, 3, 1)) for user in users]
    assert offers == [offered(catalog, user, date(2025, 3, 1)) for user in users]
    assert {len(offer) for offer in offers} == {1}
    assert {offer[0] for offer in offers} == {"two", "three"}


def test_what_is_not_offered_cannot_be_claimed():
    (mine,) = offered(Catalog(CATALOG % 1), "ann", date(2025, 3, 1))
    other = {"two": "three", "three": "two"}[mine]
    events = [*MORNING, session("2025-03-01T09:30:00Z")]
    answers = {
        key: fold([*events, claim("2025-03-01T10:00:00Z", key)], [CATALOG % 1]).answers["c1"]
        for key in (mine, other)
    }
    assert answers == {mine: Answer("accepted", None, None), other: Answer("refused", "not_offered", None)}
