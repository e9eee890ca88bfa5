"""A catalog as people read it: what there is to earn, in order, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from progress.wording import Wording, spoken
from schemas.program import AchievementSpec, CatalogProgram

LEVELS_SHOWN = 10


class Badge(NamedTuple):
    """One achievement, or one tier of it. Shapes: `reward` as `50 points, 20 XP`; `how` in words."""

    name: str
    tier: str
    description: str
    how: str
    rarity: str
    reward: str
    notes: str


class Entry(NamedTuple):
    """The tiers of one key, or the one badge there is. Shapes: colours are empty where there are none."""

    key: str
    name: str
    icon: str
    color_from: str
    color_to: str
    badges: list[Badge]


class Section(NamedTuple):
    title: str
    entries: list[Entry]


class Fact(NamedTuple):
    """A line of a table with a name in front."""

    name: str
    told: str


@dataclass(frozen=True)
class Page:
    """Shapes: `tables` is title -> its lines, empty ones left out."""

    title: str
    about: str
    sections: list[Section]
    tables: dict[str, list[Fact]]


def page_of(program: CatalogProgram, with_secret: bool) -> Page:
    entries = [entry for entry in program.achievements if with_secret or not entry.secret]
    shown = [entry for entry in entries if entry.is_active]
    tables = {
        "Levels": levels(program),
        "Daily challenges": challenges(program),
        "XP": gifts(program),
        "What is measured": metrics(program),
    }
    return Page(
        title=spoken(program.catalog).capitalize(),
        about=about(program, shown, hidden=len(program.achievements) - len(entries)),
        sections=sections(program, shown),
        tables={title: facts for title, facts in tables.items() if facts},
    )


def about(program: CatalogProgram, shown: list[AchievementSpec], hidden: int) -> str:
    count = len({entry.key for entry in shown})
    secret = f" and {hidden} more that are secret" if hidden else ""
    return f"Version {program.version}: {count} achievements{secret}. Days are counted in {program.timezone}."


def sections(program: CatalogProgram, shown: list[AchievementSpec]) -> list[Section]:
    """By category: those that the catalog lists in their order, then the others as they come."""
    titles = dict(program.categories)
    keys = [*titles, *dict.fromkeys(entry.category for entry in shown if entry.category not in titles)]
    found = [
        Section(
            titles.get(key) or spoken(key).capitalize() or "Achievements",
            entries_of(program, [each for each in shown if each.category == key]),
        )
        for key in keys
    ]
    return [section for section in found if section.entries]


def entries_of(program: CatalogProgram, shown: list[AchievementSpec]) -> list[Entry]:
    wording = Wording(program)
    grouped: dict[str, list[AchievementSpec]] = {}
    for each in sorted(shown, key=lambda entry: (entry.order, entry.rank)):
        grouped.setdefault(each.key, []).append(each)
    return [entry_of(tiers, wording) for tiers in grouped.values()]


def entry_of(tiers: list[AchievementSpec], wording: Wording) -> Entry:
    face = tiers[0]
    badges = [badge_of(each, wording) for each in tiers]
    return Entry(face.key, face.name, face.icon, face.color_from, face.color_to, badges)


def badge_of(entry: AchievementSpec, wording: Wording) -> Badge:
    worth = [f"{entry.points} points"] * bool(entry.points) + [f"{entry.xp} XP"] * bool(entry.xp)
    notes = ["secret"] * entry.secret + ["can be lost again"] * (entry.revocable != "no")
    return Badge(
        name=entry.name,
        tier=entry.tier or "",
        description=entry.description,
        how=wording.achievement(entry),
        rarity=entry.rarity,
        reward=", ".join(worth),
        notes=", ".join(notes),
    )


def levels(program: CatalogProgram) -> list[Fact]:
    if program.levels is None:
        return []
    of = spoken(program.levels.of) if program.levels.of != "xp" else "XP"
    starts = program.levels.starts[:LEVELS_SHOWN]
    return [Fact(f"Level {level}", f"from {start} {of} on") for level, start in enumerate(starts, 1)]


def challenges(program: CatalogProgram) -> list[Fact]:
    if program.challenges is None:
        return []
    wording = Wording(program)
    return [
        Fact(each.name, f"{wording.condition(each.when)}, within one {each.every}: {each.xp} XP")
        for each in program.challenges.offered
    ]


def gifts(program: CatalogProgram) -> list[Fact]:
    wording = Wording(program)
    feeds = [feed for metric in program.metrics if metric.kind == "xp" for feed in metric.feeds]
    return [Fact(spoken(feed.type), wording.gift(feed)) for feed in feeds]


def metrics(program: CatalogProgram) -> list[Fact]:
    wording = Wording(program)
    return [
        Fact(each.key, wording.metric(each.key))
        for each in program.metrics
        if each.origin is None and each.kind != "xp"
    ]
