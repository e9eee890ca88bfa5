"""The words of an entry in a reader's language: `fr-CA`, else `fr`, else the catalog's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.program import AchievementSpec, CatalogProgram, ChallengeSpec, LevelsSpec, Texts

HOLE = re.compile(r"\{(\w+)\}")


def texts_of(entry: AchievementSpec | ChallengeSpec | LevelsSpec, language: str | None) -> Texts:
    """What is not said in the language is said in the next one, each text for itself."""
    own = Texts(name=entry.name, description=entry.description, message=entry.message)
    spoken = [entry.translations[tag] for tag in fallbacks(language, entry.translations)] + [own]
    return Texts(
        name=_first(texts.name for texts in spoken),
        description=_first(texts.description for texts in spoken),
        message=_first(texts.message for texts in spoken),
    )


def category_title(program: CatalogProgram, category: str, language: str | None) -> str:
    titles = program.category_titles.get(category, {})
    own = dict(program.categories).get(category) or category.replace("_", " ").capitalize()
    return _first([*(titles[tag] for tag in fallbacks(language, titles)), own])


def fallbacks(language: str | None, known: Mapping[str, object]) -> Iterator[str]:
    """The tags that serve a language, most exact first, whatever the case they are written in."""
    written = {tag.lower(): tag for tag in known}
    wanted = (language or "").lower().replace("_", "-")
    while wanted:
        if wanted in written:
            yield written[wanted]
        wanted = wanted.rpartition("-")[0]


def filled(text: str, values: Mapping[str, Any]) -> str:
    """`{name}` becomes what it stands for; what nothing fills stays, and so do braces in the values."""
    return HOLE.sub(lambda hole: str(values.get(hole[1], hole[0])), text)


def _first(texts: Iterator[str] | list[str]) -> str:
    return next((text for text in texts if text), "")
