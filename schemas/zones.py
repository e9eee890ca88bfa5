"""Calendar days in IANA zones. The zone data is the locked tzdata package: the system's zones are ignored."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

zoneinfo.reset_tzpath(to=())

DAY_SECONDS = 86_400
DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000
MONTH_US = 30 * DAY_US
MONTHS_LOOKED_AT = 12 * 130  # to the end of this century; a clock is not changed for less than a month
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)
EPOCH_DAY = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=2048)
def find_zone(name: str) -> ZoneInfo | None:
    """The zone of an IANA name, or None when there is no such zone."""
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def microseconds(moment: datetime) -> int:
    """Units: microseconds since 1970 of an aware datetime."""
    since = moment - EPOCH
    return (since.days * DAY_SECONDS + since.seconds) * 1_000_000 + since.microseconds  # half of what // costs


def moment_of(at: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970."""
    return EPOCH + at * MICROSECOND  # a third of what timedelta(microseconds=at) costs


def local_day(moment: datetime, zone: str) -> int:
    """Days since 1970-01-01, on the zone's calendar, of a moment in UTC."""
    at = microseconds(moment)
    return (at + _offset_within(at // HOUR_US, zone, at)) // DAY_US


def day_start(day: int, zone: str) -> datetime:
    """The first instant of a local day (midnight, or what follows a skipped one), in UTC."""
    if zone == "UTC":
        return EPOCH + day * DAY
    midnight = datetime.combine(date.fromordinal(day + EPOCH_DAY), time(), tzinfo=find_zone(zone))
    return midnight.astimezone(UTC)


def local_minutes_ahead(moment: datetime, zone: str) -> int:
    """How far the zone's clock is ahead of UTC at a moment. Units: whole minutes."""
    return _offset(microseconds(moment), zone) // MINUTE_US


class ZonesNearTheDateLine(dict[str, bool]):
    """Whether a zone's clock is ever as far from UTC as on either side of the date line; looked at once a zone."""

    def __init__(self, west: int, east: int) -> None:
        self._near = range(west + 1, east)

    def __missing__(self, zone: str) -> bool:
        moments = (moment_of(month * MONTH_US) for month in range(MONTHS_LOOKED_AT))
        self[zone] = found = any(local_minutes_ahead(moment, zone) not in self._near for moment in moments)
        return found


def _offset_within(hour: int, zone: str, at: int) -> int:
    steady = _steady_offset(hour, zone)
    return _offset(at, zone) if steady is None else steady


@lru_cache(maxsize=65536)
def _steady_offset(hour: int, zone: str) -> int | None:
    """The offset of a whole hour, or None when the zone's clock is changed within it."""
    first, last = _offset(hour * HOUR_US, zone), _offset((hour + 1) * HOUR_US - 1, zone)
    return first if first == last else None


def _offset(at: int, zone: str) -> int:
    offset = moment_of(at).astimezone(find_zone(zone)).utcoffset()
    return (offset or timedelta()) // MICROSECOND
