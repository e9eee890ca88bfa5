"""From a catalog to its program: hidden metrics, references, and numbers that stay for ever."""

from __future__ import annotations

import msgspec
import pytest

from processor.evaluator.compile import compile_catalog
from schemas.catalog import read_catalog
from schemas.program import (
    COMMANDS_MARK,
    REPLAYS_SLOT,
    AchievementSpec,
    All,
    AtLeast,
    CatalogProgram,
    Feed,
    Ledger,
    MetricSpec,
    Program,
    Test,
    Texts,
    WindowSpec,
)
from schemas.state import HEAD_SLOTS
from tests.unit.test_catalog_language import SHOP, changed

OLD = """\
catalog: old
version: 1
events:
  paid: {topic: shop, data: {amount: decimal(2), country: string?}}
  visit: {topic: shop}
metrics:
  spent: {sum: paid, of: data.amount}
  countries: {distinct: paid, by: data.country, normalize: true}
  visits: {streak: visit, every: day}
achievements:
  - {key: both, name: Both, when: {all: [spent >= 9.5, visits >= 3]}}
"""


def compiled(text: str = SHOP, ledger: Ledger | None = None) -> tuple[CatalogProgram, Ledger]:
    return compile_catalog(read_catalog(text, "shop.yaml"), ledger or Ledger())


def metrics(text: str = SHOP) -> dict[str, MetricSpec]:
    return {each.key: each for each in compiled(text)[0].metrics}


def entries(text: str = SHOP) -> dict[str, AchievementSpec]:
    return {each.reference: each for each in compiled(text)[0].achievements}


# --- metrics ---


def test_a_window_makes_a_hidden_metric_that_folds_like_its_origin():
    found = metrics()

    hidden = found["visits@2026-06-01..2026-09-01"]
    assert (hidden.origin, hidden.kind, hidden.first_day, hidden.end_day) == ("visits", "streak", 20605, 20697)
    assert (hidden.grace, hidden.freezes) == (1, [Feed(type="freeze")])
    assert found["spent@..2027-01-01"].end_day == 20819
    assert found["spent@..2027-01-01"].first_day is None


def test_one_hidden_metric_serves_all_who_look_through_the_same_window():
    """The ladder has two steps, and a challenge of the day counts as a window of every day does."""
    text = changed("window: {every: month}", "window: {every: day}")

    assert [each.key for each in compiled(text)[0].metrics] == [
        *("orders", "spent", "countries", "kept", "largest", "visits"),
        *("orders@2026-06-01..2026-09-01", "visits@2026-06-01..2026-09-01", "orders@day", "spent@..2027-01-01"),
        *("countries@day", "xp"),
    ]


def test_xp_is_the_last_metric_and_holds_its_rules():
    xp = compiled()[0].metrics[-1]

    gift = Test(field="gift", op="eq", value=True)
    assert (xp.key, xp.kind) == ("xp", "xp")
    assert xp.feeds == [
        Feed(type="paid", amount=5),
        Feed(type="visit", amount=5),
        Feed(type="paid", of="items", where=[gift]),
    ]


def test_a_catalog_that_gives_no_xp_has_no_xp_metric():
    assert [each.key for each in compiled(OLD)[0].metrics] == ["spent", "countries", "visits"]


def test_a_streak_that_freezes_bridge_may_come_to_less():
    assert not metrics()["visits"].only_grows
    assert metrics(changed(", freezes: freeze", ""))["visits"].only_grows


# --- achievements ---


def test_tiers_are_numbered_and_named_one_by_one():
    found = entries()

    bronze, gold = found["buyer/bronze"], found["buyer/gold"]
    orders, money = bronze.conditions["orders"], bronze.conditions["money"]
    assert (bronze.key, bronze.tier, bronze.rank) == (gold.key, "bronze", 1)
    assert bronze.when == All(of=[orders, money])
    assert orders.number is not None
    assert bronze.number != gold.number
    assert (bronze.xp, gold.xp) == (50, 100)


