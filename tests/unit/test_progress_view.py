"""By what a partition's states are shown: what its control records say, one after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from broker.reading import Batch
from projections import progress_view
from projections.decoding import Undecodable
from projections.progress_view import WAITED_MS, Stage, Views, view_of
from projections.user_progress import ProgressRows, UserProgressProjection
from schemas.errors import LaurelError, Precondition
from schemas.program import CatalogRecord
from schemas.records import PlainRecord
from schemas.replays import Phase, ReplayNote
from schemas.state import CONTROL_KEY, Control, encode_control
from schemas.topics import Names
from tests.integration import projections as given

ONE, TWO = given.catalog_record(), given.catalog_record(2, wider=True)
NEWEST = Control(catalogs={"toy": 2})
FILLING = Control(catalogs={"toy": 2}, replays={"r": ReplayNote(phase="filling", filling=[("toy", "released")])})


class Topic:
    """A catalogs topic that is read again and again."""

    def __init__(self, *published: CatalogRecord) -> None:
        self.published, self.reads = list(published), 0

    async def read(self) -> list[CatalogRecord]:
        self.reads += 1
        return self.published


def projection(topic: Topic) -> UserProgressProjection:
    return UserProgressProjection(Names("t"), topic.read, given.no_controls)


async def decoded(
    shows: UserProgressProjection, rows: Sequence[tuple[bytes, bytes]], start: int = 0
) -> ProgressRows:
    records = [PlainRecord(start + place, 0, *row) for place, row in enumerate(rows)]
    return await shows.decode([Batch(shows.topic, 0, start, start + len(rows), records)])


def control(version: int, **replays: ReplayNote) -> tuple[bytes, bytes]:
    return CONTROL_KEY, encode_control(Control(catalogs={"trackflow": version}, replays=replays))


def metrics(rows: ProgressRows) -> dict[str, Any]:
    return {row.user: json.loads(row.metrics)["trackflow"] for row in rows.rows}


async def test_a_version_and_the_one_before_it_are_shown_in_one_batch():
    """Whether a state, or a control record, is the first to tell of the newer one."""
    for first in (control(1), control(2)):
        topic = Topic(ONE)
        shows = projection(topic)
        await decoded(shows, [control(1), (b"ada", given.state(1))])
        topic.published.append(TWO)
        newer = [(b"ada", given.state(2, stars=1)), control(2), (b"bob", given.state(3, stars=4))]

        rows = await decoded(shows, [first, *newer], start=2)

        seen = {"released": 2, "login_streak": 9} | ({"stars": 1} if first == control(2) else {})
        assert metrics(rows) == {"ada": seen, "bob": {"released": 3, "login_streak": 9, "stars": 4}}
        assert topic.reads == 2


async def test_the_catalogs_are_not_read_again_while_nothing_new_comes():
    topic = Topic(ONE, TWO)
    shows = projection(topic)

    for start in range(0, 9, 3):
        await decoded(shows, [control(1), control(2), (b"ada", given.state(1, stars=1))], start)

    assert topic.reads == 1


@pytest.mark.parametrize(
    ("phase", "is_hidden"),
    [("filling", True), ("ready", True), ("cancelled", True), ("active", False), ("done", False)],
)
def test_what_a_replay_fills_is_hidden_until_it_is_active(phase: Phase, is_hidden: bool):
    note = ReplayNote(phase=phase, filling=[("trackflow", "stars")], muted=[("trackflow", "first_release")])

    found = view_of(Control(catalogs={"trackflow": 2}, replays={"r": note})).hidden

    assert found == ({("trackflow", "stars")} if is_hidden else set())


async def test_a_state_that_no_published_version_explains_names_its_place():
    with pytest.raises(Undecodable, match=r"user-state-changelog/0 offset 1 cannot be read: .* 13 slots"):
        await decoded(projection(Topic(ONE)), [control(1), (b"ada", given.state(1, stars=1))])


@pytest.mark.parametrize(("published", "error"), [([ONE], LaurelError), ([], Precondition)])
async def test_a_version_that_nobody_has_published_stops_the_projector(published: list[CatalogRecord], error: type):
    with pytest.raises(error, match="published: was the catalogs topic recreated"):
        await decoded(projection(Topic(*published)), [control(2), (b"ada", given.state(1))])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Units: milliseconds."""
    now = [1_780_000_000_000]
    monkeypatch.setattr(progress_view.time, "time", lambda: now[0] / 1000)
    return now


class Log:
    """Control records that are looked for. Shapes: newest is partition 0's; None before there is any."""

    def __init__(self, newest: Control | None = None) -> None:
        self.newest, self.looks = newest, 0

    async def read(self) -> Mapping[int, Control]:
        self.looks += 1
        return {} if self.newest is None else {0: self.newest}


async def seen(views: Views, *timestamps: int) -> list[Stage]:
    """How states of these times are, without a control record among them."""
    records = [PlainRecord(7 + place, at, b"ada", b"{}") for place, at in enumerate(timestamps)]
    read = Batch("changelog", 0, 7, 7 + len(records), records)
    await views.catch_up([read])
    return views.follow(read)


async def test_states_are_seen_as_the_newest_control_record_says_for_those_between_may_have_been_compacted() -> (
    None
):
    """A replay has ended while nobody read: by the view of before, what it filled would stay hidden for ever."""
    views = Views(Log(NEWEST).read)
    await views.look()

    assert await seen(views, 0) == [Stage(-1, view_of(NEWEST))]


async def test_states_are_seen_by_nothing_before_anything_said_how() -> None:
    views = Views(Log().read)
    await views.look()

    assert await seen(views, 0) == [Stage(-1, None)]


async def test_a_reader_that_fell_behind_sees_states_as_the_newest_control_record_says_by_then(
    clock: list[int],
) -> None:
    """It was paused, and reads on where it stood; a replay has ended meanwhile, and what said so is compacted."""
    log = Log(FILLING)
    views = Views(log.read)
    await views.look()
    clock[0] += 3 * WAITED_MS
    log.newest = NEWEST

    assert await seen(views, clock[0] - 2 * WAITED_MS) == [Stage(-1, view_of(NEWEST))]


async def test_a_reader_that_keeps_up_does_not_look_again(clock: list[int]) -> None:
    log = Log(FILLING)
    views = Views(log.read)
    await views.look()
    before = clock[0]
    clock[0] += 3 * WAITED_MS

    await seen(views, before - 1_000)  # of before the look
    await seen(views, clock[0] - WAITED_MS // 2, clock[0])

    assert log.looks == 1
