"""What is earned, taken back and levelled up, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bench.reference import Result, Unlock, fold
from tests.unit.cloud_events import event
from tests.unit.driving import evaluated

CATALOG = """
catalog: school
version: 1
events:
  solved: {topic: t, data: {track: string?}}
  unsolved: {topic: t}
  login: {topic: t}
  module_completed: {topic: t, data: {module_id: string?, title: string?, percent: integer?}}
  rated: {topic: t, data: {stars: integer}}
  bonus: {topic: t, data: {amount: integer?, kind: string?}}
metrics:
  solved: {count: solved, minus: unsolved}
  days: {streak: login, every: day}
  logins: {count: login}
  stars: {latest: rated, of: data.stars}
tiers: [bronze, silver, gold]
achievements:
  - key: solver
    name: solver
    conditions: {solved: solved, streak: days}
    category: learning
    context: {last_track: data.track}
    tiers:
      - {tier: bronze, at: {solved: 1}}
      - {tier: silver, at: {solved: 2, streak: 2}, points: 30}
      - {tier: gold, at: {solved: 9, streak: 2}, rarity: rare}
  - {key: module, name: module, on: module_completed, scope: data.module_id, metadata: {title: data.title}}
  - {key: first_high, name: first_high, on: module_completed, where: {data.percent: {gte: 90}}, category: learning}
  - {key: after_solver, name: after_solver, when: logins >= 1, requires: solver}
  - {key: after_silver, name: after_silver, when: logins >= 1, requires: [solver/silver]}
  - {key: after_module, name: after_module, when: logins >= 1, requires: [module]}
  - {key: learning_set, name: learning_set, all_of: {category: learning}, category: sets, points: 100}
  - {key: ghost, name: ghost, when: logins >= 1, secret: true, category: learning}
  - {key: past, name: past, when: logins >= 1, is_active: false, category: learning}
  - {key: season, name: season, when: logins >= 1, window: {from: 2030-01-01}, category: learning}
"""


@pytest.fixture(autouse=True, params=["reference", "evaluator"])
def who(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are held against these answers."""
    if request.param == "evaluator":
        monkeypatch.setattr(f"{__name__}.fold", evaluated)


def folded(*events: dict[str, Any], text: str = CATALOG) -> Result:
    return fold(events, [text])


def earned(*events: dict[str, Any], text: str = CATALOG) -> dict[str, datetime]:
    return {key: at for (_, _, key, _), at in folded(*events, text=text).awards.items()}


def on(day: int, kind: str = "solved", /, **data: Any) -> dict[str, Any]:
    return event(kind, f"2025-03-{day:02}", **data)


def day(number: int, hour: int = 12) -> datetime:
    return datetime(2025, 3, number, hour, tzinfo=UTC)


# --- tiers ---


def test_each_tier_is_an_award_with_points_of_its_own():
    result = folded(on(1), on(2), on(1, "login"), on(2, "login"))
    held = {key: at for (_, _, key, _), at in result.awards.items() if key.startswith("solver")}
    assert held == {"solver/bronze": day(1), "solver/silver": day(2)}
    assert result.points["ann"]["school"] == 10 + 30 + 3 * 10  # both tiers, and three awards for logging in


def test_a_tier_of_several_conditions_waits_for_the_last_of_them():
    assert "solver/silver" not in earned(on(1), on(2), on(1, "login"))
    assert earned(on(1), on(2), on(3, "login"), on(4, "login"))["solver/silver"] == day(4, 0)


def test_a_key_that_has_tiers_stands_for_its_lowest():
    assert earned(on(5), on(2, "login"))["after_solver"] == day(5)
    assert "after_silver" not in earned(on(5), on(2, "login"))


def test_an_award_repeats_fields_of_the_event_that_crossed_it():
    """A login has no track to tell of."""
    told = folded(on(1, track="algebra"), on(2, track="logic"), on(1, "login"), on(2, "login")).told
    of = {unlock.award[2]: said.context for unlock, said in told.items()}
    assert of["solver/bronze"] == {"last_track": "algebra"}
    assert of["solver/silver"] == {"last_track": None}


# --- awards straight from an event ---