def test_what_is_required_is_named_with_its_tier_and_the_lowest_when_none_is_said():
    assert entries()["climber"].requires == ["buyer/gold"]
    assert entries()["rich"].requires == ["buyer/bronze", "first"]


def test_a_set_requires_all_that_counts_and_nothing_else():
    """Not itself, no other set, nothing with a window; of tiers the lowest."""
    found = entries()

    assert found["buys"].requires == ["first", "big", "buyer/bronze"]
    assert found["everything"].requires == ["first", "big", "buyer/bronze", "climber", "rich"]
    assert found["buys"].when == All(of=[])
    secret = entries(
        changed("key: rich,", "key: rich, secret: true,").replace("key: big,", "key: big, is_active: false,")
    )
    assert secret["everything"].requires == ["first", "buyer/bronze", "climber"]


def test_a_condition_looks_through_its_window():
    found = entries()

    assert found["monthly"].when == AtLeast(metric="orders@month", at=2)
    assert found["monthly"].window == WindowSpec(every="month")
    assert isinstance(found["summer"].when, All)
    assert [part.metric for part in found["summer"].when.of if isinstance(part, AtLeast)] == [
        "orders@2026-06-01..2026-09-01",
        "visits@2026-06-01..2026-09-01",
    ]


def test_awards_with_scopes_have_a_slot_for_them():
    found = entries()

    assert {key for key, each in found.items() if each.scopes is not None} == {"big", "monthly"}
    assert found["big"].on == [Feed(type="paid", where=[Test(field="items", op="gte", value=10)])]
    assert found["big"].metadata == {"things": "items"}


def test_an_award_gives_its_xp_else_its_points_and_nothing_where_awards_give_none():
    silent = (
        changed("  - {on: awards}\n", "").replace("xp: 7, ", "").replace(", xp: 50", "").replace("xp: 100, ", "")
    )

    assert [entries()[key].xp for key in ("first", "big", "buys")] == [7, 10, 100]
    assert {each.xp for each in entries(silent).values()} == {0}


def test_levels_and_challenges_have_their_places():
    program, ledger = compiled()

    levels, challenges = program.levels, program.challenges
    assert levels is not None
    assert challenges is not None
    assert (levels.of, levels.starts[:4], len(levels.starts)) == ("xp", [0, 100, 300, 600], 1000)
    assert levels.translations == {"fr": Texts(name="Niveau {level}")}
    assert [each.when.metric for each in challenges.offered] == ["orders@day", "countries@day"]
    assert ledger.extras["level/shop"] == levels.slot
    assert ledger.extras["claims/shop"] == challenges.slot


def test_claims_make_the_commands_topic_a_source():
    program, ledger = compiled()
    plain, _ = compiled(OLD)

    whole = Program(catalogs=[program, plain], ledger=ledger, derived="derived", commands="commands")
    assert whole.sources == ["shop", "shop.activity", "derived", "commands"]
    assert whole.mark_of("commands") == ledger.marks[COMMANDS_MARK]
    assert Program(catalogs=[plain], ledger=ledger, derived="d", commands="c").sources == ["shop"]


# --- numbers ---


def test_no_two_things_share_a_slot():
    _, ledger = compiled()

    slots = [*ledger.marks.values(), *ledger.windows.values(), *ledger.metrics.values(), *ledger.extras.values()]
    assert len(slots) == len(set(slots))
    assert set(slots) <= set(range(HEAD_SLOTS, HEAD_SLOTS + len(ledger.slots)))
    assert len(set(ledger.awards.values())) == len(ledger.awards)


@pytest.mark.parametrize(
    "text",
    [
        SHOP.replace("version: 1", "version: 2"),
        changed("amount: 5}", "amount: 6}"),
        changed("{triangular: 50}", "{triangular: 60}"),
        changed(
            "key: first, name: First,",
            "key: earlier, name: E, category: more, when: visits >= 9}\n  - {key: first, name: F,",
        ),
    ],
)
def test_a_new_version_keeps_every_number_and_the_xp_that_was_given(text: str):
    _, before = compiled()
    _, after = compiled(text, before)

    assert after.slots[: len(before.slots)] == before.slots
    assert after.slots == before.slots
    for numbers in ("marks", "windows", "metrics", "awards", "extras"):
        assert getattr(before, numbers).items() <= getattr(after, numbers).items()


