"""The part of a program that a replay folds: what it is about and all that this needs, with numbers of its own.

States are small this way, however large the namespace's ledger has become. Events are read as the whole program
reads them, so that what it refuses is refused here too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from processor.evaluator.compile import Numbering
from schemas.events import EventKey, commands, event_key, event_specs
from schemas.program import (
    CLAIMS_WINDOW,
    COMMANDS_MARK,
    DERIVED_MARK,
    XP,
    AchievementSpec,
    CatalogProgram,
    ChallengesSpec,
    EventSpec,
    Ledger,
    LevelsSpec,
    MetricSpec,
    Program,
    comparisons,
)
from schemas.replays import Named
from schemas.state import slots_of


class Aim(NamedTuple):
    """What a replay is about.

    Shapes: filling are metrics whose past is folded; awards are achievements of which every crossing is told; of
    judged ones it is only asked whether the fold gives them.
    """

    filling: Collection[Named] = ()
    awards: Collection[Named] = ()
    judged: Collection[Named] = ()


class Span(NamedTuple):
    """Slots of a metric in a row. Shapes: own, the first one here; real, the first one in the users' states."""

    own: int
    real: int
    width: int


class Excerpt(NamedTuple):
    """Shapes: types maps a topic to the event types that are folded; spans are those of the filling metrics; from
    free_number on no award and no condition has a number.
    """

    program: Program
    free_number: int
    types: dict[str, list[str]]
    spans: list[Span]


class Needs(NamedTuple):
    """What of a catalog is folded: keys of metrics, references of achievements."""

    metrics: frozenset[str]
    achievements: frozenset[str]

    @property
    def xp(self) -> bool:
        return XP in self.metrics


def excerpt_of(program: Program, aim: Aim) -> Excerpt:
    """What a fold for this aim needs of a program."""
    cutting = Cutting(program)
    for catalog in program.catalogs:
        needs = needs_of(catalog, aim)
        if needs.metrics or needs.achievements:
            cutting.add(catalog, needs, {key for name, key in aim.filling if name == catalog.catalog})
    return cutting.excerpt()


def needs_of(catalog: CatalogProgram, aim: Aim) -> Needs:
    """The closure: awards need what they require and the metrics they wait for; XP needs all that gives XP."""
    filling = {key for name, key in aim.filling if name == catalog.catalog}
    named = {reference for name, reference in (*aim.awards, *aim.judged) if name == catalog.catalog}
    awards = required(catalog, named)
    metrics = filling | {each.metric for spec in _named(catalog, awards) for each in comparisons(spec.when)}
    if XP in metrics:
        metrics = {metric.key for metric in catalog.metrics}
        awards = {spec.reference for spec in catalog.achievements}
    return Needs(frozenset(metrics), frozenset(awards))


def required(catalog: CatalogProgram, references: Collection[str]) -> set[str]:
    """These achievements and all that they require, directly or not."""
    requires = {spec.reference: spec.requires for spec in catalog.achievements}
    found: set[str] = set()
    coming = list(references)
    while coming:
        reference = coming.pop()
        if reference not in found:
            found.add(reference)
            coming += requires.get(reference, ())
    return found


def _named(catalog: CatalogProgram, references: Collection[str]) -> Iterator[AchievementSpec]:
    return (spec for spec in catalog.achievements if spec.reference in references)


