"""Full reprocessing without servers: where a shadow stands, what it is called, whether there is room for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from broker.catalogs import program_of
from broker.log_dirs import disks_of
from processor.evaluator.programs import Programs
from replays import reprocessing
from replays.beholding import Sight, is_level, reports
from replays.registry import Replay
from replays.reprocessing import Vigil, World
from replays.shadow import as_begun, refuse_foreign, shadow_namespace
from replays.space import Space, refuse_no_space
from schemas.errors import LaurelError, Precondition
from schemas.replays import Rehearse, Release, ReplayNote, ReplayOrder
from schemas.state import Control
from schemas.topics import Names
from tests.unit.owned_partition import records_of
from tests.unit.test_returning import PROMOTED
from tests.unit.test_takeover import NEW, OLD

LIVE, SHADOW = Names("live"), Names("live-12345678", follows="live")
MIB = 1024**2


def sight(*, shadow_at: int, derived_at: int = 4, live_derived_at: int = 7, unshown: int = 0) -> Sight:
    """Of one partition: the source is folded to 10 live, 4 records are derived in the shadow, 7 live."""
    here = {"plays": 10, LIVE.derived: live_derived_at, LIVE.replay_assignments: 3}
    there = {"plays": shadow_at, SHADOW.derived: derived_at, SHADOW.replay_assignments: 1}
    live, shadow = Control(positions=here, users=9), Control(positions=there, catalogs={"toy": 2}, users=5)
    return Sight(LIVE, SHADOW, {0: live}, {0: shadow}, {0: 7}, {0: 4}, {0: unshown})


def settled(**cut: int) -> ReplayNote:
    return ReplayNote(phase="settled", cut={"plays": 10, **cut}, attempt=1)


def test_a_shadow_is_at_the_cut_when_sources_and_what_was_derived_are_folded() -> None:
    assert sight(shadow_at=10).is_at_cut(0, settled())
    assert not sight(shadow_at=9).is_at_cut(0, settled())
    assert not sight(shadow_at=10, derived_at=3).is_at_cut(0, settled())


def test_a_partition_has_settled_when_all_that_was_derived_live_is_folded() -> None:
    at_end = settled(**{LIVE.derived: 7})
    assert sight(shadow_at=0).has_settled(0, at_end)
    assert not sight(shadow_at=0, live_derived_at=6).has_settled(0, at_end)
    assert not sight(shadow_at=0).has_settled(0, settled(**{LIVE.derived: 5})), "it has grown since"
    assert not sight(shadow_at=0).has_settled(0, ReplayNote(phase="held", cut={"plays": 10}, attempt=1))


def test_a_report_tells_the_shadows_users_and_is_level_only_once_it_runs_what_is_to_be_promoted() -> None:
    """A way back begins with what ran before."""
    (report,) = reports(PROMOTED, sight(shadow_at=10), None, 0, ())
    (early,) = reports(replace(PROMOTED, version=3), sight(shadow_at=10), None, 0, ())

    assert (report.phase, report.position, report.of, report.users) == ("level", 10, 10, 5)
    assert early.phase == "folding"


@pytest.mark.parametrize(
    "behind", [{"shadow_at": 9}, {"shadow_at": 10, "derived_at": 3}, {"shadow_at": 10, "unshown": 1}]
)
def test_where_nothing_comes_live_a_shadow_is_level_only_with_its_last_row(behind: dict[str, int]) -> None:
    """Who compares then is told of everything."""
    (report,) = reports(PROMOTED, sight(**behind), sight(shadow_at=0), 0.5, ())
    assert report.phase == "folding"


def test_under_a_load_a_shadow_is_level_when_it_is_two_seconds_behind_and_stays_so_for_a_while() -> None:
    """Whoever read that it is ready is not refused because something has just come."""
    assert is_level(40_000, flow=20_000.0, was_level=False)
    assert not is_level(40_001, flow=20_000.0, was_level=False)
    assert is_level(100, flow=0.0, was_level=True)
    assert not is_level(101, flow=0.0, was_level=True)
    assert is_level(200_000, flow=20_000.0, was_level=True)


def test_a_shadow_has_a_name_that_a_namespace_may_have_and_no_topic_of_the_live_one() -> None:
    longest = Names("n" * 40)
    shadow = Names(shadow_namespace(longest, "toy-v2-12345678"), follows=longest.namespace)
    refuse_foreign(longest, shadow.specs())
    assert shadow.commands == longest.commands
    with pytest.raises(LaurelError, match="is live: nothing is done"):
        refuse_foreign(longest, longest.specs())


def test_a_shadow_runs_what_is_to_be_promoted_from_the_first_event_on_also_where_it_was_published_before() -> None:
    """By a promotion that was called off behind its publication. Told by an order, it would have folded some events
    by the old rules."""
    old, new = records_of(OLD, NEW)
    records = as_begun([old, msgspec.structs.replace(new, announced=False)], PROMOTED)

    assert Programs(program_of(records, SHADOW), records).first == PROMOTED.versions


def test_space_is_refused_only_where_brokers_tell_that_there_is_none() -> None:
    refuse_no_space(Space(topics=10 * MIB, schema=1, free=30 * MIB), reserve=20 * MIB)
    refuse_no_space(Space(topics=10 * MIB, schema=1, free=None), reserve=20 * MIB)
    with pytest.raises(Precondition, match=r"need about 10 MiB, and 20 MiB are to stay free .* has 29 MiB left"):
        refuse_no_space(Space(topics=10 * MIB, schema=1, free=29 * MIB), reserve=20 * MIB)


def test_disks_count_every_replica_and_the_broker_with_the_least_room() -> None:
    def answer(free: int, size: int) -> dict[str, object]:
        partitions = [{"partition_size": size}, {"partition_size": 2 * size}]
        topics = [{"name": "a", "partitions": partitions}, {"name": "other", "partitions": partitions}]
        return {"results": [{"topics": topics, "usable_bytes": free}]}

    found = disks_of([answer(500, 10), answer(300, 10)], ["a", "b"])

    assert (found.used, found.free) == ({"a": 60, "b": 0}, 300)


class Promotion:
    """All that a vigil over one partition meets: row, owners and processes. Everything stands at the cut."""

    def __init__(self, refused: str | None, answers: bool) -> None:
        self.replay: Replay = replace(PROMOTED, status="promoting", attempt=1, decided_at=None, ended_at=None)
        self.told: list[type[ReplayOrder]] = []
        self.heard: list[str] = []
        self._refused, self._answers = refused, answers

    async def take(self) -> Sight:
        seen = sight(shadow_at=10)
        note = settled(**{LIVE.derived: 7})
        return seen._replace(live={0: Control(positions=seen.live[0].positions, replays={"r": note})})

    async def tell_all(self, replay: Replay, order: ReplayOrder) -> list[ReplayNote]:
        self.told.append(type(order))
        if isinstance(order, Rehearse) and not self._answers:
            await asyncio.Event().wait()
        return [ReplayNote(phase="settled", refused=self._refused)]

    async def decide_to_promote(self, id: str) -> None:
        self._become("decided")

    async def give_up(self, id: str, why: str) -> None:
        self._become(why)

    def _become(self, heard: str) -> None:
        self.heard.append(heard)
        self.replay = replace(self.replay, status="paused")  # so that the vigil ends

    async def start_again(self) -> None: ...
    async def stop_workers(self) -> None: ...
    def refuse_ended(self) -> None: ...

    async def watch(self) -> None:
        given = cast(Any, self)
        world = World(LIVE, 120 if self._answers else 0.2, *[given] * 5)
        await Vigil(world, given, given, given).keep()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    async def publish(*_: object) -> None: ...

    monkeypatch.setattr(reprocessing, "publish_live", publish)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("refused", "answers", "told", "heard"),
    [
        (None, True, [Rehearse], "decided"),
        ("it takes 9 bytes, and 8 at most", True, [Rehearse, Release], "it takes 9 bytes, and 8 at most"),
        (None, False, [Rehearse, Release], "live events have waited for 0.2 s"),
    ],
)
async def test_what_speaks_against_a_promotion_is_known_before_it_is_decided(
    refused: str | None, answers: bool, told: list[type[ReplayOrder]], heard: str
) -> None:
    """And live goes on, as by an owner that does not answer in time."""
    promotion = Promotion(refused, answers)

    await promotion.watch()

    assert promotion.told == told
    assert [each.startswith(heard) for each in promotion.heard] == [True]
