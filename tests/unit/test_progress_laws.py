"""What holds of progress whatever the catalog and the user."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from progress.achievements import progress_of_all
from progress.overview import overview
from progress.roadmap import roadmap
from progress.standing import Standing
from progress.statistics import statistics
from progress.suggestions import suggest
from schemas.program import AchievementSpec, All
from schemas.program import Any as AnyOf
from tests.unit.standings import at_least, award, entry, pace, run, standing

METRICS = ("released", "artists", "likes", "logins")
comparisons = st.builds(at_least, st.sampled_from(METRICS), st.integers(1, 30))
conditions = st.recursive(
    comparisons,
    lambda parts: st.lists(parts, min_size=1, max_size=3).flatmap(
        lambda of: st.sampled_from([All(of=of), AnyOf(of=of)])
    ),
    max_leaves=5,
)


@st.composite
def catalogs(draw: st.DrawFn) -> list[AchievementSpec]:
    """Each requires only what stands before it in a hidden order, so there is no circle."""
    keys = [
        f"secret{place}" if draw(st.booleans()) else f"plain{place}" for place in range(draw(st.integers(1, 7)))
    ]
    entries = [
        entry(
            key,
            draw(conditions),
            secret=key.startswith("secret"),
            is_active=draw(st.integers(0, 5)) > 0,
            requires=draw(st.lists(st.sampled_from(keys[:place]), unique=True, max_size=3)) if place else [],
        )
        for place, key in enumerate(keys)
    ]
    return draw(st.permutations(entries))


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    entries = draw(catalogs())
    held = draw(st.lists(st.sampled_from(entries), unique_by=lambda each: each.key))
    days = draw(st.integers(1, 20))
    known: dict[str, Any] = {
        "metrics": {metric: draw(st.integers(-3, 40)) for metric in METRICS},
        "streaks": {"logins": run(days, ago=draw(st.integers(0, 3)))},
        "paces": {
            metric: pace(
                draw(st.floats(0, 50)), days=draw(st.integers(1, 3)), since=draw(st.integers(5, 50)), ago=3
            )
            for metric in draw(st.lists(st.sampled_from(METRICS[:3]), unique=True))
        },
    }
    return standing(*entries, awards=[award(each.key) for each in held], **known)


@given(standings())
def test_100_per_cent_is_what_is_earned_and_nothing_else(each):
    for progress in progress_of_all(each):
        assert 0 <= progress.percent <= 100
        assert (progress.percent == 100) == progress.earned


@given(standings())
def test_what_is_estimated_lies_ahead_and_what_is_earned_has_no_estimate(each):
    for progress in progress_of_all(each):
        if progress.estimated_completion:
            assert not progress.earned
            assert progress.estimated_completion >= each.date


@given(standings())
def test_the_roadmap_holds_each_unearned_once_and_nothing_before_what_it_requires(each):
    steps = [step.achievement.key for step in roadmap(each)]
    wanted = {entry.key for entry in each.program.achievements if entry.is_active and not entry.secret}

    assert sorted(steps) == sorted(key for key in wanted if not each.held(key))
    for place, key in enumerate(steps):
        assert not set(each.entries[key].requires) & set(steps[place:])


@given(standings())
def test_suggestions_can_be_earned_now_and_come_by_effort(each):
    suggestions = suggest(each, count=100)

    for suggestion in suggestions:
        assert all(each.held(name) for name in each.entries[suggestion.key].requires)
        assert not each.held(suggestion.key)
    days = [suggestion.days_left for suggestion in suggestions]
    known = [day for day in days if day is not None]
    assert days == sorted(known) + [None] * (len(days) - len(known))


@given(standings())
def test_secrets_that_are_not_earned_are_in_nothing_that_is_told(each):
    told = [overview(each), statistics(each), suggest(each, count=100), roadmap(each)]
    said = msgspec.json.encode(told).decode()

    for entry_ in each.program.achievements:
        if entry_.secret and not each.held(entry_.key):
            assert f'"{entry_.key}"' not in said
            assert f'"{entry_.name}"' not in said
