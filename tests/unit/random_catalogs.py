"""Random catalogs of a small product, by Hypothesis: any metric, any condition."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.unit.random_logs import FIELDS, TOPICS, VALUES, ZONES, Said, kind_of

WITH_INTEGERS = ["alpha", "beta", "gamma"]
WITH_DECIMALS = ["alpha", "beta", "invite", "invited"]
DERIVE = {
    "type": "invited",
    "subject": "data.friend",
    "data": {"text": "data.text", "by": "subject", "price": "data.price"},
}


def common_fields(types: Sequence[str], *kinds: str) -> list[str]:
    """The fields that all these types declare, of these kinds."""
    shared = set.intersection(*(set(FIELDS[each]) for each in types))
    return sorted(name for name in shared if kind_of(FIELDS[types[0]][name]) in kinds)


@st.composite
def where_of(draw: st.DrawFn, fields: list[str], types: Sequence[str]) -> Said:
    """A `where` on one of these fields."""
    name = draw(st.sampled_from(fields))
    kind = kind_of(FIELDS[types[0]][name])
    values = st.sampled_from([value for value in VALUES[kind] if value is not None])
    if kind == "decimal":
        values = st.sampled_from([0.5, 1, 1.25, 2.5])
    plain = st.one_of(values, st.lists(values, min_size=1, max_size=3))
    ordered = st.dictionaries(st.sampled_from(["gte", "lt"]), st.sampled_from([0, 1]), min_size=1, max_size=1)
    return {f"data.{name}": draw(st.one_of(plain, ordered) if kind in ("integer", "decimal") else plain)}


@st.composite
def feeds(draw: st.DrawFn, types: Sequence[str]) -> Any:
    """A type, or several, some with a `where` of their own."""
    written: list[Any] = []
    for each in types:
        own = draw(where_of(common_fields([each], *VALUES), [each])) if not draw(st.integers(0, 3)) else None
        written.append({each: {"where": own}} if own else each)
    return written[0] if len(written) == 1 and draw(st.booleans()) else written


@st.composite
def metrics(draw: st.DrawFn, only_grows: bool) -> Said:
    """A metric of any kind; one that only grows is not undone and no gauge."""
    kind = draw(st.sampled_from(["count", "max", "distinct", "streak"] + ["sum", "latest"] * (not only_grows)))
    pools = [WITH_INTEGERS, WITH_DECIMALS, *([] if kind in ("sum", "max", "latest") else [sorted(FIELDS)])]
    types = draw(st.permutations(draw(st.sampled_from(pools))))
    plus = types[: draw(st.integers(1, 3))]
    can_undo = kind in ("count", "sum", "distinct") and not only_grows
    minus = types[len(plus) :][: draw(st.integers(0, 3))] if can_undo else []
    said: Said = {kind: draw(feeds(plus))} | ({"minus": draw(feeds(minus))} if minus else {})
    if not draw(st.integers(0, 2)):
        said["where"] = draw(where_of(common_fields(plus, *VALUES), plus))
    return said | draw(details(kind, [*plus, *minus]))


@st.composite
def details(draw: st.DrawFn, kind: str, types: Sequence[str]) -> Said:
    if kind == "streak":
        return {"every": "day"}
    if kind == "distinct":
        return draw(values_counted(types))
    if kind == "count":
        return {}
    numbers = common_fields(types, "integer", "decimal")
    return {"of": f"data.{draw(st.sampled_from(numbers))}"}


@st.composite
def values_counted(draw: st.DrawFn, types: Sequence[str]) -> Said:
    names = common_fields(types, *VALUES)
    likely = [[name] for name in ("text", "number") if name in names]  # what normalize and bucket work on
    by = draw(
        st.one_of(st.sampled_from(likely), st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    )
    said: Said = {"by": [f"data.{name}" for name in by] if len(by) > 1 else f"data.{by[0]}"}
    if "text" in by and draw(st.booleans()):
        said["normalize"] = True
    if by == ["number"] and draw(st.booleans()):
        said["bucket"] = 10
    return said


@st.composite
def conditions(draw: st.DrawFn, metrics: Said, depth: int = 2) -> Any:
    """`metric >= n`, or a tree of them; a metric in decimals is asked for decimals, too."""
    if depth and draw(st.booleans()):
        parts = draw(st.lists(conditions(metrics, depth - 1), min_size=1, max_size=3, unique_by=json.dumps))
        return {draw(st.sampled_from(["all", "any"])): parts}
    key = draw(st.sampled_from(sorted(metrics)))
    decimals = [0.5, 1.25, 2.75] if metrics[key].get("of") == "data.price" else []
    return f"{key} >= {draw(st.sampled_from([1, 2, 3, 4, 6, *decimals]))}"


@st.composite
def achievements(draw: st.DrawFn, metrics: Said) -> list[Said]:
    entries: list[Said] = []
    for number in range(draw(st.integers(1, 6))):
        entry: Said = {
            "key": f"a{number}",
            "name": "A",
            "description": "What for",
            "when": draw(conditions(metrics)),
        }
        if entries and draw(st.booleans()):
            keys = [each["key"] for each in entries]
            entry["requires"] = draw(st.lists(st.sampled_from(keys), min_size=1, max_size=2, unique=True))
        if draw(st.booleans()):
            entry["rarity"] = draw(st.sampled_from(["common", "rare", "legendary"]))
        entries.append(entry)
    return draw(st.permutations(entries))


def ladder(metric: str) -> Said:
    """Every metric has one, so that each crossing of each kind is held against the reference."""
    steps = [{"key": f"{metric}_{at}", "name": "L", "at": at} for at in (1, 2, 3, 5, 7)]
    return {"metric": metric, "description": "Reach {at}", "rarity": "uncommon", "steps": steps}


@st.composite
def catalogs(draw: st.DrawFn, name: str = "one", only_grows: bool = False) -> str:
    """The text of a catalog; JSON is YAML too."""
    events: Said = {each: {"topic": topic, "data": FIELDS[each]} for each, topic in TOPICS.items()}
    events["invite"] = events["invite"] | {"derive": [DERIVE | {"unless_self": draw(st.booleans())}]}
    count = draw(st.integers(1, 4))
    found = {f"m{number}": draw(metrics(only_grows)) for number in range(count)}
    said = {
        "catalog": name,
        "version": 1,
        "timezone": draw(st.sampled_from(ZONES[1:])),
        "events": events,
        "metrics": found,
    }
    said["achievements"] = draw(achievements(found))
    said["ladders"] = [ladder(key) for key in found]
    return json.dumps(said, ensure_ascii=False)