class Cutting:
    """Puts an excerpt together, catalog by catalog."""

    def __init__(self, program: Program) -> None:
        self._program, self._united = program, event_specs(program)
        self._numbering = Numbering(Ledger())
        self._catalogs: list[CatalogProgram] = []
        self._types: dict[str, set[str]] = {}
        self._spans: list[Span] = []

    def excerpt(self) -> Excerpt:
        program = replace(self._program, catalogs=self._catalogs, ledger=self._numbering.ledger())
        free = 1 + max(self._program.ledger.awards.values(), default=0)
        types = {topic: sorted(types) for topic, types in sorted(self._types.items())}
        return Excerpt(program, free, types, self._spans)

    def add(self, catalog: CatalogProgram, needs: Needs, filling: Collection[str]) -> None:
        kept = [metric for metric in catalog.metrics if metric.key in needs.metrics]
        achievements = [self._achievement(catalog, spec) for spec in _named(catalog, needs.achievements)]
        self._catalogs.append(
            replace(
                catalog,
                events=self._events(catalog, folded_types(kept, achievements)),
                metrics=[self._metric(catalog, metric, metric.key in filling) for metric in kept],
                achievements=achievements,
                levels=self._levels(catalog, filling),
                challenges=self._challenges(catalog) if needs.xp else None,
                repartition=sorted(self._program.repartitioned),
            )
        )

    def _events(self, catalog: CatalogProgram, types: Collection[str]) -> list[EventSpec]:
        """The types that move something, and those from which such a type is derived."""
        found = []
        for spec in catalog.events:
            derive = [rule for rule in spec.derive if rule.type in types]
            key = event_key(catalog, spec, self._program)
            if spec.type in types:
                self._types.setdefault(key[0], set()).add(spec.type)
            if spec.type in types or derive:
                found.append(self._event(key, derive))
        return found

    def _event(self, key: EventKey, derive: Sequence[object]) -> EventSpec:
        spec = self._united[key]
        self._numbering.mark(DERIVED_MARK if key[0] == self._program.derived else key[0])
        return replace(spec, derive=derive, window=self._numbering.window("/".join(key)))

    def _metric(self, catalog: CatalogProgram, metric: MetricSpec, is_filling: bool) -> MetricSpec:
        identity, slots = f"{catalog.catalog}/{metric.key}", slots_of(metric)
        own = replace(metric, slot=self._numbering.metric(identity, slots))
        spans = [Span(own.slot, metric.slot, len(slots))]
        if metric.edges is not None:
            own = replace(own, edges=self._numbering.extra(f"edges/{identity}", "bytes"))
            spans.append(Span(own.edges or 0, metric.edges, 1))
        if metric.used is not None:  # follows from the others: it is no part of what is sent
            own = replace(own, used=self._numbering.extra(f"used/{identity}", "none"))
        self._spans += spans if is_filling else []
        return own

    def _achievement(self, catalog: CatalogProgram, spec: AchievementSpec) -> AchievementSpec:
        """Nothing is said of it here: what it would say of an event is not looked at."""
        own = replace(spec, context={}, metadata={})
        if spec.scopes is None:
            return own
        return replace(own, scopes=self._numbering.extra(f"scopes/{catalog.catalog}/{spec.reference}", "bytes"))

    def _levels(self, catalog: CatalogProgram, filling: Collection[str]) -> LevelsSpec | None:
        levels = catalog.levels
        if levels is None or levels.of not in filling:
            return None
        return replace(levels, slot=self._numbering.extra(f"level/{catalog.catalog}", "zero"))

    def _challenges(self, catalog: CatalogProgram) -> ChallengesSpec | None:
        if catalog.challenges is None:
            return None
        self._numbering.mark(COMMANDS_MARK)
        self._numbering.window(CLAIMS_WINDOW)
        for topic, _, name in commands(self._program):
            self._types.setdefault(topic, set()).add(name)
        slot = self._numbering.extra(f"claims/{catalog.catalog}", "bytes")
        return replace(catalog.challenges, slot=slot)


def folded_types(metrics: Sequence[MetricSpec], achievements: Sequence[AchievementSpec]) -> set[str]:
    """The event types that move these metrics, or are these awards."""
    moving = (feed for metric in metrics for feed in (*metric.feeds, *metric.freezes))
    return {feed.type for feed in (*moving, *(feed for spec in achievements for feed in spec.on))}


def types_of(program: Program, aim: Aim) -> Mapping[str, list[str]]:
    """Topic -> the event types whose past a replay with this aim reads."""
    return excerpt_of(program, aim).types
