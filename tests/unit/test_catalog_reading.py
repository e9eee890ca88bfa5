"""Reading a catalog: every mistake is told, with its line and what to do, and all of them at once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog import (
    All,
    Any,
    AtLeast,
    Feed,
    Field,
    Finding,
    Metric,
    RefusedCatalog,
    Test,
    all_events,
    read_catalog,
)
from schemas.catalog.source import Source
from schemas.errors import BadCatalog

GOOD = """\
catalog: shop
version: 3
timezone: Europe/Paris
headline_streak: visits
categories: [{key: money, title: Money}, {key: people, title: People}]
events:
  order_paid:
    topic: shop.activity
    data: {order_id: string, amount: decimal(2), country: string?, items: integer, gift: boolean, tags: [string]?}
    derive: [{type: invited_buyer, subject: data.order_id, unless_self: true, data: {amount: data.amount}}]
  order_refunded:
    topic: shop.activity
    data: {order_id: string, amount: decimal(2), country: string?, items: integer}
  visit:
    topic: shop.activity
metrics:
  orders: {count: order_paid, minus: order_refunded}
  spent: {sum: order_paid, of: data.amount}
  countries: {distinct: order_paid, by: data.country, normalize: true, minus: order_refunded}
  visits: {streak: visit, every: day}
  largest: {max: order_paid, of: data.items}
  invited: {count: invited_buyer}
achievements:
  - {key: first, name: First, when: orders >= 1, category: money}
  - {key: all_round, name: All Round, category: people, requires: first,
     when: {all: [orders >= 10, {any: [visits >= 7, spent >= 9.5]}]}}
ladders:
  - {metric: spent, category: money, description: "Spend {at}", steps: [{key: spender, name: Spender, at: 99.5}]}
