"""What a new version of a catalog takes, by hand: one change at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest

from processor.replay.changes import Changes, Unfinished, changes, unfinished_in
from schemas.replays import Named, ReplayNote
from schemas.state import Control
from tests.unit.replaying import Versions

FIRST = """
catalog: songs
version: 1
events:
  released: {topic: music, data: {artist: string?, collaborator: string?}}
  login: {topic: web}
metrics:
  releases: {count: released}
  artists: {distinct: released, by: data.artist}
achievements:
  - {key: first, name: A, description: A, category: c, when: releases >= 1}
  - {key: ten, name: A, description: A, category: c, when: releases >= 10}
  - {key: both, name: A, description: A, when: {all: [releases >= 3, artists >= 2]}}
  - {key: all_c, name: A, description: A, all_of: {category: c}}
"""


LOGIN = "login: {topic: web, data: {device: string?}}"
SHARED = "[{type: shared, subject: data.collaborator}]"


def to(new: str, unfinished: Unfinished | None = None, wanted: Collection[Named] | None = None) -> Changes:
    versions = Versions([FIRST, new])
    running = versions.program({"songs": 1})
    return changes(running, versions.program({"songs": 2}), unfinished or Unfinished(), wanted)


def second(*replaced: tuple[str, str], more: str = "") -> str:
    text = FIRST.replace("version: 1", "version: 2")
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    return text + more


def line(**said: Any) -> str:
    return f"  - {{{', '.join(f'{name}: {value}' for name, value in said.items())}, name: A, description: A}}\n"


def names(*keys: str) -> list[Named]:
    return [("songs", key) for key in keys]


def test_texts_and_points_change_nothing() -> None:
    found = to(second(("key: first, name: A", "key: first, points: 7, name: Other")))

    assert found.kind == "nothing"
    assert found.why == ["nothing new is counted or earned"]


@pytest.mark.parametrize(
    "milder", [("artist: string?, collaborator: string?", "artist: string?"), ("login: {topic: web}", LOGIN)]
)
def test_an_event_that_asks_for_less_is_published_and_counts_on_in_the_same_metrics(
    milder: tuple[str, str],
) -> None:
    """What was refused before is for a replay of the stretch."""
    found = to(second(milder))

    assert (found.kind, found.filling, found.muted) == ("nothing", [], [])


def test_a_field_that_may_be_missing_now_is_no_new_metric() -> None:
    versions = Versions([second(("artist: string?", "artist: string")), second(("version: 2", "version: 3"))])
    found = changes(versions.program({"songs": 2}), versions.program({"songs": 3}), Unfinished())

    assert (found.kind, found.filling) == ("nothing", [])


def test_a_new_achievement_on_what_is_counted_is_a_sweep_over_its_types() -> None:
    found = to(second(more=line(key="five", when="releases >= 5")))

    assert found.kind == "sweep"
    assert (found.muted, found.filling) == (names("five"), [])
    assert found.types == {"music": ["released"]}


def test_a_new_metric_is_filled_and_what_waits_for_it_is_muted() -> None:
    new = second(("artists:", "logins: {count: login}\n  artists:"), more=line(key="guest", when="logins >= 1"))
    found = to(new)

    assert found.kind == "fold_and_merge"
    assert (found.muted, found.filling) == (names("guest"), names("logins"))
    assert found.types == {"web": ["login"]}


def test_a_metric_that_means_something_else_begins_anew_with_all_that_waits_for_it() -> None:
    found = to(second(("{count: released}", "{count: released, where: {data.artist: Me}}")))

    assert found.kind == "fold_and_merge"
    assert found.filling == names("releases")
    assert found.muted == names("first", "ten", "both")
    assert found.harder == names("first", "ten", "both")


def test_a_window_is_a_metric_of_its_own() -> None:
    found = to(
        second(more=line(key="summer", when="releases >= 3", window="{from: 2026-06-01, until: 2026-09-01}"))
    )

    assert found.filling == names("releases@2026-06-01..2026-09-01")
    assert found.muted == names("summer")


def test_what_became_easier_is_swept_and_keeps_who_has_it() -> None:
    found = to(second(("releases >= 10", "releases >= 8")))

    assert (found.kind, found.muted, found.harder) == ("sweep", names("ten"), [])


def test_what_became_harder_waits_for_nobody_and_is_the_policys() -> None:
    found = to(second(("releases >= 10", "releases >= 12")))

    assert (found.kind, found.muted, found.harder) == ("nothing", [], names("ten"))


def test_a_second_condition_is_harder_and_has_a_past_that_nobody_remembers() -> None:
    found = to(second(("when: releases >= 10", "when: {all: [releases >= 10, artists >= 5]}")))

    assert (found.kind, found.muted, found.harder) == ("sweep", names("ten"), names("ten"))


def test_a_set_is_kept_when_its_category_grows_and_swept_when_it_shrinks() -> None:
    grown = to(second(more=line(key="hundred", category="c", when="releases >= 100")))
    shrunk = to(second(("key: ten, name: A, description: A, category: c", "key: ten, name: A, description: A")))

    assert (grown.muted, grown.harder) == (names("hundred"), [])
    assert (shrunk.muted, shrunk.harder) == (names("all_c"), [])


def test_what_requires_something_with_a_past_has_one_too_where_its_own_condition_may_have_held_and_passed() -> None:
    """Else it would be given only to whom it still holds for when what it requires is given."""
    undone = ("artists: {distinct: released, by: data.artist}", "balance: {count: released, minus: login}")
    more = line(key="lasting", when="releases >= 2", requires="[ten]")
    more += line(key="passing", when="balance >= 2", requires="[lasting]")
    before = FIRST.replace("[releases >= 3, artists >= 2]", "[releases >= 3, releases >= 4]").replace(*undone)
    after = second().replace("[releases >= 3, artists >= 2]", "[releases >= 3, releases >= 4]").replace(*undone)
    versions = Versions([before + more, after.replace("releases >= 10", "releases >= 8") + more])

    found = changes(versions.program({"songs": 1}), versions.program({"songs": 2}), Unfinished())

    assert (found.kind, found.muted, found.harder) == ("sweep", names("ten", "passing"), [])


def test_what_is_not_listed_any_more_is_the_policys() -> None:
    gone = "  - {key: both, name: A, description: A, when: {all: [releases >= 3, artists >= 2]}}\n"
    found = to(second((gone, "")))

    assert (found.kind, found.removed) == ("nothing", names("both"))


def test_what_nobody_could_earn_yet_is_swept_when_it_is_switched_on() -> None:
    versions = Versions([FIRST.replace("when: releases >= 10", "is_active: false, when: releases >= 10"), second()])
    found = changes(versions.program({"songs": 1}), versions.program({"songs": 2}), Unfinished())

    assert (found.kind, found.muted) == ("sweep", names("ten"))


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (second(more="xp: [{on: released, amount: 5}]\n"), "gives XP by other rules"),
        (second(more="levels: {of: releases, curve: [0, 3, 9]}\n"), "levels of catalog 'songs' begin elsewhere"),
        (second(("artist: string?", "artist: string")), "'released' refuses events that were taken before"),
        (
            second(
                ("collaborator: string?}}", f"collaborator: string?}}, derive: {SHARED}}}"),
                ("releases: {count: released}", "releases: {count: released}\n  shares: {count: shared}"),
            ),
            "derives shared by a rule that no event of before went by",
        ),
    ],
)  # fmt: skip
def test_what_no_replay_of_a_part_can_make_up_for_is_full_and_says_why(new: str, why: str) -> None:
    found = to(new)

    assert found.kind == "full"
    assert any(why in reason for reason in found.why)


def test_levels_over_a_new_metric_are_told_by_its_past() -> None:
    new = second(
        ("artists:", "logins: {count: login}\n  artists:"), more="levels: {of: logins, curve: [0, 3, 9]}\n"
    )

    assert to(new).kind == "fold_and_merge"


def test_what_is_wanted_again_is_swept_without_muting() -> None:
    found = to(second(), wanted=names("ten"))

    assert (found.kind, found.muted, found.filling, found.wanted) == ("sweep", [], [], names("ten"))


def test_what_is_wanted_before_it_was_ever_brought_is_refused() -> None:
    found = to(second(more=line(key="five", when="releases >= 5")), wanted=names("five"))

    assert found.kind == "full"
    assert "replay the version that brings them" in found.why[0]


def test_what_a_cancelled_replay_left_is_taken_up_again() -> None:
    left = ReplayNote(phase="cancelled", muted=names("both"), filling=names("artists"))
    found = to(second(), unfinished_in([Control(replays={"r": left})]))

    assert (found.kind, found.filling, found.muted) == ("fold_and_merge", names("artists"), names("both"))


def test_what_waits_for_what_another_replay_fills_names_that_one() -> None:
    going = ReplayNote(phase="ready", filling=names("artists"))
    found = to(second(more=line(key="six", when="artists >= 6")), unfinished_in([Control(replays={"r": going})]))

    assert found.conflicts == {("songs", "artists"): "r"}


LOGINS = ("artists:", "logins: {count: login}\n  artists:")
GUEST = line(key="guest", when="logins >= 1")


def over_what_came_with_the_second_version(
    *replays: ReplayNote, wanted: Collection[Named] | None = None
) -> Changes:
    """By the third, which has an achievement over it."""
    third = second(LOGINS, ("version: 2", "version: 3"), more=GUEST)
    versions = Versions([FIRST, second(LOGINS), third])
    notes = {f"r{number}": note for number, note in enumerate(replays)}
    unfinished = unfinished_in([Control(replays=notes)], versions.records)
    running = versions.program({"songs": 3 if wanted else 2})
    return changes(running, versions.program({"songs": 3}), unfinished, wanted)


@pytest.mark.parametrize("wanted", [None, names("guest")])
def test_the_past_of_what_waits_for_a_metric_that_counts_from_now_is_not_looked_for_in_what_it_did_not_count(
    wanted: list[Named] | None,
) -> None:
    found = over_what_came_with_the_second_version(wanted=wanted)

    assert found.kind == "full"
    assert "'logins' of catalog 'songs' counts only what came since version 2" in found.why[0]


@pytest.mark.parametrize(
    "note",
    [
        ReplayNote(phase="done", catalogs={"songs": 2}, filling=names("logins")),
        ReplayNote(phase="done", catalogs={"songs": 3}, promoted=True),
    ],
)
def test_the_past_of_what_waits_for_a_metric_that_was_filled_is_swept(note: ReplayNote) -> None:
    assert over_what_came_with_the_second_version(note).kind == "sweep"


def test_what_a_cancelled_replay_left_of_a_metric_is_filled_not_late() -> None:
    left = ReplayNote(phase="cancelled", filling=names("logins"))

    assert over_what_came_with_the_second_version(left).kind == "fold_and_merge"


@pytest.mark.parametrize(("began", "kind"), [((2, 2), "sweep"), ((2, 1), "full"), ((2, 0), "full"), ((1,), "full")])
def test_a_metric_that_came_before_anything_was_folded_counts_all_of_it(began: Sequence[int], kind: str) -> None:
    """Of 0 it is not known."""
    versions = Versions([FIRST, second(LOGINS), second(LOGINS, ("version: 2", "version: 3"), more=GUEST)])
    controls = [Control(began={"songs": each} if each else {}) for each in began]
    unfinished = unfinished_in(controls, versions.records)

    assert changes(versions.program({"songs": 2}), versions.program({"songs": 3}), unfinished).kind == kind


def test_a_metric_of_a_topic_that_nobody_had_read_before_counts_all_of_it() -> None:
    first = FIRST.replace("  login: {topic: web}\n", "")
    versions = Versions([first, second(LOGINS), second(LOGINS, ("version: 2", "version: 3"), more=GUEST)])
    unfinished = unfinished_in([Control()], versions.records)

    assert changes(versions.program({"songs": 2}), versions.program({"songs": 3}), unfinished).kind == "sweep"
