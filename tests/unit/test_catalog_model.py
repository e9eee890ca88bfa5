"""What a catalog means once it is read: defaults filled, ladders climbed, and a hash of just that."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.catalog import (
    Achievement,
    AtLeast,
    Catalog,
    EventType,
    Feed,
    Field,
    Ladder,
    Metric,
    Step,
    all_achievements,
    catalog_hash,
    plain_number,
    read_catalog,
)

SHOP = """\
catalog: shop
version: 1
events: {order: {topic: shop, data: {amount: decimal(2)}}}
metrics:
  orders: {count: order}
  spent: {sum: order, of: data.amount}
achievements:
  - {key: first, name: First, when: orders >= 1}
ladders:
  - metric: orders
    description: Order {at} times
    category: buying
    rarity: rare
    steps:
      - {key: regular, name: Regular, at: 10}
      - {key: fan, name: Fan, at: 100, rarity: epic, description: A hundred orders, category: glory, points: 7}
"""


def shop(text: str = SHOP) -> Catalog:
    return read_catalog(text, "shop.yaml")


def test_every_default_is_filled():
    (first, *_) = all_achievements(shop())

    assert (first.points, first.type, first.order) == (10, "first", 1)
    assert (first.rarity, first.is_active, first.secret, first.category) == ("common", True, False, "")


def test_a_step_says_what_it_says_and_its_ladder_the_rest():
    _, regular, fan = all_achievements(shop())

    assert regular.when == AtLeast(metric="orders", at=10)
    assert (regular.description, regular.category, regular.rarity) == ("Order 10 times", "buying", "rare")
    assert (regular.points, regular.order) == (50, 2)
    assert (fan.description, fan.category, fan.rarity) == ("A hundred orders", "glory", "epic")
    assert (fan.points, fan.order) == (7, 3)


def test_the_catalogs_own_points_win_over_the_usual_ones_and_an_entrys_over_both():
    text = SHOP.replace("version: 1", "version: 1\npoints_by_rarity: {rare: 3}")
    text = text.replace("name: First,", "name: First, points: 0,")

    assert [each.points for each in all_achievements(shop(text))] == [0, 3, 7]


def test_an_order_that_is_given_stays():
    text = SHOP.replace("name: First,", "name: First, order: 40,")

    assert [each.order for each in all_achievements(shop(text))] == [40, 2, 3]


def test_a_threshold_in_a_text_reads_as_it_was_written():
    amount = Field(type="decimal", places=2)
    catalog = Catalog(
        catalog="shop",
        version=1,
        events={"order": EventType(topic="shop", data={"amount": amount})},
        metrics={"spent": Metric(kind="sum", plus=(Feed(type="order"),), of="amount")},
        ladders=[Ladder(metric="spent", description="Spend {at}", steps=[Step(key="s", name="S", at=950)])],
    )

    assert all_achievements(catalog)[0].description == "Spend 9.5"


@pytest.mark.parametrize(
    ("scaled", "places", "text"), [(950, 2, "9.5"), (5, 2, "0.05"), (900, 2, "9"), (7, 0, "7"), (-5, 1, "-0.5")]
)
def test_a_scaled_number_is_written_with_its_point(scaled: int, places: int, text: str):
    assert plain_number(scaled, places) == text


def test_a_catalog_cannot_be_changed_or_misspelt():
    entry = shop().achievements[0]

    with pytest.raises(ValidationError):
        entry.name = "Other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Achievement.model_validate({**dict(entry), "colour": "red"})


# --- the hash ---

LOOKS_DIFFERENT = [
    SHOP.replace("achievements:", "# a comment\nachievements:"),
    SHOP.replace("orders >= 1}", "orders>=1 }"),
    SHOP.replace("{count: order}", "{count: [order]}"),
    SHOP.replace("name: First,", "name: First, rarity: common, points: 10, type: first, secret: false,"),
    SHOP.replace("version: 1", "version: 1\ntimezone: UTC"),
    SHOP.replace(
        "ladders:",
        "  - {key: regular, name: Regular, category: buying, rarity: rare, description: Order 10 times, "
        "when: orders >= 10}\nladders:",
    ).replace("      - {key: regular, name: Regular, at: 10}\n", ""),
]
MEANS_SOMETHING_ELSE = [
    SHOP.replace("version: 1", "version: 2"),
    SHOP.replace("catalog: shop", "catalog: shops"),
    SHOP.replace("orders >= 1}", "orders >= 2}"),
    SHOP.replace("orders >= 1}", "{all: [orders >= 1]}}"),
    SHOP.replace("orders >= 1}", "{any: [orders >= 1]}}"),
    SHOP.replace("name: First,", "name: First, points: 0,"),
    SHOP.replace("name: First,", "name: First, message: Hello,"),
    SHOP.replace("name: First,", "name: First, is_active: false,"),
    SHOP.replace("{count: order}", "{count: order, where: {data.amount: 3}}"),
    SHOP.replace("decimal(2)", "decimal(3)"),
    SHOP.replace("decimal(2)", "decimal(2)?"),
    SHOP.replace("version: 1", "version: 1\ntimezone: Europe/Paris"),
    SHOP.replace("version: 1", "version: 1\ncategories: [{key: buying, title: B}, {key: glory, title: G}]").replace(
        "name: First,", "name: First, category: glory,"
    ),
]


@pytest.mark.parametrize("text", LOOKS_DIFFERENT)
def test_what_only_looks_different_has_the_same_hash(text: str):
    assert text != SHOP
    assert catalog_hash(shop(text)) == catalog_hash(shop())


def test_what_means_something_else_has_another_hash():
    hashes = {catalog_hash(shop(text)) for text in [SHOP, *MEANS_SOMETHING_ELSE]}

    assert len(hashes) == len(MEANS_SOMETHING_ELSE) + 1


def test_the_hash_of_a_published_catalog_stays_what_it_is():
    """Hashes stand in awards and in the catalogs topic for ever: a version that hashes otherwise would refuse
    a catalog that it published itself as `other content`. What the language learns must not show in old hashes."""
    assert catalog_hash(shop()) == "3c46352ed4f67c93fc868dba8db23cd068eb247c6cf9799f8e7251757f03ba79"