def test_there_is_one_award_for_each_module():
    events = [
        on(n, "module_completed", module_id=name, title=name.upper()) for n, name in enumerate("aba", start=1)
    ]
    result = folded(*events)
    modules = {scope: at for (_, _, key, scope), at in result.awards.items() if key == "module"}
    assert modules == {"a": day(1), "b": day(2)}
    assert {said.metadata["title"] for unlock, said in result.told.items() if unlock.award[2] == "module"} == {
        "A",
        "B",
    }
    assert result.points["ann"]["school"] == 20


@pytest.mark.parametrize("scope", [None, "", "  ", "x" * 201])
def test_what_names_no_module_completes_none(scope: str | None):
    result = folded(on(1, "module_completed", module_id=scope, percent=95))
    assert {key for _, _, key, _ in result.awards} == {"first_high"}
    assert result.applied == 1


def test_a_late_event_wins_at_its_own_time():
    assert earned(on(5, "module_completed", module_id="a"), on(2, "module_completed", module_id="b"))[
        "module"
    ] == day(2)


def test_without_a_scope_there_is_one_award_of_the_first_event_that_passes():
    events = [on(n, "module_completed", percent=percent) for n, percent in ((1, 89), (2, 90), (3, 99))]
    assert earned(*events) == {"first_high": day(2)}


def test_a_scoped_award_is_required_in_any_of_its_scopes():
    events = [on(3, "module_completed", module_id="b"), on(2, "module_completed", module_id="a"), on(1, "login")]
    assert earned(*events)["after_module"] == day(3)
    assert "after_module" not in earned(on(1, "login"))


# --- sets ---


def test_a_set_needs_what_counts_in_its_category():
    """The lowest tier and the high score; nothing secret, inactive or of a season."""
    events = [on(1), on(2, "module_completed", percent=95)]
    assert earned(*events)["learning_set"] == day(2)
    assert "learning_set" not in earned(*events[:1], on(3, "login"))


def test_a_set_of_the_whole_catalog_does_not_ask_for_other_sets():
    text = CATALOG + "  - {key: everything, name: everything, all_of: catalog}\n"
    events = [on(1), on(2), on(1, "login"), on(2, "login"), on(3, "module_completed", module_id="a", percent=95)]
    assert earned(*events, text=text)["everything"] == day(3)
    assert "everything" not in earned(*events[:4], text=text)


# --- revocation ---

REVOCABLE = """
catalog: school
version: 1
events:
  solved: {topic: t}
  unsolved: {topic: t}
  login: {topic: t}
  rated: {topic: t, data: {stars: integer}}
metrics:
  solved: {count: solved, minus: unsolved}
  logins: {count: login}
  stars: {latest: rated, of: data.stars}
achievements:
  - {key: two, name: two, when: solved >= 2, revocable: true}
  - {key: kept, name: kept, when: solved >= 2}
  - {key: follows, name: follows, when: logins >= 1, requires: two}
  - {key: chained, name: chained, when: logins >= 1, requires: follows}
  - {key: saved, name: saved, revocable: announced, when: {any: [solved >= 2, logins >= 2]}}
  - {key: liked, name: liked, when: stars >= 4, revocable: true}
  - {key: set_of_two, name: set_of_two, all_of: {category: none}, category: sets}
  - {key: beyond, name: beyond, when: xp >= 20}
  - {key: risen, name: risen, xp: 0, when: {any: [level >= 2, logins >= 5]}}
xp: [{on: awards}]
levels: {of: xp, curve: [0, 30, 1000]}
"""


def reasons(result: Result) -> dict[str, list[dict[str, Any]]]:
    return {unlock.award[2]: why for unlock, why in result.revocations.items()}


def revocable(*keys: str) -> str:
    """Of the catalog only these achievements."""
    lines = REVOCABLE.splitlines()
    return "\n".join(line for line in lines if "{key:" not in line or any(f"key: {key}," in line for key in keys))


