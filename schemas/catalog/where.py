"""Tests on an event's fields: what a `where` says, in the unit of the field it looks at."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple, cast

from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.language import WrittenFeed
from schemas.catalog.model import Comparison, EventType, Field, Scalar, Test
from schemas.catalog.shape import shown
from schemas.catalog.spelling import NUMBER_MAX

NUMBERS = ("integer", "decimal")
SINGLE = ("string", "integer", "boolean", "decimal")
SUBJECT = "subject"
ORDERED: tuple[Comparison, ...] = ("gte", "gt", "lte", "lt")
PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "decimal": (int, Decimal),
}

WrittenWhere = dict[str, dict[Comparison, Any]]

LIKES = {
    "string": "write a text, in quotes if it looks like something else",
    "integer": "write a whole number",
    "boolean": "write true or false",
    "decimal": "write a number with at most {places} decimal places",
}


class Fed(NamedTuple):
    """An event type a metric names, and where it does."""

    path: Path
    feed: WrittenFeed
    event: EventType | None
    minus: bool


def plain_name(path: str) -> str:
    return path.removeprefix("data.")


def read_tests(path: Path, where: WrittenWhere, fed: Fed, report: Report) -> list[Test]:
    found = []
    for name, tests in where.items():
        field = find_field(fed, (*path, name), name, report)
        for op, value in tests.items():
            read = read_value((*path, name, op), field, op, value, report) if field else None
            if read is not None:
                found.append(Test(field=plain_name(name), op=op, value=read))
    return found


def find_field(fed: Fed, path: Path, name: str, report: Report) -> Field | None:
    if fed.event is None:
        return None
    field = fed.event.data.get(plain_name(name))
    if field is None:
        what = f"`{fed.feed.type}` declares no field `{plain_name(name)}`"
        report.add(path, what, nearest(plain_name(name), fed.event.data))
    return field


def read_value(
    path: Path, field: Field, op: Comparison, value: Any, report: Report
) -> Scalar | tuple[Scalar, ...] | None:
    """What a field is compared with, in the field's own unit."""
    wrong = _mismatch(field, op, value)
    if wrong:
        report.add(path, *wrong)
        return None
    if isinstance(value, list):
        return tuple(each for each in (in_unit(field, item) for item in value) if each is not None)
    return in_unit(field, value)


def _mismatch(field: Field, op: Comparison, value: Any) -> tuple[str, str] | None:
    """What is wrong, and the remedy."""
    if op == "not":
        return _not_somebody(field, value)
    if op == "eq" and field.type == "string" and value == SUBJECT:
        remedy = f"only `not: {SUBJECT}` knows the user; write `in: [{SUBJECT}]` for the text itself"
        return f"`{SUBJECT}` would be a text here, and not the user", remedy
    if field.type == "strings":
        return "a list of strings cannot be tested", "test a field with one value"
    if op in ORDERED and field.type not in NUMBERS:
        return f"`{op}` compares numbers, and the field is {articled(field)}", "write the value itself, or a list"
    if isinstance(value, list) != (op == "in"):
        remedy = "write `in: […]`" if op != "in" else "write a list, or the value itself without `in`"
        return f"`{op}` is given {shown(value)}", remedy
    wrong = next((each for each in (value if op == "in" else [value]) if not fits(field, each)), None)
    remedy = LIKES[field.type].format(places=field.places)
    return None if wrong is None else (f"{shown(wrong)} is compared with {articled(field)}", remedy)


def _not_somebody(field: Field, value: Any) -> tuple[str, str] | None:
    if field.type == "string" and value == SUBJECT:
        return None
    return f"`not` is given {shown(value)}", "write `not: subject`, of a string field that names a user"


def fits(field: Field, value: object) -> bool:
    if isinstance(value, bool):
        return field.type == "boolean"
    if not isinstance(value, PYTHON_TYPES[field.type]):
        return False
    return in_unit(field, value) is not None if field.type == "decimal" else True


def in_unit(field: Field, value: Any) -> Scalar | None:
    """A value as the state keeps it; None when it has more decimal places than the field."""
    return scaled(value, field.places) if field.type == "decimal" else value


def scaled(value: int | Decimal, places: int) -> int | None:
    """Units: an integer times 10**places; None when it is none, or is too large."""
    moved = Decimal(value).scaleb(places)
    return int(moved) if moved == moved.to_integral_value() and abs(moved) <= NUMBER_MAX else None


def articled(field: Field) -> str:
    return {"integer": "an integer", "strings": "a list of strings"}.get(field.type, f"a {spelled(field)}")


def spelled(field: Field) -> str:
    return f"decimal({field.places})" if field.type == "decimal" else field.type


def contradictory(tests: Iterable[Test]) -> bool:
    """Whether the tests of one feed exclude each other."""
    by_field: dict[str, list[Test]] = {}
    for test in tests:
        by_field.setdefault(test.field, []).append(test)
    return any(map(_excluded, by_field.values()))


def _excluded(tests: list[Test]) -> bool:
    """Bounds are integers here, decimals being scaled; no number of an event lies beyond NUMBER_MAX."""
    ends = [(test.op, cast(int, test.value)) for test in tests if test.op in ORDERED]
    lowest = max([-NUMBER_MAX, *(end + (op == "gt") for op, end in ends if op in ("gte", "gt"))])
    highest = min([NUMBER_MAX, *(end - (op == "lt") for op, end in ends if op in ("lte", "lt"))])
    named = [_named(test) for test in tests if test.op in ("eq", "in")]
    if not named:
        return lowest > highest
    left = set.intersection(*named)
    return not any(not isinstance(each, int) or lowest <= each <= highest for each in left)


def _named(test: Test) -> set[Any]:
    return set(test.value) if isinstance(test.value, tuple) else {test.value}
