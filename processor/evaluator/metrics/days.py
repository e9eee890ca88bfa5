"""The local day of an event, worked out once however many metrics ask for it."""

from __future__ import annotations

from datetime import datetime

from schemas.zones import EPOCH, EPOCH_DAY, local_day

_latest: tuple[datetime, str, int] = (EPOCH, "UTC", 0)


def day_of(at: datetime, zone: str) -> int:
    """As `local_day`. The latest answer is kept for the same moment, the very object that an event has."""
    global _latest
    if zone == "UTC":
        return at.toordinal() - EPOCH_DAY
    moment, known, day = _latest
    if moment is not at or known != zone:
        day = local_day(at, zone)
        _latest = at, zone, day
    return day