def test_a_ledger_of_before_replays_gets_their_slot_with_its_next_version():
    _, whole = compiled()
    place = whole.extras[REPLAYS_SLOT] - HEAD_SLOTS
    before = msgspec.structs.replace(
        whole,
        slots=whole.slots[:place],
        extras={name: slot for name, slot in whole.extras.items() if slot < place + HEAD_SLOTS},
    )

    _, after = compiled(SHOP.replace("version: 1", "version: 2"), before)

    assert after.slots[: len(before.slots)] == before.slots
    assert after.slots[after.extras[REPLAYS_SLOT] - HEAD_SLOTS] == "bytes"
    assert compiled(SHOP.replace("version: 1", "version: 3"), after)[1] == after


def test_a_metric_that_sees_other_days_starts_anew():
    _, before = compiled()
    _, after = compiled(changed("until: 2026-09-01", "until: 2026-09-02"), before)

    fresh = {identity.partition("#")[0] for identity in after.metrics.keys() - before.metrics.keys()}
    assert fresh == {"shop/orders@2026-06-01..2026-09-02", "shop/visits@2026-06-01..2026-09-02"}


def test_the_identities_of_metrics_stay_what_they_were_when_they_were_first_published():
    """They stand in the ledger of every namespace: another hash would be a fresh count for everybody."""
    assert set(compiled(OLD)[1].metrics) == {
        "old/spent#d3e82a7cdb945c53",
        "old/countries#76d35305a100ac14",
        "old/visits#29583c9504bf2c41",
    }


def test_a_program_comes_back_from_its_bytes_as_it_was():
    program, ledger = compiled()

    assert msgspec.json.decode(msgspec.json.encode(program), type=CatalogProgram) == program
    assert msgspec.json.decode(msgspec.json.encode(ledger), type=Ledger) == ledger


FROZEN = OLD.replace("every: day}", "every: day, freezes: paid}")


def test_what_freezes_a_streak_used_is_kept_where_it_always_was():
    """A version of before would go on without it, and leave it behind."""
    program, ledger = compiled(FROZEN)
    later, _ = compiled(FROZEN.replace("version: 1", "version: 2"), ledger)
    of_before = msgspec.structs.replace(ledger, extras={"@replays": ledger.extras["@replays"]})
    since, _ = compiled(FROZEN, of_before)

    assert [each.used is not None for each in program.metrics] == [False, False, True]
    assert [each.used for each in later.metrics] == [each.used for each in program.metrics]
    assert [each.used for each in since.metrics] == [None, None, None]


def test_a_program_of_before_the_whole_language_still_reads():
    """What old versions left out has its default."""
    program, ledger = compiled(OLD)
    later = {
        *("default_language", "category_titles", "tiers", "levels", "challenges", "repartition"),
        *("origin", "first_day", "end_day", "every", "grace", "freezes", "edges", "used", "amount", "level"),
        *("is_public", "revocable", "xp", "tier", "rank", "conditions", "context", "on", "scope", "metadata"),
        *("window_", "scopes", "all_of", "translations", "extras"),
    }

    def older(value: object) -> object:
        if isinstance(value, dict):
            return {name: older(said) for name, said in value.items() if name not in later}
        return [older(each) for each in value] if isinstance(value, list) else value

    read = msgspec.json.decode(msgspec.json.encode(older(msgspec.to_builtins(program))), type=CatalogProgram)
    assert read.achievements == program.achievements
    assert [msgspec.structs.replace(each, edges=None) for each in program.metrics] == read.metrics
    assert msgspec.convert(older(msgspec.to_builtins(ledger)), Ledger).extras == {}
