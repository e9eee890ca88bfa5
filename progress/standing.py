"""Where a user stands in one catalog at one moment: values, runs, awards, read by their names."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from progress.rows import EPOCH, Award, Pace, Person, Run
from progress.streaks import NO_RUN, current_run
from schemas.periods import PERIOD_OF, period_name
from schemas.program import AchievementSpec, AtLeast, CatalogProgram, MetricSpec, Period
from schemas.zones import EPOCH_DAY, find_zone, local_day

Number = int | Decimal


class Standing:
    """Everything that progress is computed from.

    Units: `today` is in days since 1970, where the user lives, else where the catalog does; `utc_today` in UTC.
    """

    def __init__(self, program: CatalogProgram, person: Person, now: datetime) -> None:
        self.program, self.person, self.now = program, person, now
        self.zone = person.zone if person.zone and find_zone(person.zone) else program.timezone
        self.today = local_day(now.astimezone(UTC), self.zone)
        self.utc_today = local_day(now.astimezone(UTC), "UTC")
        self.metrics = {metric.key: metric for metric in program.metrics}
        self.events = {event.type: event for event in program.events}
        self.entries = {entry.reference: entry for entry in program.achievements}
        self._held: dict[str, list[Award]] = {}
        for award in person.awards:
            if award.revocation is None:
                self._held.setdefault(award.reference, []).append(award)

    @property
    def date(self) -> date:
        return day_date(self.today)

    def period(self, every: Period) -> str:
        """The name of the present one."""
        return period_name(PERIOD_OF[every](self.today), every)

    def value(self, key: str) -> int:
        """On the state's scale; of a metric with periods that of the present one; 0 before anything moved it."""
        kept = self.person.metrics.get(key)
        every = self.metrics[key].every
        if every is not None:
            return kept.get(self.period(every), 0) if isinstance(kept, dict) else 0
        return kept if isinstance(kept, int) else 0

    def run(self, key: str) -> Run:
        return self.person.streaks.get(key, NO_RUN)

    def current_run(self, key: str) -> int:
        return current_run(self.run(key), self.today, self.metrics[key].grace)

    def pace(self, key: str) -> Pace | None:
        """A window sees no other events than the metric it looks at, so it goes at that one's pace."""
        return self.person.paces.get(self.metrics[key].origin or key)

    def level(self, value: int) -> int:
        """The level that a value of the metric they go by stands for."""
        levels = self.program.levels
        return max(1, bisect_right(levels.starts, value)) if levels else 1

    def held(self, reference: str) -> list[Award]:
        """The awards a user holds of an achievement, of a tier where one is named, newest first."""
        return self._held.get(reference, [])

    def held_now(self, entry: AchievementSpec) -> list[Award]:
        """As `held`, but of what comes again with every period the award of the present one."""
        every = entry.window.every if entry.window else None
        if every is None:
            return self.held(entry.reference)
        return [award for award in self.held(entry.reference) if award.scope == self.period(every)]

    def holds(self, entry: AchievementSpec) -> bool:
        return bool(self.held_now(entry))

    def is_hidden(self, entry: AchievementSpec) -> bool:
        """Secret and in no tier ever earned: nothing may tell that it is there."""
        return entry.secret and not any(award.achievement == entry.key for award in self.person.awards)

    def is_streak(self, condition: AtLeast) -> bool:
        return self.metrics[condition.metric].kind == "streak"

    def told(self, key: str, value: int) -> Number:
        """A value in the unit in which an author wrote it."""
        return unscaled(self.metrics[key], value)


def unscaled(metric: MetricSpec, value: int) -> Number:
    return Decimal(value).scaleb(-metric.places) if metric.places else value


def day_date(number: int) -> date:
    return EPOCH + timedelta(number)


def day_number(day: date) -> int:
    return day.toordinal() - EPOCH_DAY