def test_an_award_goes_when_its_metric_goes_back_and_comes_again_with_it():
    events = [on(1), on(2), on(3, "unsolved")]
    result = folded(*events, text=revocable("two", "kept"))
    assert {key for _, _, key, _ in result.awards} == {"kept"}
    assert reasons(result) == {"two": [{"kind": "metric", "metric": "solved", "value": 1, "needed": 2}]}
    again = folded(*events, on(4), text=revocable("two", "kept"))
    two = ("ann", "school", "two", "")
    assert again.awards[two] == day(4)
    assert {unlock: at for unlock, at in again.unlocks.items() if unlock.award == two} == {
        Unlock(two, 0): day(2),
        Unlock(two, 1): day(4),
    }


def test_a_gauge_that_falls_takes_its_award_with_it_and_a_late_value_does_not():
    text = revocable("liked")
    high, low = on(2, "rated", stars=4), on(3, "rated", stars=3)
    assert "liked" in earned(high, text=text)
    assert "liked" not in earned(high, low, text=text)
    assert "liked" in earned(high, on(1, "rated", stars=3), text=text)


def test_what_hangs_on_a_lost_award_falls_with_the_chain_that_led_there():
    result = folded(on(1), on(2), on(1, "login"), on(3, "unsolved"), text=revocable("two", "follows", "chained"))
    assert result.awards == {}
    cause = {"kind": "metric", "metric": "solved", "value": 1, "needed": 2}
    two, follows = ({"kind": "award", "achievement": key} for key in ("two", "follows"))
    assert reasons(result) == {"two": [cause], "follows": [cause, two], "chained": [cause, two, follows]}


def test_another_branch_of_any_saves_an_award():
    text = revocable("saved")
    assert "saved" not in earned(on(1), on(2), on(3, "unsolved"), text=text)
    assert "saved" in earned(on(1), on(2), on(1, "login"), on(2, "login"), on(3, "unsolved"), text=text)


def test_a_set_falls_with_a_member():
    text = REVOCABLE.replace("category: none", "category: some").replace(
        "{key: two, name: two,", "{key: two, name: two, category: some,"
    )
    assert "set_of_two" in earned(on(1), on(2), text=text)
    assert "set_of_two" not in earned(on(1), on(2), on(3, "unsolved"), text=text)


def test_xp_and_level_follow_a_lost_award_and_take_what_they_carried():
    """Two and kept give 10 each, and with 20 beyond gives 10 more: 30 is level 2. Without two it is not."""
    text = revocable("two", "kept", "beyond", "risen")
    before, after = folded(on(1), on(2), text=text), folded(on(1), on(2), on(3, "unsolved"), text=text)
    assert {key for _, _, key, _ in before.awards} == {"two", "kept", "beyond", "risen"}
    assert (before.metrics["ann"]["school"]["xp"], before.levels["ann"]["school"]) == (30, 2)
    assert {key for _, _, key, _ in after.awards} == {"kept", "beyond"}
    assert (after.metrics["ann"]["school"]["xp"], after.levels["ann"]["school"]) == (20, 1)


def test_a_level_told_once_is_not_told_again():
    text = revocable("two", "kept", "beyond", "risen")
    result = folded(on(1), on(2), on(3, "unsolved"), on(4), text=text)
    assert result.levels_reached == {("ann", "school", 2): day(2)}
    assert result.levels["ann"]["school"] == 2
    assert result.unlocks[Unlock(("ann", "school", "risen", ""), 1)] == day(4)


def test_an_award_that_is_not_revocable_stays_when_its_own_metric_goes_back():
    assert set(earned(on(1), on(2), on(6, "unsolved"), text=revocable("kept"))) == {"kept"}


# --- XP and levels ---

XP = """
catalog: game
version: 1
events:
  done: {topic: t, data: {kind: string?}}
  bonus: {topic: t, data: {amount: integer?}}
metrics: {done: {count: done}}
achievements:
  - {key: one, name: one, when: done >= 1, xp: 5, points: 100}
  - {key: rich, name: rich, when: xp >= 60, points: 40}
  - {key: second, name: second, when: level >= 2}
xp:
  - {on: done, amount: 50}
  - {on: done, where: {data.kind: hard}, amount: 7}
  - {on: [bonus], amount: data.amount}
  - {on: awards}
levels: {of: xp, curve: {triangular: 50}}
"""


WITHOUT_AWARDS = XP.replace("  - {on: awards}\n", "").replace("xp: 5, ", "")


