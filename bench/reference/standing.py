"""One user in one catalog: what the events so far come to."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from itertools import chain

from bench.reference import bounds
from bench.reference.catalog import XP, Achievement, AtLeast, Catalog, Challenge, Condition, Feed, Metric
from bench.reference.days import day_of
from bench.reference.event import Happening
from bench.reference.metrics import Experience, kept
from bench.reference.result import Award, Reason, Result, Told, Unlock

BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
Crossing = tuple[AtLeast, str]  # a threshold, and the period in which it is reached ('' without periods)


class Standing:
    """After every event everything is looked at again; `result` is told what happens on the way.

    Shapes: seen has the values at the last look, reached_at the thresholds that are reached now, level_at the
    levels that nobody was told of.
    """

    def __init__(self, user: str, catalog: Catalog, result: Result) -> None:
        self.user, self.catalog, self.result = user, catalog, result
        self.kept = {key: kept(metric) for key, metric in catalog.metrics.items()}
        self.seen: dict[str, dict[str, int | None]] = {}
        self.reached_at: dict[Crossing, datetime] = {}
        self.level_at: dict[int, datetime] = {}
        self.level_told = 1
        self.earned: dict[str, dict[str, datetime]] = {}
        self.times_revoked: Counter[str] = Counter()
        self.claimed: set[tuple[str, str]] = set()
        self.zone = catalog.zone

    def metrics(self) -> dict[str, int | None]:
        return {key: each.value() for key, each in self.kept.items() if "@" not in key}

    def awards(self) -> dict[Award, datetime]:
        return {self.named(name, scope): at for name, scopes in self.earned.items() for scope, at in scopes.items()}

    def points(self) -> int:
        return sum(self.catalog.achievements[name].points * len(scopes) for name, scopes in self.earned.items())

    def level(self) -> int:
        return self.catalog.level_of(self.kept[self.catalog.levels_of].value())

    def take(self, event: Happening) -> None:
        """What an event does, in this order: it moves metrics, takes back awards, and gives awards and levels."""
        self.zone = event.zone or self.catalog.zone
        held_before = set(self.reached_at)
        if self.move(event):
            self.watch()
        if self.give_at_once(event) or self.reached_at.keys() != held_before:
            self.take_back(event, held_before)
            self.give(event)
        self.tell_levels()

    def claim(self, challenge: Challenge, day: date, claim: Happening) -> None:
        """Complete a challenge of a day, and give what follows from its XP."""
        self.claimed.add((challenge.key, day.isoformat()))
        self.result.challenges[self.user, self.catalog.name, challenge.key, day.isoformat()] = claim.at
        self.give_xp(challenge.xp, claim.at)
        self.watch()
        self.give(claim)
        self.tell_levels()

    # --- metrics ---

    def move(self, event: Happening) -> bool:
        """Whether anything moved."""
        fields = self.catalog.fields[event.type]
        moved = [
            self.kept[key].take(event, feed.sign, fields, self.zone)
            for key, metric in self.catalog.metrics.items()
            for feed in metric.feeds
            if self.is_fed(event, feed) and self.is_in_season(event, metric)
        ]
        gifts = [gift for gift in self.catalog.gifts if self.is_fed(event, gift.feed)]
        for gift in gifts:
            self.give_xp(gift.amount or event.number(gift.of, fields) or 0, event.at)
        return any(moved) or bool(gifts)

    def is_fed(self, event: Happening, feed: Feed) -> bool:
        fields = self.catalog.fields[event.type]
        return feed.type == event.type and all(event.passes(test, fields) for test in feed.tests)

    def is_in_season(self, event: Happening, metric: Metric) -> bool:
        return metric.since <= day_of(event.at, self.zone) < metric.until

    def give_xp(self, amount: int, at: datetime) -> None:
        if amount > 0:
            self.experience().give(amount, at)

    def experience(self) -> Experience:
        found = self.kept[XP]
        assert isinstance(found, Experience)
        return found

    def watch(self) -> None:
        """Remember of each threshold when it was last reached from below, as long as it is."""
        before, self.seen = self.seen, {key: kept.values() for key, kept in self.kept.items()}
        changed = [key for key, values in self.seen.items() if values != before.get(key)]
        for threshold in chain.from_iterable(self.catalog.thresholds_on[key] for key in changed):
            for period, value in self.seen[threshold.metric].items():
                if value is None or value < threshold.at:
                    self.reached_at.pop((threshold, period), None)
                elif (threshold, period) not in self.reached_at:
                    moment = self.kept[threshold.metric].crossed_at(threshold.at, self.zone, period)
                    self.reached_at[threshold, period] = moment
        if self.catalog.levels_of:
            self.watch_levels()

    def watch_levels(self) -> None:
        """The same of the levels that nobody was told of."""
        level, of = self.level(), self.kept[self.catalog.levels_of]
        self.level_at = {reached: at for reached, at in self.level_at.items() if reached <= level}
        for reached in range(self.level_told + 1, level + 1):
            if reached not in self.level_at:
                self.level_at[reached] = of.crossed_at(self.catalog.starts[reached - 1], self.zone, "")

    def tell_levels(self) -> None:
        for level, at in sorted(self.level_at.items()):
            self.result.levels_reached[self.user, self.catalog.name, level] = at
            self.level_told = max(self.level_told, level)
        self.level_at = {}

    # --- awards ---

    def give_at_once(self, event: Happening) -> bool:
        """The awards that an event is, whatever the metrics say. Whether there was one."""
        awarded = False
        for achievement in self.catalog.at_once:
            scope = scope_of(event, achievement)
            is_meant = any(self.is_fed(event, feed) for feed in achievement.on)
            if is_meant and scope is not None and self.is_new(achievement, scope):
                self.award(achievement, scope, event.at, event)
                awarded = True
        return awarded

    def is_new(self, achievement: Achievement, scope: str) -> bool:
        won = self.earned.get(achievement.name, {})
        return scope not in won and len(won) < bounds.SCOPES_MAX

    def give(self, event: Happening) -> None:
        while any(self.decide(each, event) for each in self.open()):
            pass  # until nothing more follows from what was awarded

    def open(self) -> list[Achievement]:
        """What is not held yet, or not in every period."""
        achievements = self.catalog.achievements.values()
        return [each for each in achievements if each.name not in self.earned or "" not in self.earned[each.name]]

    def decide(self, achievement: Achievement, event: Happening) -> bool:
        """Award the first scope in which it is earned and not held yet."""
        if achievement.on:
            return False
        for period in self.periods_of(achievement):
            since = self.true_since(achievement.when, period)
            if since is not None and self.has_required(achievement) and self.is_new(achievement, period):
                required = [self.first_earned(name) for name in achievement.requires]
                self.award(achievement, period, max([since, *required]), event)
                return True
        return False

    def award(self, achievement: Achievement, scope: str, at: datetime, event: Happening) -> None:
        unlock = Unlock(self.named(achievement.name, scope), self.times_revoked[achievement.name])
        self.earned.setdefault(achievement.name, {})[scope] = at
        self.result.unlocks[unlock] = at
        declared = self.catalog.fields.get(event.type, {})
        said = (event.said(named, declared) for named in (achievement.metadata, achievement.context))
        self.result.told[unlock] = Told(*said)
        if achievement.xp:
            self.give_xp(achievement.xp, at)
            self.watch()

    def named(self, name: str, scope: str) -> Award:
        return self.user, self.catalog.name, name, scope

    def has_required(self, achievement: Achievement) -> bool:
        return all(self.earned.get(name) for name in achievement.requires)

    def first_earned(self, name: str) -> datetime:
        return next(iter(self.earned[name].values()))

    def periods_of(self, achievement: Achievement) -> list[str]:
        """The periods to look at: all that are kept, where it has periods."""
        if not achievement.every:
            return [""]
        assert isinstance(achievement.when, AtLeast)
        return sorted(self.kept[achievement.when.metric].values())

    def true_since(self, condition: Condition, period: str = "") -> datetime | None:
        """When a condition that holds now began to hold; None when it does not hold."""
        if isinstance(condition, AtLeast):
            return self.reached_at.get((condition, period))
        since = [self.true_since(part) for part in condition.parts]
        known = [moment for moment in since if moment is not None]
        if condition.word == "any":
            return min(known, default=None)
        return max(known, default=BEFORE_ALL) if len(known) == len(since) else None

    # --- revocation ---

    def take_back(self, event: Happening, held_before: set[Crossing]) -> None:
        """Revoke what does not hold, then what hung on it, and so on; always the first in the catalog."""
        if not any(each.revocable for each in self.catalog.achievements.values()):
            return
        chains: dict[str, list[Reason]] = {}
        while falling := [each for each in self.held() if self.falls(each, held_before, chains)]:
            first = falling[0]
            chains[first.name] = self.chain_of(first, chains)
            self.revoke(first, event, chains[first.name])

    def held(self) -> list[Achievement]:
        return [each for each in self.catalog.achievements.values() if "" in self.earned.get(each.name, {})]

    def falls(self, achievement: Achievement, held_before: set[Crossing], chains: dict[str, list[Reason]]) -> bool:
        """A revocable award as soon as it does not hold, any other when an award is why."""
        if achievement.on or (self.has_required(achievement) and self.true_since(achievement.when) is not None):
            return False
        lost_award = chains.keys() & set(achievement.requires)
        return achievement.revocable or bool(lost_award) or self.lost_level(achievement.when, held_before, chains)

    def lost_level(self, condition: Condition, held_before: set[Crossing], chains: dict[str, list[Reason]]) -> bool:
        """Whether XP that was taken back is missing."""
        if isinstance(condition, AtLeast):
            was_held = (condition, "") in held_before and (condition, "") not in self.reached_at
            return bool(chains) and condition.metric == XP and was_held
        return any(self.lost_level(part, held_before, chains) for part in condition.parts)

    def chain_of(self, achievement: Achievement, chains: dict[str, list[Reason]]) -> list[Reason]:
        """Why it falls: the cause, then the awards in between, up to what is missing for this one."""
        for name in achievement.requires:
            if name in chains:
                return [*chains[name], {"kind": "award", "achievement": name}]
        missing = self.missing(achievement.when)
        if missing.metric == XP and chains:
            last = next(reversed(chains))
            return [*chains[last], {"kind": "award", "achievement": last}, self.reason(missing)]
        return [self.reason(missing)]

    def missing(self, condition: Condition) -> AtLeast:
        """The first comparison that does not hold."""
        if isinstance(condition, AtLeast):
            return condition
        return self.missing(next(part for part in condition.parts if self.true_since(part) is None))

    def reason(self, missing: AtLeast) -> Reason:
        value = self.kept[missing.metric].value() or 0
        return {"kind": "metric", "metric": missing.metric, "value": value, "needed": missing.at}

    def revoke(self, achievement: Achievement, event: Happening, reasons: list[Reason]) -> None:
        name = achievement.name
        del self.earned[name]
        self.result.revocations[Unlock(self.named(name, ""), self.times_revoked[name])] = reasons
        self.times_revoked[name] += 1
        if achievement.xp:
            self.experience().take_back(achievement.xp, event.at)
            self.watch()


def scope_of(event: Happening, achievement: Achievement) -> str | None:
    """The instance an award is about; None where the event does not say it, or says it at too great a length."""
    if not achievement.scope:
        return ""
    value = event.data.get(achievement.scope)
    scope = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return scope if scope.strip() and len(scope) <= bounds.SCOPE_LENGTH_MAX else None
