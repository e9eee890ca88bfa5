"""Calendars: the local day of a moment, the period it lies in, and the days that follow each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)
ZONES: dict[str, ZoneInfo] = {}

Chain = list[date]
Offsets = Mapping[date, set[timedelta]]


def zone_of(name: str) -> ZoneInfo:
    """The zone in the tzdata package, whatever the system has."""
    if name not in ZONES:
        with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
            ZONES[name] = ZoneInfo.from_file(file, key=name)
    return ZONES[name]


def day_of(moment: datetime, zone: str) -> date:
    return moment.astimezone(zone_of(zone)).date()


def start_of(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone_of(zone)).astimezone(UTC)


def offset_of(moment: datetime, zone: str) -> timedelta:
    """How far the zone's clock is ahead of UTC."""
    return moment.astimezone(zone_of(zone)).utcoffset() or timedelta()


def period_of(day: date, every: str) -> str:
    """2026-11-21, 2026-W47 (the ISO week, of the ISO year) or 2026-11."""
    if every == "week":
        year, week, _ = day.isocalendar()
        return f"{year:04}-W{week:02}"
    return day.isoformat() if every == "day" else day.isoformat()[:7]


def runs_of(days: Iterable[date]) -> list[Chain]:
    """Days in a row, oldest run first."""
    return chains_of(days, {}, grace=0, freezes=[])


def chains_of(days: Iterable[date], offsets: Offsets, *, grace: int, freezes: Iterable[date]) -> list[Chain]:
    """The active days in chains, oldest first: what lies between two of a chain was bridged.

    A freeze is good for one missed day, from its own day on, and for one only.
    """
    chains: list[Chain] = []
    used = 0
    for day in sorted(days):
        before = chains[-1][-1] if chains else None
        beyond = 0 if before is None else missed(before, day, offsets) - grace
        owned = sum(freeze < day for freeze in freezes) - used if beyond > 0 else 0
        if before is None or beyond > max(owned, 0):
            chains.append([day])
            continue
        used += max(beyond, 0)
        chains[-1].append(day)
    return chains


def missed(before: date, day: date, offsets: Offsets) -> int:
    """How many days lie between two active ones; none when the traveller had no such day.

    Whoever goes east to west over the date line, from an offset to one that is 24 hours ahead, skips a day.
    """
    between = (day - before).days - 1
    jump = max((b - a for a in offsets.get(before, ()) for b in offsets.get(day, ())), default=timedelta())
    return 0 if between == 1 and jump >= ONE_DAY else between
