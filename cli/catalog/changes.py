"""What changes for users between two versions of a catalog, one thing after the other, in words."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from progress.wording import Wording
from schemas.program import (
    XP,
    AchievementSpec,
    CatalogProgram,
    ChallengeSpec,
    Ledger,
    comparisons,
    implies,
)

KINDS = {
    "gained": "Can be earned now",
    "removed": "Cannot be earned any more",
    "renamed": "Is called something else",
    "harder": "Is harder",
    "easier": "Is easier",
    "changed": "Is earned in another way",
    "points": "Gives other points",
    "visibility": "Is shown in another way",
    "metric": "Is measured in another way",
    "xp": "XP is given otherwise",
    "levels": "Levels start elsewhere",
    "challenges": "Challenges are others",
    "told": "Says something else to who is told of it",
    "look": "Looks different",
}
LOOK = ("description", "message", "icon", "color_from", "color_to", "category", "type", "translations")
TOLD = ("metadata", "context")
SHOWN = ("secret", "is_public", "revocable")
WORTH = ("points", "xp", "rarity")
REPLAY = "what users did before counts only after a replay"


class Compiled(NamedTuple):
    """A catalog and the numbering that it alone comes to."""

    program: CatalogProgram
    ledger: Ledger

    @property
    def meanings(self) -> dict[str, str]:
        """Metric -> a hash of all that decides its value."""
        start = len(self.program.catalog) + 1
        return dict(identity[start:].partition("#")[::2] for identity in self.ledger.metrics)


class Change(NamedTuple):
    """Shapes: `kind` is one of KINDS, `subject` the key of what changed."""

    kind: str
    subject: str
    told: str
    needs_replay: bool = False


def changes(old: Compiled, new: Compiled) -> list[Change]:
    """In the order of KINDS, then as the catalog lists them."""
    found = [
        *achievement_changes(old, new),
        *metric_changes(old, new),
        *xp_changes(old.program, new.program),
        *level_changes(old.program, new.program),
        *challenge_changes(old.program, new.program),
        *headline_changes(old.program, new.program),
    ]
    order = list(KINDS)
    return sorted(found, key=lambda change: order.index(change.kind))


# --- achievements ---


def achievement_changes(old: Compiled, new: Compiled) -> Iterator[Change]:
    before, after = earnable(old.program), earnable(new.program)
    wordings = Wording(old.program), Wording(new.program)
    gone = {name: entry for name, entry in before.items() if name not in after}
    for name, entry in after.items():
        if name in before:
            yield from Comparison(before[name], entry, *wordings).changes()
        elif (former := same_condition(entry, gone, *wordings)) is not None:
            del gone[former]
            yield Change("renamed", name, f"{former} has the key {name} now: who holds it earns it once more")
        else:
            yield gained(entry, wordings[1], old, new)
    for name, entry in gone.items():
        yield Change("removed", name, f"{entry.name}: who has it keeps it")


def earnable(program: CatalogProgram) -> dict[str, AchievementSpec]:
    return {entry.reference: entry for entry in program.achievements if entry.is_active}


def same_condition(
    entry: AchievementSpec, gone: dict[str, AchievementSpec], before: Wording, after: Wording
) -> str | None:
    """Which of the entries that are gone asked for the same."""
    told = after.achievement(entry)
    return next((name for name, each in gone.items() if before.achievement(each) == told), None)


def gained(entry: AchievementSpec, wording: Wording, old: Compiled, new: Compiled) -> Change:
    fresh = {metric for metric, meaning in new.meanings.items() if old.meanings.get(metric) != meaning}
    needs_replay = any(each.metric in fresh for each in comparisons(entry.when))
    past = f"; {REPLAY}" if needs_replay else ""
    return Change("gained", entry.reference, f"{entry.name}: {wording.achievement(entry)}{past}", needs_replay)


class Comparison:
    """One achievement, before and after."""

    def __init__(
        self, before: AchievementSpec, after: AchievementSpec, old_wording: Wording, new_wording: Wording
    ) -> None:
        self._before, self._after = before, after
        self._asked = old_wording.achievement(before), new_wording.achievement(after)

    def changes(self) -> Iterator[Change]:
        if self._before.name != self._after.name:
            yield self._change("renamed", f"{self._before.name} is called {self._after.name} now")
        if self._asked[0] != self._asked[1] and not self._asks_the_same():
            yield self._change(self._direction(), f"before: {self._asked[0]}; now: {self._asked[1]}")
        elif self._after.all_of is not None and self._before.requires != self._after.requires:
            yield self._change(self._direction(), self._members())
        for kind, names in (("points", WORTH), ("visibility", SHOWN), ("told", TOLD), ("look", LOOK)):
            told = [*self._differing(names)]
            if told:
                yield self._change(kind, "; ".join(told))

    def _change(self, kind: str, told: str) -> Change:
        return Change(kind, self._after.reference, told)

    def _members(self) -> str:
        """What a set takes in and lets go when its category changes. Who has it keeps it."""
        before, after = self._before.requires, self._after.requires
        taken = ", ".join(name for name in after if name not in before)
        dropped = ", ".join(name for name in before if name not in after)
        told = [f"it takes {taken} too"] * bool(taken) + [f"it takes {dropped} no longer"] * bool(dropped)
        return "; ".join(told)

    def _asks_the_same(self) -> bool:
        """Whether its words are others only because their order is, or a metric, which is told of the metric."""
        is_event = self._before.on or self._after.on
        return not is_event and asks_for(self._before, self._after) and asks_for(self._after, self._before)

    def _direction(self) -> str:
        if self._before.on or self._after.on:
            return "changed"
        if asks_for(self._after, self._before):
            return "harder"
        return "easier" if asks_for(self._before, self._after) else "changed"

    def _differing(self, names: tuple[str, ...]) -> Iterator[str]:
        for name in names:
            before, after = getattr(self._before, name), getattr(self._after, name)
            if before != after:
                yield f"{name.replace('_', ' ')} {said(before)} → {said(after)}"


def asks_for(more: AchievementSpec, less: AchievementSpec) -> bool:
    """Whether whoever has done what the one asks for has done what the other does."""
    return implies(more.when, less.when) and set(less.requires) <= set(more.requires)


def said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict) and value:
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    return str(value) if value or value == 0 else "nothing"


# --- the rest ---


def metric_changes(old: Compiled, new: Compiled) -> Iterator[Change]:
    """Metrics that keep their name and mean something else; they start at 0."""
    before, after = Wording(old.program), Wording(new.program)
    meanings = old.meanings
    for metric in new.program.metrics:
        meaning = meanings.get(metric.key)
        if metric.origin is None and meaning is not None and meaning != new.meanings[metric.key]:
            was, now = before.metric(metric.key), after.metric(metric.key)
            how = f"before: {was}; now: {now}" if was != now else "its events or its time zone are others"
            yield Change("metric", metric.key, f"{how}; it starts at 0, and {REPLAY}", True)


def xp_changes(old: CatalogProgram, new: CatalogProgram) -> Iterator[Change]:
    before, after = gifts(old), gifts(new)
    for told in after - before:
        yield Change("xp", XP, f"now {told}")
    for told in before - after:
        yield Change("xp", XP, f"no longer {told}")


def gifts(program: CatalogProgram) -> AbstractSet[str]:
    wording = Wording(program)
    feeds = (feed for metric in program.metrics if metric.kind == "xp" for feed in metric.feeds)
    return dict.fromkeys(map(wording.gift, feeds)).keys()


def level_changes(old: CatalogProgram, new: CatalogProgram) -> Iterator[Change]:
    if old.levels is None or new.levels is None:
        if old.levels or new.levels:
            yield Change("levels", "levels", "there are levels now" if new.levels else "there are none any more")
        return
    if old.levels.of != new.levels.of:
        yield Change("levels", "levels", f"levels go by {new.levels.of} now, no longer by {old.levels.of}")
    before, after = dict(enumerate(old.levels.starts, 1)), dict(enumerate(new.levels.starts, 1))
    if before != after:
        levels = sorted(before.keys() | after.keys())
        first = next(level for level in levels if before.get(level) != after.get(level))
        now = f"starts at {after[first]}" if first in after else "is not there any more"
        was = f"before at {before[first]}" if first in before else "and was not there before"
        yield Change("levels", "levels", f"level {first} {now}, {was}")


def challenge_changes(old: CatalogProgram, new: CatalogProgram) -> Iterator[Change]:
    before, after = challenges_of(old), challenges_of(new)
    wordings = Wording(old), Wording(new)
    for key in [*after, *(key for key in before if key not in after)]:
        was, now = (
            told_challenge(each.get(key), words) for each, words in zip((before, after), wordings, strict=True)
        )
        if was != now:
            yield Change("challenges", key, f"before: {was}; now: {now}")
    offers = [program.challenges.per_day if program.challenges else 0 for program in (old, new)]
    if offers[0] != offers[1]:
        yield Change("challenges", "per_day", f"{offers[0]} → {offers[1]} a day")


def headline_changes(old: CatalogProgram, new: CatalogProgram) -> Iterator[Change]:
    before, after = old.headline_streak, new.headline_streak
    if before != after:
        yield Change("look", "headline_streak", f"{said(before)} → {said(after)}")


def challenges_of(program: CatalogProgram) -> dict[str, ChallengeSpec]:
    return {each.key: each for each in program.challenges.offered} if program.challenges else {}


def told_challenge(challenge: ChallengeSpec | None, wording: Wording) -> str:
    if challenge is None:
        return "nothing"
    return f"{wording.condition(challenge.when)} on one day, for {challenge.xp} XP"
