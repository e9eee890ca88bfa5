"""One metric of one user, kept as everything that ever moved it."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from bench.reference import bounds
from bench.reference.catalog import Metric
from bench.reference.days import chains_of, day_of, offset_of, period_of, runs_of, start_of
from bench.reference.event import Happening, plain

FAR_WEST, FAR_EAST = timedelta(hours=-10), timedelta(hours=13)
PLUS, MINUS, FREEZE = 1, -1, 0


class Kept(ABC):
    """The value of a metric, and the latest event time among all that moved it."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.latest_at: datetime | None = None

    def take(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        moved = self.moves(event, sign, fields, zone)
        if moved:
            self.note(event.at)
        return moved

    def note(self, at: datetime) -> None:
        self.latest_at = at if self.latest_at is None else max(self.latest_at, at)

    @abstractmethod
    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        """Whether the event counts; it is taken in then."""

    @abstractmethod
    def value(self) -> int | None:
        """None before the first event that sets it."""

    def values(self) -> dict[str, int | None]:
        """Period -> value; what has no periods is of the period ''."""
        return {"": self.value()}

    def crossed_at(self, at: int, zone: str, period: str) -> datetime:
        """When it reached this threshold, which an event of this zone has just made it reach."""
        assert self.latest_at is not None
        return self.latest_at


class Count(Kept):
    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self.sums = {PLUS: 0, MINUS: 0}

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        self.sums[sign] += 1
        return True

    def value(self) -> int:
        return max(0, self.sums[PLUS] - self.sums[MINUS])


class Sum(Count):
    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        amount = event.number(self.metric.of, fields)
        if amount is None:
            return False
        self.sums[sign] += amount
        return True


class Experience(Count):
    """XP: given by events, awards and challenges, taken back with an award."""

    def give(self, amount: int, at: datetime) -> None:
        self.sums[PLUS] += amount
        self.note(at)

    def take_back(self, amount: int, at: datetime) -> None:
        self.sums[MINUS] += amount
        self.note(at)


class Max(Kept):
    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self.greatest: int | None = None

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        amount = event.number(self.metric.of, fields)
        if amount is None:
            return False
        self.greatest = amount if self.greatest is None else max(self.greatest, amount)
        return True

    def value(self) -> int | None:
        return self.greatest


class Latest(Kept):
    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self.amounts: dict[tuple[datetime, str], int] = {}

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        amount = event.number(self.metric.of, fields)
        if amount is None:
            return False
        self.amounts[event.at, event.id] = amount
        return True

    def value(self) -> int | None:
        return self.amounts[max(self.amounts)] if self.amounts else None


class Distinct(Kept):
    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self.occurrences: Counter[tuple[Any, ...]] = Counter()
        self.present: set[tuple[Any, ...]] = set()

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        parts = tuple(self.part(plain(event.data.get(name), fields.get(name, ""))) for name in self.metric.by)
        if any(part is None for part in parts):
            return False
        most = bounds.PERIOD_VALUES_MAX if self.metric.every else bounds.DISTINCT_VALUES_MAX
        if parts in self.occurrences or len(self.occurrences) < most:
            self.occurrences[parts] += sign
        if self.occurrences[parts] > 0:
            self.present.add(parts)
        else:
            self.present.discard(parts)
        if not self.occurrences[parts]:
            del self.occurrences[parts]
        return True

    def part(self, value: Any) -> tuple[str, Any] | None:
        """A value as it counts, with its type, since 1 is not true; None where it counts for nothing."""
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, str) and self.metric.normalize:
            value = unicodedata.normalize("NFC", value.strip()).casefold()
        if type(value) is int:
            value = value // self.metric.bucket
        return type(value).__name__, value

    def value(self) -> int:
        return len(self.present)


class Streak(Kept):
    """All active days, all freezes, and of the days far in the east or west the clocks they were lived by."""

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self.days: set[date] = set()
        self.freezes: list[date] = []
        self.offsets: dict[date, set[timedelta]] = {}
        self.longest: list[date] = []

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        day = day_of(event.at, zone)
        taken = self.freeze(day) if sign == FREEZE else self.live(day, offset_of(event.at, zone))
        if taken:
            chains = chains_of(self.days, self.offsets, grace=self.metric.grace, freezes=self.freezes)
            self.longest = max(chains, key=len, default=[])
        return taken

    def freeze(self, day: date) -> bool:
        if len(self.freezes) >= bounds.FREEZES_MAX:
            return False
        self.freezes.append(day)
        return True

    def live(self, day: date, offset: timedelta) -> bool:
        """Whether anything is new about this day."""
        near = {day + timedelta(days) for days in (-1, 0, 1)}
        if not near & self.days and len(runs_of(self.days)) >= bounds.STREAK_RUNS_MAX:
            return False
        clocks = self.offsets.get(day, set())
        if day in self.days and (FAR_WEST < offset < FAR_EAST or offset in clocks):
            return False
        self.days.add(day)
        if not FAR_WEST < offset < FAR_EAST:
            self.remember(day, offset)
        return True

    def remember(self, day: date, offset: timedelta) -> None:
        self.offsets.setdefault(day, set()).add(offset)
        if len(self.offsets) > bounds.EDGE_DAYS_MAX:
            del self.offsets[min(self.offsets)]

    def value(self) -> int:
        return len(self.longest)

    def crossed_at(self, at: int, zone: str, period: str) -> datetime:
        return start_of(self.longest[at - 1], zone)


class Periods(Kept):
    """A metric of its own for each day, week or month; of too many the oldest goes."""

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self.periods: dict[str, Kept] = {}

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        period = period_of(day_of(event.at, zone), self.metric.every)
        own = self.periods.get(period) or KEPT[self.metric.kind](self.metric)
        full = period not in self.periods and len(self.periods) >= bounds.PERIODS_MAX
        if (full and period < min(self.periods)) or not own.take(event, sign, fields, zone):
            return False
        if full:
            del self.periods[min(self.periods)]
        self.periods[period] = own
        return True

    def value(self) -> None:
        """There is one of each period only."""

    def values(self) -> dict[str, int | None]:
        return {period: kept.value() for period, kept in self.periods.items()}

    def crossed_at(self, at: int, zone: str, period: str) -> datetime:
        return self.periods[period].crossed_at(at, zone, "")


KEPT: dict[str, type[Kept]] = {
    "count": Count,
    "sum": Sum,
    "max": Max,
    "latest": Latest,
    "distinct": Distinct,
    "streak": Streak,
    "xp": Experience,
}


def kept(metric: Metric) -> Kept:
    return Periods(metric) if metric.every else KEPT[metric.kind](metric)
