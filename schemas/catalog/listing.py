"""What a catalog lists, written out: derived events, tiers and steps as achievements, members of sets, levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas.catalog.model import (
    LEVEL_MAX,
    Achievement,
    All,
    AtLeast,
    Catalog,
    Derivation,
    EventType,
    Field,
    Ladder,
    Levels,
    Look,
    Part,
    Step,
    Texts,
    Tier,
    Tiered,
)
from schemas.program import WHOLE_CATALOG


def all_events(catalog: Catalog) -> dict[str, EventType]:
    """The declared event types, then the types they derive."""
    return {**catalog.events, **derived_events(catalog.events)}


def derived_events(events: Mapping[str, EventType]) -> dict[str, EventType]:
    """The types that no publisher sends; a field of theirs is declared where it comes from."""
    return {
        derivation.type: EventType(topic=None, data=derived_fields(parent, derivation))
        for parent in events.values()
        for derivation in parent.derive
    }


def derived_fields(parent: EventType, derivation: Derivation) -> dict[str, Field]:
    return {name: field_at(parent, path) for name, path in derivation.data.items()}


def field_at(event: EventType, path: str) -> Field:
    """What a path points at. Raises: KeyError where the event declares no such field."""
    return Field(type="string") if path == "subject" else event.data[path.removeprefix("data.")]


def all_achievements(catalog: Catalog) -> list[Achievement]:
    """Every achievement with every default filled, in listing order: the entries, then the ladders' steps.

    Tiers stand one after the other where their achievement does, and share its place.
    """
    steps = (climb(catalog, ladder, step) for ladder in catalog.ladders for step in ladder.steps)
    listed = enumerate([*catalog.achievements, *steps], start=1)
    return [complete(catalog, each, order) for order, entry in listed for each in awards_of(catalog, entry)]


def awards_of(catalog: Catalog, entry: Achievement | Tiered) -> list[Achievement]:
    return [reach(catalog, entry, tier) for tier in entry.tiers] if isinstance(entry, Tiered) else [entry]


def climb(catalog: Catalog, ladder: Ladder, step: Step) -> Achievement:
    """A step as an achievement: its own words first, else the ladder's."""
    said = {**given(ladder), **given(step), "translations": inherited(ladder, step)}
    at = plain_number(step.at, places_of(catalog, ladder.metric))
    return _made(said, {"at": at}, {"when": AtLeast(metric=ladder.metric, at=step.at)})


def reach(catalog: Catalog, entry: Tiered, tier: Tier) -> Achievement:
    """A tier as an achievement: its own words first, else those of the whole."""
    said = {**given(entry), **given(tier), "translations": inherited(entry, tier)}
    named = {name: AtLeast(metric=entry.conditions[name], at=at) for name, at in tier.at.items()}
    fills = {name: plain_number(each.at, places_of(catalog, each.metric)) for name, each in named.items()}
    parts = tuple(named.values())
    facts = {
        "tier": tier.tier,
        "rank": catalog.tiers.index(tier.tier),
        "conditions": named,
        "when": parts[0] if len(parts) == 1 else All(of=parts),
    }
    return _made(said, {**fills, "tier": tier.tier}, facts)


def inherited(whole: Look, part: Step | Tier) -> dict[str, Texts]:
    """The translations of a part: its own, and of the whole those of texts that it does not say itself."""
    found = {}
    for tag in {**whole.translations, **part.translations}:
        own, shared = part.translations.get(tag, Texts()), whole.translations.get(tag, Texts())
        lacking = [name for name in Texts.model_fields if not getattr(own, name) and not getattr(part, name)]
        found[tag] = own.model_copy(update={name: getattr(shared, name) for name in lacking})
    return {tag: texts for tag, texts in found.items() if texts != Texts()}


def _made(said: dict[str, object], fills: Mapping[str, str], facts: Mapping[str, object]) -> Achievement:
    """An achievement of what an author said of it, the holes in its texts filled."""
    look = {name: value for name, value in said.items() if name in Achievement.model_fields}
    texts = {name: filled(str(said.get(name, "")), fills) for name in ("description", "message")}
    made = Achievement.model_validate({**look, **texts, **facts})
    translations = {tag: _filled(text, fills) for tag, text in made.translations.items()}
    return made.model_copy(update={"translations": translations}) if translations else made


def _filled(texts: Texts, fills: Mapping[str, str]) -> Texts:
    return Texts(**{name: filled(text, fills) for name, text in texts})


def filled(text: str, fills: Mapping[str, str]) -> str:
    for name, value in fills.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def given(part: Part) -> dict[str, object]:
    return {name: getattr(part, name) for name in part.model_fields_set}


def complete(catalog: Catalog, entry: Achievement, order: int) -> Achievement:
    defaults = {"points": catalog.points_by_rarity[entry.rarity], "type": entry.key, "order": order}
    missing = {name: value for name, value in defaults.items() if name not in entry.model_fields_set}
    return entry.model_copy(update=missing)


def given_xp(catalog: Catalog, entry: Achievement) -> int:
    """What an award gives: its own XP, else its points; nothing where awards give none."""
    if not catalog.xp_from_awards:
        return 0
    return entry.points if entry.xp is None else entry.xp


def is_given_often(entry: Achievement) -> bool:
    """Whether a user can hold several awards of it."""
    return entry.scope is not None or (entry.window is not None and entry.window.every is not None)


def members_of(entries: Iterable[Achievement], whole: Achievement) -> list[str]:
    """References to what a set takes: active, open to see and at all times, no set; of tiers the lowest."""
    lowest: dict[str, str] = {}
    for entry in entries:
        if counts_in_sets(entry) and whole.all_of in (WHOLE_CATALOG, entry.category):
            lowest.setdefault(entry.key, entry.reference)
    return list(lowest.values())


def counts_in_sets(entry: Achievement) -> bool:
    return entry.is_active and not entry.secret and entry.window is None and entry.all_of is None


def level_starts(levels: Levels, places: int) -> list[int]:
    """Where every level starts, level 1 first, in the unit of the metric."""
    if levels.triangular is None:
        return list(levels.starts)
    unit = levels.triangular * 10**places
    return [unit * level * (level - 1) for level in range(1, LEVEL_MAX + 1)]


def places_of(catalog: Catalog, metric: str) -> int:
    """Decimal places of a metric's value: those of the field it sums or keeps, else none."""
    folded = catalog.metrics.get(metric)
    if folded is None or folded.of is None:
        return 0
    event = all_events(catalog).get(folded.plus[0].type)
    field = event.data.get(folded.of) if event else None
    return field.places if field else 0


def plain_number(scaled: int, places: int) -> str:
    """950 with 2 places reads 9.5."""
    if not places:
        return str(scaled)
    digits = str(abs(scaled)).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")
    return f"-{text}" if scaled < 0 else text
