"""Is every part of a file of the shape the language wants? What is not, in an author's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.catalog import language, spelling
from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.language import Written
from schemas.catalog.unfinished import NOT_WRITTEN

T = TypeVar("T", bound=Written)
Saying = tuple[str, str]  # what is wrong, and the remedy

NOT_YET_REMEDY = "leave it out: it is never silently ignored"

PARTS: dict[str, type[Written]] = {  # by the word they stand behind
    "derive": language.WrittenDerivation,
    "steps": language.WrittenStep,
    "tiers": language.WrittenTier,
    "categories": language.WrittenCategory,
    "categories.translations": language.WrittenTitle,
    "translations": language.WrittenTexts,
    "topics": language.WrittenTopic,
    "window": language.WrittenWindow,
    "list": language.WrittenChallenge,
    **dict.fromkeys(
        ("count", "sum", "max", "latest", "distinct", "streak", "minus", "on", "freezes"), language.FeedTests
    ),
}

WHOLE: dict[type[Written], type[Written]] = {language.WrittenHeader: language.WrittenCatalog}

PATTERNS: dict[str, Saying] = {
    spelling.KEY_PATTERN: ("is no key", "write a-z, 0-9 and _, a letter or digit first"),
    spelling.EVENT_PATTERN: ("is no event type", "write letters, digits, '_', '.' and '-'"),
    spelling.FIELD_PATTERN: ("is no field name", "write letters, digits, '_' and '-', a letter first"),
    spelling.PATH_PATTERN: ("is no field of the event's data", "write `data.` and the field's name"),
    spelling.TOPIC_PATTERN: ("is no Kafka topic", "write letters, digits, '.', '_' and '-'"),
    spelling.TEXT_PATTERN: ("holds a control character", "write it without"),
    spelling.COLOR_PATTERN: ("is no colour", "write a name such as `blue-500`, or `#1e90ff`"),
    spelling.REFERENCE_PATTERN: ("is no key", "write an achievement's key, or `key/tier`"),
    spelling.LANGUAGE_PATTERN: ("is no language", "write its tag: `fr`, `pt-BR`"),
    spelling.DATE_PATTERN: ("is no date", "write year-month-day: 2026-06-01"),
    spelling.FIELD_TYPE_PATTERN: (
        "is no field type",
        "write string, integer, boolean, decimal(1) to decimal(9) or [string], with a ? when it may be absent",
    ),
}

IDLE_WORDS: dict[str, object] = {  # no other finding hangs on them; where one is needed, what stands in for it
    **dict.fromkeys(("description", "message", "icon", "color_from", "color_to", "rarity", "points", "type")),
    **dict.fromkeys(("order", "secret", "timezone", "headline_streak", "points_by_rarity")),
    **dict.fromkeys(("is_public", "translations", "default_language")),
    "name": "unnamed",
    "catalog": "unnamed",
    "version": 1,
}

WANTED: dict[str, Saying] = {
    "string_type": ("a text", "write a text, in quotes if it looks like something else"),
    "int_type": ("a whole number", "write a whole number, without quotes"),
    "bool_type": ("true or false", "write true or false"),
    "list_type": ("a list", "write `- …` lines, or […]"),
    "dict_type": ("a mapping", "write `name: value` lines, or {name: value}"),
    "model_type": ("a mapping", "write `name: value` lines, or {name: value}"),
}


def shaped(model: type[T], data: object, path: Path, report: Report) -> T | None:
    """The part as the language spells it; with findings, what can still be judged of it, or None."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for detail in error.errors():
            place = tuple(step for step in detail["loc"] if step != "[key]")
            report.add((*path, *place), *saying(detail, model))
        return remainder(model, data, {str(detail["loc"][0]) for detail in error.errors() if detail["loc"]})


def remainder(model: type[T], data: object, bad: set[str]) -> T | None:
    """The part without its bad words, where these say nothing that the rest is judged by."""
    words = {name for name in bad if name in model.model_fields}
    if not bad or not isinstance(data, dict) or not words <= set(IDLE_WORDS):
        return None
    kept = {name: value for name, value in data.items() if name not in bad}
    stand_ins = {name: IDLE_WORDS[name] for name in words if IDLE_WORDS[name] is not None}
    try:
        return model.model_validate({**kept, **stand_ins})
    except ValidationError:
        return None


