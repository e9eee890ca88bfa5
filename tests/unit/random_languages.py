"""Random catalogs that use the rest of the language, by Hypothesis, on top of the random ones of metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from tests.unit.random_catalogs import catalogs, conditions, where_of
from tests.unit.random_logs import FIELDS, TOPICS, Said

CATEGORIES = ["c1", "c2"]
DAYS = ["2025-10-20", "2025-10-24", "2025-10-26", "2025-10-27", "2025-11-02"]
ENTRY = {"name": "A", "description": "What for"}


def plain_comparison(draw: st.DrawFn, metrics: Said, keys: Sequence[str]) -> str:
    """`metric >= n`, as the author of this metric would write it."""
    key = draw(st.sampled_from(keys))
    return f"{key} >= {draw(st.sampled_from([1, 2, 3, 4]))}"


@st.composite
def tiered(draw: st.DrawFn, said: Said, only_grows: bool) -> list[Said]:
    keys = draw(st.lists(st.sampled_from(sorted(said["metrics"])), min_size=1, max_size=2, unique=True))
    names = [f"n{number}" for number in range(len(keys))]
    tiers, at = [], dict.fromkeys(names, 0)
    for tier in draw(st.sampled_from([["bronze"], ["bronze", "gold"], ["bronze", "silver", "gold"]])):
        at = {name: value + draw(st.integers(1, 2)) for name, value in at.items()}
        tiers.append({"tier": tier, "at": at} | ({"points": 3} if draw(st.booleans()) else {}))
    entry = {"key": "t0", "conditions": dict(zip(names, keys, strict=True)), "tiers": tiers, "category": "c1"}
    entry |= {"context": {"seen": "data.text"}} if draw(st.booleans()) else {}
    after = {
        "key": "t1",
        "when": draw(conditions(said["metrics"])),
        "requires": [draw(st.sampled_from(["t0", "t0/gold"]))],
    }
    has_gold = any(each["tier"] == "gold" for each in tiers)
    return [entry, after] if has_gold or after["requires"] == ["t0"] else [entry]


@st.composite
def from_events(draw: st.DrawFn, said: Said, only_grows: bool) -> list[Said]:
    types = draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=2, unique=True))
    scopes = set.intersection(*(set(FIELDS[each]) for each in types)) - {"price", "flag"}
    entry: Said = {"key": "o0", "on": types, "metadata": {"what": "data.text"}, "category": "c2"}
    if draw(st.booleans()):
        entry["scope"] = f"data.{draw(st.sampled_from(sorted(scopes)))}"
    if draw(st.booleans()):
        entry["where"] = draw(where_of(["text"], types))
    return [entry, {"key": "o1", "when": draw(conditions(said["metrics"])), "requires": ["o0"]}]


@st.composite
def seasonal(draw: st.DrawFn, said: Said, only_grows: bool) -> list[Said]:
    first, last = draw(st.sampled_from([(DAYS[0], DAYS[2]), (DAYS[1], None), (None, DAYS[3]), (DAYS[2], DAYS[3])]))
    window = {name: day for name, day in (("from", first), ("until", last)) if day}
    return [{"key": "w0", "when": draw(conditions(said["metrics"])), "window": window}]


@st.composite
def periodic(draw: st.DrawFn, said: Said, only_grows: bool) -> list[Said]:
    keys = [key for key, metric in said["metrics"].items() if "count" in metric or "sum" in metric]
    keys += [key for key, metric in said["metrics"].items() if "distinct" in metric and "minus" not in metric]
    if not keys:
        return []
    every = draw(st.permutations(["day", "week", "month"]))
    return [
        {"key": f"p{number}", "when": plain_comparison(draw, said["metrics"], keys), "window": {"every": each}}
        for number, each in enumerate(every[: draw(st.integers(1, 3))])
    ]


@st.composite
def sets(draw: st.DrawFn, said: Said, only_grows: bool) -> list[Said]:
    """Over categories that have members, and perhaps over all."""
    for entry in said["achievements"]:
        entry["category"] = draw(st.sampled_from(CATEGORIES))
        entry |= {"secret": True} if not draw(st.integers(0, 5)) else {}
    counting = [each for each in said["achievements"] if "secret" not in each and "window" not in each]
    whole = [{"key": "s9", "all_of": "catalog"}] if draw(st.booleans()) else []
    found = sorted({each["category"] for each in counting})
    return [*({"key": f"s{each}", "all_of": {"category": each}} for each in found), *whole]


@st.composite
def revocable(draw: st.DrawFn, said: Said, only_grows: bool) -> list[Said]:
    for entry in said["achievements"]:
        if not only_grows and ("when" in entry or "tiers" in entry) and "every" not in entry.get("window", {}):
            entry |= {"revocable": draw(st.sampled_from([True, "announced"]))} if draw(st.booleans()) else {}
    return []


@st.composite
def leveled(draw: st.DrawFn, said: Said, only_grows: bool) -> list[Said]:
    by_events: list[Said] = [{"on": "alpha", "amount": 7}, {"on": ["gamma", "beta"], "amount": "data.number"}]
    by_awards: list[Said] = [{"on": "awards"}]
    some = [by_awards, by_awards, [*by_awards, {"on": "alpha", "amount": 1}], [*by_events, *by_awards], by_events]
    rules = draw(st.sampled_from(some))
    said["xp"] = rules
    counted = [key for key, metric in said["metrics"].items() if "count" in metric]
    of = draw(st.sampled_from(["xp", "xp", "xp", *counted]))
    curve = {"triangular": draw(st.sampled_from([1, 5]))} if draw(st.booleans()) else [0, 2, 9, 20, 35, 60, 100]
    said["levels"] = {"of": of, "curve": curve}
    own = {"xp": draw(st.sampled_from([0, 4, 25]))} if {"on": "awards"} in rules else {}
    parts = [f"level >= {draw(st.integers(2, 4))}", f"xp >= {draw(st.sampled_from([10, 20, 60]))}"]
    return [
        {"key": "l0", "when": parts[0]} | own,
        {"key": "l1", "when": parts[1]},
        {"key": "l2", "when": {draw(st.sampled_from(["all", "any"])): [*parts, draw(conditions(said["metrics"]))]}},
        {"key": "l3", "when": draw(conditions(said["metrics"])), "requires": ["l0"]},
    ]


@st.composite
def challenged(draw: st.DrawFn, said: Said, only_grows: bool) -> list[Said]:
    said["metrics"]["any_event"] = {"count": sorted(TOPICS)}
    keys = ["any_event", *(key for key, metric in said["metrics"].items() if "count" in metric)]
    listed = [
        {
            "key": f"c{number}",
            "description": "What for",
            "when": plain_comparison(draw, said["metrics"], keys),
            "every": "day",
            "xp": draw(st.sampled_from([1, 30])),
        }
        for number in range(3)
    ]
    said["challenges"] = {"per_day": draw(st.integers(1, 3)), "list": listed}
    return [{"key": "h0", "when": "xp >= 30"}]


@st.composite
def bridged(draw: st.DrawFn, said: Said, only_grows: bool) -> list[Said]:
    """A freeze may be used up otherwise by a late day: with freezes not everything only grows."""
    streak: Said = {"streak": draw(st.sampled_from([["alpha"], ["alpha", "gamma"]])), "every": "day"}
    streak |= {"grace": draw(st.integers(1, 2))} if draw(st.booleans()) else {}
    freezes = draw(st.sampled_from([["beta"], [{"beta": {"where": {"data.flag": True}}}]]))
    streak |= {"freezes": freezes} if not only_grows and draw(st.booleans()) else {}
    said["metrics"]["bridged"] = streak
    return [{"key": f"b{at}", "when": f"bridged >= {at}"} for at in (2, 3, 5)]


CONSTRUCTS: dict[str, Callable[..., st.SearchStrategy[list[Said]]]] = {
    "bridged": bridged,
    "tiered": tiered,
    "from_events": from_events,
    "seasonal": seasonal,
    "periodic": periodic,
    "sets": sets,
    "leveled": leveled,
    "challenged": challenged,
    "revocable": revocable,
}


@st.composite
def languages(
    draw: st.DrawFn, constructs: Sequence[str] = tuple(CONSTRUCTS), only_grows: bool = False, name: str = "one"
) -> str:
    """The text of a catalog in which these constructs meet; JSON is YAML too."""
    said: Said = json.loads(draw(catalogs(name, only_grows)))
    for each in constructs:
        entries = draw(CONSTRUCTS[each](said, only_grows))
        said["achievements"] += [ENTRY | entry for entry in entries]
    return json.dumps(said, ensure_ascii=False)
