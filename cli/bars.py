"""Percentages and conditions as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime

from progress.conditions import ConditionStatus
from progress.standing import Number

WIDTH = 16
FULL, EMPTY, MET = "█", "░", "✓"
LEGACY = ", of a rule that is no more"
ABOUT = {"exact": "", "approximate": "about "}  # before a date


def bar(percent: int, width: int = WIDTH) -> str:
    """Full at 100 only, so that nothing looks earned that is not."""
    filled = percent * width // 100
    return FULL * filled + EMPTY * (width - filled)


def number(value: Number) -> str:
    return f"{value:,}"


def conditions_told(conditions: Iterable[ConditionStatus]) -> str:
    """`released 3 of 10, artists ✓`; of any and all their parts, joined by the word."""
    return ", ".join(condition_told(each) for each in conditions)


def condition_told(condition: ConditionStatus) -> str:
    if condition.met:
        return f"{condition.name} {MET}"
    if condition.parts:
        word = " or " if condition.kind == "any" else " and "
        return f"({word.join(condition_told(each) for each in condition.parts)})"
    if condition.value is None or condition.target is None:
        return condition.name
    return f"{condition.name} {number(condition.value)} of {number(condition.target)}"


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def day(at: date | None) -> str:
    """Of a day or a moment the day; nothing where there is none."""
    return f"{at:%Y-%m-%d}" if at else ""
