"""Challenges of a day: what is offered, and what becomes of a claim. All answers are worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from xxhash import xxh3_64_intdigest

from schemas.challenges import offered
from schemas.errors import BadRecord
from schemas.outcomes import outcome_id
from schemas.program import AtLeast, ChallengeSpec, Feed, Program
from schemas.records import PlainRecord
from tests.unit.written_program import COMMANDS, Fold, metric, milliseconds, told, written, xp

TWO = ChallengeSpec(
    key="two",
    number=0,
    name="Two",
    type="practice",
    when=AtLeast(metric="done@day", at=2),
    xp=30,
    icon="✌",
    message="!",
)
DAILY = metric("done@day", origin="done", every="day")
LEVELS = {"of": "xp", "starts": [0, 60, 100]}


def program(*challenges: ChallengeSpec, per_day: int = 3, zone: str = "UTC") -> Program:
    entries = [{"key": "rich", "when": "xp >= 60"}]
    return written([DAILY, xp(Feed(type="seen", amount=40))], entries, LEVELS, challenges or (TWO,), per_day, zone)


def practised(times: int, day: str = "2026-05-05", **said: Any) -> Fold:
    fold = Fold(program(zone=said.pop("zone", "UTC")))
    for minute in range(times):
        fold.take("done", at=f"{day}T10:{minute:02}:00Z", **said)
    return fold


def answer(outcomes: list[Any]) -> Any:
    return outcomes[-1].data


def test_a_claim_of_what_was_done_is_accepted_and_gives_its_xp() -> None:
    fold = practised(2)
    fold.take("seen")

    outcomes = fold.claim("2026-05-05T12:00:00Z", challenge="two")

    assert told(outcomes) == ["done two", "accepted", "+rich", "level 2"]
    done: Any = outcomes[0].data
    assert (f"{done.day}", done.value, done.target, done.xp, done.icon, done.message) == (
        "2026-05-05",
        2,
        2,
        30,
        "✌",
        "!",
    )
    assert outcomes[0].id == outcome_id("challenge_completed", "toy", "two", "ann", scope="2026-05-05")
    assert done.evidence.topic == COMMANDS
    assert outcomes[1].data.command_id == done.command_id == "e4"


def test_a_claim_of_the_same_is_repeated_and_gives_nothing() -> None:
    fold = practised(2)
    fold.claim("2026-05-05T12:00:00Z", challenge="two")

    assert told(fold.claim("2026-05-05T12:00:01Z", challenge="two")) == ["repeated"]
    assert fold.state()[fold.program.catalogs[0].metrics[1].slot] == 30


def test_the_same_command_twice_is_a_duplicate_as_any_event() -> None:
    fold = practised(2)
    fold.claim("2026-05-05T12:00:00Z", challenge="two", id="c1")

    assert told(fold.claim("2026-05-05T12:00:00Z", challenge="two", id="c1")) == []


def test_a_claim_below_the_target_says_what_is_missing() -> None:
    outcomes = practised(1).claim("2026-05-05T12:00:00Z", challenge="two")

    assert told(outcomes) == ["refused incomplete"]
    (missing,) = answer(outcomes).missing
    assert (missing.metric, missing.value, missing.target) == ("done@day", 1, 2)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"challenge": "three"}, "refused unknown"),
        ({"challenge": "two", "catalog": "other"}, "refused unknown"),
        ({"challenge": "two", "day": "soon"}, "refused unknown"),
        ({"challenge": "two", "day": "2026-05-04"}, "refused expired"),
        ({"challenge": "two", "day": "2026-05-06"}, "refused not_open"),
        ({"challenge": "two", "day": "2026-05-05"}, "accepted"),
    ],
)
def test_a_claim_is_refused_with_its_reason(said: dict[str, Any], expected: str) -> None:
    outcomes = practised(2).claim("2026-05-05T12:00:00Z", **said)

    assert told(outcomes)[-1 if expected != "accepted" else 1] == expected


def test_a_challenge_ends_at_the_midnight_of_the_user() -> None:
    """In Honolulu, ten hours behind UTC, 5 May ends at 10:00 of 6 May."""
    late, too_late = (practised(2, day="2026-05-05", timezone="Pacific/Honolulu") for _ in range(2))

    assert "accepted" in told(late.claim("2026-05-06T09:59:59Z", challenge="two"))
    assert told(too_late.claim("2026-05-06T10:00:00Z", challenge="two", day="2026-05-05")) == ["refused expired"]


def test_without_a_zone_of_the_user_the_catalogs_counts() -> None:
    fold = practised(2, day="2026-05-05", zone="Pacific/Honolulu")

    assert "accepted" in told(fold.claim("2026-05-06T09:00:00Z", challenge="two"))


def test_yesterdays_activity_does_not_count_today() -> None:
    assert told(practised(2, day="2026-05-04").claim("2026-05-05T12:00:00Z", challenge="two")) == [
        "refused incomplete"
    ]


def test_of_many_challenges_a_user_is_offered_some_every_day_others() -> None:
    keys = [f"c{number}" for number in range(10)]
    days = [f"2026-05-{day:02}" for day in range(1, 29)]
    picked = [offered("toy", "ann", day, keys, 3) for day in days]

    assert all(len(set(each)) == 3 for each in picked)
    assert len({tuple(each) for each in picked}) > 20
    assert {key for each in picked for key in each} == set(keys)
    assert picked[0] == sorted(keys, key=lambda key: xxh3_64_intdigest(f"toy/ann/2026-05-01/{key}".encode()))[:3]


def test_what_is_not_offered_that_day_is_refused() -> None:
    specs = [ChallengeSpec(key=f"c{n}", number=n, name="C", type="c", when=TWO.when, xp=1) for n in range(4)]
    fold = Fold(program(*specs, per_day=1))
    (one,) = offered("toy", "ann", "2026-05-05", [spec.key for spec in specs], 1)
    for minute in (1, 2):
        fold.take("done", at=f"2026-05-05T10:0{minute}:00Z")

    said = {spec.key: told(fold.claim("2026-05-05T12:00:00Z", challenge=spec.key)) for spec in specs}

    assert said == {spec.key: ["refused not_offered"] for spec in specs} | {one: ["done " + one, "accepted"]}


def test_a_claim_under_somebody_elses_key_is_refused_as_a_record() -> None:
    fold = Fold(program())
    value = b'{"specversion":"1.0","id":"c","source":"/app","type":"claim_challenge","subject":"ann",'
    value += b'"time":"2026-05-05T12:00:00Z","data":{"catalog":"toy","challenge":"two"}}'
    record = PlainRecord(1, milliseconds("2026-05-05T12:00:00Z"), b"bob", value)

    folded = fold.evaluator.fold(COMMANDS, [record])

    ((_, bad),) = folded.refused
    assert isinstance(bad, BadRecord)
    assert bad.cause == "wrong_key"


def test_the_commands_topic_is_read_only_where_there_are_challenges() -> None:
    assert program().sources == ["toy", COMMANDS]
    assert written([DAILY]).sources == ["toy"]
