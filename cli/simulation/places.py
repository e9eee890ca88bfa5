"""Where people live and travel."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from cli.simulation.chance import Chance
from schemas.zones import find_zone

ZONES = [
    (10, "Europe/Berlin"),
    (8, "Europe/London"),
    (3, "Europe/Istanbul"),
    (10, "America/New_York"),
    (7, "America/Los_Angeles"),
    (3, "America/Mexico_City"),
    (6, "America/Sao_Paulo"),
    (1, "America/St_Johns"),
    (6, "Asia/Tokyo"),
    (6, "Asia/Kolkata"),
    (2, "Asia/Kathmandu"),
    (3, "Africa/Lagos"),
    (2, "Africa/Cairo"),
    (4, "Australia/Sydney"),
    (2, "Pacific/Auckland"),
    (1, "Pacific/Kiritimati"),
]

TRIP_CHANCE = 0.003
TRIP_DAYS = (4, 21)


class Whereabouts:
    """The zone somebody is in, day by day. On the day of a departure nobody does anything."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self.home = chance.weighed(ZONES)
        self.zone = self.home
        self._days_away = 0

    def wake_up(self) -> bool:
        """Start a day; False on a day spent travelling."""
        if self._days_away:
            self._days_away -= 1
            if not self._days_away:
                return self._move_to(self.home)
        elif self._chance.happens(TRIP_CHANCE):
            self._days_away = self._chance.between(*TRIP_DAYS)
            return self._move_to(self._chance.weighed(ZONES))
        return True

    def _move_to(self, zone: str) -> bool:
        arrived = zone == self.zone
        self.zone = zone
        return arrived


def moment(day: date, minute: int, zone: str) -> datetime:
    """The UTC moment of a minute after local midnight, which may be past the end of the day."""
    local = datetime.combine(day, time()) + timedelta(minutes=minute)
    return local.replace(tzinfo=find_zone(zone)).astimezone(UTC)
