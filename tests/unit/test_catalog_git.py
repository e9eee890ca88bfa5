"""The example catalog over the history of a git repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.reference import fold
from schemas.catalog import all_achievements, read_catalog

TEXT = (Path(__file__).parents[2] / "catalogs" / "git.yaml").read_text(encoding="utf-8")


def commit(number: int, time: str, **data: Any) -> dict[str, Any]:
    plain = {"files": 3, "insertions": 20, "deletions": 5, "hour": 12, "weekday": 3, "is_merge": False}
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": "git",
        "type": "commit",
        "subject": "author",
        "time": time,
        "data": {"sha": str(number), **plain, **data},
    }


def earned(*events: dict[str, Any]) -> set[str]:
    return {achievement for _, _, achievement, _ in fold(events, [TEXT]).awards}


def test_every_entry_is_described_and_celebrated():
    entries = all_achievements(read_catalog(TEXT, "git.yaml"))

    assert all(each.description and each.message and each.icon and each.category for each in entries)


def test_a_first_commit_says_hello():
    assert earned(commit(1, "2026-03-04T12:00:00Z")) == {"hello_world"}


def test_late_hours_weekends_and_merges_are_noticed():
    found = earned(commit(1, "2026-03-07T23:30:00Z", hour=23, weekday=6, is_merge=True))

    assert found == {"hello_world", "night_owl", "weekend_warrior", "peacemaker"}


def test_a_big_clean_up_counts_as_one_commit_or_over_time():
    at_once = earned(commit(1, "2026-03-04T12:00:00Z", deletions=1000))
    slowly = earned(*(commit(n, f"2026-03-04T12:{n:02}:00Z", deletions=999) for n in range(11)))

    assert "spring_cleaning" in at_once & slowly


def test_a_streak_is_days_in_a_row():
    days = [commit(day, f"2026-03-{day:02}T12:00:00Z") for day in (1, 2, 4, 5, 6)]

    assert "on_a_roll" in earned(*days)
    assert "on_a_roll" not in earned(*days[:4])


def test_shipping_takes_a_commit_and_a_tag():
    tag = {**commit(9, "2026-03-05T12:00:00Z"), "type": "tagged", "data": {"name": "v1.0"}}

    assert "first_release_tag" not in earned(tag)
    assert "first_release_tag" in earned(tag, commit(1, "2026-03-06T12:00:00Z"))
