"""What a new version of the catalogs changes for what users did before, and what it takes to make up for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple

from msgspec.structs import replace

from processor.replay.excerpt import Aim, needs_of, types_of
from schemas.program import (
    XP,
    AchievementSpec,
    All,
    Any,
    AtLeast,
    CatalogProgram,
    CatalogRecord,
    Condition,
    EventSpec,
    MetricSpec,
    Program,
    comparisons,
    implies,
)
from schemas.replays import Named, ReplayNote
from schemas.state import Control

Kind = Literal["nothing", "sweep", "fold_and_merge", "full"]
AS_IT_IS = "publish it with --from-now to let it count from now on only"


Meaning = tuple[str, str, int]
"""A catalog, a metric of it and its slot: another slot is another meaning."""


class Unfinished(NamedTuple):
    """What replays have left or are at, by the notes of the partitions.

    Shapes: muted and filling are those of cancelled replays, which nobody took over; taken is what a replay that is
    not activated has, and its id; late are the metrics whose past nobody has filled, and since which version they
    count.
    """

    muted: AbstractSet[Named] = frozenset()
    filling: AbstractSet[Named] = frozenset()
    taken: Mapping[Named, str] = {}
    late: Mapping[Meaning, int] = {}


def unfinished_in(controls: Iterable[Control], records: Iterable[CatalogRecord] = ()) -> Unfinished:
    """What the control records of all partitions say. Shapes: records, every published version, oldest first."""
    controls = [*controls]
    records = that_counted(records, controls)
    notes = [(name, note) for control in controls for name, note in control.replays.items()]
    left = [note for _, note in notes if note.phase == "cancelled"]
    going = [(name, note) for name, note in notes if note.phase in ("filling", "ready")]
    return Unfinished(
        muted={each for note in left for each in note.muted},
        filling={each for note in left for each in note.filling},
        taken={each: name for name, note in going for each in [*note.muted, *note.filling]},
        late=_late(records, [note for _, note in notes if note.phase != "cancelled"]),
    )


def that_counted(records: Iterable[CatalogRecord], controls: Collection[Control]) -> list[CatalogRecord]:
    """Less the versions that were published before the first event of all was folded, and followed by others."""

    def began(catalog: str) -> int:
        return min((control.began.get(catalog, 0) for control in controls), default=0)

    return [each for each in records if each.version >= began(each.catalog)]


def _late(records: Iterable[CatalogRecord], notes: Collection[ReplayNote]) -> dict[Meaning, int]:
    """What came with a version that was not the first to read its topics, and was not filled."""
    began: dict[Meaning, int] = {}
    read: set[tuple[str, str]] = set()
    late: dict[Meaning, int] = {}
    for record in records:
        for metric in record.program.metrics:
            meaning = record.catalog, metric.key, metric.slot
            is_new = began.setdefault(meaning, record.version) == record.version
            if is_new and metric.key != XP and read & _topics_of(record.program, metric):
                late[meaning] = record.version
        read |= {_place(record.program, event) for event in record.program.events}
    return {each: at for each, at in late.items() if not any(_has_filled(note, each, at) for note in notes)}


def _topics_of(program: CatalogProgram, metric: MetricSpec) -> set[tuple[str, str]]:
    types = {feed.type for feed in (*metric.feeds, *metric.freezes)}
    return {_place(program, event) for event in program.events if event.type in types}


def _place(program: CatalogProgram, event: EventSpec) -> tuple[str, str]:
    """What catalogs derive is one topic, but each reads its own there."""
    return ("", event.topic) if event.topic is not None else (program.catalog, "")


def _has_filled(note: ReplayNote, meaning: Meaning, version: int) -> bool:
    catalog, key, _ = meaning
    fills = note.promoted or (catalog, key) in note.filling
    return fills and note.catalogs.get(catalog, 0) >= version


class Changes(NamedTuple):
    """What has to be done, and why.

    Shapes: muted are the achievements that wait until the replay is activated, and filling the metrics whose past
    is folded; wanted are running ones that were named, whose past is looked at again; removed and harder are the
    awards that the policy is about; conflicts are what waits for something another replay has, and its id; types
    maps a topic to the event types whose past is read.
    """

    kind: Kind
    why: list[str]
    muted: list[Named]
    filling: list[Named]
    wanted: list[Named]
    removed: list[Named]
    harder: list[Named]
    conflicts: dict[Named, str]
    types: dict[str, list[str]]


def changes(
    running: Program, new: Program, unfinished: Unfinished, wanted: Collection[Named] | None = None
) -> Changes:
    """What it takes to go from one program to another, or to look again at the past of what is wanted."""
    found = [_Succession(running, catalog, unfinished) for catalog in new.catalogs]
    filling = [] if wanted is not None else _named(found, "filling")
    muted = [] if wanted is not None else _named(found, "muted")
    aim = Aim(filling, muted if wanted is None else wanted)
    obstacles = [*_obstacles(running, new), *_xp_obstacles(new, aim), *_late_obstacles(new, aim, unfinished)]
    obstacles += _unfilled(found, wanted or ())
    return Changes(
        kind=_kind(obstacles, filling, aim.awards),
        why=obstacles or _reasons(aim, wanted is not None),
        muted=muted,
        filling=filling,
        wanted=list(wanted or ()),
        removed=_named(found, "removed"),
        harder=_named(found, "harder"),
        conflicts=_conflicts(new, aim, unfinished),
        types=dict(types_of(new, aim)),
    )


def _kind(obstacles: Collection[str], filling: Collection[Named], awards: Collection[Named]) -> Kind:
    if obstacles:
        return "full"
    if filling:
        return "fold_and_merge"
    return "sweep" if awards else "nothing"


def _reasons(aim: Aim, is_wanted: bool) -> list[str]:
    said = {
        f"new is what {_listed(aim.filling)} counts: its past is folded aside and merged": aim.filling,
        f"users may have earned {_listed(aim.awards)} before: their past is looked at": aim.awards,
    }
    return [reason for reason, about in said.items() if about] or ["nothing new is counted or earned"]


def _listed(names: Collection[Named]) -> str:
    return ", ".join(f"{catalog}/{name}" for catalog, name in names)


def _named(found: Iterable[_Succession], what: str) -> list[Named]:
    return [(each.name, name) for each in found for name in getattr(each, what)]


class _Succession:
    """A catalog, and the version of it that runs."""

    def __init__(self, running: Program, new: CatalogProgram, unfinished: Unfinished) -> None:
        old = next((each for each in running.catalogs if each.catalog == new.catalog), None)
        self.name = new.catalog
        self._left = {name for catalog, name in unfinished.muted if catalog == new.catalog}
        self._old = {spec.reference: spec for spec in old.achievements if spec.is_active} if old else {}
        self._new = {spec.reference: spec for spec in new.achievements}
        self._slots_before = _slots(old.metrics) if old else {}
        self._slots = _slots(new.metrics)
        self._metrics = {metric.key: metric for metric in new.metrics}
        unfilled = {name for catalog, name in unfinished.filling if catalog == new.catalog}
        known = {slot for key, slot in self._slots_before.items() if key not in unfilled}
        self.filling = [metric.key for metric in new.metrics if metric.slot not in known and metric.key != XP]
        self._remembered = {
            each.number
            for spec in self._old.values()
            if spec.reference not in self._left
            for each in comparisons(spec.when)
        }

    @property
    def muted(self) -> list[str]:
        past = {spec.reference for spec in self._new.values() if spec.is_active and self._has_a_past(spec)}
        hanging = {each for each in self._hanging_on(past) if self._may_have_passed(self._new[each])}
        wait = past | hanging
        return [spec.reference for spec in self._new.values() if spec.is_active and spec.reference in wait]

    def _hanging_on(self, references: AbstractSet[str]) -> set[str]:
        """What requires one of these, directly or not."""
        found, more = set[str](), set(references)
        while more:
            more = {spec.reference for spec in self._new.values() if not more.isdisjoint(spec.requires)} - found
            found |= more
        return found

    def _may_have_passed(self, spec: AchievementSpec) -> bool:
        """Whether its condition may have held while what it requires was held, and not hold any more."""
        metrics = [self._metrics[each.metric] for each in comparisons(spec.when)]
        return any(not each.only_grows and each.key != XP for each in metrics)

    @property
    def removed(self) -> list[str]:
        """What nobody can earn any more."""
        active = {reference for reference, spec in self._new.items() if spec.is_active}
        return [reference for reference in self._old if reference not in active]

    @property
    def harder(self) -> list[str]:
        """What was earned under the old condition without the new one being met."""
        kept = self._old.keys() - {*self.removed}
        both = ((spec, self._new[reference]) for reference, spec in self._old.items() if reference in kept)
        return [old.reference for old, new in both if self._may_be_unearned(old, new)]

    def _may_be_unearned(self, old: AchievementSpec, new: AchievementSpec) -> bool:
        """A set is kept when its category grows."""
        asks_more = new.all_of is None and not set(new.requires) <= set(old.requires)
        return asks_more or not _gives(old, self._slots_before, new, self._slots)

    def _has_a_past(self, new: AchievementSpec) -> bool:
        """Whether somebody may have earned it, or a part of it, without having been told."""
        old = self._old.get(new.reference)
        if old is None or new.reference in self._left:
            return True
        met = list(comparisons(new.when))
        if any(each.metric in self.filling for each in met):
            return True
        if any(each.number is not None and each.number not in self._remembered for each in met):
            return True
        asks_less = not set(old.requires) <= set(new.requires)
        return asks_less or not _gives(new, self._slots, old, self._slots_before)


def _gives(
    one: AchievementSpec, slots: Mapping[str, int], other: AchievementSpec, others: Mapping[str, int]
) -> bool:
    """Whether who meets the conditions of the one has met those of the other, too."""
    return _ways(one) == _ways(other) and implies(_placed(one.when, slots), _placed(other.when, others))


def _slots(metrics: Iterable[MetricSpec]) -> dict[str, int]:
    return {metric.key: metric.slot for metric in metrics}


def _ways(spec: AchievementSpec) -> tuple[object, ...]:
    """How an achievement is earned, but for its conditions."""
    return spec.on, spec.scope, spec.window, spec.all_of


def _placed(condition: Condition, slots: Mapping[str, int]) -> Condition:
    """A condition by slots: a metric of another meaning is another one, whatever it is called."""
    if isinstance(condition, AtLeast):
        return AtLeast(metric=str(slots[condition.metric]), at=condition.at)
    parts = [_placed(part, slots) for part in condition.of]
    return All(of=parts) if isinstance(condition, All) else Any(of=parts)


def _conflicts(new: Program, aim: Aim, unfinished: Unfinished) -> dict[Named, str]:
    """What this would fill, mute or wait for while another replay has it."""
    needed = {
        (catalog.catalog, name) for catalog in new.catalogs for names in needs_of(catalog, aim) for name in names
    }
    return {name: unfinished.taken[name] for name in sorted(needed) if name in unfinished.taken}


# --- what no replay of a part can make up for ---


def _obstacles(running: Program, new: Program) -> list[str]:
    """Reasons why everything would have to be folded anew."""
    before = {catalog.catalog: catalog for catalog in running.catalogs}
    return [reason for new_one in new.catalogs for reason in _obstacles_of(before.get(new_one.catalog), new_one)]


def _obstacles_of(old: CatalogProgram | None, new: CatalogProgram) -> Iterator[str]:
    if old is None:
        old = replace(new, metrics=[], achievements=[], events=[], levels=None)
    yield from _event_obstacles(old, new)
    if old.repartition != new.repartition:
        yield f"catalog '{new.catalog}' repartitions other topics than before: {AS_IT_IS}"
    if _xp_of(old) != _xp_of(new):
        yield (
            f"catalog '{new.catalog}' gives XP by other rules than before, to be reckoned from the first event on: "
            f"{AS_IT_IS}; what was given stays"
        )
    if _levels_of(old) != _levels_of(new) and new.levels is not None and not _begins_anew(old, new):
        yield f"levels of catalog '{new.catalog}' begin elsewhere, and who was told which is not known: {AS_IT_IS}"


def _event_obstacles(old: CatalogProgram, new: CatalogProgram) -> Iterator[str]:
    before = {(spec.topic, spec.type): spec for spec in old.events}
    used = {feed.type for metric in new.metrics for feed in (*metric.feeds, *metric.freezes)}
    used |= {feed.type for spec in new.achievements for feed in spec.on}
    for spec in new.events:
        was = before.get((spec.topic, spec.type))
        rules = [rule for rule in spec.derive if rule.type in used]
        if rules and (was is None or any(rule not in was.derive for rule in rules)):
            derived = ", ".join(rule.type for rule in rules)
            yield f"'{spec.type}' derives {derived} by a rule that no event of before went by: {AS_IT_IS}"
        if was is not None and spec.type in used and _is_stricter(was, spec):
            yield f"'{spec.type}' refuses events that were taken before: {AS_IT_IS}"


def _is_stricter(was: EventSpec, spec: EventSpec) -> bool:
    """Whether a field is of another type, or required that was not: who was counted might not be any more."""
    fields = {field.name: field for field in was.fields}
    if was.schemaversion != spec.schemaversion:
        return True
    for field in spec.fields:
        known = fields.get(field.name)
        if known is None and not field.optional:
            return True
        if known is not None and (
            (known.type, known.places) != (field.type, field.places) or (known.optional and not field.optional)
        ):
            return True
    return False


def _xp_of(catalog: CatalogProgram) -> object:
    """The rules by which XP is given; what a new award gives is no other rule."""
    return next((metric.feeds for metric in catalog.metrics if metric.key == XP), None)


def _levels_of(catalog: CatalogProgram) -> object:
    levels = catalog.levels
    if levels is None:
        return None
    slot = next(metric.slot for metric in catalog.metrics if metric.key == levels.of)
    return slot, levels.starts


def _begins_anew(old: CatalogProgram, new: CatalogProgram) -> bool:
    """Whether there were no levels, and what they are of is new: then it crosses each of them in the fold."""
    slots = {metric.slot for metric in old.metrics}
    return (
        old.levels is None
        and new.levels is not None
        and all(metric.slot not in slots for metric in new.metrics if metric.key == new.levels.of)
    )


def _xp_obstacles(new: Program, aim: Aim) -> Iterator[str]:
    for catalog in new.catalogs:
        if needs_of(catalog, aim).xp:
            yield (
                f"in catalog '{catalog.catalog}' something new waits for XP, which all that gives XP would have to "
                f"be folded for: {AS_IT_IS}"
            )


def _late_obstacles(new: Program, aim: Aim, unfinished: Unfinished) -> Iterator[str]:
    """The past of what waits for them would be looked for in events that they have not counted."""
    for catalog in new.catalogs:
        needed = needs_of(catalog, aim).metrics - {key for name, key in aim.filling if name == catalog.catalog}
        for metric in catalog.metrics:
            since = unfinished.late.get((catalog.catalog, metric.key, metric.slot))
            if since is not None and metric.key in needed:
                yield (
                    f"'{metric.key}' of catalog '{catalog.catalog}' counts only what came since version {since}, "
                    f"so that who has earned what waits for it is not in the log alone: {AS_IT_IS}"
                )


def _unfilled(found: Iterable[_Succession], wanted: Collection[Named]) -> Iterator[str]:
    """Wanted ones whose metrics have no past yet."""
    for each in found:
        new = sorted({name for catalog, name in wanted if catalog == each.name} & set(each.muted))
        if new:
            yield f"{', '.join(new)} of catalog '{each.name}' are new: replay the version that brings them"