def check_names(names: Iterable[str], pattern: str, path: Path, report: Report) -> None:
    what, remedy = PATTERNS[pattern]
    for name in names:
        if not re.fullmatch(pattern, name):
            report.add((*path, name), f"'{name}' {what}", remedy)


def section(data: dict[str, Any], name: str, wanted: type, report: Report) -> Any:
    """A section of the file, empty when it is missing, blank or of another shape."""
    said = data.get(name)
    if said is None or isinstance(said, wanted):
        return wanted() if said is None else said
    what, remedy = WANTED["list_type" if wanted is list else "dict_type"]
    report.add((name,), f"`{name}` is {shown(said)}, not {what}", remedy)
    return wanted()


def said_in(part: object, name: str) -> list[Any]:
    """The mappings of a list within a part, whatever else stands there."""
    said = part.get(name) if isinstance(part, dict) else None
    return [each for each in said if isinstance(each, dict)] if isinstance(said, list) else []


def saying(detail: ErrorDetails, model: type[Written]) -> Saying:
    tell = TELLERS.get(detail["type"])
    if tell:
        return tell(detail, model)
    if detail["type"] in WANTED:
        what, remedy = WANTED[detail["type"]]
        return f"{shown(detail['input'])} stands where {what} belongs", remedy
    said = detail["msg"].removeprefix("Value error, ")
    return (
        f"{shown(detail['input'])} cannot stand here: {said[:1].lower()}{said[1:]}",
        "see docs/catalog-language.md",
    )


def _bound(detail: ErrorDetails, _: type[Written]) -> Saying:
    template = BOUNDS[detail["type"]]
    return f"{shown(detail['input'])} cannot stand here", template.format(**detail.get("ctx", {}))


def _missing(detail: ErrorDetails, _: type[Written]) -> Saying:
    name = detail["loc"][-1]
    return f"`{name}` is missing", f"add `{name}: …`"


def _unknown(detail: ErrorDetails, model: type[Written]) -> Saying:
    name = str(detail["loc"][-1])
    if name in NOT_WRITTEN:
        return f"this version of Laurel does not know `{name}` here yet", NOT_YET_REMEDY
    fields = part_at(detail["loc"][:-1], model).model_fields
    return f"`{name}` means nothing here", nearest(name, (field.alias or word for word, field in fields.items()))


def part_at(place: Path, model: type[Written]) -> type[Written]:
    """The innermost part of a model that a place lies in."""
    words = [step for step in place if step in PARTS]
    if not words:
        return WHOLE.get(model, model)
    return PARTS.get(".".join(map(str, words[-2:])), PARTS[str(words[-1])])


def _literal(detail: ErrorDetails, _: type[Written]) -> Saying:
    known = filter(None, re.findall(r"'([^']*)'", str(detail["ctx"]["expected"])))
    return f"{shown(detail['input'])} is not known here", nearest(str(detail["input"]), known)


def _pattern(detail: ErrorDetails, _: type[Written]) -> Saying:
    default = ("cannot stand here", "write `subject` or `data.` and a field's name")
    what, remedy = PATTERNS.get(str(detail["ctx"]["pattern"]), default)
    return f"{shown(detail['input'])} {what}", remedy


BOUNDS = {
    "greater_than_equal": "write {ge} or more",
    "less_than_equal": "write {le} or less",
    "string_too_short": "write something, or leave the line out",
    "string_too_long": "write at most {max_length} characters",
    "too_short": "write at least one entry",
}
TELLERS: dict[str, Callable[[ErrorDetails, type[Written]], Saying]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _literal,
    "string_pattern_mismatch": _pattern,
    **dict.fromkeys(BOUNDS, _bound),
}


def shown(value: object) -> str:
    """A value as an author would recognise it."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | Decimal) else f"'{value}'"