def xp_and_level(*events: dict[str, Any]) -> tuple[int | None, int]:
    result = folded(*events, text=XP)
    return result.metrics["ann"]["game"]["xp"], result.levels["ann"]["game"]


def test_xp_is_what_events_and_awards_give():
    """50 for the event, 5 of the award's own; the next 50 make 105, so `rich` gives 40, and level 2 another 10."""
    assert xp_and_level(on(1, "done")) == (55, 1)
    assert xp_and_level(on(1, "done"), on(2, "done")) == (155, 2)
    assert xp_and_level(on(1, "done", kind="hard")) == (57 + 5 + 40 + 10, 2)


@pytest.mark.parametrize("amount", [None, 0, -5])
def test_an_amount_that_is_none_gives_none(amount: int | None):
    assert xp_and_level(on(1, "bonus", amount=amount)) == (0, 1)


def test_level_n_of_a_triangular_curve_starts_at_50_n_n_minus_1():
    """Levels 2, 3, 4 start at 100, 300, 600."""
    expected = {99: 1, 100: 2, 299: 2, 300: 3, 599: 3, 600: 4}
    for amount, level in expected.items():
        assert folded(on(1, "bonus", amount=amount), text=WITHOUT_AWARDS).levels["ann"]["game"] == level


def test_each_level_is_told_in_order_when_one_event_reaches_several():
    result = folded(on(1, "bonus", amount=600), text=XP)
    assert [*result.levels_reached] == [("ann", "game", level) for level in (2, 3, 4)]
    assert set(result.levels_reached.values()) == {day(1)}


def test_a_new_user_is_level_1_which_nobody_is_told():
    result = folded(on(1, "bonus"), text=XP)
    assert result.levels == {"ann": {"game": 1}}
    assert result.levels_reached == {}


def test_levels_may_be_of_any_metric():
    text = XP.replace("of: xp, curve: {triangular: 50}", "of: done, curve: [0, 2, 3]").replace(
        "level >= 2", "level >= 3"
    )
    result = folded(on(1, "done"), on(3, "done"), on(2, "done"), text=text)
    assert result.levels_reached == {("ann", "game", 2): day(3), ("ann", "game", 3): day(3)}
    assert result.awards["ann", "game", "second", ""] == day(3)


def test_awards_give_no_xp_unless_the_catalog_says_so():
    assert folded(on(1, "done"), on(2, "done"), text=WITHOUT_AWARDS).metrics["ann"]["game"]["xp"] == 100


def test_xp_that_crosses_is_dated_by_the_latest_of_what_gave_it():
    late = folded(on(9, "done"), on(3, "bonus", amount=5), text=XP)
    assert late.awards["ann", "game", "rich", ""] == day(9)


UP_AND_DOWN = """
catalog: game
version: 1
events: {solved: {topic: t}, unsolved: {topic: t}, login: {topic: t}}
metrics:
  solved: {count: solved, minus: unsolved}
  undone: {count: unsolved}
  logins: {count: login}
achievements:
  - {key: two, name: Two, when: solved >= 2, revocable: true}
  - {key: rich, name: Rich, xp: 0, when: xp >= 12}
  - {key: sorry, name: Sorry, when: {all: [undone >= 1, logins >= 1]}}
xp: [{on: awards}, {on: unsolved, amount: 5}]
levels: {of: xp, curve: [0, 12]}
"""


def test_what_is_reached_only_within_a_record_is_neither_told_nor_given():
    """10 XP of two and 5 of the event are 15; but the event takes two back, and 5 remain."""
    result = folded(on(1), on(2), on(3, "unsolved"), text=UP_AND_DOWN)
    assert (result.awards, result.levels_reached) == ({}, {})
    assert result.metrics["ann"]["game"]["xp"] == 5


def test_what_is_reached_again_within_a_record_is_dated_anew():
    """The event of 3 March comes late: sorry, which waited for it since the 9th, gives the 10 again."""
    result = folded(on(1), on(2), on(9, "login"), on(3, "unsolved"), text=UP_AND_DOWN)
    assert {key: at for (_, _, key, _), at in result.awards.items()} == {"sorry": day(9), "rich": day(9)}
    assert result.levels_reached == {("ann", "game", 2): day(9)}
