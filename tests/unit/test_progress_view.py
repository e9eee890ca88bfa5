"""By which view the states of a partition are seen when their reader resumes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from broker.reading import Batch
from projections.progress_view import Stage, View, Views, view_of
from schemas.records import PlainRecord
from schemas.state import Control

BEFORE = View((("toy", 1),), frozenset({("toy", "released")}))
NEWEST = Control(catalogs={"toy": 2})
STATE = Batch("changelog", 0, 7, 8, [PlainRecord(7, 0, b"ada", b"{}")])


def resumed(kept: Mapping[int, View], found: Mapping[int, Control]) -> list[Stage]:
    async def read_controls() -> Mapping[int, Control]:
        return found

    async def resume() -> list[Stage]:
        views = Views(read_controls)
        await views.resume([0], kept)
        return views.follow(STATE)

    return asyncio.run(resume())


def test_states_are_seen_as_the_newest_control_record_says_for_those_between_may_have_been_compacted() -> None:
    """A replay has ended while nobody read: by the view of before, what it filled would stay hidden for ever."""
    assert resumed({0: BEFORE}, {0: NEWEST}) == [Stage(-1, view_of(NEWEST))]


def test_states_are_seen_as_before_where_no_control_record_is_found() -> None:
    assert resumed({0: BEFORE}, {}) == [Stage(-1, BEFORE)]


def test_states_are_seen_by_nothing_before_anything_said_how() -> None:
    assert resumed({}, {}) == [Stage(-1, None)]