"""


def findings_of(text: str) -> tuple[Finding, ...]:
    with pytest.raises(RefusedCatalog) as refused:
        read_catalog(text, "shop.yaml")
    return refused.value.findings


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def metric(written: str) -> Metric:
    return read_catalog(changed("  visits:", f"  extra: {written}\n  visits:"), "shop.yaml").metrics["extra"]


def line_of(text: str, fragment: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if fragment in line)


# --- what a good catalog comes to ---


def test_fields_are_read_from_their_text_form_with_or_without_quotes():
    event = read_catalog(GOOD, "shop.yaml").events["order_paid"]

    assert event.data == {
        "order_id": Field(type="string"),
        "amount": Field(type="decimal", places=2),
        "country": Field(type="string", optional=True),
        "items": Field(type="integer"),
        "gift": Field(type="boolean"),
        "tags": Field(type="strings", optional=True),
    }
    assert read_catalog(changed("[string]?", '"[string]?"'), "shop.yaml").events["order_paid"] == event
    assert read_catalog(changed("[string]?", "[string]"), "x").events["order_paid"].data["tags"].optional is False


def test_a_derived_type_is_an_event_type_with_the_fields_of_its_parent():
    derived = all_events(read_catalog(GOOD, "shop.yaml"))["invited_buyer"]

    assert derived.topic is None
    assert derived.data == {"amount": Field(type="decimal", places=2)}


def test_a_metrics_where_reaches_every_plus_feed_and_the_minus_feeds_that_declare_the_field():
    paid = Test(field="items", op="gte", value=2)
    gift = Test(field="gift", op="eq", value=True)

    found = metric("{count: order_paid, minus: order_refunded, where: {data.items: {gte: 2}, data.gift: true}}")

    assert found.plus == (Feed(type="order_paid", where=(paid, gift)),)
    assert found.minus == (Feed(type="order_refunded", where=(paid,)),)


def test_a_feed_has_tests_of_its_own_and_a_list_means_one_of():
    found = metric("{count: [visit, {order_paid: {where: {data.country: [fr, de]}}}]}")

    tests = (Test(field="country", op="in", value=("fr", "de")),)
    assert found.plus == (Feed(type="visit"), Feed(type="order_paid", where=tests))


def test_whatever_is_compared_with_a_decimal_is_in_its_unit():
    found = metric("{count: order_paid, where: {data.amount: {gt: 9.5}}}")
    conditions = {each.key: each.when for each in read_catalog(GOOD, "shop.yaml").achievements}

    assert found.plus[0].where == (Test(field="amount", op="gt", value=950),)
    assert conditions["all_round"] == All(
        of=(
            AtLeast(metric="orders", at=10),
            Any(of=(AtLeast(metric="visits", at=7), AtLeast(metric="spent", at=950))),
        )
    )


def test_words_of_yaml_1_1_are_just_words():
    """In YAML 1.1 `no` is false, 010 is eight and 1:30 is ninety."""
    data = Source("{on: no, off: yes, octal: 010, time: 1:30, date: 2026-01-01, share: 9.50}", "x").data

    assert data == {
        "on": "no",
        "off": "yes",
        "octal": 10,
        "time": "1:30",
        "date": "2026-01-01",
        "share": Decimal("9.50"),
    }


def test_an_alias_stands_for_what_it_names():
    data = Source("a: &a {b: [1]}\nc: *a", "x").data

    assert data == {"a": {"b": [1]}, "c": {"b": [1]}}


# --- what is refused ---

REFUSED = [
    # the file
    ("catalog: shop", "catalog: shop\ncatalog: shop", "stands here twice, first in line 1", "keep one"),
    ("catalog: shop", "catalog: Shop", "'Shop' is no key", "write a-z, 0-9 and _"),
    ("version: 3", "version: 0", "0 cannot stand here", "write 1 or more"),
    ("version: 3", "version: three", "'three' stands where a whole number belongs", "without quotes"),
    ("Europe/Paris", "Europe/Pari", "is no time zone", "did you mean `Europe/Paris`?"),
    ("Europe/Paris", "Mars/Olympus", "is no time zone", "the form Area/City"),
    ("headline_streak: visits", "headline_streak: visit", "no metric `visit`", "did you mean `visits`?"),
    ("headline_streak: visits", "headline_streak: orders", "`orders` is no streak", "known are `visits`"),
    ("{key: people,", "{key: money,", "`money` is listed twice", "once"),
    ("metrics:", "metrik: {}\nmetrics:", "`metrik` means nothing here", "did you mean `metrics`?"),
    ("version: 3", "version: 3\npoints_by_rarity: {epix: 3}", "'epix' is not known", "did you mean `epic`?"),
    # events
    ("gift: boolean", "gift: bool", "'bool' is no field type", "write string, integer"),
    ("subject: data.order_id", "subject: data.order", "declares no field `order`", "did you mean `order_id`?"),
    ("subject: data.order_id", "subject: data.items", "an integer, and a user id is a string", "one user id"),
    ("type: invited_buyer", "type: visit", "declared as a published event too", "a name of its own"),
    ("amount: data.amount", "amount: data.amout", "no field `amout`", "did you mean `amount`?"),
    ("topic: shop.activity\nmetrics", "topic: shop activity\nmetrics", "is no Kafka topic", "write letters"),
    (
        "  visit:\n    topic: shop.activity\n",
        "  visit:\n    topic: shop.activity\n    data: {who: string}\n"
        "    derive: [{type: invited_buyer, subject: data.who}]\n",
        "`invited_buyer` is derived elsewhere with other fields",
        "or two names",
    ),
    # metrics
    ("count: order_paid", "count: order_payd", "no event `order_payd`", "did you mean `order_paid`?"),
    ("minus: order_refunded", "minus: order_paid", "feeds plus and minus", "name it once"),
    ("{count: order_paid,", "{count: [order_paid, order_paid],", "is named twice", "name it once"),
    (
        "{count: order_paid,",
        "{count: order_paid, sum: visit,",
        "`count` and `sum` stand in one metric",
        "exactly one",
    ),
    ("{count: invited_buyer}", "{where: {data.amount: 3}}", "does not say what it folds", "exactly one"),
    (
        "of: data.amount",
        "of: data.order_id",
        "`order_id` is a string, and numbers are folded",
        "integer or decimal",
    ),
    ("of: data.amount", "of: amount", "'amount' is no field of the event's data", "write `data.`"),
    (", of: data.amount", "", "`sum` needs `of`", "add `of: data.<field>`"),
    ("of: data.items", "of: data.items, minus: visit", "`minus` means nothing to `max`", "remove it"),
    ("every: day", "every: week", "does not know `every: week` yet", "write `every: day`"),
    (", every: day", "", "`streak` needs `every`", "add `every: day`"),
    ("normalize: true", "bucket: 10", "groups the values of one integer field", "remove it"),
    ("normalize: true", "bucket: 0", "0 cannot stand here", "write 2 or more"),
    ("normalize: true", "normalise: true", "`normalise` means nothing here", "did you mean `normalize`?"),
    ("by: data.country, normalize", "by: data.items, normalize", "no field here is a string", "remove it"),
    (
        "by: data.country, normalize: true",
        "by: data.tags",
        "`order_refunded` declares no field `tags`",
        "known are",
    ),
    ("by: data.country, normalize: true, minus: order_refunded", "by: data.tags", "is a list", "one value"),
    ("{count: order_paid,", "{count: order_paid, window: {}, ", "`window` means nothing here", "known are"),
    ("  invited:", "  level:", "a word of the language", "another name"),
    ("  invited:", "  Invited:", "'Invited' is no key", "write a-z"),
    # where
    (
        "{count: order_paid,",
        "{count: order_paid, where: {data.item: 3},",
        "no field `item`",
        "did you mean `items`?",
    ),
    (
        "{count: order_paid,",
        "{count: order_paid, where: {data.gift: 3},",
        "3 is compared with a boolean",
        "true or false",
    ),
    (
        "{count: order_paid,",
        "{count: order_paid, where: {data.amount: 1.234},",
        "a decimal(2)",
        "at most 2 decimal",
    ),
    (
        "{count: order_paid,",
        "{count: order_paid, where: {data.country: {gte: 3}},",
        "`gte` compares numbers",
        "value itself",
    ),
    (
        "{count: order_paid,",
        "{count: order_paid, where: {data.items: {gte: 5, lt: 5}},",
        "can pass all its tests",
        "loosen",
    ),
    (
        "{count: order_paid,",
        "{count: order_paid, where: {data.items: {gt: 9007199254740992}},",
        "can pass all its tests",
        "loosen",
    ),
    (
        "{count: order_paid,",
        "{count: order_paid, where: {data.items: -9007199254740993},",
        "can pass all its tests",
        "loosen",
    ),
    (
        "{count: order_paid,",
        "{count: order_paid, where: {data.items: {grte: 5}},",
        "'grte' is not known",
        "did you mean `gte`?",
    ),
    ("{count: order_paid,", "{count: order_paid, where: {data.items: {in: 5}},", "`in` is given 5", "write a list"),
    (
        "{count: order_paid,",
        "{count: order_paid, where: {data.tags: x},",
        "a list of strings cannot be tested",
        "one value",
    ),
    (
        "{count: order_paid,",
        "{count: order_paid, where: {data.items: null},",
        "nothing cannot stand here",
        "see docs",
    ),
    # achievements
    ("orders >= 1,", "ordrs >= 1,", "no metric `ordrs`", "did you mean `orders`?"),
    ("orders >= 1,", "orders >= 0,", "0 is reached before anything happened", "above 0"),
    ("orders >= 1,", "orders > 1,", "`>` is no comparison of conditions", "write `orders >= 1`"),
    ("orders >= 1,", "orders,", "'orders' is no condition", "write `metric >= number`"),
    ("orders >= 1,", "orders >= 1.5,", "`orders` is a whole number", "round the threshold up"),
    (
        "orders >= 1,",
        "countries >= 5000,",
        "nobody can reach 5000: `countries` is counted up to 4096",
        "at or below 4096",
    ),
    ("orders >= 1,", "{all: []},", "`all` takes a list of conditions", "write `all: ["),
    ("orders >= 1,", "{none: [orders >= 1]},", "a mapping is no condition", "`metric >= number`"),
    ("when: orders >= 1, ", "", "`when` is missing", "add `when: …`"),
    ("key: first", "key: First", "'First' is no key", "write a-z"),
    ("key: first", "key: categories", "a word of the API's addresses", "another key"),
    ("name: First", "name: 12", "12 stands where a text belongs", "in quotes"),
    ("name: First", 'name: "a\\x1ab"', "holds a control character", "without"),
    ("name: First", "name: First, rarity: epik", "'epik' is not known here", "did you mean `epic`?"),
    ("name: First", "name: First, points: -1", "-1 cannot stand here", "write 0 or more"),
    ("category: money}", "category: monney}", "no category `monney`", "did you mean `money`?"),
    (", category: money}", "}", "it has no category", "known are `money`, `people`"),
    ("name: First", "name: First, description: 'Do {at}'", "nothing fills `{at}` here", "write the words"),
    (
        "orders >= 1,",
        "{any: [orders >= 1, visits >= 7, orders>=1]},",
        "`orders>=1` stands here twice",
        "write it once",
    ),
    (
        "when: orders >= 1,",
        "when: {all: [{any: [orders >= 1, visits >= 7]}, {any: [orders >= 1, visits >= 7]}]},",
        "`{any: [orders >= 1, visits >= 7]}` stands here twice",
        "write it once",
    ),
    ("requires: first", "requires: [first, first]", "`first` is required twice", "name it once"),
    ("requires: first", "requires: frist", "no achievement `frist`", "did you mean `first`?"),
    ("requires: first", "requires: all_round", "it requires itself: all_round → all_round", "break the circle"),
    ("name: First", "name: First, requires: [all_round]", "first → all_round → first", "break the circle"),
    # ladders
    ("{metric: spent", "{metric: spend", "no metric `spend`", "did you mean `spent`?"),
    ("at: 99.5}", "at: 99.5}, {key: more, name: More, at: 99.5}", "does not rise above the one before", "sort"),
    ("at: 99.5", "at: 99.555", "never reached exactly", "round the threshold up"),
    ("at: 99.5", "at: much", "a threshold is a number", "see docs"),
    ("Spend {at}", "Spend {amount}", "nothing fills `{amount}`", "`{at}`"),
    ("steps: [{key: spender, name: Spender, at: 99.5}]", "steps: []", "a list cannot stand here", "at least one"),
]


@pytest.mark.parametrize(("old", "new", "what", "remedy"), REFUSED, ids=[case[2] for case in REFUSED])
def test_a_mistake_is_told_with_its_line_and_its_remedy(old: str, new: str, what: str, remedy: str):
    text = changed(old, new)
    pairs = zip(text.splitlines(), GOOD.splitlines(), strict=False)
    lines = {number for number, (now, before) in enumerate(pairs, start=1) if now != before}

    found = [each for each in findings_of(text) if what in each.what and remedy in each.remedy]

    assert found, findings_of(text)
    assert (found[0].file, found[0].line in lines) == ("shop.yaml", True)


def test_what_is_missing_is_told_where_it_should_stand():
    (finding, *_) = findings_of(changed("  visit:\n    topic: shop.activity\n", "  visit:\n    data: {}\n"))

    assert (finding.path, finding.what, finding.remedy) == (
        "events.visit.topic",
        "`topic` is missing",
        "add `topic: …`",
    )
    assert finding.line == line_of(GOOD, "  visit:")


def test_nobody_can_require_what_nobody_can_earn():
    (finding,) = findings_of(changed("name: First", "name: First, is_active: false"))

    assert finding.what == "`first` is not active, so nobody can earn it"
    assert finding.line == line_of(GOOD, "requires: first")


def test_a_key_is_taken_by_whoever_is_listed_first():
    (finding,) = findings_of(changed("key: spender", "key: first"))

    assert finding.what == "the key `first` is taken by 'First'"
    assert finding.line == line_of(GOOD, "key: spender")


def test_all_findings_are_told_at_once_in_the_order_of_their_lines():
    text = (
        changed("version: 3", "version: 0")
        .replace("orders >= 1,", "ordrs >= 1,")
        .replace("of: data.items", "of: x")
    )
    text = text.replace("gift: boolean", "gift: bool").replace("at: 99.5", "at: 0")

    found = findings_of(text)

    assert [each.path for each in found] == [
        "version",
        "events.order_paid.data.gift",
        "metrics.largest.of",
        "achievements[0].when",
        "ladders[0].steps[0].at",
    ]
    assert [each.line for each in found] == sorted(each.line for each in found)


def test_one_mistake_is_not_told_again_wherever_it_is_used():
    """A metric with a finding of its own is still a known metric."""
    (finding,) = findings_of(changed("{sum: order_paid, of: data.amount}", "{sum: order_paid, of: data.amonut}"))

    assert finding.path == "metrics.spent.of"


def test_the_error_names_its_author_and_reads_as_a_list():
    with pytest.raises(BadCatalog) as refused:
        read_catalog(changed("orders >= 1,", "ordrs >= 1,"), "shop.yaml")

    line = line_of(GOOD, "key: first")
    assert str(refused.value) == (
        f"shop.yaml:{line}: achievements[0].when: no metric `ordrs` is declared; did you mean `orders`?"
    )


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("", "nothing, not a catalog", 1),
        ("- a", "a list, not a catalog", 1),
        ("a: [1,\nb: 2", "this is not YAML", 2),
        ("a: &a [*a]", "nested too deeply", 1),
        (
            "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 12))]),
            "more than 200000 values",
            1,
        ),
        ("a: 1\n---\nb: 2", "another document", 2),
        ("[a]: 1", "a key is no plain word", 1),
        ("[" * 100_000, "nested too deeply", 1),
        ("a: " + "[" * 40 + "]" * 40, "nested too deeply", 1),
        ("a: \x01", "this is not YAML", 1),
        ("a: " + "x" * (2 * 1024 * 1024), "characters", 1),
        ("events: []\nmetrics: 3\nachievements: {}", "`events` is a list, not a mapping", 1),
    ],
)
def test_what_is_no_catalog_at_all_is_told_too(text: str, what: str, line: int):
    found = findings_of(text)

    assert any(what in each.what and each.line == line for each in found), found


LINES = GOOD.splitlines()
SCRAPS = st.sampled_from(
    ["", "- ", "{}", "[]", "null", "3", ": ", "x: y", "when: x", "{a: {b: [c]}}", "'", "? ", "*a", "!!x y"]
)


@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, 60), SCRAPS), min_size=1, max_size=4))
def test_any_damage_to_a_catalog_ends_in_a_catalog_or_in_findings(damage: list[tuple[int, int, str]]):
    lines = list(LINES)
    for number, column, scrap in damage:
        lines[number] = lines[number][:column] + scrap + lines[number][column + len(scrap) :]

    assert all(1 <= line <= len(lines) for line in finding_lines("\n".join(lines)))


def finding_lines(text: str) -> list[int]:
    try:
        read_catalog(text, "shop.yaml")
    except RefusedCatalog as refused:
        return [finding.line for finding in refused.findings]
    return []
